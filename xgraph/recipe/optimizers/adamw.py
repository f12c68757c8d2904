"""Adam with decoupled weight decay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import NOT_NEGATIVE, POSITIVE
from xgraph.recipe.kinds import KEPT
from xgraph.recipe.optimizers.adam import Adam
from xgraph.recipe.optimizers.base import Memory, Optimizer
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Kernels: w ← w − lr·λ·w; then all weights as in Adam (Loshchilov and Hutter 2019).

    Biases, gamma and beta do not decay.
    """

    name: ClassVar[str] = "adamw"
    decays: ClassVar[bool] = True
    counts: ClassVar[bool] = True

    weight_decay: float = attribute(NOT_NEGATIVE, 0.01, doc="λ, the strength, on kernels only")
    beta1: float = attribute(KEPT, 0.9, doc="β₁, how much of the mean gradient is kept")
    beta2: float = attribute(KEPT, 0.999, doc="β₂, how much of the mean square is kept")
    epsilon: float = attribute(POSITIVE, 1e-8, doc="ε, added to the root of the mean square")

    @property
    def adam(self) -> Adam:
        """It without the decay."""
        return Adam(self.beta1, self.beta2, self.epsilon)

    @property
    def constants(self) -> dict[str, str]:
        return {**self.adam.constants, "WEIGHT_DECAY": number(self.weight_decay)}

    @property
    def said(self) -> str:
        return "AdamW, with decay of kernels only"

    @property
    def memories(self) -> dict[str, float]:
        return self.adam.memories

    def step(
        self, weight: Array, gradient: Array, memory: Memory, rate: float, t: int, kernel: bool
    ) -> Array:
        if kernel:
            weight = weight - rate * self.weight_decay * weight
        return self.adam.step(weight, gradient, memory, rate, t, kernel)

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"weight_decay": 0.3, "beta1": 0.5, "beta2": 0.9, "epsilon": 0.1}
