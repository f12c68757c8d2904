"""A segment of channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, attribute
from xgraph.ops.kinds import COUNT, Integer


@dataclass(frozen=True)
class ChannelSlice(Op):
    """Channels `start`, start + 1, …, of which there are `channels`.

    (H, W, C) → (H, W, channels) or (C,) → (channels,). Several of one input split it.
    """

    name: ClassVar[str] = "channel_slice"
    exact: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    channels: int = attribute(COUNT, doc="number of channels")
    start: int = attribute(Integer(0), 0, doc="the first of them, counted from 0")

    def infer(self, inputs: Types) -> TensorType:
        (x,) = inputs
        if self.start + self.channels > x.channels:
            raise ShapeProblem(
                "channel_slice reaches beyond the last channel",
                expected=f"at least {self.start + self.channels} channels",
                received=f"{x.channels} channels",
                hint="channels are counted from 0",
            )
        return TensorType((*x.shape[:-1], self.channels))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        return inputs[0][..., self.start : self.start + self.channels]

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((4, 3, 6), (6,)):
            for channels, start in ((2, 0), (3, 1), (2, 4), (6, 0), (1, 5)):
                yield Case((shape,), {"channels": channels, "start": start})
