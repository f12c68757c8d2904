"""Layers whose PyTorch counterpart means something else than the spec.

This file is a library of text: `layers.py` of a generated program holds the definitions that its
model uses, as they stand here, with the ones those need. The compiler never imports it.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """A round number of channels near `value`, never 10 % below it.

    It is a multiple of `divisor`, and at least `min_value`.
    """
    result = max(
        divisor if min_value is None else min_value, int(value + divisor / 2) // divisor * divisor
    )
    return result + divisor if result < 0.9 * value else result


@torch.fx.wrap
def same_padding(x: torch.Tensor, window: Sequence[int], stride: Sequence[int]) -> list[int]:
    """Amounts for `F.pad` that make TensorFlow's SAME: the odd pixel goes right and below."""
    amounts = []
    for size, w, s in zip(x.shape[:1:-1], reversed(window), reversed(stride), strict=True):
        # No negative number is divided: ONNX rounds those towards 0.
        total = torch.sym_max((size - 1) // s * s + w - size, 0)
        amounts += [total // 2, total - total // 2]
    return amounts


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one number for both, or of a pair."""
    return value if isinstance(value, tuple) else (value, value)


def hard_sigmoid(x: torch.Tensor, slope: float | None = None, offset: float = 0.5) -> torch.Tensor:
    """`F.hardsigmoid`, whose own gradient keeps 1/6 in float32.

    With a `slope` it is slope · x + offset, cut off at 0 and 1.
    """
    if slope is None:
        return F.relu6(x + 3) / 6
    return F.relu6(6 * (slope * x + offset)) / 6


@torch.fx.wrap
def per_channel(values: Sequence[float], x: torch.Tensor) -> torch.Tensor:
    """One number for every channel of x, (N, C, H, W) or (N, C)."""
    return x.new_tensor(values).view(-1, *[1] * (x.ndim - 2))


class Scale(nn.Module):
    """A learned factor for every channel."""

    def __init__(self, channels: int, initial: float = 1.0) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(channels))
        self.initial = initial
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.gamma, self.initial)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x.movedim(1, -1) * self.gamma.to(x.dtype)).movedim(-1, 1)


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` over the channels of each pixel, (N, C, H, W) or (N, C)."""

    def __init__(self, channels: int, eps: float, scale: bool = True, center: bool = True) -> None:
        super().__init__(channels, eps=eps)
        if not scale:
            self.weight = None
        if not center:
            self.bias = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` whose scale or center may not be learned."""

    def __init__(
        self, groups: int, channels: int, eps: float, scale: bool = True, center: bool = True
    ) -> None:
        super().__init__(groups, channels, eps=eps)
        if not scale:
            self.weight = None
        if not center:
            self.bias = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.weight is None and self.bias is not None:  # which PyTorch cannot differentiate
            ones = torch.ones_like(self.bias)
            return F.group_norm(x, self.num_groups, ones, self.bias, self.eps)
        return super().forward(x)


class RMSNorm(nn.RMSNorm):
    """`nn.RMSNorm` over the channels of each pixel, (N, C, H, W) or (N, C)."""

    def __init__(self, channels: int, eps: float, scale: bool = True) -> None:
        super().__init__(channels, eps=eps, elementwise_affine=scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ChannelSlice(nn.Module):
    """A segment of channels."""

    def __init__(self, channels: int, start: int = 0) -> None:
        super().__init__()
        self.channels, self.start = channels, start

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, self.start : self.start + self.channels]


class ChannelShuffle(nn.Module):
    """The first channel of each group, then the second of each, and so on."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention over the positions of an image (N, C, H, W)."""

    def __init__(
        self, channels: int, heads: int, head_size: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        if head_size is None and channels % heads:
            raise ValueError(f"{heads} heads do not divide {channels} channels")
        size = channels // heads if head_size is None else head_size
        self.heads = heads
        self.query = nn.Linear(channels, heads * size, bias=bias)
        self.key = nn.Linear(channels, heads * size, bias=bias)
        self.value = nn.Linear(channels, heads * size, bias=bias)
        self.output = nn.Linear(heads * size, channels, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positions = x.flatten(2).transpose(1, 2)  # (N, H * W, C)
        query, key, value = (
            project(positions).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(query, key, value)  # (N, heads, H * W, size)
        y = self.output(y.transpose(1, 2).flatten(2))
        return y.transpose(1, 2).reshape_as(x)


@torch.fx.wrap
def add_embedding(x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """Images plus an embedding of their size; a sum alone would take a side of 1 for any."""
    if x.shape[1:] != embedding.shape:
        shapes = f"{tuple(x.shape[1:])}, not the embedding's {tuple(embedding.shape)}"
        raise RuntimeError(f"(C, H, W) {shapes}")
    return x + embedding.to(x.dtype)


class PositionEmbedding(nn.Module):
    """A learned number for every position and channel of images of one size."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(channels, height, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return add_embedding(x, self.embedding)


def space_to_depth(x: torch.Tensor, block: int) -> torch.Tensor:
    """Blocks of pixels as one pixel each; unlike `F.pixel_unshuffle`, the channel runs fastest."""
    x = F.pixel_unshuffle(x, block)
    return x.unflatten(1, (-1, block * block)).transpose(1, 2).flatten(1, 2)


def depth_to_space(x: torch.Tensor, block: int) -> torch.Tensor:
    """Pixels as blocks of them; unlike for `F.pixel_shuffle`, the channel runs fastest."""
    x = x.unflatten(1, (block * block, -1)).transpose(1, 2).flatten(1, 2)
    return F.pixel_shuffle(x, block)


@torch.fx.wrap
def resize_nearest(x: torch.Tensor, size: int | tuple[int, int]) -> torch.Tensor:
    """Pixels in which the centres of those of another size lie.

    `F.interpolate` rounds where a centre lies on the border of two.
    """
    for axis, m in zip((2, 3), pair(size), strict=True):
        centres = (2 * torch.arange(m, device=x.device) + 1) * x.shape[axis]
        x = x.index_select(axis, centres // (2 * m))
    return x


class Conv2dSame(nn.Conv2d):
    """`nn.Conv2d` with SAME padding at any stride, from the size of the input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        window = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
        return super().forward(F.pad(x, same_padding(x, window, self.stride)))


class ConvTranspose2d(nn.ConvTranspose2d):
    """`nn.ConvTranspose2d` that takes from each side of what comes out what the padding says.

    With SAME padding n pixels become n · stride.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | tuple[tuple[int, int], tuple[int, int]] = "valid",
        output_padding: int | tuple[int, int] | None = None,
        bias: bool = True,
    ) -> None:
        window, step = pair(kernel_size), pair(stride)
        more = tuple(max(s - k, 0) for k, s in zip(window, step, strict=True))
        if padding == "same":
            totals = [max(k - s, 0) for k, s in zip(window, step, strict=True)]
            sides = tuple((total // 2, total - total // 2) for total in totals)
        elif padding == "valid":
            sides = ((0, 0), (0, 0))
        else:
            sides, more = padding, (0, 0)
        if output_padding is not None:
            more = pair(output_padding)
        super().__init__(
            in_channels, out_channels, window, stride=step, output_padding=more, bias=bias
        )
        self.cropping = sides

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = super().forward(x)
        (top, bottom), (left, right) = self.cropping
        return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]


class DepthwiseConv2d(nn.Conv2d):
    """A filter of its own for every channel. There may be `multiplier` of them."""

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
        self.pads_at_run_time = stride not in (1, (1, 1)) and padding == "same"
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
            window = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)]
            x = F.pad(x, same_padding(x, window, self.stride))
        return super().forward(x)


class SeparableConv2d(nn.Module):
    """A convolution of every channel by itself, then a 1×1 convolution."""

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
        if stride not in (1, (1, 1)) and padding == "same":
            self.depthwise = Conv2dSame(
                in_channels,
                in_channels * multiplier,
                kernel_size,
                stride=stride,
                dilation=dilation,
                groups=in_channels,
                bias=False,
            )
        else:
            self.depthwise = nn.Conv2d(
                in_channels,
                in_channels * multiplier,
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=dilation,
                groups=in_channels,
                bias=False,
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
    x: torch.Tensor, state: Sequence[torch.Tensor | None], momentum: float, eps: float
) -> torch.Tensor:
    """Batch norm by the statistics of the batch, which move the running ones.

    PyTorch moves the variance by n/(n-1) times the batch's, n values per channel. On a variance
    that is scaled alike, and scaled back, this is a move by the batch's own.
    """
    running_mean, running_var, weight, bias = state
    n = x.numel() // x.shape[1]
    if n == 1:  # PyTorch refuses it; two equal values have the same mean and variance
        return batch_norm(torch.cat((x, x)), state, momentum, eps)[:1]
    var = running_var * (n / (n - 1))
    y = F.batch_norm(x, running_mean, var, weight, bias, True, momentum, eps)
    torch.div(var, n / (n - 1), out=running_var)
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
        self.scale = scale
        if not scale:  # ones instead: on CUDA, PyTorch has no gradient of a bias without a weight
            self.weight = None
            self.register_buffer("ones", torch.ones(num_features), persistent=False)
        if not center:
            self.bias = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = (
            self.running_mean,
            self.running_var,
            self.weight if self.scale else self.ones,
            self.bias,
        )
        if self.training:
            return batch_norm(x, state, self.momentum, self.eps)
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
        self.scale = scale
        if not scale:  # ones instead: on CUDA, PyTorch has no gradient of a bias without a weight
            self.weight = None
            self.register_buffer("ones", torch.ones(num_features), persistent=False)
        if not center:
            self.bias = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = (
            self.running_mean,
            self.running_var,
            self.weight if self.scale else self.ones,
            self.bias,
        )
        if self.training:
            return batch_norm(x, state, self.momentum, self.eps)
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
    window, step = pair(kernel_size), pair(stride or kernel_size)
    left, right, top, bottom = same_padding(x, window, step)
    by_hand = (step[0] == 1 and top < bottom) or (step[1] == 1 and left < right)
    if by_hand or torch.compiler.is_compiling():
        return F.max_pool2d(F.pad(x, (left, right, top, bottom), value=-math.inf), window, step)
    return F.max_pool2d(x, window, step, padding=(top, left), ceil_mode=True)


@torch.fx.wrap
def ceil_padding(
    x: torch.Tensor,
    kernel_size: int | tuple[int, int],
    padding: Sequence[int],
    stride: int | tuple[int, int] | None = None,
) -> list[int]:
    """What the last windows of `ceil_mode` reach over, beyond this padding, for `F.pad`.

    No window begins behind the image; one of PyTorch's own would where the image is padded before.
    """
    window, step = pair(kernel_size), pair(stride or kernel_size)
    amounts = []
    sides = (padding[:2], padding[2:])
    for size, w, s, (low, high) in zip(
        x.shape[:1:-1], window[::-1], step[::-1], sides, strict=True
    ):
        last = torch.sym_min((size + low + high - w + s - 1) // s, (size + low - 1) // s) * s
        amounts += [0, torch.sym_max(last + w - size - low - high, 0)]
    return amounts


def max_pool2d_ceil(
    x: torch.Tensor,
    kernel_size: int | tuple[int, int],
    padding: Sequence[int],
    stride: int | tuple[int, int] | None = None,
) -> torch.Tensor:
    """Max pooling in `ceil_mode`; `padding` is left, right, top, bottom, and never wins."""
    over = ceil_padding(x, kernel_size, padding, stride=stride)
    x = F.pad(F.pad(x, padding, value=-math.inf), over, value=-math.inf)
    return F.max_pool2d(x, kernel_size, stride)


def avg_pool2d_ceil(
    x: torch.Tensor,
    kernel_size: int | tuple[int, int],
    padding: Sequence[int],
    stride: int | tuple[int, int] | None = None,
    count_include_pad: bool = False,
) -> torch.Tensor:
    """Average pooling in `ceil_mode`; `padding` is left, right, top, bottom.

    It counts if `count_include_pad` says so; what windows reach over never does.
    """
    over = ceil_padding(x, kernel_size, padding, stride=stride)
    counts = F.pad(torch.ones_like(x[:1, :1]), padding, value=1.0 if count_include_pad else 0.0)
    counts = F.avg_pool2d(F.pad(counts, over), kernel_size, stride)
    return F.avg_pool2d(F.pad(F.pad(x, padding), over), kernel_size, stride) / counts


def avg_pool2d_padded(
    x: torch.Tensor,
    kernel_size: int | tuple[int, int],
    padding: Sequence[int],
    stride: int | tuple[int, int] | None = None,
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
    """Average pooling with SAME padding. It counts if `count_include_pad` says so."""
    window, step = pair(kernel_size), pair(stride or kernel_size)
    amounts = same_padding(x, window, step)
    if count_include_pad:
        return F.avg_pool2d(F.pad(x, amounts), window, step)
    return avg_pool2d_padded(x, window, amounts, stride=step)


def mix_bits(x: torch.Tensor) -> torch.Tensor:
    """Scramble 32-bit numbers, in place: github.com/skeeto/hash-prospector, issue 19.

    They are held in 64 bits; no product needs more than 63.
    """
    x ^= x >> 16
    x *= 0x21F0AAAD
    x &= 0xFFFFFFFF
    x ^= x >> 15
    x *= 0x735A2D97
    x &= 0xFFFFFFFF
    x ^= x >> 15
    return x


@torch.fx.wrap
def drop_entries(
    x: torch.Tensor, p: float, key: torch.Tensor, passes: torch.Tensor, per: str = "entry"
) -> torch.Tensor:
    """Zero with probability p, else x / (1 - p), by a mask that any framework draws.

    It follows from the layer's key, the passes so far and an entry's place in (N, H, W, C). There
    is one draw `per` entry, channel or example.
    """
    shape = x.movedim(1, -1).shape
    if per != "entry":
        shape = (shape[0], *[1] * (x.ndim - 2), shape[-1] if per == "channel" else 1)
    places = torch.arange(math.prod(shape), device=x.device)
    bits = mix_bits(mix_bits(places) ^ mix_bits(key ^ passes))
    passes += 1
    dropped = (bits < int(p * 2**32)).view(shape).movedim(-1, 1)
    return torch.where(dropped, 0, x / (1 - p))


class Dropout(nn.Dropout):
    """Dropout by a mask that is the same in any framework; `initialize` gives the key.

    There is one draw `per` entry, channel or example.
    """

    def __init__(self, p: float, per: str = "entry") -> None:
        super().__init__(p)
        self.per = per
        self.register_buffer("key", torch.tensor(0))
        self.register_buffer("passes", torch.tensor(0))

    def begin(self, key: int) -> None:
        """Begin a run with this key."""
        self.key.fill_(key)
        self.passes.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        return drop_entries(x, self.p, self.key, self.passes, per=self.per)
