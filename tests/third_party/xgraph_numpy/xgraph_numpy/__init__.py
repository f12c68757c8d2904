"""NumPy: a network's forward pass, in evaluation and training mode, without a framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xgraph.backend import Backend, Compilation
from xgraph.emit.assemble import outputs_doc
from xgraph.emit.library_text import definitions
from xgraph.emit.modules import Dialect, probed, write_classes
from xgraph.emit.planner import plan_model
from xgraph.emit.render import header
from xgraph.emit.source import CHANNELS_LAST
from xgraph.semantics import Conventions
from xgraph_numpy.lowering import SPELLED, lower

#: The layers are this backend's own, so they mean what a spec means.
CONVENTIONS = Conventions(
    layout="NHWC",
    batch_norm_momentum="old",
    running_variance="biased",
    strided_same_padding=True,
    asymmetric_padding=True,
    average_pool_counts_border=False,
    l2_gradient="lambda",
    momentum_holds_learning_rate=False,
)

DIALECT = Dialect(
    base="nn.Module",
    forward="__call__",
    tensor="np.ndarray",
    module_list="list",
    identity="None",
    attributes=frozenset({"train", "training", "weights", "weight_names"}),
    shapes=CHANNELS_LAST,
)


def emit(compilation: Compilation) -> Mapping[str, str]:
    """model.py, and layers.py with those layers that the model uses."""
    analysis = compilation.analysis
    plan = plan_model(analysis.elaborated, analysis.types, spelled=SPELLED)
    classes = write_classes(plan, DIALECT, probed(lower) if compilation.probed else lower)
    helpers = {"Module", "load_weights"}.union(*(written.helpers for written in classes))
    imports = ["import math", ""] if plan.functions & {"ceil", "floor"} else []
    imports += ["import numpy as np", "", "import layers as nn"]  # no name of a spec becomes `nn`
    taken = plan.functions & {"make_divisible"}
    begun = helpers & {"begin"}  # of a run, where there is dropout
    imports += [f"from layers import {', '.join(sorted({'load_weights', *begun, *taken}))}"]
    top = header(analysis.name, analysis.digest, analysis.settings)
    title = plan.root.title
    model = [
        *(top, f'"""{title} in NumPy.', "", *outputs_doc(analysis, CHANNELS_LAST.exact), '"""'),
        *("", *imports, "", '__all__ = ["create_model", "load_weights"]', ""),
        f"INPUT_SHAPE = {tuple(analysis.types[0].shape)}  # height, width, channels",
        *(line for written in classes for line in ("", "", *written.lines)),
        *("", "", f"def create_model() -> {title}:"),
        '    """The model; its kernels are zero until `load_weights`."""',
        *(f"    model = {title}()", *(f"    {name}(model)" for name in begun), "    return model"),
    ]
    library = Path(__file__).with_name("layers.py").read_text(encoding="utf-8")
    needed, blocks = definitions(library, frozenset(helpers | taken))
    layers = [top, '"""Layers in NumPy; images are (N, H, W, C)."""', "", *needed]
    layers += [line for block in blocks for line in ("", "", block)]
    return {"model.py": "\n".join(model) + "\n", "layers.py": "\n".join(layers) + "\n"}


BACKEND = Backend(
    name="numpy",
    title="NumPy",
    conventions=CONVENTIONS,
    spelled=SPELLED,
    emit=emit,
    program="xgraph_numpy.program:Program",
    forward_only=True,
)
