"""A recipe in Keras 3: the values that turn the templates into train.py, weights.py and data.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xgraph_backends.keras3.lowering import STARTS

from xgraph.emit.data_text import data_values
from xgraph.emit.layer_weights import layer_starts
from xgraph.recipe import Recipe
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.initializers import plan_initializers, without_indices
from xgraph.recipe.losses import Loss
from xgraph.recipe.prose import number
from xgraph.recipe.train_values import metric_constants, recipe_constants, train_values
from xgraph.wrapping import LINE

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
    return {
        **train_values(recipe, facts),
        "checkpoint": "checkpoint.safetensors",
        "imports": _imports(recipe),
        "constants": _constants(recipe, facts),
        "channels": facts.input_shape[2],
        **_loss(recipe.loss, facts),
        **_optimizer(recipe),
        **_average(recipe),
    }


def _imports(recipe: Recipe) -> list[str]:
    names = ["canonical_weights", *(["is_kernel"] if recipe.regularization else [])]
    standard = (
        "argparse",
        "contextlib",
        "functools",
        "json",
        "math",
        "os",
        "sys",
        "signal",
        "threading",
        "time",
    )
    return [
        *(f"import {name}" for name in sorted(standard)),
        "from collections.abc import Callable, Sequence",
        "from concurrent.futures import Future, ThreadPoolExecutor",
        "from dataclasses import dataclass",
        "from pathlib import Path",
        "from typing import Any",
        "",
        "import keras",
        "import numpy as np",
        "from safetensors import safe_open",
        "from safetensors.numpy import save_file",
        "from tqdm import tqdm",
        "",
        "import data",
        "from model import create_model, load_weights, save_weights",
        f"from weights import {', '.join(names)}",
    ]


def _constants(recipe: Recipe, facts: ModelFacts) -> list[str]:
    return [
        *recipe_constants(recipe),
        "",
        *metric_constants(recipe, facts),
        "",
        "Tensor = Any  # of the framework that Keras runs on",
        "# What activations and their gradients are; weights stay float32.",
        "POLICIES = {",
        '    "float32": "float32",',
        '    "bfloat16": "mixed_bfloat16",',
        '    "float16": "mixed_float16",',
        "}",
        "# JAX is made to be compiled. TensorFlow's XLA, which Keras would choose as well, takes",
        "# several times as long as TensorFlow without it when it trains on a CPU: --compile asks.",
        'JIT = keras.backend.backend() == "jax"',
    ]


def _loss(loss: Loss, facts: ModelFacts) -> dict[str, Any]:
    """The loss, the model that is trained by it and the one that is evaluated."""
    (main, _), *others = facts.outputs
    trained = facts.loss_weights
    weight = trained[0][1]
    several = len(trained) > 1
    name = "cross_entropy" if several or weight != 1 else "loss_function"
    lines = _cross_entropy(name, loss, several)
    classes = []
    if several:
        lines += ["", "", *_weighted_loss(trained)]
        names = ", ".join(f'"{output}"' for output, _ in trained)
        classes = [
            "",
            "",
            "class Trained(keras.Model):",
            '    """The outputs that training looks at, all of them with the same labels."""',
            "",
            "    def compute_loss(",
            "        self,",
            "        x: Tensor,",
            "        y: Tensor,",
            "        y_pred: dict[str, Tensor],",
            "        sample_weight: None = None,",
            "        training: bool = True,",
            "    ) -> Tensor:",
            '        """What `fit` minimizes."""',
            "        losses = loss_function(y, y_pred)",
            "        # Not `ops.mean`, which on JAX rounds to float32 whatever it is given.",
            "        return keras.ops.divide(keras.ops.sum(losses), keras.ops.size(losses))",
        ]
        made = [
            f"outputs = {{name: model.output[name] for name in ({names})}}",
            "trained = Trained(model.input, outputs)",
        ]
        compiled = "create_optimizer(), jit_compile=jit_compile or JIT"
    elif weight != 1:
        lines += ["", "", *_scaled_loss(weight)]
    if not several:
        made = [f'trained = keras.Model(model.input, model.output["{main}"])'] if others else []
        compiled = "create_optimizer(), loss_function, jit_compile=jit_compile or JIT"
    target = "trained" if made else "model"
    if made:
        doc = "The outputs that have a loss, compiled for `fit`; the weights are the model's own."
    else:
        doc = "Compile the model for `fit`, with an optimizer whose variables exist; returns it."
    output = f'model.output["{main}"]' if others else "model.output"
    which = f"The output `{main}`" if others else "The model"
    return {
        "loss": [*lines, *classes],
        "compile_doc": doc,
        "compile": [
            *made,
            f"{target}.compile({compiled})",
            f"{target}.optimizer.build({target}.trainable_variables)",
            f"return {target}",
        ],
        "evaluation_doc": f"{which} compiled for `evaluate`; the weights are the model's own.",
        "evaluation_output": output,
        "evaluation_loss": name,
    }


def _cross_entropy(name: str, loss: Loss, several: bool) -> list[str]:
    mean = "" if several else ", of which Keras takes the mean over the batch"
    lines = [
        f"def {name}(labels: Tensor, logits: Tensor) -> Tensor:",
        f'    """Softmax cross entropy of each image{mean}."""',
    ]
    if several:
        lines.append("    logits = keras.ops.cast(logits, keras.config.floatx())")
    if not loss.label_smoothing:
        given = "labels, logits, from_logits=True"
        return [*lines, f"    return keras.losses.sparse_categorical_crossentropy({given})"]
    return [
        *lines,
        '    labels = keras.ops.cast(labels, "int32")',
        "    target = keras.ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)",
        "    return keras.losses.categorical_crossentropy(",
        "        target, logits, from_logits=True, label_smoothing=LABEL_SMOOTHING",
        "    )",
    ]


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


def _optimizer(recipe: Recipe) -> dict[str, Any]:
    momentum, nesterov = recipe.optimizer.momentum, recipe.optimizer.nesterov
    l2 = recipe.regularization is not None
    name = "SGD with Nesterov momentum" if nesterov else "SGD with momentum" if momentum else "SGD"
    settings = (", momentum=MOMENTUM" if momentum else "") + (", nesterov=True" if nesterov else "")
    own = bool(momentum) or l2
    return {
        "optimizer_class": _sgd_class(bool(momentum), nesterov, l2) if own else [],
        "optimizer_doc": f"{name}, and L2 on kernels only" if l2 else name,
        "optimizer": f"{'SGD' if own else 'keras.optimizers.SGD'}(0.0{settings})",
    }


def _sgd_class(momentum: bool, nesterov: bool, l2: bool) -> list[str]:
    """Keras' SGD with the update that the recipe means."""
    step = "g + μ·v" if nesterov else "v"
    if momentum:
        doc = [
            f"Momentum that holds gradients: v ← μ·v + g, w ← w − rate·{_paren(step)}.",
            "",
            "Keras' own holds rate·g, and so goes on for a while at the rate before a change.",
        ]
    else:
        doc = ["Gradient descent."]
    if l2:
        doc += ["Kernels have L2: g += λ·w, the slope of λ/2·Σw²."]
    if len(doc) == 1:
        quoted = [f'    """{doc[0]}"""']
    elif not momentum:
        quoted = ['    """Gradient descent. Kernels have L2: g += λ·w, the slope of λ/2·Σw²."""']
    else:
        quoted = [
            f'    """{doc[0]}',
            *(f"    {line}" if line else "" for line in doc[1:]),
            '    """',
        ]
    lines = ["class SGD(keras.optimizers.SGD):", *quoted, ""]
    if l2:
        lines += [
            "    def build(self, variables: list[keras.Variable]) -> None:",
            '        """Note which are kernels, while they have the names that Keras gave them."""',
            "        super().build(variables)",
            "        self.kernels = [is_kernel(variable.name) for variable in variables]",
            "",
        ]
    lines += [
        "    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:",
        '        """One update of one weight."""',
        "        index = self._get_variable_index(variable)",
        "        rate = keras.ops.cast(learning_rate, variable.dtype)",
    ]
    if l2:
        lines += ["        if self.kernels[index]:", "            gradient += L2 * variable"]
    if momentum:
        lines += [
            "        velocity = self.momentum * self.momentums[index] + gradient",
            "        self.assign(self.momentums[index], velocity)",
        ]
    used = "gradient"
    if momentum:
        used = "(gradient + self.momentum * velocity)" if nesterov else "velocity"
    return [*lines, f"        self.assign_sub(variable, rate * {used})", "", ""]


