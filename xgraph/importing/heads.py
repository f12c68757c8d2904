"""Attention put together again: what heads make of queries, keys and values, and its layers.

As it is read, there are three convolutions of single pixels, or segments of one, of one image;
perhaps a factor of queries or keys; what heads make of these; and a convolution of single pixels.
A spec's `attention` has 1/√head_size as its scale, all four biases or none, and four kernels of its
own that start alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from xgraph.importing.network import HeadsAttention, Held
from xgraph.ir.types import TensorType
from xgraph.ops.attention import Attention

#: The reader of what the network gives.
OUTPUT = -1
_WORDS = ("query", "key", "value")
_SAID = {"query": "queries", "key": "keys", "value": "values", "output": "the output"}


class Node(Protocol):
    """An op in its place, in a draft of a network."""

    op: Any
    inputs: tuple[int, ...]
    made: TensorType
    weights: Mapping[str, Held]


class Unsayable(Exception):  # what is asked for, not the program, is at fault
    """No `attention` of a spec is what heads are part of here. The message says why."""


@dataclass(frozen=True)
class Whole:
    """Attention in a draft.

    Attributes:
        place: of the convolution that gives what attention gives.
        op: attention, as specs have it.
        image: the place of what attends to itself.
        weights: by the op's words.
    """

    place: int
    op: Attention
    image: int
    weights: Mapping[str, Held]


@dataclass(frozen=True)
class _Projection:
    """One of the four layers, or a part of one.

    Attributes:
        place: of its convolution.
        image: the place of what that reads.
        start: the first of its channels that are meant.
        count: how many are.
        initializer: how its kernel starts.
        factor: what queries or keys are multiplied with.
        between: places from the convolution to the heads.
    """

    place: int
    image: int
    start: int
    count: int
    kernel: Held
    bias: Held | None
    initializer: str
    factor: float
    between: Sequence[int]

    @property
    def weights(self) -> tuple[Held, ...]:
        return (self.kernel,) if self.bias is None else (self.kernel, self.bias)

    def overlaps(self, other: _Projection) -> bool:
        """Whether weights are in both."""
        if {one.name for one in self.weights}.isdisjoint(one.name for one in other.weights):
            return False
        apart = self.start + self.count <= other.start or other.start + other.count <= self.start
        return not (self.place == other.place and apart)


def whole(nodes: Sequence[Node], readers: Sequence[Sequence[int]], place: int) -> Whole:
    """The attention of a spec that the heads in this place are of.

    Args:
        nodes: of the draft.
        readers: who reads each of them; an output of the network is `OUTPUT`.
        place: of a `heads_attention`.

    Raises:
        Unsayable: it is none.
    """
    heads: HeadsAttention = nodes[place].op
    after = readers[place][0] if len(readers[place]) == 1 else OUTPUT
    if after == OUTPUT or not _is_single(nodes[after].op):
        raise Unsayable("what heads give does not go through one convolution of single pixels")
    parts = {
        word: _projection(nodes, word, read)
        for word, read in zip(_WORDS, nodes[place].inputs, strict=True)
    }
    inside = {place, *(step for part in parts.values() for step in part.between)}
    for word, part in parts.items():
        if any(not inside.issuperset(readers[step]) for step in part.between):
            raise Unsayable(f"{_SAID[word]} are read by other layers too")
    parts["output"] = _layer(nodes, after, 0, nodes[after].made.channels)
    image = _checked(parts)
    channels, width = nodes[image].made.channels, nodes[place].made.channels
    if nodes[after].made.channels != channels:
        raise Unsayable(
            f"{channels} channels go in and {nodes[after].made.channels} come out; "
            "specs say attention with as many"
        )
    size = width // heads.heads
    scale = heads.scale * parts["query"].factor * parts["key"].factor
    if not math.isclose(scale, 1 / math.sqrt(size), rel_tol=1e-6):
        raise Unsayable(
            f"scores are scaled by {scale:.6g}; specs say 1/√{size} = {1 / math.sqrt(size):.6g}"
        )
    op = Attention(
        heads.heads,
        None if width == channels else size,
        parts["query"].bias is not None,
        parts["query"].initializer,
    )
    weights = {}
    for word, part in parts.items():
        weights[f"{word}_kernel"] = part.kernel.reshaped(*part.kernel.form[2:])
        if part.bias is not None:
            weights[f"{word}_bias"] = part.bias
    return Whole(after, op, image, weights)


def parted(nodes: Sequence[Node], places: Sequence[int]) -> list[tuple[int, int]]:
    """Attention that has some of the weights of another layer, which a spec cannot say, and that.

    Args:
        nodes: of the draft.
        places: of those that are alive.
    """
    first: dict[str, int] = {}
    found: dict[tuple[int, int], None] = {}
    for place in places:
        for held in nodes[place].weights.values():
            other = first.setdefault(held.name, place)
            one, twin = nodes[place], nodes[other]
            if one.weights != twin.weights and "attention" in (one.op.name, twin.op.name):
                found[place, other] = None
    return list(found)


def _checked(parts: Mapping[str, _Projection]) -> int:
    """The place of the one image that all are of, if they are what one op has."""
    images = [parts[word].image for word in _WORDS]
    if len({*images}) > 1:
        raise Unsayable("queries, keys and values are of several tensors; specs say it of one")
    with_bias = [word for word, part in parts.items() if part.bias is not None]
    if 0 < len(with_bias) < len(parts):
        without = [word for word in parts if word not in with_bias]
        raise Unsayable(
            f"{_listed(with_bias)} with a bias, {_listed(without)} without one; "
            "specs say attention with all four or with none"
        )
    if len({part.initializer for part in parts.values()}) > 1:
        raise Unsayable("kernels start in several ways; specs say one for all four")
    several = list(parts.items())
    for number, (word, part) in enumerate(several):
        for other, twin in several[:number]:
            if part.overlaps(twin):
                raise Unsayable(
                    f"{_SAID[other]} and {_SAID[word]} have weights in common; "
                    "specs say attention with weights for each"
                )
    return images[0]


def _projection(nodes: Sequence[Node], word: str, place: int) -> _Projection:
    """The layer that queries, keys or values are of."""
    factor, between = 1.0, [place]
    while word != "value" and (number := _factor(nodes[place].op)) is not None:
        factor, (place,) = factor * number, nodes[place].inputs
        between.append(place)
    start, count = 0, nodes[place].made.channels
    if nodes[place].op.name == "channel_slice":
        start, (place,) = nodes[place].op.start, nodes[place].inputs
        between.append(place)
    if not _is_single(nodes[place].op):
        raise Unsayable(
            f"{_SAID[word]} are of {nodes[place].op.name}; in specs they are of a convolution of "
            "single pixels"
        )
    return _layer(nodes, place, start, count, factor, between)


def _layer(
    nodes: Sequence[Node],
    place: int,
    start: int,
    count: int,
    factor: float = 1.0,
    between: Sequence[int] = (),
) -> _Projection:
    """A convolution, or a segment of its channels, as one of the four."""
    node = nodes[place]
    held = node.weights
    if count < node.made.channels:
        held = {key: one.segment(start, count) for key, one in held.items()}
    kernel, bias, (image,) = held["kernel"], held.get("bias"), node.inputs
    begins = node.op.kernel_initializer
    return _Projection(place, image, start, count, kernel, bias, begins, factor, between)


def _is_single(one: Any) -> bool:
    """Whether an op is a convolution of single pixels."""
    return (
        one.name == "conv"
        and one.kernel == one.stride == (1, 1)
        and one.groups == 1
        and one.padding in ("same", "valid", ((0, 0), (0, 0)))
    )


def _factor(one: Any) -> float | None:
    """The number that an op multiplies all with, if that is what it does."""
    if one.name != "rescale":
        return None
    scale, offset = (
        {*(numbers if isinstance(numbers, tuple) else (numbers,))}
        for numbers in (one.scale, one.offset)
    )
    return scale.pop() if len(scale) == 1 and offset == {0.0} else None


def _listed(words: Sequence[str]) -> str:
    *some, last = (_SAID[word] for word in words)
    return f"{', '.join(some)} and {last}" if some else last
