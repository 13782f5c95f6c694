"""The domain: what an image of characters is. Knows no transport and no TensorFlow."""
