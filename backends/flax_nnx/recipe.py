"""A recipe in Flax NNX: the values that make the templates train.py, weights.py and data.py."""

from __future__ import annotations

from typing import Any

from xgraph_backends.flax_nnx.lowering import LAYER_WEIGHTS, NORMS

from xgraph.emit.data_text import data_values
from xgraph.emit.layer_weights import layer_values
from xgraph.recipe import Recipe
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.initializers import plan_initializers
from xgraph.recipe.losses import Loss
from xgraph.recipe.prose import number
from xgraph.recipe.train_values import metric_constants, recipe_constants, train_values


def training_context(
    recipe: Recipe | None, facts: ModelFacts, layers: frozenset[str], composites: bool = False
) -> dict[str, Any]:
    """Values for data.py.jinja, weights.py.jinja and train.py.jinja; `header` is the caller's.

    Args:
        recipe: how to train; without one there are values for weights.py.jinja alone.
        facts: what is trained.
        layers: names that the model takes from layers.py.
        composites: whether some class is a composite op's, whose weights go by the op's words.

    Raises:
        SpecError: XG603, the recipe cannot train this model.
    """
    context = {"weights": _weights(facts, layers, composites)}
    if recipe is None:
        return context
    data = data_values(recipe, facts.input_shape)
    return {**context, "data": data, "train": _train(recipe, facts)}


