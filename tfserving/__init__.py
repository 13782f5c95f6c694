"""The wire: speaks TensorFlow Serving. Knows tensors, versions and labels, not characters."""
