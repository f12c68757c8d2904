"""Exponential linear unit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class Elu(Pointwise):
    """x where x > 0, alpha · (exp(x) − 1) elsewhere (Clevert et al. 2015)."""

    name: ClassVar[str] = "elu"
    vectorized: ClassVar[bool] = True

    alpha: float = attribute(POSITIVE, 1.0, doc="distance of the lower asymptote from zero")

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        return np.where(x > 0, x, self.alpha * np.expm1(np.minimum(x, 0)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            yield Case((shape,))
            yield Case((shape,), {"alpha": 0.5})
