"""Local response normalization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, attribute
from xgraph.ops.kinds import COUNT, NOT_NEGATIVE, POSITIVE
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class LocalResponseNorm(Op):
    """x / (k + alpha / size · Σ x²) ^ beta, the sum over `size` channels around (Krizhevsky 2012).

    (H, W, C) → (H, W, C). The channels are those at most (size − 1) / 2 away, of which there are
    fewer at the ends. As in PyTorch, Caffe and ONNX, alpha is divided by the size; in the paper and
    in TensorFlow, whose `depth_radius` is (size − 1) / 2, it is not. AlexNet's k is 2.
    """

    name: ClassVar[str] = "local_response_norm"
    smooth: ClassVar[bool] = True
    vectorized: ClassVar[bool] = True

    size: int = attribute(COUNT, doc="channels that a sum is over; an odd number")
    alpha: float = attribute(NOT_NEGATIVE, 1e-4, doc="factor of the mean square")
    beta: float = attribute(NOT_NEGATIVE, 0.75, doc="exponent")
    k: float = attribute(POSITIVE, 1.0, doc="what is added to it")

    def infer(self, inputs: Types) -> TensorType:
        image = need_image(self.name, inputs)
        if self.size % 2 == 0:
            raise ShapeProblem(
                f"{self.name} needs an odd size",
                expected="as many channels on one side as on the other",
                received=f"size {self.size}",
                hint="of an even size, frameworks do not agree which side has one more",
            )
        return image

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        reach = self.size // 2
        squares = np.pad(x * x, ((0, 0), (0, 0), (0, 0), (reach, reach)))
        windows = np.lib.stride_tricks.sliding_window_view(squares, self.size, axis=-1)
        y: Array = x / (self.k + self.alpha / self.size * windows.sum(axis=-1)) ** self.beta
        return y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for size in (1, 3, 5):
            yield Case(((3, 4, 7),), {"size": size, "alpha": 0.5})
        yield Case(((3, 4, 8),), {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2})
        yield Case(((3, 4, 2),), {"size": 7, "alpha": 2, "beta": 0.5, "k": 0.5})
        yield Case(((2, 3, 5),), {"size": 3})
        yield Case(((1, 1, 4),), {"size": 3, "alpha": 1, "beta": 1})
