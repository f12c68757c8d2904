"""What pooling ops share: windows without weights, to a size, or of the whole image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Op, ShapeProblem, Types, Window, attribute
from xgraph.ops.kinds import BOOLEAN, OPTIONAL_PAIR, PADDING, PAIR, Padding, Pair
from xgraph.ops.windows import ceil_padding, need_image, output_size


@dataclass(frozen=True)
class Pool(Op):
    """Base of pooling with a sliding window: (H, W, C) → (H', W', C)."""

    kernel: Pair = attribute(PAIR, doc="window height and width, pixels")
    stride: Pair | None = attribute(
        OPTIONAL_PAIR, None, doc="step of the window, pixels; null: the kernel"
    )
    padding: Padding = attribute(PADDING, "valid", doc="pixels added around the image")
    ceil_mode: bool = attribute(
        BOOLEAN, False, doc="keep last windows that reach over the border; changes nothing of same"
    )

    @property
    def step(self) -> Pair:
        """The stride in effect: `stride`, or the kernel where that is null."""
        return self.kernel if self.stride is None else self.stride

    @property
    def explicit(self) -> tuple[Pair, Pair] | None:
        """The padding side by side, or None where that depends on the size of the image."""
        if self.padding == "valid":
            return (0, 0), (0, 0)
        return None if isinstance(self.padding, str) else self.padding

    @property
    def reaches_over(self) -> bool:
        """Whether last windows may reach over the border; with `same` there are no others."""
        return self.ceil_mode and self.explicit is not None

    def around(self, shape: tuple[int, ...]) -> Padding:
        """The padding in effect for an image (H, W, C), what windows reach over included."""
        if self.ceil_mode and self.explicit is not None:
            return ceil_padding(shape, self.kernel, self.step, self.explicit)
        return self.padding

    def infer(self, inputs: Types) -> TensorType:
        image = need_image(self.name, inputs)
        if not isinstance(self.padding, str):
            for sides, kernel in zip(self.padding, self.kernel, strict=True):
                if max(sides) >= kernel:
                    raise ShapeProblem(
                        f"{self.name}: some windows would hold nothing but padding",
                        expected=f"padding smaller than the kernel {self.kernel} on each side",
                        received=f"padding {self.padding}",
                        hint="add zero_pad before it if a border of zeros is meant",
                    )
        around = self.around(image.shape)
        size = output_size(image.shape, self.kernel, self.step, (1, 1), around)
        return TensorType((*size, image.channels))

    def window(self, inputs: Types) -> Window:
        return Window(self.kernel, self.step)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for size in ((7, 7, 2), (8, 8, 2), (9, 6, 3)):
            for stride in (1, 2, 3):
                for padding in ("same", "valid", [[1, 0], [2, 1]]):
                    attributes = {"kernel": 3, "stride": stride, "padding": padding}
                    yield Case((size,), attributes)
        for kernel in (1, 2, [1, 3], [5, 2]):
            for padding in ("same", "valid"):
                yield Case(((8, 9, 2),), {"kernel": kernel, "padding": padding})
                yield Case(((8, 9, 2),), {"kernel": kernel, "stride": [2, 1], "padding": padding})
        yield Case(((8, 9, 2),), {"kernel": [4, 3], "padding": [[3, 3], [2, 2]]})
        yield Case(((8, 9, 2),), {"kernel": 2, "stride": 3, "padding": [[0, 1], [1, 0]]})
        over = {"ceil_mode": True, "stride": 2}
        for kernel, padding in (
            (3, "valid"), (3, [[1, 1], [1, 1]]), (3, [[0, 1], [2, 0]]), ([2, 5], [[1, 1], [1, 3]]),
            (3, "same"),
        ):  # fmt: skip
            yield Case(((8, 9, 2),), {"kernel": kernel, "padding": padding, **over})
        yield Case(((7, 6, 2),), {"kernel": 1, "stride": 4, "ceil_mode": True})


@dataclass(frozen=True)
class AdaptivePool(Op):
    """Base of pooling to a size: (H, W, C) → (*size, C), as PyTorch's of this name.

    Pixel i of the m along an axis is made of the pixels ⌊i · n / m⌋ … ⌈(i + 1) · n / m⌉ − 1 of the
    n that there are. Windows may share pixels, and one may be larger than another.
    """

    size: Pair = attribute(PAIR, doc="height and width that come out, pixels")

    def infer(self, inputs: Types) -> TensorType:
        image = need_image(self.name, inputs)
        return TensorType((*self.size, image.channels))

    def window(self, inputs: Types) -> Window:
        sizes = inputs[0].shape[:2]
        height, width = (
            max(stop - start for start, stop in adaptive_windows(n, m))
            for n, m in zip(sizes, self.size, strict=True)
        )
        rows, columns = (Fraction(n, m) for n, m in zip(sizes, self.size, strict=True))
        return Window((height, width), (rows, columns))

    @staticmethod
    def pooled(values: Array) -> Array:
        """What becomes of the height and width of a window, (N, h, w, C) → (N, C)."""
        raise NotImplementedError  # of no pooling in particular

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        rows, columns = (
            adaptive_windows(n, m) for n, m in zip(x.shape[1:3], self.size, strict=True)
        )
        lines = [
            np.stack([self.pooled(x[:, top:bottom, left:right]) for left, right in columns], axis=1)
            for top, bottom in rows
        ]
        return np.stack(lines, axis=1)

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((7, 10, 2), (6, 4, 3)):
            for size in ([3, 2], 4, 1):
                yield Case((shape,), {"size": size})
        yield Case(((3, 2, 2),), {"size": [5, 4]})  # more pixels than before
        yield Case(((1, 1, 3),), {"size": 2})


def adaptive_windows(n: int, m: int) -> list[tuple[int, int]]:
    """Where the windows of m pixels out of n begin, and the pixel after each."""
    return [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]


@dataclass(frozen=True)
class GlobalPool(Op):
    """Base of pooling over the whole image: (H, W, C) → (C,), or (1, 1, C) with `keep_dims`."""

    keep_dims: bool = attribute(BOOLEAN, False, doc="keep height and width, as 1×1")

    def infer(self, inputs: Types) -> TensorType:
        image = need_image(self.name, inputs)
        shape = (1, 1, image.channels) if self.keep_dims else (image.channels,)
        return TensorType(shape)

    def window(self, inputs: Types) -> Window:
        height, width, _ = inputs[0].shape
        return Window((height, width), (1, 1))

    @classmethod
    def cases(cls) -> Iterator[Case]:
        for shape in ((5, 4, 3), (7, 7, 2), (1, 1, 4)):
            for keep_dims in (False, True):
                yield Case((shape,), {"keep_dims": keep_dims})
