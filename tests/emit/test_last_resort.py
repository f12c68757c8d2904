"""Where no shared class can say it, each use of a block gets a class of its own."""

import pytest
from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance
from xgraph.compile import compile_spec
from xgraph.emit import planner
from xgraph.emit.state import Decisions


@pytest.mark.parametrize("blocks", [{"middle"}, {"sepconv_bn"}, {"sepconv_bn", "downsample"}])
def test_a_class_for_each_use_is_the_same_network(blocks, tmp_path, monkeypatch):
    monkeypatch.setattr(planner, "Decisions", lambda: Decisions(by_use=set(blocks)))
    target = backend.get("torch")
    analysis, files = compile_spec("xception_mini", target)
    uses = {"middle": 2, "sepconv_bn": 14, "downsample": 3}
    classes = files["model.py"].count("(nn.Module)")
    monkeypatch.undo()
    _, shared = compile_spec("xception_mini", target)
    extra = classes - shared["model.py"].count("(nn.Module)")
    assert extra >= sum(uses[block] - 1 for block in blocks)
    conformance.check_program(analysis, Program(files))
