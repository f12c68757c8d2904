"""2-D average pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import BOOLEAN
from xgraph.ops.pooling import Pool
from xgraph.ops.windows import patches


@dataclass(frozen=True)
class AvgPool(Pool):
    """Mean of each window, per channel, as Keras' `AveragePooling2D`.

    (H, W, C) → (H', W', C). The sum over a window is divided by the number of image pixels in it,
    or by the size of the kernel with `count_include_pad`, for `same` as for explicit padding.
    """

    name: ClassVar[str] = "avg_pool"
    smooth: ClassVar[bool] = True

    count_include_pad: bool = attribute(BOOLEAN, False, doc="count padding as pixels of value zero")

    @property
    def uniform(self) -> bool:
        """Not where windows at the border have fewer pixels, whose mean is rounded otherwise."""
        return self.padding == "valid" or self.count_include_pad

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        geometry = (self.kernel, self.step, (1, 1), self.padding)
        total: Array = patches(x, *geometry).sum(axis=(3, 4))
        if self.count_include_pad:
            return total / (self.kernel[0] * self.kernel[1])
        pixels = patches(np.ones_like(x[:1, :, :, :1]), *geometry).sum(axis=(3, 4))
        y: Array = total / pixels
        return y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        yield from super().cases()
        for padding in ("same", "valid", [[1, 0], [2, 1]]):
            for stride in (None, 1, 2):
                attributes = {"kernel": 3, "stride": stride, "padding": padding}
                for shape in ((7, 7, 2), (8, 9, 2)):
                    yield Case((shape,), {**attributes, "count_include_pad": True})
        yield Case(((3, 4, 2),), {"kernel": 5, "stride": 1, "padding": "same"})  # over the image
        yield Case(
            ((9, 6, 2),),
            {"kernel": [2, 5], "stride": [1, 2], "padding": "same", "count_include_pad": True},
        )
