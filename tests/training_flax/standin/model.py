"""The network of tests/training/standin in Flax: every kind of weight, in the same order."""

import jax
from flax import nnx
from layers import DepthwiseConv, Dropout, SeparableConv
from weights import initialize, load_weights, save_weights

__all__ = ["INPUT_SHAPE", "create_model", "load_weights", "save_weights"]

INPUT_SHAPE = (16, 16, 3)
CLASSES = 4


def batch_norm(channels, scale=True, *, rngs):
    return nnx.BatchNorm(
        channels,
        momentum=0.9,
        epsilon=1e-3,
        use_scale=scale,
        use_fast_variance=False,
        rngs=rngs,
    )


class Block(nnx.Module):
    def __init__(self, channels, *, rngs):
        self.sepconv = SeparableConv(
            channels, channels, (3, 3), multiplier=2, use_bias=True, rngs=rngs
        )
        self.norm = batch_norm(channels, scale=False, rngs=rngs)

    def __call__(self, x):
        return x + self.norm(self.sepconv(nnx.relu(x)))


class Net(nnx.Module):
    def __init__(self, *, rngs):
        padding = ((1, 1), (1, 1))
        self.stem = nnx.Conv(
            3, 16, (3, 3), strides=(2, 2), padding=padding, use_bias=False, rngs=rngs
        )
        self.stem_norm = batch_norm(16, rngs=rngs)
        self.blocks = nnx.List([Block(16, rngs=rngs) for _ in range(2)])
        self.grouped = nnx.Conv(16, 24, (3, 3), feature_group_count=2, padding="VALID", rngs=rngs)
        self.depthwise = DepthwiseConv(24, (3, 3), same=False)
        self.dropout = Dropout(0.2)
        self.classifier = nnx.Linear(24, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        x = nnx.relu(self.depthwise(nnx.relu(self.grouped(x))))
        return self.classifier(self.dropout(x.mean((1, 2))))


def create_model(seed=0):
    model = Net(rngs=nnx.Rngs(seed))
    initialize(model, seed)
    return model
