"""Images and weights for which maxima are often not unique."""

from __future__ import annotations

from collections.abc import Mapping

from xgraph import interpreter
from xgraph.ir.graph import Graph
from xgraph.ops.base import Array

#: Ops that compute exactly what they are given in few digits, with weights in few digits.
_EXACT = frozenset(
    ("add", "concat", "conv", "depthwise_conv", "flatten", "global_max_pool", "identity",
     "max_pool", "multiply", "relu", "relu6", "zero_pad")
)  # fmt: skip
_MAXIMA = ("max_pool", "global_max_pool")


def exact_nodes(graph: Graph) -> list[bool]:
    """Of each node, whether all that it is made of can be exact, so that it is so in any framework.

    Behind a mean, say, two values that are equal in exact arithmetic, or a sum that is zero, are so
    up to rounding, and each framework rounds in its own way.
    """
    exact = [True]
    for node in graph.nodes[1:]:
        exact.append(node.op.name in _EXACT and all(exact[source] for source in node.inputs))
    return exact


def with_ties(
    graph: Graph, weights: Mapping[str, Array], images: Array
) -> tuple[dict[str, Array], Array]:
    """(weights, images) of a comparison, changed so that maxima are often not unique.

    They are coarse where that makes values exact. Coarse weights of what is not would make sums
    that are zero but for rounding, and the slope of an activation has a jump there.

    Args:
        graph: what is compared.
        weights: by canonical name.
        images: (steps, N, H, W, C).
    """
    exact = exact_nodes(graph)
    inexact = [node for node, is_exact in zip(graph.nodes, exact, strict=True) if not is_exact]
    whole = not any(
        node.op.name in _MAXIMA and not exact[source] for node in inexact for source in node.inputs
    )
    tied = images.copy()
    tied[:, ::2] = interpreter.with_ties(images[:, ::2], whole=whole)
    if not whole:
        return dict(weights), tied
    kept = {node.name for node in inexact}
    return {
        name: weight if name.rpartition(".")[0] in kept else interpreter.coarse(weight)
        for name, weight in weights.items()
    }, tied
