"""Layers whose Flax counterpart is missing or means something else than the spec.

This file is a library of text: `layers.py` of a generated program holds the definitions that its
model uses, as they stand here, with the ones those need. The compiler never imports it.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax import lax


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """A round number of channels near `value`, never 10 % below it.

    It is a multiple of `divisor`, and at least `min_value`.
    """
    result = max(
        divisor if min_value is None else min_value, int(value + divisor / 2) // divisor * divisor
    )
    return result + divisor if result < 0.9 * value else result


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one number for both, or of a pair."""
    return value if isinstance(value, tuple) else (value, value)


def hard_sigmoid(x: jax.Array, slope: float, offset: float = 0.5) -> jax.Array:
    """slope · x + offset, cut off at 0 and 1."""
    return nnx.relu6(6 * (slope * x + offset)) / 6


def leaky_relu(x: jax.Array, negative_slope: float) -> jax.Array:
    """`nnx.leaky_relu` whose gradient at 0 is the slope, as in TensorFlow and PyTorch."""
    return jnp.where(x > 0, x, negative_slope * x)


class Scale(nnx.Module):
    """A learned factor for every channel."""

    def __init__(self, channels: int, initial: float = 1.0) -> None:
        self.gamma = nnx.Param(jnp.ones(channels, jnp.float32))
        self.initial = initial
        self.dtype = None
        self.reset()

    def reset(self) -> None:
        self.gamma.set_value(jnp.full_like(self.gamma[...], self.initial))

    def __call__(self, x: jax.Array) -> jax.Array:
        x, gamma = promote_dtype((x, self.gamma[...]), dtype=self.dtype)
        return x * gamma


def maximum(x: jax.Array, y: jax.Array) -> jax.Array:
    """The greater entries; two that are equal share the gradient evenly.

    That of `jnp.maximum` goes to what equals the maximum. XLA may compute x a second time for it,
    rounded otherwise, and then finds nothing.
    """
    return jnp.where(x > y, x, jnp.where(x < y, y, (x + y) / 2))


class PReLU(nnx.Module):
    """x where it is above 0, else x times a learned slope for every channel."""

    def __init__(self, channels: int, initial: float = 0.25) -> None:
        self.alpha = nnx.Param(jnp.ones(channels, jnp.float32))
        self.initial = initial
        self.dtype = None
        self.reset()

    def reset(self) -> None:
        self.alpha.set_value(jnp.full_like(self.alpha[...], self.initial))

    def __call__(self, x: jax.Array) -> jax.Array:
        x, alpha = promote_dtype((x, self.alpha[...]), dtype=self.dtype)
        return jnp.where(x > 0, x, alpha * x)


class ChannelSlice(nnx.Module):
    """A segment of channels."""

    def __init__(self, channels: int, start: int = 0) -> None:
        self.channels, self.start = channels, start

    def __call__(self, x: jax.Array) -> jax.Array:
        return x[..., self.start : self.start + self.channels]


class ChannelShuffle(nnx.Module):
    """The first channel of each group, then the second of each, and so on."""

    def __init__(self, groups: int) -> None:
        self.groups = groups

    def __call__(self, x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:-1], self.groups, -1).swapaxes(-1, -2).reshape(x.shape)