def _paren(text: str) -> str:
    return f"({text})" if "+" in text else text


def _average(recipe: Recipe) -> dict[str, Any]:
    if recipe.average is None:
        return {
            "average": [],
            "fit_average": [],
            "step": "Step(plan, first_step)",
            "step_doc": "What comes before each update: its learning rate.",
            "step_init": _STEP_INIT,
            "step_end": [],
            "create_average": [],
            "state": _STATE,
            "state_arguments": "model, trained.optimizer",
            "evaluated": "model",
            "call_fit": "fit(trained, batches, plan, step, [Loaded(batches), report])",
        }
    return {
        "average": (_AVERAGE_WARMUP if recipe.average.warmup else _AVERAGE).splitlines(),
        "fit_average": ["averaged: keras.Model,"],
        "step": "Step(averaged, plan, first_step)",
        "step_doc": "What comes before and after each update: its learning rate, and the average.",
        "step_init": _STEP_INIT_AVERAGE,
        "step_end": _STEP_END,
        "create_average": [
            "averaged = create_model(arguments.seed)",
            "averaged.set_weights(model.get_weights())",
        ],
        "state": _STATE_AVERAGE,
        "state_arguments": "model, averaged, trained.optimizer",
        "evaluated": "averaged",
        "call_fit": "fit(trained, averaged, batches, plan, step, [Loaded(batches), report])",
    }


