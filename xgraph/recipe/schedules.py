"""The learning rate of each update; t counts updates from 0.

Warm-up multiplies whatever the schedule says by min(1, (t + 1) / W).
"""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import POSITIVE, Real
from xgraph.recipe.kinds import PERIOD, Period

_WARMUP = "length of a linear warm-up from 0"


@dataclass(frozen=True)
class Constant:
    """lr = rate."""

    rate: float = attribute(POSITIVE, doc="learning rate")
    warmup: Period | None = attribute(PERIOD, None, doc=_WARMUP)


@dataclass(frozen=True)
class Exponential:
    """Staircase: lr = initial · rate^⌊t/T⌋."""

    initial: float = attribute(POSITIVE, doc="learning rate at the start")
    rate: float = attribute(POSITIVE, doc="factor that is applied every T")
    every: Period = attribute(PERIOD, doc="T, in steps, epochs or samples")
    warmup: Period | None = attribute(PERIOD, None, doc=_WARMUP)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine over the whole run of N steps: from initial at t = 0 to final at t = N."""

    initial: float = attribute(POSITIVE, doc="learning rate at the start")
    final: float = attribute(Real(0), 0.0, doc="learning rate at the end")
    warmup: Period | None = attribute(PERIOD, None, doc=_WARMUP)


Schedule = Constant | Exponential | Cosine

SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "exponential": Exponential,
    "cosine": Cosine,
}
