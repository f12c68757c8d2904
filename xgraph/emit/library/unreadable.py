"""Images that cannot be read."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.sharedctypes import RawArray

import numpy as np
from PIL import Image

from xgraph.emit.library.base import DataError, Label, Source
from xgraph.emit.library.randomness import REPLACEMENT, uniform

UNREADABLE = 0.01  # share of a split's images that may be unreadable


class Unreadable:
    """Which images of a split could not be read, shared by all processes that load them."""

    def __init__(self, count: int) -> None:
        self.marks = RawArray(ctypes.c_uint8, max(1, count))
        self.allowed = math.ceil(UNREADABLE * count)

    def add(self, number: int, error: DataError) -> None:
        """Log an image, once.

        Raises:
            DataError: there are more than `UNREADABLE` allows.
        """
        if self.marks[number]:
            return
        self.marks[number] = 1
        if np.frombuffer(memoryview(self.marks), np.uint8).sum() > self.allowed:
            raise DataError(f"{error}; no more than {self.allowed:,} may be unreadable") from None
        print(f"{error}: another image takes its place", file=sys.stderr, flush=True)


def read(
    source: Source, number: int, seed: int, epoch: int, unreadable: Unreadable
) -> tuple[Image.Image, Label]:
    """Image `number` and its label; if it cannot be read, those of another drawn for it.

    Raises:
        DataError: too many cannot be read.
    """
    try:
        return source[number]
    except DataError as error:
        unreadable.add(number, error)
    for drawn in uniform(100, seed, REPLACEMENT, epoch, number):
        other = int(drawn * len(source))
        try:
            return source[other]
        except DataError as error:
            unreadable.add(other, error)
    raise DataError("too many images cannot be read")


def check(source: Source, workers: int) -> Iterator[str]:
    """Read every image once, in parallel; yields what is wrong with each that cannot be read."""

    def problem(index: int) -> str | None:
        try:
            source[index]
        except DataError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(max(1, workers)) as threads:
        for first in range(0, len(source), 1024):  # so that not all wait in memory at once
            numbers = range(first, min(first + 1024, len(source)))
            yield from filter(None, threads.map(problem, numbers))
