"""A recipe in Keras 3: the values that turn the templates into train.py, weights.py and data.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xgraph_backends.keras3.lowering import STARTS
from xgraph_backends.keras3.training.spelling import SPELLINGS

from xgraph.emit.contributions import Contribution
from xgraph.emit.data_text import data_values
from xgraph.emit.layer_weights import layer_starts, mask_key
from xgraph.emit.source import call_lines, indented
from xgraph.emit.training import (
    contribution,
    evaluate_doc,
    loss_lines,
    loss_names,
    state_lines,
    weighted_loss,
)
from xgraph.recipe import Recipe
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.initializers import plan_initializers, without_indices
from xgraph.recipe.schedules.base import Words
from xgraph.recipe.train_values import metric_kinds, schedule_lines, train_values
from xgraph.text import docstring
from xgraph.wrapping import LINE, broken, fitted

_NOTHING_RENAMED: Mapping[str, str] = {}


def training_context(
    recipe: Recipe | None,
    facts: ModelFacts,
    renamed: Mapping[str, str] = _NOTHING_RENAMED,
    used: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Values for data.py.jinja, weights.py.jinja and train.py.jinja; `header` is the caller's.

    Args:
        recipe: how to train; without one there are values for weights.py.jinja alone.
        facts: what is trained.
        renamed: the weights that Keras calls by another name, its name → the canonical one.
        used: the names that the model takes from layers.py.

    Raises:
        SpecError: XG603, the recipe cannot train this model.
    """
    context = {"weights": _weights(facts, renamed, used)}
    if recipe is None:
        return context
    data = data_values(recipe, facts.input_shape, facts.classes)
    return {**context, "data": data, "train": _train(recipe, facts)}


