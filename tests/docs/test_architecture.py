"""What docs/architecture.md says of adding ops and backends."""

from __future__ import annotations

import ast
import dataclasses
import re

import pytest

from tests.docs.markdown import ROOT, fenced
from xgraph import conformance
from xgraph.backend import Backend

DOCUMENT = ROOT / "docs" / "architecture.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
SPELLINGS = re.findall(r"^   ```python file=(\S+)\n(.*?)^   ```$", TEXT, re.MULTILINE | re.DOTALL)


def test_each_backend_has_its_spelling_shown():
    shown = {path for path, _ in SPELLINGS}
    assert shown == {p.relative_to(ROOT).as_posix() for p in ROOT.glob("backends/*/lowering.py")}


@pytest.mark.parametrize(("path", "lines"), SPELLINGS, ids=[path for path, _ in SPELLINGS])
def test_a_spelling_is_what_is_there(path, lines):
    [line] = lines.splitlines()
    assert line.removeprefix("   ") in (ROOT / path).read_text(encoding="utf-8").splitlines()


def test_the_parts_of_a_backend_are_described():
    section = TEXT[TEXT.index("`BACKEND` is a `Backend`") :]
    rows = re.findall(r"^\| (`[a-z_`, ]+) \|", section, re.MULTILINE)
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert described == [field.name for field in dataclasses.fields(Backend)]


def test_the_proof_calls_what_there_is():
    [block] = [b for b in fenced(DOCUMENT) if "conformance.cases" in b.text]
    used = {
        node.attr
        for node in ast.walk(ast.parse(block.text))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "conformance"
    }
    assert used == {"cases", "check_case", "check_gradients"}
    assert all(hasattr(conformance, name) for name in used)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:xgraph|backends|tests)/[^`*]*)`", TEXT)))
)
def test_a_place_exists(path):
    assert "<" in path or (ROOT / path).exists()


def test_every_part_of_the_compiler_has_its_row():
    rooms = TEXT[TEXT.index("## Rooms") : TEXT.index("## How one value travels")]
    for folder in (path.parent for path in (ROOT / "xgraph").glob("*/__init__.py")):
        assert f"`xgraph/{folder.name}/`" in rooms
    for folder in (path.parent for path in (ROOT / "backends").glob("*/__init__.py")):
        assert f"`backends/{folder.name}/`" in rooms