class Attention(nnx.Module):
    """Multi-head self-attention over the positions of an image (N, H, W, C).

    `nnx.dot_product_attention` computes its softmax in float32, whatever it is given.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        head_size: int | None = None,
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        if head_size is None and channels % heads:
            raise ValueError(f"{heads} heads do not divide {channels} channels")
        size = channels // heads if head_size is None else head_size
        self.heads = heads
        self.query = nnx.Linear(channels, heads * size, use_bias=use_bias, rngs=rngs)
        self.key = nnx.Linear(channels, heads * size, use_bias=use_bias, rngs=rngs)
        self.value = nnx.Linear(channels, heads * size, use_bias=use_bias, rngs=rngs)
        self.output = nnx.Linear(heads * size, channels, use_bias=use_bias, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        n, height, width, channels = x.shape
        positions = x.reshape(n, height * width, channels)
        query, key, value = (
            project(positions).reshape(n, height * width, self.heads, -1)
            for project in (self.query, self.key, self.value)
        )
        scores = jnp.einsum("nqhd,nkhd->nhqk", query, key) / math.sqrt(query.shape[-1])
        scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
        y = jnp.einsum("nhqk,nkhd->nqhd", nnx.softmax(scores).astype(value.dtype), value)
        return self.output(y.reshape(n, height, width, -1))


class PositionEmbedding(nnx.Module):
    """A learned number for every position and channel of images of one size."""

    def __init__(self, height: int, width: int, channels: int) -> None:
        self.embedding = nnx.Param(jnp.zeros((height, width, channels), jnp.float32))
        self.dtype = None

    def __call__(self, x: jax.Array) -> jax.Array:
        if x.shape[1:] != self.embedding.shape:
            raise ValueError(f"(H, W, C) {x.shape[1:]}, not the embedding's {self.embedding.shape}")
        x, embedding = promote_dtype((x, self.embedding[...]), dtype=self.dtype)
        return x + embedding


def space_to_depth(x: jax.Array, block: int) -> jax.Array:
    """Blocks of pixels as one pixel each: (N, H, W, C) → (N, H/block, W/block, block²·C)."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // block, block, width // block, block, channels)
    return x.swapaxes(2, 3).reshape(n, height // block, width // block, -1)


def depth_to_space(x: jax.Array, block: int) -> jax.Array:
    """Pixels as blocks of them: (N, H, W, block²·C) → (N, H·block, W·block, C)."""
    n, height, width, _ = x.shape
    x = x.reshape(n, height, width, block, block, -1)
    return x.swapaxes(2, 3).reshape(n, height * block, width * block, -1)


def local_response_norm(
    x: jax.Array, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> jax.Array:
    """x / (k + alpha * mean) ** beta, the mean of the squares of `size` channels around."""
    window = (1,) * (x.ndim - 1) + (size,)
    total = lax.reduce_window(x * x, 0.0, lax.add, window, (1,) * x.ndim, "SAME")
    return x / (k + alpha / size * total) ** beta


def ceil_padding(
    x: jax.Array,
    window_shape: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding with what the last windows reach over; none of them begins behind the image."""
    sides = []
    for n, w, s, (low, high) in zip(x.shape[1:3], window_shape, strides, padding, strict=True):
        last = min(-(-(n + low + high - w) // s), (n + low - 1) // s) * s
        sides.append((low, max(high, last + w - n - low)))
    return tuple(sides)


def avg_pool_ceil(
    x: jax.Array,
    window_shape: tuple[int, int],
    strides: tuple[int, int],
    padding: tuple[tuple[int, int], tuple[int, int]],
) -> jax.Array:
    """Average pooling that counts its padding, but not what the last windows reach over."""
    sides = ceil_padding(x, window_shape, strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    over = tuple((0, high - own) for (_, high), (_, own) in zip(sides, padding, strict=True))
    return nnx.avg_pool(x, window_shape, strides, over, count_include_pad=False)


def adaptive_pool(
    pool: Callable[..., jax.Array], x: jax.Array, size: int | tuple[int, int]
) -> jax.Array:
    """Pooling by a grid of windows that covers the image: first along rows, then columns.

    Pixel i of m is made of the pixels i * n // m, ... of n, up to and with the one that ends at
    (i + 1) * n / m or beyond. Windows may share pixels.
    """
    for axis, m in zip((2, 1), reversed(pair(size)), strict=True):
        n = x.shape[axis]
        parts = []
        for i in range(m):
            start, stop = i * n // m, -(-(i + 1) * n // m)
            part = lax.slice_in_dim(x, start, stop, axis=axis)
            parts.append(pool(part, (1, stop - start) if axis == 2 else (stop - start, 1)))
        x = jnp.concatenate(parts, axis=axis)
    return x


def upsample(x: jax.Array, scale: int | tuple[int, int]) -> jax.Array:
    """Each pixel as a block of its like."""
    rows, columns = pair(scale)
    return x.repeat(rows, axis=1).repeat(columns, axis=2)


def resize_nearest(x: jax.Array, size: int | tuple[int, int]) -> jax.Array:
    """Pixels in which the centres of those of another size lie.

    `jax.image.resize` rounds where a centre lies on the border of two.
    """
    for axis, m in zip((1, 2), pair(size), strict=True):
        centres = (2 * jnp.arange(m) + 1) * x.shape[axis]
        x = x.take(centres // (2 * m), axis=axis)
    return x


def resize_bilinear(
    x: jax.Array, size: int | tuple[int, int] | None = None, scale: int | tuple[int, int] = 1
) -> jax.Array:
    """Bilinear interpolation without antialiasing; the centres of pixels are at halves."""
    n, height, width, channels = x.shape
    if size is None:
        rows, columns = pair(scale)
        height, width = height * rows, width * columns
    else:
        height, width = pair(size)
    return jax.image.resize(x, (n, height, width, channels), "bilinear", antialias=False)


class ConvTranspose(nnx.ConvTranspose):
    """`nnx.ConvTranspose` whose padding is taken from the sides of what comes out.

    Flax' own is added to the sides of what goes in.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: tuple[int, int],
        strides: int | tuple[int, int] | None = None,
        padding: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
        output_padding: tuple[int, int] = (0, 0),
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        sides = zip(kernel_size, padding, output_padding, strict=True)
        super().__init__(
            in_features,
            out_features,
            kernel_size,
            strides,
            padding=tuple((k - 1 - low, k - 1 - high + more) for k, (low, high), more in sides),
            use_bias=use_bias,
            transpose_kernel=True,
            rngs=rngs,
        )


class DepthwiseConv(nnx.Module):
    """A filter of its own for every channel. There may be `multiplier` of them."""

    def __init__(
        self,
        in_features: int,
        kernel_size: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        padding: str | tuple[tuple[int, int], tuple[int, int]] = "SAME",
        kernel_dilation: tuple[int, int] = (1, 1),
        multiplier: int = 1,
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (*kernel_size, in_features, multiplier)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(in_features * multiplier, "float32")) if use_bias else None
        self.window_strides = strides
        self.padding = padding
        self.rhs_dilation = kernel_dilation
        self.dtype = None

    def __call__(self, x: jax.Array) -> jax.Array:
        x, kernel = promote_dtype((x, self.kernel[...]), dtype=self.dtype)
        # XLA's grouped convolution is many times slower on a CPU than the same sum written out.
        return lax.platform_dependent(x, kernel, cpu=self.by_taps, default=self.by_groups) + (
            0 if self.bias is None else self.bias[...].astype(x.dtype)
        )

    def by_groups(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """One group for every input channel."""
        return lax.conv_general_dilated(
            x,
            kernel.reshape(*kernel.shape[:2], 1, -1),
            self.window_strides,
            self.padding,
            rhs_dilation=self.rhs_dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )

    def by_taps(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """The sum over the window of shifted images times the weight at that place."""
        rows, columns, channels, multiplier = kernel.shape
        padding = self.padding
        if isinstance(padding, str):
            reach = (
                rows + (rows - 1) * (self.rhs_dilation[0] - 1),
                columns + (columns - 1) * (self.rhs_dilation[1] - 1),
            )
            padding = lax.padtype_to_pads(x.shape[1:3], reach, self.window_strides, padding)
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        height = x.shape[1] - (rows - 1) * self.rhs_dilation[0]
        width = x.shape[2] - (columns - 1) * self.rhs_dilation[1]
        y = 0.0
        for i in range(rows):
            for j in range(columns):
                tap = x[
                    :,
                    i * self.rhs_dilation[0] : i * self.rhs_dilation[0] + height,
                    j * self.rhs_dilation[1] : j * self.rhs_dilation[1] + width,
                ]
                if self.window_strides != (1, 1):
                    tap = tap[:, :: self.window_strides[0], :: self.window_strides[1]]
                y = y + tap[..., None] * kernel[i, j]
        return y.reshape(*y.shape[:3], channels * multiplier)


class SeparableConv(nnx.Module):
    """A convolution of every channel by itself, then a 1×1 convolution."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: tuple[int, int],
        strides: tuple[int, int] = (1, 1),
        padding: str | tuple[tuple[int, int], tuple[int, int]] = "SAME",
        kernel_dilation: tuple[int, int] = (1, 1),
        multiplier: int = 1,
        activation: Callable[[jax.Array], jax.Array] | None = None,
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.depthwise = DepthwiseConv(
            in_features,
            kernel_size,
            strides=strides,
            padding=padding,
            kernel_dilation=kernel_dilation,
            multiplier=multiplier,
            use_bias=False,
            rngs=rngs,
        )
        self.activation = activation
        self.pointwise = nnx.Conv(
            in_features * multiplier, out_features, (1, 1), use_bias=use_bias, rngs=rngs
        )

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.depthwise(x)
        if self.activation is not None:
            x = self.activation(x)
        return self.pointwise(x)


def mix_bits(x: jax.Array) -> jax.Array:
    """Scramble unsigned 32-bit numbers: github.com/skeeto/hash-prospector, issue 19."""
    x ^= x >> 16
    x *= 0x21F0AAAD
    x ^= x >> 15
    x *= 0x735A2D97
    return x ^ (x >> 15)


class MaskState(nnx.Variable):
    """What the masks of dropout follow from."""


class Dropout(nnx.Module):
    """Dropout by a mask that is the same in any framework; `initialize` gives the key.

    The mask follows from the key, the passes so far and an entry's place in (N, H, W, C). Along
    `broadcast_dims` all entries share one draw.
    """

    def __init__(self, rate: float, broadcast_dims: tuple[int, ...] = ()) -> None:
        self.rate = rate
        self.broadcast_dims = broadcast_dims
        self.deterministic = False
        self.key = MaskState(jnp.uint32(0))
        self.passes = MaskState(jnp.uint32(0))

    def begin(self, key: int) -> None:
        """Begin a run with this key."""
        self.key.set_value(jnp.uint32(key))
        self.passes.set_value(jnp.uint32(0))

    def set_view(self, deterministic: bool | None = None) -> None:
        """For `nnx.view`: whether to leave everything as it is."""
        if deterministic is not None:
            self.deterministic = deterministic

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.deterministic or self.rate == 0:
            return x
        shape = x.shape
        if self.broadcast_dims:
            shape = [1 if axis in self.broadcast_dims else n for axis, n in enumerate(shape)]
        places = jnp.arange(math.prod(shape), dtype=jnp.uint32).reshape(shape)
        bits = mix_bits(mix_bits(places) ^ mix_bits(self.key[...] ^ self.passes[...]))
        self.passes[...] += 1
        return jnp.where(bits < jnp.uint32(int(self.rate * 2**32)), 0, x / (1 - self.rate))
