"""What mixing the images of a batch is: settings, code, a NumPy reference, cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.recipe.kinds import ALPHA, SHARE
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Mixing:
    """Base of all mixings: every image of a batch is mixed with the one as far from its end.

    One λ is drawn for a batch, from Beta(α, α). Of batches of which some are mixed one way and some
    another, the `stage` says whose share of the numbers in [0, 1) comes first.
    """

    name: ClassVar[str]
    stage: ClassVar[int]
    #: how many random numbers it takes
    draws: ClassVar[int]

    alpha: float = attribute(ALPHA, doc="α of the distribution Beta(α, α) of λ")
    probability: float | None = attribute(
        SHARE, None, doc="share of batches; else all that others leave, in equal parts"
    )

    @property
    def call(self) -> str:
        """The code of what it makes of `images`, `targets` and `random`."""
        return f"{self.name}(images, targets, {number(self.alpha)}, random[1:])"

    def reference(
        self, images: Array, targets: Array, share: float, random: Sequence[float]
    ) -> tuple[Array, Array]:
        """Images (B, H, W, C) and shares of classes (B, K), mixed, in NumPy and float64.

        Args:
            images: float.
            targets: likewise.
            share: λ.
            random: the numbers in [0, 1) that are left when λ is drawn.
        """
        raise NotImplementedError

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        """Settings to test it with, as a recipe would give them."""
        raise NotImplementedError


def probabilities(mixings: Sequence[Mixing]) -> list[float]:
    """The share of batches that each gets.

    Raises:
        ValueError: there is not enough for all.
    """
    given = sum(each.probability or 0 for each in mixings)
    open_ = sum(each.probability is None for each in mixings)
    left = round(1 - given, 12)
    if left < 0 or (open_ and not left):
        raise ValueError
    return [each.probability or left / open_ for each in mixings]
