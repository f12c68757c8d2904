"""Flatten an image to a vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, Types


@dataclass(frozen=True)
class Flatten(Op):
    """(H, W, C) → (H · W · C,) in row-major order, the channel fastest; (C,) stays."""

    name: ClassVar[str] = "flatten"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def infer(self, inputs: Types) -> TensorType:
        (x,) = inputs
        return TensorType((x.elements,)) if x.rank > 1 else x

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        (x,) = inputs
        return x.reshape(x.shape[0], -1)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((3, 4, 5), (4, 3, 2), (1, 1, 6), (2, 2, 1), (7,)):
            yield Case((shape,))
