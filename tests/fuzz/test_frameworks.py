"""Four random specs in all three frameworks; the slow tests are five times as many more.

XLA compiles them without its optimizer, see `tests.tiny`. `xgraph fuzz` does thousands, with it.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import tiny
from xgraph.cli import main
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.run import graph_seed
from xgraph.fuzz.trees import to_yaml
from xgraph.parity.checker import Checker

GRAPHS = [pytest.param(graph, marks=[pytest.mark.slow] if graph % 6 else []) for graph in range(24)]
#: Specs that have disagreed, cut down; each says why.
FOUND = sorted(Path(__file__).with_name("found").glob("*.yaml"))
#: Those that disagreed after steps, too.
AFTER_STEPS = {"gradients_that_are_zero"}
NAMES = ("torch", "keras", "flax")


@pytest.fixture(scope="module")
def check():
    # Processes are started at the first spec, and anew after many.
    with pytest.MonkeyPatch.context() as patch, Checker(NAMES, steps=0) as checker:
        patch.setenv(*tiny.UNOPTIMIZED)
        yield checker


@pytest.mark.parametrize("graph", GRAPHS)
def test_they_agree(graph, check):
    assert check(to_yaml(random_spec(graph_seed(2016, graph)))) is None


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if number % 3 else [])
        for number, path in enumerate(FOUND)
    ],
)
def test_what_was_found_agrees(path, check, monkeypatch):
    monkeypatch.setattr(check, "steps", 3 if path.stem in AFTER_STEPS else 0)
    assert check(path.read_text(encoding="utf-8")) is None


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(*tiny.UNOPTIMIZED)
    options = ["--graphs", "2", "--seed", "4", "--backends", "torch,flax", "--steps", "2"]
    assert main(["fuzz", *options, "-o", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["agree"]
    assert report["graphs"] == 2
    assert report["failures"] == []
    assert not (tmp_path / "out").exists()
