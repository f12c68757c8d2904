"""What a schedule is: a formula that is written once and read by Python and by frameworks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from xgraph.ops.base import attribute
from xgraph.recipe.kinds import PERIOD, Period
from xgraph.recipe.part import Part
from xgraph.recipe.prose import number


class Plan(Protocol):
    """How long a run is."""

    @property
    def batch_size(self) -> int: ...
    @property
    def steps_per_epoch(self) -> int: ...
    @property
    def total_steps(self) -> int: ...
    @property
    def rate(self) -> float:
        """The schedule's `peak`, unless a user says otherwise."""


@dataclass(frozen=True)
class Words:
    """How code says what formulas need beyond arithmetic; the names of functions, and of π."""

    cos: str = "math.cos"
    pi: str = "math.pi"
    minimum: str = "min"


PYTHON = Words()


def warmup() -> Any:
    """The setting that every schedule has."""
    return attribute(PERIOD, None, doc="length of a linear warm-up from 0")


@dataclass(frozen=True)
class Schedule(Part):
    """Base of all schedules; t counts updates from 0.

    Warm-up over W updates multiplies whatever the schedule says by min(1, (t + 1) / W).
    """

    @property
    def warmup(self) -> Period | None:
        """W, a setting of every schedule; in each it is the last."""
        raise NotImplementedError

    @property
    def peak(self) -> float:
        """The rate that all others are in proportion to, or begin from."""
        raise NotImplementedError

    @property
    def said(self) -> str:
        """The formula in words, without warm-up."""
        raise NotImplementedError

    def formula(self, words: Words) -> str:
        """The rate of update `step` as an expression of `step` and `plan`, without warm-up."""
        raise NotImplementedError

    def factor(self, t: int, plan: Plan) -> float:
        """The rate of update `t` in proportion to the plan's, without warm-up: the reference."""
        raise NotImplementedError

    def reference(self, t: int, plan: Plan) -> float:
        """The rate of update `t`, in Python."""
        share = 1.0
        if self.warmup is not None:
            share = min(1.0, (t + 1) / steps_of(self.warmup, plan))
        return plan.rate * self.factor(t, plan) * share


def steps_of(period: Period, plan: Plan) -> int:
    """A period in updates."""
    if period.unit == "epochs":
        return period.count * plan.steps_per_epoch
    return max(1, period.count // plan.batch_size) if period.unit == "samples" else period.count


def steps(period: Period) -> str:
    """A period in updates, as a Python expression."""
    if period.unit == "epochs":
        times = "" if period.count == 1 else f"{period.count} * "
        return f"{times}plan.steps_per_epoch"
    if period.unit == "samples":
        return f"max(1, {period.count:_} // plan.batch_size)"
    return f"{period.count:_}"


def passed(period: Period) -> str:
    """How many whole periods lie behind, as an expression that is exact for samples too."""
    if period.unit == "samples":
        return f"(step * plan.batch_size // {period.count:_})"
    length = steps(period)
    return f"(step // ({length}))" if "*" in length else f"(step // {length})"


def between(final: float, share: str) -> str:
    """`final` + (the plan's rate − `final`) · share."""
    if final == 0:
        return f"plan.rate * {share}"
    return f"{number(final)} + (plan.rate - {number(final)}) * {share}"
