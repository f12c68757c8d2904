"""How a gradient becomes a step."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import BOOLEAN, RATE


@dataclass(frozen=True)
class Sgd:
    """v ← μv + g; w ← w − lr·v, or with Nesterov w ← w − lr·(g + μv)."""

    momentum: float = attribute(RATE, 0.0, doc="μ, how much of the last step is kept")
    nesterov: bool = attribute(BOOLEAN, False, doc="look ahead along the momentum")


Optimizer = Sgd

OPTIMIZERS: dict[str, type[Optimizer]] = {"sgd": Sgd}
