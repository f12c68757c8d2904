"""A recipe in PyTorch: the values that turn the templates into train.py, weights.py and data.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xgraph.recipe import Recipe
from xgraph.recipe.images_plan import data_values
from xgraph.recipe.initializers import plan_initializers
from xgraph.recipe.losses import Loss
from xgraph.recipe.prose import docstring_lines, number
from xgraph.recipe.schedule_plan import schedule_function, steps


@dataclass(frozen=True)
class ModelFacts:
    """What training must know of a model.

    Attributes:
        name: the spec's name.
        input_shape: (height, width, channels).
        classes: length of the main logits.
        outputs: name and loss weight of each output. The first is the main one, whose weight is 1
            where it says None; another without a weight takes no part in training.
        initializers: canonical name of each kernel → canonical text of its initializer.
        layers: names that the model takes from layers.py.
        composites: whether some class is a composite op's, whose weights go by the op's words.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    outputs: tuple[tuple[str, float | None], ...]
    initializers: Mapping[str, str]
    layers: frozenset[str] = frozenset()
    composites: bool = False


def training_context(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """Values for data.py.jinja, weights.py.jinja and train.py.jinja; `header` is the caller's.

    Raises:
        SpecError: XG603, the recipe cannot train this model.
    """
    return {
        "title": facts.name,
        "data": data_values(recipe, facts.input_shape),
        "weights": _weights(facts),
        "train": _train(recipe, facts),
    }


def _train(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    doc = " ".join(filter(None, (recipe.doc, recipe.source and f"Source: {recipe.source}.")))
    return {
        "title": f"Train {facts.name} with the recipe {recipe.name}.",
        "doc": [*docstring_lines(doc), ""] if doc else [],
        "imports": _imports(recipe),
        "constants": _constants(recipe, facts),
        "output": f'"runs/{facts.name}"',
        "schedule": schedule_function(recipe.schedule),
        "cadence": ", ".join(
            steps(period)
            for period in (recipe.every.log, recipe.every.evaluate, recipe.every.checkpoint)
        ),
        **_loss(recipe.loss, facts),
        **_optimizer(recipe),
        **_average(recipe),
    }


def _imports(recipe: Recipe) -> list[str]:
    standard = ["argparse", "json", "math", "os", "signal", "sys", "threading", "time"]
    if recipe.average:
        standard.insert(1, "copy")
    return [
        *(f"import {name}" for name in standard),
        "from collections.abc import Iterator",
        "from dataclasses import dataclass",
        "from pathlib import Path",
        "from typing import Any",
        "",
        "import numpy as np",
        "import torch",
        "from torch import nn",
        "from torch.utils.data import DataLoader",
        "from tqdm import tqdm",
        "",
        "import data",
        "from model import create_model, load_weights, save_weights",
        *(["from weights import canonical_weights"] if recipe.regularization else []),
    ]


def _constants(recipe: Recipe, facts: ModelFacts) -> list[str]:
    top = {f"top{k}": min(k, facts.classes) for k in recipe.metrics}
    lines = [f"EPOCHS = {recipe.epochs:_}", f"BATCH_SIZE = {recipe.batch_size:_}"]
    if recipe.optimizer.momentum:
        lines.append(f"MOMENTUM = {number(recipe.optimizer.momentum)}")
    if recipe.regularization:
        lines.append(f"L2 = {number(recipe.regularization.rate)}")
    if recipe.average:
        lines.append(f"AVERAGE_DECAY = {number(recipe.average.decay)}")
    if recipe.loss.label_smoothing:
        lines.append(f"LABEL_SMOOTHING = {number(recipe.loss.label_smoothing)}")
    kept = '"model", "averaged"' if recipe.average else '"model"'
    return [
        *lines,
        f'PRECISION = "{recipe.precision}"',
        "",
        f"CLASSES = {facts.classes}",
        "TOP_K = {" + ", ".join(f'"{name}": {k}' for name, k in top.items()) + "}",
        "",
        "Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]  # images and labels",
        'DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}',
        f'PARTS = ({kept}, "optimizer", "scaler")  # of a checkpoint',
    ]


def _optimizer(recipe: Recipe) -> dict[str, Any]:
    momentum, nesterov = recipe.optimizer.momentum, recipe.optimizer.nesterov
    settings = (", momentum=MOMENTUM" if momentum else "") + (", nesterov=True" if nesterov else "")
    name = "SGD with Nesterov momentum" if nesterov else "SGD with momentum" if momentum else "SGD"
    doc = f"{name}; the rate is set before every update."
    if recipe.regularization is None:
        lines = [f"return torch.optim.SGD(model.parameters(){settings})"]
        return {"optimizer_doc": doc, "optimizer": lines}
    return {
        "optimizer_doc": f"{name}, and L2 on kernels only; the rate is set before every update.",
        "optimizer": [
            "weights = canonical_weights(model)",
            "kernels = [w.tensor for w in weights if w.is_kernel]",
            "others = [w.tensor for w in weights if not w.is_kernel and w.tensor.requires_grad]",
            "groups = [",
            '    {"params": kernels, "weight_decay": L2},  # gradient += L2 * kernel',
            '    {"params": others, "weight_decay": 0.0},  # biases, gamma and beta',
            "]",
            f"return torch.optim.SGD(groups{settings})",
        ],
    }


def _loss(loss: Loss, facts: ModelFacts) -> dict[str, Any]:
    """The loss of one output, and where there are several, their weighted sum."""
    smoothing = ", label_smoothing=LABEL_SMOOTHING" if loss.label_smoothing else ""
    (main, main_weight), *others = facts.outputs
    several = bool(others) or main_weight not in (None, 1)
    name = "cross_entropy" if several else "loss_function"
    lines = [
        f"def {name}(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:",
        '    """Softmax cross entropy, mean over the batch."""',
        f"    return nn.functional.cross_entropy(logits.float(), labels{smoothing})",
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


def _weighted_loss(facts: ModelFacts) -> list[str]:
    (main, main_weight), *others = facts.outputs
    weighted = [(main, 1.0 if main_weight is None else main_weight)]
    weighted += [(name, weight) for name, weight in others if weight is not None]
    terms = [
        ("" if weight == 1 else f"{number(weight)} * ")
        + (
            f'cross_entropy(outputs["{name}"], labels)'
            if others
            else "cross_entropy(logits, labels)"
        )
        for name, weight in weighted
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


def _average(recipe: Recipe) -> dict[str, Any]:
    if recipe.average is None:
        return {
            "average": [],
            "create_average": [],
            "update_average": [],
            "parts": "model, optimizer, scaler",
            "evaluated": "model",
        }
    return {
        "average": (_AVERAGE_WARMUP if recipe.average.warmup else _AVERAGE).splitlines(),
        "create_average": ["averaged = copy.deepcopy(model).requires_grad_(False)"],
        "update_average": ["update_average(averaged, model, step)"],
        "parts": "model, averaged, optimizer, scaler",
        "evaluated": "averaged",
    }


_AVERAGE_BODY = """\
    average = [*averaged.parameters(), *averaged.buffers()]
    current = [*model.parameters(), *model.buffers()]
    for a, w in zip(average, current, strict=True):
        if a.is_floating_point():  # all but batch norm's count of batches
            a.lerp_(w, 1 - decay)


"""

_AVERAGE_WARMUP = (
    '''\
@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, step: int) -> None:
    """After update `step`, from 0: a ← d·a + (1 − d)·w, d = min(decay, (1 + t) / (10 + t)).

    Batch norm's moving statistics are averaged as the weights are. Evaluation uses the average.
    """
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
'''
    + _AVERAGE_BODY
)

_AVERAGE = (
    '''\
@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, step: int) -> None:
    """After update `step`: a ← d·a + (1 − d)·w.

    Batch norm's moving statistics are averaged as the weights are. Evaluation uses the average.
    """
    decay = AVERAGE_DECAY
'''
    + _AVERAGE_BODY
)


def _weights(facts: ModelFacts) -> dict[str, Any]:
    """Only the layers and initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    separable = "SeparableConv2d" in facts.layers
    depthwise = "DepthwiseConv2d" in facts.layers
    cases, layout, layers = [], [], []
    if separable:
        layers.append("SeparableConv2d")
        cases += _SEPARABLE_CASE
        layout.append("depthwise_kernel   (height, width, in, multiplier)")
        layout.append("pointwise_kernel   (1, 1, in * multiplier, out)")
    if depthwise:
        layers.insert(0, "DepthwiseConv2d")
        cases += _DEPTHWISE_CASE
        layout[:1] = ["depthwise_kernel   (height, width, in, multiplier)"]
    cases += _CONV_CASE
    cases[0] = cases[0].removeprefix("el")
    standard = ["hashlib", *(["math"] if plan.needs_math else []), "os"]
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
            *(["", f"from layers import {', '.join(layers)}"] if layers else []),
        ],
        "layout_doc": layout,
        "layer_cases": cases,
        "walk": _COMPOSITE_WALK if facts.composites else _WALK,
        "layer_helpers": _DEPTHWISE_VIEW if layers else [],
        "draw": plan.draw,
        "initializers": plan.functions,
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

_SEPARABLE_CASE = """\
elif isinstance(layer, SeparableConv2d):
    pointwise = layer.pointwise
    yield "depthwise_kernel", layer.depthwise.weight, depthwise_view(layer.depthwise)
    yield "pointwise_kernel", pointwise.weight, pointwise.weight.permute(2, 3, 1, 0)
    yield "bias", pointwise.bias, pointwise.bias
""".splitlines()

_DEPTHWISE_CASE = """\
elif isinstance(layer, DepthwiseConv2d):
    yield "depthwise_kernel", layer.weight, depthwise_view(layer)
    yield "bias", layer.bias, layer.bias
""".splitlines()

_CONV_CASE = """\
elif isinstance(layer, nn.Conv2d):
    yield "kernel", layer.weight, layer.weight.permute(2, 3, 1, 0)
    yield "bias", layer.bias, layer.bias
""".splitlines()

_DEPTHWISE_VIEW = '''\
def depthwise_view(layer: nn.Conv2d) -> torch.Tensor:
    """Weight (in * multiplier, 1, height, width) as (height, width, in, multiplier)."""
    return layer.weight.unflatten(0, (layer.in_channels, -1)).squeeze(2).permute(2, 3, 0, 1)


'''.splitlines()
