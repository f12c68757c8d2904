"""Balanced sampling."""

from __future__ import annotations

import numpy as np

from xgraph.emit.library.base import DataError
from xgraph.emit.library.randomness import BALANCE, uniform


class Balance:
    """Which image stands at place `index` of an epoch in which all classes are equally frequent.

    Place i belongs to class i mod K, of the K classes that have images, so that their numbers
    differ by one at most. A class goes through all its images, in an order of its own, before one
    comes again.
    """

    def __init__(self, labels: np.ndarray, seed: int) -> None:
        if labels.ndim != 1:
            raise DataError("balanced sampling needs one label for each image")
        order = np.argsort(labels, kind="stable")
        _, firsts = np.unique(labels[order], return_index=True)
        self.images = np.split(order, firsts[1:])
        self.seed, self.count = seed, len(labels)
        self.laps: dict[int, tuple[int, np.ndarray]] = {}  # the last of each class

    def __call__(self, index: int, epoch: int) -> int:
        """The image at place `index` of an epoch."""
        classes = len(self.images)
        turn, name = divmod(index, classes)
        places = -(-(self.count - name) // classes)  # of this class in an epoch
        lap, at = divmod(epoch * places + turn, len(self.images[name]))
        last, images = self.laps.get(name, (-1, self.images[name]))
        if last != lap:
            numbers = uniform(len(images), self.seed, BALANCE, lap, name)
            images = self.images[name][np.argsort(numbers, kind="stable")]
            self.laps[name] = lap, images
        return int(images[at])
