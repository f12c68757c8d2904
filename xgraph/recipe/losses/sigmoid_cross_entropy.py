"""Cross entropy of any number of labels per image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import Choice
from xgraph.recipe.kinds import CLASS_WEIGHTS
from xgraph.recipe.losses.base import Loss, shares


@dataclass(frozen=True)
class SigmoidCrossEntropy(Loss):
    """−Σ w · (t · log σ(logit) + (1 − t) · log(1 − σ(logit))), over or averaged over classes.

    Each class is a question of its own, so an image may have any number of labels. t is the target,
    w the weight of the class, or 1; an average is over the K classes, not over their weights.
    """

    name: ClassVar[str] = "sigmoid_cross_entropy"
    many: ClassVar[bool] = True

    over_classes: str = attribute(
        Choice(("sum", "mean")), "sum", doc="how classes are put together"
    )
    class_weights: str | tuple[float, ...] | None = attribute(
        CLASS_WEIGHTS, None, doc="w, how much each class counts in training"
    )

    @property
    def said(self) -> str:
        return f"sigmoid cross entropy, {self.over_classes} over the classes"

    def reference(self, logits: Array, labels: Array) -> float:
        import numpy as np

        target = shares(labels, logits.shape[1])
        # log(1 + exp(x)) without overflow
        losses = np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))
        losses = self.weights(logits.shape[1]) * losses
        return float(losses.sum(1).mean() / self._divisor(logits))

    def gradient(self, logits: Array, labels: Array) -> Array:
        import numpy as np

        slope = 1 / (1 + np.exp(-logits)) - shares(labels, logits.shape[1])
        slope = self.weights(logits.shape[1]) * slope
        gradient: Array = slope / (len(logits) * self._divisor(logits))
        return gradient

    def _divisor(self, logits: Array) -> int:
        return int(logits.shape[1]) if self.over_classes == "mean" else 1

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"over_classes": "mean"}
        yield {"class_weights": [0.3, 2, 0, 1.7]}
        yield {"over_classes": "mean", "class_weights": [0.3, 2, 0, 1.7]}
        yield {"class_weights": "balanced"}
