"""What activations share: one input of any shape, an output of the same shape, no weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xgraph.ir.types import TensorType
from xgraph.ops.base import Case, Op, ShapeProblem, Types, attribute
from xgraph.ops.kinds import COUNT

#: An image and a vector, the two shapes that an activation meets.
SHAPES = ((5, 4, 3), (7,))


@dataclass(frozen=True)
class Pointwise(Op):
    """Base of ops whose output has the shape of their one input: (H, W, C) or (C,)."""

    def infer(self, inputs: Types) -> TensorType:
        (x,) = inputs
        return x

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            yield Case((shape,))


@dataclass(frozen=True)
class Grouped(Pointwise):
    """Base of those that see channels in `groups` equal segments."""

    groups: int = attribute(COUNT, doc="segments of channels")

    def infer(self, inputs: Types) -> TensorType:
        (x,) = inputs
        if x.channels % self.groups:
            raise ShapeProblem(
                "groups must divide the channels",
                expected=f"channels that are a multiple of groups={self.groups}",
                received=f"{x.channels} channels",
            )
        return x
