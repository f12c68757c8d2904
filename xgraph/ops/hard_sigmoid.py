"""Piecewise linear sigmoid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import NUMBER, POSITIVE
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class HardSigmoid(Pointwise):
    """min(max(slope · x + offset, 0), 1), by default relu6(x + 3) / 6.

    The default is that of Howard et al. 2019 (MobileNetV3), Keras 3 and PyTorch. Keras 2 has slope
    0.2, as ONNX does by default.
    """

    name: ClassVar[str] = "hard_sigmoid"

    slope: float = attribute(POSITIVE, 1 / 6, doc="how steep the middle piece is")
    offset: float = attribute(NUMBER, 0.5, doc="its value at 0")

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        if (self.slope, self.offset) == (1 / 6, 0.5):
            return np.clip(x + 3.0, 0, 6) / 6.0
        return np.clip(self.slope * x + self.offset, 0, 1)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            yield Case((shape,))
            yield Case((shape,), {"slope": 0.2})
        yield Case((SHAPES[0],), {"slope": 0.4, "offset": 0.3})
