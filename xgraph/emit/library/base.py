"""What images are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 299, 299
MODE = "RGB"  # how Pillow calls what the model takes

#: A class's number, or for images of many labels float32 (classes,) of zeros and ones.
Label = int | np.ndarray


class DataError(ValueError):
    """The images are not as they should be; the message says where and how."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """A text on one line of sensible length, whatever the names in it are."""
    shown = text if len(text) <= 1000 else f"{text[:999]}…"
    return "".join(letter if letter.isprintable() else "?" for letter in shown)


class Source(Protocol):
    """Images of one split with their labels, as they are on disk."""

    #: int64 (count,), or what `__getitem__` makes many labels of.
    labels: np.ndarray

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Image.Image, Label]: ...


class Splits(dict[str, Source]):
    """Some of "train", "validation" and "test".

    Attributes:
        class_names: in the order of their numbers.
        notes: what whoever trains with these images should be told, a line each.
    """

    def __init__(
        self,
        splits: Mapping[str, Source],
        class_names: Iterable[str],
        notes: Iterable[str] = (),
    ) -> None:
        super().__init__(splits)
        self.class_names, self.notes = list(class_names), list(notes)
