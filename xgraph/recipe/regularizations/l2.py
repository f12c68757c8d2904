"""L2, which passes through the optimizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.prose import number
from xgraph.recipe.regularizations.base import Regularization


@dataclass(frozen=True)
class L2(Regularization):
    """g ← g + λ·w (that is, loss + λ/2·Σw²).

    This is coupled decay: it passes through momentum. Keras' `l2(λ)` is λ·Σw², twice as strong.
    """

    name: ClassVar[str] = "l2"

    rate: float = attribute(POSITIVE, doc="λ, the strength")

    @property
    def constants(self) -> dict[str, str]:
        return {"L2": number(self.rate)}

    @property
    def said(self) -> str:
        return "L2 on kernels only"

    def added(self, kernel: Array) -> Array:
        return self.rate * kernel

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"rate": 0.1}
