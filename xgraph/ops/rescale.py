"""Constant factor and offset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.channelwise import Channelwise
from xgraph.ops.kinds import NUMBERS
from xgraph.ops.pointwise import SHAPES


@dataclass(frozen=True)
class Rescale(Channelwise):
    """scale · x + offset; both are constant, a number or one for each channel."""

    name: ClassVar[str] = "rescale"
    smooth: ClassVar[bool] = True

    scale: float | tuple[float, ...] = attribute(NUMBERS, 1.0, doc="the factor")
    offset: float | tuple[float, ...] = attribute(NUMBERS, 0.0, doc="what is added to the product")

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        scale, offset = (np.asarray(n, x.dtype) for n in (self.scale, self.offset))
        y: Array = scale * x + offset
        return y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            each = [0.1 * (3 - n) for n in range(shape[-1])]
            yield Case((shape,), {"scale": 0.17})
            yield Case((shape,), {"scale": 1 / 127.5, "offset": -1})
            yield Case((shape,), {"scale": each, "offset": each[::-1]})
        yield Case((SHAPES[0],), {"offset": 0.3})
        yield Case((SHAPES[0],), {"scale": -1.5, "offset": [0.1, 0, -0.3]})
        yield Case((SHAPES[0],), {"scale": [0, 0.2, -2]})
