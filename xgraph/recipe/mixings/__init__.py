"""How the images of a batch are mixed: one file each, found and imported as augmentations are."""

from __future__ import annotations

from xgraph.recipe.mixings.base import Mixing
from xgraph.recipe.parts import Parts

MIXINGS = Parts("xgraph.recipe.mixings", Mixing)

__all__ = ["MIXINGS", "Mixing"]
