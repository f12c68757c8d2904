"""Logistic sigmoid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """1 / (1 + exp(−x))."""

    name: ClassVar[str] = "sigmoid"
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        e = np.exp(-np.abs(x))  # at most 1: no overflow on either side
        return np.where(x >= 0, 1.0, e) / (1.0 + e)
