"""Dropout of whole channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Case, Types
from xgraph.ops.dropout import Dropout
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class SpatialDropout(Dropout):
    """Dropout where all positions of a channel share one draw, for each example.

    Tompson et al. 2015. Draws are counted in the order (N, C).
    """

    name: ClassVar[str] = "spatial_dropout"

    def infer(self, inputs: Types) -> TensorType:
        return need_image("spatial_dropout", inputs)

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        n, _, _, channels = shape
        return (n, 1, 1, channels)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for rate in (0, 0.3, 0.5):
            yield Case(((5, 4, 3),), {"rate": rate})
