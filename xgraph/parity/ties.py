"""Images and weights for which maxima are often not unique."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from xgraph import interpreter
from xgraph.ir.graph import Graph
from xgraph.ops.base import Array, Composite, Op


class _Flat(enum.IntEnum):
    """What a tensor has where the image is of one color, once a framework has computed it."""

    NOTHING = 0  # but what rounding leaves where equal numbers are taken from each other
    ROUNDED = 1  # numbers that are equal but for rounding
    EQUAL = 2  # numbers that are equal
    ZERO = 3  # zeros


def can_be_exact(graph: Graph) -> bool:
    """Whether all that slopes jump for is exact, so that what is equal is so in any framework.

    Behind a mean, say, two values that are equal in exact arithmetic, or a sum that is zero, are so
    up to rounding, and each framework rounds in its own way.
    """
    kept = [True]
    for node in graph.nodes[1:]:
        given = all(kept[source] for source in node.inputs)
        for op in _primitives(node.op):
            if not given and not op.smooth:
                return False
            given = given and op.exact
        kept.append(given)
    return True


def can_be_flat(graph: Graph) -> bool:
    """Whether parts of an image may be zero: what is made of them alike is equal, if rounded.

    Not where such numbers are compared that are not computed alike everywhere, nor where slopes
    jump for what is left of their difference.
    """
    found = [_Flat.ZERO]
    for node in graph.nodes[1:]:
        given = min(found[source] for source in node.inputs)
        for op in _primitives(node.op):
            if not op.smooth and given < _needed(op):
                return False
            given = _made(op, given)
        found.append(given)
    return True


def _needed(op: Op) -> _Flat:
    """What an op whose slope jumps must be given at least."""
    if not op.compares:
        return _Flat.ROUNDED
    return _Flat.EQUAL if op.arity == (1, 1) else _Flat.ZERO


def _made(op: Op, given: _Flat) -> _Flat:
    """What an op makes of numbers that it is given in all its inputs."""
    if given is _Flat.ZERO and op.exact:  # whatever zeros are multiplied with, in any order
        return _Flat.ZERO if type(op).weights is Op.weights else _Flat.EQUAL
    if op.cancels and given is not _Flat.ZERO:
        return _Flat.NOTHING
    return min(given, _Flat.EQUAL if op.uniform else _Flat.ROUNDED)


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
