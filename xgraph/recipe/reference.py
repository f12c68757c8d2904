"""A training run in NumPy: what the parts of a recipe do together, update by update.

The model is the smallest in which every part has something to do: a batch norm without scale and
center, whose statistics are averaged, and two dense layers, whose kernels decay and whose biases do
not, and of which one may be frozen. Its gradients are written out, so that no framework takes part.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import Array
from xgraph.recipe.distributions.devices import Devices
from xgraph.recipe.recipe import Recipe
from xgraph.recipe.schedules.base import Plan
from xgraph.recipe.tunings.tune import Tune

MOMENTUM, EPSILON = 0.9, 1e-3
LAYERS, WORDS = ("hidden", "logits"), ("kernel", "bias")
STATISTICS = ("norm.moving_mean", "norm.moving_variance")

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
            {"dense": {"units": 5}, "name": "hidden"},
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
    recipe: Recipe,
    weights: dict[str, Array],
    batches: Iterable[tuple[Array, Array]],
    plan: Plan,
    replicas: int = 1,
    versions: Iterable[int] | None = None,
) -> Iterator[Update]:
    """Train on batches of images (B, 2, 2, 3) and labels.

    Args:
        recipe: how.
        weights: at the start, by canonical name.
        batches: float64 images and their labels.
        plan: how long.
        replicas: how many devices share it.
        versions: of each update, after how many updates the weights were of which workers have made
            its gradients; if they are made of the weights as they are, nothing.
    """
    import numpy as np

    weights = {name: np.array(value, np.float64) for name, value in weights.items()}
    ema = dict(weights)
    tune = recipe.tune or Tune()
    factors = {f"{layer}.{word}": tune.factor(layer) for layer in LAYERS for word in WORDS}
    trained = [name for name, factor in factors.items() if factor]
    memory = {
        name: {
            word: np.full_like(weights[name], start)
            for word, start in recipe.optimizer.memories.items()
        }
        for name in trained
    }
    history, behind = [dict(weights)], itertools.count() if versions is None else versions
    share = MOMENTUM if tune.factor("norm") else 1
    for t, ((images, labels), version) in enumerate(zip(batches, behind, strict=False)):
        given = dict(history[version])
        rate = recipe.schedule.reference(t, plan)
        loss = 0.0
        gradients: dict[str, Array] = {name: np.zeros_like(weights[name]) for name in trained}
        parts = (np.split(one, recipe.accumulation) for one in (images, labels))
        for micro_batch in zip(*parts, strict=True):
            part_loss, found = _pass(recipe, tune, given, replicas, *micro_batch)
            loss += part_loss / recipe.accumulation
            for name in trained:
                gradients[name] += found[name] / recipe.accumulation
        for name in STATISTICS:  # of which a worker's batch makes a part
            new = given[name] - share * history[version][name]
            weights[name] = given[name] if version == t else share * weights[name] + new
        if recipe.clip is not None:
            gradients = recipe.clip.reference(gradients)
        for name in trained:
            is_kernel, own = name.endswith("kernel"), rate * factors[name]
            if recipe.regularization is not None and is_kernel:
                gradients[name] += recipe.regularization.added(weights[name])
                weights[name] = recipe.regularization.decayed(weights[name], own)
            weights[name] = recipe.optimizer.step(
                weights[name], gradients[name], memory[name], own, t, is_kernel
            )
        if recipe.ema is not None:
            ema = {name: recipe.ema.reference(ema[name], weights[name], t) for name in weights}
        history.append(dict(weights))
        yield Update(loss, _state(recipe, weights, ema, memory, t))


def _pass(
    recipe: Recipe,
    tune: Tune,
    weights: dict[str, Array],
    replicas: int,
    images: Array,
    labels: Array,
) -> tuple[float, dict[str, Array]]:
    """The loss of a micro-batch and its gradients; moving statistics follow it."""
    import numpy as np

    devices = recipe.devices or Devices("global")
    groups = devices.reference(images, replicas)
    moments = [(group.mean((0, 1, 2)), group.var((0, 1, 2))) for group in groups]
    if tune.factor("norm"):
        mean, variance = (np.mean(values, axis=0) for values in zip(*moments, strict=True))
        for name, value in (("moving_mean", mean), ("moving_variance", variance)):
            kept = weights[f"norm.{name}"]
            weights[f"norm.{name}"] = MOMENTUM * kept + (1 - MOMENTUM) * value
    else:
        moving = weights["norm.moving_mean"], weights["norm.moving_variance"]
        moments = [moving for _ in groups]
    normal = [
        (group - mean) / np.sqrt(variance + EPSILON)
        for group, (mean, variance) in zip(groups, moments, strict=True)
    ]
    x = np.concatenate(normal).reshape(len(images), -1)
    hidden = x @ weights["hidden.kernel"] + weights["hidden.bias"]
    logits = hidden @ weights["logits.kernel"] + weights["logits.bias"]
    loss = recipe.loss.reference(logits, labels)
    of_logits = recipe.loss.gradient(logits, labels)
    of_hidden = of_logits @ weights["logits.kernel"].T
    gradients = {
        "hidden.kernel": x.T @ of_hidden,
        "hidden.bias": of_hidden.sum(0),
        "logits.kernel": hidden.T @ of_logits,
        "logits.bias": of_logits.sum(0),
    }
    return loss, gradients


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
