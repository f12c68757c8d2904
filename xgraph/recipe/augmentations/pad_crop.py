"""A crop of the image in a black frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import attribute
from xgraph.ops.kinds import Real
from xgraph.recipe.augmentations.base import Augmentation, Pixels, Place
from xgraph.recipe.augmentations.crop import Crop
from xgraph.recipe.kinds import Resize
from xgraph.recipe.sizing import center_lines, center_said


@dataclass(frozen=True)
class PadCrop(Augmentation):
    """The image at input size is moved by −p to p pixels on each axis; what comes in is black.

    p is `by` times the input size: 4 of 32 pixels in He et al. 2016, section 4.2, whose images were
    normalized before, so that black is their mean.
    """

    name = "pad_crop"
    stage = 0

    by: float = attribute(Real(0, 1, open_low=True), 0.125, doc="share of the input on each side")

    def _pad(self, pixels: int) -> int:
        return int(self.by * pixels + 0.5)

    def draws(self, resize: Resize) -> int:
        return 2

    def lines(self, place: Place) -> list[str]:
        down, right = self._pad(place.height), self._pad(place.width)
        return [
            *center_lines(place.resize, place.height, place.width),
            f"top = int({place.number(0)} * {2 * down + 1}) - {down}",
            f"left = int({place.number(1)} * {2 * right + 1}) - {right}",
            "image = image.crop((left, top, left + WIDTH, top + HEIGHT))",
        ]

    def said(self, place: Place) -> str:
        said = center_said(place.resize, place.height, place.width)
        down, right = self._pad(place.height), self._pad(place.width)
        pixels = f"{down}" if down == right else f"{down} and {right}"
        return f"{said}, move it by up to {pixels} pixels"

    def reference(self, pixels: Pixels, place: Place, random: Sequence[float]) -> Pixels:
        import numpy as np

        image = Crop("center").reference(pixels, place, ())
        pads = self._pad(place.height), self._pad(place.width)
        padded = np.pad(image, [(n, n) for n in pads] + [(0, 0)] * (image.ndim - 2))
        top, left = (int(u * (2 * n + 1)) for u, n in zip(random, pads, strict=True))
        return padded[top : top + place.height, left : left + place.width]

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"by": 0.3}
