"""Piecewise linear swish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class HardSwish(Pointwise):
    """x · relu6(x + 3) / 6 (Howard et al. 2019, MobileNetV3)."""

    name: ClassVar[str] = "hard_swish"

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        return x * np.clip(x + 3.0, 0, 6) / 6.0
