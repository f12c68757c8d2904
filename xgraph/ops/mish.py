"""Self-regularized activation after softplus and tanh."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Mish(Pointwise):
    """x · tanh(softplus(x)), softplus(x) = log(1 + exp(x)) (Misra 2019)."""

    name: ClassVar[str] = "mish"
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        return x * np.tanh(np.logaddexp(0, x))
