"""PyTorch: modules in NCHW with channels_last memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xgraph_backends.pytorch import lowering
from xgraph_backends.pytorch.attributes import MODULE_ATTRIBUTES
from xgraph_backends.pytorch.recipe import training_context

from xgraph.backend import Backend
from xgraph.compile import Analysis, Compilation
from xgraph.emit.library_text import definitions
from xgraph.emit.modules import Dialect, write_classes
from xgraph.emit.planner import plan_model
from xgraph.emit.render import header, render
from xgraph.ir.types import TensorType
from xgraph.ops import Composite
from xgraph.recipe.facts import model_facts
from xgraph.semantics import Conventions

_HERE = Path(__file__).parent
_LAYERS = "layers.py"

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
    shape=_shape,
    general_shape=_general_shape,
)
#: Names that model.py already gives a meaning to.
_RESERVED = frozenset(
    {
        "INPUT_SHAPE",
        "F",
        "Conv2dSame",
        "DepthwiseConv2d",
        "SeparableConv2d",
        "BatchNorm2d",
        "BatchNorm1d",
    }
)


def emit(compilation: Compilation) -> Mapping[str, str]:
    """Every file of the program, by name."""
    analysis = compilation.analysis
    top = header(analysis.name, analysis.digest, analysis.settings)
    trained = header(analysis.name, analysis.digest, analysis.settings, compilation.recipe.name)
    model, helpers = model_values(analysis)
    context = training_context(
        compilation.recipe, model_facts(analysis), helpers, _has_composites(analysis)
    )
    files = {
        "model.py": render(_HERE / "templates", "model.py.jinja", {"header": top, "model": model})
    }
    if helpers:
        values = {"header": top, "layers": {"lines": layer_lines(helpers)}}
        files["layers.py"] = render(_HERE / "templates", "layers.py.jinja", values)
    for name in ("weights.py", "data.py", "train.py"):
        text = trained if name != "weights.py" else top
        files[name] = render(_HERE / "templates", f"{name}.jinja", {**context, "header": text})
    return files


def model_values(analysis: Analysis) -> tuple[dict[str, object], frozenset[str]]:
    """(values for model.py.jinja, helpers that layers.py must define)."""
    spelled = frozenset(lowering.SPELLINGS)
    plan = plan_model(analysis.elaborated, analysis.types, _RESERVED, spelled)
    texts = write_classes(plan, DIALECT, lowering.lower)
    helpers = frozenset().union(*(text.helpers for text in texts)) | (
        plan.functions & {"make_divisible"}
    )
    classes = [line for text in texts for line in (*text.lines, "", "")][:-2]
    body = "\n".join(classes)
    imports = []
    if plan.functions & {"ceil", "floor"}:
        imports += ["import math", ""]
    imports.append("import torch")
    if "F." in body:
        imports.append("import torch.nn.functional as F")
    imports += ["from torch import nn", ""]
    if helpers:
        imports.append(f"from layers import {', '.join(sorted(helpers))}")
    imports.append("from weights import initialize, load_weights, save_weights")
    imports += ["", '__all__ = ["create_model", "load_weights", "save_weights"]']
    shapes = _shape(analysis.types[0])
    results = [
        f"{output.name} {_shape(analysis.types[output.node])}" for output in analysis.graph.outputs
    ]
    model = {
        "title": f"{plan.root.title} in PyTorch.",
        "doc": [f"Images {shapes} of any batch size N; {', '.join(results)}."],
        "imports": imports,
        "input_shape": tuple(analysis.types[0].shape),
        "classes": classes,
        "class_name": plan.root.title,
    }
    return model, helpers


def layer_lines(helpers: frozenset[str]) -> list[str]:
    """The lines of layers.py."""
    imports, blocks = definitions((_HERE / _LAYERS).read_text(encoding="utf-8"), helpers)
    lines: list[str] = []
    standard = [line for line in imports if "torch" not in line]
    lines += [*standard, ""] if standard else []
    lines += [line for line in imports if "torch" in line]
    for block in blocks:
        lines += ["", "", *block.splitlines()]
    return lines


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
