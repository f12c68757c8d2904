"""Steps down at given times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.kinds import LEARNING_RATE, PERIODS, Period
from xgraph.recipe.prose import number
from xgraph.recipe.schedules.base import Plan, Schedule, Words, steps, steps_of, warmup


@dataclass(frozen=True)
class StepList(Schedule):
    """lr = initial · rate^k, k counting the times in `at` that have come."""

    name: ClassVar[str] = "step_list"

    initial: float = attribute(LEARNING_RATE, doc="learning rate at the start")
    rate: float = attribute(POSITIVE, doc="factor that is applied at each of the times")
    at: tuple[Period, ...] = attribute(PERIODS, doc="times, in steps, epochs or samples")
    warmup: Period | None = warmup()

    @property
    def peak(self) -> float:
        return self.initial

    @property
    def said(self) -> str:
        *first, last = map(str, self.at)
        times = f"{', '.join(first)} and {last}" if first else last
        return f"{number(self.initial)}, times {number(self.rate)} after {times}"

    def formula(self, words: Words) -> str:
        come = [f"{words.minimum}(step // {_paren(steps(time))}, 1)" for time in self.at]
        power = come[0] if len(come) == 1 else f"({' + '.join(come)})"
        return f"plan.rate * {number(self.rate)} ** {power}"

    def factor(self, t: int, plan: Plan) -> float:
        return self.rate ** sum(t >= steps_of(time, plan) for time in self.at)

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"initial": 0.1, "rate": 0.1, "at": [{"epochs": 2}]}
        yield {"initial": 0.1, "rate": 0.5, "at": [{"steps": 7}, {"epochs": 3}, {"samples": 99}]}


def _paren(text: str) -> str:
    return f"({text})" if "*" in text else text
