"""What an optimizer is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.recipe.part import Part

#: What an optimizer keeps of one weight between updates, by name.
Memory = dict[str, Array]


@dataclass(frozen=True)
class Optimizer(Part):
    """Base of all optimizers."""

    #: whether weight decay is a part of it, so that no regularization can be added
    decays: ClassVar[bool] = False
    #: whether a bias correction counts updates
    counts: ClassVar[bool] = False

    @property
    def memories(self) -> dict[str, float]:
        """What is kept of each weight, an array of its shape, by name: the value at the start."""
        raise NotImplementedError

    def step(
        self, weight: Array, gradient: Array, memory: Memory, rate: float, t: int, kernel: bool
    ) -> Array:
        """The weight after update `t`, from 0, in NumPy; `memory` is brought up to date.

        Args:
            weight: before the update.
            gradient: of the loss; what regularization adds is in it.
            memory: arrays by the names of `memories`.
            rate: learning rate of this update.
            t: how many updates there were.
            kernel: whether the weight is a kernel, on which decay acts.
        """
        raise NotImplementedError
