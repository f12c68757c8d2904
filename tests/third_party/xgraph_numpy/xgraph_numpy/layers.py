"""Layers in NumPy; images are (N, H, W, C).

This file is a library of text: `layers.py` of a generated program holds the definitions that its
model uses, as they stand here. The compiler never imports it.
"""

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file


class Module:
    """A layer, or a part of a network; weights and other modules are its attributes."""

    training = False

    def train(self, mode: bool = True) -> None:
        """Choose training mode, or evaluation, for this module and all inside it."""
        for _, found in walk(self):
            if isinstance(found, Module):
                found.training = mode

    def weights(self) -> dict[str, np.ndarray]:
        """All weights by canonical name; writing into an array sets the weight."""
        return {path: found for path, found in walk(self) if isinstance(found, np.ndarray)}


def walk(value: object) -> Iterator[tuple[str, object]]:
    """Every module and array in a value, itself included, each with its path.

    `weight_names` of a class are its own words for paths inside it.
    """
    inside: dict = {}
    if isinstance(value, Module):
        inside = vars(value)
    elif isinstance(value, list):
        inside = {str(position): part for position, part in enumerate(value)}
    if isinstance(value, Module | np.ndarray):
        yield "", value
    words = getattr(value, "weight_names", {})
    for name, part in inside.items():
        for below, found in walk(part):
            path = f"{name.rstrip('_')}.{below}".rstrip(".")
            yield words.get(path, path), found


def load_weights(model: Module, path: str | Path) -> None:
    """Read all weights from a safetensors file, as other xgraph programs write it.

    Raises:
        ValueError: the file does not hold exactly this model's weights; the model is unchanged.
    """
    loaded, own = load_file(path), model.weights()
    if {n: a.shape for n, a in loaded.items()} != {n: a.shape for n, a in own.items()}:
        differing = sorted(loaded.keys() ^ own.keys()) or "shapes"
        raise ValueError(f"{path} does not fit the model: {differing}")
    for name, array in own.items():
        array[...] = loaded[name]


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, at least `min_value`, never 10 % below it."""
    least = divisor if min_value is None else min_value
    result = max(least, int(value + divisor / 2) // divisor * divisor)
    return result + divisor if result < 0.9 * value else result


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one number for both, or of a pair."""
    return value if isinstance(value, tuple) else (value, value)


