"""Normalization by the root mean square."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import Weight
from xgraph.ops.base import Array, Case, Types, attribute
from xgraph.ops.kinds import BOOLEAN, POSITIVE
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class RmsNorm(Pointwise):
    """γ · x / √(mean(x²) + epsilon), the mean over the channels of each pixel.

    (H, W, C) → (H, W, C) or (C,) → (C,), as Keras' `RMSNormalization` (Zhang and Sennrich 2019).
    """

    name: ClassVar[str] = "rms_norm"
    smooth: ClassVar[bool] = True

    epsilon: float = attribute(POSITIVE, 1e-6, doc="number added to the mean square")
    scale: bool = attribute(BOOLEAN, True, doc="multiply by a learned vector, gamma")

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        return (Weight("gamma", (inputs[0].channels,), "ones"),) if self.scale else ()

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        y: Array = x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + self.epsilon)
        return y * weights["gamma"] if self.scale else y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            for scale in (True, False):
                yield Case((shape,), {"scale": scale})
            yield Case((shape,), {"epsilon": 1e-3})
        yield Case(((1, 1, 4),), {"epsilon": 1})
        yield Case(((2, 7, 1),))
