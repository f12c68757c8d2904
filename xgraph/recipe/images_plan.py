"""A recipe's images as the lines of a generated data.py, which is the same in every framework."""

from __future__ import annotations

import math
from typing import Any

from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.recipe.kinds import Normalize, Resize
from xgraph.recipe.prose import number
from xgraph.recipe.recipe import Recipe

#: Pillow's modes by number of channels.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def data_values(recipe: Recipe, input_shape: tuple[int, ...]) -> dict[str, Any]:
    """Values for `data.py.jinja`, for a model whose input is (height, width, channels).

    Raises:
        SpecError: XG603, the recipe's images cannot be such inputs.
    """
    channels = input_shape[-1]
    _check_fit(recipe, input_shape)
    height, width, _ = input_shape
    train, evaluate, pixels = recipe.images.train, recipe.images.evaluate, recipe.images.pixels
    constants = [f"HEIGHT, WIDTH, CHANNELS = {height}, {width}, {channels}"]
    if pixels.normalize.channels > 1:
        constants += [
            f"MEAN = np.array({list(pixels.normalize.mean)}, np.float32)",
            f"STD = np.array({list(pixels.normalize.std)}, np.float32)",
        ]
    if pixels.holdout:
        constants.append(f"HOLDOUT = {pixels.holdout}  # of CIFAR-10's training images")

    resizes, resize_doc = _resize(train.resize, (height, width))
    augment = [*resizes]
    if train.crop == "random" and not _exact(train.resize):
        augment += [
            "top = int(random[0] * (image.height - HEIGHT + 1))",
            "left = int(random[1] * (image.width - WIDTH + 1))",
            "image = crop(image, top, left)",
        ]
        resize_doc += ", cut out a random part"
    elif not _exact(train.resize):
        augment.append(_CENTER)
        resize_doc += ", keep the center"
    if train.flip:
        augment.append("if random[2] < 0.5:")
        augment.append("    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)")
        resize_doc += ", mirror every other image"
    center, center_doc = _resize(evaluate.resize, (height, width))
    if not _exact(evaluate.resize):
        center.append(_CENTER)
        center_doc += ", keep the center"

    covers = "shorter_side" in (train.resize.how, evaluate.resize.how)
    return {
        "mode": _MODES[channels],
        "constants": constants,
        "augment": _returning(augment),
        "augment_doc": resize_doc + ".",
        "center": _returning(center),
        "center_doc": center_doc + ".",
        "helpers": _COVER if covers else [],
        **_normalize(pixels.normalize, channels),
        **_cifar10(pixels.holdout),
    }


def _check_fit(recipe: Recipe, input_shape: tuple[int, ...]) -> None:
    channels, given = input_shape[-1], recipe.images.pixels.normalize.channels
    if len(input_shape) != 3 or channels not in _MODES:
        expected, received = "(height, width, 1, 3 or 4)", "×".join(map(str, input_shape))
        message = "the recipe trains on images, which the model's input is not"
    elif given not in (1, channels):
        expected, received = f"{channels} numbers, one per channel", f"{given} numbers"
        message = "'images' normalizes another number of channels than the model's input has"
    else:
        return
    raise SpecError(
        Diagnostic("XG603", message, recipe.spans["images"], expected=expected, received=received)
    )


_CENTER = "image = crop(image, (image.height - HEIGHT) // 2, (image.width - WIDTH) // 2)"

_COVER = '''\
def cover(image: Image.Image, height: int, width: int) -> Image.Image:
    """The image at the smallest size that covers height × width, in its own proportions."""
    scale = max(height / image.height, width / image.width)
    size = max(width, round(scale * image.width)), max(height, round(scale * image.height))
    return image.resize(size, Image.Resampling.BILINEAR)


'''.splitlines()


def _returning(lines: list[str]) -> list[str]:
    """The lines as a function's body that returns the image."""
    if lines[-1].startswith("image = "):
        return [*lines[:-1], "return" + lines[-1].removeprefix("image =")]
    return [*lines, "return image"]


def _exact(resize: Resize) -> bool:
    """Whether nothing is left to crop."""
    return resize.how == "stretch" and math.isclose(resize.ratio, 1)


def _resize(resize: Resize, size: tuple[int, int]) -> tuple[list[str], str]:
    height, width = (resize.pixels(pixels) for pixels in size)
    if resize.how == "stretch":
        line = f"image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)"
        return [line], f"Resize to {height} × {width}"
    what = f"the shorter side to {height}" if height == width else f"to cover {height} × {width}"
    return [f"image = cover(image, {height}, {width})"], f"Resize {what}"


def _normalize(normalize: Normalize, channels: int) -> dict[str, Any]:
    given = "np.asarray(image, np.float32)"
    lines = [f"pixels = {given}" + ("[:, :, np.newaxis]" if channels == 1 else "")]
    if normalize == Normalize((0.0,), (1.0,)):
        return {"normalize": [*lines, "return pixels / 255"], "normalize_doc": "Bytes to [0, 1]."}
    if normalize == Normalize((0.5,), (0.5,)):
        return {
            "normalize": [*lines, "return pixels / 127.5 - 1"],
            "normalize_doc": "Bytes to [-1, 1].",
        }
    if normalize.channels > 1:
        result = "return (pixels / 255 - MEAN) / STD"
    else:
        result = f"return (pixels / 255 - {number(normalize.mean[0])}) / {number(normalize.std[0])}"
    return {
        "normalize": [*lines, result],
        "normalize_doc": "Bytes to [0, 1], then less the mean and over the standard deviation.",
    }


def _cifar10(holdout: int) -> dict[str, Any]:
    if not holdout:
        return {
            "cifar10_doc": "Its training images are all used for training.",
            "cifar10_splits": [
                'return {"train": ArrayImages(*train), "test": ArrayImages(*test)}, 10'
            ],
        }
    return {
        "cifar10_doc": f"The last {holdout:,} training images are held out for validation.",
        "cifar10_splits": [
            "images, labels = train",
            "if len(images) <= HOLDOUT:",
            '    raise DataError(f"{folder} has fewer than the {HOLDOUT} images to hold out")',
            "splits = {",
            '    "train": ArrayImages(images[:-HOLDOUT], labels[:-HOLDOUT]),',
            '    "validation": ArrayImages(images[-HOLDOUT:], labels[-HOLDOUT:]),',
            '    "test": ArrayImages(*test),',
            "}",
            "return splits, 10",
        ],
    }
