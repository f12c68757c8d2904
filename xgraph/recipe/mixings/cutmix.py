"""CutMix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import Array
from xgraph.recipe.mixings.base import Mixing


@dataclass(frozen=True)
class Cutmix(Mixing):
    """A box of x ← that of x′; the labels by the area of the box that lies in the image.

    It is √(1 − λ) times as high and wide as the image, around a pixel uniform over all. Source: Yun
    et al. 2019, "CutMix: Regularization strategy to train strong classifiers with localizable
    features", with half the height and width rounded down, as in the authors' code and in timm.
    """

    name = "cutmix"
    stage = 0
    draws = 6

    def reference(
        self, images: Array, targets: Array, share: float, random: Sequence[float]
    ) -> tuple[Array, Array]:
        import numpy as np

        inside = np.ones(images.shape[1:3], bool)
        for axis, (size, u) in enumerate(zip(inside.shape, random, strict=True)):
            half = int(size * np.sqrt(1 - share)) // 2
            away = np.arange(size) - int(u * size)
            within = (-half <= away) & (away < half)
            inside &= within[:, None] if axis == 0 else within
        mixed = np.where(inside[..., None], images[::-1], images)
        area = inside.mean()
        return mixed, (1 - area) * targets + area * targets[::-1]

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"alpha": 1}
        yield {"alpha": 0.3, "probability": 0.5}
