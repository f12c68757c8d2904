"""2-D transposed convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from xgraph.ir.types import TensorType, Weight
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, Window, attribute
from xgraph.ops.kinds import (
    BOOLEAN,
    COUNT,
    INITIALIZER,
    PADDING,
    PAIR,
    IntegerPair,
    Nullable,
    Padding,
    Pair,
)
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class ConvTranspose(Op):
    """The transpose of a convolution, as Keras' `Conv2DTranspose`; a convolution's gradient.

    (H, W, C) → (H', W', filters). Pixel i of an axis adds its value times the kernel to the pixels
    i · stride … i · stride + kernel − 1 of what comes out, (n − 1) · stride + kernel of them, of
    which padding takes some away again:

    - `valid`: none; where the kernel is smaller than the stride, there are n · stride;
    - `same`: n · stride are left; of the max(kernel − stride, 0) that go, ⌊half⌋ at the low side;
    - explicit: as many as it says. This is PyTorch's and ONNX' padding.

    `output_padding` leaves more at the high side, up to the stride; not with `same`.
    """

    name: ClassVar[str] = "conv_transpose"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    filters: int = attribute(COUNT, doc="output channels")
    kernel: Pair = attribute(PAIR, doc="window height and width, pixels")
    stride: Pair = attribute(PAIR, (1, 1), doc="step of the window in the output, pixels")
    padding: Padding = attribute(PADDING, "valid", doc="pixels taken from the sides of the output")
    output_padding: Pair | None = attribute(
        Nullable(IntegerPair(0)), None, doc="pixels added below and to the right of the output"
    )
    bias: bool = attribute(BOOLEAN, True, doc="add a learned vector")
    kernel_initializer: str = attribute(INITIALIZER, "glorot_uniform", doc="how the kernel starts")

    def taken(self) -> tuple[Pair, Pair]:
        """Pixels taken from ((top, bottom), (left, right)); below 0 those that are added."""
        sides = []
        for axis, (kernel, stride) in enumerate(zip(self.kernel, self.stride, strict=True)):
            low, high = (0, 0) if isinstance(self.padding, str) else self.padding[axis]
            if self.output_padding is not None:
                high -= self.output_padding[axis]
            elif self.padding == "same":
                low = max(kernel - stride, 0) // 2
                high = kernel - stride - low
            elif self.padding == "valid":
                high = min(kernel - stride, 0)
            sides.append((low, high))
        return sides[0], sides[1]

    def infer(self, inputs: Types) -> TensorType:
        image = need_image(self.name, inputs)
        more = self.output_padding or (0, 0)
        if self.output_padding is not None and self.padding == "same":
            raise ShapeProblem(
                "output_padding goes with valid or explicit padding",
                expected="no output_padding where padding is same, which says the size itself",
                received=f"output_padding {more}",
            )
        if any(extra >= stride for extra, stride in zip(more, self.stride, strict=True)):
            raise ShapeProblem(
                "output_padding must be smaller than the stride",
                expected=f"an output_padding below {self.stride}",
                received=f"output_padding {more}",
                hint="zero_pad adds more pixels, which are zero",
            )
        height, width = (
            (n - 1) * stride + kernel - low - high
            for n, stride, kernel, (low, high) in zip(
                image.shape[:2], self.stride, self.kernel, self.taken(), strict=True
            )
        )
        if min(height, width) < 1:
            raise ShapeProblem(
                "padding takes away all that comes out",
                expected="padding smaller than (size − 1) · stride + kernel on each axis",
                received=f"{image.shape[0]}×{image.shape[1]} pixels with padding {self.padding}",
            )
        return TensorType((height, width, self.filters))

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        shape = (*self.kernel, self.filters, inputs[0].channels)
        kernel = Weight("kernel", shape, self.kernel_initializer)
        return (kernel, Weight("bias", (self.filters,), "zeros")) if self.bias else (kernel,)

    def macs(self, inputs: Types, output: TensorType) -> int:
        return inputs[0].elements * self.kernel[0] * self.kernel[1] * self.filters

    def window(self, inputs: Types) -> Window:
        rows, columns = (-(-k // s) for k, s in zip(self.kernel, self.stride, strict=True))
        height, width = (Fraction(1, stride) for stride in self.stride)
        return Window((rows, columns), (height, width))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,), kernel = inputs, weights["kernel"]
        (top, bottom), (left, right) = self.taken()
        rows, columns = (
            (n - 1) * stride + 1 for n, stride in zip(x.shape[1:3], self.stride, strict=True)
        )
        height, width = rows + self.kernel[0] - 1, columns + self.kernel[1] - 1
        shape = (len(x), height - min(bottom, 0), width - min(right, 0), self.filters)
        y = np.zeros(shape, x.dtype)
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                places = (slice(i, i + rows, self.stride[0]), slice(j, j + columns, self.stride[1]))
                y[:, *places] += x @ kernel[i, j].T
        y = y[:, top : height - bottom, left : width - right]
        return y + weights["bias"] if self.bias else y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        size = (4, 5, 3)
        for kernel, stride in ((3, 2), (4, 2), ([2, 5], [3, 1])):
            for padding in ("same", "valid", [[1, 1], [0, 1]]):
                window = {"kernel": kernel, "stride": stride, "padding": padding}
                yield Case((size,), {"filters": 2, **window})
        three = {"filters": 4, "kernel": 3, "stride": 3}
        yield Case((size,), {**three, "padding": [[1, 1], [1, 1]], "output_padding": [2, 0]})
        yield Case((size,), {**three, "stride": 2, "output_padding": 1})
        yield Case((size,), {**three, "padding": [[3, 1], [0, 2]], "bias": False})
        yield Case(((1, 1, 2),), {"filters": 3, "kernel": 1})
