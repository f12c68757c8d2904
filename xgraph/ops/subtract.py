"""Difference of two tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.merging import Merging


@dataclass(frozen=True)
class Subtract(Merging):
    """x₁ − x₂, both of one shape, which is the output's."""

    name: ClassVar[str] = "subtract"
    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    cancels: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return inputs[0] - inputs[1]
