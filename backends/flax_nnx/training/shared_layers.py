"""Definitions that layers.py has besides where devices share a batch.

As `layers.py` of this backend, it is a library of text, and never imported.
"""

import jax
from flax import nnx
from processes import mesh


class ReplicaBatchNorm(nnx.BatchNorm):
    """Batch norm by the statistics of each device's part, whose mean moves the moving ones."""

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.use_running_average:
            return super().__call__(x)
        parts = x.reshape(mesh().size, -1, *x.shape[1:])  # which moves nothing
        parts = parts.astype(self.mean.dtype)
        axes = tuple(range(1, parts.ndim - 1))
        mean, var = parts.mean(axes, keepdims=True), parts.var(axes, keepdims=True)
        for moving, own in ((self.mean, mean), (self.var, var)):
            value = jax.lax.stop_gradient(own.mean(0).reshape(-1))
            moving[...] = self.momentum * moving[...] + (1 - self.momentum) * value
        y = (parts - mean) * jax.lax.rsqrt(var + self.epsilon)
        if self.scale is not None:
            y *= self.scale[...]
        if self.bias is not None:
            y += self.bias[...]
        return y.reshape(x.shape).astype(self.dtype or y.dtype)
