"""How the axes of a foreign tensor lie, told in terms of a value of ours.

Sources keep images channels first or last, split axes and join them again, and move them about. All
of that changes no number: a tensor is a value of ours, which is (N, H, W, C) or (N, C), and axes
that are each made of parts of the value's axes, the outer part first. Axes of size 1 are made of
nothing. (N, C, H · W) of an image is `((n), (c), (h, w))`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from xgraph.importing.network import Shape


class Batch:
    """The size of a batch, which is not known, where shapes are computed."""

    def __repr__(self) -> str:
        return "N"


BATCH = Batch()
Size = int | Batch


@dataclass(frozen=True)
class Part:
    """`size` places of an axis of ours, `stride` of them apart. The batch is never divided."""

    letter: str  # n, h, w or c
    size: int
    stride: int = 1


Axis = tuple[Part, ...]
Axes = tuple[Axis, ...]

_N = Part("n", 0)
N: Axis = (_N,)


def whole(letter: str, size: int) -> Axis:
    """An axis that is all of one of ours."""
    return (Part(letter, size),) if size != 1 else ()


def of_shape(shape: Shape) -> dict[str, Axis]:
    """The axes of a value (H, W, C) or (C,), by their letters."""
    letters = "hwc" if len(shape) == 3 else "c"
    return {letter: whole(letter, n) for letter, n in zip(letters, shape, strict=True)}


def channels_first(shape: Shape) -> Axes:
    """(N, C, H, W) of a value (H, W, C), (N, C) of (C,)."""
    *spatial, channels = of_shape(shape).values()
    return N, channels, *spatial


def size(axis: Axis) -> Size:
    """How many entries lie along it."""
    return BATCH if axis == N else math.prod(part.size for part in axis)


def joined(parts: Sequence[Part]) -> Axis:
    """An axis of these parts, those that were one axis together again."""
    made: list[Part] = []
    for part in parts:
        before = made[-1] if made else None
        outer = before and before.stride == part.size * part.stride
        if before and outer and before.letter == part.letter:
            made[-1] = Part(part.letter, before.size * part.size, part.stride)
        else:
            made.append(part)
    return tuple(made)


def reshaped(axes: Axes, sizes: Sequence[Size]) -> Axes | None:
    """The same entries in the same order, with axes of these sizes; None where parts tell no more.

    Sizes are positive, and their product is the right one.
    """
    left = [part for axis in axes for part in axis][::-1]
    made: list[Axis] = []
    for each in sizes:
        if isinstance(each, Batch):
            if not left or left.pop() != _N:
                return None
            made.append(N)
            continue
        taken: list[Part] = []
        wanted = each
        while wanted > 1:
            if not left or (part := left.pop()) == _N:
                return None
            if wanted % part.size == 0:
                wanted //= part.size
            elif part.size % wanted == 0:
                rest = part.size // wanted
                left.append(Part(part.letter, rest, part.stride))
                part, wanted = Part(part.letter, wanted, part.stride * rest), 1
            else:
                return None
            taken.append(part)
        made.append(joined(taken))
    return None if left else tuple(made)


def letters(axes: Axes, expected: Mapping[str, Axis]) -> str | None:
    """Which axis is which of those expected, such as "nchw"; None where they are others.

    Axes of size 1 may be any; channels are then first if they can.
    """
    names = "c" if len(expected) == 1 else "chw"
    if len(axes) != len(names) + 1:
        return None
    known = {"n": N, **expected}
    for order in permutations("n" + names):
        if all(known[letter] == axis for letter, axis in zip(order, axes, strict=True)):
            return "".join(order)
    return None


def with_sizes(order: str, shape: Shape) -> Axes:
    """Axes in an order such as "nchw", of a value of this shape."""
    known = {"n": N, **of_shape(shape)}
    return tuple(known.get(letter, ()) for letter in order)


def flat(axis: Axis, shape: Shape) -> Axis:
    """An axis of all of an image (H, W, C) as one of the vector that it is flattened to."""
    _, width, channels = shape
    steps = {"h": width * channels, "w": channels, "c": 1}
    return joined([Part("c", part.size, part.stride * steps[part.letter]) for part in axis])
