"""A learned value for each position of an image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType, Weight
from xgraph.ops.base import Array, Case, Op, Types
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class PositionEmbedding(Op):
    """x + embedding, learned for each position and channel (Dosovitskiy et al. 2021).

    (H, W, C) → (H, W, C), for images of this one size: the embedding is of the size that a spec is
    compiled for, and starts at 0.
    """

    name: ClassVar[str] = "position_embedding"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    sized: ClassVar[bool] = True

    def infer(self, inputs: Types) -> TensorType:
        return need_image("position_embedding", inputs)

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        return (Weight("embedding", inputs[0].shape, "zeros"),)

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return inputs[0] + weights["embedding"]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((4, 4, 3), (5, 3, 2), (1, 1, 4), (1, 6, 1)):
            yield Case((shape,))
