"""What ops with several inputs share: inputs of one shape, or naming the two that disagree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Case, Op, ShapeProblem, Types


@dataclass(frozen=True)
class Merging(Op):
    """Base of ops whose inputs are all of one shape, which is the output's."""

    arity: ClassVar[tuple[int, int | None]] = (2, None)

    def infer(self, inputs: Types) -> TensorType:
        first = inputs[0]
        for k, x in enumerate(inputs):
            if x.shape != first.shape:
                expected, hint = f"shape {first.shape}", _hint(first, x)
                raise disagreement(self.name, inputs, 0, k, expected=expected, hint=hint)
        return first

    @classmethod
    def cases(cls) -> Iterator[Case]:
        least, most = cls.arity
        for shape in ((4, 3, 2), (5,)):
            for count in range(least, (most or 3) + 1):
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


def disagreement(
    what: str, inputs: Types, first: int, other: int, *, expected: str, hint: str | None = None
) -> ShapeProblem:
    """The problem that inputs number `first` and `other` (from 0) do not go together.

    Args:
        what: the op's name.
        inputs: types of all its inputs.
        first: the input that sets the measure.
        other: the input that does not meet it.
        expected: what the other's shape should have been.
        hint: what might help.
    """
    return ShapeProblem(
        f"{what}: inputs {first + 1} and {other + 1} of {len(inputs)} disagree",
        expected=f"{expected}, as input {first + 1} has shape {inputs[first].shape}",
        received=f"input {other + 1} of shape {inputs[other].shape}",
        hint=hint,
    )
