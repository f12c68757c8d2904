"""Weight decay beside the optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.prose import number
from xgraph.recipe.regularizations.base import Regularization


@dataclass(frozen=True)
class Decoupled(Regularization):
    """w ← w − lr·λ·w before the optimizer's step, which knows nothing of it.

    Loshchilov and Hutter 2019. With the learning rate in it, as in PyTorch, Keras and optax.
    """

    name: ClassVar[str] = "decoupled"

    rate: float = attribute(POSITIVE, doc="λ, the strength")

    @property
    def constants(self) -> dict[str, str]:
        return {"WEIGHT_DECAY": number(self.rate)}

    @property
    def said(self) -> str:
        return "decay of kernels beside it"

    def decayed(self, kernel: Array, rate: float) -> Array:
        return kernel - rate * self.rate * kernel

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"rate": 0.3}
