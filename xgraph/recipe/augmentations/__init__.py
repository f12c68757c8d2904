"""Augmentations: one file each. A file's name is the augmentation's; it is imported when used."""

from __future__ import annotations

from xgraph.recipe.augmentations.base import Augmentation
from xgraph.recipe.parts import Parts

AUGMENTATIONS = Parts("xgraph.recipe.augmentations", Augmentation)

__all__ = ["AUGMENTATIONS", "Augmentation"]
