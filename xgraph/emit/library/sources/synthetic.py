"""Synthetic images."""

from __future__ import annotations

import numpy as np
from PIL import Image

from xgraph.emit.library.base import HEIGHT, MODE, WIDTH, Splits
from xgraph.emit.library.randomness import NOISE, PATTERN, uniform

SYNTHETIC_TRAIN, SYNTHETIC_TEST = 1024, 64


def synthetic_data(classes: int, seed: int) -> Splits:
    """Made-up images to try a program with."""
    splits = {
        "train": SyntheticImages(SYNTHETIC_TRAIN, classes, seed, first=0),
        "test": SyntheticImages(SYNTHETIC_TEST, classes, seed, first=SYNTHETIC_TRAIN),
    }
    return Splits(splits, [str(number) for number in range(classes)])


class SyntheticImages:
    """Noise over a pattern of 4 × 4 colors that the class determines: easy to learn."""

    def __init__(self, count: int, classes: int, seed: int, first: int) -> None:
        self.labels = np.arange(count) % classes
        self.seed, self.first = seed, first

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        label = int(self.labels[index])
        pattern = uniform(4 * 4 * 3, self.seed, PATTERN, label).reshape(4, 4, 3)
        rows, columns = np.arange(HEIGHT) * 4 // HEIGHT, np.arange(WIDTH) * 4 // WIDTH
        noise = uniform(HEIGHT * WIDTH * 3, self.seed, NOISE, self.first + index)
        pixels = 0.7 * pattern[rows][:, columns] + 0.3 * noise.reshape(HEIGHT, WIDTH, 3)
        return Image.fromarray((256 * pixels).astype(np.uint8)).convert(MODE), label
