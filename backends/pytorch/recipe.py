"""A recipe in PyTorch: the values that turn the templates into train.py, weights.py and data.py."""

from __future__ import annotations

from typing import Any

from xgraph_backends.pytorch.lowering import LAYER_WEIGHTS

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
        "checkpoint": "checkpoint.pt",
        "imports": _imports(recipe),
        "constants": _constants(recipe, facts),
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
    kept = '"model", "averaged"' if recipe.average else '"model"'
    return [
        *recipe_constants(recipe),
        "",
        *metric_constants(recipe, facts),
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
        f"    return nn.functional.cross_entropy(logits, labels{smoothing})",
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


def _weights(facts: ModelFacts, used: frozenset[str], composites: bool) -> dict[str, Any]:
    """Only the layers and initializers that the model has."""
    plan = plan_initializers(facts.initializers)
    layers = layer_values(LAYER_WEIGHTS, used, "for layer in model.modules():")
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
