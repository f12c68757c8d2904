"""Order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from xgraph.emit.library.randomness import ORDER, uniform


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation of `count` images in an epoch."""
    return np.argsort(uniform(count, seed, ORDER, epoch), kind="stable")


def training_batches(
    count: int, batch_size: int, seed: int, start: int, stop: int
) -> Iterator[list[tuple[int, int]]]:
    """Keys (index, epoch) of the batches of steps `start` to `stop`.

    What is left of an epoch's order after its last whole batch is not used.
    """
    steps_per_epoch = max(1, count // batch_size)
    order = np.empty(0, np.int64)
    for step in range(start, stop):
        epoch, batch = divmod(step, steps_per_epoch)
        if batch == 0 or step == start:
            order = epoch_order(count, seed, epoch)
        yield [(int(i), epoch) for i in order[batch * batch_size : (batch + 1) * batch_size]]


def evaluation_batches(count: int, batch_size: int) -> Iterator[list[tuple[int, int]]]:
    """Keys of all images in order; the last batch may be smaller."""
    for first in range(0, count, batch_size):
        yield [(index, 0) for index in range(first, min(first + batch_size, count))]