def windows(x, kernel, stride, padding, dilation=1, fill=0.0) -> np.ndarray:
    """Every window of an image: (N, H, W, C) -> (N, H', W', C, kernel height, kernel width).

    `same` is TensorFlow's: ⌈size / stride⌉ windows, the odd pixel of padding right and below.
    """
    kernel, stride, dilation = pair(kernel), pair(stride), pair(dilation)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if padding == "valid":
        padding = ((0, 0), (0, 0))
    elif padding == "same":
        steps = zip(x.shape[1:3], stride, reach, strict=True)
        totals = [max((-(-size // s) - 1) * s + r - size, 0) for size, s, r in steps]
        padding = [(total // 2, total - total // 2) for total in totals]
    x = zero_pad(x, padding, fill)
    (down, right), (between, beside) = stride, dilation
    x = sliding_window_view(x, reach, axis=(1, 2))
    return x[:, ::down, ::right, :, ::between, ::beside]


class Conv(Module):
    """Cross-correlation; kernel (height, width, in / groups, out)."""

    def __init__(
        self, in_channels, filters, kernel, stride=1, padding="valid", dilation=1, groups=1,
        bias=True,
    ) -> None:  # fmt: skip
        self.kernel = np.zeros((*pair(kernel), in_channels // groups, filters))
        self.bias = np.zeros(filters) if bias else None
        self.window = (pair(kernel), stride, padding, dilation)
        self.groups = groups

    def __call__(self, x: np.ndarray) -> np.ndarray:
        images = np.split(windows(x, *self.window), self.groups, axis=3)
        kernels = np.split(self.kernel, self.groups, axis=3)
        parts = zip(images, kernels, strict=True)
        y = np.concatenate([np.tensordot(a, b, ((3, 4, 5), (2, 0, 1))) for a, b in parts], axis=-1)
        return y if self.bias is None else y + self.bias


class DepthwiseConv(Module):
    """`multiplier` filters for every channel; channel c * multiplier + m is filter m of c."""

    def __init__(
        self, in_channels, kernel, stride=1, padding="valid", dilation=1, multiplier=1, bias=True
    ) -> None:
        self.depthwise_kernel = np.zeros((*pair(kernel), in_channels, multiplier))
        self.bias = np.zeros(in_channels * multiplier) if bias else None
        self.window = (pair(kernel), stride, padding, dilation)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = np.einsum("nhwcij,ijcm->nhwcm", windows(x, *self.window), self.depthwise_kernel)
        y = y.reshape(*y.shape[:3], -1)
        return y if self.bias is None else y + self.bias


class Dense(Module):
    """x @ kernel + bias."""

    def __init__(self, in_channels, units, bias=True) -> None:
        self.kernel = np.zeros((in_channels, units))
        self.bias = np.zeros(units) if bias else None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        y = x @ self.kernel
        return y if self.bias is None else y + self.bias


class BatchNorm(Module):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta; `momentum` weighs the past."""

    def __init__(self, channels, momentum=0.99, epsilon=1e-3, scale=True, center=True) -> None:
        self.gamma = np.ones(channels) if scale else None
        self.beta = np.zeros(channels) if center else None
        self.moving_mean, self.moving_variance = np.zeros(channels), np.ones(channels)
        self.momentum, self.epsilon = momentum, epsilon

    def __call__(self, x: np.ndarray) -> np.ndarray:
        mean, variance = self.moving_mean, self.moving_variance
        if self.training:
            axes = tuple(range(x.ndim - 1))
            mean, variance = x.mean(axes), x.var(axes)
            self.moving_mean += (1 - self.momentum) * (mean - self.moving_mean)
            self.moving_variance += (1 - self.momentum) * (variance - self.moving_variance)
        y = (x - mean) / np.sqrt(variance + self.epsilon)
        y = y if self.gamma is None else y * self.gamma
        return y if self.beta is None else y + self.beta


def mix_bits(x: np.ndarray) -> np.ndarray:
    """Scramble unsigned numbers of 32 bits: github.com/skeeto/hash-prospector, issue 19."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x21F0AAAD)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x735A2D97)
    return x ^ (x >> np.uint32(15))


class Dropout(Module):
    """In training, zero with probability `rate`, else x / (1 - rate), by the mask of all programs.

    It follows from the key, which `begin` gives, the passes so far and the place of an entry.
    """

    def __init__(self, rate) -> None:
        self.rate = rate
        self.key = self.passes = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if not self.training:
            return x
        word = mix_bits(np.array([self.key ^ self.passes], np.uint32))
        bits = mix_bits(mix_bits(np.arange(x.size, dtype=np.uint32)) ^ word).reshape(x.shape)
        self.passes += 1
        return np.where(bits < int(self.rate * 2**32), 0, x / (1 - self.rate))


def begin(model: Module, seed: int = 0) -> None:
    """Have the layers of dropout begin a run with this seed."""
    for path, module in walk(model):
        if isinstance(module, Dropout):
            digest = hashlib.sha256(f"{seed} {path}".encode()).digest()
            module.key, module.passes = int.from_bytes(digest[:4], "little"), 0


def max_pool(x, kernel, stride=None, padding="valid", ceil_mode=False) -> np.ndarray:
    """The greatest pixel of each window; padding never wins."""
    stride = stride or kernel
    if ceil_mode and padding != "same":
        x = reached(zero_pad(x, sides(padding), -np.inf), kernel, stride, padding, fill=-np.inf)
        padding = "valid"
    return windows(x, kernel, stride, padding, fill=-np.inf).max(axis=(4, 5))


def avg_pool(
    x, kernel, stride=None, padding="valid", count_include_pad=False, ceil_mode=False
) -> np.ndarray:
    """The mean of each window's pixels, its padding left out unless asked for."""
    stride, counted = stride or kernel, np.ones_like(x[:1, :, :, :1])
    if ceil_mode and padding != "same":
        counted = zero_pad(counted, sides(padding), float(count_include_pad))
        counted = reached(counted, kernel, stride, padding)
        x = reached(zero_pad(x, sides(padding)), kernel, stride, padding)
        padding = "valid"
    counted = windows(counted, kernel, stride, padding, fill=float(count_include_pad))
    return windows(x, kernel, stride, padding).sum((4, 5)) / counted.sum((4, 5))


def sides(padding):
    """`valid` side by side."""
    return ((0, 0), (0, 0)) if padding == "valid" else padding


def reached(x, kernel, stride, padding, fill=0.0) -> np.ndarray:
    """A padded image with what a last window reaches over, if it begins before the border."""
    over = []
    steps = zip(x.shape[1:3], pair(kernel), pair(stride), sides(padding), strict=True)
    for size, k, s, (_, high) in steps:
        last = -(-(size - k) // s) * s
        last -= s if last >= size - high else 0
        over.append((0, max(0, last + k - size)))
    return zero_pad(x, over, fill)


def global_avg_pool(x, keep_dims=False) -> np.ndarray:
    """(N, H, W, C) -> (N, C), or (N, 1, 1, C)."""
    return x.mean(axis=(1, 2), keepdims=keep_dims)


def global_max_pool(x, keep_dims=False) -> np.ndarray:
    """(N, H, W, C) -> (N, C), or (N, 1, 1, C)."""
    return x.max(axis=(1, 2), keepdims=keep_dims)


def zero_pad(x, padding, fill=0.0) -> np.ndarray:
    """A border; `padding` is ((top, bottom), (left, right))."""
    return np.pad(x, ((0, 0), *padding, (0, 0)), constant_values=fill)


def leaky_relu(x, negative_slope=0.3) -> np.ndarray:
    """x where positive, negative_slope * x elsewhere."""
    return np.where(x > 0, x, negative_slope * x)


def elu(x, alpha=1.0) -> np.ndarray:
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def gelu(x, approximation="exact") -> np.ndarray:
    """x * Φ(x), the normal distribution function by erf or by tanh."""
    if approximation == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2)))


def sigmoid(x) -> np.ndarray:
    """1 / (1 + exp(-x)), which does not overflow in this form."""
    return (1 + np.tanh(x / 2)) / 2


def silu(x) -> np.ndarray:
    """x * sigmoid(x)."""
    return x * sigmoid(x)


def hard_sigmoid(x, slope=1 / 6, offset=0.5) -> np.ndarray:
    """slope * x + offset between 0 and 1."""
    return np.clip(slope * x + offset, 0, 1)


def hard_swish(x) -> np.ndarray:
    """x * hard_sigmoid(x)."""
    return x * hard_sigmoid(x)


def softmax(x) -> np.ndarray:
    """exp(x) / sum of exp(x), over channels."""
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    return y / y.sum(axis=-1, keepdims=True)
