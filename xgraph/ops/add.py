"""Sum of tensors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, Types
from xgraph.ops.merging import disagreement


@dataclass(frozen=True)
class Add(Op):
    """x₁ + x₂ + …, all of one shape, which is the output's."""

    name: ClassVar[str] = "add"
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def infer(self, inputs: Types) -> TensorType:
        for k, x in enumerate(inputs):
            if x.shape != inputs[0].shape:
                raise disagreement(
                    "add",
                    inputs,
                    0,
                    k,
                    expected=f"shape {inputs[0].shape}",
                    hint=_hint(inputs[0], x),
                )
        return inputs[0]

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return functools.reduce(operator.add, inputs)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((4, 3, 2), (5,)):
            for count in (2, 3):
                yield Case((shape,) * count)


def _hint(one: TensorType, other: TensorType) -> str:
    """What makes two shapes agree: it depends on what differs."""
    if one.rank != other.rank:
        return "global_avg_pool or flatten makes a vector of an image"
    if one.shape[:-1] == other.shape[:-1]:
        return f"a {'dense layer' if one.rank == 1 else '1×1 conv'} gives either the same channels"
    if one.channels == other.channels:
        return "padding: same keeps the size of an image; a stride must be on both paths"
    return "a 1×1 conv with the same filters and stride makes shapes agree"
