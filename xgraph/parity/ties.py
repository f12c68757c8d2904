"""Images and weights for which maxima are often not unique."""

from __future__ import annotations

from collections.abc import Mapping

from xgraph import interpreter
from xgraph.ir.graph import Graph
from xgraph.ops.base import Array

#: Ops that compute exactly what they are given in few digits.
_EXACT = frozenset(
    ("add", "concat", "conv", "depthwise_conv", "flatten", "global_max_pool", "identity",
     "max_pool", "multiply", "relu", "relu6", "zero_pad")
)  # fmt: skip
_MAXIMA = ("max_pool", "global_max_pool")


def are_exact(graph: Graph) -> bool:
    """Whether all that maxima are taken of is exact, so that what is equal is so in any framework.

    Behind a mean, say, two values that are equal in exact arithmetic are so up to rounding, and
    each framework rounds in its own way.
    """
    exact = [True]
    for node in graph.nodes[1:]:
        given = all(exact[source] for source in node.inputs)
        if node.op.name in _MAXIMA and not given:
            return False
        exact.append(given and node.op.name in _EXACT)
    return True


def with_ties(
    graph: Graph, weights: Mapping[str, Array], images: Array
) -> tuple[dict[str, Array], Array]:
    """(weights, images) of a comparison, changed so that maxima are often not unique.

    Args:
        graph: what is compared.
        weights: by canonical name.
        images: (steps, N, H, W, C).
    """
    exact = are_exact(graph)
    tied = images.copy()
    tied[:, ::2] = interpreter.with_ties(images[:, ::2], whole=exact)
    return {n: interpreter.coarse(w) if exact else w for n, w in weights.items()}, tied
