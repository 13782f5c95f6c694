"""The steps of a pipeline run: plain functions on paths. They know no Kubeflow."""
