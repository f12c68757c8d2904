"""Where no shared class can say it, each use of a block gets a class of its own."""

import pytest

from xgraph import backend, conformance
from xgraph.compile import compile_spec
from xgraph.emit import planner
from xgraph.emit.planning.state import Decisions


@pytest.mark.parametrize(("name", "head"), [("torch", "\nclass "), ("keras", "\ndef ")])
@pytest.mark.parametrize("blocks", [{"middle"}, {"sepconv_bn"}, {"sepconv_bn", "downsample"}])
def test_a_class_for_each_use_is_the_same_network(blocks, name, head, tmp_path, monkeypatch):
    monkeypatch.setattr(planner, "Decisions", lambda: Decisions(by_use=set(blocks)))
    target = backend.get(name)
    analysis, files = compile_spec("xception_mini", target)
    uses = {"middle": 2, "sepconv_bn": 14, "downsample": 3}
    written = files["model.py"].count(head)
    monkeypatch.undo()
    _, shared = compile_spec("xception_mini", target)
    extra = written - shared["model.py"].count(head)
    assert extra >= sum(uses[block] - 1 for block in blocks)
    conformance.check_program(analysis, target.load(files))
