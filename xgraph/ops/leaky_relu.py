"""Leaky rectified linear unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import NOT_NEGATIVE
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class LeakyRelu(Pointwise):
    """x where x > 0, negative_slope · x elsewhere (Maas et al. 2013).

    The default slope is Keras'; PyTorch's is 0.01.
    """

    name: ClassVar[str] = "leaky_relu"

    negative_slope: float = attribute(NOT_NEGATIVE, 0.3, doc="slope below zero")

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        return np.where(x > 0, x, self.negative_slope * x)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            yield Case((shape,))
            yield Case((shape,), {"negative_slope": 0.01})
        yield Case((SHAPES[0],), {"negative_slope": 0})
        yield Case((SHAPES[0],), {"negative_slope": 1.5})
