"""Moving channels into pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, Window, attribute
from xgraph.ops.kinds import FACTOR
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class DepthToSpace(Op):
    """(H, W, C) → (H · block, W · block, C / block²): each pixel becomes a block of them.

    As TensorFlow's operator of this name, and ONNX' in its mode `DCR`: channel
    (i · block + j) · C / block² + c becomes channel c of the pixel in row i and column j of the
    block. PyTorch's `pixel_shuffle` takes channel c · block² + i · block + j instead (Shi et al.
    2016): it is `channel_shuffle` with C / block² groups, then this.
    """

    name: ClassVar[str] = "depth_to_space"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    block: int = attribute(FACTOR, doc="height and width of a block, pixels")

    def infer(self, inputs: Types) -> TensorType:
        height, width, channels = need_image(self.name, inputs).shape
        if channels % self.block**2:
            raise ShapeProblem(
                f"{self.name} needs channels for whole blocks",
                expected=f"channels that are a multiple of block² = {self.block**2}",
                received=f"{channels} channels",
            )
        return TensorType(
            (height * self.block, width * self.block, channels // (self.block * self.block))
        )

    def window(self, inputs: Types) -> Window:
        step = Fraction(1, self.block)
        return Window((1, 1), (step, step))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        b = self.block
        batch, height, width, channels = x.shape
        y = np.empty((batch, height * b, width * b, channels // b**2), x.dtype)
        for k, part in enumerate(np.split(x, b**2, axis=-1)):
            y[:, k // b :: b, k % b :: b] = part
        return y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape, block in (
            ((2, 3, 12), 2), ((3, 2, 4), 2), ((2, 1, 18), 3), ((1, 1, 9), 3), ((5, 4, 3), 1),
            ((2, 3, 32), 4),
        ):  # fmt: skip
            yield Case((shape,), {"block": block})
