"""Moving pixels into channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, Window, attribute
from xgraph.ops.kinds import FACTOR
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class SpaceToDepth(Op):
    """(H, W, C) → (H / block, W / block, block² · C): each block of pixels becomes one.

    As TensorFlow's and ONNX's operator of this name: channel c of the pixel in row i and column j
    of its block becomes channel (i · block + j) · C + c.
    """

    name: ClassVar[str] = "space_to_depth"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    block: int = attribute(FACTOR, doc="height and width of a block, pixels")

    def infer(self, inputs: Types) -> TensorType:
        height, width, channels = need_image(self.name, inputs).shape
        if height % self.block or width % self.block:
            raise ShapeProblem(
                f"{self.name} needs whole blocks",
                expected=f"a height and a width that are multiples of block={self.block}",
                received=f"{height}×{width} pixels",
                hint="zero_pad or crop before it makes them so",
            )
        return TensorType(
            (height // self.block, width // self.block, channels * self.block * self.block)
        )

    def window(self, inputs: Types) -> Window:
        return Window((self.block, self.block), (self.block, self.block))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        b = self.block
        parts = [x[:, i::b, j::b] for i in range(b) for j in range(b)]
        return np.concatenate(parts, axis=-1)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape, block in (
            ((4, 6, 3), 2), ((4, 6, 1), 2), ((6, 3, 2), 3), ((3, 3, 2), 3), ((5, 4, 3), 1),
            ((8, 4, 2), 4),
        ):  # fmt: skip
            yield Case((shape,), {"block": block})
