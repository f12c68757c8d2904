"""One rate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import attribute
from xgraph.recipe.kinds import LEARNING_RATE, Period
from xgraph.recipe.schedules.base import Plan, Schedule, Words, warmup


@dataclass(frozen=True)
class Constant(Schedule):
    """lr = rate."""

    name: ClassVar[str] = "constant"

    rate: float = attribute(LEARNING_RATE, doc="learning rate")
    warmup: Period | None = warmup()

    @property
    def peak(self) -> float:
        return self.rate

    @property
    def said(self) -> str:
        return "always the same"

    def formula(self, words: Words) -> str:
        return "plan.rate"

    def factor(self, t: int, plan: Plan) -> float:
        return 1.0

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"rate": 0.1}
        yield {"rate": 0.1, "warmup": {"steps": 10}}
