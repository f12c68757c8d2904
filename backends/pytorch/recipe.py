"""A recipe in PyTorch: the values that turn the templates into train.py, weights.py and data.py."""

from __future__ import annotations

from typing import Any

from xgraph_backends.pytorch.lowering import LAYER_WEIGHTS
from xgraph_backends.pytorch.training.spelling import SPELLINGS

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
    [made] = added.at("optimizer")
    scaling = _SCALING if recipe.precision == "float16" else Contribution()
    groups = added.at("groups") or ["model.parameters()"]
    return {
        **values,
        "import_lines": _IMPORTS,
        "library": added.definitions | scaling.definitions | {"named"} | _measured(recipe),
        "optimizer": made.format(weights=groups[0]),
        **_loss(added.at("loss"), recipe, facts),
        **_precision(recipe, facts),
        **_metrics(recipe),
        **{place: [*scaling.at(place), *added.at(place)] for place in _PLACES},
        "state": state_lines(_COPY, [*scaling.at("state"), *added.at("state")]),
        "evaluated": "self.ema.model" if recipe.ema else "self.model",
    }


_PLACES = ("create", "before_step", "after_step", "slots", "load")

_IMPORTS = """\
import copy
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import data
from loader import Batches, find_device, load_batches
from model import create_model, load_weights, save_weights
from parts import {parts}
from run import Plan, Recipe, Run, carry_out, create_parser
from weights import canonical_weights
"""


_COPY = "{name: slot.cpu().numpy().copy() for name, slot in self.slots().items()}"
#: The masks of dropout follow from how many it has drawn.
_DROPOUT = Contribution(
    definitions=frozenset({"passes", "set_passes"}),
    places={
        "state": ('"dropout.passes": passes(self.model),',),
        "load": ('set_passes(self.model, state["dropout.passes"])',),
    },
)
#: What float16 needs so that small gradients do not vanish.
_SCALING = Contribution(
    definitions=frozenset({"scaler_state", "load_scaler"}),
    places={
        "create": ("self.scaler = torch.amp.GradScaler(next(model.parameters()).device.type)",),
        "before_step": ("self.scaler.unscale_(self.optimizer)",),
        "state": ("**scaler_state(self.scaler),",),
        "load": ("load_scaler(self.scaler, state)",),
    },
)


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
    if hows == {"top"} and not recipe.loss.many:
        hits = [f"hits = logits.topk({most}).indices == labels[:, None]"]
        return {"hits": hits, "scores": "*(hits[:, :k].sum() for k in TOP_K.values())"}
    hits = [
        "labels = multi_hot(labels, CLASSES)",
        f"hits = labels.gather(1, logits.topk({most}).indices) > 0",
    ]
    top = "*(hits[:, :k].any(1).sum() for k in TOP_K.values())"
    scores = [top] if "top" in hows else []
    if "map" in hows:
        precision = "average_precision(hits, labels.sum(1), k).sum()"
        hits.append(f"precisions = [{precision} for k in MAP_K.values()]")
        scores.append("*precisions")
    return {"hits": hits, "scores": ", ".join(scores)}


def _precision(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """How a step computes: in which type, and in float16 with a scaled loss."""
    outputs = "outputs" if len(facts.outputs) > 1 else "logits"
    main = f'["{facts.outputs[0][0]}"]' if len(facts.outputs) > 1 else ""
    forward, evaluation = f"{outputs} = self.forward(images)", f"logits = model(images){main}"
    values: dict[str, Any] = {
        "outputs": outputs,
        "forward": [forward],
        "evaluation": [evaluation],
        "backward": ["loss.backward()"],
        "step": ["self.optimizer.step()"],
    }
    if recipe.precision == "float32":
        return values
    autocast = f"with torch.autocast(images.device.type, torch.{recipe.precision}):"
    if recipe.precision == "float16":
        values["backward"] = ["self.scaler.scale(loss).backward()"]
        values["step"] = ["self.scaler.step(self.optimizer)", "self.scaler.update()"]
    values["forward"] = [autocast, f"    {forward}"]
    values["evaluation"] = [autocast, f"    {evaluation}"]
    return values


def _loss(lines: list[str], recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """The loss of one output, and where there are several, their weighted sum."""
    (main, main_weight), *others = facts.outputs
    several = bool(others) or main_weight not in (None, 1)
    name = "cross_entropy" if several else "loss_function"
    said = recipe.loss.said
    cast = "logits = logits.to(torch.promote_types(logits.dtype, torch.float32))"
    loss = [
        f"def {name}(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:",
        f'    """{said[0].upper()}{said[1:]}, mean over the batch."""',
        *([f"    {cast}"] if recipe.precision != "float32" else []),
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
    kind = "outputs: dict[str, torch.Tensor]" if others else "logits: torch.Tensor"
    *before, last = terms
    body = [f"    loss = {before[0]}"] if before else []
    body += [f"    loss = loss + {term}" for term in before[1:]]
    body.append(f"    return loss + {last}" if before else f"    return {last}")
    return [
        f"def loss_function({kind}, labels: torch.Tensor) -> torch.Tensor:",
        '    """What training minimizes: the outputs\' cross entropies by their weights."""',
        *body,
    ]


def _weights(facts: ModelFacts, used: frozenset[str], composites: bool) -> dict[str, Any]:
    """Only the layers and initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    each = "for layer in model.modules():", "for path, layer in model.named_modules():"
    layers = layer_values(LAYER_WEIGHTS, used, *each)
    standard = sorted({"hashlib", *plan.modules, "os"})
    return {
        "imports": [
            *(f"import {name}" for name in standard),
            "from collections.abc import Iterator",
            "from pathlib import Path",
            "from typing import Any, NamedTuple",
            "",
            "import numpy as np",
            "import torch",
            "from safetensors import SafetensorError",
            "from safetensors.torch import load_file, save",
            "from torch import nn",
            *layers["layer_imports"],
        ],
        **layers,
        "walk": _COMPOSITE_WALK if composites else _WALK,
        "draw": plan.draw,
        "initializers": [*layers["mask_key"], *plan.functions],
    }


_WALK = """\
for name, child in module.named_children():
    yield from _walk(child, f"{path}{name.rstrip('_')}.")
""".splitlines()

#: Also honours `weight_names` of the class of a composite op: its words for its steps' weights.
_COMPOSITE_WALK = """\
words = getattr(module, "weight_names", None)
for name, child in module.named_children():
    for weight in _walk(child, f"{path}{name.rstrip('_')}."):
        own = weight.name.removeprefix(path)
        yield weight if words is None else weight._replace(name=path + words[own])
""".splitlines()
