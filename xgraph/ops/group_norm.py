"""Group normalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, ShapeProblem, Types, attribute
from xgraph.ops.kinds import BOOLEAN, COUNT, POSITIVE
from xgraph.ops.normalizing import Normalization


@dataclass(frozen=True)
class GroupNorm(Normalization):
    """γ · (x − μ) / √(σ² + epsilon) + β, μ and σ² of each group of channels (Wu and He 2018).

    Both are over all pixels of an example and the channels of the group, as in Keras'
    `GroupNormalization`; σ² is biased. With `groups` equal to the channels this is instance
    normalization. PyTorch's default epsilon is 1e-5.
    """

    name: ClassVar[str] = "group_norm"

    groups: int = attribute(COUNT, 32, doc="segments of channels normalized by themselves")
    epsilon: float = attribute(POSITIVE, 1e-3, doc="number added to the variance")
    scale: bool = attribute(BOOLEAN, True, doc="multiply by a learned vector, gamma")
    center: bool = attribute(BOOLEAN, True, doc="add a learned vector, beta")

    def infer(self, inputs: Types) -> TensorType:
        (x,) = inputs
        if x.channels % self.groups:
            raise ShapeProblem(
                "groups must divide the channels",
                expected=f"channels that are a multiple of groups={self.groups}",
                received=f"{x.channels} channels",
            )
        return x

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        (x,) = inputs
        grouped = x.reshape(*x.shape[:-1], self.groups, -1)
        axes = (*range(1, grouped.ndim - 2), grouped.ndim - 1)
        return self.adjusted(self.normalized(grouped, axes).reshape(x.shape), weights)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((5, 4, 6), (6,)):
            for scale in (True, False):
                for center in (True, False):
                    yield Case((shape,), {"groups": 2, "scale": scale, "center": center})
            for groups in (1, 3):
                yield Case((shape,), {"groups": groups, "epsilon": 1e-6})
        yield Case(((4, 3, 6),), {"groups": 6})
        yield Case(((2, 2, 64),))
        yield Case(((1, 1, 4),), {"groups": 2, "epsilon": 1})
