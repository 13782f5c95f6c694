"""Builds a model: labelled images → data set → trained network → evaluated, blessed, published version."""
