"""Numbers that are legal here, and mean what is meant in another framework only.

PyTorch's momentum of batch norm is the share of the new statistics, the one here (and in Keras and
Flax) that of the old ones. PyTorch's images have their channels first, those here have them last.
"""

from __future__ import annotations

from typing import Any

from xgraph.diagnostics import Diagnostic, Span
from xgraph.ir.elaborated import Elaborated
from xgraph.ops.batch_norm import BatchNorm
from xgraph.ops.input import Input
from xgraph.passes.scope import evaluate

#: Neither the channels nor the columns of what is meant as channels × height × width are fewer.
_SEVERAL = 8


def foreign_numbers(elaborated: Elaborated) -> list[Diagnostic]:
    """Warnings of momentum as PyTorch counts it (XG906), and of channels in front (XG907)."""
    found: dict[Span | None, Diagnostic] = {}
    for node in elaborated.graph.nodes:
        if isinstance(node.op, BatchNorm) and 0 < node.op.momentum < 0.5:
            span = _default(elaborated, node.op.momentum) or node.span
            found.setdefault(span, _momentum(node.op.momentum, span))
    return [*_channels_first(elaborated), *found.values()]


def _default(elaborated: Elaborated, momentum: Any) -> Span | None:
    """Where the spec's defaults say this momentum."""
    for argument in elaborated.program.defaults.get("batch_norm", ()):
        if argument.key == "momentum":
            default = evaluate(argument.value, elaborated.parameters)
            return argument.key_span if default == momentum else None
    return None


def _momentum(momentum: Any, span: Span | None) -> Diagnostic:
    return Diagnostic(
        "XG906",
        f"with momentum {float(momentum):g} the moving statistics are mostly the last batch's",
        span,
        expected="a share of the old statistics, such as 0.9 or 0.99",
        received=f"{float(momentum):g}",
        hint="PyTorch's momentum is the share of the new ones: "
        f"{float(momentum):g} there is {1 - float(momentum):g} here",
        severity="warning",
    )


def _channels_first(elaborated: Elaborated) -> list[Diagnostic]:
    """Of as many rows as colors, and many channels. A single row may be a signal, if not square."""
    op = elaborated.graph.nodes[0].op
    assert isinstance(op, Input)
    height, width, channels = (int(size) for size in op.shape)
    if min(width, channels) < _SEVERAL or height not in (1, 3, 4):
        return []
    if height == 1 and width != channels:
        return []
    return [
        Diagnostic(
            "XG907",
            f"the images have {height} row{'s' if height > 1 else ''} and {channels} channels",
            elaborated.program.input_shape.span,
            expected="[height, width, channels]",
            received=f"[{height}, {width}, {channels}]",
            hint=f"channels come last: [{width}, {channels}, {height}]",
            severity="warning",
        )
    ]
