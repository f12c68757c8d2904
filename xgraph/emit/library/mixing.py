"""Mixing the images of a batch."""

from __future__ import annotations

import math

import numpy as np

from xgraph.emit.library.class_weights import CLASSES


def class_shares(labels: np.ndarray) -> np.ndarray:
    """Labels as float32 (B, CLASSES), also those of images that have one each (B,)."""
    hot = labels[:, np.newaxis] == np.arange(CLASSES) if labels.ndim == 1 else labels
    return hot.astype(np.float32)


def mixup(
    images: np.ndarray, targets: np.ndarray, alpha: float, random: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """λ times each image and 1 − λ times its partner, targets likewise (Zhang et al. 2018)."""
    share = beta(alpha, random)
    return blended(images, share), blended(targets, share)


def cutmix(
    images: np.ndarray, targets: np.ndarray, alpha: float, random: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each image with a box out of its partner, targets by the box's area (Yun et al. 2019).

    The box is √(1 − λ) times as high and wide as the image, around a pixel of it; what lies outside
    of the image does not count.
    """
    height, width = images.shape[1:3]
    side = math.sqrt(1 - beta(alpha, random))
    y, x = int(random[4] * height), int(random[5] * width)
    rows, columns = int(height * side) // 2, int(width * side) // 2
    top, bottom = max(0, y - rows), min(y + rows, height)
    left, right = max(0, x - columns), min(x + columns, width)
    mixed = images.copy()
    mixed[:, top:bottom, left:right] = images[::-1, top:bottom, left:right]
    area = (bottom - top) * (right - left) / (height * width)
    return mixed, blended(targets, 1 - area)


def blended(batch: np.ndarray, share: float) -> np.ndarray:
    """So much of each float32 row and the rest of its partner, the row as far from the end."""
    own = np.float32(share)
    mixed: np.ndarray = own * batch + (np.float32(1) - own) * batch[::-1]
    return mixed


def beta(alpha: float, random: np.ndarray) -> float:
    """A number of the distribution Beta(α, α), from the first four of `random`, in [0, 1).

    (1 + s)/2 has Beta(α + 1, α + 1), where s = cos(2πv)·√(1 − u^(2/(2α + 1))) (Ulrich 1984). Its
    odds are those of two gamma variables of α + 1, each of which becomes one of α where it is
    multiplied by a uniform number to the power 1/α (Stuart 1962). No number is rejected.
    """
    u, v, *both = random[:4].tolist()  # Python's functions are the same with any NumPy
    s = math.cos(2 * math.pi * v) * math.sqrt(1 - (1 - u) ** (2 / (2 * alpha + 1)))
    s *= 1 - 2.0**-53  # never 1 or -1, of which there are no odds
    first, second = (math.log1p(-each) / alpha for each in both)
    odds = math.log((1 + s) / (1 - s)) + first - second  # their logarithm
    return (1 + math.tanh(odds / 2)) / 2
