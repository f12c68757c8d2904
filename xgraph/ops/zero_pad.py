"""Padding with zeros."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, Types, attribute
from xgraph.ops.kinds import EXPLICIT_PADDING, Pair
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class ZeroPad(Op):
    """A border of zeros, as Keras' `ZeroPadding2D`.

    (H, W, C) → (top + H + bottom, left + W + right, C).
    """

    name: ClassVar[str] = "zero_pad"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    padding: tuple[Pair, Pair] = attribute(EXPLICIT_PADDING, doc="pixels added on each side")

    def infer(self, inputs: Types) -> TensorType:
        image = need_image("zero_pad", inputs)
        height, width = (
            low + size + high
            for size, (low, high) in zip(image.shape[:2], self.padding, strict=True)
        )
        return TensorType((height, width, image.channels))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        return np.pad(inputs[0], ((0, 0), *self.padding, (0, 0)))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for padding in ([[1, 1], [1, 1]], [[0, 1], [2, 3]], [[4, 0], [0, 0]], [[0, 0], [0, 0]]):
            yield Case(((3, 4, 2),), {"padding": padding})
