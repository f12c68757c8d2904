"""When a run ends before its last epoch."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import COUNT, Real


@dataclass(frozen=True)
class Stop:
    """Limits of a run. It ends with a checkpoint, and may be resumed."""

    patience: int | None = attribute(
        COUNT, None, doc="evaluations in a row without a better first metric"
    )
    hours: float | None = attribute(
        Real(0, open_low=True), None, doc="of training, in all parts of the run"
    )
