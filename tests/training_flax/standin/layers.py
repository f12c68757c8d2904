"""Layers as the Flax backend emits them, for a model that needs no compiler."""

import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.dtypes import promote_dtype


class DepthwiseConv(nnx.Module):
    """The sum over the window of shifted images, which XLA computes fast on a CPU."""

    def __init__(self, channels, kernel_size, same=True, multiplier=1, use_bias=True):
        self.kernel = nnx.Param(jnp.zeros((*kernel_size, channels, multiplier), jnp.float32))
        bias = jnp.zeros(channels * multiplier, jnp.float32)
        self.bias = nnx.data(nnx.Param(bias) if use_bias else None)
        self.same = same
        self.dtype = None

    def __call__(self, x):
        bias = 0.0 if self.bias is None else self.bias[...]
        x, kernel, bias = promote_dtype((x, self.kernel[...], bias), dtype=self.dtype)
        rows, columns, channels, multiplier = kernel.shape
        if self.same:
            x = jnp.pad(x, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0)))
        height, width = x.shape[1] - rows + 1, x.shape[2] - columns + 1
        y = sum(
            x[:, i : i + height, j : j + width, :, None] * kernel[i, j]
            for i in range(rows)
            for j in range(columns)
        )
        return y.reshape(*y.shape[:3], channels * multiplier) + bias


class SeparableConv(nnx.Module):
    def __init__(self, channels, filters, kernel_size, multiplier=1, use_bias=False, *, rngs):
        self.depthwise = DepthwiseConv(channels, kernel_size, multiplier=multiplier, use_bias=False)
        self.pointwise = nnx.Conv(
            channels * multiplier, filters, (1, 1), use_bias=use_bias, rngs=rngs
        )

    def __call__(self, x):
        return self.pointwise(self.depthwise(x))
