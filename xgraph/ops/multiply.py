"""Product of tensors."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, Types
from xgraph.ops.merging import disagreement


@dataclass(frozen=True)
class Multiply(Op):
    """x₁ · x₂ · …, entry by entry.

    All are of one shape, which is the output's, except that a (1, 1, C) input scales the channels
    of (H, W, C) ones, as in squeeze-and-excitation (Hu et al. 2018).
    """

    name: ClassVar[str] = "multiply"
    arity: ClassVar[tuple[int, int | None]] = (2, None)
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def infer(self, inputs: Types) -> TensorType:
        first = next((k for k, x in enumerate(inputs) if not _is_pixel(x)), 0)
        whole = inputs[first]
        for k, x in enumerate(inputs):
            if x.shape == whole.shape:
                continue
            if whole.rank == 3 and _is_pixel(x) and x.channels == whole.channels:
                continue
            expected = f"shape {whole.shape}"
            if whole.rank == 3:
                expected += f" or (1, 1, {whole.channels})"
            flat = whole.rank == 3 and x.rank == 1
            hint = "set keep_dims: true where the image was pooled to a vector" if flat else None
            raise disagreement("multiply", inputs, first, k, expected=expected, hint=hint)
        return whole

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return functools.reduce(operator.mul, inputs)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((4, 3, 2), (5,)):
            for count in (2, 3):
                yield Case((shape,) * count)
        yield Case(((4, 3, 2), (1, 1, 2)))
        yield Case(((1, 1, 2), (4, 3, 2)))
        yield Case(((1, 1, 2), (4, 3, 2), (1, 1, 2)))
        yield Case(((1, 1, 3), (1, 1, 3)))


def _is_pixel(x: TensorType) -> bool:
    """Whether `x` is an image of a single pixel."""
    return x.rank == 3 and x.shape[:2] == (1, 1)
