"""Clipping every entry of a gradient."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import POSITIVE
from xgraph.recipe.clips.base import Clip
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Value(Clip):
    """g ← min(max(g, −c), c), entry by entry."""

    name: ClassVar[str] = "value"

    limit: float = attribute(POSITIVE, doc="c, the greatest size of an entry")

    @property
    def constants(self) -> dict[str, str]:
        return {"CLIP_VALUE": number(self.limit)}

    @property
    def said(self) -> str:
        return "gradients clipped entry by entry"

    def reference(self, gradients: Mapping[str, Array]) -> dict[str, Array]:
        return {name: g.clip(-self.limit, self.limit) for name, g in gradients.items()}

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"limit": 0.02}
