"""Half a cosine."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import attribute
from xgraph.recipe.kinds import LAST_RATE, LEARNING_RATE, Period
from xgraph.recipe.prose import number
from xgraph.recipe.schedules.base import Plan, Schedule, Words, between, warmup


@dataclass(frozen=True)
class Cosine(Schedule):
    """lr = final + (initial − final) · (1 + cos(π·t/N)) / 2 over the whole run of N updates.

    Loshchilov and Hutter 2017, without restarts.
    """

    name: ClassVar[str] = "cosine"

    initial: float = attribute(LEARNING_RATE, doc="learning rate at the start")
    final: float = attribute(LAST_RATE, 0.0, doc="learning rate at the end")
    warmup: Period | None = warmup()

    @property
    def peak(self) -> float:
        return self.initial

    @property
    def said(self) -> str:
        return f"half a cosine from {number(self.initial)} to {number(self.final)}"

    def formula(self, words: Words) -> str:
        wave = f"0.5 * (1 + {words.cos}({words.pi} * step / plan.total_steps))"
        return between(self.final, wave)

    def factor(self, t: int, plan: Plan) -> float:
        wave = (1 + math.cos(math.pi * t / plan.total_steps)) / 2
        return (self.final + (plan.rate - self.final) * wave) / plan.rate

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"initial": 0.2}
        yield {"initial": 0.2, "final": 0.1, "warmup": {"epochs": 1}}
