"""Specs that once gave another network than they say, or were right for one value only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.emit.instances import BUILT, expected
from xgraph import backend, conformance
from xgraph.compile import analyse, compile_spec
from xgraph.parity import compare
from xgraph.parity.process import Worker
from xgraph.programs import import_files

HERE = Path(__file__).parent
NAMES = ("torch", "keras", "flax")


def case(name: str) -> str:
    return str(HERE / f"{name}.yaml")


@pytest.fixture(scope="module")
def workers():
    found = {name: Worker(name) for name in NAMES}
    yield found
    for worker in found.values():
        worker.close()


@pytest.mark.parametrize("name", ["branch_named_like_parameter", "ties_of_global_max"])
def test_three_programs_agree(name, workers):
    report = compare(case(name), steps=2, ties=True, workers=workers)
    assert report.agree, str(report)


def test_a_branch_hides_no_parameter(tmp_path):
    """In the second unit `kind == 1` is true, and the program is that network."""
    spec = case("branch_named_like_parameter")
    found = analyse(spec)
    assert [node.name for node in found.graph.nodes if node.op.name == "relu"] == ["unit.1.relu"]
    keras = backend.get("keras")
    conformance.check_program(found, keras.load(compile_spec(spec, keras, (), "imagenet")[1]))


@pytest.mark.parametrize("name", NAMES)
def test_a_parameter_is_right_for_any_value(name):
    """Channels behind a `for` over mappings follow from the width that is given."""
    spec = case("channels_frozen_after_for")
    modules = import_files(compile_spec(spec, backend.get(name))[1], training=False)
    for width in (0.25, 1.0, 2.5):
        meant = analyse(spec, [f"width={width}"])
        built = BUILT[name](modules, meant.types[0].shape, {"width": width, "classes": 10})
        assert built == expected(meant.graph, meant.types), width


def test_a_branch_that_is_switched_off_is_told_of():
    spec = case("branch_switched_off")
    (warning,) = analyse(spec).warnings
    assert (warning.code, warning.severity) == ("XG905", "warning")
    assert warning.message.startswith("the branch 'skip' is the identity now")
    assert warning.hint.startswith("to leave out the whole branch, write {body: […], when: …}")
    assert not analyse(spec, ["skip=true"]).warnings


def test_a_branch_can_be_switched_off(tmp_path):
    """As the warning says: then one branch is left, and nothing to be merged."""
    text = Path(case("branch_switched_off")).read_text(encoding="utf-8")
    path = tmp_path / "spec.yaml"
    item = "skip: {batch_norm: , when: $skip}"
    assert item in text
    path.write_text(text.replace(item, "skip: {body: batch_norm, when: $skip}"))
    for settings, ops in (
        ([], ["conv", "global_avg_pool", "dense"]),
        (["skip=true"], ["conv", "batch_norm", "add", "global_avg_pool", "dense"]),
    ):
        found = analyse(str(path), settings)
        assert not found.warnings
        assert [node.op.name for node in found.graph.nodes[1:]] == ops


@pytest.mark.parametrize("name", NAMES)
def test_a_long_table_is_a_row_a_line(name):
    model = compile_spec(case("long_table"), backend.get(name))[1]["model.py"]
    assert max(map(len, model.splitlines())) <= 100
    tables = [
        node
        for node in ast.walk(ast.parse(model))
        if isinstance(node, ast.Tuple) and all(isinstance(row, ast.Dict) for row in node.elts)
    ]
    (rows,) = (table.elts for table in tables if table.elts)
    assert len(rows) == 4
    assert [row.lineno for row in rows] == list(range(rows[0].lineno, rows[0].lineno + 4))
    assert {key.value for row in rows for key in row.keys} == {
        "filters", "stride", "expansion", "blocks",
    }  # fmt: skip
