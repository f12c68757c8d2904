"""Max pooling to a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pooling import AdaptivePool


@dataclass(frozen=True)
class AdaptiveMaxPool(AdaptivePool):
    """Maxima of a grid of windows that covers the image, as PyTorch's `adaptive_max_pool2d`.

    (H, W, C) → (*size, C). Pixel i of the m along an axis is the greatest of pixels ⌊i · n / m⌋ …
    ⌈(i + 1) · n / m⌉ − 1 of n.
    """

    name: ClassVar[str] = "adaptive_max_pool"
    exact: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    @staticmethod
    def pooled(values: Array) -> Array:
        y: Array = values.max(axis=(1, 2))
        return y
