"""Layers whose PyTorch counterpart means something else than the spec.

This file is a library of text: `layers.py` of a generated program holds the definitions that its
model uses, as they stand here, with the ones those need. The compiler never imports it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, at least `min_value`, never 10 % below it."""
    result = max(
        divisor if min_value is None else min_value, int(value + divisor / 2) // divisor * divisor
    )
    return result + divisor if result < 0.9 * value else result


@torch.fx.wrap
def same_padding(
    x: torch.Tensor,
    kernel_size: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...] = (1, 1),
) -> list[int]:
    """Amounts for `F.pad` that make TensorFlow's SAME: the odd pixel goes right and below."""
    amounts = []
    for axis in (1, 0):
        k, s, d, size = kernel_size[axis], stride[axis], dilation[axis], x.shape[2 + axis]
        total = torch.sym_max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        amounts += [total // 2, total - total // 2]
    return amounts


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one number for both, or of a pair."""
    return value if isinstance(value, tuple) else (value, value)


def hard_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """`F.hardsigmoid`, whose own gradient keeps 1/6 in float32."""
    return F.relu6(x + 3) / 6


class Conv2dSame(nn.Conv2d):
    """`nn.Conv2d` with SAME padding at any stride, from the size of the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.pad(x, same_padding(x, self.kernel_size, self.stride, self.dilation))
        return super().forward(x)


class DepthwiseConv2d(nn.Conv2d):
    """A filter of its own, or `multiplier` of them, for every channel; SAME at any stride."""

    def __init__(
        self,
        in_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        multiplier: int = 1,
        bias: bool = True,
    ) -> None:
        self.pads_at_run_time = padding == "same" and pair(stride) != (1, 1)
        super().__init__(
            in_channels,
            in_channels * multiplier,
            kernel_size,
            stride=stride,
            padding=0 if self.pads_at_run_time else padding,
            dilation=dilation,
            groups=in_channels,
            bias=bias,
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pads_at_run_time:
            x = F.pad(x, same_padding(x, self.kernel_size, self.stride, self.dilation))
        return super().forward(x)


class SeparableConv2d(nn.Module):
    """A depthwise convolution, then a 1x1 convolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        multiplier: int = 1,
        activation: Callable[[torch.Tensor], torch.Tensor] | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.depthwise = DepthwiseConv2d(
            in_channels, kernel_size, stride, padding, dilation, multiplier, bias=False
        )
        self.activation = activation
        self.pointwise = nn.Conv2d(in_channels * multiplier, out_channels, 1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.depthwise(x)
        if self.activation is not None:
            x = self.activation(x)
        return self.pointwise(x)


@torch.fx.wrap
def batch_norm(
    x: torch.Tensor,
    running_mean: torch.Tensor,
    running_var: torch.Tensor,
    weight: torch.Tensor | None,
    bias: torch.Tensor | None,
    momentum: float,
    eps: float,
) -> torch.Tensor:
    """Batch norm by the statistics of the batch, which move the running ones.

    PyTorch moves the variance by n/(n-1) times the batch's, n values per channel. On a variance
    that is scaled alike, and scaled back, this is a move by the batch's own.
    """
    n = x.numel() // x.shape[1]
    if n == 1:  # PyTorch refuses it; two equal values have the same mean and variance
        twice = torch.cat((x, x))
        return batch_norm(twice, running_mean, running_var, weight, bias, momentum, eps)[:1]
    scale = n / (n - 1)
    var = running_var * scale
    y = F.batch_norm(x, running_mean, var, weight, bias, True, momentum, eps)
    torch.div(var, scale, out=running_var)
    return y


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose running variance is the biased one, as in TensorFlow and JAX."""

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float,
        scale: bool = True,
        center: bool = True,
    ) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)
        if not scale:
            self.weight = None
        if not center:
            self.bias = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = (self.running_mean, self.running_var, self.weight, self.bias)
        if self.training:
            return batch_norm(x, *state, self.momentum, self.eps)
        return F.batch_norm(x, *state, eps=self.eps)


class BatchNorm1d(nn.BatchNorm1d):
    """Batch norm of feature vectors whose running variance is the biased one."""

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float,
        scale: bool = True,
        center: bool = True,
    ) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum)
        if not scale:
            self.weight = None
        if not center:
            self.bias = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = (self.running_mean, self.running_var, self.weight, self.bias)
        if self.training:
            return batch_norm(x, *state, self.momentum, self.eps)
        return F.batch_norm(x, *state, eps=self.eps)


@torch.fx.wrap
def max_pool2d_same(
    x: torch.Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
) -> torch.Tensor:
    """Max pooling with SAME padding, which never wins.

    PyTorch pads both sides alike; `ceil_mode` lets the last window reach over the odd pixel, except
    at stride 1, where no window is left to be rounded up. What is compiled or exported for images
    of any size must not depend on an odd pixel.
    """
    kernel_size, stride = pair(kernel_size), pair(stride or kernel_size)
    left, right, top, bottom = same_padding(x, kernel_size, stride)
    by_hand = (stride[0] == 1 and top < bottom) or (stride[1] == 1 and left < right)
    if by_hand or torch.compiler.is_compiling():
        x = F.pad(x, (left, right, top, bottom), value=float("-inf"))
        return F.max_pool2d(x, kernel_size, stride)
    return F.max_pool2d(x, kernel_size, stride, padding=(top, left), ceil_mode=True)


def avg_pool2d_padded(
    x: torch.Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> torch.Tensor:
    """Average of the real pixels in each window; `padding` is left, right, top, bottom."""
    counts = F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), padding), kernel_size, stride)
    return F.avg_pool2d(F.pad(x, padding), kernel_size, stride) / counts


def avg_pool2d_same(
    x: torch.Tensor,
    kernel_size: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    count_include_pad: bool = False,
) -> torch.Tensor:
    """Average pooling with SAME padding, which counts only if asked to."""
    kernel_size, stride = pair(kernel_size), pair(stride or kernel_size)
    left, right, top, bottom = same_padding(x, kernel_size, stride)
    if count_include_pad:
        return F.avg_pool2d(F.pad(x, (left, right, top, bottom)), kernel_size, stride)
    return avg_pool2d_padded(x, kernel_size, stride, (left, right, top, bottom))
