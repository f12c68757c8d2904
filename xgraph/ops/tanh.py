"""Hyperbolic tangent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Tanh(Pointwise):
    """tanh(x)."""

    name: ClassVar[str] = "tanh"
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        return np.tanh(inputs[0])
