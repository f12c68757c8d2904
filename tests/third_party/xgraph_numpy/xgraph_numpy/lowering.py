"""The spelling of every op: layers.py speaks the spec's own words, so one rule serves nearly all.

`separable_conv` is not spelled: the program says it as a class of its steps.
"""

from __future__ import annotations

import dataclasses

from xgraph.emit.arguments import arguments, single, unless
from xgraph.emit.modules import Spelling
from xgraph.emit.plan import Apply
from xgraph.ops import Op
from xgraph.ops.pointwise import Pointwise

#: Ops with weights or a mode, each a class.
LAYERS = {
    "batch_norm": "BatchNorm",
    "conv": "Conv",
    "dense": "Dense",
    "depthwise_conv": "DepthwiseConv",
    "dropout": "Dropout",
}
#: Ops that are NumPy's own words.
EXPRESSIONS = {
    "concat": "np.concatenate([{inputs}], axis=-1)",
    "flatten": "{0}.reshape(len({0}), -1)",
    "identity": "{0}",
    "relu": "np.maximum({0}, 0)",
    "relu6": "np.clip({0}, 0, 6)",
    "tanh": "np.tanh({0})",
}
#: Ops that functions of the same names in layers.py compute.
FUNCTIONS = frozenset(
    {
        *("elu", "gelu", "hard_sigmoid", "hard_swish", "leaky_relu", "sigmoid", "silu", "softmax"),
        *("avg_pool", "global_avg_pool", "global_max_pool", "max_pool", "zero_pad"),
    }
)
SIGNS = {"add": " + ", "multiply": " * "}

SPELLED = LAYERS.keys() | EXPRESSIONS.keys() | FUNCTIONS | SIGNS.keys()


def lower(statement: Apply) -> Spelling:
    """The spelling of a statement's op."""
    name = statement.op.name
    if name in SIGNS:
        return Spelling(SIGNS[name].join(f"{{{i}}}" for i in range(len(statement.inputs))))
    activation = isinstance(statement.op, Pointwise)  # what may be wrapped around another call
    if name in EXPRESSIONS:
        return Spelling(EXPRESSIONS[name], elementwise=activation)
    positional, named = _attributes(statement.op)
    if name in FUNCTIONS:
        told = arguments(*positional, **named)
        call = f"nn.{name}({{inputs}}{', ' if told else ''}{told})"
        return Spelling(call, elementwise=activation, helpers=frozenset({name}))
    if name != "dropout":  # all others have weights
        positional.insert(0, statement.input_types[0].channels)
    layer = LAYERS[name]
    made = f"nn.{layer}({arguments(*positional, **named)})"
    helpers = {layer, "begin"} if name == "dropout" else {layer}
    return Spelling("{module}({0})", made, helpers=frozenset(helpers))


def _attributes(op: Op) -> tuple[list[object], dict[str, object]]:
    """What a layer is told: the required attributes, and the others where not the default."""
    positional, named = [], {}
    for field in dataclasses.fields(op):
        if field.name == "kernel_initializer":  # weights are loaded, never drawn
            continue
        value = unless(getattr(op, field.name), field.default)
        if isinstance(value, tuple) and isinstance(value[0], int):
            value = single(value)
        if field.default is dataclasses.MISSING:
            positional.append(value)
        else:
            named[field.name] = value
    return positional, named
