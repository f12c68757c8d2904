"""A training run in NumPy: what the parts of a recipe do together, update by update.

The model is the smallest in which every part has something to do: a batch norm without scale and
center, whose statistics are averaged, and a dense layer, whose kernel decays and whose bias does
not. Its gradients are written out, so that no framework takes part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import Array
from xgraph.recipe.recipe import Recipe
from xgraph.recipe.schedules.base import Plan

MOMENTUM, EPSILON = 0.9, 1e-3

#: The model as a spec.
SPEC = json.dumps(
    {
        "xgraph": 1,
        "name": "reference",
        "input": {"shape": [2, 2, 3]},
        "graph": [
            {
                "batch_norm": {
                    "momentum": MOMENTUM,
                    "epsilon": EPSILON,
                    "scale": False,
                    "center": False,
                },
                "name": "norm",
            },
            {"flatten": {}, "name": "flat"},
            {"dense": {"units": 4}, "name": "logits"},
        ],
        "outputs": {"logits": "logits"},
    }
)


@dataclass(frozen=True)
class Length:
    """How long a run is; see `xgraph.recipe.schedules.base.Plan`."""

    batch_size: int
    steps_per_epoch: int
    total_steps: int
    rate: float


@dataclass(frozen=True)
class Update:
    """The loss before an update, and all that it left, by the names of a checkpoint."""

    loss: float
    state: dict[str, Array]


def train(
    recipe: Recipe, weights: dict[str, Array], batches: Iterable[tuple[Array, Array]], plan: Plan
) -> Iterator[Update]:
    """Train on batches of images (B, 2, 2, 3) and labels.

    Args:
        recipe: how.
        weights: at the start, by canonical name.
        batches: float64 images and their labels.
        plan: how long.
    """
    import numpy as np

    weights = {name: np.array(value, np.float64) for name, value in weights.items()}
    ema = dict(weights)
    trained = ("logits.kernel", "logits.bias")
    memory = {
        name: {
            word: np.full_like(weights[name], start)
            for word, start in recipe.optimizer.memories.items()
        }
        for name in trained
    }
    for t, (images, labels) in enumerate(batches):
        rate = recipe.schedule.reference(t, plan)
        mean, variance = images.mean((0, 1, 2)), images.var((0, 1, 2))
        for name, value in (("moving_mean", mean), ("moving_variance", variance)):
            kept = weights[f"norm.{name}"]
            weights[f"norm.{name}"] = MOMENTUM * kept + (1 - MOMENTUM) * value
        x = ((images - mean) / np.sqrt(variance + EPSILON)).reshape(len(images), -1)
        logits = x @ weights["logits.kernel"] + weights["logits.bias"]
        loss = recipe.loss.reference(logits, labels)
        of_logits = recipe.loss.gradient(logits, labels)
        gradients = {"logits.kernel": x.T @ of_logits, "logits.bias": of_logits.sum(0)}
        if recipe.clip is not None:
            gradients = recipe.clip.reference(gradients)
        if recipe.regularization is not None:
            kernel = weights["logits.kernel"]
            gradients["logits.kernel"] += recipe.regularization.added(kernel)
            weights["logits.kernel"] = recipe.regularization.decayed(kernel, rate)
        for name in trained:
            is_kernel = name.endswith("kernel")
            weights[name] = recipe.optimizer.step(
                weights[name], gradients[name], memory[name], rate, t, is_kernel
            )
        if recipe.ema is not None:
            ema = {name: recipe.ema.reference(ema[name], weights[name], t) for name in weights}
        yield Update(loss, _state(recipe, weights, ema, memory, t))


def _state(
    recipe: Recipe,
    weights: dict[str, Array],
    ema: dict[str, Array],
    memory: dict[str, dict[str, Array]],
    t: int,
) -> dict[str, Any]:
    state = {f"model.{name}": value for name, value in weights.items()}
    if recipe.ema is not None:
        state |= {f"ema.{name}": value for name, value in ema.items()}
    for name, kept in memory.items():
        state |= {f"optimizer.{word}.{name}": value for word, value in kept.items()}
    if recipe.optimizer.counts:
        import numpy as np

        state["optimizer.updates"] = np.array(t + 1)
    return state
