"""What an augmentation is: settings, the code that it is in data.py, a NumPy reference, cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from xgraph.recipe.kinds import Resize

if TYPE_CHECKING:  # as in `xgraph.ops.base`
    import numpy as np

    Pixels = np.ndarray[Any, np.dtype[Any]]
else:
    Pixels = Any


@dataclass(frozen=True)
class Place:
    """Where an augmentation stands.

    Attributes:
        height, width: the model's input size.
        resize: what the recipe says of the size before the crop.
        random: where its numbers stand in the array `random`.
    """

    height: int
    width: int
    resize: Resize
    random: int

    def number(self, index: int) -> str:
        """The code of the `index`-th random number, in [0, 1)."""
        return f"random[{self.random + index}]"


@dataclass(frozen=True)
class Augmentation:
    """Base of all augmentations. Recipes name them in any order; `stage` is theirs.

    Attributes:
        name: its file's name.
        stage: 0 for those that cut out the input size, of which there is one; 1 for those that
            move pixels, 2 for those that change them.
    """

    name: ClassVar[str]
    stage: ClassVar[int]

    @property
    def is_crop(self) -> bool:
        """Whether it brings the image to the input size."""
        return self.stage == 0

    @property
    def enlarges(self) -> float:
        """By how much a part of the image may be made larger than the whole would be."""
        return 1.0

    def draws(self, resize: Resize) -> int:
        """How many random numbers it takes."""
        raise NotImplementedError

    def lines(self, place: Place) -> list[str]:
        """Code that makes `image`, a PIL.Image.Image of 8 bits, another one."""
        raise NotImplementedError

    def said(self, place: Place) -> str:
        """What it does, as a part of a sentence; empty where it does nothing."""
        raise NotImplementedError

    def reference(self, pixels: Pixels, place: Place, random: Sequence[float]) -> Pixels:
        """The same in NumPy and Pillow's `resize`: uint8 (height, width, channels) to such.

        `random` are its own numbers.
        """
        raise NotImplementedError

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        """Settings to test it with, as a recipe would give them."""
        raise NotImplementedError
