"""Layers whose Flax counterpart is missing or means something else than the spec.

This file is a library of text: `layers.py` of a generated program holds the definitions that its
model uses, as they stand here, with the ones those need. The compiler never imports it.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

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


def max_pool_gradient(
    x: jax.Array,
    gradient: jax.Array,
    window_shape: tuple[int, int],
    strides: tuple[int, int],
    padding: str | Sequence[tuple[int, int]],
) -> jax.Array:
    """The gradient of maxima: that of each goes to the first pixel of its window that is greatest.

    Pixels are compared in a loop, to which x is an array in memory. In an expression, XLA would
    compute x again for each of them, rounded differently, and pixels that are equal would not be.
    """
    size, (rows, columns) = x.shape[1:3], gradient.shape[1:3]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(size, window_shape, strides, padding)
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-jnp.inf)
    (top, _), (left, _) = padding
    high, wide = (rows - 1) * strides[0] + 1, (columns - 1) * strides[1] + 1
    pixels = window_shape[0] * window_shape[1]

    def compare(
        pixel: jax.Array, found: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        greatest, first = found
        i, j = pixel // window_shape[1], pixel % window_shape[1]
        tap = lax.dynamic_slice(x, (0, i, j, 0), (len(x), high, wide, x.shape[3]))
        tap = tap[:, :: strides[0], :: strides[1]]
        greater = tap > greatest
        return jnp.where(greater, tap, greatest), jnp.where(greater, pixel.astype("int8"), first)

    lowest = jnp.full(gradient.shape, -jnp.inf, x.dtype)
    _, first = lax.fori_loop(0, pixels, compare, (lowest, jnp.zeros(gradient.shape, "int8")))
    total, zero = 0.0, jnp.zeros((), gradient.dtype)
    for pixel in range(pixels):
        i, j = divmod(pixel, window_shape[1])
        vertical = (i - top, size[0] + top - i - high, strides[0] - 1)
        horizontal = (j - left, size[1] + left - j - wide, strides[1] - 1)
        part = jnp.where(first == pixel, gradient, zero)
        total += lax.pad(part, zero, ((0, 0, 0), vertical, horizontal, (0, 0, 0)))
    return total


def max_pool(
    x: jax.Array,
    window_shape: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: str | Sequence[tuple[int, int]] = "VALID",
) -> jax.Array:
    """`nnx.max_pool` with a gradient of its own on a CPU, where XLA's takes ten times as long."""
    window = (window_shape, strides, padding)
    pool = jax.custom_vjp(lambda x: nnx.max_pool(x, *window))
    pool.defvjp(
        lambda x: (nnx.max_pool(x, *window), x),
        lambda x, gradient: (max_pool_gradient(x, gradient, *window),),
    )
    return lax.platform_dependent(x, cpu=pool, default=lambda x: nnx.max_pool(x, *window))


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


def convolve(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int],
    padding: str | Sequence[tuple[int, int]],
    **options: Any,
) -> jax.Array:
    """`lax.conv_general_dilated`, of which a CPU computes windows of one pixel as a product.

    XLA's convolution takes up to four times as long there, most of it for the kernel's gradient.
    """

    def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
        x = x[:, :: strides[0], :: strides[1]]
        return (x.reshape(-1, x.shape[-1]) @ kernel[0, 0]).reshape(*x.shape[:-1], -1)

    def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, kernel, strides, padding, **options)

    *window, channels, _ = kernel.shape
    if window != [1, 1] or channels != x.shape[-1] or not isinstance(padding, str):
        return convolution(x, kernel)  # of several pixels, in groups, or with a border
    return lax.platform_dependent(x, kernel, cpu=product, default=convolution)


class Conv(nnx.Conv):
    """`nnx.Conv` whose window of one pixel a CPU computes as a product, by `convolve`."""

    def __init__(self, *sizes: Any, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.conv_general_dilated = convolve


def shifted(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """With zeros on both sides of an axis; a negative number of them cuts entries off."""
    edges = [(0, 0, 0)] * x.ndim
    edges[axis] = (before, after, 0)
    return lax.pad(x, jnp.zeros((), x.dtype), edges)


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
        self.multiplier = multiplier
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
        """The sum over the window of the image times the weight at that place, shifted."""
        rows, columns = kernel.shape[:2]
        padding = self.padding
        if isinstance(padding, str):
            reach = (
                rows + (rows - 1) * (self.rhs_dilation[0] - 1),
                columns + (columns - 1) * (self.rhs_dilation[1] - 1),
            )
            padding = lax.padtype_to_pads(x.shape[1:3], reach, self.window_strides, padding)
        (top, bottom), sides = padding
        if self.multiplier != 1:
            x = jnp.repeat(x, self.multiplier, axis=-1)
        kernel = kernel.reshape(rows, columns, -1)
        if rows <= 3:
            y = 0.0
            for i in range(rows):
                up = top - i * self.rhs_dilation[0]
                down = bottom - (rows - 1 - i) * self.rhs_dilation[0]
                y = y + shifted(self.row(x, kernel[i], sides), 1, up, down)
        else:  # a loop, which is compiled once
            x = shifted(x, 1, top, bottom)
            height = x.shape[1] - (rows - 1) * self.rhs_dilation[0]

            def add(y: jax.Array, row: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
                start, weights = row
                band = lax.dynamic_slice_in_dim(x, start, height, axis=1)
                return y + self.row(band, weights, sides), None

            starts = jnp.arange(1, rows) * self.rhs_dilation[0]
            y = self.row(x[:, :height], kernel[0], sides)
            y, _ = lax.scan(jax.checkpoint(add), y, (starts, kernel[1:]))
        if self.window_strides != (1, 1):
            y = y[:, :: self.window_strides[0], :: self.window_strides[1]]
        return y

    def row(self, x: jax.Array, weights: jax.Array, sides: tuple[int, int]) -> jax.Array:
        """What one row of the window adds, with weights (columns, channels)."""
        columns = len(weights)
        y = 0.0
        for j in range(columns):
            left = sides[0] - j * self.rhs_dilation[1]
            right = sides[1] - (columns - 1 - j) * self.rhs_dilation[1]
            y = y + shifted(x * weights[j], 2, left, right)
        return y


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
        self.pointwise = Conv(
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
