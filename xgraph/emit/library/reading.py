"""Image files."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, UnidentifiedImageError

from xgraph.emit.library.base import MODE, DataError

BACKGROUND = (255, 255, 255)  # what transparent pixels lie on
DRAFT = 684  # a JPEG may be decoded at a half, quarter or eighth if no side gets shorter
PIXEL_LIMIT = 100_000_000  # of an image; a file may say any size

#: By their content, whatever a file is called. Others' decoders may start programs.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
#: What undoes each orientation of EXIF's but the first, which is upright.
ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(path: str) -> Image.Image:
    """The first picture of a file, as `MODE`.

    Raises:
        DataError: the file is not a readable image.
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit is this program's own
    if not os.path.isfile(path):  # a pipe would be waited for
        raise DataError(f"{path} is not a readable image (it is no file)")
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > PIXEL_LIMIT:
                raise ValueError(f"{image.width} × {image.height} pixels, above {PIXEL_LIMIT:,}")
            image.draft(None, (DRAFT, DRAFT))
            return converted(upright(image))
    except UnidentifiedImageError:  # it would say the path again
        raise DataError(f"{path} is not a readable image (of no known form)") from None
    except Exception as error:  # Pillow's decoders raise all sorts of things on a bad file
        raise DataError(f"{path} is not a readable image ({error})") from error


def upright(image: Image.Image) -> Image.Image:
    """The image as the camera was held, which EXIF's tag 274 says if it can be read."""
    image.load()
    try:
        turn = ORIENTATIONS.get(image.getexif().get(274, 1))
    except Exception:  # of a file whose picture can be read
        turn = None
    return image if turn is None else image.transpose(turn)


def converted(image: Image.Image) -> Image.Image:
    """The image as `MODE`: wide numbers scaled to bytes, transparent pixels over `BACKGROUND`."""
    if image.mode[0] in "IF":
        image = Image.fromarray(as_bytes(np.asarray(image)))
    if image.has_transparency_data and MODE != "RGBA":
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image)
    return image.convert(MODE)


def as_bytes(values: np.ndarray) -> np.ndarray:
    """Numbers of 16 or 32 bits, or floats, from 0 to a full scale, as bytes.

    Full scale is 65,535 for 16 bits; else the least of 1 (floats only), 255, 65,535 and 2³¹ − 1
    that holds the largest number, or that number itself. What is negative or not finite is 0.
    """
    values = np.nan_to_num(values, nan=0, posinf=0, neginf=0)
    largest = float(values.max(initial=0))
    scales = [65535.0, 2.0**31 - 1, largest]
    if values.dtype.itemsize > 2:
        scales = [255.0, *scales]
    if values.dtype.kind == "f":
        scales = [1.0, *scales]
    full = next(scale for scale in scales if largest <= scale)
    return np.rint(values.clip(0, full) * (255 / full)).astype(np.uint8)
