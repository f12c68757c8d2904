"""Shuffling channels between groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case
from xgraph.ops.pointwise import Grouped


@dataclass(frozen=True)
class ChannelShuffle(Grouped):
    """The first channel of each group, then the second of each, … (Zhang et al. 2018, ShuffleNet).

    (H, W, C) → (H, W, C) or (C,) → (C,): channel j of group i, of C / groups channels, becomes
    channel i of the j-th `groups` channels.
    """

    name: ClassVar[str] = "channel_shuffle"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        (x,) = inputs
        grouped = x.reshape(*x.shape[:-1], self.groups, -1)
        return grouped.swapaxes(-1, -2).reshape(x.shape)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((4, 3, 12), (12,)):
            for groups in (1, 2, 3, 4, 12):
                yield Case((shape,), {"groups": groups})
