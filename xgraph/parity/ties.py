"""Images and weights for which maxima are often not unique."""

from __future__ import annotations

from collections.abc import Mapping

from xgraph import interpreter
from xgraph.ir.graph import Graph
from xgraph.ops.base import Array, Composite, Op

#: Ops that compute exactly what they are given in few digits, with weights in few digits.
_EXACT = frozenset(
    ("add", "concat", "conv", "depthwise_conv", "flatten", "global_max_pool", "identity",
     "max_pool", "multiply", "relu", "relu6", "zero_pad")
)  # fmt: skip
#: Ops whose slope jumps nowhere. Others, such as a maximum, may have another slope at what is equal
#: but for rounding.
_SMOOTH = frozenset(
    ("add", "avg_pool", "batch_norm", "concat", "conv", "dense", "depthwise_conv", "dropout",
     "flatten", "gelu", "global_avg_pool", "identity", "mish", "multiply", "scale", "sigmoid",
     "silu", "softmax", "tanh", "zero_pad")
)  # fmt: skip


def can_be_exact(graph: Graph) -> bool:
    """Whether all that slopes jump for is exact, so that what is equal is so in any framework.

    Behind a mean, say, two values that are equal in exact arithmetic, or a sum that is zero, are so
    up to rounding, and each framework rounds in its own way.
    """
    exact = [True]
    for node in graph.nodes[1:]:
        given = all(exact[source] for source in node.inputs)
        for op in _ops(node.op):
            if not given and op not in _SMOOTH:
                return False
            given = given and op in _EXACT
        exact.append(given)
    return True


def _ops(op: Op) -> list[str]:
    """The names of what an op does, one after the other."""
    return [step.op.name for step in op.decompose()] if isinstance(op, Composite) else [op.name]


def with_ties(
    graph: Graph, weights: Mapping[str, Array], images: Array
) -> tuple[dict[str, Array], Array]:
    """(weights, images) of a comparison, changed so that maxima are often not unique.

    Args:
        graph: what is compared.
        weights: by canonical name.
        images: (steps, N, H, W, C).
    """
    exact = can_be_exact(graph)
    tied = images.copy()
    tied[:, ::2] = interpreter.with_ties(images[:, ::2], whole=exact)
    return {n: interpreter.coarse(w) if exact else w for n, w in weights.items()}, tied
