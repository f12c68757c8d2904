"""Training by workers that do not wait for each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import attribute
from xgraph.ops.kinds import Integer, Nullable
from xgraph.recipe.part import Part


@dataclass(frozen=True)
class Asynchronous(Part):
    """Update t is by gradients of a batch that a worker has made of the weights after update t − τ.

    τ is its staleness. A worker takes a batch and the weights as they are, and gives gradients
    back; a server makes the update at once, whatever the others do (Downpour SGD, Dean et al.
    2012). A bound is kept by waiting: no gradients are left out (Ho et al. 2013).
    """

    name: ClassVar[str] = "asynchronous"

    staleness: int | None = attribute(
        Nullable(Integer(0)), None, doc="how many updates gradients are behind at most"
    )

    @property
    def said(self) -> str:
        if self.staleness is None:
            return "gradients as workers have them"
        return f"gradients that are at most {self.staleness} updates behind"

    def reference(self, updates: int, versions: Iterable[int]) -> bool:
        """Whether workers' gradients can still be taken, all of them, within the bound.

        Args:
            updates: how many have been made.
            versions: of each worker at work, after how many updates its weights were.
        """
        if self.staleness is None:
            return True
        return all(
            updates + place - version <= self.staleness
            for place, version in enumerate(sorted(versions))
        )

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {}
        yield {"staleness": 4}
