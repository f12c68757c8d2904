"""Geometry."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from xgraph.emit.library.base import HEIGHT, WIDTH


def cover(image: Image.Image, height: int, width: int) -> tuple[int, int]:
    """(height, width) of the image where it just covers the given size, in its own proportions."""
    scale = max(height / image.height, width / image.width)
    return max(height, round(scale * image.height)), max(width, round(scale * image.width))


def resized_part(image: Image.Image, size: tuple[int, int], top: int, left: int) -> Image.Image:
    """The part of input size at (top, left) of the image resized to `size`.

    The rest of the resized image is not made: of a long thin one it would be many times as large.
    """
    down, right = image.height / size[0], image.width / size[1]  # of the image, for each pixel
    bottom = min((top + HEIGHT) * down, image.height)
    box = left * right, top * down, min((left + WIDTH) * right, image.width), bottom
    return image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box)


def random_box(
    image: Image.Image,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    random: np.ndarray,
) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) of random area and proportions in the image.

    The area's share of the image is uniform in `scale`, the logarithm of width / height in
    `ratio`; of ten tries the first that fits is taken, else the largest central box of proportions
    in `ratio` (Szegedy et al. 2015, as in torchvision). `random`: 22 numbers in [0, 1).
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for share, shape in zip(random[:20:2], random[1:20:2], strict=True):
        area = (scale[0] + (scale[1] - scale[0]) * share) * image.width * image.height
        proportion = math.exp(low + (high - low) * shape)
        width, height = round(math.sqrt(area * proportion)), round(math.sqrt(area / proportion))
        if 0 < width <= image.width and 0 < height <= image.height:
            top = int(random[20] * (image.height - height + 1))
            left = int(random[21] * (image.width - width + 1))
            return left, top, left + width, top + height
    proportion = min(max(image.width / image.height, ratio[0]), ratio[1])
    width = min(image.width, max(1, round(image.height * proportion)))
    height = min(image.height, max(1, round(image.width / proportion)))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return left, top, left + width, top + height
