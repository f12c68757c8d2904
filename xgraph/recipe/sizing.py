"""Code that brings an image to the input size: resized, then a part of it cut out."""

from __future__ import annotations

import math

from xgraph.recipe.kinds import Resize


def is_exact(resize: Resize) -> bool:
    """Whether nothing is left to crop."""
    return resize.how == "stretch" and math.isclose(resize.ratio, 1)


def size_lines(resize: Resize, height: int, width: int) -> list[str]:
    """Lines that make `size`, the (height, width) that the whole image is resized to."""
    size = f"{resize.pixels(height)}, {resize.pixels(width)}"
    return [f"size = {size}" if resize.how == "stretch" else f"size = cover(image, {size})"]


def center_lines(resize: Resize, height: int, width: int) -> list[str]:
    """Lines that keep the center of the resized image."""
    if is_exact(resize):
        return [f"image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)"]
    return [
        *size_lines(resize, height, width),
        "top, left = (size[0] - HEIGHT) // 2, (size[1] - WIDTH) // 2",
        "image = resized_part(image, size, top, left)",
    ]


def resize_said(resize: Resize, height: int, width: int) -> str:
    """What the resizing does, in words."""
    rows, columns = resize.pixels(height), resize.pixels(width)
    if resize.how == "stretch":
        return f"resize to {rows} × {columns}"
    what = f"the shorter side to {rows}" if rows == columns else f"to cover {rows} × {columns}"
    return f"resize {what}"


def center_said(resize: Resize, height: int, width: int) -> str:
    """What `center_lines` do, in words."""
    said = resize_said(resize, height, width)
    return said if is_exact(resize) else f"{said}, keep the center"
