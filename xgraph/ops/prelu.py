"""Rectified linear unit with a learned slope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import Weight
from xgraph.ops.base import Array, Case, Types, attribute
from xgraph.ops.kinds import NUMBER
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class Prelu(Pointwise):
    """x where x > 0, α · x elsewhere, with a learned slope α for each channel (He et al. 2015).

    Every slope starts at `initial`, of which the default is the paper's and PyTorch's; Keras starts
    at 0, and has a slope for each entry unless it is told to share them.
    """

    name: ClassVar[str] = "prelu"
    exact: ClassVar[bool] = True

    initial: float = attribute(NUMBER, 0.25, doc="the slope that every channel starts from")

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        return (Weight("alpha", (inputs[0].channels,), f"constant({float(self.initial)!r})"),)

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        return np.where(x > 0, x, weights["alpha"] * x)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            yield Case((shape,))
            yield Case((shape,), {"initial": 0.1})
        yield Case((SHAPES[0],), {"initial": 0})
        yield Case((SHAPES[0],), {"initial": -1.5})
