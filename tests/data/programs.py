"""data.py of a recipe, alone and imported."""

from __future__ import annotations

import itertools
import types
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from xgraph.diagnostics import Source
from xgraph.emit import data_text
from xgraph.emit.render import render
from xgraph.recipe import Recipe
from xgraph.recipe.reading import read_recipe
from xgraph.spec import loading

RECIPE = """
xgraph_recipe: 1
name: try_out
epochs: 2
batch_size: 16
optimizer: sgd
schedule: {constant: 0.1}
loss: softmax_cross_entropy
"""
_NUMBERS = itertools.count()


def recipe(images: str = "{normalize: unit}", data: str = "folder", weights: str = "") -> Recipe:
    """A recipe with these sections, and class weights of its loss."""
    loss = "sigmoid" if "many: true" in data else "softmax"
    text = RECIPE.replace("softmax", loss)
    if weights:
        text = text.replace("entropy", f"entropy: {{class_weights: {weights}}}}}").replace(
            "loss: ", "loss: {"
        )
    source = Source("recipe.yaml", f"{text}images: {images}\ndata: {data}\n")
    return read_recipe(loading.load(source), source)


def text(
    images: str = "{normalize: unit}",
    data: str = "folder",
    shape: tuple[int, ...] = (16, 16, 3),
    weights: str = "",
) -> str:
    """Its data.py."""
    values = data_text.data_values(recipe(images, data, weights), shape, classes=4)
    folder = Path(data_text.__file__).parent
    return render(folder, "data.py.jinja", {"header": "# By a test.", "data": values})


def program(images: str = "{normalize: unit}", data: str = "folder", shape=(16, 16, 3)) -> Any:
    """The same, imported."""
    module = types.ModuleType(f"data_{next(_NUMBERS)}")
    code = compile(text(images, data, shape), module.__name__, "exec", dont_inherit=True)
    exec(code, vars(module))
    return module


def write_images(root: Path, counts: dict[str, int], size: tuple[int, int] = (20, 24)) -> Path:
    """PNG files of noise, so many in each folder below `root`."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number:03}.png")
    return root


def sizes(splits: Any) -> dict[str, int]:
    """Images by split."""
    return {name: len(source) for name, source in splits.items()}
