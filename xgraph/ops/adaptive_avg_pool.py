"""Average pooling to a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pooling import AdaptivePool


@dataclass(frozen=True)
class AdaptiveAvgPool(AdaptivePool):
    """Means of a grid of windows that covers the image, as PyTorch's `adaptive_avg_pool2d`.

    (H, W, C) → (*size, C). Pixel i of the m along an axis is the mean of pixels ⌊i · n / m⌋ …
    ⌈(i + 1) · n / m⌉ − 1 of n.
    """

    name: ClassVar[str] = "adaptive_avg_pool"
    smooth: ClassVar[bool] = True

    @property
    def uniform(self) -> bool:
        """Not where windows have different numbers of pixels, whose means are rounded otherwise."""
        return self.size == (1, 1)

    @staticmethod
    def pooled(values: Array) -> Array:
        y: Array = values.mean(axis=(1, 2))
        return y
