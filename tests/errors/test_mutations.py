"""Good specs, spoiled at random: `analyse` succeeds, or says where it fails."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.ir.document import Mapping, Sequence
from xgraph.spec import library, loading

OTHERS: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3.5, 1e300, 10**17, "", "relu", "conv", "residual", "input",
    "$", "$x", "$filters", "$classes * 2", "$classes / 0", "10 ** 60 * $classes", "a.b",
    "__import__", "é", "x\ny", [], {}, [[]], [{}], [1, 2], ["relu"], {"relu": None}, {"conv": 8},
    {"repeat": 2, "body": ["relu"]}, {"repeat": 10**6, "body": ["relu"]},
    {"if": True, "then": []}, {"for": {"i": [1]}, "body": ["relu"]},
    {"branches": [[], []], "merge": "add"},
    {"branches": {"repeat": 2, "body": ["relu"]}, "merge": "add"},
    {"from": "input"}, {"name": "a"}, {"when": 1},
]  # fmt: skip
KEYS = [
    "name", "from", "when", "body", "repeat", "for", "if", "then", "else", "index", "residual",
    "shortcut", "branches", "merge", "params", "inputs", "doc", "source", "filters", "kernel",
    "stride", "padding", "relu", "add", "extends", "outputs", "blocks", "loss_weight", "shape",
    "x", "<<", "Ünïcode", "",
]  # fmt: skip


def plain(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {entry.key: plain(entry.value) for entry in node}
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return node.value


def good_specs() -> dict[str, Any]:
    """The bundled specs as plain trees, with those they extend laid under them by name."""
    found = {}
    for path in library.spec_files():
        tree = plain(loading.load(loading.read(path, path.name)))
        if str(tree.get("extends", "")).endswith(".yaml"):
            continue
        found[path.stem] = tree
    return found


SPECS = good_specs()


def places(tree: Any, path: tuple = ()) -> list[tuple]:
    """Paths of everything in a tree but the tree itself."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in parts:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


@st.composite
def spoiled(draw: st.DrawFn) -> str:
    """The text of a spec with one to three things wrong, or perhaps not wrong."""
    tree = copy.deepcopy(SPECS[draw(st.sampled_from(sorted(SPECS)))])
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(tree)))
        owner = tree
        for key in path:
            owner = owner[key]
        how = draw(st.sampled_from(("drop", "replace", "rename", "copy", "swap", "wrap", "typo")))
        value = owner[last]
        if how == "drop":
            del owner[last]
        elif how == "replace":
            owner[last] = copy.deepcopy(draw(st.sampled_from(OTHERS)))
        elif how == "wrap":
            owner[last] = draw(st.sampled_from([[value], {"relu": value}, {"body": value}]))
        elif how == "typo" and isinstance(value, str) and value:
            at = draw(st.integers(0, len(value) - 1))
            owner[last] = value[:at] + draw(st.sampled_from("x_$.(é ")) + value[at + 1 :]
        elif isinstance(owner, list):
            other = draw(st.integers(0, len(owner) - 1))
            if how == "swap":
                owner[last], owner[other] = owner[other], owner[last]
            else:
                owner.insert(other, copy.deepcopy(value))
        else:
            owner[draw(st.sampled_from(KEYS))] = value
            if how == "rename" and len(owner) > 1:
                owner.pop(last, None)
        if not isinstance(tree, dict) or not tree:
            break
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=100)


def judge(path: Path, *options: str) -> None:
    try:
        analyse(str(path), options)
    except SpecError as error:
        check(error)


def check(error: SpecError) -> None:
    assert error.diagnostics
    for one in error.diagnostics:
        assert one.span is not None, one
        text = one.span.source.line(one.span.line)
        assert 1 <= one.span.column <= len(text) + 1, one
        assert one.span.column - 1 + one.span.length <= max(len(text), 1) + 1, one
        for _, span in one.notes:
            assert span is None or span.source.line(span.line), one
    assert all(c.isprintable() or c in "\n\t" for c in str(error))
    json.dumps([one.to_json() for one in error.diagnostics])


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("spoiled") / "spoiled.yaml"


COMMON = settings(
    deadline=2000,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)


@settings(COMMON, max_examples=500)
@given(text=spoiled())
def test_spoiled_trees(file, text):
    file.write_text(text, encoding="utf-8")
    judge(file)


@settings(COMMON, max_examples=300)
@given(
    name=st.sampled_from(sorted(SPECS)),
    cut=st.floats(0, 1),
    length=st.integers(0, 8),
    into=st.text("{}[]:,-#&*!|>'\"%@`$ \n\tax1é", max_size=4),
)
def test_spoiled_texts(file, name, cut, length, into):
    path = next(path for path in library.spec_files() if path.stem == name)
    text = path.read_text(encoding="utf-8")
    at = int(cut * len(text))
    file.write_text(text[:at] + into + text[at + length :], encoding="utf-8")
    judge(file)


@settings(COMMON, max_examples=200)
@given(
    key=st.sampled_from(
        ["classes", "dropout", "input.shape", "defaults.conv.bias", "params.classes"]
    ),
    value=st.one_of(
        st.sampled_from(OTHERS).map(json.dumps),
        st.text("{}[]:,-#&*!|>'\"%@`$ =.ax1é\n", max_size=12),
    ),
)
def test_settings(key, value):
    xception = next(path for path in library.spec_files() if path.stem == "xception")
    judge(xception, f"{key}={value}")
