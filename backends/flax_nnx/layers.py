"""Layers whose Flax counterpart is missing or means something else than the spec.

This file is a library of text: `layers.py` of a generated program holds the definitions that its
model uses, as they stand here, with the ones those need. The compiler never imports it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype
from jax import lax


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, at least `min_value`, never 10 % below it."""
    result = max(
        divisor if min_value is None else min_value, int(value + divisor / 2) // divisor * divisor
    )
    return result + divisor if result < 0.9 * value else result


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of one number for both, or of a pair."""
    return value if isinstance(value, tuple) else (value, value)


def leaky_relu(x: jax.Array, negative_slope: float) -> jax.Array:
    """`nnx.leaky_relu` whose gradient at 0 is the slope, as in TensorFlow and PyTorch."""
    return jnp.where(x > 0, x, negative_slope * x)


class DepthwiseConv(nnx.Module):
    """A filter of its own, or `multiplier` of them, for every channel."""

    def __init__(
        self,
        in_features: int,
        kernel_size: tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str | tuple[tuple[int, int], tuple[int, int]] = "SAME",
        kernel_dilation: int | tuple[int, int] = 1,
        multiplier: int = 1,
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (*kernel_size, in_features, multiplier)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape, jnp.float32))
        bias = jnp.zeros(in_features * multiplier, jnp.float32)
        self.bias = nnx.data(nnx.Param(bias) if use_bias else None)
        self.strides = pair(strides)
        self.padding = padding
        self.dilation = pair(kernel_dilation)
        self.dtype = None

    def __call__(self, x: jax.Array) -> jax.Array:
        x, kernel = promote_dtype((x, self.kernel[...]), dtype=self.dtype)
        # XLA's grouped convolution is many times slower on a CPU than the same sum written out.
        y = lax.platform_dependent(x, kernel, cpu=self.by_taps, default=self.by_groups)
        return y if self.bias is None else y + self.bias[...].astype(y.dtype)

    def by_groups(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """One group for every input channel."""
        return lax.conv_general_dilated(
            x,
            kernel.reshape(*kernel.shape[:2], 1, -1),
            self.strides,
            self.padding,
            rhs_dilation=self.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=x.shape[-1],
        )

    def by_taps(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        """The sum over the window of shifted images times the weight at that place."""
        rows, columns, channels, multiplier = kernel.shape
        reach = [(k - 1) * d + 1 for k, d in zip((rows, columns), self.dilation, strict=True)]
        padding = self.padding
        if isinstance(padding, str):
            padding = lax.padtype_to_pads(x.shape[1:3], reach, self.strides, padding)
        x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
        height, width = (
            (n - r) // s + 1 for n, r, s in zip(x.shape[1:3], reach, self.strides, strict=True)
        )
        (down, right), (between, beside) = self.strides, self.dilation
        y = 0.0
        for i in range(rows):
            for j in range(columns):
                top, left = i * between, j * beside
                bottom, end = top + (height - 1) * down + 1, left + (width - 1) * right + 1
                tap = x[:, top:bottom:down, left:end:right, :, None]
                y = y + tap * kernel[i, j]
        return y.reshape(*y.shape[:3], channels * multiplier)


class SeparableConv(nnx.Module):
    """A depthwise convolution, then a 1x1 convolution."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str | tuple[tuple[int, int], tuple[int, int]] = "SAME",
        kernel_dilation: int | tuple[int, int] = 1,
        multiplier: int = 1,
        activation: Callable[[jax.Array], jax.Array] | None = None,
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.depthwise = DepthwiseConv(
            in_features,
            kernel_size,
            strides,
            padding,
            kernel_dilation,
            multiplier,
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
