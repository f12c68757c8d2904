"""Group normalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import COUNT
from xgraph.ops.normalizing import Normalization
from xgraph.ops.pointwise import Grouped


@dataclass(frozen=True)
class GroupNorm(Normalization, Grouped):
    """γ · (x − μ) / √(σ² + epsilon) + β, μ and σ² of each group of channels (Wu and He 2018).

    Both are over all pixels of an example and the channels of the group, as in Keras'
    `GroupNormalization`; σ² is biased. With `groups` equal to the channels this is instance
    normalization. PyTorch's default epsilon is 1e-5.
    """

    name: ClassVar[str] = "group_norm"
    cancels: ClassVar[bool] = True

    # Fields are in the order of the bases, the last first: the short form sets the groups.
    groups: int = attribute(COUNT, 32, doc="segments of channels normalized by themselves")

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