def _train(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    added = contribution(recipe, facts, SPELLINGS) + _measured(recipe)
    bases = [*added.at("bases")[::-1], "MeanLoss"]  # what acts first on an update is the innermost
    followed, values = "".join(added.at("followed")), train_values(recipe, facts)
    names = values["metric_names"]
    return {
        **values,
        "schedule": schedule_lines(recipe, _WORDS),
        "import_lines": _IMPORTS,
        "library": added.definitions | {"arrays", "MeanLoss"},
        **_loss(added, recipe, facts),
        "passed": added.one("passed", ""),
        **_optimizer(added, recipe),
        "bases": ", ".join(bases),
        "trained": _trained(facts),
        "compile": [_COMPILE.format(added.one("compiled", "self.optimizer"))],
        "policy": added.one("policy", ""),
        "floatx": recipe.computes_in,
        **{place: added.at(place) for place in _PLACES},
        "create": fitted([line.format(followed=followed) for line in added.at("create")], LINE - 8),
        "fit": added.at("fit") or _FIT,
        "measured": [line.format(names=names) for line in added.at("measured") or _MEASURED],
        "trains": added.at("trains") or _TRAINS,
        "usage": [*(added.at("runs_on") or _RUNS_ON), *added.at("usage")],
        "start": added.one("start", "start"),
        "run": added.one("run", "Run"),
        "state": state_lines("arrays(self.slots())", added.at("state")),
        "evaluate_doc": evaluate_doc(facts),
        "evaluation": _evaluation(added, facts, recipe),
        "evaluated": added.one("evaluated", "self.model"),
    }


def _trained(facts: ModelFacts) -> list[str]:
    """Lines that make the model that `fit` trains, of the outputs that have a loss."""
    trained = [name for name, _ in facts.loss_weights]
    if len(trained) > 1:
        names = ", ".join(f'"{name}"' for name in trained)
        lines = broken(f"outputs = {{name: model.output[name] for name in ({names})}}", LINE - 8)
        return [*lines, "self.trained = Trained(model.input, outputs)"]
    outputs = f'model.output["{trained[0]}"]' if len(facts.outputs) > 1 else "model.output"
    return [f"self.trained = Trained(model.input, {outputs})"]


def _evaluation(added: Contribution, facts: ModelFacts, recipe: Recipe) -> list[str]:
    """Lines that make the model that is evaluated, of the same weights and one output."""
    of, (main, _) = added.one("evaluated", "model"), facts.outputs[0]
    logits = f'{of}.output["{main}"]' if len(facts.outputs) > 1 else f"{of}.output"
    loss = loss_names(bool(added.at("weighted")), _is_weighted(facts))[0]
    return [
        f"self.evaluated = keras.Model({of}.input, {logits})",
        "mean = keras.metrics.MeanMetricWrapper",
        *_list("metrics", added.at("metrics")),
        f"self.evaluated.compile(loss={loss}, metrics=metrics, jit_compile=jit_compile or JIT)",
    ]


_PLACES = (
    "precision",
    "prepare",
    "slots",
    "load",
    "held_out",
    "ready",
    "own_keys",
    "arguments",
)
_COMPILE = "self.trained.compile({}, jit_compile=jit_compile or JIT)"
_FIT = [
    "training.optimizer.iterations.assign(first_step)",
    "told = Callbacks(callbacks, training.trained)",
    "training.trained.fit(batches, shuffle=False, verbose=0, callbacks=told)",
]
_MEASURED = [
    "found = self.evaluated.evaluate(batches, verbose=0, callbacks=told, return_dict=True)",
    "return {{name: found[name] for name in ({names})}}",
]
_TRAINS = [
    "batches = Batches(run.dataset, keys, run.last_step - run.step, run.arguments.workers)",
    "if run.step < run.last_step:",
    "    fit(training, batches, run.step, [Loaded(batches), Following(run, held_out)])",
]
_RUNS_ON = [
    "It is Keras alone and runs on what KERAS_BACKEND names: "
    "tensorflow (the default), jax or torch."
]
_WORDS = Words(cos="keras.ops.cos", pi="math.pi", minimum="keras.ops.minimum")

_IMPORTS = """\
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

import data
from arguments import UserError, create_parser, positive
from async_run import AsyncRun, asynchronously
from inference import answer
from loader import JIT, Batches, Callbacks, Following, Loaded, find_device
from model import create_model, load_weights, save_weights
from parts import {parts}
from run import Plan, Recipe, Run, carry_out
from shared_run import SharedRun, together
"""


def _measured(recipe: Recipe) -> Contribution:
    """The metrics, items of a list."""
    kinds = metric_kinds(recipe)
    measures = [SPELLINGS.measures[kind] for kind in kinds]
    functions = [m.many if recipe.loss.many else m.single or m.many for m in measures]
    items = (
        f"*(mean({function}, name, k=k) for name, k in {kind.constant()}.items())"
        for function, kind in zip(functions, kinds, strict=True)
    )
    return Contribution(frozenset(functions), {"metrics": tuple(items)})


def _list(name: str, items: list[str]) -> list[str]:
    """Lines that make a list of what generators give."""
    if len(items) == 1:
        return [f"{name} = [{items[0].removeprefix('*(').removesuffix(')')}]"]
    return [f"{name} = [", *(f"    {item}," for item in items), "]"]


_NOTE = "Note {}, while they have the names that Keras gave them."
#: What an optimizer notes of its weights: what it is, and how it is found.
_NOTED = {
    "kernels": ("which are kernels", "kernels_of(variables)"),
    "factors": ("the factors of their rates", "factors_of(variables, RATES)"),
}


def _optimizer(added: Contribution, recipe: Recipe) -> dict[str, Any]:
    """A class for a step that differs from weight to weight, and what makes the optimizer."""
    name, arguments = added.at("optimizer")
    lines: list[str] = []
    noted = {word: said for word, said in _NOTED.items() if added.at(word)}
    if noted:
        decay = f", {recipe.regularization.said}" if recipe.regularization else ""
        lines = [
            f"class Optimizer({name}):",
            *indented(docstring(f"{recipe.optimizer.said}{decay}.")),
            "",
            *_build(noted),
            *_update_step(added),
            "",
        ]
        name = "Optimizer"
    rate = added.one("rate", "LearningRate(plan)")
    made = f"{name}({rate}{arguments}{''.join(added.at('settings'))})"
    if not added.at("rate"):
        return {"optimizer_class": lines, "optimizer": call_lines("return ", made, "", LINE - 4)}
    made_lines = [*call_lines("optimizer = ", made, "", LINE - 4), "return optimizer"]
    return {"optimizer_class": lines, "optimizer": made_lines}


def _build(noted: Mapping[str, tuple[str, str]]) -> list[str]:
    """A method that notes something of each weight when the optimizer is given them."""
    what = " and ".join(said for said, _ in noted.values())
    return [
        "    def build(self, variables: list[keras.Variable]) -> None:",
        *indented(indented(docstring(_NOTE.format(what), depth=2))),
        "        super().build(variables)",
        *(f"        self.{word} = {found}" for word, (_, found) in noted.items()),
        "",
    ]


_OF_A_STEP = ("self", "gradient: Tensor", "variable: Tensor", "learning_rate: Tensor")


def _update_step(added: Contribution) -> list[str]:
    """A method that knows which weight it updates."""
    lines = ["index = self._get_variable_index(variable)"]
    if added.at("factors"):
        lines.append("learning_rate = self.factors[index] * learning_rate")
    if added.at("kernels"):
        lines += ["if self.kernels[index]:", *indented(added.at("kernels"))]
    return [
        f"    def update_step({', '.join(_OF_A_STEP)}) -> None:",
        '        """One update of one weight."""',
        *indented(indented(lines)),
        "        super().update_step(gradient, variable, learning_rate)",
        "",
    ]


def _loss(added: Contribution, recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """The loss of each image of one output, and where there are several, their weighted sum.

    Where there are class weights, training minimizes another than evaluation shows.
    """
    trained, class_weights = facts.loss_weights, added.at("weighted")
    several, weighted = len(trained) > 1, _is_weighted(facts)
    names = loss_names(bool(class_weights), weighted)
    labels, logits = "labels: Tensor", "logits: Tensor"
    more = ["class_weights: Tensor"] if class_weights else []
    said, body = f"{recipe.loss.said} of each image", [_CAST, *added.at("loss")]
    loss = loss_lines(names[0], [labels, logits], "Tensor", said, body)
    if class_weights:
        said, body = f"{recipe.loss.said} of each image by class weights", [_CAST, *class_weights]
        loss += ["", "", *loss_lines(names[1], [labels, logits, *more], "Tensor", said, body)]
    if weighted:
        given = "outputs: dict[str, Tensor]" if several else logits
        one = 'outputs["{}"]' if several else "logits"
        passed = ", class_weights" if class_weights else ""
        terms = [(f"{names[1]}(labels, {one.format(o)}{passed})", weight) for o, weight in trained]
        loss += ["", "", *weighted_loss([labels, given, *more], "Tensor", terms)]
    return {"loss": loss}


def _is_weighted(facts: ModelFacts) -> bool:
    """Whether what is minimized is not the loss of one output as it is."""
    (_, weight), *others = facts.loss_weights
    return bool(others) or weight != 1


_CAST = "logits = keras.ops.cast(logits, keras.config.floatx())"


def _entry(place: str, native: str, ours: str) -> list[str]:
    """An entry of a table, on lines of its own where it is too long."""
    line = f'    "{place}": ("{native}", "{ours}"),'
    if len(line) <= LINE:
        return [line]
    return [f'    "{place}": (', f'        "{native}",', f'        "{ours}",', "    ),"]


def _weights(facts: ModelFacts, renamed: Mapping[str, str], used: frozenset[str]) -> dict[str, Any]:
    """Only the kinds of kernel and the initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    words = {name.rpartition(".")[2] for name in facts.initializers}
    layout = {
        "depthwise_kernel": "depthwise_kernel   (height, width, in, multiplier)",
        "pointwise_kernel": "pointwise_kernel   (1, 1, in * multiplier, out)",
        "embedding": "embedding          (height, width, channels)",
        "query_kernel": "query_kernel, key_kernel, value_kernel, output_kernel  (in, out)",
    }
    if "PositionEmbedding" in used:
        words.add("embedding")
    starts = {layer: line for layer, line in STARTS.items() if layer in used}
    own = sorted({*starts, *({"every_layer"} & used)}, key=lambda name: (name.islower(), name))
    all_layers = "every_layer(model)" if "every_layer" in used else "model.layers"
    canonical = _CANONICAL_RENAMED if renamed else _CANONICAL
    standard = sorted(
        {"difflib", "hashlib", "json", *plan.modules, "os", *(["re"] if renamed else [])}
    )
    return {
        "imports": [
            *(f"import {name}" for name in standard),
            "from collections.abc import Collection",
            "from pathlib import Path",
            "from typing import Any",
            "",
            "import keras",
            "import numpy as np",
            "from safetensors import SafetensorError",
            "from safetensors.numpy import load_file, save",
            *(["", f"from layers import {', '.join(own)}"] if own else []),
        ],
        "layer_starts": layer_starts(starts, f"for layer in {all_layers}:"),
        "layout_doc": [line for word, line in layout.items() if word in words],
        "renamed": _renamed(renamed) if renamed else [],
        "canonical": [line.replace("model.layers", all_layers) for line in canonical],
        "draw": [line.replace("view.shape", "variable.shape") for line in plan.draw],
        "initializers": [*mask_key(used), *plan.functions],
    }


def _renamed(renamed: Mapping[str, str]) -> list[str]:
    """A table of the names that Keras has other words for, the indices of loops left out."""
    table = {}
    for native, name in renamed.items():
        node, _, word = name.rpartition(".")
        table[without_indices(native)] = (native.removeprefix(f"{node}."), word)
    return [
        "",
        "#: What Keras calls otherwise: how its name ends, and how ours does.",
        "RENAMED = {",
        *(line for place, ends in table.items() for line in _entry(place, *ends)),
        "}",
        *_CANONICAL_NAME,
    ]


_CANONICAL_NAME = '''\


def _canonical_name(name: str) -> str:
    """The name of a weight that Keras may call otherwise; a place in a loop does not matter."""
    native, ours = RENAMED.get(re.sub(r"\\.\\d+", "", name), ("", ""))
    return name.removesuffix(native) + ours
'''.splitlines()


_CANONICAL = """\
return {
    f"{layer.name.replace('-', '.')}.{variable.name}": variable
    for layer in model.layers
    for variable in layer.weights
}
""".splitlines()

_CANONICAL_RENAMED = """\
weights = (
    (f"{layer.name.replace('-', '.')}.{variable.name}", variable)
    for layer in model.layers
    for variable in layer.weights
)
return {_canonical_name(name): variable for name, variable in weights}
""".splitlines()
