"""Gaussian error linear unit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import Choice
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class Gelu(Pointwise):
    """x · Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016).

    `exact` is x/2 · (1 + erf(x/√2)); `tanh` is x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))), from
    section 2 of the same paper. They differ by up to 5e-4.
    """

    name: ClassVar[str] = "gelu"
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    approximation: str = attribute(
        Choice(("exact", "tanh")), "exact", doc="how the normal distribution function is computed"
    )

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        if self.approximation == "tanh":
            inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        else:
            inner = np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2))
        y: Array = 0.5 * x * (1.0 + inner)
        return y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            for approximation in ("exact", "tanh"):
                yield Case((shape,), {"approximation": approximation})
