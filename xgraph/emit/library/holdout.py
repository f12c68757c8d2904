"""Training images held out for validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from xgraph.emit.library.base import DataError, Label, Source, Splits
from xgraph.emit.library.randomness import HOLDOUT_CHOICE, uniform

HOLDOUT_SEED = 0


class Subset:
    """Some images of a source, in its order."""

    def __init__(self, source: Source, numbers: np.ndarray) -> None:
        self.source, self.numbers = source, numbers
        self.labels = source.labels[numbers]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> tuple[Image.Image, Label]:
        return self.source[int(self.numbers[index])]


def hold_out(splits: Splits, directory: Path, count: int) -> Splits:
    """The splits with so many training images as validation, if they have none for it.

    Raises:
        DataError: there are no more images than are to be held out.
    """
    if "train" not in splits:
        return splits
    if "validation" in splits:
        splits.notes.append(f"{directory} has its own validation images: none are held out")
        return splits
    source = splits["train"]
    if not 0 < count < len(source):
        raise DataError(
            f"{directory} has {len(source):,} training images, of which {count:,} are "
            "to be held out"
        )
    held = held_out(source.labels, count)
    splits["validation"] = Subset(source, np.flatnonzero(held))
    splits["train"] = Subset(source, np.flatnonzero(~held))
    return splits


def held_out(labels: np.ndarray, count: int) -> np.ndarray:
    """Which images are held out, as truth values: of every class the same share, drawn.

    A class of n of N images gives ⌊count · n / N⌋ or one more, those of the largest remainders. One
    image at least stays for training, and other classes give more for it. Images of many labels are
    drawn as if of one class.
    """
    classes = np.zeros(len(labels), np.int64) if labels.ndim > 1 else labels
    sizes = np.bincount(classes)
    shares = count * sizes / len(labels)
    quotas = np.minimum(np.floor(shares).astype(np.int64), np.maximum(sizes - 1, 0))
    while (missing := count - quotas.sum()) > 0 and (quotas < sizes - 1).any():
        room = np.flatnonzero(quotas < sizes - 1)
        quotas[room[np.argsort(quotas[room] - shares[room], kind="stable")[:missing]]] += 1
    drawn = uniform(len(labels), HOLDOUT_SEED, HOLDOUT_CHOICE)
    order = np.lexsort((drawn, classes))
    firsts = np.cumsum(sizes) - sizes
    held = np.zeros(len(labels), bool)
    held[order] = np.arange(len(labels)) - firsts[classes[order]] < quotas[classes[order]]
    return held
