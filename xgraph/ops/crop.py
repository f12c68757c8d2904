"""Cutting off the border."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, attribute
from xgraph.ops.kinds import EXPLICIT_PADDING, Pair
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class Crop(Op):
    """The image without its border, as Keras' `Cropping2D`.

    (H, W, C) → (H − top − bottom, W − left − right, C).
    """

    name: ClassVar[str] = "crop"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    cropping: tuple[Pair, Pair] = attribute(EXPLICIT_PADDING, doc="pixels taken from each side")

    def infer(self, inputs: Types) -> TensorType:
        image = need_image("crop", inputs)
        height, width = (
            size - low - high
            for size, (low, high) in zip(image.shape[:2], self.cropping, strict=True)
        )
        if min(height, width) < 1:
            raise ShapeProblem(
                "crop leaves nothing of the image",
                expected="less than the height and less than the width taken from both sides",
                received=f"{image.shape[0]}×{image.shape[1]} pixels with cropping {self.cropping}",
            )
        return TensorType((height, width, image.channels))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        (x,) = inputs
        (top, bottom), (left, right) = self.cropping
        return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for cropping in ([[1, 1], [1, 1]], [[0, 1], [2, 3]], [[4, 0], [0, 0]], [[0, 0], [0, 0]]):
            yield Case(((5, 7, 2),), {"cropping": cropping})
