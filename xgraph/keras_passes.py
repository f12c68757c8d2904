"""Keras models measured, on whatever Keras runs: precision, a pass forward and back.

This imports Keras; the compiler never imports it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from xgraph.ops.base import Array

LossOf = Callable[[dict[str, Any], Any], Any]  # of what a model gives, and of the images
Passes = tuple[Any, Any, list[Any], Any]  # outputs, loss, gradients of weights, of the images


def forward_and_back(both: keras.Model, loss_of: LossOf, x: Array) -> Passes:
    """A pass in training mode and back; moving statistics change.

    Args:
        both: a model whose outputs are a dictionary; those under "model" are returned.
        loss_of: the loss, of the outputs and the images.
        x: images.
    """
    passes = {"tensorflow": _with_tensorflow, "jax": _with_jax, "torch": _with_torch}
    return passes[keras.backend.backend()](both, loss_of, x)


def _with_tensorflow(both: keras.Model, loss_of: LossOf, x: Array) -> Passes:
    import tensorflow as tf

    def passes(x: Any) -> Passes:
        with tf.GradientTape() as tape:
            tape.watch(x)
            given = both(x, training=True)
            loss = loss_of(given, x)
        *found, image = tape.gradient(loss, [*(v.value for v in both.trainable_variables), x])
        return given["model"], loss, found, image

    made: Passes = tf.function(passes)(tf.constant(x))
    return made


def _with_jax(both: keras.Model, loss_of: LossOf, x: Array) -> Passes:
    import jax

    def of(weights: list[Any], x: Any, statistics: list[Any]) -> tuple[Any, Any]:
        given, after = both.stateless_call(weights, statistics, x, training=True)
        return loss_of(given, x), (given["model"], after)

    weights = [variable.value for variable in both.trainable_variables]
    statistics = [variable.value for variable in both.non_trainable_variables]
    passes = jax.jit(jax.value_and_grad(of, argnums=(0, 1), has_aux=True))
    (loss, (outputs, after)), (found, image) = passes(weights, jax.numpy.asarray(x), statistics)
    for variable, value in zip(both.non_trainable_variables, after, strict=True):
        variable.assign(value)
    return outputs, loss, found, image


def _with_torch(both: keras.Model, loss_of: LossOf, x: Array) -> Passes:
    images = keras.ops.convert_to_tensor(x).detach().requires_grad_()
    both.zero_grad()
    given = both(images, training=True)
    loss = loss_of(given, images)
    loss.backward()
    return given["model"], loss, [v.value.grad for v in both.trainable_variables], images.grad


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Keras' own type for numbers without one, and for inputs, besides that of layers."""
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(before[0])
        keras.config.set_dtype_policy(before[1])


def unchanged(inputs: Any, training: bool = False) -> Any:
    """What dropout is that drops nothing."""
    return inputs


def in_order(given: Any) -> list[Any]:
    """The outputs of a model."""
    return list(given.values()) if isinstance(given, dict) else [given]


def as_numpy(value: Any) -> Array:
    """A copy of a tensor or a variable."""
    array: Array = np.array(keras.ops.convert_to_numpy(value))
    return array
