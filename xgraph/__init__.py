"""xgraph: one spec of a convolutional architecture, readable training programs for frameworks."""

__version__ = "0.1.0"
