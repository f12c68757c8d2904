"""The conventions that backends state are what their frameworks do."""

from __future__ import annotations

import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import nn

from xgraph import backend

#: What moving statistics become from 0 and 1 after one batch of mean 1 and variance 1, or 2 by
#: n − 1, with a momentum of 0.9.
BATCH = np.array([[0.0], [2.0]], np.float32)


def torch_statistics():
    layer = nn.BatchNorm1d(1, momentum=0.9)
    layer(torch.from_numpy(BATCH))
    return layer.running_mean.item(), layer.running_var.item()


def keras_statistics():
    layer = keras.layers.BatchNormalization(momentum=0.9)
    layer(BATCH, training=True)
    return float(layer.moving_mean[0]), float(layer.moving_variance[0])


def flax_statistics():
    layer = nnx.BatchNorm(1, momentum=0.9, rngs=nnx.Rngs(0))
    layer(jnp.asarray(BATCH), use_running_average=False)
    return float(layer.mean[0]), float(layer.var[0])


@pytest.mark.parametrize(
    ("name", "found"),
    [("torch", torch_statistics), ("keras", keras_statistics), ("flax", flax_statistics)],
)
def test_moving_statistics(name, found):
    stated = backend.get(name).conventions
    old = {"old": 0.9, "new": 0.1}[stated.batch_norm_momentum]
    variance = {"biased": 1.0, "unbiased": 2.0}[stated.running_variance]
    assert found() == pytest.approx((1 - old, old + (1 - old) * variance), rel=1e-5)


def torch_conv(images, padding, stride):
    return nn.Conv2d(3, 4, 3, stride, padding)(torch.zeros(images)).shape


def keras_conv(images, padding, stride):
    if not isinstance(padding, str):
        padded = keras.layers.ZeroPadding2D(padding)(np.zeros(images, np.float32))
        return keras.layers.Conv2D(4, 3, stride)(padded).shape
    return keras.layers.Conv2D(4, 3, stride, padding)(np.zeros(images, np.float32)).shape


def flax_conv(images, padding, stride):
    padding = padding if isinstance(padding, tuple) else padding.upper()
    layer = nnx.Conv(3, 4, (3, 3), stride, padding=padding, rngs=nnx.Rngs(0))
    return layer(jnp.zeros(images)).shape


CONVS = [("torch", torch_conv), ("keras", keras_conv), ("flax", flax_conv)]


def accepts(conv, images, padding, stride):
    try:
        conv(images, padding, stride)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True


@pytest.mark.parametrize(("name", "conv"), CONVS)
def test_convolution(name, conv):
    stated = backend.get(name).conventions
    images, made = {
        "NHWC": ((1, 8, 9, 3), (1, 8, 9, 4)),
        "NCHW": ((1, 3, 8, 9), (1, 4, 8, 9)),
    }[stated.layout]
    assert tuple(conv(images, "same", 1)) == made
    assert accepts(conv, images, "same", 2) == stated.strided_same_padding
    assert accepts(conv, images, ((0, 1), (1, 2)), 1) == stated.asymmetric_padding


def test_the_border_of_average_pooling():
    ones = np.ones((1, 3, 3, 1), np.float32)
    corners = {
        "torch": nn.AvgPool2d(3, 1, 1)(torch.from_numpy(ones).permute(0, 3, 1, 2))[0, 0, 0, 0],
        "keras": keras.layers.AveragePooling2D(3, 1, "same")(ones)[0, 0, 0, 0],
        "flax": nnx.avg_pool(jnp.asarray(ones), (3, 3), (1, 1), "SAME")[0, 0, 0, 0],
    }
    for name, corner in corners.items():
        counts = backend.get(name).conventions.average_pool_counts_border
        assert float(corner) == pytest.approx(4 / 9 if counts else 1)


def test_l2():
    """Of λ = 0.5 and w = 1, the gradient: 0.5 or 1."""
    weight = nn.Parameter(torch.ones(1))
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight], lr=1, weight_decay=0.5).step()
    decay = optax.add_decayed_weights(0.5)
    update, _ = decay.update(jnp.zeros(1), decay.init(jnp.ones(1)), jnp.ones(1))
    penalty = keras.regularizers.L2(0.5)
    slope = (float(penalty(np.array([1.5]))) - float(penalty(np.array([0.5])))) / 1
    found = {"torch": 1 - weight.item(), "flax": float(update[0]), "keras": slope}
    for name, gradient in found.items():
        factor = {"lambda": 1, "twice_lambda": 2}[backend.get(name).conventions.l2_gradient]
        assert gradient == pytest.approx(0.5 * factor)


def torch_moves(rates):
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0, momentum=0.5)
    for rate in rates:
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.ones(1)
        optimizer.step()
    return weight.item()


def keras_moves(rates):
    weight = keras.Variable(np.zeros(1, np.float32))
    optimizer = keras.optimizers.SGD(0.0, momentum=0.5)
    for rate in rates:
        optimizer.learning_rate = rate
        optimizer.apply([keras.ops.ones(1)], [weight])
    return float(weight[0])


def flax_moves(rates):
    trace = optax.trace(0.5)
    weight, state = 0.0, trace.init(jnp.zeros(1))
    for rate in rates:
        update, state = trace.update(jnp.ones(1), state)
        weight -= rate * float(update[0])
    return weight


@pytest.mark.parametrize(
    ("name", "moves"), [("torch", torch_moves), ("keras", keras_moves), ("flax", flax_moves)]
)
def test_momentum(name, moves):
    """Gradients of 1, a momentum of 0.5, rates of 1 and then 0."""
    holds_rate = backend.get(name).conventions.momentum_holds_learning_rate
    assert moves([1.0, 0.0]) == pytest.approx(-1.5 if holds_rate else -1.0)
