"""What a loss is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.recipe.part import Part


@dataclass(frozen=True)
class Loss(Part):
    """Base of all losses. They take logits (B, K) and labels, and are means over the batch.

    Labels are numbers of classes (B,); where an image may have `many`, also ones and zeros (B, K).
    """

    #: whether an image may have any number of labels
    many: ClassVar[bool] = False

    def reference(self, logits: Array, labels: Array) -> float:
        """The loss, in NumPy."""
        raise NotImplementedError

    def gradient(self, logits: Array, labels: Array) -> Array:
        """Its gradient with respect to the logits, in NumPy."""
        raise NotImplementedError
