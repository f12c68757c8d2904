"""What a loss is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.recipe.part import Part
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Loss(Part):
    """Base of all losses. They take logits (B, K) and labels, and are means over the batch.

    Labels are numbers of classes (B,); where an image may have `many`, also ones and zeros (B, K);
    where images are mixed, shares of the classes (B, K).
    """

    #: whether an image may have any number of labels
    many: ClassVar[bool] = False

    @property
    def class_weights(self) -> str | tuple[float, ...] | None:
        """By class, or `balanced`: a run's own, N / (K·n) of its training images. A setting."""
        return None

    @property
    def constants(self) -> dict[str, str]:
        weights = self.class_weights
        if not isinstance(weights, tuple):
            return {}
        return {"CLASS_WEIGHTS": f"[{', '.join(map(number, weights))}]"}

    def reference(self, logits: Array, labels: Array) -> float:
        """The loss that training minimizes, in NumPy."""
        raise NotImplementedError

    def gradient(self, logits: Array, labels: Array) -> Array:
        """Its gradient with respect to the logits, in NumPy."""
        raise NotImplementedError

    def weights(self, classes: int) -> Array:
        """The weight of each class; of those that are balanced, as if all were as frequent."""
        import numpy as np

        given = self.class_weights
        return np.array(given) if isinstance(given, tuple) else np.ones(classes)


def shares(labels: Array, classes: int) -> Array:
    """Labels as shares of the classes (B, K), also those of images that have one each (B,)."""
    import numpy as np

    found: Array = np.eye(classes)[labels] if labels.ndim == 1 else labels
    return found
