"""What is minimized. Losses take logits and are means over the batch."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import RATE


@dataclass(frozen=True)
class SoftmaxCrossEntropy:
    """One label per image; with label smoothing ε the target is (1 − ε)·onehot + ε/K."""

    label_smoothing: float = attribute(RATE, 0.0, doc="ε, the mass spread over all K classes")


Loss = SoftmaxCrossEntropy

LOSSES: dict[str, type[Loss]] = {"softmax_cross_entropy": SoftmaxCrossEntropy}
