"""2-D convolution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType, Weight
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, Window, attribute
from xgraph.ops.kinds import BOOLEAN, COUNT, INITIALIZER, PADDING, PAIR, Padding, Pair
from xgraph.ops.windows import extent, need_image, output_size, patches


@dataclass(frozen=True)
class Conv(Op):
    """Cross-correlation of an image with a bank of filters, as Keras' `Conv2D`.

    (H, W, C) → (H', W', filters). With `groups` g, each g-th of the filters sees the g-th of the
    input channels at the same place.
    """

    name: ClassVar[str] = "conv"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    filters: int = attribute(COUNT, doc="output channels")
    kernel: Pair = attribute(PAIR, doc="window height and width, pixels")
    stride: Pair = attribute(PAIR, (1, 1), doc="step of the window, pixels")
    padding: Padding = attribute(PADDING, "valid", doc="pixels added around the image")
    dilation: Pair = attribute(PAIR, (1, 1), doc="distance between window taps, pixels")
    groups: int = attribute(COUNT, 1, doc="channel segments convolved independently")
    bias: bool = attribute(BOOLEAN, True, doc="add a learned vector")
    kernel_initializer: str = attribute(INITIALIZER, "glorot_uniform", doc="how the kernel starts")

    def infer(self, inputs: Types) -> TensorType:
        image = need_image("conv", inputs)
        for what, count in (("input channels", image.channels), ("filters", self.filters)):
            if count % self.groups:
                raise ShapeProblem(
                    f"groups must divide the {what}",
                    expected=f"{what} that are a multiple of groups={self.groups}",
                    received=f"{count} {what}",
                )
        size = output_size(image.shape, self.kernel, self.stride, self.dilation, self.padding)
        return TensorType((*size, self.filters))

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        shape = (*self.kernel, inputs[0].channels // self.groups, self.filters)
        kernel = Weight("kernel", shape, self.kernel_initializer)
        return (kernel, Weight("bias", (self.filters,), "zeros")) if self.bias else (kernel,)

    def macs(self, inputs: Types, output: TensorType) -> int:
        return (
            output.elements * self.kernel[0] * self.kernel[1] * (inputs[0].channels // self.groups)
        )

    def window(self, inputs: Types) -> Window:
        height, width = (extent(k, d) for k, d in zip(self.kernel, self.dilation, strict=True))
        return Window((height, width), self.stride)

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        kernel = weights["kernel"]
        windows = patches(inputs[0], self.kernel, self.stride, self.dilation, self.padding)
        per_group = [
            np.einsum("nhwklc,klcf->nhwf", x, k, optimize=True)
            for x, k in zip(
                np.split(windows, self.groups, axis=-1),
                np.split(kernel, self.groups, axis=-1),
                strict=True,
            )
        ]
        y = np.concatenate(per_group, axis=-1)
        return y + weights["bias"] if self.bias else y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        three = {"filters": 3, "kernel": 3}
        for size in ((7, 7, 3), (8, 8, 3), (9, 6, 3)):
            for stride in (1, 2, 3):
                for padding in ("same", "valid", [[1, 0], [2, 1]]):
                    attributes = {"filters": 4, "kernel": 3, "stride": stride}
                    yield Case((size,), {**attributes, "padding": padding})
        for kernel in (1, 2, [1, 7], [5, 2]):
            for padding in ("same", [[3, 3], [3, 3]]):
                window = {"filters": 3, "kernel": kernel, "padding": padding}
                yield Case(((8, 9, 2),), window)
                yield Case(((8, 9, 2),), {**window, "stride": [2, 1]})
        for stride, dilation in ((1, 2), (1, [2, 3]), (2, 2)):
            for padding in ("same", "valid"):
                window = {"stride": stride, "dilation": dilation, "padding": padding}
                yield Case(((11, 10, 2),), {**three, **window})
        for groups in (2, 3, 6):
            grouped = {"filters": 12, "kernel": 3, "groups": groups, "padding": "same"}
            yield Case(((7, 8, 6),), grouped)
        for padding, stride in (("valid", 1), ("same", 1), ("same", 2)):
            segments = {"filters": 4, "kernel": 3, "groups": 2, "dilation": [2, 3]}
            yield Case(((11, 10, 4),), {**segments, "padding": padding, "stride": stride})
        yield Case(((7, 8, 4),), {**three, "bias": False})
