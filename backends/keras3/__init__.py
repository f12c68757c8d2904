"""Keras 3: a functional model in NHWC, a function for each block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from xgraph_backends.keras3 import lowering
from xgraph_backends.keras3.recipe import training_context

from xgraph.backend import Backend, Compilation
from xgraph.emit.assemble import assemble, model_imports, names_in, outputs_doc, reserved_names
from xgraph.emit.functions import FunctionDialect, Layer, write_functions
from xgraph.emit.plan import Apply
from xgraph.emit.planner import plan_model
from xgraph.emit.source import (
    CHANNELS_LAST,
    call_lines,
    declared,
    docstring,
    passed_on,
    signature,
)
from xgraph.ir.analysis import Analysis
from xgraph.ops import Composite, Op
from xgraph.recipe.facts import model_facts
from xgraph.semantics import Conventions
from xgraph.wrapping import LINE, broken

_HERE = Path(__file__).parent
#: Names that model.py already gives a meaning to.
_RESERVED = reserved_names(_HERE, "INPUT_SHAPE", "input_shape", "keras", "layers", "math", "name")

CONVENTIONS = Conventions(
    layout="NHWC",
    batch_norm_momentum="old",
    running_variance="biased",
    strided_same_padding=True,
    asymmetric_padding=True,
    average_pool_counts_border=False,
    l2_gradient="twice_lambda",
    momentum_holds_learning_rate=True,
)

#: A layer's name may hold no dot where Keras runs on PyTorch.
DIALECT = FunctionDialect(
    tensor="keras.KerasTensor",
    channels="{}.shape[-1]",
    shapes=CHANNELS_LAST,
    dot="-",
    shared="shared",
)


def emit(compilation: Compilation) -> Mapping[str, str]:
    """Every file of the program, by name.

    Its layers are named by node, so that a probed program is no other.
    """
    analysis = compilation.analysis
    recipe = compilation.recipe
    shared = None if recipe is None else recipe.devices
    lower = lowering.lower if shared is None else _LOWERED[shared.statistics]
    model, helpers = model_values(analysis, lower)
    context = training_context(recipe, model_facts(analysis), renamed(analysis), helpers)
    return assemble(compilation, _HERE, model, helpers, context)


#: Statements where processes share a batch, by what batch norm's statistics are of.
_LOWERED = {"global": lowering.lower_of_whole, "per_replica": lowering.lower_in_parts}


def renamed(analysis: Analysis) -> dict[str, str]:
    """Canonical names of the weights that Keras calls otherwise, by Keras' names.

    They are the kernels of depthwise convolutions, and weights of the steps of composite ops.
    """
    graph, types = analysis.graph, analysis.types
    found = {}
    for node in graph.nodes:
        if node.op.name == "depthwise_conv":
            found[f"{node.owner}.kernel"] = f"{node.owner}.depthwise_kernel"
        elif isinstance(node.op, Composite) and node.op.name not in lowering.SPELLINGS:
            for step, taken, _ in node.op.resolved(tuple(types[i] for i in node.inputs)):
                for weight in step.op.weights(taken):
                    ours = step.weights.get(weight.name, weight.name)
                    found[f"{node.owner}.{step.name}.{_word(step.op, weight.name)}"] = (
                        f"{node.owner}.{ours}"
                    )
    return found


def _word(op: Op, weight: str) -> str:
    """Keras' word for a weight of an op."""
    return "kernel" if op.name == "depthwise_conv" and weight == "depthwise_kernel" else weight


def model_values(
    analysis: Analysis, lower: Callable[[Apply], Layer] = lowering.lower
) -> tuple[dict[str, object], frozenset[str]]:
    """(values for model.py.jinja, helpers that layers.py must define)."""
    plan = plan_model(
        analysis.elaborated,
        analysis.types,
        _RESERVED,
        frozenset(lowering.SPELLINGS),
        lowering.GATHERING,
    )
    texts, model = write_functions(plan, DIALECT, lower, _RESERVED)
    functions = [line for text in texts for line in (*text.lines, "", "")]
    mentioned = names_in([*functions, *model.lines, *(plan.input_codes or ())])
    helpers = frozenset().union(model.helpers, *(text.helpers for text in texts))
    helpers |= plan.functions & mentioned & {"make_divisible"}
    layers = ["from keras import layers"] if "layers" in mentioned else []
    framework = ["import keras", *layers]
    size = "input_shape: tuple[int | None, int | None, int]"
    given = "input_shape"
    if plan.input_codes is None:
        size += " = INPUT_SHAPE"
    else:  # parameters say it, unless it is given
        size += " | None = None"
        given = f"input_shape or ({', '.join(plan.input_codes)})"
    settings = [declared(parameter) for parameter in model.parameters]
    arguments = ["input_shape", *passed_on(model.parameters)]
    outputs = None if len(plan.outputs) == 1 else plan.outputs
    results = plan.root.results[0]
    if outputs is not None:
        pairs = zip(outputs, plan.root.results, strict=True)
        results = "{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}"
    returned = f'return keras.Model(inputs, {results}, name="{analysis.name}")'
    values = {
        "title": f"{plan.root.title} in Keras.",
        "doc": outputs_doc(analysis, CHANNELS_LAST.exact),
        "imports": model_imports(mentioned, framework, helpers),
        "constants": [] if plan.input_codes else _input_shape(analysis),
        "functions": functions,
        "head": [
            *signature(model.name, [size, *settings], "keras.Model"),
            *docstring(plan.root, CHANNELS_LAST, outputs),
        ],
        "input": given,
        "create": signature(
            "create_model",
            ["seed: int = 0", size, *(["*", *settings] if settings else [])],
            "keras.Model",
        ),
        "made": call_lines("model = ", f"{model.name}({', '.join(arguments)})", "", LINE - 4),
        "body": [*model.lines, *broken(returned, LINE - 4)],
    }
    # Whose layers weights.py looks for.
    return values, helpers | ({"every_layer"} if DIALECT.shared in helpers else set())


def _input_shape(analysis: Analysis) -> list[str]:
    shape = tuple(int(size) for size in analysis.types[0].shape)
    return ["", f"INPUT_SHAPE = {shape}  # height, width, channels"]


BACKEND = Backend(
    name="keras",
    title="Keras 3",
    conventions=CONVENTIONS,
    spelled=frozenset(lowering.SPELLINGS),
    emit=emit,
    program="xgraph_backends.keras3.program:Program",
)
