"""Dropout, and the one mask that every framework draws."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xgraph.ops.base import Array, Case, attribute
from xgraph.ops.kinds import RATE
from xgraph.ops.pointwise import SHAPES, Pointwise


@dataclass(frozen=True)
class Dropout(Pointwise):
    """In training, zero with probability `rate` and x / (1 − rate) otherwise; x in evaluation.

    Each entry is drawn by itself (Srivastava et al. 2014, inverted scaling), and every framework
    draws the same. Draw p of a batch, counted from 0 in the order (N, H, W, C) or (N, C), drops in
    the layer's pass t if

        mix(mix(p) ⊕ mix(key ⊕ t)) < ⌊rate · 2³²⌋

    Numbers are unsigned of 32 bits, ⊕ is exclusive or. t counts the layer's forward passes in
    training since the start of the run, from 0. `key` is the layer's and the run's (`mask_key`).
    `mix` is a permutation of 32-bit numbers that scrambles them: see there. So the masks of one
    layer have different keys for 2³² passes, and a probability is exact to 2⁻³².

    With rate 0 nothing is drawn. The reference finds `key` and `passes`, which is t, among the
    weights that it is given.
    """

    name: ClassVar[str] = "dropout"
    smooth: ClassVar[bool] = True

    rate: float = attribute(RATE, doc="fraction of entries dropped")

    @property
    def draws(self) -> bool:
        return self.rate > 0

    def drawn(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what is drawn for a batch of this shape; 1 where entries share a draw."""
        return shape

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        if not training or self.rate == 0:
            return x
        shape = self.drawn(x.shape)
        bits = mask_bits(int(weights["key"]), int(weights["passes"]), math.prod(shape))
        dropped = bits.reshape(shape) < int(self.rate * 2**32)
        y: Array = np.where(dropped, 0, x / (1 - self.rate))
        return y

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in SHAPES:
            for rate in (0, 0.3, 0.5):
                yield Case((shape,), {"rate": rate})


def mask_key(seed: int, layer: str) -> int:
    """32 bits that are this layer's in a run with this seed: the first four bytes of a SHA-256.

    Args:
        seed: of the run, at least 0.
        layer: canonical path of the layer.
    """
    digest = hashlib.sha256(f"{seed} {layer}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def mask_bits(key: int, passes: int, count: int) -> Array:
    """What a batch draws in a pass, in order: (count,) numbers of 32 bits."""
    import numpy as np

    word = mix(np.array([(key ^ passes) % 2**32], np.uint32))
    return mix(mix(np.arange(count, dtype=np.uint32)) ^ word)


def mix(x: Array) -> Array:
    """A permutation of the 32-bit numbers: each bit given turns each bit made about half the time.

    It has the form of MurmurHash3's finalizer, and the constants [16 21f0aaad 15 735a2d97 15] of
    github.com/skeeto/hash-prospector, issue 19: by that tool their bias is 0.107, where that of
    the better known `lowbias32` is 0.174. Both factors are below 2³¹, so that a product fits into
    63 bits, and frameworks without unsigned numbers can compute it in signed ones of 64 bits.

    Args:
        x: unsigned, of 32 bits.
    """
    import numpy as np

    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x21F0AAAD)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x735A2D97)
    mixed: Array = x ^ (x >> np.uint32(15))
    return mixed
