"""Top-k accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.recipe.metrics.base import Metric


@dataclass(frozen=True)
class Top(Metric):
    """Whether one of the k classes with the largest logits is a label."""

    name: ClassVar[str] = "top"

    def reference(self, hits: Array, labels: Array) -> Array:
        found: Array = hits.max(axis=1) > 0
        return found
