"""Steps down by a factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.kinds import LEARNING_RATE, PERIOD, Period
from xgraph.recipe.prose import number
from xgraph.recipe.schedules.base import Plan, Schedule, Words, passed, warmup


@dataclass(frozen=True)
class Exponential(Schedule):
    """Staircase: lr = initial · rate^⌊t/T⌋."""

    name: ClassVar[str] = "exponential"

    initial: float = attribute(LEARNING_RATE, doc="learning rate at the start")
    rate: float = attribute(POSITIVE, doc="factor that is applied every T")
    every: Period = attribute(PERIOD, doc="T, in steps, epochs or samples")
    warmup: Period | None = warmup()

    @property
    def peak(self) -> float:
        return self.initial

    @property
    def said(self) -> str:
        return f"{number(self.initial)}, times {number(self.rate)} every {self.every}"

    def formula(self, words: Words) -> str:
        return f"plan.rate * {number(self.rate)} ** {passed(self.every)}"

    def factor(self, t: int, plan: Plan) -> float:
        if self.every.unit == "samples":
            return self.rate ** (t * plan.batch_size // self.every.count)
        length = plan.steps_per_epoch if self.every.unit == "epochs" else 1
        return self.rate ** (t // (self.every.count * length))

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"initial": 0.045, "rate": 0.94, "every": {"epochs": 2}}
        yield {"initial": 0.1, "rate": 0.5, "every": {"steps": 3}}
        yield {"initial": 0.1, "rate": 0.9, "every": {"samples": 100}, "warmup": {"samples": 50}}
