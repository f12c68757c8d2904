"""The exponential moving average of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import BOOLEAN, RATE
from xgraph.recipe.part import Part
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Ema(Part):
    """After update t, from 0: a ← d·a + (1 − d)·w, of weights and batch-norm statistics.

    d = decay, or min(decay, (1 + t)/(10 + t)) with warm-up, as TensorFlow's
    `ExponentialMovingAverage`. Polyak and Juditsky 1992. Evaluation uses a.
    """

    name: ClassVar[str] = "ema"

    decay: float = attribute(RATE, doc="d, how much of the average is kept")
    warmup: bool = attribute(BOOLEAN, True, doc="forget the first weights sooner")

    @property
    def constants(self) -> dict[str, str]:
        return {"EMA_DECAY": number(self.decay)}

    def kept(self, t: int) -> float:
        """d after update `t`."""
        return min(self.decay, (1 + t) / (10 + t)) if self.warmup else self.decay

    def reference(self, average: Array, weight: Array, t: int) -> Array:
        """The average after update `t`, in NumPy."""
        kept = self.kept(t)
        return kept * average + (1 - kept) * weight

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"decay": 0.6}
        yield {"decay": 0.9, "warmup": False}
