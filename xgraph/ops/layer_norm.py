"""Layer normalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case
from xgraph.ops.normalizing import Normalization
from xgraph.ops.pointwise import SHAPES


@dataclass(frozen=True)
class LayerNorm(Normalization):
    """γ · (x − μ) / √(σ² + epsilon) + β, μ and σ² of the channels of each pixel (Ba et al. 2016).

    As Keras' `LayerNormalization` over the last axis, which is how ConvNeXt uses it. σ² is biased.
    PyTorch's default epsilon is 1e-5.
    """

    name: ClassVar[str] = "layer_norm"

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return self.adjusted(self.normalized(inputs[0], (-1,)), weights)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            for scale in (True, False):
                for center in (True, False):
                    yield Case((shape,), {"scale": scale, "center": center})
            yield Case((shape,), {"epsilon": 1e-6})
        yield Case(((1, 1, 4),), {"epsilon": 1})
        yield Case(((2, 7, 1),))
