"""Learned factor for each channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import Weight
from xgraph.ops.base import Array, Case, Types, attribute
from xgraph.ops.kinds import NUMBER
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class Scale(Pointwise):
    """γ · x, a learned factor γ for each channel (layer scale in Touvron et al. 2021).

    (H, W, C) → (H, W, C) or (C,) → (C,). Every factor starts at `initial`.
    """

    name: ClassVar[str] = "scale"
    smooth: ClassVar[bool] = True

    initial: float = attribute(NUMBER, 1.0, doc="the number that every factor starts from")

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        return (Weight("gamma", (inputs[0].channels,), f"constant({float(self.initial)!r})"),)

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return inputs[0] * weights["gamma"]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            yield Case((shape,))
            yield Case((shape,), {"initial": 1e-6})
        yield Case((SHAPES[0],), {"initial": 0})
        yield Case((SHAPES[0],), {"initial": -1.5})
