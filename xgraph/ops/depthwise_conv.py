"""2-D depthwise convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType, Weight
from xgraph.ops.base import Array, Case, Op, Types, Window, attribute
from xgraph.ops.kinds import BOOLEAN, COUNT, INITIALIZER, PADDING, PAIR, Padding, Pair
from xgraph.ops.windows import extent, need_image, output_size, patches


@dataclass(frozen=True)
class DepthwiseConv(Op):
    """Cross-correlation of each channel with filters of its own, as Keras' `DepthwiseConv2D`.

    (H, W, C) → (H', W', C · multiplier). Channel c · multiplier + m of the output is channel c of
    the input under its m-th filter.
    """

    name: ClassVar[str] = "depthwise_conv"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    kernel: Pair = attribute(PAIR, doc="window height and width, pixels")
    stride: Pair = attribute(PAIR, (1, 1), doc="step of the window, pixels")
    padding: Padding = attribute(PADDING, "valid", doc="pixels added around the image")
    dilation: Pair = attribute(PAIR, (1, 1), doc="distance between window taps, pixels")
    multiplier: int = attribute(COUNT, 1, doc="output channels per input channel")
    bias: bool = attribute(BOOLEAN, True, doc="add a learned vector")
    kernel_initializer: str = attribute(INITIALIZER, "glorot_uniform", doc="how the kernel starts")

    def infer(self, inputs: Types) -> TensorType:
        image = need_image("depthwise_conv", inputs)
        size = output_size(image.shape, self.kernel, self.stride, self.dilation, self.padding)
        return TensorType((*size, image.channels * self.multiplier))

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        channels = inputs[0].channels
        shape = (*self.kernel, channels, self.multiplier)
        kernel = Weight("depthwise_kernel", shape, self.kernel_initializer)
        if not self.bias:
            return (kernel,)
        return (kernel, Weight("bias", (channels * self.multiplier,), "zeros"))

    def macs(self, inputs: Types, output: TensorType) -> int:
        return output.elements * self.kernel[0] * self.kernel[1]

    def window(self, inputs: Types) -> Window:
        height, width = (extent(k, d) for k, d in zip(self.kernel, self.dilation, strict=True))
        return Window((height, width), self.stride)

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        windows = patches(inputs[0], self.kernel, self.stride, self.dilation, self.padding)
        y: Array = np.einsum(
            "nhwklc,klcm->nhwcm", windows, weights["depthwise_kernel"], optimize=True
        )
        y = y.reshape(*y.shape[:3], -1)
        return y + weights["bias"] if self.bias else y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        three = {"kernel": 3}
        for size in ((7, 7, 3), (8, 8, 3), (9, 6, 3)):
            for stride in (1, 2, 3):
                for padding in ("same", "valid", [[1, 0], [2, 1]]):
                    yield Case((size,), {**three, "stride": stride, "padding": padding})
        for kernel in (1, 2, [1, 7], [5, 2]):
            for padding in ("same", [[3, 3], [3, 3]]):
                window = {"kernel": kernel, "padding": padding}
                yield Case(((8, 9, 2),), window)
                yield Case(((8, 9, 2),), {**window, "stride": [2, 1]})
        for stride, dilation in ((1, 2), (1, [2, 3]), (2, 2)):
            for padding in ("same", "valid"):
                window = {"stride": stride, "dilation": dilation, "padding": padding}
                yield Case(((11, 10, 2),), {**three, **window})
        for multiplier in (2, 3):
            for bias in (True, False):
                yield Case(((7, 8, 3),), {**three, "multiplier": multiplier, "bias": bias})
        yield Case(((7, 8, 1),), {**three, "stride": 2, "padding": "same", "multiplier": 4})
