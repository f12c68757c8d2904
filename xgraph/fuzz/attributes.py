"""Attributes drawn by kind, so that an op takes part as soon as it exists.

Only names that many ops share are treated apart: the window's, channel counts, groups.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from random import Random
from typing import Any

from xgraph import ops
from xgraph.ir.types import TensorType
from xgraph.ops.base import Op
from xgraph.ops.kinds import (
    Boolean,
    Choice,
    Factor,
    InitializerKind,
    Integer,
    IntegerPair,
    Kind,
    Nullable,
    PaddingKind,
    Real,
)

#: Channel counts: odd ones, primes and one, for these are where layouts and groups go wrong.
CHANNELS = (1, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8, 9, 10, 12, 16)
# A momentum of 0 would make a moving mean the batch's alone. Behind a batch norm without center
# that is zero but for rounding errors, which are no two programs' same.
_REALS: dict[str, tuple[float, ...]] = {
    "momentum": (0.1, 0.5, 0.9, 0.95, 0.99, 0.997),
    "epsilon": (1e-5, 1e-3, 1e-2, 0.1),
    "rate": (0.0, 0.1, 0.25, 0.5),
    "negative_slope": (0.0, 0.01, 0.1, 0.3, 1.2),
    "alpha": (0.3, 0.5, 1.0, 1.6),
}
# Not `zeros`, behind which there is no signal to compare, nor `ones`, by which a wide layer
# multiplies its input by its fan-in until everything behind it saturates.
_NO_INITIALIZERS = ("zeros", "ones")
_DEVIATIONS = (0.05, 0.1, 0.3)


@dataclass(frozen=True)
class Field:
    """An attribute of an op: enough to draw another value for it."""

    op: str
    name: str
    kind: Kind
    required: bool


def fields(op: str) -> list[Field]:
    """The attributes of an op, in their order."""
    return [
        Field(op, field.name, field.metadata["kind"], field.default is dataclasses.MISSING)
        for field in dataclasses.fields(ops.get(op))
    ]


def bind(op: str, attributes: dict[str, Any]) -> Op:
    """The op with plain values, as a spec would give them."""
    kinds = {field.name: field.kind for field in fields(op)}
    return ops.get(op)(**{name: kinds[name].convert(value) for name, value in attributes.items()})


def draw(random: Random, field: Field, given: TensorType, calm: bool = False) -> Any:
    """A value for an attribute of an op whose input is `given`, as a spec would have it.

    A calm window keeps the image's size: stride 1, padding `same`.
    """
    return _draw(random, field, field.kind, given, calm)


def _draw(random: Random, field: Field, kind: Kind, given: TensorType, calm: bool) -> Any:
    if isinstance(kind, Nullable):
        if random.random() < 0.3:
            return None
        return _draw(random, field, kind.kind, given, calm)
    if isinstance(kind, Choice):
        return random.choice([*kind.options, *([None] if kind.optional else [])])
    if isinstance(kind, Boolean):
        return random.random() < 0.5
    if isinstance(kind, InitializerKind):
        if random.random() < 0.2:
            return {"truncated_normal": random.choice(_DEVIATIONS)}
        return random.choice([name for name in kind.names if name not in _NO_INITIALIZERS])
    if isinstance(kind, Integer):
        return _integer(random, field.name, kind, given)
    if isinstance(kind, IntegerPair):
        return _pair(random, field.name, kind, given, calm)
    if isinstance(kind, PaddingKind):
        return _padding(random, kind, calm)
    if isinstance(kind, Real):
        return _real(random, field.name, kind)
    return _from_cases(random, field)


def _integer(random: Random, name: str, kind: Integer, given: TensorType) -> int:
    if name in ("filters", "units"):
        return random.choice(CHANNELS)
    if name in ("groups", "heads"):
        return random.choice([n for n in range(1, 9) if given.channels % n == 0])
    if isinstance(kind, Factor):  # of pixels or of channels, where it is above 1
        sizes = (*given.shape[:2], given.channels) if given.rank == 3 else (1,)
        return random.choice([1, *(n for n in (2, 3) for size in sizes if size % n == 0)])
    return random.choice([kind.minimum, kind.minimum, kind.minimum + 1, kind.minimum + 2])


def _pair(
    random: Random, name: str, kind: IntegerPair, given: TensorType, calm: bool
) -> int | list[int]:
    smallest = min(given.shape[:2]) if given.rank == 3 else 1
    if name == "kernel":
        sizes = [1, 2, 3, 3, 3, 4, 5]
    elif name == "stride":
        sizes = [1] if calm else [1, 1, 1, 2, 2, 3] if smallest > 4 else [1, 1, 1, 1, 2]
    elif name == "size":  # of what comes out
        sizes = [max(1, smallest // 2), smallest, smallest + 1, 2 * smallest]
    elif name == "dilation":
        sizes = [1, 1, 2, 2, 3] if smallest > 5 else [1]
    else:
        sizes = [kind.minimum, kind.minimum + 1, kind.minimum + 2]
    sizes = [max(size, kind.minimum) for size in sizes]
    if random.random() < 0.65:
        return random.choice(sizes)
    return [random.choice(sizes), random.choice(sizes)]


def _padding(random: Random, kind: PaddingKind, calm: bool) -> Any:
    words = [word for word in kind.words if word == "same"] if calm else list(kind.words)
    if words and random.random() < 0.65:
        return random.choice(words)
    sides = [0, 1, 1] if calm else [0, 1, 1, 2]
    if random.random() < 0.3:
        return random.choice([random.choice(sides), [random.choice(sides), random.choice(sides)]])
    return [[random.choice(sides), random.choice(sides)] for _ in range(2)]


def _real(random: Random, name: str, kind: Real) -> float:
    known = [x for x in _REALS.get(name, ()) if kind.low <= x < kind.high]
    if kind.open_low:
        known = [x for x in known if x > kind.low]
    if known:
        return random.choice(known)
    low = max(kind.low, -2.0)
    high = min(kind.high, low + 2.0)
    return round(low + (high - low) * random.choice([0.125, 0.25, 0.5, 0.75]), 6)


def _from_cases(random: Random, field: Field) -> Any:
    """A kind that is new here: a value that the op's own cases use.

    Raises:
        LookupError: they use none.
    """
    used = [
        case.attributes[field.name]
        for case in ops.get(field.op).cases()
        if field.name in case.attributes
    ]
    if not used:
        raise LookupError(f"no value is known for '{field.name}' of '{field.op}'")
    return random.choice(used)
