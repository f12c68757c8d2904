"""A crop of random size and proportions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import attribute
from xgraph.recipe.augmentations.base import Augmentation, Pixels, Place
from xgraph.recipe.kinds import Range, Resize
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class ResizedCrop(Augmentation):
    """A box of random area and proportions, resized to the input size.

    The area is uniform in `scale` times the image's, log(width / height) uniform in the logarithms
    of `ratio`. Of ten tries the first that fits in the image is taken, at a place uniform over all;
    if none does, the largest box in its center whose proportions are in `ratio`. Source: Szegedy et
    al. 2015, section 6, as torchvision's RandomResizedCrop has it.
    """

    name = "resized_crop"
    stage = 0

    scale: tuple[float, float] = attribute(
        Range(1), (0.08, 1.0), doc="least and greatest share of the image's area"
    )
    ratio: tuple[float, float] = attribute(
        Range(100), (0.75, 1.333), doc="least and greatest width / height"
    )

    @property
    def enlarges(self) -> float:
        return math.sqrt(max(self.ratio[1], 1 / self.ratio[0]) / self.scale[0])

    def draws(self, resize: Resize) -> int:
        return 22

    def lines(self, place: Place) -> list[str]:
        scale, ratio = (f"({', '.join(map(number, pair))})" for pair in (self.scale, self.ratio))
        first = place.random
        numbers = f"random[{first}:{first + 22}]" if first else "random[:22]"
        return [
            f"box = random_box(image, {scale}, {ratio}, {numbers})",
            "image = image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box)",
        ]

    def said(self, place: Place) -> str:
        return f"resize a random part to {place.height} × {place.width}"

    def reference(self, pixels: Pixels, place: Place, random: Sequence[float]) -> Pixels:
        import numpy as np
        from PIL import Image

        rows, columns = pixels.shape[:2]
        areas = rows * columns * np.interp(random[:20:2], [0, 1], self.scale)
        logs = np.interp(random[1:20:2], [0, 1], np.log(self.ratio))
        widths = np.rint(np.sqrt(areas * np.exp(logs))).astype(int)
        heights = np.rint(np.sqrt(areas / np.exp(logs))).astype(int)
        fits = (widths > 0) & (widths <= columns) & (heights > 0) & (heights <= rows)
        if fits.any():
            width, height = int(widths[fits.argmax()]), int(heights[fits.argmax()])
            top = math.floor(random[20] * (rows - height + 1))
            left = math.floor(random[21] * (columns - width + 1))
        else:
            least, greatest = self.ratio
            width = min(columns, max(1, round(rows * greatest)))
            height = min(rows, max(1, round(columns / least)))
            top, left = (rows - height) // 2, (columns - width) // 2
        image = Image.fromarray(pixels)
        box = left, top, left + width, top + height
        size = place.width, place.height
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR, box))

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"scale": [0.5, 0.5], "ratio": [1, 1]}
        yield {"scale": [0.9, 1], "ratio": [3, 4]}  # rarely fits
