"""How often a run reports, evaluates and saves."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.recipe.kinds import CADENCE, Period


@dataclass(frozen=True)
class Cadence:
    """Periods; evaluation and a checkpoint also come at the end of the run."""

    log: Period = attribute(CADENCE, Period("steps", 50), doc="between lines of the log")
    evaluate: Period = attribute(CADENCE, Period("epochs", 1), doc="between evaluations")
    checkpoint: Period = attribute(CADENCE, Period("epochs", 1), doc="between checkpoints")
