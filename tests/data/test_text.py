"""data.py as text: clean code, with the readers that the recipe can need and no others."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.programs import RECIPE, recipe, text
from xgraph import backend, twin
from xgraph.compile import emit, prepare
from xgraph.diagnostics import SpecError
from xgraph.emit import data_text, training
from xgraph.recipe import recipe_names
from xgraph.recipe.sources import SOURCES

IMAGES = [
    "{normalize: unit}",
    "{normalize: symmetric, holdout: 5000, background: 0, train: {resize: {shorter_side: 1.2}}}",
    "{normalize: {mean: [0.5], std: [0.25]}, holdout: 0.1, balanced: true, "
    "train: {pad_crop: {}, flip: true}}",
    "{normalize: {mean: [0.4, 0.5, 0.6], std: [0.2, 0.2, 0.2]}, background: [1, 2, 3], "
    "train: {crop: center}, evaluate: {resize: {stretch: 1}}}",
    "{normalize: unit, unreadable: 0, train: {resized_crop: {}, flip: 0.4, "
    "color_jitter: {brightness: 0.4, contrast: 0.4, saturation: 0.4}}}",
]
IMAGES += [
    "{normalize: unit, train: {mixup: 0.2}}",
    "{normalize: unit, train: {crop: center, cutmix: {alpha: 1, probability: 0.5}}}",
    "{normalize: unit, train: {mixup: 0.8, cutmix: {alpha: 1, probability: 0.123456789}}}",
    "{normalize: unit, train: {mixup: {alpha: 1, probability: 0.3}, "
    "cutmix: {alpha: 1, probability: 0.123}}}",
]
DATA = [*SOURCES, "[folder, cifar10]", "{manifest: {many: true, separator: bar, path: x y}}",
        f"[{', '.join(SOURCES)}]"]  # fmt: skip


def all_texts() -> list[str]:
    """data.py of every pair that is sound."""
    pairs = itertools.product(IMAGES, DATA)
    texts = [text(*pair) for pair in pairs if not ("balanced" in pair[0] and "many" in pair[1])]
    return [*texts, text(weights="balanced")]


def test_it_is_clean_code(tmp_path):
    texts = all_texts()
    texts += [text(shape=(40, 28, 1)), text(shape=(28, 40, 4))]
    for number, each in enumerate(texts):
        (tmp_path / f"data_{number}.py").write_text(each)
    rules = "E,F,W,I,B,UP,SIM,C4,PIE,RET,D1,N"
    options = ["--isolated", "--no-cache", "--line-length", "100", "--target-version", "py311"]
    check = ["check", *options, "--select", rules, "--ignore", "D102,D105,D107"]
    for command in (check, ["format", "--diff", *options]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", recipe_names())
def test_it_is_the_same_text_in_every_program(name):
    compilation = prepare("xception_mini", (), name)
    texts = {emit(compilation, backend.get(each))["data.py"] for each in ("torch", "keras", "flax")}
    assert len(texts) == 1


def test_it_has_no_reader_that_it_cannot_need():
    openers = {name: SOURCES[name].opener for name in SOURCES}
    for name in SOURCES:
        made = text(data=name)
        assert {n for n, opener in openers.items() if f"def {opener}(" in made} == {name}
    assert "pickle" not in text()
    assert "gzip" not in text()
    assert "csv" not in text()
    assert "Unpickler" in text(data="cifar100")
    for images, words in (
        (
            "{normalize: unit}",
            "hold_out|Balance|MEAN|transpose.Image|random_box|ImageEnhance|SEPARATOR|MIXING|CLASSES",
        ),
        ("{normalize: unit, holdout: 3}", "Balance|CLASSES|MIXING"),
        ("{normalize: unit, balanced: true}", "hold_out"),
        ("{normalize: unit, train: {mixup: 1}}", "cutmix|balanced_weights"),
        ("{normalize: unit, train: {cutmix: 1}}", "mixup"),
    ):
        assert not re.search(words, text(images)), images


def test_every_definition_of_the_library_is_in_some_program():
    texts = "\n".join(all_texts())
    for each in data_text._libraries():
        for piece in each.pieces:
            assert all(re.search(rf"\b{name}\b", texts) for name in piece.names), piece.names


def test_every_file_of_the_library_is_known():
    folder = data_text._HERE / "library"
    known = {each for each in data_text._ORDER if each != "sources"}
    as_they_are = {Path(file).stem for file in training._AS_THEY_ARE} | {
        "async_run",
        "shared_run",
        "weight_file",
    }
    assert {path.stem for path in folder.glob("*.py")} == known | as_they_are | {"__init__"}
    sources = {path.stem for path in (folder / "sources").glob("*.py")}
    assert sources == {*SOURCES, "synthetic", "__init__"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("folderr", "did you mean 'folder'"),
        ("[folder, folder]", "each source once"),
        ("[]", "each source once"),
        ("null", "'data' cannot take this value"),
        ("{folder: {a: 1}}", "has no attribute 'a'"),
        ("{manifest: {path: 'x\"y'}}", "letters, digits, spaces and underscores"),
        ("{manifest: {separator: tab}}", "one of space, comma, semicolon, bar"),
        ("{folder: {}, idx: {}}", "'data' cannot take this value"),
    ],
)
def test_mistakes(data, message):
    with pytest.raises(SpecError, match=message):
        recipe(data=data)


def test_the_columns_of_a_manifest_are_texts(tmp_path):
    """They are values in data.py, and the last gate compares it with one that has other names."""
    (tmp_path / "r.yaml").write_text(
        f"{RECIPE.replace('softmax', 'sigmoid')}images: {{normalize: unit}}\n"
        "data: {manifest: {path: import os, label: __class__, many: true}}\n"
    )
    compilation = prepare("xception_mini", (), str(tmp_path / "r.yaml"))
    assert {"import os", "__class__"} <= set(twin.texts(compilation))
    [silent] = twin.neutral(compilation).recipe.data
    assert (silent.path, silent.label, silent.many) == ("a" * 9, "a" * 9, True)
    made = emit(compilation, backend.get("torch"))["data.py"]
    assert 'PATH_COLUMN, LABEL_COLUMN = "import os", "__class__"\n' in made


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("{normalize: unit, holdout: 0}", "a positive integer, or a share"),
        ("{normalize: unit, holdout: 1.5}", "a positive integer, or a share"),
        ("{normalize: unit, holdout: {amount: 3, sed: 1}}", "did you mean 'seed'"),
        ("{normalize: unit, background: 256}", "a number from 0 to 255"),
        ("{normalize: unit, background: [1, 2]}", "a number from 0 to 255"),
        ("{normalize: unit, pixel_limit: 0}", "a positive integer"),
        ("{normalize: unit, unreadable: 1}", "at least 0 and below 1"),
        ("{normalize: unit, balanced: 1}", "true or false"),
    ],
)
def test_mistakes_of_images(images, message):
    with pytest.raises(SpecError, match=message):
        recipe(images)
