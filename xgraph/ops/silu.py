"""Sigmoid linear unit, also called swish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise
from xgraph.ops.sigmoid import Sigmoid


@dataclass(frozen=True)
class Silu(Pointwise):
    """x · sigmoid(x) (Elfwing et al. 2017; swish in Ramachandran et al. 2017)."""

    name: ClassVar[str] = "silu"
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        (x,) = inputs
        return x * Sigmoid().reference(inputs, weights)
