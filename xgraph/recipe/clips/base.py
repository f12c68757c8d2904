"""What a clip is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xgraph.ops.base import Array
from xgraph.recipe.part import Part


@dataclass(frozen=True)
class Clip(Part):
    """Base of all clips, which see the loss's gradients before any regularization is added."""

    def reference(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        """The clipped gradients, in NumPy."""
        raise NotImplementedError