def _train(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    return {
        **train_values(recipe, facts),
        "checkpoint": "checkpoint.safetensors",
        "imports": _IMPORTS,
        "constants": [
            *recipe_constants(recipe),
            "",
            *metric_constants(recipe, facts),
            "",
            *_TYPES,
        ],
        **_loss(recipe.loss, facts),
        **_optimizer(recipe),
        **_average(recipe),
        "norms": [
            f"model.set_attributes({norm}, promote_dtype=as_given, raise_if_not_found=False)"
            for norm in NORMS
        ],
    }


_IMPORTS = """\
import argparse
import json
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from safetensors import safe_open
from safetensors.numpy import load_file, save
from tqdm import tqdm

import data
from model import create_model, load_weights, save_weights
""".splitlines()

_TYPES = """\
Batches = Iterator[tuple[jax.Array, jax.Array]]  # images and labels
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float16": jnp.float16}
""".splitlines()


def _optimizer(recipe: Recipe) -> dict[str, Any]:
    momentum, nesterov = recipe.optimizer.momentum, recipe.optimizer.nesterov
    name = "SGD with Nesterov momentum" if nesterov else "SGD with momentum" if momentum else "SGD"
    lines, steps = [], []
    if recipe.regularization:
        name += ", and L2 on kernels only"
        state = "nnx.state(model, nnx.Param)"
        lines.append(f'kernels = nnx.map_state(lambda path, _: path[-1] == "kernel", {state})')
        steps.append("optax.add_decayed_weights(L2, kernels),  # gradient += L2 * kernel")
    if momentum:
        steps.append(f"optax.trace(MOMENTUM{', nesterov=True' if nesterov else ''}),")
    if steps:
        steps.append("scale_by_rate(),")
        lines += ["transformation = optax.chain(", *(f"    {step}" for step in steps), ")"]
    else:
        lines.append("transformation = scale_by_rate()")
    return {
        "optimizer_doc": f"{name}; the rate is given to every update.",
        "optimizer": [*lines, "return nnx.Optimizer(model, transformation, wrt=nnx.Param)"],
    }


def _loss(loss: Loss, facts: ModelFacts) -> dict[str, Any]:
    """The loss of one output, and where there are several, their weighted sum."""
    (main, main_weight), *others = facts.outputs
    several = bool(others) or main_weight not in (None, 1)
    name = "cross_entropy" if several else "loss_function"
    lines = [
        f"def {name}(logits: jax.Array, labels: jax.Array) -> jax.Array:",
        '    """Softmax cross entropy, mean over the batch, in float32 at least."""',
        "    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))",
        *(_SMOOTHED if loss.label_smoothing else _PLAIN),
    ]
    if not others:
        evaluated, doc = "model(images)", "Loss and accuracy of all images."
    else:
        evaluated = f'model(images)["{main}"]'
        doc = f"Loss and accuracy of all images, of the output `{main}` alone."
    if several:
        lines += ["", "", *_weighted_loss(facts)]
    return {
        "loss": lines,
        "outputs": "outputs" if others else "logits",
        "evaluate_doc": doc,
        "evaluation_logits": evaluated,
        "evaluation_loss": name,
    }


_PLAIN = [
    "    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()",
]

_SMOOTHED = [
    "    targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)",
    "    targets = optax.smooth_labels(targets, LABEL_SMOOTHING)",
    "    return optax.softmax_cross_entropy(logits, targets).mean()",
]


def _weighted_loss(facts: ModelFacts) -> list[str]:
    others = facts.outputs[1:]
    terms = [
        ("" if weight == 1 else f"{number(weight)} * ")
        + (
            f'cross_entropy(outputs["{name}"], labels)'
            if others
            else "cross_entropy(logits, labels)"
        )
        for name, weight in facts.loss_weights
    ]
    kind = "outputs: dict[str, jax.Array]" if others else "logits: jax.Array"
    *before, last = terms
    body = [f"    loss = {before[0]}"] if before else []
    body += [f"    loss = loss + {term}" for term in before[1:]]
    body.append(f"    return loss + {last}" if before else f"    return {last}")
    return [
        f"def loss_function({kind}, labels: jax.Array) -> jax.Array:",
        '    """What training minimizes: the outputs\' cross entropies by their weights."""',
        *body,
    ]


def _average(recipe: Recipe) -> dict[str, Any]:
    if recipe.average is None:
        return {
            "average": [],
            "create_average": [],
            "cached_average": [],
            "update_average": [],
            "parts": '{"model": model, "optimizer": optimizer}',
            "evaluated": "model",
        }
    return {
        "average": (_AVERAGE_WARMUP if recipe.average.warmup else _AVERAGE).splitlines(),
        "create_average": ["averaged = nnx.clone(model, arrays=True)"],
        "cached_average": [
            "cached_average = nnx.cached_partial(update_average, averaged, model)",
        ],
        "update_average": ["cached_average(step)"],
        "parts": '{"model": model, "averaged": averaged, "optimizer": optimizer}',
        "evaluated": "averaged",
    }


_AVERAGE_BODY = """\
    averages, weights = (nnx.state(m, (nnx.Param, nnx.BatchStat)) for m in (averaged, model))
    nnx.update(averaged, jax.tree.map(lambda a, w: a + share * (w - a), averages, weights))


"""

_AVERAGE_WARMUP = (
    '''\
@nnx.jit(donate_argnames="averaged")
def update_average(averaged: nnx.Module, model: nnx.Module, step: int) -> None:
    """After update `step`, from 0: a ← d·a + (1 − d)·w, d = min(decay, (1 + t) / (10 + t)).

    Batch norm's moving statistics are averaged as the weights are. Evaluation uses the average.
    """
    share = jnp.maximum(1 - AVERAGE_DECAY, 9 / (10 + step))  # 1 − d, exact where d is almost 1
'''
    + _AVERAGE_BODY
)

_AVERAGE = (
    '''\
@nnx.jit(donate_argnames="averaged")
def update_average(averaged: nnx.Module, model: nnx.Module, step: int) -> None:
    """After update `step`: a ← d·a + (1 − d)·w.

    Batch norm's moving statistics are averaged as the weights are. Evaluation uses the average.
    """
    share = 1 - AVERAGE_DECAY
'''
    + _AVERAGE_BODY
)


def _weights(facts: ModelFacts, used: frozenset[str], composites: bool) -> dict[str, Any]:
    """Only the layers and initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    layers = layer_values(LAYER_WEIGHTS, used, "for _, layer in nnx.iter_modules(model):")
    standard = sorted({"hashlib", *plan.modules, "os"})
    return {
        "imports": [
            *(f"import {name}" for name in standard),
            "from collections.abc import Iterator",
            "from pathlib import Path",
            "",
            "import jax.numpy as jnp",
            "import numpy as np",
            "from flax import nnx",
            "from safetensors import SafetensorError",
            "from safetensors.numpy import load_file, save",
            *layers["layer_imports"],
        ],
        **layers,
        "walk": _COMPOSITE_WALK if composites else _WALK,
        "draw": [line.replace("tuple(view.shape)", "weight.shape") for line in plan.draw],
        "initializers": plan.functions,
    }


_WALK = """\
for name, child in vars(module).items():  # nnx.iter_children would sort them by name
    if isinstance(child, nnx.Module):
        yield from _walk(child, f"{path}{name.rstrip('_')}.")
""".splitlines()

#: Also honours `weight_names` of the class of a composite op: its words for its steps' weights.
_COMPOSITE_WALK = """\
words = getattr(module, "weight_names", None)
for name, child in vars(module).items():  # nnx.iter_children would sort them by name
    if isinstance(child, nnx.Module):
        for found, variable in _walk(child, f"{path}{name.rstrip('_')}."):
            own = found.removeprefix(path)
            yield found if words is None else path + words[own], variable
""".splitlines()
