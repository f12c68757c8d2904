"""What is measured at evaluation beside the loss: one file each."""

from __future__ import annotations

from xgraph.recipe.metrics.base import Metric
from xgraph.recipe.parts import Parts

METRICS = Parts("xgraph.recipe.metrics", Metric)

__all__ = ["METRICS", "Metric"]
