"""Layers as the Keras backend emits them; the stand-in needs none of its own."""
