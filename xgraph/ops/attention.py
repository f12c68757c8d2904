"""Self-attention over the positions of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ir.types import TensorType, Weight
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, Window, attribute
from xgraph.ops.kinds import BOOLEAN, COUNT, INITIALIZER, OPTIONAL_COUNT
from xgraph.ops.windows import need_image


@dataclass(frozen=True)
class Attention(Op):
    """softmax(Q · Kᵀ / √head_size) · V in each head, then · kernel + bias (Vaswani et al. 2017).

    (H, W, C) → (H, W, C): each of the H · W positions attends to all of them. Q, K and V are
    x · kernel + bias each, of heads · head_size channels; a head has the next head_size of them.
    """

    name: ClassVar[str] = "attention"
    smooth: ClassVar[bool] = True

    heads: int = attribute(COUNT, doc="how often each position attends, each time in its own way")
    head_size: int | None = attribute(
        OPTIONAL_COUNT, None, doc="channels of a head; null: input channels / heads"
    )
    bias: bool = attribute(BOOLEAN, True, doc="add a learned vector to Q, K, V and the output")
    kernel_initializer: str = attribute(INITIALIZER, "glorot_uniform", doc="how kernels start")

    @property
    def uniform(self) -> bool:
        """Not: sums over positions are taken in parts, which are not as long everywhere."""
        return False

    def infer(self, inputs: Types) -> TensorType:
        image = need_image("attention", inputs)
        if self.head_size is None and image.channels % self.heads:
            raise ShapeProblem(
                "heads must divide the channels",
                expected=f"channels that are a multiple of heads={self.heads}",
                received=f"{image.channels} channels",
                hint="say head_size where heads together need not be as wide as the input",
            )
        return image

    def width(self, channels: int) -> int:
        """The channels of all heads."""
        return channels if self.head_size is None else self.heads * self.head_size

    def weights(self, inputs: Types) -> tuple[Weight, ...]:
        channels = inputs[0].channels
        width = self.width(channels)
        found = []
        for name, shape in (
            ("query", (channels, width)),
            ("key", (channels, width)),
            ("value", (channels, width)),
            ("output", (width, channels)),
        ):
            found.append(Weight(f"{name}_kernel", shape, self.kernel_initializer))
            if self.bias:
                found.append(Weight(f"{name}_bias", shape[1:], "zeros"))
        return tuple(found)

    def macs(self, inputs: Types, output: TensorType) -> int:
        height, width, channels = output.shape
        positions = height * width
        return positions * self.width(channels) * (4 * channels + 2 * positions)

    def window(self, inputs: Types) -> Window:
        """As large as to reach every position from every other."""
        height, width, _ = inputs[0].shape
        return Window((2 * height - 1, 2 * width - 1), (1, 1))

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        (x,) = inputs

        def projected(name: str, x: Array) -> Array:
            y: Array = x @ weights[f"{name}_kernel"]
            return y + weights[f"{name}_bias"] if self.bias else y

        query, key, value = (projected(name, x) for name in ("query", "key", "value"))
        scale = 1 / math.sqrt(query.shape[-1] / self.heads)
        return projected("output", attended(query, key, value, self.heads, scale))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for size in ((4, 4, 8), (5, 3, 4), (1, 1, 4)):
            for heads in (1, 2, 4):
                yield Case((size,), {"heads": heads})
            yield Case((size,), {"heads": 2, "bias": False})
        for head_size in (1, 2, 5):
            yield Case(((3, 4, 3),), {"heads": 2, "head_size": head_size})
        yield Case(((1, 6, 3),), {"heads": 1, "head_size": 4, "bias": False})
        yield Case(((7, 1, 5),), {"heads": 5})


def attended(query: Array, key: Array, value: Array, heads: int, scale: float) -> Array:
    """softmax(scale · Q · Kᵀ) · V in each head, of arrays (N, H, W, heads · head_size)."""
    import numpy as np

    n, height, width, _ = query.shape
    query, key, value = (x.reshape(n, height * width, heads, -1) for x in (query, key, value))
    scores = scale * np.einsum("nqhd,nkhd->nhqk", query, key)
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))  # at most 1: no overflow
    y: Array = np.einsum("nhqk,nkhd->nqhd", e / e.sum(axis=-1, keepdims=True), value)
    return y.reshape(n, height, width, -1)
