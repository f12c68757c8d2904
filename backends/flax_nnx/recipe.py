"""A recipe in Flax NNX: the values that make the templates train.py, weights.py and data.py."""

from __future__ import annotations

from typing import Any

from xgraph_backends.flax_nnx.lowering import LAYER_WEIGHTS
from xgraph_backends.flax_nnx.training.spelling import SPELLINGS

from xgraph.emit.contributions import Contribution
from xgraph.emit.data_text import data_values
from xgraph.emit.layer_weights import layer_values
from xgraph.emit.training import contribution, state_lines
from xgraph.recipe import Recipe
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.initializers import plan_initializers
from xgraph.recipe.prose import number
from xgraph.recipe.train_values import train_values


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
    added = contribution(recipe, SPELLINGS) + (_DROPOUT if facts.drops else Contribution())
    values = train_values(recipe, facts)
    several = len(facts.outputs) > 1
    scaling = _SCALING if recipe.precision == "float16" else {"create": [], "slots": []}
    main = f'["{facts.outputs[0][0]}"]' if several else ""
    return {
        **values,
        "import_lines": _IMPORTS,
        "library": added.definitions | {"named"} | _PRECISE[recipe.precision] | _measured(recipe),
        "optimizer": _optimizer(added),
        **_loss(added.at("loss"), recipe, facts),
        **_precision(recipe),
        **_metrics(recipe),
        "create": [*added.at("create"), *scaling["create"]],
        "slots": [*added.at("slots"), *scaling["slots"]],
        "after_step": added.at("after_step"),
        "state": state_lines(_COPY, added.at("state")),
        "load": added.at("load"),
        "evaluation": f"model(images){main}",
        "evaluated": "self.ema.model" if recipe.ema else "self.model",
    }


_IMPORTS = """\
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import data
from loader import Batches, find_device, load_batches
from model import create_model, load_weights, save_weights
from parts import {parts}
from run import Plan, Recipe, Run, carry_out, create_parser
from weights import canonical_weights
"""


def _optimizer(added: Contribution) -> list[str]:
    """Lines that make `transformation`, what is done to gradients from first to last."""
    steps = [line for place in _ORDER for line in added.at(place)]
    lines = []
    if added.at("kernels"):
        state = "nnx.state(model, nnx.Param)"
        lines.append(f'kernels = nnx.map_state(lambda path, _: path[-1] == "kernel", {state})')
    if len(steps) == 1:
        return [*lines, f"transformation = {steps[0].removesuffix(',')}"]
    return [*lines, "transformation = optax.chain(", *(f"    {step}" for step in steps), ")"]


_ORDER = ("clip", "decay", "optimizer", "decoupled")


def _measured(recipe: Recipe) -> frozenset[str]:
    """What metrics take from the library."""
    maps = any(metric.how == "map" for metric in recipe.metrics)
    names = {"average_precision"} if maps else set()
    return frozenset(names | ({"multi_hot"} if maps or recipe.loss.many else set()))


def _metrics(recipe: Recipe) -> dict[str, Any]:
    """How hits among the best classes are found and counted."""
    hows = {metric.how for metric in recipe.metrics}
    ks = ", ".join(f"*{how.upper()}_K.values()" for how in ("top", "map") if how in hows)
    most = f"max({ks})" if len(hows) > 1 else f"max({ks.removeprefix('*')})"
    best = f"_, best = jax.lax.top_k(logits, {most})"
    if hows == {"top"} and not recipe.loss.many:
        hits = [best, "hits = best == labels[:, None]"]
        return {"hits": hits, "scores": "*(hits[:, :k].sum() for k in TOP_K.values())"}
    hits = [
        "labels = multi_hot(labels, CLASSES)",
        best,
        "hits = jnp.take_along_axis(labels, best, axis=1) > 0",
    ]
    top = "*(hits[:, :k].any(1).sum() for k in TOP_K.values())"
    scores = [top] if "top" in hows else []
    if "map" in hows:
        precision = "average_precision(hits, labels.sum(1), k).sum()"
        hits.append(f"precisions = [{precision} for k in MAP_K.values()]")
        scores.append("*precisions")
    return {"hits": hits, "scores": ", ".join(scores)}


def _precision(recipe: Recipe) -> dict[str, Any]:
    """How a step computes: in which type, and in float16 with a scaled loss."""
    name = recipe.precision
    set_it = [] if name == "float32" else [f"set_precision(model, jnp.{name})"]
    return {"precision": set_it, "gradients": _GRADIENTS[name], "step": _STEP[name]}


_PLAIN_GRADIENTS = """\

def objective(model: nnx.Module) -> jax.Array:
    return loss_function(model(images), labels)

loss, gradients = nnx.value_and_grad(objective)(training.model)
""".splitlines()

_SCALED_GRADIENTS = """\

def objective(model: nnx.Module) -> tuple[jax.Array, jax.Array]:
    loss = loss_function(model(images), labels)
    return training.scaling.scale * loss, loss

gradients, loss = nnx.grad(objective, has_aux=True)(training.model)
""".splitlines()

_GRADIENTS = {
    "float32": _PLAIN_GRADIENTS,
    "bfloat16": _PLAIN_GRADIENTS,
    "float16": _SCALED_GRADIENTS,
}
_PLAIN_STEP = ["training.optimizer.update(training.model, gradients, rate=rate)"]
_SCALED_STEP = ["training.scaling.update(training.model, training.optimizer, gradients, rate)"]
_COPY = "{name: np.array(variable[...]) for name, variable in self.slots().items()}"
#: The masks of dropout follow from how many it has drawn.
_DROPOUT = Contribution(
    definitions=frozenset({"passes", "set_passes"}),
    places={
        "state": ('"dropout.passes": passes(self.model),',),
        "load": ('set_passes(self.model, state["dropout.passes"])',),
    },
)
_SCALING = {
    "create": ["self.scaling = LossScale()"],
    "slots": [
        '"scaling.scale": self.scaling.scale,',
        '"scaling.updates": self.scaling.updates,',
    ],
}
#: What a precision takes from the library.
_PRECISE: dict[str, frozenset[str]] = {
    "float32": frozenset(),
    "bfloat16": frozenset({"set_precision"}),
    "float16": frozenset({"set_precision", "LossScale"}),
}
_STEP = {"float32": _PLAIN_STEP, "bfloat16": _PLAIN_STEP, "float16": _SCALED_STEP}


def _loss(lines: list[str], recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """The loss of one output, and where there are several, their weighted sum."""
    (main, main_weight), *others = facts.outputs
    several = bool(others) or main_weight not in (None, 1)
    name = "cross_entropy" if several else "loss_function"
    said = recipe.loss.said
    loss = [
        f"def {name}(logits: jax.Array, labels: jax.Array) -> jax.Array:",
        f'    """{said[0].upper()}{said[1:]}, mean over the batch, in float32 at least."""',
        "    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))",
        *(f"    {line}" for line in lines),
    ]
    doc = "Loss and accuracy of all images"
    return {
        "loss": [*loss, "", "", *_weighted_loss(facts)] if several else loss,
        "evaluate_doc": f"{doc}, of the output `{main}` alone." if others else f"{doc}.",
        "evaluation_loss": name,
    }


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


def _weights(facts: ModelFacts, used: frozenset[str], composites: bool) -> dict[str, Any]:
    """Only the layers and initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    each, each_path = (f"for {p}, layer in nnx.iter_modules(model):" for p in ("_", "path"))
    layers = layer_values(LAYER_WEIGHTS, used, each, each_path)
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
        "initializers": [*layers["mask_key"], *plan.functions],
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
