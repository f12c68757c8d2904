"""`xgraph import` and the numbers of what it imports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xgraph.cli import main
from xgraph.parity import imported
from xgraph.parity.process import WorkerFailed

MODULE = """\
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, scaled):
        super().__init__()
        self.scaled = scaled
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.top = nn.Linear(4, 5)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x))).mean((2, 3))
        return self.top(0.9 * x if self.training and self.scaled else x)

def build():
    return Net(scaled=False)

def scaled():
    return Net(scaled=True)
"""
TOLD = ["-o", "net.yaml", "--weights", "net.safetensors", "--input", "8,8,3"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "net_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(imported, "comparable", lambda: ("torch",))


def test_what_computes_something_else_is_not_written(capsys):
    told = ["import", "torch:net_of_mine:scaled", *TOLD]
    assert main(told) == 1
    said = capsys.readouterr().err
    assert "its numbers are others: training output" in said
    assert " net.yaml:" in said  # where it will be, not where it was for the moment
    assert "nothing was written; --no-verify writes it as it is" in said
    assert not Path("net.yaml").exists()
    assert not Path("net.safetensors").exists()
    assert main([*told, "--no-verify"]) == 0
    assert Path("net.yaml").exists()
    assert "compute what it does" not in capsys.readouterr().out


def test_frameworks_that_are_not_installed_are_left_out(capsys, monkeypatch):
    def missing(*given, **more):
        raise WorkerFailed("torch", "the backend 'torch' needs torch", missing="torch")

    monkeypatch.setattr(imported, "held_to", missing)
    assert main(["import", "torch:net_of_mine:build", *TOLD, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["compared"] == []
    assert told["notes"][-1].startswith("not compared in numbers with torch: the backend 'torch'")


def test_a_program_that_fails_stops_it(capsys, monkeypatch):
    def failing(compilation, *given, **more):
        place = compilation.analysis.graph.nodes[0].span
        raise WorkerFailed("torch", f"{place}: the program of 'torch' fails: of old age")

    monkeypatch.setattr(imported, "held_to", failing)
    assert main(["import", "torch:net_of_mine:build", *TOLD]) == 1
    said = capsys.readouterr().err
    assert "not verified: net.yaml:" in said
    assert ": the program of 'torch' fails: of old age" in said
    assert not Path("net.yaml").exists()


def test_nothing_is_written_where_weights_cannot_be(capsys):
    told = ["import", "torch:net_of_mine:build", "-o", "net.yaml", "--input", "8,8,3"]
    assert main([*told, "--weights", "nowhere/net.safetensors"]) == 1
    assert "there is no folder nowhere" in capsys.readouterr().err
    assert not Path("net.yaml").exists()
