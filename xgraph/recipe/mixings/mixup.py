"""Mixup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.ops.base import Array
from xgraph.recipe.mixings.base import Mixing


@dataclass(frozen=True)
class Mixup(Mixing):
    """x ← λ·x + (1 − λ)·x′, and likewise the labels.

    Source: Zhang et al. 2018, "mixup: Beyond empirical risk minimization".
    """

    name = "mixup"
    stage = 1
    draws = 4

    def reference(
        self, images: Array, targets: Array, share: float, random: Sequence[float]
    ) -> tuple[Array, Array]:
        mixed = [share * one + (1 - share) * one[::-1] for one in (images, targets)]
        return mixed[0], mixed[1]

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"alpha": 0.2}
        yield {"alpha": 4, "probability": 0.5}
