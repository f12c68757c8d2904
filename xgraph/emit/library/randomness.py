"""Randomness."""

from __future__ import annotations

import numpy as np

# What a stream of random numbers is for: the second half of its Philox key.
ORDER = 0
AUGMENTATION = 1
PATTERN = 2
NOISE = 3
REPLACEMENT = 4
HOLDOUT_CHOICE = 5
BALANCE = 6
MIXING = 7


def uniform(count: int, seed: int, purpose: int, a: int = 0, b: int = 0) -> np.ndarray:
    """`count` float64 in [0, 1) from the stream (seed, purpose, a, b)."""
    key = np.array([seed, purpose], np.uint64)
    philox = np.random.Philox(key=key, counter=np.array([0, a, b, 0], np.uint64))
    return (philox.random_raw(count) >> np.uint64(11)) * 2.0**-53
