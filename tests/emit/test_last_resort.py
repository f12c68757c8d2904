"""Where no shared class can say it, each use of a block gets a class of its own."""

import pytest

from xgraph import backend, conformance
from xgraph.cli import INTERNAL, main
from xgraph.compile import compile_spec
from xgraph.emit import planner
from xgraph.emit.planning.model import Model
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


@pytest.mark.parametrize("target", backend.names())
def test_a_plan_that_is_another_network_is_not_written(target, tmp_path, monkeypatch, capsys):
    right = Model.model

    def wrong(self):
        plan = right(self)
        first, second, *_ = plan.root.body
        plan.root.body[:2] = [second, first]
        return plan

    monkeypatch.setattr(Model, "model", wrong)
    monkeypatch.chdir(tmp_path)
    text = "xgraph: 1\nname: two\ninput: {shape: [4, 4, 3]}\ngraph: [relu, tanh]\n"
    (tmp_path / "two.yaml").write_text(text)
    assert main(["compile", "two.yaml", "--backend", target]) == INTERNAL
    assert (
        "the plan is not the network of the spec: relu reads ('tanh',)" in capsys.readouterr().err
    )
    assert [path.name for path in tmp_path.iterdir()] == ["two.yaml"]
