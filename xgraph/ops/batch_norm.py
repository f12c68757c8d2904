"""Batch normalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import Weight
from xgraph.ops.base import Array, Case, Types, attribute
from xgraph.ops.kinds import BOOLEAN, POSITIVE, RATE
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class BatchNorm(Pointwise):
    """γ · (x − μ) / √(σ² + epsilon) + β per channel (Ioffe and Szegedy 2015).

    (H, W, C) → (H, W, C) or (C,) → (C,). In training μ and σ² are the mean and the biased variance
    over every axis but the last; in evaluation they are the moving statistics, which a training
    step takes to momentum · moving + (1 − momentum) · batch, the variance biased as well.
    """

    name: ClassVar[str] = "batch_norm"
    smooth: ClassVar[bool] = True

    momentum: float = attribute(RATE, 0.99, doc="weight of the past in the moving statistics")
    epsilon: float = attribute(POSITIVE, 1e-3, doc="number added to the variance")
    scale: bool = attribute(BOOLEAN, True, doc="multiply by a learned vector, gamma")
    center: bool = attribute(BOOLEAN, True, doc="add a learned vector, beta")

    @property
    def remembers(self) -> bool:
        return True

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        shape = (inputs[0].channels,)
        gamma = (Weight("gamma", shape, "ones"),) if self.scale else ()
        beta = (Weight("beta", shape, "zeros"),) if self.center else ()
        return (
            *gamma,
            *beta,
            Weight("moving_mean", shape, "zeros", trainable=False),
            Weight("moving_variance", shape, "ones", trainable=False),
        )

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        if training:
            mean, variance = _statistics(x)
        else:
            mean, variance = weights["moving_mean"], weights["moving_variance"]
        y: Array = (x - mean) / np.sqrt(variance + self.epsilon)
        if self.scale:
            y = y * weights["gamma"]
        return y + weights["beta"] if self.center else y

    def updated_weights(
        self, inputs: Sequence[Array], weights: Mapping[str, Array]
    ) -> dict[str, Array]:
        batch = dict(zip(("moving_mean", "moving_variance"), _statistics(inputs[0]), strict=True))
        return {
            name: self.momentum * weights[name] + (1 - self.momentum) * value
            for name, value in batch.items()
        }

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            for scale in (True, False):
                for center in (True, False):
                    yield Case((shape,), {"scale": scale, "center": center})
            yield Case((shape,), {"momentum": 0.9, "epsilon": 1e-5})
        yield Case(((1, 1, 4),), {"momentum": 0})
        yield Case(((2, 7, 1),), {"epsilon": 1})


def _statistics(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance over every axis but the last."""
    axes = tuple(range(x.ndim - 1))
    return x.mean(axis=axes), x.var(axis=axes)
