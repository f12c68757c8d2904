"""What docs/recipes.md says of recipes and of train.py."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.docs.markdown import ROOT, fenced
from xgraph import backend
from xgraph.compile import compile_spec
from xgraph.diagnostics import Source
from xgraph.recipe import reading
from xgraph.recipe.augmentations import AUGMENTATIONS
from xgraph.recipe.averaging import Average
from xgraph.recipe.cadence import Cadence
from xgraph.recipe.images import EvaluationImages, Holdout, Pixels, TrainingSize
from xgraph.recipe.kinds import Period, Resize
from xgraph.recipe.losses import LOSSES
from xgraph.recipe.optimizers import OPTIMIZERS
from xgraph.recipe.recipe import General
from xgraph.recipe.regularization import REGULARIZATIONS
from xgraph.recipe.schedules import SCHEDULES
from xgraph.recipe.sources import SOURCES
from xgraph.spec import loading

DOCUMENT = ROOT / "docs" / "recipes.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
SECTIONS = {
    "optimizer": OPTIMIZERS,
    "schedule": SCHEDULES,
    "loss": LOSSES,
    "regularization": REGULARIZATIONS,
    "data": SOURCES,
    "images.train": AUGMENTATIONS,
}
PARTS = {
    "average": Average,
    "images.train": TrainingSize,
    "images.evaluate": EvaluationImages,
    "images.holdout": Holdout,
    "images": Pixels,
    "every": Cadence,
}


def rows() -> list[str]:
    """The table of settings, from the recipes' own declarations."""
    lines = _rows("", General)
    for section, options in SECTIONS.items():
        for name, cls in options.items():
            lines += _rows(f"{section}.{name}.", cls)
    for section, cls in PARTS.items():
        lines += _rows(f"{section}.", cls)
    return lines


def _rows(prefix: str, cls: type) -> list[str]:
    return [
        f"| `{prefix}{field.name}` | {field.metadata['kind'].expected} "
        f"| {_default(field.default)} | {field.metadata['doc']} |"
        for field in dataclasses.fields(cls)
    ]


def _default(value: object) -> str:
    if value is dataclasses.MISSING:
        return "**required**"
    if isinstance(value, Period):
        return f"`{{{value.unit}: {value.count}}}`"
    if isinstance(value, Resize):
        return f"`{{{value.how}: {value.ratio:g}}}`"
    if isinstance(value, tuple) and isinstance(value[0], float):
        return f"`{list(value)}`"
    if value == (255,):
        return "`255`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(f"top{k}" for k in value) + "]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in (None, ""):
        return "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_table_of_settings_is_complete():
    shown = [line for line in TEXT.splitlines() if re.match(r"\| `[a-z_0-9.]+` \| ", line)]
    expected = rows()
    assert [line for line in shown if line in expected] == expected, "\n".join(expected)


def test_the_example_is_a_recipe():
    [block] = [b for b in fenced(DOCUMENT) if b.options.get("fragment") == "recipe"]
    source = Source("example.yaml", block.text)
    recipe = reading.read_recipe(loading.load(source), source)
    assert recipe.average is not None
    assert recipe.regularization is not None


def test_every_argument_of_train_is_described():
    _, files = compile_spec("xception", backend.get("torch"), recipe="imagenet")
    arguments = re.findall(r'add_argument\("(--[a-z-]+)"', files["train.py"])
    assert len(arguments) > 10
    for argument in arguments:
        assert f"| `{argument}" in TEXT, argument
    described = re.findall(r"^\| `(--[a-z-]+)", TEXT, re.MULTILINE)
    assert sorted(described) == sorted(arguments)


@pytest.mark.parametrize("name", ["torch", "keras", "flax"])
def test_programs_differ_in_what_is_said(name):
    programs = {
        each: compile_spec("xception", backend.get(each))[1]["train.py"] for each in ("torch", name)
    }
    reference, own = (
        set(re.findall(r'add_argument\("(--[a-z-]+)"', text))
        for text in (programs["torch"], programs[name])
    )
    assert reference - own == ({"--compile"} if name == "flax" else set())
    assert own <= reference
    [row] = re.findall(r"^\| (`checkpoint\.pt`.*?) \|", TEXT, re.MULTILINE)
    file = "checkpoint.pt" if name == "torch" else "checkpoint.safetensors"
    assert f"`{file}`" in row
    assert f'"{file}"' in programs[name]
    workers = "processes in PyTorch, threads in Keras and Flax"
    assert workers in TEXT
    assert ("ThreadPoolExecutor(" in programs[name]) == (name != "torch")


@pytest.mark.parametrize("name", ["torch", "keras", "flax"])
def test_the_keys_of_the_log_are_described(name):
    _, files = compile_spec("xception", backend.get(name), recipe="imagenet")
    for key in ("step", "epoch", "loss", "learning_rate", "images_per_second", "split"):
        assert re.search(rf'"{key}"|\b{key}=', files["train.py"]), key
        assert f"`{key}`" in TEXT
