"""Mean average precision of the best k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.recipe.metrics.base import Metric


@dataclass(frozen=True)
class MeanAveragePrecision(Metric):
    """Σ hit(j) · precision(j) / min(labels, k), j to k; precision(j) is the share of hits to j."""

    name: ClassVar[str] = "map"

    def reference(self, hits: Array, labels: Array) -> Array:
        import numpy as np

        precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
        average: Array = (hits * precision).sum(axis=1) / labels.clip(1, self.k)
        return average
