"""Averaged weights (Polyak), which are the ones that get evaluated and kept."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import BOOLEAN, RATE


@dataclass(frozen=True)
class Average:
    """After update t (from 0): a ← d·a + (1 − d)·w, of weights and batch-norm statistics.

    d = decay, or min(decay, (1 + t)/(10 + t)) with warm-up.
    """

    decay: float = attribute(RATE, doc="d, how much of the average is kept")
    warmup: bool = attribute(BOOLEAN, True, doc="forget the first weights sooner")
