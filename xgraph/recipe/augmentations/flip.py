"""Mirroring."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import attribute
from xgraph.recipe.augmentations.base import Augmentation, Pixels, Place
from xgraph.recipe.kinds import PROBABILITY, Resize
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Flip(Augmentation):
    """Left and right change places in a share of the images."""

    name = "flip"
    stage = 1

    probability: float = attribute(PROBABILITY, 0.5, doc="share of images that are mirrored")

    def draws(self, resize: Resize) -> int:
        return 1 if self.probability else 0

    def lines(self, place: Place) -> list[str]:
        if not self.probability:
            return []
        return [
            f"if {place.number(0)} < {number(self.probability)}:",
            "    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)",
        ]

    def said(self, place: Place) -> str:
        often = {0.0: "", 0.5: "every other image", 1.0: "it"}
        share = f"{100 * self.probability:g} % of images"
        what = often.get(self.probability, share)
        return f"mirror {what}" if what else ""

    def reference(self, pixels: Pixels, place: Place, random: Sequence[float]) -> Pixels:
        return pixels[:, ::-1] if self.probability and random[0] < self.probability else pixels

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"probability": 0.9}
        yield {"probability": True}
        yield {"probability": False}