_STEP_INIT = """\
def __init__(self, plan: Plan, first_step: int) -> None:
    super().__init__()
    self.plan, self.first_step = plan, first_step
""".splitlines()

_STEP_INIT_AVERAGE = """\
def __init__(self, averaged: keras.Model, plan: Plan, first_step: int) -> None:
    super().__init__()
    self.averaged, self.plan, self.first_step = averaged, plan, first_step
""".splitlines()

_STEP_END = [
    "",
    "    def on_train_batch_end(self, batch: int, logs: object = None) -> None:",
    '        """Average the weights."""',
    "        update_average(self.averaged, self.model, self.first_step + batch)",
]

_AVERAGE_BODY = """\
    average = canonical_weights(averaged)
    for name, weight in canonical_weights(model).items():
        average[name].assign_add((1 - decay) * (weight - average[name]))


"""

_AVERAGE_WARMUP = (
    '''\
def update_average(averaged: keras.Model, model: keras.Model, step: int) -> None:
    """After update `step`, from 0: a ← d·a + (1 − d)·w, d = min(decay, (1 + t) / (10 + t)).

    Batch norm's moving statistics are averaged as the weights are, which an optimizer's `use_ema`
    would leave out. Evaluation uses the average.
    """
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))
'''
    + _AVERAGE_BODY
)

_AVERAGE = (
    '''\
def update_average(averaged: keras.Model, model: keras.Model, step: int) -> None:
    """After update `step`: a ← d·a + (1 − d)·w.

    Batch norm's moving statistics are averaged as the weights are, which an optimizer's `use_ema`
    would leave out. Evaluation uses the average.
    """
    decay = AVERAGE_DECAY
'''
    + _AVERAGE_BODY
)

_NAMED = '''\
def named(model: keras.Model, part: str) -> dict[str, keras.Variable]:
    """The weights of a model as a checkpoint calls them."""
    return {f"{part}.{name}": variable for name, variable in canonical_weights(model).items()}


'''

_STATE_BODY = '''\
    """All that training changes, by its name in a checkpoint."""
    weights = {id(variable) for variable in model.weights}
    random = [v for v in model.non_trainable_variables if id(v) not in weights]  # dropout's
    return {
        **named(model, "model"),
@        **{f"random.{i}": variable for i, variable in enumerate(random)},
        **{f"optimizer.{i}": variable for i, variable in enumerate(optimizer.variables)},
    }
'''

_STATE = (
    _NAMED
    + """\
def training_state(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, keras.Variable]:
"""
    + _STATE_BODY.replace("@", "")
).splitlines()

_STATE_AVERAGE = (
    _NAMED
    + """\
def training_state(
    model: keras.Model, averaged: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, keras.Variable]:
"""
    + _STATE_BODY.replace("@", '        **named(averaged, "averaged"),\n')
).splitlines()


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
        "initializers": plan.functions,
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
