"""Constant mean and deviation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.channelwise import Channelwise
from xgraph.ops.kinds import NUMBERS, POSITIVES
from xgraph.ops.pointwise import SHAPES


@dataclass(frozen=True)
class Normalize(Channelwise):
    """(x − mean) / std; both are constant, a number or one for each channel."""

    name: ClassVar[str] = "normalize"
    smooth: ClassVar[bool] = True

    mean: float | tuple[float, ...] = attribute(NUMBERS, doc="what is taken away")
    std: float | tuple[float, ...] = attribute(POSITIVES, doc="what the rest is divided by")

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        y: Array = (x - np.asarray(self.mean, x.dtype)) / np.asarray(self.std, x.dtype)
        return y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            each = [0.1 * (n + 1) for n in range(shape[-1])]
            yield Case((shape,), {"mean": 127.5, "std": 127.5})
            yield Case((shape,), {"mean": each, "std": each[::-1]})
        yield Case((SHAPES[0],), {"mean": -0.3, "std": [0.1, 1, 3]})
