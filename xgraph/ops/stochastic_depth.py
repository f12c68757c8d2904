"""Dropout of a whole branch, for each example by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.dropout import Dropout


@dataclass(frozen=True)
class StochasticDepth(Dropout):
    """Dropout where all entries of an example share one draw.

    At the end of a residual branch it leaves out the branch, for the examples that are dropped
    (Huang et al. 2016, with inverted scaling, so that nothing changes in evaluation). Others call
    it drop path or drop connect. Draw p is that of example p.
    """

    name: ClassVar[str] = "stochastic_depth"

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (shape[0], *(1 for _ in shape[1:]))
