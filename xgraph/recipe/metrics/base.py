"""What a metric is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array


@dataclass(frozen=True)
class Metric:
    """Base of all metrics: means over images, each of the k classes with the largest logits.

    A recipe says them as words, `top5` for `Top(5)`. The first line of a metric's docstring is its
    formula.
    """

    name: ClassVar[str] = ""

    k: int

    def __str__(self) -> str:
        return f"{self.name}{self.k}"

    @classmethod
    def constant(cls) -> str:
        """What train.py calls the k of all such metrics, by their names."""
        return f"{cls.name.upper()}_K"

    def reference(self, hits: Array, labels: Array) -> Array:
        """The value of each image (B,), in NumPy.

        Args:
            hits: (B, k), by falling logit: 1 where the class is a label, else 0.
            labels: (B,), how many labels there are.
        """
        raise NotImplementedError
