"""Color."""

from __future__ import annotations

from PIL import Image, ImageEnhance


def brightened(image: Image.Image, factor: float) -> Image.Image:
    """Each byte times `factor`."""
    return ImageEnhance.Brightness(image).enhance(factor)


def contrasted(image: Image.Image, factor: float) -> Image.Image:
    """Each byte's distance from the mean gray of the image times `factor`."""
    return ImageEnhance.Contrast(image).enhance(factor)


def saturated(image: Image.Image, factor: float) -> Image.Image:
    """Each byte's distance from the gray of its pixel times `factor`."""
    return ImageEnhance.Color(image).enhance(factor)
