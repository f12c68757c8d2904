"""What docs/runs.md shows, from the logs beside it."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.docs.markdown import ROOT, check_command, commands, fenced
from xgraph.cli import main
from xgraph.report import curves, looks, metrics, runs

DOCUMENT = ROOT / "docs" / "runs.md"
LOGS = ROOT / "docs" / "activations"
BLOCKS = fenced(DOCUMENT)
RUNS = ("none", "relu", "elu")


@pytest.fixture(autouse=True)
def beside_the_logs(tmp_path, monkeypatch):
    for name in RUNS:
        shutil.copytree(LOGS / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "console"],
    ids=lambda block: f"line-{block.line}",
)
def test_console(block, capsys):
    for command, expected in commands(block):
        assert check_command(command, expected, capsys) == 0


def test_the_json_form(capsys):
    assert main(["table", *RUNS, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    [shown] = [json.loads(block.text) for block in BLOCKS if block.info == "json"]
    assert shown == printed[0]


def test_the_figure_is_of_these_logs():
    """The names that it shows stand beside the outlines of their letters."""
    text = (LOGS / "activations.svg").read_text(encoding="utf-8")
    said = re.findall(r"<!-- (.*) -->", text)
    picture = curves.picture(runs.read_runs(list(RUNS)), axis="epochs", smooth=0.8)
    labels = [panel.metric.label for panel in picture.panels]
    assert {*RUNS, *labels, picture.x_label, "training, exponential average of weight 0.8"} <= {
        *said
    }


def test_the_settings_are_named():
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(-[-a-z]+)", text, re.MULTILINE)
    assert rows == ["-o", "--x", "--metric", "--smooth", "--log", "--group"]
    for axis in curves.AXES:
        assert f"`--x {axis}`" in text or f"`{axis}`" in text
    assert f"{runs.MAX_BYTES // 2**20} MiB" in text
    assert metrics.metric("top1").is_accuracy


def test_the_limit_on_runs_is_named():
    text = DOCUMENT.read_text(encoding="utf-8")
    assert f"up to {looks.MAX_RUNS} runs" in text
    assert len(looks.COLORS) == 7
