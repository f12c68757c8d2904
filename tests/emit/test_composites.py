"""A composite op that a backend cannot say becomes a class of its steps."""

from __future__ import annotations

import pytest
from xgraph_backends.flax_nnx import lowering as flax_lowering
from xgraph_backends.keras3 import lowering as keras_lowering
from xgraph_backends.pytorch import lowering

from xgraph import backend, conformance, ops
from xgraph.compile import compile_spec

from ..turns import by_turns

TORCH = backend.get("torch")
LOWERINGS = {"torch": lowering, "keras": keras_lowering, "flax": flax_lowering}
CASES = list(ops.get("separable_conv").cases())


@pytest.fixture
def no_separable_conv(monkeypatch):
    for module in LOWERINGS.values():
        spellings = {k: v for k, v in module.SPELLINGS.items() if k != "separable_conv"}
        monkeypatch.setattr(module, "SPELLINGS", spellings)


@pytest.mark.usefixtures("no_separable_conv")
@pytest.mark.parametrize(("case", "name"), by_turns(CASES, frameworks=("torch", "keras"), every=2))
def test_case(case, name, tmp_path):
    target = backend.get(name)
    conformance.check_case("separable_conv", case, target, target.load, tmp_path)


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
@pytest.mark.parametrize("name", LOWERINGS)
def test_in_blocks_and_loops(name, tmp_path):
    target = backend.get(name)
    conformance.check_spec(SPEC, target, target.load, tmp_path, grow=((0, 0), (2, 1)))


@pytest.mark.usefixtures("no_separable_conv")
def test_xception_keeps_its_weights(tmp_path):
    """The whole model, with the same weight names, and one class for all its uses."""
    _, files = compile_spec("xception", TORCH)
    assert files["model.py"].count("class SeparableConv(") == 1
    assert "SeparableConv2d" not in files["model.py"] + files["weights.py"]


@pytest.mark.parametrize("name", LOWERINGS)
def test_same_weights_either_way(name, monkeypatch):
    target, module = backend.get(name), LOWERINGS[name]
    _, files = compile_spec("xception_mini", target)
    native = target.load(files).weights()
    without = {k: v for k, v in module.SPELLINGS.items() if k != "separable_conv"}
    monkeypatch.setattr(module, "SPELLINGS", without)
    _, files = compile_spec("xception_mini", target)
    decomposed = target.load(files).weights()
    assert native.keys() == decomposed.keys()
    assert all((native[key] == decomposed[key]).all() for key in native)
