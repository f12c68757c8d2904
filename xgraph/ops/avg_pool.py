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
    or by the size of the kernel with `count_include_pad`, for `same` as for explicit padding. What
    windows reach over in `ceil_mode` is never counted, as in PyTorch and ONNX.
    """

    name: ClassVar[str] = "avg_pool"
    smooth: ClassVar[bool] = True

    count_include_pad: bool = attribute(BOOLEAN, False, doc="count padding as pixels of value zero")

    @property
    def uniform(self) -> bool:
        """Not where windows at the border have fewer pixels, whose mean is rounded otherwise."""
        whole = self.padding == "valid" or self.count_include_pad
        return whole and not self.reaches_over

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        around = self.around(x.shape[1:])
        geometry = (self.kernel, self.step, (1, 1))
        total: Array = patches(x, *geometry, around).sum(axis=(3, 4))
        if self.count_include_pad and not self.reaches_over:
            return total / (self.kernel[0] * self.kernel[1])
        counted = np.ones_like(x[:1, :, :, :1])
        if self.count_include_pad:  # of padding, what it says itself
            assert self.explicit is not None
            counted = np.pad(counted, ((0, 0), *self.explicit, (0, 0)), constant_values=1)
            assert not isinstance(around, str)
            over = zip(around, self.explicit, strict=True)
            rows, columns = ((0, high - own) for (_, high), (_, own) in over)
            around = (rows, columns)
        pixels = patches(counted, *geometry, around).sum(axis=(3, 4))
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
        over = {"stride": 2, "ceil_mode": True, "count_include_pad": True}
        for kernel, padding in ((3, "valid"), (3, [[1, 1], [1, 1]]), (3, [[0, 1], [2, 0]])):
            yield Case(((8, 9, 2),), {"kernel": kernel, "padding": padding, **over})
        yield Case(((3, 4, 2),), {"kernel": 5, "stride": 1, "padding": "same"})  # over the image
        yield Case(
            ((9, 6, 2),),
            {"kernel": [2, 5], "stride": [1, 2], "padding": "same", "count_include_pad": True},
        )
