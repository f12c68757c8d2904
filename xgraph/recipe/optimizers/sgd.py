"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import BOOLEAN, RATE
from xgraph.recipe.optimizers.base import Memory, Optimizer
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Sgd(Optimizer):
    """v ← μ·v + g; w ← w − lr·v, or with Nesterov w ← w − lr·(g + μ·v).

    The velocity v holds gradients (Sutskever et al. 2013 in PyTorch's form), not gradients times
    the rate as in Keras: the two differ as soon as the rate changes.
    """

    name: ClassVar[str] = "sgd"

    momentum: float = attribute(RATE, 0.0, doc="μ, how much of the last step is kept")
    nesterov: bool = attribute(BOOLEAN, False, doc="look ahead along the momentum")

    @property
    def constants(self) -> dict[str, str]:
        return {"MOMENTUM": number(self.momentum)} if self.momentum else {}

    @property
    def said(self) -> str:
        if not self.momentum:
            return "SGD"
        return "SGD with Nesterov momentum" if self.nesterov else "SGD with momentum"

    @property
    def memories(self) -> dict[str, float]:
        return {"momentum": 0.0} if self.momentum else {}

    def step(
        self, weight: Array, gradient: Array, memory: Memory, rate: float, t: int, kernel: bool
    ) -> Array:
        if not self.momentum:
            return weight - rate * gradient
        memory["momentum"] = velocity = self.momentum * memory["momentum"] + gradient
        return weight - rate * (gradient + self.momentum * velocity if self.nesterov else velocity)

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"momentum": 0.9}
        yield {"momentum": 0.8, "nesterov": True}
