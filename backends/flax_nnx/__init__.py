"""Flax NNX: modules in NHWC, jit-compiled training with optax."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from xgraph_backends.flax_nnx import lowering
from xgraph_backends.flax_nnx.attributes import MODULE_ATTRIBUTES
from xgraph_backends.flax_nnx.recipe import training_context

from xgraph.backend import Backend, Compilation
from xgraph.emit.assemble import assemble, model_imports, names_in, outputs_doc, reserved_names
from xgraph.emit.modules import Dialect, Spelling, probed, write_classes
from xgraph.emit.plan import Apply
from xgraph.emit.planner import plan_model
from xgraph.emit.source import (
    CHANNELS_LAST,
    call_lines,
    declared,
    indented,
    passed_on,
    signature,
)
from xgraph.ir.analysis import Analysis
from xgraph.ops import Composite
from xgraph.recipe.facts import model_facts
from xgraph.semantics import Conventions
from xgraph.wrapping import LINE

_HERE = Path(__file__).parent
#: Names that model.py already gives a meaning to.
_RESERVED = reserved_names(_HERE, "jax", "jnp", "math", "nnx", "rngs")

CONVENTIONS = Conventions(
    layout="NHWC",
    batch_norm_momentum="old",
    running_variance="biased",
    strided_same_padding=True,
    asymmetric_padding=True,
    average_pool_counts_border=True,
    l2_gradient="lambda",
    momentum_holds_learning_rate=False,
)

DIALECT = Dialect(
    base="nnx.Module",
    forward="__call__",
    tensor="jax.Array",
    module_list="nnx.List",
    identity="None",
    attributes=MODULE_ATTRIBUTES,
    reserved=_RESERVED,
    shapes=CHANNELS_LAST,
    passed=("rngs", "nnx.Rngs"),
    bracketed=True,
)


def emit(compilation: Compilation) -> Mapping[str, str]:
    """Every file of the program, by name."""
    analysis = compilation.analysis
    shared = compilation.recipe and compilation.recipe.devices
    in_parts = shared is not None and shared.statistics == "per_replica"
    lower = lowering.lower_in_parts if in_parts else lowering.lower
    model, helpers = model_values(analysis, compilation.probed, lower)
    composites = any(
        isinstance(node.op, Composite) and node.op.name not in lowering.SPELLINGS
        for node in analysis.graph.nodes
    )
    context = training_context(compilation.recipe, model_facts(analysis), helpers, composites)
    return assemble(compilation, _HERE, model, helpers, context)


def model_values(
    analysis: Analysis,
    with_probes: bool = False,
    lower: Callable[[Apply], Spelling] = lowering.lower,
) -> tuple[dict[str, object], frozenset[str]]:
    """(values for model.py.jinja, helpers that layers.py must define)."""
    plan = plan_model(
        analysis.elaborated,
        analysis.types,
        _RESERVED,
        frozenset(lowering.SPELLINGS),
        lowering.GATHERING,
    )
    texts = write_classes(plan, DIALECT, probed(lower) if with_probes else lower)
    classes = [line for text in texts for line in (*text.lines, "", "")][:-2]
    helpers = frozenset().union(*(text.helpers for text in texts))
    mentioned = names_in(classes)
    helpers |= plan.functions & mentioned & {"make_divisible"}
    settings = texts[-1].parameters
    numpy = ["import jax.numpy as jnp"] if "jnp" in mentioned else []
    framework = ["import jax", *numpy, "from flax import nnx"]
    model = {
        "title": f"{plan.root.title} in Flax NNX.",
        "doc": outputs_doc(analysis, CHANNELS_LAST.exact),
        "imports": model_imports(mentioned, framework, helpers),
        "classes": classes,
        "create": signature(
            "create_model",
            ["seed: int = 0", *(["*", *map(declared, settings)] if settings else [])],
            plan.root.title,
        ),
        "made": _made(plan.root.title, passed_on(settings)),
    }
    return model, helpers


def _made(title: str, settings: list[str]) -> list[str]:
    """Lines that make the model, as shapes alone: the layers' own initializers are not run."""
    made = f"{title}({', '.join([*settings, 'rngs=nnx.Rngs(seed)'])})"
    lines = call_lines("model = ", f"nnx.eval_shape(lambda: {made})", "", LINE - 4)
    if any(len(line) > LINE - 4 for line in lines):
        inner = indented(call_lines("lambda: ", made, "", LINE - 8))
        lines = ["model = nnx.eval_shape(", *inner, ")"]
    return lines


BACKEND = Backend(
    name="flax",
    title="Flax NNX",
    conventions=CONVENTIONS,
    spelled=frozenset(lowering.SPELLINGS),
    emit=emit,
    program="xgraph_backends.flax_nnx.program:Program",
)
