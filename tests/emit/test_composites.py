"""A composite op that a backend cannot say becomes a class of its steps."""

from __future__ import annotations

import pytest
from xgraph_backends.pytorch import lowering
from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance, ops
from xgraph.compile import compile_spec

TORCH = backend.get("torch")
CASES = list(ops.get("separable_conv").cases())


@pytest.fixture
def no_separable_conv(monkeypatch):
    spellings = {k: v for k, v in lowering.SPELLINGS.items() if k != "separable_conv"}
    monkeypatch.setattr(lowering, "SPELLINGS", spellings)


@pytest.mark.usefixtures("no_separable_conv")
@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case, tmp_path):
    conformance.check_case("separable_conv", case, TORCH, Program, tmp_path)


SPEC = """
xgraph: 1
name: net
input: {shape: [9, 10, 3]}
defaults: {separable_conv: {kernel: 3, padding: same}}
blocks:
  unit: {params: {filters, act: relu, stride: 1}, body: [
    {separable_conv: {filters: $filters, stride: $stride, depthwise_activation: $act}}, batch_norm]}
graph:
  a: [{separable_conv: 4}, {separable_conv: {filters: 5, kernel: 5, bias: false}}]
  b: [{unit: 4}, {unit: {filters: 6, act: elu}}, {repeat: 2, body: [{unit: 6}]},
      {unit: {filters: 7, stride: 2}}]
  head: [global_avg_pool, {dense: 3}]
"""


@pytest.mark.usefixtures("no_separable_conv")
def test_in_blocks_and_loops(tmp_path):
    conformance.check_spec(SPEC, TORCH, Program, tmp_path, grow=((0, 0), (2, 1)))


@pytest.mark.usefixtures("no_separable_conv")
def test_xception_keeps_its_weights(tmp_path):
    """The whole model, with the same weight names, and one class for all its uses."""
    _, files = compile_spec("xception", TORCH)
    assert files["model.py"].count("class SeparableConv(") == 1
    assert "SeparableConv2d" not in files["model.py"] + files["weights.py"]


def test_same_weights_either_way(tmp_path, monkeypatch):
    _, files = compile_spec("xception_mini", TORCH)
    native = Program(files).weights()
    without = {k: v for k, v in lowering.SPELLINGS.items() if k != "separable_conv"}
    monkeypatch.setattr(lowering, "SPELLINGS", without)
    _, files = compile_spec("xception_mini", TORCH)
    decomposed = Program(files).weights()
    assert native.keys() == decomposed.keys()
    assert all((native[name] == decomposed[name]).all() for name in native)
