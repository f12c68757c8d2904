"""What a regularization is."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import Array
from xgraph.recipe.part import Part


@dataclass(frozen=True)
class Regularization(Part):
    """Base of all regularizations. They act on kernels only, not on biases, gamma and beta."""

    def added(self, kernel: Array) -> Array | float:
        """What is added to a kernel's gradient, in NumPy."""
        return 0.0

    def decayed(self, kernel: Array, rate: float) -> Array:
        """The kernel as the optimizer is given it, in an update at this learning rate."""
        return kernel
