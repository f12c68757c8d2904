"""Images of another size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, Window, attribute
from xgraph.ops.kinds import OPTIONAL_PAIR, Choice, Pair
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class Resize(Op):
    """The image read at other places: (H, W, C) → (H · scale, W · scale, C), or of `size`.

    Pixels are squares, and their values stand at the centres, as for TensorFlow, `jax.image.resize`
    and PyTorch with `align_corners=False`. On an axis that grows or shrinks from n to m pixels, the
    centre of pixel i lies at p = (i + 1/2) · n / m. `nearest` takes pixel ⌊p⌋, in which that point
    lies. `bilinear` weighs the two pixels with the nearest centres, p − 1/2 between 0 and n − 1;
    where an image shrinks, others are not seen: there is no antialiasing.
    """

    name: ClassVar[str] = "resize"
    smooth: ClassVar[bool] = True

    scale: Pair | None = attribute(OPTIONAL_PAIR, None, doc="how many times as many pixels")
    size: Pair | None = attribute(OPTIONAL_PAIR, None, doc="height and width that come out, pixels")
    method: str = attribute(
        Choice(("nearest", "bilinear")), "nearest", doc="how what lies between pixels is read"
    )

    @property
    def uniform(self) -> bool:
        """Not where two weights are rounded, and so what they add up to."""
        return self.method == "nearest"

    def infer(self, inputs: Types) -> TensorType:
        image = need_image(self.name, inputs)
        if (self.scale is None) == (self.size is None):
            raise ShapeProblem(
                "resize needs a scale or a size",
                expected="one of 'scale' and 'size'",
                received="neither" if self.scale is None else "both",
            )
        return TensorType((*self._made(image.shape[:2]), image.channels))

    def _made(self, given: Sequence[int]) -> Pair:
        """Height and width that come out."""
        if self.size is not None:
            return self.size
        assert self.scale is not None
        return given[0] * self.scale[0], given[1] * self.scale[1]

    def window(self, inputs: Types) -> Window:
        sizes = inputs[0].shape[:2]
        made = self._made(sizes)
        rows, columns = (
            2 if self.method == "bilinear" and n != m else 1
            for n, m in zip(sizes, made, strict=True)
        )
        height, width = (Fraction(n, m) for n, m in zip(sizes, made, strict=True))
        return Window((rows, columns), (height, width))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        for axis, m in enumerate(self._made(x.shape[1:3]), 1):
            n = x.shape[axis]
            centres = (2 * np.arange(m) + 1) * n  # in parts of 2m
            if self.method == "nearest":
                x = x.take(centres // (2 * m), axis)
                continue
            place = (centres - m).clip(0, 2 * m * (n - 1))
            low = place // (2 * m)
            share = (place % (2 * m) / (2 * m)).astype(x.dtype)
            share = share.reshape(-1, *(1,) * (x.ndim - axis - 1))
            high = x.take(np.minimum(low + 1, n - 1), axis)
            x = x.take(low, axis) * (1 - share) + high * share
        return x

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for method in ("nearest", "bilinear"):
            for scale in (2, [3, 1]):
                yield Case(((4, 3, 2),), {"scale": scale, "method": method})
            # 10 → 3: a centre on the border of two pixels
            for shape, size in (((5, 10, 2), [7, 3]), ((5, 10, 2), 4), ((1, 1, 3), [2, 3])):
                yield Case((shape,), {"size": size, "method": method})
        yield Case(((4, 6, 2),), {"size": [4, 6], "method": "bilinear"})
        yield Case(((3, 2, 1),), {"scale": [1, 5]})
