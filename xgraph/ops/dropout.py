"""Dropout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import RATE
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class Dropout(Pointwise):
    """In training, zero with probability `rate` and x / (1 − rate) otherwise; x in evaluation.

    Each entry is drawn by itself (Srivastava et al. 2014, inverted scaling). The reference is the
    identity: the mask of a training step is each framework's own.
    """

    name: ClassVar[str] = "dropout"

    rate: float = attribute(RATE, doc="fraction of entries dropped")

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return inputs[0]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            for rate in (0, 0.5):
                yield Case((shape,), {"rate": rate})
