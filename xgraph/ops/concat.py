"""Concatenation of channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, Types
from xgraph.ops.merging import disagreement

_HINT = "give the branches the same stride and padding"


@dataclass(frozen=True)
class Concat(Op):
    """The inputs' channels one after the other: (H, W, C₁), (H, W, C₂), … → (H, W, C₁ + C₂ + …).

    Vectors are joined likewise. A single input stays.
    """

    name: ClassVar[str] = "concat"
    arity: ClassVar[tuple[int, int | None]] = (1, None)
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def infer(self, inputs: Types) -> TensorType:
        size = inputs[0].shape[:-1]
        for k, x in enumerate(inputs):
            if x.shape[:-1] != size:
                wanted = ", ".join(str(n) for n in (*size, "channels"))
                expected = f"shape ({wanted})" if size else "shape (channels,)"
                raise disagreement("concat", inputs, 0, k, expected=expected, hint=_HINT)
        return TensorType((*size, sum(x.channels for x in inputs)))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        return np.concatenate(inputs, axis=-1)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for spatial in ((4, 3), ()):
            for channels in ((2,), (2, 3), (3, 1, 4)):
                yield Case(tuple((*spatial, c) for c in channels))
