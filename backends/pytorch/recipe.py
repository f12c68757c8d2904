"""A recipe in PyTorch: the values that turn the templates into train.py, weights.py and data.py."""

from __future__ import annotations

from typing import Any

from xgraph_backends.pytorch.lowering import LAYER_WEIGHTS
from xgraph_backends.pytorch.training.spelling import SPELLINGS

from xgraph.emit.contributions import Contribution
from xgraph.emit.data_text import data_values
from xgraph.emit.layer_weights import layer_values
from xgraph.emit.source import indented
from xgraph.emit.training import (
    Hits,
    contribution,
    loss_values,
    losses,
    measured,
    stacked,
    state_lines,
)
from xgraph.recipe import Recipe
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.initializers import plan_initializers
from xgraph.recipe.train_values import metric_kinds, train_values
from xgraph.wrapping import LINE, broken


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
    data = data_values(recipe, facts.input_shape, facts.classes)
    return {**context, "data": data, "train": _train(recipe, facts)}


def _train(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    added = contribution(recipe, facts, SPELLINGS) + measured(recipe, _HITS, SPELLINGS.measures)
    several = len(facts.outputs) > 1
    sums = " + ".join(["1", *(f"len({kind.constant()})" for kind in metric_kinds(recipe))])
    outputs, main = ("outputs", f'["{facts.outputs[0][0]}"]') if several else ("logits", "")
    return {
        **train_values(recipe, facts),
        "import_lines": _IMPORTS,
        "library": added.definitions,
        **_optimizer(added),
        **loss_values(added, facts, "torch.Tensor", recipe.loss.said, "mean over the batch"),
        "update_method": _update(added, outputs),
        **losses(added, _BATCHES),
        "zeros": added.one("zeros", "0").format(sums=sums),
        "start": added.one("start", "start"),
        "run": added.one("run", "Run"),
        "evaluation": _under(added.at("forward"), f"logits = model(images){main}"),
        "totals": stacked("totals += ", "torch.stack", ["loss.double()", *added.at("scores")], 2),
        **{place: added.at(place) for place in _PLACES},
        "state": state_lines(_COPY, added.at("state")),
        "evaluated": added.one("evaluated", "self.model"),
    }


def _update(added: Contribution, outputs: str) -> list[str]:
    """The methods of an update: one, or where gradients are of use alone, three."""
    batch = "images: torch.Tensor, labels: torch.Tensor"
    rate = 'rate * group["factor"]' if added.at("factors") else "rate"
    rates = ["for group in self.optimizer.param_groups:", f'    group["lr"] = {rate}']
    made = ["self.optimizer.zero_grad()", *_gradients(added, outputs)]
    taken = [*added.at("before_step"), *added.at("step"), *added.at("after_step")]
    loss = added.one("returned", "loss.detach()")
    loss = added.one("together", "{loss}").format(loss=loss)
    update = [
        "def update(",
        f"    self, step: int, {batch}, rate: float",
        ") -> torch.Tensor:",
        '    """Update `step`, from 0, at this learning rate; returns the loss before it."""',
    ]
    if not added.at("apart"):
        lines = [*added.at("begin"), *rates, *made, *taken, f"return {loss}"]
        return [*update, *indented(lines)]
    return [
        *update,
        "    loss = self.gradients(images, labels)",
        "    self.apply(step, rate)",
        "    return loss",
        "",
        f"def gradients(self, {batch}) -> torch.Tensor:",
        '    """Make the gradients of a batch; returns its loss."""',
        *indented([*added.at("begin"), *made, f"return {loss}"]),
        "",
        "def apply(self, step: int, rate: float) -> None:",
        '    """Update `step`, from 0, at this learning rate, by the gradients that there are."""',
        *indented([*rates, *taken]),
    ]


def _optimizer(added: Contribution) -> dict[str, Any]:
    """Lines that make the optimizer, and the weights that it has."""
    lines = []
    weights, frozen = added.one("groups", ""), added.at("weights")
    if not weights:
        weights = "model.parameters()"
        if frozen:
            lines = [f"weights = {frozen[0]}"]
            weights = "weights"
        if added.at("factors"):
            weights = f'[{{"params": {weights}}}]'
    if added.at("factors"):
        lines += broken(f"groups = rate_groups(model, {weights}, RATES)", LINE - 4)
        weights = "groups"
    made = added.one("optimizer", "").format(weights=weights)
    return {
        "optimizer": [*lines, f"return {made}"],
        "counted": "model.parameters()" + (" if weight.requires_grad" if frozen else ""),
    }


_PLACES = (
    *("prepare", "create", "precision", "slots", "load", "hits", "ready"),
    *("layers", "usage", "sums", "own_keys", "held_out", "arguments"),
)
_BATCHES = "batches = load_batches(run.dataset, keys, device, run.arguments.workers)"

_IMPORTS = """\
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import data
from arguments import create_parser, positive
from async_run import AsyncRun, asynchronously
from inference import answer
from loader import Batches, find_device, load_batches
from model import create_model, load_weights, save_weights
from parts import {parts}
from processes import share_of_batch
from run import Plan, Recipe, Run, carry_out
from shared_run import SharedRun, together
from weights import canonical_weights
"""

_COPY = "{name: slot.cpu().numpy().copy() for name, slot in self.slots().items()}"
#: `topk` says nothing of the order of equal ones.
_BEST = "best = logits.argsort(dim=1, descending=True, stable=True)[:, : {most}]"
_HITS = Hits(
    single=(_BEST, "hits = best == labels[:, None]"),
    many=(_BEST, "hits = labels.gather(1, best) > 0"),
)


def _gradients(added: Contribution, outputs: str) -> list[str]:
    """Lines that make the gradients of a batch, in parts if something is done in each of them."""
    factors = added.at("weight") + added.at("share")
    lines = [
        *_under(added.at("forward"), f"{outputs} = self.forward(images)"),
        f"loss = loss_function({outputs}, labels{added.one('passed', '')}){''.join(factors)}",
        *added.at("backward"),
    ]
    parts, each = added.at("parts"), added.at("each")
    return [*parts, *indented([*added.at("within"), *lines, *each])] if parts else lines


def _under(contexts: list[str], line: str) -> list[str]:
    """A line under `with` statements, if there are any."""
    return [*contexts, *([f"    {line}"] if contexts else [line])]


def _weights(facts: ModelFacts, used: frozenset[str], composites: bool) -> dict[str, Any]:
    """Only the layers and initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    each = "for layer in model.modules():", "for path, layer in model.named_modules():"
    layers = layer_values(LAYER_WEIGHTS, used, facts.ops, *each)
    standard = sorted({"difflib", "hashlib", "json", *plan.modules, "os"})
    return {
        "imports": [
            *(f"import {name}" for name in standard),
            "from collections.abc import Collection, Iterator",
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
