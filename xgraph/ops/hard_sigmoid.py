"""Piecewise linear sigmoid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class HardSigmoid(Pointwise):
    """relu6(x + 3) / 6 (Howard et al. 2019, MobileNetV3), as Keras 3 and PyTorch have it."""

    name: ClassVar[str] = "hard_sigmoid"

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        return np.clip(inputs[0] + 3.0, 0, 6) / 6.0
