"""Cross entropy of any number of labels per image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import Choice
from xgraph.recipe.losses.base import Loss


@dataclass(frozen=True)
class SigmoidCrossEntropy(Loss):
    """−Σ target · log σ(logit) + (1 − target) · log(1 − σ(logit)), over or averaged over classes.

    Each class is a question of its own, so an image may have any number of labels.
    """

    name: ClassVar[str] = "sigmoid_cross_entropy"
    many: ClassVar[bool] = True

    over_classes: str = attribute(
        Choice(("sum", "mean")), "sum", doc="how classes are put together"
    )

    @property
    def said(self) -> str:
        return f"sigmoid cross entropy, {self.over_classes} over the classes"

    def reference(self, logits: Array, labels: Array) -> float:
        import numpy as np

        target = self._target(logits, labels)
        # log(1 + exp(x)) without overflow
        losses = np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits)))
        return float(losses.sum(1).mean() / self._divisor(logits))

    def gradient(self, logits: Array, labels: Array) -> Array:
        import numpy as np

        slope = 1 / (1 + np.exp(-logits)) - self._target(logits, labels)
        gradient: Array = slope / (len(logits) * self._divisor(logits))
        return gradient

    def _divisor(self, logits: Array) -> int:
        return int(logits.shape[1]) if self.over_classes == "mean" else 1

    def _target(self, logits: Array, labels: Array) -> Array:
        import numpy as np

        target: Array = np.eye(logits.shape[1])[labels] if labels.ndim == 1 else labels
        return target

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"over_classes": "mean"}
