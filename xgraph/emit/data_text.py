"""A recipe's images as the values of data.py, which is the same in every framework."""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.emit.pieces import Library, library, pick
from xgraph.emit.render import render
from xgraph.recipe.augmentations.base import Place
from xgraph.recipe.images import Images
from xgraph.recipe.kinds import Normalize
from xgraph.recipe.mixings import Mixing
from xgraph.recipe.mixings.base import probabilities
from xgraph.recipe.prose import number
from xgraph.recipe.recipe import Recipe
from xgraph.recipe.sizing import center_lines, center_said
from xgraph.recipe.sources import SOURCES, DataSource
from xgraph.text import docstring, docstring_lines
from xgraph.wrapping import INDENT, LINE, fitted

_HERE = Path(__file__).parent
#: The files of the library in the order of a program; each source's reader stands at its place.
_ORDER = (
    *("base", "unreadable", "geometry", "color", "randomness", "order", "balance"),
    *("class_weights", "mixing", "opening", "holdout", "sources"),
    *("unlabelled", "reading", "arrays", "cifar"),
)
#: What train.py and its users ask of data.py.
_INTERFACE = "training_batches, evaluation_batches, synthetic_data, open_images, check"
#: Pillow's modes by number of channels.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def data_values(recipe: Recipe, input_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """Values for `data.py.jinja`, for a model whose input is (height, width, channels).

    Raises:
        SpecError: XG603, the recipe's images cannot be such inputs.
    """
    _check_fit(recipe, input_shape)
    height, width, channels = input_shape
    images = recipe.images
    values = {
        **_intro(recipe.data),
        **_augment(images, height, width),
        **_center(images, height, width),
        **_normalize(images.pixels.normalize, channels, recipe.computes_in),
        **_dataset(any(source.from_files for source in recipe.data), images.pixels.balanced),
        **_open(recipe.data, images),
        "dtype": recipe.computes_in,
        "batch": _MIXED if images.train.mixings else _STACKED,
        "mixes": _mixes(images.train.mixings),
    }
    empty: dict[str, Any] = {"imports": [], "constants": [], "library": []}
    program = {"header": "", "data": {**values, **empty}}
    text = render(_HERE, "data.py.jinja", program) + _INTERFACE
    text += ", balanced_weights" if recipe.loss.class_weights == "balanced" else ""
    picked = pick(_libraries(), text, _constants(recipe, input_shape, classes))
    blocks = [line for block in picked.blocks for line in ["", "", *block]]
    return {
        **values,
        "imports": picked.imports,
        "constants": picked.constants,
        "library": blocks,
    }


def _check_fit(recipe: Recipe, input_shape: tuple[int, ...]) -> None:
    channels, given = input_shape[-1], recipe.images.pixels.normalize.channels
    if len(input_shape) != 3 or channels not in _MODES:
        expected, received = "(height, width, 1, 3 or 4)", "×".join(map(str, input_shape))
        message = "the recipe trains on images, which the model's input is not"
    elif given not in (1, channels):
        expected, received = f"{channels} numbers, one per channel", f"{given} numbers"
        message = "'images' normalizes another number of channels than the model's input has"
    elif recipe.images.pixels.balanced and any(source.many_labels for source in recipe.data):
        expected, received = "one label for each image", "many"
        message = "'images' are balanced by their class, and 'data' has many labels for each"
    else:
        return
    raise SpecError(
        Diagnostic("XG603", message, recipe.spans["images"], expected=expected, received=received)
    )


@functools.cache
def _libraries() -> tuple[Library, ...]:
    folder = _HERE / "library"
    sources = [f"sources/{name}" for name in (*SOURCES, "synthetic")]
    names = [each for name in _ORDER for each in (sources if name == "sources" else [name])]
    return tuple(library(folder / f"{name}.py") for name in names)


def _constants(recipe: Recipe, input_shape: tuple[int, ...], classes: int) -> list[str]:
    """Names of the library with the recipe's values; a program has those that it reads."""
    height, width, channels = input_shape
    images, pixels = recipe.images, recipe.images.pixels
    scales = [images.evaluate.resize.ratio, images.train.resize.ratio]
    scales += [step.enlarges for step in images.train.augmentations]
    background = pixels.background * (3 // len(pixels.background))
    lines = [
        f"HEIGHT, WIDTH = {height}, {width}",
        f"CLASSES = {classes}",
        f'MODE = "{_MODES[channels]}"  # how Pillow calls what the model takes',
        f"MEAN = np.array({list(pixels.normalize.mean)}, np.float32)",
        f"STD = np.array({list(pixels.normalize.std)}, np.float32)",
        f"BACKGROUND = {background}  # what transparent pixels lie on",
        f"PIXEL_LIMIT = {pixels.pixel_limit:_}  # of a file, which may say any size",
        f"DRAFT = {math.ceil(2 * max(scales) * max(height, width))}"
        "  # a JPEG may be decoded smaller while no side gets shorter",
        f"UNREADABLE = {number(pixels.unreadable)}  # share of a split's images",
    ]
    if images.holdout:
        amount = images.holdout.amount
        shown = f"{amount:_}" if isinstance(amount, int) else number(amount)
        lines += [f"HOLDOUT = {shown}", f"HOLDOUT_SEED = {images.holdout.seed}"]
    return [*lines, *(line for source in recipe.data for line in source.constants())]


def _intro(sources: Sequence[DataSource]) -> dict[str, Any]:
    titles = [source.title for source in sources]
    text = f"{', '.join(titles)}, or synthetic images:"
    return {
        "intro": docstring_lines(text[0].upper() + text[1:], LINE),
        "layout": [line for source in sources for line in source.layout],
    }


def _augment(images: Images, height: int, width: int) -> dict[str, Any]:
    """The body of `augment`, its parameters and its call."""
    taken, lines, said = 0, [], []
    resize = images.train.resize
    for step in images.train.augmentations:
        place = Place(height, width, resize, taken)
        lines += step.lines(place)
        said += [step.said(place)]
        taken += step.draws(resize)
    doc = [_sentence(", ".join(filter(None, said)))]
    if not taken:
        return {
            "augment": _indented([*docstring(*doc), *_returning(lines)]),
            "augment_parameters": "image: Image.Image",
            "prepares": ["image = augment(image) if self.training else center(image)"],
        }
    numbers = "1 number" if taken == 1 else f"{taken} numbers"
    doc.append(f"`random` holds {numbers} in [0, 1).")
    call = f"augment(image, uniform({taken}, self.seed, AUGMENTATION, epoch, index))"
    return {
        "augment": _indented([*docstring(*doc), *_returning(lines)]),
        "augment_parameters": "image: Image.Image, random: np.ndarray",
        "prepares": [
            "if self.training:",
            f"    image = {call}",
            "else:",
            "    image = center(image)",
        ],
    }


def _center(images: Images, height: int, width: int) -> dict[str, Any]:
    resize = images.evaluate.resize
    doc = [_sentence(center_said(resize, height, width))]
    lines = _returning(center_lines(resize, height, width))
    return {"center": _indented([*docstring(*doc), *lines])}


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _indented(lines: list[str]) -> list[str]:
    return [f"{INDENT}{line}" if line else "" for line in lines]


def _returning(lines: list[str]) -> list[str]:
    """The lines as a function's body that returns the image."""
    if lines[-1].startswith("image = "):
        lines = [*lines[:-1], "return" + lines[-1].removeprefix("image =")]
    else:
        lines = [*lines, "return image"]
    return fitted(lines, LINE - len(INDENT))


def _normalize(normalize: Normalize, channels: int, dtype: str) -> dict[str, Any]:
    given = f"np.asarray(image, np.{dtype})"
    lines = [f"pixels = {given}" + ("[:, :, np.newaxis]" if channels == 1 else "")]
    doc = "Bytes to [0, 1], then less the mean and over the standard deviation."
    if normalize == Normalize((0.0,), (1.0,)):
        result, doc = "return pixels / 255", "Bytes to [0, 1]."
    elif normalize == Normalize((0.5,), (0.5,)):
        result, doc = "return pixels / 127.5 - 1", "Bytes to [-1, 1]."
    elif normalize.channels > 1:
        result = "return (pixels / 255 - MEAN) / STD"
    else:
        result = f"return (pixels / 255 - {number(normalize.mean[0])}) / {number(normalize.std[0])}"
    return {"normalize": _indented([*docstring(doc), *lines, result])}


def _dataset(from_files: bool, balanced: bool) -> dict[str, Any]:
    """What `Dataset` keeps, and how it gets at an image."""
    keeps, gets, chosen = [], [], "index"
    if balanced:
        keeps.append("self.balance = Balance(source.labels, seed) if training else None")
        gets.append("number = self.balance(index, epoch) if self.balance else index")
        chosen = "number"
    if from_files:
        keeps.append("self.unreadable = Unreadable(len(source))")
        gets.append(
            f"image, label = read(self.source, {chosen}, self.seed, epoch, self.unreadable)"
        )
    else:
        gets.append(f"image, label = self.source[{chosen}]")
    return {"keeps": keeps, "gets": gets}


_STACKED = "np.stack(images), np.stack(labels)"
_MIXED = f"self.mixed(keys[0], {_STACKED})"


def _mixes(mixings: Sequence[Mixing]) -> list[str]:
    """The method that mixes a batch, if any does."""
    if not mixings:
        return []
    draws = 1 + max(each.draws for each in mixings)
    upto, lines, said = 0.0, [], []
    for each, probability in zip(mixings, probabilities(mixings), strict=True):
        upto = round(upto + probability, 12)
        said.append(f"{number(probability)} by {each.name}")
        if upto < 1:
            lines += [f"if random[0] < {number(upto)}:", f"    return {each.call}"]
        else:
            lines.append(f"return {each.call}")
    if upto < 1:
        lines.append("return images, targets")
    doc = [
        f"A batch mixed with itself in reverse: of all batches {', '.join(said)}.",
        "`first` is the key of its first image. Images are (B, HEIGHT, WIDTH, channels); labels "
        "become shares of the classes, float32 (B, CLASSES). In evaluation nothing is mixed.",
    ]
    body = [
        *docstring(*doc, depth=2),
        "if not self.training:",
        "    return images, labels",
        "index, epoch = first",
        f"random = uniform({draws}, self.seed, MIXING, epoch, index)",
        "targets = class_shares(labels)",
        *lines,
    ]
    return [
        "",
        f"{INDENT}def mixed(",
        f"{INDENT * 2}self, first: tuple[int, int], images: np.ndarray, labels: np.ndarray",
        f"{INDENT}) -> tuple[np.ndarray, np.ndarray]:",
        *(f"{INDENT * 2}{line}" if line else "" for line in body),
    ]


def _open(sources: Sequence[DataSource], images: Images) -> dict[str, Any]:
    calls = [f"{each.opener}({', '.join(['directory', *each.arguments()])})" for each in sources]
    *others, last = [source.expected for source in sources]
    expected = f"{', '.join(others)} or {last}" if others else last
    lines = [f"splits = {' or '.join(calls)}", "if splits is None:"]
    lines += [
        f"{INDENT}{line}" for line in _raising(f"no images at {{directory}}: expected {expected}")
    ]
    if images.holdout and isinstance(images.holdout.amount, int):
        lines.append("splits = hold_out(splits, directory, HOLDOUT)")
    elif images.holdout:
        lines.append('count = round(HOLDOUT * len(splits.get("train", ())))')
        lines.append("splits = hold_out(splits, directory, count)")
    return {"opened": fitted([*lines, "return checked(splits, directory, classes)"], LINE - 4)}


def _raising(message: str) -> list[str]:
    """A statement that raises a message, an f-string, which is cut in pieces where it is long."""
    width = LINE - 2 * len(INDENT)
    line = f'raise DataError(f"{message}")'
    if len(line) <= width:
        return [line]
    parts = textwrap.wrap(message, width - len(INDENT) - 4)
    ends = [" "] * (len(parts) - 1) + [""]
    marks = ["f" if "{" in part else "" for part in parts]
    texts = [f'{m}"{part}{end}"' for m, part, end in zip(marks, parts, ends, strict=True)]
    return ["raise DataError(", *(f"{INDENT}{text}" for text in texts), ")"]
