"""The graph's input. It is node 0 of every graph; a spec cannot call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Op, Types


@dataclass(frozen=True)
class Input(Op):
    """Images of shape (H, W, C), the batch axis left out."""

    name: ClassVar[str] = "input"
    arity: ClassVar[tuple[int, int | None]] = (0, 0)

    shape: tuple[int, ...]

    def infer(self, inputs: Types) -> TensorType:
        return TensorType(self.shape)
