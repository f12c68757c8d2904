"""PyTorch: modules in NCHW with channels_last memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xgraph_backends.pytorch import lowering
from xgraph_backends.pytorch.attributes import MODULE_ATTRIBUTES
from xgraph_backends.pytorch.recipe import training_context

from xgraph.backend import Backend, Compilation
from xgraph.emit.assemble import assemble, model_imports, names_in, outputs_doc, reserved_names
from xgraph.emit.library_text import decorated
from xgraph.emit.modules import Dialect, probed, write_classes
from xgraph.emit.planner import plan_model
from xgraph.emit.source import Shapes, call_lines, declared, passed_on, signature
from xgraph.ir.analysis import Analysis
from xgraph.ir.types import TensorType
from xgraph.ops import Composite
from xgraph.ops.group_norm import GroupNorm
from xgraph.recipe.facts import model_facts
from xgraph.semantics import Conventions
from xgraph.wrapping import LINE

_HERE = Path(__file__).parent
#: Names that model.py already gives a meaning to.
_RESERVED = reserved_names(_HERE, "F", "math", "nn", "torch")
#: Functions of layers.py that `torch.fx` must not look into, wherever they are called from.
_LEAVES = decorated((_HERE / "layers.py").read_text(encoding="utf-8"), "torch.fx.wrap")

CONVENTIONS = Conventions(
    layout="NCHW",
    batch_norm_momentum="new",
    running_variance="unbiased",
    strided_same_padding=False,
    asymmetric_padding=False,
    average_pool_counts_border=True,
    l2_gradient="lambda",
    momentum_holds_learning_rate=False,
)


def _shape(type_: TensorType) -> str:
    """(N, C, H, W), or (N, C), with names where a number is not fixed."""
    *spatial, channels = type_.shape
    return f"(N, {', '.join(str(size) for size in (int(channels), *spatial))})"


def _general_shape(type_: TensorType, channels: str) -> str:
    return f"(N, {channels}{', H, W' if type_.rank == 3 else ''})"


DIALECT = Dialect(
    base="nn.Module",
    forward="forward",
    tensor="torch.Tensor",
    module_list="nn.ModuleList",
    identity="nn.Identity()",
    attributes=MODULE_ATTRIBUTES,
    reserved=_RESERVED,
    shapes=Shapes(_shape, _general_shape),
    opening=("super().__init__()",),
)


def emit(compilation: Compilation) -> Mapping[str, str]:
    """Every file of the program, by name."""
    analysis = compilation.analysis
    tune = compilation.recipe and compilation.recipe.tune
    frozen = tune is not None and bool(tune.frozen)
    model, helpers = model_values(analysis, compilation.probed, frozen)
    context = training_context(
        compilation.recipe, model_facts(analysis), helpers, _has_composites(analysis)
    )
    return assemble(compilation, _HERE, model, helpers, context)


def model_values(
    analysis: Analysis, with_probes: bool = False, frozen: bool = False
) -> tuple[dict[str, object], frozenset[str]]:
    """(values for model.py.jinja, helpers that layers.py must define).

    `frozen` says that parts of the model are not trained.
    """
    plan = plan_model(
        analysis.elaborated,
        analysis.types,
        _RESERVED,
        frozenset(lowering.SPELLINGS),
        lowering.GATHERING,
    )
    lower = lowering.lower
    if _norms_what_has_no_gradient(analysis, frozen):
        lower = lowering.lower_without_gradient
    texts = write_classes(plan, DIALECT, probed(lower) if with_probes else lower)
    classes = [line for text in texts for line in (*text.lines, "", "")][:-2]
    helpers = frozenset().union(*(text.helpers for text in texts))
    mentioned = names_in(classes)
    helpers |= plan.functions & mentioned & {"make_divisible"}
    settings = texts[-1].parameters
    functional = ["import torch.nn.functional as F"] if "F" in mentioned else []
    framework = ["import torch", *functional, "from torch import nn"]
    imports = model_imports(mentioned, framework, helpers)
    leaves = sorted(helpers & _LEAVES)
    if leaves:
        imports += ["", "# Steps that `torch.fx` takes whole: they look at the size of an image."]
        imports += [f'torch.fx.wrap("{name}")' for name in leaves]
    model = {
        "title": f"{plan.root.title} in PyTorch.",
        "doc": outputs_doc(analysis, _shape),
        "imports": imports,
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
    """Lines that make the model."""
    return call_lines("model = ", f"{title}({', '.join(settings)})", "", LINE - 4)


def _norms_what_has_no_gradient(analysis: Analysis, frozen: bool) -> bool:
    """Whether a group norm of an image may be given what no gradient is asked for of."""
    tracked = [False]
    for node in analysis.graph.nodes[1:]:
        types = tuple(analysis.types[k] for k in node.inputs)
        given = any(tracked[k] for k in node.inputs)
        if isinstance(node.op, GroupNorm) and types[0].rank == 3 and (frozen or not given):
            return True
        tracked.append(given or any(weight.trainable for weight in node.op.weights(types)))
    return False


def _has_composites(analysis: Analysis) -> bool:
    """Whether some op is written as a class of its steps."""
    return any(
        isinstance(node.op, Composite) and node.op.name not in lowering.SPELLINGS
        for node in analysis.graph.nodes
    )


BACKEND = Backend(
    name="torch",
    title="PyTorch",
    conventions=CONVENTIONS,
    spelled=frozenset(lowering.SPELLINGS),
    emit=emit,
    program="xgraph_backends.pytorch.program:Program",
)
