"""Rectified linear unit capped at 6."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Relu6(Pointwise):
    """min(max(x, 0), 6), as in MobileNets (Howard et al. 2017)."""

    name: ClassVar[str] = "relu6"
    exact: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        return np.clip(inputs[0], 0, 6)
