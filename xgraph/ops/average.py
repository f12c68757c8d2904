"""Mean of tensors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.merging import Merging


@dataclass(frozen=True)
class Average(Merging):
    """(x₁ + x₂ + … + xₙ) / n, all of one shape, which is the output's."""

    name: ClassVar[str] = "average"
    smooth: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return functools.reduce(operator.add, inputs) / len(inputs)
