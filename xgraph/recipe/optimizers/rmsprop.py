"""RMSprop as TensorFlow has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import NOT_NEGATIVE, POSITIVE, RATE
from xgraph.recipe.optimizers.base import Memory, Optimizer
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Rmsprop(Optimizer):
    """s ← ρ·s + (1 − ρ)·g²; m ← μ·m + lr·g / √(s + ε); w ← w − m.

    ε stands in the root and the rate in the momentum, as in TensorFlow (Tieleman and Hinton 2012;
    PyTorch has both outside). s begins at `initial`: 1 in TensorFlow 1, with which the networks of
    2015 and 2016 were trained, 0 in Keras.
    """

    name: ClassVar[str] = "rmsprop"

    momentum: float = attribute(RATE, 0.0, doc="μ, how much of the last step is kept")
    decay: float = attribute(RATE, 0.9, doc="ρ, how much of the mean square is kept")
    epsilon: float = attribute(POSITIVE, 1e-7, doc="ε, added to the mean square")
    initial: float = attribute(NOT_NEGATIVE, 0.0, doc="mean square at the start")

    @property
    def constants(self) -> dict[str, str]:
        momentum = {"MOMENTUM": number(self.momentum)} if self.momentum else {}
        return {**momentum, "RHO": number(self.decay), "EPSILON": number(self.epsilon)}

    @property
    def said(self) -> str:
        return "TensorFlow's RMSprop" + (" with momentum" if self.momentum else "")

    @property
    def memories(self) -> dict[str, float]:
        return {"mean_square": self.initial, **({"momentum": 0.0} if self.momentum else {})}

    def step(
        self, weight: Array, gradient: Array, memory: Memory, rate: float, t: int, kernel: bool
    ) -> Array:
        mean_square = self.decay * memory["mean_square"] + (1 - self.decay) * gradient**2
        memory["mean_square"] = mean_square
        step = rate * gradient / (mean_square + self.epsilon) ** 0.5
        if not self.momentum:
            return weight - step
        memory["momentum"] = self.momentum * memory["momentum"] + step
        return weight - memory["momentum"]

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"momentum": 0.9, "epsilon": 1e-3}
        yield {"momentum": 0.9, "decay": 0.95, "epsilon": 1.0, "initial": 1.0}
