"""Training on several devices at once, which is one run on all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import Array, attribute
from xgraph.ops.kinds import Choice
from xgraph.recipe.part import Part

STATISTICS = ("global", "per_replica")


@dataclass(frozen=True)
class Devices(Part):
    """Of R devices, device r takes images ⌊r·B/R⌋ to ⌊(r + 1)·B/R⌋ − 1 of a batch of B.

    Loss and gradients are means over the B images. With `global` statistics, batch norm takes mean
    and variance over all of them; with `per_replica`, each device over its own part, and the moving
    statistics follow the mean over the devices. With accumulation, B are the images of a
    micro-batch.
    """

    name: ClassVar[str] = "devices"

    statistics: str = attribute(
        Choice(STATISTICS), doc="what batch norm takes its statistics over, a batch or a part of it"
    )

    @property
    def said(self) -> str:
        which = "of the whole batch" if self.statistics == "global" else "of each device's part"
        return f"batch norm by statistics {which}"

    def reference(self, images: Array, replicas: int) -> list[Array]:
        """The parts of a batch that have statistics of their own, in NumPy."""
        if self.statistics == "global":
            return [images]
        count = len(images)
        bounds = [r * count // replicas for r in range(replicas + 1)]
        return [images[a:b] for a, b in itertools.pairwise(bounds)]

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"statistics": "global"}
        yield {"statistics": "per_replica"}
