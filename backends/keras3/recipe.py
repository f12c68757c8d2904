"""A recipe in Keras 3: the values that turn the templates into train.py, weights.py and data.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xgraph_backends.keras3.lowering import STARTS
from xgraph_backends.keras3.training.spelling import SPELLINGS

from xgraph.emit.contributions import Contribution
from xgraph.emit.data_text import data_values
from xgraph.emit.layer_weights import layer_starts, mask_key
from xgraph.emit.source import call_lines
from xgraph.emit.training import contribution, state_lines
from xgraph.recipe import Recipe
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.initializers import plan_initializers, without_indices
from xgraph.recipe.prose import number
from xgraph.recipe.schedules.base import Words
from xgraph.recipe.train_values import schedule_lines, train_values
from xgraph.wrapping import LINE, broken

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
    data = data_values(recipe, facts.input_shape)
    return {**context, "data": data, "train": _train(recipe, facts)}


def _train(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    added = contribution(recipe, SPELLINGS) + (_DROPOUT if facts.drops else Contribution())
    values = train_values(recipe, facts)
    (main, _), *others = facts.outputs
    trained = [name for name, _ in facts.loss_weights]
    outputs = f'model.output["{main}"]' if others else "model.output"
    lines: list[str] = []
    if len(trained) > 1:
        names = ", ".join(f'"{name}"' for name in trained)
        lines = broken(f"outputs = {{name: model.output[name] for name in ({names})}}", LINE - 8)
        outputs = "outputs"
    made = [*lines, f"self.trained = Trained(model.input, {outputs})"]
    which = f"The output `{main}`" if others else "The model"
    doc = "Loss and accuracy of all images"
    scaled = recipe.precision == "float16"
    return {
        **values,
        "schedule": schedule_lines(recipe, _WORDS),
        "import_lines": _IMPORTS,
        "library": added.definitions | _needed(added) | {"named"} | {*_measures(recipe).values()},
        **_loss(added.at("loss"), recipe, facts),
        **_optimizer(added, recipe),
        "metrics": _metrics(recipe),
        "base": "WithEma" if recipe.ema else "keras.Model",
        "trained": made,
        "create": added.at("create"),
        "state": state_lines(_COPY, added.at("state")),
        "load": added.at("load"),
        "functions": added.at("functions"),
        "compiled": _SCALED if scaled else "self.optimizer",
        "slots": [*added.at("slots"), *(_SCALING_SLOTS if scaled else ())],
        "policy": "float32" if recipe.precision == "float32" else f"mixed_{recipe.precision}",
        "evaluate_doc": f"{doc}, of the output `{main}` alone." if others else f"{doc}.",
        "evaluation_doc": f"{which} compiled for `evaluate`; the weights are the model's own.",
        "evaluation_output": f'model.output["{main}"]' if others else "model.output",
        "evaluated": "self.ema" if recipe.ema else "self.model",
    }


_WORDS = Words(cos="keras.ops.cos", pi="math.pi", minimum="keras.ops.minimum")

_IMPORTS = """\
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import data
from loader import Batches, Following, Loaded, find_device
from model import create_model, load_weights, save_weights
from parts import {parts}
from run import Plan, Recipe, Run, carry_out, create_parser
"""

_COPY = "{name: np.array(keras.ops.convert_to_numpy(slot.value)) for name, slot in slots}"
#: The masks of dropout follow from how many it has drawn.
_DROPOUT = Contribution(
    definitions=frozenset({"passes", "set_passes"}),
    places={
        "state": ('"dropout.passes": passes(self.model),',),
        "load": ('set_passes(self.model, state["dropout.passes"])',),
    },
)
_SCALED = "keras.optimizers.LossScaleOptimizer(self.optimizer, 2.0**16, dynamic_growth_steps=2000)"
_SCALING_SLOTS = (
    '"scaling.scale": self.trained.optimizer.dynamic_scale,',
    '"scaling.updates": self.trained.optimizer.step_counter,',
)


def _needed(added: Contribution) -> frozenset[str]:
    return frozenset({"kernels_of"} if "self.kernels" in "".join(added.at("gradients")) else ())


def _measures(recipe: Recipe) -> dict[str, str]:
    """The function of the library for each kind of metric."""
    functions = {"top": "any_of_top_k" if recipe.loss.many else "top_k", "map": "average_precision"}
    return {metric.how: functions[metric.how] for metric in recipe.metrics}


def _metrics(recipe: Recipe) -> list[str]:
    """Lines that make the list of metrics."""
    each = [
        f"*(mean({function}, name, k=k) for name, k in {how.upper()}_K.items())"
        for how, function in _measures(recipe).items()
    ]
    if len(each) == 1:
        return [f"metrics = [{each[0].removeprefix('*(').removesuffix(')')}]"]
    return ["metrics = [", *(f"    {one}," for one in each), "]"]


def _optimizer(added: Contribution, recipe: Recipe) -> dict[str, Any]:
    """A class for what is done to gradients, if anything is, and what makes the optimizer."""
    name, arguments = added.at("optimizer")
    lines: list[str] = []
    if added.at("gradients"):
        kernels = "self.kernels" in "".join(added.at("gradients"))
        build = [
            "    def build(self, variables: list[keras.Variable]) -> None:",
            '        """Note which are kernels, while they have the names that Keras gave them."""',
            "        super().build(variables)",
            "        kernels = kernels_of(variables)",
            "        self.kernels = lambda: kernels  # a list would count as the optimizer's own",
            "",
        ]
        said = ", ".join(part.said for part in (recipe.clip, recipe.regularization) if part)
        lines = [
            f"class Optimizer({name}):",
            f'    """{recipe.optimizer.said}, with what is done to gradients before: {said}."""',
            "",
            *(build if kernels else []),
            "    def apply(self, grads: list[Tensor], trainable_variables: Any = None) -> None:",
            '        """One update of all weights."""',
            *(f"        {line}" for line in added.at("gradients")),
            "        super().apply(grads, trainable_variables)",
            "",
            "",
        ]
        name = "Optimizer"
    made = f"{name}(LearningRate(plan){arguments})"
    return {"optimizer_class": lines, "optimizer": call_lines("return ", made, "", LINE - 4)}


def _loss(lines: list[str], recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """The loss of each image of one output, and where there are several, their weighted sum."""
    trained = facts.loss_weights
    several = len(trained) > 1
    weighted = several or trained[0][1] != 1
    name = "cross_entropy" if weighted else "loss_function"
    said = recipe.loss.said
    loss = [
        f"def {name}(labels: Tensor, logits: Tensor) -> Tensor:",
        f'    """{said[0].upper()}{said[1:]} of each image."""',
        "    logits = keras.ops.cast(logits, keras.config.floatx())",
        *(f"    {line}" for line in lines),
    ]
    if weighted:
        loss += ["", "", *(_weighted_loss(trained) if several else _scaled_loss(trained[0][1]))]
    return {"loss": loss, "evaluation_loss": name}


def _weighted_loss(trained: tuple[tuple[str, float], ...]) -> list[str]:
    first, *others = (
        ("" if weight == 1 else f"{number(weight)} * ")
        + f'cross_entropy(labels, outputs["{name}"])'
        for name, weight in trained
    )
    *between, last = others
    return [
        "def loss_function(labels: Tensor, outputs: dict[str, Tensor]) -> Tensor:",
        '    """What training minimizes: the outputs\' cross entropies by their weights."""',
        f"    loss = {first}",
        *(f"    loss = loss + {term}" for term in between),
        f"    return loss + {last}",
    ]


def _scaled_loss(weight: float) -> list[str]:
    return [
        "def loss_function(labels: Tensor, logits: Tensor) -> Tensor:",
        '    """What training minimizes: the cross entropy by its weight."""',
        f"    return {number(weight)} * cross_entropy(labels, logits)",
    ]


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
    }
    starts = {layer: line for layer, line in STARTS.items() if layer in used}
    standard = sorted({"hashlib", *plan.modules, "os", *(["re"] if renamed else [])})
    return {
        "imports": [
            *(f"import {name}" for name in standard),
            "from pathlib import Path",
            "",
            "import keras",
            "import numpy as np",
            "from safetensors import SafetensorError",
            "from safetensors.numpy import load_file, save",
            *(["", f"from layers import {', '.join(starts)}"] if starts else []),
        ],
        "layer_starts": layer_starts(starts, "for layer in model.layers:"),
        "layout_doc": [line for word, line in layout.items() if word in words],
        "renamed": _renamed(renamed) if renamed else [],
        "canonical": _CANONICAL_RENAMED if renamed else _CANONICAL,
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
