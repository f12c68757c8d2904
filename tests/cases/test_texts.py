"""Specs whose texts and names once were a part of the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from xgraph import backend
from xgraph.compile import compile_spec
from xgraph.parity import compare
from xgraph.parity.process import Worker
from xgraph.recipe import load_recipe

HERE = Path(__file__).parent
SPECS = (
    "text_argument_becomes_code",
    "text_argument_in_class_name",
    "texts_in_a_loop",
    "parameter_called_name",
)


@pytest.fixture(scope="module")
def workers():
    found = {name: Worker(name) for name in ("flax", "keras", "torch")}
    yield found
    for worker in found.values():
        worker.close()


@pytest.mark.parametrize("name", SPECS)
def test_three_programs_agree(name, workers):
    report = compare(str(HERE / f"{name}.yaml"), workers=workers)
    assert report.agree, str(report)


@pytest.mark.parametrize("name", ["flax", "keras", "torch"])
def test_numbers_tell_variants_apart(name):
    """The texts that are no words are nowhere but in a spec."""
    _, files = compile_spec(str(HERE / "text_argument_becomes_code.yaml"), backend.get(name))
    tree = ast.parse(files["model.py"])
    heads = {n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    assert {"unit", "unit_2"} <= heads or {"Unit", "Unit2"} <= heads
    assert "SystemExit" not in files["model.py"]


@pytest.mark.parametrize("name", ["flax", "keras", "torch"])
def test_backslashes_are_shown_as_written(name):
    recipe = HERE / "backslashes.recipe.yaml"
    spec = str(HERE / "parameter_called_name.yaml")
    _, files = compile_spec(spec, backend.get(name), recipe=str(recipe))
    shown = ast.get_docstring(ast.parse(files["train.py"].encode()))
    assert shown is not None
    doc = load_recipe(recipe).doc
    assert doc is not None
    assert doc.raw in shown.replace("\n", "")
