"""2-D depthwise separable convolution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Case, Composite, Op, Step, attribute
from xgraph.ops.conv import Conv
from xgraph.ops.depthwise_conv import DepthwiseConv
from xgraph.ops.elu import Elu
from xgraph.ops.hard_sigmoid import HardSigmoid
from xgraph.ops.hard_swish import HardSwish
from xgraph.ops.kinds import BOOLEAN, COUNT, INITIALIZER, PADDING, PAIR, Choice, Padding, Pair
from xgraph.ops.relu import Relu
from xgraph.ops.relu6 import Relu6
from xgraph.ops.sigmoid import Sigmoid
from xgraph.ops.silu import Silu
from xgraph.ops.tanh import Tanh

#: Activations that need no attributes, and ELU with alpha 1.
_ACTIVATIONS: dict[str, type[Op]] = {
    op.name: op for op in (Relu, Relu6, Elu, Silu, Sigmoid, Tanh, HardSigmoid, HardSwish)
}


@dataclass(frozen=True)
class SeparableConv(Composite):
    """A depthwise convolution, then a 1×1 convolution, as Keras' `SeparableConv2D`.

    (H, W, C) → (H', W', filters). Stride, padding and dilation are the depthwise convolution's, the
    bias is the 1×1 convolution's. Nothing stands between the two unless `depthwise_activation`
    says so (Chollet 2017, section 4.7, compares none, ReLU and ELU).
    """

    name: ClassVar[str] = "separable_conv"

    filters: int = attribute(COUNT, doc="output channels")
    kernel: Pair = attribute(PAIR, doc="window height and width, pixels")
    stride: Pair = attribute(PAIR, (1, 1), doc="step of the window, pixels")
    padding: Padding = attribute(PADDING, "valid", doc="pixels added around the image")
    dilation: Pair = attribute(PAIR, (1, 1), doc="distance between window taps, pixels")
    multiplier: int = attribute(COUNT, 1, doc="depthwise output channels per input channel")
    depthwise_activation: str | None = attribute(
        Choice(tuple(_ACTIVATIONS), optional=True),
        None,
        doc="activation between the depthwise and the 1×1 convolution",
    )
    bias: bool = attribute(BOOLEAN, True, doc="add a learned vector")
    kernel_initializer: str = attribute(INITIALIZER, "glorot_uniform", doc="how both kernels start")

    def decompose(self) -> tuple[Step, ...]:
        depthwise = DepthwiseConv(
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            multiplier=self.multiplier,
            bias=False,
            kernel_initializer=self.kernel_initializer,
        )
        pointwise = Conv(
            filters=self.filters,
            kernel=(1, 1),
            bias=self.bias,
            kernel_initializer=self.kernel_initializer,
        )
        between = (
            (Step("activation", _ACTIVATIONS[self.depthwise_activation]()),)
            if self.depthwise_activation
            else ()
        )
        return (
            Step("depthwise", depthwise),
            *between,
            Step("pointwise", pointwise, {"kernel": "pointwise_kernel"}),
        )

    @classmethod
    def cases(cls) -> Iterator[Case]:
        base = {"filters": 4, "kernel": 3}
        for size in ((7, 7, 3), (8, 8, 3), (9, 6, 3)):
            for stride in (1, 2, 3):
                for padding in ("same", "valid", [[1, 0], [2, 1]]):
                    yield Case((size,), {**base, "stride": stride, "padding": padding})
        for kernel in (1, 2, [1, 7], [5, 2]):
            for given in (1, [2, 1]):
                attributes = {"filters": 3, "kernel": kernel, "stride": given}
                yield Case(((8, 9, 2),), {**attributes, "padding": "same"})
        for given, dilation in ((1, 2), (1, [2, 3]), (2, 2)):
            for padding in ("same", "valid"):
                attributes = {**base, "stride": given, "dilation": dilation}
                yield Case(((11, 10, 2),), {**attributes, "padding": padding})
        for multiplier in (2, 3):
            for bias in (True, False):
                yield Case(((7, 8, 3),), {**base, "multiplier": multiplier, "bias": bias})
        for activation in _ACTIVATIONS:
            yield Case(((7, 6, 3),), {**base, "depthwise_activation": activation})
