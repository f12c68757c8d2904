"""A power of what is left of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.kinds import LAST_RATE, LEARNING_RATE, Period
from xgraph.recipe.prose import number
from xgraph.recipe.schedules.base import Plan, Schedule, Words, between, warmup


@dataclass(frozen=True)
class Polynomial(Schedule):
    """lr = final + (initial − final) · (1 − t/N)^power over the whole run of N updates."""

    name: ClassVar[str] = "polynomial"

    initial: float = attribute(LEARNING_RATE, doc="learning rate at the start")
    final: float = attribute(LAST_RATE, 0.0, doc="learning rate at the end")
    power: float = attribute(POSITIVE, 1.0, doc="1 is a straight line")
    warmup: Period | None = warmup()

    @property
    def peak(self) -> float:
        return self.initial

    @property
    def said(self) -> str:
        how = "a straight line" if self.power == 1 else f"a curve of power {number(self.power)}"
        return f"{how} from {number(self.initial)} to {number(self.final)}"

    def formula(self, words: Words) -> str:
        power = "" if self.power == 1 else f" ** {number(self.power)}"
        return between(self.final, f"(1 - step / plan.total_steps){power}")

    def factor(self, t: int, plan: Plan) -> float:
        left: float = (1 - t / plan.total_steps) ** self.power
        return (self.final + (plan.rate - self.final) * left) / plan.rate

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"initial": 0.2}
        yield {"initial": 0.2, "final": 0.01, "power": 0.9, "warmup": {"steps": 5}}
