"""Cross entropy of one label per image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import RATE
from xgraph.recipe.losses.base import Loss
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """−Σ target · log softmax(logits), the target being (1 − ε)·onehot + ε/K.

    ε is label smoothing (Szegedy et al. 2016).
    """

    name: ClassVar[str] = "softmax_cross_entropy"

    label_smoothing: float = attribute(RATE, 0.0, doc="ε, the mass spread over all K classes")

    @property
    def constants(self) -> dict[str, str]:
        smoothing = self.label_smoothing
        return {"LABEL_SMOOTHING": number(smoothing)} if smoothing else {}

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
        gradient: Array = (softmax - self._target(logits, labels)) / len(logits)
        return gradient

    def _target(self, logits: Array, labels: Array) -> Array:
        import numpy as np

        classes = logits.shape[1]
        smoothing = self.label_smoothing
        target: Array = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
        return target

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"label_smoothing": 0.1}
