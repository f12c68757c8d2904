"""Images and weights for which maxima are often not unique."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from xgraph import interpreter
from xgraph.ir.graph import Graph
from xgraph.ops.base import Array, Composite, Op


def can_be_exact(graph: Graph) -> bool:
    """Whether all that slopes jump for is exact, so that what is equal is so in any framework.

    Behind a mean, say, two values that are equal in exact arithmetic, or a sum that is zero, are so
    up to rounding, and each framework rounds in its own way.
    """
    return _at_all_jumps(graph, lambda op: op.exact)


def can_be_flat(graph: Graph) -> bool:
    """Whether parts of an image may be of one color: what is made of it alike is equal, if rounded.

    Not behind means of windows of which some are smaller, which are rounded otherwise.
    """
    return _at_all_jumps(graph, lambda op: op.uniform)


def _at_all_jumps(graph: Graph, keeps: Callable[[Op], bool]) -> bool:
    """Whether only ops that keep something of their inputs stand before those that are not smooth.

    Args:
        graph: where to look.
        keeps: whether a primitive does.
    """
    kept = [True]
    for node in graph.nodes[1:]:
        given = all(kept[source] for source in node.inputs)
        for op in _primitives(node.op):
            if not given and not op.smooth:
                return False
            given = given and keeps(op)
        kept.append(given)
    return True


def _primitives(op: Op) -> Sequence[Op]:
    """What an op does, one after the other."""
    return [step.op for step in op.decompose()] if isinstance(op, Composite) else [op]


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
    if not exact and not can_be_flat(graph):
        return dict(weights), images
    tied = images.copy()
    tied[:, ::2] = interpreter.with_ties(images[:, ::2], whole=exact)
    return {n: interpreter.coarse(w) if exact else w for n, w in weights.items()}, tied
