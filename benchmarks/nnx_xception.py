"""Xception in Flax NNX as one writes it by hand, to measure the generated one against.

Layer by layer after Figure 5 of Chollet 2016, with nothing but Flax' own layers at their defaults.
"""

import jax
from flax import nnx


class ConvBN(nnx.Module):
    def __init__(self, channels, filters, kernel, strides=1, padding="SAME", *, rngs):
        self.conv = nnx.Conv(
            channels, filters, kernel, strides, padding=padding, use_bias=False, rngs=rngs
        )
        self.norm = nnx.BatchNorm(filters, momentum=0.99, epsilon=1e-3, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.conv(x))


class SeparableConvBN(nnx.Module):
    def __init__(self, channels, filters, *, rngs):
        self.depthwise = nnx.Conv(
            channels, channels, (3, 3), feature_group_count=channels, use_bias=False, rngs=rngs
        )
        self.pointwise = nnx.Conv(channels, filters, (1, 1), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(filters, momentum=0.99, epsilon=1e-3, rngs=rngs)

    def __call__(self, x):
        return self.norm(self.pointwise(self.depthwise(x)))


class Downsample(nnx.Module):
    def __init__(self, channels, first, second, relu_first=True, *, rngs):
        self.relu_first = relu_first
        self.one = SeparableConvBN(channels, first, rngs=rngs)
        self.two = SeparableConvBN(first, second, rngs=rngs)
        self.shortcut = ConvBN(channels, second, (1, 1), 2, rngs=rngs)

    def __call__(self, x):
        y = nnx.relu(x) if self.relu_first else x
        y = self.two(nnx.relu(self.one(y)))
        y = nnx.max_pool(y, (3, 3), strides=(2, 2), padding="SAME")
        return y + self.shortcut(x)


class Middle(nnx.Module):
    def __init__(self, channels, *, rngs):
        self.convs = nnx.List([SeparableConvBN(channels, channels, rngs=rngs) for _ in range(3)])

    def __call__(self, x):
        y = x
        for conv in self.convs:
            y = conv(nnx.relu(y))
        return x + y


class Xception(nnx.Module):
    def __init__(self, classes=1000, *, rngs):
        self.one = ConvBN(3, 32, (3, 3), 2, "VALID", rngs=rngs)
        self.two = ConvBN(32, 64, (3, 3), 1, "VALID", rngs=rngs)
        self.entry = nnx.List(
            [
                Downsample(64, 128, 128, relu_first=False, rngs=rngs),
                Downsample(128, 256, 256, rngs=rngs),
                Downsample(256, 728, 728, rngs=rngs),
            ]
        )
        self.middle = nnx.List([Middle(728, rngs=rngs) for _ in range(8)])
        self.exit = Downsample(728, 728, 1024, rngs=rngs)
        self.three = SeparableConvBN(1024, 1536, rngs=rngs)
        self.four = SeparableConvBN(1536, 2048, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.classifier = nnx.Linear(2048, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.one(x))
        x = nnx.relu(self.two(x))
        for block in (*self.entry, *self.middle, self.exit):
            x = block(x)
        x = nnx.relu(self.three(x))
        x = nnx.relu(self.four(x))
        return self.classifier(self.dropout(x.mean(axis=(1, 2))))
