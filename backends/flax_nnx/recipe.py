"""A recipe in Flax NNX: the values that make the templates train.py, weights.py and data.py."""

from __future__ import annotations

import re
from typing import Any

from xgraph_backends.flax_nnx.lowering import LAYER_WEIGHTS
from xgraph_backends.flax_nnx.training.spelling import SPELLINGS

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
    data = data_values(recipe, facts.input_shape, facts.classes)
    return {**context, "data": data, "train": _train(recipe, facts)}


def _train(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    added = _by_part(contribution(recipe, facts, SPELLINGS)) + measured(
        recipe, _HITS, SPELLINGS.measures
    )
    main = f'["{facts.outputs[0][0]}"]' if len(facts.outputs) > 1 else ""
    values = train_values(recipe, facts)
    wrt, passed = added.one("wrt", ""), added.one("passed", "")
    sharding, placed = added.one("sharding", ""), added.at("placed")
    trained = f", argnums=nnx.DiffState(0, {wrt})" if wrt else ""
    gradients = [
        line.format(passed=passed, wrt=trained, sharding=sharding)
        for line in added.at("accumulated") or added.at("gradients")
    ]
    return {
        **values,
        "constants": [*values["constants"], *added.at("constants")],
        "import_lines": _IMPORTS,
        "library": added.definitions,
        "optimizer": _optimizer(added),
        **loss_values(_CAST + added, facts, "jax.Array", recipe.loss.said, _MEAN),
        "totals": stacked("return ", "jnp.stack", ["loss", *added.at("scores")], 1),
        **{place: added.at(place) for place in _PLACES},
        **_update(added, gradients),
        **_main(added),
        **losses(added, _BATCHES),
        "wrt": wrt or "nnx.Param",
        "placed": [line.format(training="training") for line in placed],
        "load": [*added.at("load"), *(line.format(training="self") for line in placed)],
        "run": added.one("run", "Run"),
        "state": state_lines(_COPY, added.at("state")),
        "evaluation": f"model(images){main}",
        "evaluated": added.one("evaluated", "self.model"),
    }


_PLACES = (
    "types",
    "precision",
    "prepare",
    "create",
    "slots",
    "usage",
    "hits",
    "ready",
)

_IMPORTS = """\
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec

import data
from arguments import create_parser, positive
from async_run import AsyncRun, asynchronously
from inference import answer
from loader import Batches, find_device, load_batches
from model import create_model, load_weights, save_weights
from parts import {parts}
from processes import mesh
from run import Plan, Recipe, Run, carry_out
from shared_run import SharedRun, together
from weights import canonical_weights, initialize
"""


def _update(added: Contribution, gradients: list[str]) -> dict[str, list[str]]:
    """Lines of an update, and where gradients are of use alone, the methods that these call."""
    step = [*added.at("step"), *added.at("after_step")]
    if not added.at("apart"):
        return {"update_lines": [*gradients, *step], "methods": []}
    made, taken = (
        [re.sub(r"\btraining\b", "self", line) for line in lines] for lines in (gradients, step)
    )
    methods = [
        "@nnx.jit",
        "def gradients(self, images: jax.Array, labels: jax.Array) -> tuple[jax.Array, nnx.State]:",
        '    """The loss of a batch, and its gradients."""',
        *(line.rstrip() for line in indented([*made, "return loss, gradients"])),
        "",
        '@nnx.jit(donate_argnames="self")',
        "def apply(self, step: int, gradients: nnx.State, rate: float) -> None:",
        '    """Update `step`, from 0, at this learning rate, by these gradients."""',
        *indented(taken),
        "",
    ]
    lines = [
        "loss, gradients = training.gradients(images, labels)",
        "training.apply(step, gradients, rate)",
    ]
    return {"update_lines": lines, "methods": methods}


def _main(added: Contribution) -> dict[str, list[str]]:
    """Lines that run the program."""
    start, more = added.one("start", "start"), added.at("arguments")
    if not more:
        return {"main": [f"carry_out(create_parser(__doc__, RECIPE), RECIPE, {start})"]}
    made = "parser = create_parser(__doc__, RECIPE)"
    return {"main": [made, *more, f"carry_out(parser, RECIPE, {start})"]}


_BATCHES = "batches = load_batches(run.dataset, keys, run.arguments.workers)"


def _optimizer(added: Contribution) -> list[str]:
    """Lines that make `transformation`, what is done to gradients from first to last."""
    steps = [line for place in _ORDER for line in added.at(place)]
    lines = []
    state = f"nnx.state(model, {added.one('wrt', 'nnx.Param')})"
    if added.at("kernels"):
        lines.append(f'kernels = nnx.map_state(lambda path, _: path[-1] == "kernel", {state})')
    if added.at("factors"):
        lines.append(f"factors = factors_of({state}, RATES)")
    if len(steps) == 1:
        return [*lines, f"transformation = {steps[0].removesuffix(',')}"]
    return [*lines, "transformation = optax.chain(", *(f"    {step}" for step in steps), ")"]


_ORDER = ("clip", "decay", "optimizer", "decoupled")
#: Steps that the learning rate enters, each of which may have the factor of a weight's part.
_RATED = ("scale_by_rate()", "times_rate()", "decay_by_rate(WEIGHT_DECAY)")


def _by_part(added: Contribution) -> Contribution:
    """The same with the factors of rates, if there are any."""
    if not added.at("factors"):
        return added
    places = dict(added.places)
    for place in _ORDER:
        for rated in _RATED:
            lines = places.get(place, ())
            places[place] = tuple(x.replace(rated, f"by_parts({rated}, factors)") for x in lines)
    return Contribution(added.definitions | {"by_parts"}, places)


_MEAN = "mean over the batch, in float32 at least"
_PROMOTED = "logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))"
_CAST = Contribution(places={"logits": (_PROMOTED,)})
_COPY = "{name: np.array(variable[...]) for name, variable in self.slots().items()}"
_BEST = "_, best = jax.lax.top_k(logits, {most})"
_HITS = Hits(
    single=(_BEST, "hits = best == labels[:, None]"),
    many=(_BEST, "hits = jnp.take_along_axis(labels, best, axis=1) > 0"),
)


def _weights(facts: ModelFacts, used: frozenset[str], composites: bool) -> dict[str, Any]:
    """Only the layers and initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    each, each_path = (f"for {p}, layer in nnx.iter_modules(model):" for p in ("_", "path"))
    layers = layer_values(LAYER_WEIGHTS, used, facts.ops, each, each_path)
    standard = sorted({"difflib", "hashlib", "json", *plan.modules, "os"})
    return {
        "imports": [
            *(f"import {name}" for name in standard),
            "from collections.abc import Collection, Iterator",
            "from pathlib import Path",
            "from typing import Any",
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
