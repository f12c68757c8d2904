"""Softmax over the channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Softmax(Pointwise):
    """exp(x) / Σ exp(x), the sum over the last axis.

    Models return logits and losses take them; this op is for attention inside a model.
    """

    name: ClassVar[str] = "softmax"
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        e = np.exp(x - x.max(axis=-1, keepdims=True))  # at most 1: no overflow
        y: Array = e / e.sum(axis=-1, keepdims=True)
        return y
