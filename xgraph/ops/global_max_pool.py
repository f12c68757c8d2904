"""Global max pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pooling import GlobalPool


@dataclass(frozen=True)
class GlobalMaxPool(GlobalPool):
    """Greatest entry of each channel over the whole image, as Keras' `GlobalMaxPooling2D`.

    (H, W, C) → (C,), or (1, 1, C) with `keep_dims`.
    """

    name: ClassVar[str] = "global_max_pool"
    exact: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        y: Array = inputs[0].max(axis=(1, 2), keepdims=True)
        return y if self.keep_dims else y[:, 0, 0]
