"""What docs/recipes.md says of recipes and of train.py."""

from __future__ import annotations

import dataclasses
import re

from tests.docs.markdown import ROOT, fenced
from xgraph import backend
from xgraph.compile import compile_spec
from xgraph.diagnostics import Source
from xgraph.recipe import part, reading
from xgraph.recipe.augmentations import AUGMENTATIONS
from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.cadence import Cadence
from xgraph.recipe.distributions.devices import Devices
from xgraph.recipe.images import EvaluationImages, Holdout, Pixels, TrainingSize
from xgraph.recipe.kinds import Period, Resize
from xgraph.recipe.mixings import MIXINGS
from xgraph.recipe.recipe import General
from xgraph.recipe.sources import SOURCES
from xgraph.recipe.tunings.tune import Tune
from xgraph.spec import loading

DOCUMENT = ROOT / "docs" / "recipes.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
SECTIONS = {
    **{name: part.named(name) for name in ("optimizer", "schedule", "loss")},
    **{name: part.named(name) for name in ("regularization", "clip")},
    "data": SOURCES,
    "images.train": {**AUGMENTATIONS, **MIXINGS},
}
PARTS = {
    "ema": Ema,
    "tune": Tune,
    "devices": Devices,
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
        return "`[" + ", ".join(map(str, value)) + "]`"
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
    block, _ = (b for b in fenced(DOCUMENT) if b.options.get("fragment") == "recipe")
    source = Source("example.yaml", block.text)
    recipe = reading.read_recipe(loading.load(source), source)
    assert recipe.ema is not None
    assert recipe.regularization is not None


def test_the_network_that_is_tuned(tmp_path):
    """The recipe fits xception, as the commands below it are given; of its parts as they are."""
    [block] = [b for b in fenced(DOCUMENT) if b.options.get("file") == "breeds.yaml"]
    path = tmp_path / "breeds.yaml"
    path.write_text(block.text, encoding="utf-8")
    _, files = compile_spec("xception", backend.get("torch"), ["classes=37"], str(path))
    assert 'FROZEN = ["entry_flow"]' in files["train.py"]
    assert 'RATES = {"exit_flow": 0.3, "middle_flow": 0.1}' in files["train.py"]
    inner = [
        "recipe.tune.freeze=[middle_flow]",
        "recipe.tune.rates={middle_flow: null, middle_flow.middle.7: 0.1}",
    ]
    assert "middle_flow.middle.7" in TEXT
    compile_spec("xception", backend.get("torch"), ["classes=37", *inner], str(path))


ARGUMENT = r'add_argument\(\s*"(--[a-z-]+)"'


def test_every_argument_of_train_is_described():
    _, files = compile_spec("xception", backend.get("torch"), recipe="imagenet")
    arguments = re.findall(ARGUMENT, files["arguments.py"] + files["train.py"])
    assert len(arguments) > 10
    for argument in arguments:
        assert f"| `{argument}" in TEXT, argument
    described = re.findall(r"^\| `(--[a-z-]+)", TEXT, re.MULTILINE)
    assert sorted(described) == sorted(arguments)


def test_programs_differ_in_what_is_said():
    programs = {
        name: compile_spec("xception", backend.get(name))[1] for name in ("torch", "keras", "flax")
    }
    for file in ("run.py", "arguments.py", "checkpoint.py", "data.py"):
        assert len({files[file] for files in programs.values()}) == 1
    arguments = {
        name: set(re.findall(ARGUMENT, files["train.py"])) for name, files in programs.items()
    }
    assert arguments == {"torch": {"--compile"}, "keras": {"--compile"}, "flax": set()}
    assert "processes in PyTorch, threads in Keras and Flax" in TEXT
    for name, files in programs.items():
        assert ("ThreadPoolExecutor(" in files["loader.py"]) == (name != "torch")


def test_the_keys_of_the_log_are_described():
    _, files = compile_spec("xception", backend.get("torch"), recipe="imagenet")
    keys = ("step", "epoch", "seconds", "loss", "learning_rate", "images_per_second", "split")
    for key in keys:
        assert re.search(rf'"{key}"|\b{key}=', files["run.py"]), key
        assert f"`{key}`" in TEXT
