"""Cross entropy of one label per image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import RATE
from xgraph.recipe.kinds import CLASS_WEIGHTS
from xgraph.recipe.losses.base import Loss, shares
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """−w · Σ target · log softmax(logits), the target being (1 − ε)·onehot + ε/K.

    ε is label smoothing (Szegedy et al. 2016), w the weight of the label's class, or 1. The mean is
    over the images, not over their weights. Of an image that shows several classes in shares it is
    the sum of the share of each times its loss.
    """

    name: ClassVar[str] = "softmax_cross_entropy"

    label_smoothing: float = attribute(RATE, 0.0, doc="ε, the mass spread over all K classes")
    class_weights: str | tuple[float, ...] | None = attribute(
        CLASS_WEIGHTS, None, doc="w, how much an image of each class counts in training"
    )

    @property
    def constants(self) -> dict[str, str]:
        smoothing = self.label_smoothing
        own = {"LABEL_SMOOTHING": number(smoothing)} if smoothing else {}
        return {**own, **super().constants}

    @property
    def said(self) -> str:
        return "softmax cross entropy"

    def reference(self, logits: Array, labels: Array) -> float:
        import numpy as np

        shifted = logits - logits.max(axis=1, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return float(-(self._target(logits, labels) * logarithms).sum(axis=1).mean())

    def gradient(self, logits: Array, labels: Array) -> Array:
        import numpy as np

        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax = powers / powers.sum(axis=1, keepdims=True)
        target = self._target(logits, labels)
        gradient: Array = (target.sum(axis=1, keepdims=True) * softmax - target) / len(logits)
        return gradient

    def _target(self, logits: Array, labels: Array) -> Array:
        classes = logits.shape[1]
        smoothing = self.label_smoothing
        weighted = self.weights(classes) * shares(labels, classes)
        spread = weighted.sum(axis=1, keepdims=True) / classes
        target: Array = (1 - smoothing) * weighted + smoothing * spread
        return target

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"label_smoothing": 0.1}
        yield {"class_weights": [0.3, 2, 0, 1.7]}
        yield {"class_weights": [0.3, 2, 0, 1.7], "label_smoothing": 0.1}
        yield {"class_weights": "balanced"}
