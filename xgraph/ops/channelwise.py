"""What ops with constants for the channels share."""

from __future__ import annotations

from dataclasses import dataclass, fields

from xgraph.ir.types import TensorType
from xgraph.ops.base import ShapeProblem, Types
from xgraph.ops.pointwise import Pointwise


@dataclass(frozen=True)
class Channelwise(Pointwise):
    """Base of those whose attributes are numbers, each one for all channels or one for each."""

    def infer(self, inputs: Types) -> TensorType:
        (x,) = inputs
        for attribute in fields(self):
            numbers = getattr(self, attribute.name)
            if isinstance(numbers, tuple) and len(numbers) != x.channels:
                raise ShapeProblem(
                    f"'{attribute.name}' of {self.name} is not as long as there are channels",
                    expected=f"{len(numbers)} channels",
                    received=str(x),
                )
        return x
