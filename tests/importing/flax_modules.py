"""Networks written by hand in Flax NNX, as their authors might have written them."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

SHAPE = (16, 12, 3)


class Of(nnx.Module):
    """A module of parts by name, and what becomes of x."""

    def __init__(self, run, **parts) -> None:
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def __call__(self, x):
        return self.run(self, x)


class BasicBlock(nnx.Module):
    def __init__(self, channels, filters, stride, rngs) -> None:
        conv = partial(nnx.Conv, kernel_size=(3, 3), padding=1, use_bias=False, rngs=rngs)
        norm = partial(nnx.BatchNorm, momentum=0.9, rngs=rngs)
        self.conv1, self.bn1 = conv(channels, filters, strides=stride), norm(filters)
        self.conv2, self.bn2 = conv(filters, filters), norm(filters)
        self.downsample = None if stride == 1 and channels == filters else nnx.Sequential(
            nnx.Conv(channels, filters, (1, 1), strides=stride, use_bias=False, rngs=rngs),
            norm(filters),
        )  # fmt: skip

    def __call__(self, x):
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        return nnx.relu(y + shortcut)


class ResNet(nnx.Module):
    """Lists of lists of blocks, `nnx.Sequential`, dropout."""

    def __init__(self, rngs) -> None:
        self.stem = nnx.Sequential(
            nnx.Conv(3, 8, (7, 7), strides=2, padding=3, use_bias=False, rngs=rngs),
            nnx.BatchNorm(8, rngs=rngs),
            nnx.relu,
            partial(nnx.max_pool, window_shape=(3, 3), strides=(2, 2), padding=((1, 1), (1, 1))),
        )
        self.stages = nnx.List(
            [
                nnx.List([BasicBlock(8, 8, 1, rngs), BasicBlock(8, 8, 1, rngs)]),
                nnx.List([BasicBlock(8, 16, 2, rngs), BasicBlock(16, 16, 1, rngs)]),
            ]
        )
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.head = nnx.Linear(16, 5, rngs=rngs)

    def __call__(self, x):
        x = self.stem(x)
        for stage in self.stages:
            for block in stage:
                x = block(x)
        return self.head(self.dropout(jnp.mean(x, axis=(1, 2))))


class ConvNorm(nnx.Module):
    def __init__(self, channels, filters, kernel, rngs, **told) -> None:
        self.conv = nnx.Conv(channels, filters, kernel, use_bias=False, rngs=rngs, **told)
        self.norm = nnx.BatchNorm(filters, use_scale=False, epsilon=1e-3, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.norm(self.conv(x)))


class Inception(nnx.Module):
    """Branches that are joined, one of an average that leaves out its border."""

    def __init__(self, channels, rngs) -> None:
        conv = partial(ConvNorm, rngs=rngs)
        self.branch1 = conv(channels, 4, (1, 1))
        self.branch2 = nnx.Sequential(conv(channels, 3, (1, 1)), conv(3, 6, (5, 5)))
        self.branch3 = nnx.Sequential(conv(channels, 3, (1, 7)), conv(3, 5, (7, 1)))
        self.pool = conv(channels, 3, (1, 1))

    def __call__(self, x):
        pooled = nnx.avg_pool(x, (3, 3), padding="SAME", count_include_pad=False)
        branches = [self.branch1(x), self.branch2(x), self.branch3(x), self.pool(pooled)]
        return jnp.concatenate(branches, axis=-1)


class GoogLeNet(nnx.Module):
    def __init__(self, rngs) -> None:
        self.stem = ConvNorm(3, 6, (3, 3), rngs, strides=(2, 2), padding="VALID")
        self.inception1, self.inception2 = Inception(6, rngs), Inception(18, rngs)
        self.fc = nnx.Linear(18 * 3 * 2, 5, rngs=rngs)

    def __call__(self, x):
        x = self.inception2(self.inception1(self.stem(x)))
        x = nnx.max_pool(x, (2, 2), (2, 2))
        return self.fc(x.reshape(x.shape[0], -1))


class SqueezeExcite(nnx.Module):
    def __init__(self, channels, rngs) -> None:
        self.reduce = nnx.Conv(channels, 2, (1, 1), rngs=rngs)
        self.expand = nnx.Conv(2, channels, (1, 1), rngs=rngs)

    def __call__(self, x):
        gate = x.mean((1, 2), keepdims=True)
        return x * nnx.sigmoid(self.expand(nnx.silu(self.reduce(gate))))


class Depthwise(nnx.Module):
    """By `lax.conv_general_dilated` itself, with parameters of its own."""

    def __init__(self, channels, multiplier, stride, rngs) -> None:
        shape = (3, 3, 1, channels * multiplier)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(channels * multiplier))
        self.channels, self.stride = channels, stride

    def __call__(self, x):
        y = jax.lax.conv_general_dilated(
            x,
            self.kernel[...],
            (self.stride, self.stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=self.channels,
        )
        return y + self.bias[...]


class MobileNet(nnx.Module):
    """Depthwise and 1×1 convolutions with squeeze and excitation."""

    def __init__(self, rngs) -> None:
        self.scale = 1 / 127.5
        self.stem = nnx.Conv(3, 6, (3, 3), strides=2, rngs=rngs)
        self.depthwise = nnx.Conv(6, 6, (3, 3), feature_group_count=6, use_bias=False, rngs=rngs)
        self.gate = SqueezeExcite(6, rngs)
        self.pointwise = nnx.Conv(6, 8, (1, 1), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.last = Depthwise(8, 2, 2, rngs)
        self.fc = nnx.Linear(16, 5, rngs=rngs)

    def __call__(self, x):
        x = nnx.hard_swish(self.stem(x * self.scale - 1))
        x = self.pointwise(self.gate(nnx.relu6(self.depthwise(x))))
        x = self.last(nnx.hard_swish(self.norm(x)))
        return self.fc(jnp.max(x, axis=(1, 2)))


class Pyramid(nnx.Module):
    """Two outputs by name, of one image that is enlarged and added to the other."""

    def __init__(self, rngs) -> None:
        self.down1 = nnx.Conv(3, 8, (3, 3), strides=2, rngs=rngs)
        self.down2 = nnx.Conv(8, 8, (3, 3), strides=2, rngs=rngs)
        self.lateral = nnx.Conv(8, 8, (1, 1), rngs=rngs)
        self.head = nnx.Conv(8, 4, (3, 3), rngs=rngs)

    def __call__(self, x):
        c1 = nnx.gelu(self.down1(x))
        c2 = nnx.gelu(self.down2(c1))
        n, h, w, c = c1.shape
        p1 = self.lateral(c1) + jax.image.resize(c2, (n, h, w, c), "nearest")
        return {"small": self.head(c2), "large": self.head(p1)}


class ViT(nnx.Module):
    """Patches that attend to each other."""

    def __init__(self, rngs, dropout=0.1) -> None:
        self.patches = nnx.Conv(3, 8, (4, 4), strides=4, padding="VALID", rngs=rngs)
        self.positions = nnx.Param(jnp.zeros((1, 12, 8)))
        self.norm1, self.norm2 = nnx.LayerNorm(8, rngs=rngs), nnx.LayerNorm(8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(
            num_heads=2, in_features=8, dropout_rate=dropout, decode=False, rngs=rngs
        )
        self.wide, self.narrow = nnx.Linear(8, 16, rngs=rngs), nnx.Linear(16, 8, rngs=rngs)
        self.head = nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, x):
        x = self.patches(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1]) + self.positions[...]
        x = x + self.attention(self.norm1(x))
        x = x + self.narrow(nnx.gelu(self.wide(self.norm2(x)), approximate=False))
        return self.head(x.mean(axis=1))


NETWORKS = (ResNet, GoogLeNet, MobileNet, Pyramid, ViT)
