"""Random brightness, contrast and saturation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import attribute
from xgraph.ops.kinds import Real
from xgraph.recipe.augmentations.base import Augmentation, Pixels, Place
from xgraph.recipe.kinds import Resize
from xgraph.recipe.prose import number

_STRENGTH = Real(0, 16)
#: Functions of the program by setting, in their order.
_CHANGES = {"brightness": "brightened", "contrast": "contrasted", "saturation": "saturated"}


@dataclass(frozen=True)
class ColorJitter(Augmentation):
    """x ← g + f·(x − g), one after the other, f uniform in [max(0, 1 − s), 1 + s] for strength s.

    g is 0 for brightness, the mean gray of the image for contrast, and the gray of the pixel for
    saturation; results are cut to bytes. Source: Howard 2013, "Some improvements on deep
    convolutional neural network based image classification", in a fixed order.
    """

    name = "color_jitter"
    stage = 2

    brightness: float = attribute(_STRENGTH, 0.0, doc="strength s, of all bytes alike")
    contrast: float = attribute(_STRENGTH, 0.0, doc="strength s, of distances from the mean gray")
    saturation: float = attribute(_STRENGTH, 0.0, doc="strength s, of distances from gray")

    def _steps(self) -> list[tuple[str, float, float]]:
        """(setting, least factor, width of the interval) of those that do anything."""
        return [
            (name, round(max(0, 1 - s), 12), round(min(2 * s, 1 + s), 12))
            for name in _CHANGES
            if (s := getattr(self, name))
        ]

    def draws(self, resize: Resize) -> int:
        return len(self._steps())

    def lines(self, place: Place) -> list[str]:
        lines = []
        for index, (name, low, width) in enumerate(self._steps()):
            factor = f"{number(low)} + {number(width)} * {place.number(index)}"
            lines.append(f"image = {_CHANGES[name]}(image, {factor})")
        return lines

    def said(self, place: Place) -> str:
        names = [name for name, _, _ in self._steps()]
        return f"change the {' and the '.join(names)}" if names else ""

    def reference(self, pixels: Pixels, place: Place, random: Sequence[float]) -> Pixels:
        import numpy as np

        for (name, low, width), u in zip(self._steps(), random, strict=True):
            factor = np.float32(low + width * u)
            x = pixels.astype(np.int64)
            # ITU-R BT.601, in the 16 bits after the point that Pillow computes with.
            gray = (x @ np.array([19595, 38470, 7471]) + 0x8000) >> 16 if x.ndim == 3 else x
            g = {
                "brightness": np.zeros(gray.shape, int),
                "contrast": np.full(gray.shape, int(gray.mean() + 0.5)),
                "saturation": gray,
            }[name]
            g = g[..., None] if x.ndim == 3 else g
            blended = g.astype(np.float32) + factor * (x - g).astype(np.float32)
            pixels = blended.clip(0, 255).astype(np.uint8)
        return pixels

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"brightness": 0.4}
        yield {"contrast": 0.4}
        yield {"saturation": 1.5}
        yield {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4}
