"""A crop of input size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import attribute
from xgraph.ops.kinds import Choice
from xgraph.recipe.augmentations.base import Augmentation, Pixels, Place
from xgraph.recipe.kinds import Resize
from xgraph.recipe.sizing import center_lines, center_said, is_exact, resize_said, size_lines


@dataclass(frozen=True)
class Crop(Augmentation):
    """Of the resized image the part at (top, left), each uniform over all places.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 4.1.
    """

    name = "crop"
    stage = 0

    place: str = attribute(Choice(("random", "center")), "random", doc="which part is kept")

    def _is_random(self, resize: Resize) -> bool:
        return self.place == "random" and not is_exact(resize)

    def draws(self, resize: Resize) -> int:
        return 2 if self._is_random(resize) else 0

    def lines(self, place: Place) -> list[str]:
        if not self._is_random(place.resize):
            return center_lines(place.resize, place.height, place.width)
        return [
            *size_lines(place.resize, place.height, place.width),
            f"top = int({place.number(0)} * (size[0] - HEIGHT + 1))",
            f"left = int({place.number(1)} * (size[1] - WIDTH + 1))",
            "image = resized_part(image, size, top, left)",
        ]

    def said(self, place: Place) -> str:
        given = place.resize, place.height, place.width
        if not self._is_random(place.resize):
            return center_said(*given)
        return f"{resize_said(*given)}, cut out a random part"

    def reference(self, pixels: Pixels, place: Place, random: Sequence[float]) -> Pixels:
        import numpy as np
        from PIL import Image

        rows, columns = (place.resize.pixels(n) for n in (place.height, place.width))
        if place.resize.how == "shorter_side":
            scale = max(rows / pixels.shape[0], columns / pixels.shape[1])
            rows, columns = (
                max(round(scale * n), m)
                for n, m in zip(pixels.shape[:2], (rows, columns), strict=True)
            )
        image = Image.fromarray(pixels).resize((columns, rows), Image.Resampling.BILINEAR)
        spare = rows - place.height, columns - place.width
        if self._is_random(place.resize):
            top, left = (int(u * (n + 1)) for u, n in zip(random, spare, strict=True))
        else:
            top, left = (n // 2 for n in spare)
        return np.asarray(image)[top : top + place.height, left : left + place.width]

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"place": "center"}
