"""Distances between what two programs left on disk, and how far apart they may be.

A distance is max|a − b| over max|b|, for each tensor. What is zero in exact arithmetic, such as the
gradient of a bias that batch norm takes away again, is all rounding of the many large numbers that
add up to it: a tensor smaller than `FLOOR` times the largest one of its kind is measured against
that instead of against itself. The gradient of images is one tensor, with nothing of its kind to
tell that it is zero; the gradients of weights do, if it is smaller than `IMAGES_FLOOR` times the
largest of them. That is far less, for there are many pixels, and each may well have a small part.

How far apart two programs may be follows from how far one of them is from itself when what it
begins with is a few roundings off: no comparison can tell more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xgraph.ops.base import Array

FLOOR = 1e-3
IMAGES_FLOOR = 1e-9
#: In float64, no program is asked about itself up to here.
CLOSE = 1e-12
#: In float64, two programs may be so many times as far apart as one is from itself.
MARGIN = 100.0
#: What a rounding of float64 is of one of float32.
FINER = 2.0**-29
#: Beyond this limit, a float64 comparison says little: the network is ill-conditioned.
TELLING = 1e-7
#: A float32 distance of a few roundings needs no yardstick.
_ROUNDING = 1e-6
#: The longest limits: beyond these, agreement would say nothing at all. In float64, such a tensor
#: is left out, if its quantity has others.
_MOST = {"float64": 1e-2, "float32": 0.1}


@dataclass(frozen=True)
class Quantity:
    """Something that is compared.

    `stage` and `kind` say which arrays: those whose name is `kind`, or begins with it and a slash.
    `beside` is the kind of others, of the same stage, whose rounding is in these too. `float32` is
    the limit of float32; a None is only reported, or with a `yardstick` as near as that allows:
    twice the distance of one of the frameworks to its own float64.
    """

    name: str
    stage: str
    kind: str
    float32: float | None
    yardstick: bool = False
    beside: str = ""

    def of(self, held: Mapping[str, Array]) -> Arrays:
        """Its arrays among what a stage has left."""
        return Arrays(held, self.kind, self.beside)


QUANTITIES = (
    Quantity("evaluation output", "evaluation", "outputs", 1e-5),
    Quantity("training output", "training", "outputs", 1e-5, yardstick=True),
    Quantity("loss", "training", "loss", 1e-5, yardstick=True),
    Quantity("gradients of weights", "training", "gradients", None, yardstick=True),
    Quantity("gradient of images", "training", "images", None, yardstick=True, beside="gradients"),
    Quantity("moving statistics", "training", "statistics", 1e-5, yardstick=True),
    Quantity("losses of all steps", "steps", "losses", None),
    Quantity("weights after steps", "steps", "weights", None),
    Quantity("statistics after steps", "steps", "statistics", None),
    Quantity("optimizer after steps", "steps", "optimizer", None),
    Quantity("EMA after steps", "steps", "ema", None),
)


class Arrays:
    """The arrays of one quantity of one program, read when they are asked for.

    Without a `kind` they are all that is held.
    """

    def __init__(self, held: Mapping[str, Array], kind: str = "", beside: str = "") -> None:
        self.held = held
        self.names = _named(held, kind)
        self.beside = _named(held, beside) if beside else []

    def __getitem__(self, name: str) -> Array:
        return self.held[name]

    def floor(self) -> float:
        """What a tensor that is smaller is measured against."""
        return max(FLOOR * self._largest(self.names), IMAGES_FLOOR * self._largest(self.beside))

    def _largest(self, names: Sequence[str]) -> float:
        return max((_size(self[name]) for name in names), default=0.0)


def distances(left: Arrays, right: Arrays) -> dict[str, float]:
    """The distance in each tensor; infinite where only one has it, or a number is none."""
    floor = right.floor()
    found = {}
    for name in (*left.names, *(n for n in right.names if n not in left.names)):
        if name not in left.names or name not in right.names:
            found[name] = float("inf")
            continue
        a, b = left[name], right[name]
        if a.shape != b.shape:
            found[name] = float("inf")
            continue
        scale = max(_size(b), floor)
        difference = _size(np.subtract(a, b, dtype=np.float64))
        # Where all of the right is zero, whatever is not is infinitely far.
        found[name] = difference and (difference / scale if scale else math.inf)
    return {n: float("inf") if math.isnan(d) else d for n, d in found.items()}


def limits(
    quantity: Quantity, dtype: str, names: Sequence[str], own: Sequence[Mapping[str, float]] = ()
) -> dict[str, float | None]:
    """How far apart each tensor may be; None, of one that nothing can be told of or is asked.

    Args:
        quantity: what is compared.
        dtype: what the programs computed in.
        names: of the tensors.
        own: distances of programs to themselves, where they are known: in float64 from a beginning
            that is a few roundings off, or from float32 times `FINER`; in float32 from float64.
    """
    least, times = (quantity.float32 or _ROUNDING, 2.0) if dtype == "float32" else (CLOSE, MARGIN)
    if dtype == "float32" and not quantity.yardstick:
        return dict.fromkeys(names, quantity.float32)
    allowed: dict[str, float | None] = {}
    for name in names:
        finite = (found[name] for found in own if found.get(name, math.inf) < math.inf)
        rounding = times * max(finite, default=0.0)
        allowed[name] = max(least, min(rounding, _MOST[dtype]))
        if dtype == "float64" and rounding > _MOST[dtype]:
            allowed[name] = None
    nothing_left = not any(allowed.values())
    return dict.fromkeys(names, _MOST[dtype]) if nothing_left else allowed


def within(found: Mapping[str, float], allowed: Mapping[str, float | None]) -> bool:
    """Whether all distances are within their limits."""
    bounds = ((distance, allowed[name]) for name, distance in found.items())
    return all(limit is None or distance <= limit for distance, limit in bounds)


def worst(found: Mapping[str, float], allowed: Mapping[str, float | None]) -> str | None:
    """The tensor that is farthest in proportion to its limit; the farthest where none has one."""
    bounds = {name: limit for name, limit in allowed.items() if limit is not None}
    if not bounds:
        return max(found, key=found.__getitem__, default=None)
    return max(bounds, key=lambda name: found[name] / bounds[name])


def _named(held: Mapping[str, Array], kind: str) -> list[str]:
    return [n for n in held if not kind or n == kind or n.startswith(f"{kind}/")]


def _size(array: Array) -> float:
    """max|a|, infinite where there is something that is no number."""
    if not array.size:
        return 0.0
    size = float(np.abs(array).max())
    return float("inf") if math.isnan(size) else size
