"""What a server and its workers have of each other: weights and gradients, as arrays."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from arguments import UserError
from weights import canonical_weights

# A server and a worker may have one GPU, all of which TensorFlow would take for each.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def weights(training: Any) -> dict[str, np.ndarray]:
    """A copy of every weight and statistic, by canonical name."""
    return {name: np.array(weight) for name, weight in canonical_weights(training.model).items()}


def set_weights(training: Any, given: Mapping[str, np.ndarray]) -> None:
    """Copy those that are given into the model."""
    for name, weight in canonical_weights(training.model).items():
        if name in given:
            weight.assign(given[name])


def gradients(
    training: Any, images: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of a batch of images (B, H, W, C), and its gradients; statistics move."""
    make, _ = _steps(training)
    loss, made = make(images, labels)
    return float(loss), dict(zip(_names(training), map(np.array, made), strict=True))


def update(training: Any, step: int, given: Mapping[str, np.ndarray], rate: float) -> None:
    """Update `step`, from 0, by these gradients; by it, the optimizer knows the `rate`."""
    _, take = _steps(training)
    training.optimizer.iterations.assign(step)
    take([given[name] for name in _names(training)])


@functools.cache
def _names(training: Any) -> list[str]:
    """The canonical names of what is trained."""
    names = {id(weight): name for name, weight in canonical_weights(training.model).items()}
    return [names[id(variable)] for variable in training.variables]


@functools.cache
def _steps(training: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """What makes gradients, and what makes an update of them.

    Raises:
        UserError: Keras does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError("Keras has workers on TensorFlow alone")
    import tensorflow as tf

    trained, variables = training.trained, training.variables
    compiled = tf.function(jit_compile=trained.jit_compile, reduce_retracing=True)

    @compiled
    def make(images: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = trained.compute_loss(images, labels, trained(images, training=True))
        return loss, tape.gradient(loss, [variable.value for variable in variables])

    @compiled
    def take(made: Any) -> None:
        training.optimizer.apply(made, variables)
        if hasattr(trained, "average"):
            trained.average()

    return make, take
