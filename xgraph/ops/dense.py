"""Dense layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType, Weight
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, attribute
from xgraph.ops.kinds import BOOLEAN, COUNT, INITIALIZER


@dataclass(frozen=True)
class Dense(Op):
    """x · kernel + bias, as Keras' `Dense`: (C,) → (units,)."""

    name: ClassVar[str] = "dense"
    smooth: ClassVar[bool] = True

    units: int = attribute(COUNT, doc="output channels")
    bias: bool = attribute(BOOLEAN, True, doc="add a learned vector")
    kernel_initializer: str = attribute(INITIALIZER, "glorot_uniform", doc="how the kernel starts")

    def infer(self, inputs: Types) -> TensorType:
        (x,) = inputs
        if x.rank != 1:
            raise ShapeProblem(
                "dense needs a vector",
                expected="an input of shape (channels,)",
                received=f"shape {x.shape}",
                hint="add flatten or global_avg_pool before it",
            )
        return TensorType((self.units,))

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        shape = (inputs[0].channels, self.units)
        kernel = Weight("kernel", shape, self.kernel_initializer)
        return (kernel, Weight("bias", (self.units,), "zeros")) if self.bias else (kernel,)

    def macs(self, inputs: Types, output: TensorType) -> int:
        return inputs[0].channels * self.units

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        y: Array = inputs[0] @ weights["kernel"]
        return y + weights["bias"] if self.bias else y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for channels, units in ((5, 7), (8, 3), (1, 4), (4, 1)):
            for bias in (True, False):
                yield Case(((channels,),), {"units": units, "bias": bias})
