"""What flows along an edge, and what a node owns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorType:
    """Shape of one example, channels last, without the batch axis: `(H, W, C)` or `(C,)`."""

    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def channels(self) -> int:
        return self.shape[-1]

    @property
    def elements(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    def __str__(self) -> str:
        return "×".join(str(size) for size in self.shape)


@dataclass(frozen=True, slots=True)
class Weight:
    """A named array of a node, in the canonical (Keras) layout.

    `name` is Keras' word for it: kernel, depthwise_kernel, pointwise_kernel, bias, gamma, beta,
    moving_mean, moving_variance; or any other where Keras has none, of which those that end in
    "kernel" are drawn, and have at least two axes. `initializer` is the canonical text, as
    `xgraph.ops.kinds.INITIALIZER` normalizes it ("glorot_uniform", "zeros", "ones", …); a weight
    that is no kernel starts from one number, and may say "constant(0.1)".
    `decayed` says whether L2 weight decay applies (kernels only).
    """

    name: str
    shape: tuple[int, ...]
    initializer: str
    trainable: bool = True

    @property
    def size(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def constant(self) -> float | None:
        """The number that every entry starts from; None where entries are drawn."""
        word, _, number = self.initializer.partition("(")
        if word == "constant":
            return float(number.removesuffix(")"))
        return {"zeros": 0.0, "ones": 1.0}.get(word)

    @property
    def decayed(self) -> bool:
        return self.name.endswith("kernel")
