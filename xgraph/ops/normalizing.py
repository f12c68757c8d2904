"""What norms of single examples share: a learned scale and center, and their arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import Weight
from xgraph.ops.base import Array, Types, attribute
from xgraph.ops.kinds import BOOLEAN, POSITIVE
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Normalization(Pointwise):
    """Base of norms that are the same in training and evaluation: (H, W, C) or (C,), unchanged."""

    smooth: ClassVar[bool] = True

    epsilon: float = attribute(POSITIVE, 1e-3, doc="number added to the variance")
    scale: bool = attribute(BOOLEAN, True, doc="multiply by a learned vector, gamma")
    center: bool = attribute(BOOLEAN, True, doc="add a learned vector, beta")

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        shape = (inputs[0].channels,)
        gamma = (Weight("gamma", shape, "ones"),) if self.scale else ()
        return (*gamma, Weight("beta", shape, "zeros")) if self.center else gamma

    def normalized(self, x: Array, axes: tuple[int, ...]) -> Array:
        """(x − μ) / √(σ² + epsilon), with the mean and the biased variance over `axes`."""
        import numpy as np

        mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
        y: Array = (x - mean) / np.sqrt(variance + self.epsilon)
        return y

    def adjusted(self, x: Array, weights: Mapping[str, Array]) -> Array:
        """γ · x + β, of which there may be none."""
        if self.scale:
            x = x * weights["gamma"]
        return x + weights["beta"] if self.center else x
