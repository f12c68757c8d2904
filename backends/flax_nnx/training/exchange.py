"""What a server and its workers have of each other: weights and gradients, as arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from weights import canonical_weights

# A server and a worker may have one GPU, of which JAX would take most for each.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def weights(training: Any) -> dict[str, np.ndarray]:
    """A copy of every weight and statistic, by canonical name."""
    return {
        name: np.array(weight[...]) for name, weight in canonical_weights(training.model).items()
    }


def set_weights(training: Any, given: Mapping[str, np.ndarray]) -> None:
    """Copy those that are given into the model."""
    for name, weight in canonical_weights(training.model).items():
        if name in given:
            weight.set_value(jnp.array(given[name], weight.dtype))


def gradients(
    training: Any, images: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss of a batch of images (B, H, W, C), and its gradients; statistics move."""
    loss, made = training.gradients(images, labels)
    names = _names(training)
    return float(loss), {names[path]: np.array(leaf[...]) for path, leaf in nnx.to_flat_state(made)}


def update(training: Any, step: int, given: Mapping[str, np.ndarray], rate: float) -> None:
    """Update `step`, from 0, by these gradients."""
    names = _names(training)
    trained = nnx.to_flat_state(nnx.state(training.model, training.optimizer.wrt))
    made = [(path, leaf.replace(jnp.array(given[names[path]]))) for path, leaf in trained]
    training.apply(step, nnx.from_flat_state(made), rate)


def _names(training: Any) -> dict[Any, str]:
    """Canonical names by where a state has the weights."""
    names = {id(weight): name for name, weight in canonical_weights(training.model).items()}
    everything = nnx.to_flat_state(nnx.state(training.model))
    return {path: names[id(leaf)] for path, leaf in everything if id(leaf) in names}
