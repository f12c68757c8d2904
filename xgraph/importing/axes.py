"""How the axes of a foreign tensor lie, told in terms of a value of ours.

Sources keep images channels first or last, split axes and join them again, and move them about. All
of that changes no number: a tensor is a value of ours, which is (N, H, W, C) or (N, C), and axes
that are each made of parts of the value's axes, the outer part first. Axes of size 1 are made of
nothing. (N, C, H · W) of an image is `((n), (c), (h, w))`. What a tensor means is never guessed
from its shape.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from xgraph.importing.network import Held, Shape


class Batch:
    """The size of a batch, which is not known, where shapes are computed."""

    def __repr__(self) -> str:
        return "N"


BATCH = Batch()
Size = Any  # an integer, or the batch; no arithmetic knows that


@dataclass(frozen=True)
class Part:
    """`size` places of an axis of ours, `stride` of them apart."""

    letter: str  # n, h, w or c; or x, where entries are repeated
    size: Size
    stride: int = 1


Axis = tuple[Part, ...]
Axes = tuple[Axis, ...]


def whole(letter: str, size: Size, stride: int = 1) -> Axis:
    """An axis that is all of one of ours, or so many places of it."""
    return () if size == 1 else (Part(letter, size, stride),)


def of_shape(shape: Shape, batch: Size = BATCH) -> dict[str, Axis]:
    """The axes of a value (H, W, C) or (C,), by their letters, in the order of channels first."""
    *pixels, channels = shape
    sizes = {"n": batch, "c": channels, **dict(zip("hw", pixels, strict=False))}
    return {letter: whole(letter, n) for letter, n in sizes.items()}


def size(axis: Axis) -> Size:
    """How many entries lie along it."""
    return axis[0].size if len(axis) == 1 else math.prod(part.size for part in axis)


def said(axes: Axes) -> str:
    """Axes for a message: (n, c, h·w)."""
    return "({})".format(", ".join("·".join(part.letter for part in one) or "1" for one in axes))


def joined(parts: Sequence[Part]) -> Axis:
    """An axis of these parts, those that were one axis together again."""
    made: list[Part] = []
    for part in parts:
        before = made[-1] if made and made[-1].letter == part.letter else None
        if before and before.stride == part.size * part.stride:
            made[-1] = Part(part.letter, before.size * part.size, part.stride)
        else:
            made.append(part)
    return tuple(made)


def sorted_parts(parts: Sequence[Part]) -> Axis:
    """An axis of these parts as ours have them: rows, columns, and outer parts first."""
    return joined(sorted(parts, key=lambda part: (part.letter, -part.stride)))


def reshaped(axes: Axes, sizes: Sequence[Size]) -> Axes | None:
    """The same entries in the same order, with axes of these sizes; None where parts tell no more.

    Sizes are positive.
    """
    left = [part for axis in axes for part in axis][::-1]
    made = []
    for wanted in sizes:
        taken: list[Part] = []
        rest = wanted
        while rest != 1:
            if not left:
                return None
            part = left.pop()
            if part.size is rest or part.size == rest:
                rest = 1
            elif BATCH in (part.size, rest):
                return None
            elif rest % part.size == 0:
                rest //= part.size
            elif part.size % rest == 0:
                inner = part.size // rest
                left.append(Part(part.letter, inner, part.stride))
                part, rest = Part(part.letter, rest, part.stride * inner), 1
            else:
                return None
            taken.append(part)
        made.append(joined(taken))
    return None if left else tuple(made)


def expanded(axes: Axes, sizes: Sequence[Size]) -> Axes | None:
    """Entries repeated along axes of size 1, and along new ones in front."""
    axes = ((),) * (len(sizes) - len(axes)) + axes
    if any(axis and n not in (1, size(axis)) for axis, n in zip(axes, sizes, strict=True)):
        return None
    return tuple(
        axis if n in (1, size(axis)) else (Part("x", n, 0),)
        for axis, n in zip(axes, sizes, strict=True)
    )


def fits(part: Axes, into: Axes) -> bool:
    """Whether a tensor goes with another entry by entry, perhaps repeated along some axes."""
    if any(one.letter == "x" for axis in into for one in axis):
        return False
    return all(
        a == b or all(one.letter == "x" for one in a) for a, b in zip(part, into, strict=True)
    )


def letters(axes: Axes, expected: Mapping[str, Axis]) -> str | None:
    """Which axis is which of those expected, such as "nchw"; None where they are others.

    Axes of size 1 may be any; the first order that fits is taken.
    """
    if len(axes) == len(expected):
        for order in permutations(expected):
            if all(expected[letter] == axis for letter, axis in zip(order, axes, strict=True)):
                return "".join(order)
    return None


def flat(axis: Axis, shape: Shape) -> Axis:
    """An axis of all of an image (H, W, C) as one of the vector that it is flattened to."""
    _, width, channels = shape
    steps = {"h": width * channels, "w": channels, "c": 1}
    return joined([Part("c", part.size, part.stride * steps[part.letter]) for part in axis])


def in_order(held: Held, axis: Axis) -> Held:
    """A weight whose first axis lies like this one, all channels, with them in our order."""
    rest = held.form[1:]
    order = sorted(range(len(axis)), key=lambda k: -axis[k].stride)
    if order == list(range(len(axis))):
        return held
    split = held.reshaped(*(part.size for part in axis), *rest)
    trailing = range(len(axis), len(axis) + len(rest))
    return split.transposed(*order, *trailing).reshaped(*held.form)


def shuffle(axis: Axis, channels: Axis) -> int | None:
    """The groups of a channel shuffle that makes an axis the channels again."""
    if len(axis) == 2 and sorted_parts(axis) == channels:
        slow, fast = axis
        if slow.stride == 1 and fast.stride == slow.size:
            return int(fast.size)  # channels i · size + j, j slowest
    return None


@dataclass(frozen=True)
class Blocks:
    """Blocks of `size` × `size` pixels that became channels; or channels that became these.

    Attributes:
        apart: whether channels became pixels.
        crd: whether channels are slower than a block's pixels in what was or becomes channels, as
            PyTorch has it; otherwise faster, as TensorFlow does.
    """

    size: int
    apart: bool
    crd: bool

    def axes(self, shape: Shape, known: Mapping[str, Axis]) -> dict[str, Axis]:
        """How axes lie that hold these blocks of an image, by the letters of what they are then."""
        (height, width, channels), b = shape, self.size
        if not self.apart:
            block = (Part("h", b), Part("w", b))
            inner = (*known["c"], *block) if self.crd else (*block, *known["c"])
            rows, columns = whole("h", height // b, b), whole("w", width // b, b)
            return {**known, "h": rows, "w": columns, "c": joined(inner)}
        c = channels // b**2
        i, j, k = (b, 1, b * b) if self.crd else (b * c, c, 1)
        return {
            **known,
            "h": joined([*known["h"], Part("c", b, i)]),
            "w": joined([*known["w"], Part("c", b, j)]),
            "c": whole("c", c, k),
        }


def blocks(axes: Axes, shape: Shape, known: Mapping[str, Axis]) -> Iterator[tuple[str, Blocks]]:
    """Blocks of pixels that four axes tell of, and which axis is which when they are moved."""
    height, width, channels = shape
    sizes = {part.size for axis in axes for part in axis if part.size is not BATCH}
    for b in sorted(sizes - {1}) if len(axes) == 4 else ():
        for apart, possible in (
            (True, channels % b**2 == 0),
            (False, height % b == width % b == 0),
        ):
            for crd in (False, True) if possible else ():
                found = Blocks(b, apart, crd)
                if order := letters(axes, found.axes(shape, known)):
                    yield order, found
