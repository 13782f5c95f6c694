"""Serves HTTP in front of the model servers."""
