"""Arithmetic of sliding windows, shared by convolutions and pooling.

Source: TensorFlow's definition of SAME and VALID padding; `same` puts the odd pixel at the high
side.
"""

from __future__ import annotations

from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, ShapeProblem
from xgraph.ops.kinds import Padding, Pair


def extent(kernel: int, dilation: int) -> int:
    """Pixels that a dilated kernel spans."""
    return (kernel - 1) * dilation + 1


def pads(
    size: int, axis: int, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding
) -> Pair:
    """Pixels added (low, high) along spatial `axis` of an input of `size` pixels."""
    if padding == "valid":
        return 0, 0
    if isinstance(padding, str):  # same
        k, s = extent(kernel[axis], dilation[axis]), stride[axis]
        total = max((-(-size // s) - 1) * s + k - size, 0)
        return total // 2, total - total // 2
    return padding[axis]


def output_size(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, dilation: Pair, padding: Padding
) -> Pair:
    """Spatial size after sliding the window over an (H, W, C) input.

    Raises:
        ShapeProblem: the window is larger than the padded input.
    """
    sizes = []
    for axis, size in enumerate(shape[:2]):
        low, high = pads(size, axis, kernel, stride, dilation, padding)
        room = size + low + high - extent(kernel[axis], dilation[axis])
        if room < 0:
            spans = "×".join(str(extent(k, d)) for k, d in zip(kernel, dilation, strict=True))
            raise ShapeProblem(
                f"the window spans {spans} pixels, more than its input has",
                expected=f"an input of at least {spans} pixels, padding included",
                received=f"{shape[0]}×{shape[1]} pixels with padding {padding}",
                hint="use padding: same, a smaller kernel, or a larger input",
            )
        sizes.append(room // stride[axis] + 1)
    return sizes[0], sizes[1]


def ceil_padding(
    shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: tuple[Pair, Pair]
) -> tuple[Pair, Pair]:
    """Explicit padding of an (H, W, C) input, and what the last windows reach over in `ceil_mode`.

    A window that would begin behind the input is left out, as in PyTorch and ONNX.
    """
    sides = []
    for size, span, step, (low, high) in zip(shape, kernel, stride, padding, strict=False):
        last = -(-(size + low + high - span) // step) * step
        if last >= size + low:
            last -= step
        sides.append((low, max(high, last + span - size - low)))
    return sides[0], sides[1]


def need_image(what: str, inputs: tuple[TensorType, ...]) -> TensorType:
    """The single input, which must be an image (H, W, C).

    Raises:
        ShapeProblem: it is not.
    """
    (image,) = inputs
    if image.rank != 3:
        raise ShapeProblem(
            f"{what} needs an image",
            expected="an input of shape (height, width, channels)",
            received=f"shape {image.shape}",
        )
    return image


def patches(
    x: Array, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding, fill: float = 0.0
) -> Array:
    """Every window of a batch of images: (N, H, W, C) → (N, H', W', kh, kw, C)."""
    import numpy as np

    widths = [pads(x.shape[1 + i], i, kernel, stride, dilation, padding) for i in range(2)]
    x = np.pad(x, ((0, 0), *widths, (0, 0)), constant_values=fill)
    spans = tuple(extent(k, d) for k, d in zip(kernel, dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(x, spans, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return np.moveaxis(windows, 3, -1)
