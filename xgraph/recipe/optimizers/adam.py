"""Adam."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.kinds import KEPT
from xgraph.recipe.optimizers.base import Memory, Optimizer
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Adam(Optimizer):
    """m ← β₁·m + (1 − β₁)·g; v ← β₂·v + (1 − β₂)·g²; w ← w − lr·m̂ / (√v̂ + ε).

    m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ), t counting updates from 1 (Kingma and Ba 2015,
    Algorithm 1). Keras puts ε against the uncorrected √v, which is another ε in every update.
    """

    name: ClassVar[str] = "adam"
    counts: ClassVar[bool] = True

    beta1: float = attribute(KEPT, 0.9, doc="β₁, how much of the mean gradient is kept")
    beta2: float = attribute(KEPT, 0.999, doc="β₂, how much of the mean square is kept")
    epsilon: float = attribute(POSITIVE, 1e-8, doc="ε, added to the root of the mean square")

    @property
    def constants(self) -> dict[str, str]:
        return {
            "BETA1": number(self.beta1),
            "BETA2": number(self.beta2),
            "EPSILON": number(self.epsilon),
        }

    @property
    def said(self) -> str:
        return "Adam"

    @property
    def memories(self) -> dict[str, float]:
        return {"mean": 0.0, "mean_square": 0.0}

    def step(
        self, weight: Array, gradient: Array, memory: Memory, rate: float, t: int, kernel: bool
    ) -> Array:
        mean = self.beta1 * memory["mean"] + (1 - self.beta1) * gradient
        mean_square = self.beta2 * memory["mean_square"] + (1 - self.beta2) * gradient**2
        memory.update(mean=mean, mean_square=mean_square)
        corrected = mean / (1 - self.beta1 ** (t + 1))
        root = (mean_square / (1 - self.beta2 ** (t + 1))) ** 0.5
        return weight - rate * corrected / (root + self.epsilon)

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}
