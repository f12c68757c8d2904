"""2-D max pooling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pooling import Pool
from xgraph.ops.windows import patches


@dataclass(frozen=True)
class MaxPool(Pool):
    """Greatest entry of each window, per channel, as Keras' `MaxPooling2D`.

    (H, W, C) → (H', W', C). Padding is −∞, so that it never wins.
    """

    name: ClassVar[str] = "max_pool"
    exact: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        (x,) = inputs
        around = self.around(x.shape[1:])
        windows = patches(x, self.kernel, self.step, (1, 1), around, fill=-math.inf)
        y: Array = windows.max(axis=(3, 4))
        return y
