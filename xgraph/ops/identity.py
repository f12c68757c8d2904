"""The identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Identity(Pointwise):
    """x, unchanged: an activation that a block's parameter leaves out."""

    name: ClassVar[str] = "identity"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return inputs[0]
