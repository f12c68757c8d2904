"""Recall of the best k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.recipe.metrics.base import Metric


@dataclass(frozen=True)
class Recall(Metric):
    """The share of an image's labels that are among the k classes with the largest logits."""

    name: ClassVar[str] = "recall"

    def reference(self, hits: Array, labels: Array) -> Array:
        found: Array = hits.sum(axis=1) / labels.clip(min=1)
        return found
