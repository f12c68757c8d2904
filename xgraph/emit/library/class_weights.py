"""Class weights."""

from __future__ import annotations

import numpy as np

CLASSES = 1000


def balanced_weights(labels: np.ndarray) -> list[float]:
    """N / (K · n) of each of the K classes, which n of the N images show, or none as if one did."""
    counts = np.bincount(labels[labels >= 0], minlength=CLASSES)
    weights: list[float] = (len(labels) / (CLASSES * np.maximum(counts, 1))).tolist()
    return weights
