"""Maximum of tensors, entry by entry."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.merging import Merging


@dataclass(frozen=True)
class Maximum(Merging):
    """max(x₁, x₂, …) entry by entry, all of one shape, which is the output's.

    They are taken two by two, from the left. Where two are equal, each gets half of the gradient.
    """

    name: ClassVar[str] = "maximum"
    exact: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        return functools.reduce(np.maximum, inputs)
