"""Clipping by the norm of all gradients together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.clips.base import Clip
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Norm(Clip):
    """g ← g · min(1, c / ‖g‖), ‖g‖ being the norm of all gradients as one vector.

    Pascanu et al. 2013. PyTorch's `clip_grad_norm_` divides by ‖g‖ + 1e-6.
    """

    name: ClassVar[str] = "norm"

    limit: float = attribute(POSITIVE, doc="c, the greatest norm")

    @property
    def constants(self) -> dict[str, str]:
        return {"CLIP_NORM": number(self.limit)}

    @property
    def said(self) -> str:
        return "gradients clipped by their norm"

    def reference(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        norm = sum(float((gradient**2).sum()) for gradient in gradients.values()) ** 0.5
        scale = min(1.0, self.limit / norm) if norm else 1.0
        return {name: scale * gradient for name, gradient in gradients.items()}

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"limit": 0.05}
        yield {"limit": 100}
