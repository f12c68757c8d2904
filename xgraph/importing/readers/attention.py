"""Attention as sources write it: step by step, or as one operation of queries, keys and values."""

from __future__ import annotations

from dataclasses import dataclass, replace

from xgraph.importing import axes as laid
from xgraph.importing.network import HeadsAttention
from xgraph.importing.readers.common import Call, Tensor

READ = "read is softmax(scale · Q · Kᵀ) · V, without a mask"


@dataclass(frozen=True)
class Scores:
    """How much positions attend to others, which is no value of ours by itself.

    Attributes:
        query: with positions and the channels of a head as its last axes.
        key: likewise.
        scale: what their products are multiplied with.
        softmax: whether those of a position sum to 1.
    """

    query: Tensor
    key: Tensor
    scale: float = 1.0
    softmax: bool = False


def matmul(call: Call, one: Tensor | Scores, other: Tensor) -> Tensor | Scores:
    """Queries times keys, whose last two axes are the other way round; or scores times values."""
    if isinstance(one, Tensor):
        return Scores(one, Tensor(other.place, (*other.axes[:-2], *other.axes[:-3:-1])))
    if not one.softmax:
        raise call.refused(f"of scores without softmax; {READ}")
    return attended(call, one.query, one.key, other, one.scale)


def scaled(call: Call, kind: str, scores: object, number: float | None) -> Scores:
    """Scores times a number, or divided by it; None is no number, but a mask or a bias."""
    power = {"multiply": 1, "divide": -1}.get(kind)
    if not isinstance(scores, Scores) or scores.softmax or not power or not number:
        raise call.refused(f"changes scores of attention; {READ}")
    return replace(scores, scale=scores.scale * number**power)


def normalized(call: Call, scores: Scores, axis: int) -> Scores:
    """A softmax over the positions that are attended to."""
    if scores.softmax or axis not in (-1, len(scores.query.axes) - 1):
        raise call.refused(f"over axis {axis} of scores of attention; {READ}")
    return replace(scores, softmax=True)


def attended(call: Call, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """What heads make of queries, keys and values; the result lies as queries do."""
    shape, known = call.shape(query.place), call.reader.known(query.place)
    *outer, positions, head = query.axes
    channels = [part.size for part in head if part.letter == "c"]
    size = channels[0] if len(channels) == len(head) == 1 else 1
    heads = shape[-1] // size
    lead = [part for axis in outer for part in axis]
    fits = (
        all(call.shape(one.place) == shape and len(one.axes) > 2 for one in (key, value))
        and len(shape) == 3
        and laid.sorted_parts(lead)
        == laid.sorted_parts([*known["n"], *laid.whole("c", heads, size)])
        and laid.sorted_parts(positions) == (*known["h"], *known["w"])
        and head == laid.whole("c", size)
        and query.axes[:-2] == key.axes[:-2]
        and key.axes == value.axes
        and key.axes[-1] == head
        and laid.sorted_parts(key.axes[-2]) == laid.sorted_parts(positions)
    )
    if not fits:
        said = ", ".join(laid.said(one.axes) for one in (query, key, value))
        raise call.refused(
            f"of queries, keys and values of axes {said}; read are heads of one size, "
            "(n, c, h·w, c) each, over all positions"
        )
    made = HeadsAttention(heads, scale)
    return Tensor(
        call.reader.builder.add(call.name, made, [query.place, key.place, value.place]), query.axes
    )
