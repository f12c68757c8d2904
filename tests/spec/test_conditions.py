"""Items side by side under one condition become a single `if`, as a programmer would write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xgraph import backend
from xgraph.compile import analyse, compile_spec
from xgraph.ir.structure import Conditional

TOP = "xgraph: 1\nname: net\ninput: {shape: [8, 8, 3]}\nparams: {a: true, b: true}\n"


def conditions(folder: Path, graph: str) -> list[int]:
    """How many items there are within each item of the graph; 1 for one that is no condition."""
    path = folder / "spec.yaml"
    path.write_text(TOP + f"graph: {graph}", encoding="utf-8")
    body = analyse(str(path)).elaborated.program.sections[0].block.body
    return [len(item.then) if isinstance(item, Conditional) else 1 for item in body]


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ("[{relu: , when: $a}, {elu: , when: $a}, tanh]", [2, 1]),
        ("[{relu: , when: $a}, [{elu: , when: $a}], {if: $a, then: [tanh, silu]}]", [4]),
        ("[{relu: , when: $a}, {elu: , when: $b}]", [1, 1]),
        ("[{relu: , when: $a}, tanh, {elu: , when: $a}]", [1, 1, 1]),
        ("[{relu: , when: $a}, {if: $a, then: elu, from: input}]", [1, 1]),  # it begins elsewhere
        ("[{relu: , when: true}, {elu: , when: true}]", [1, 1]),
    ],
)
def test_what_is_joined(tmp_path, graph, expected):
    assert conditions(tmp_path, graph) == expected


def test_the_same_nodes_whatever_holds(tmp_path):
    path = tmp_path / "spec.yaml"
    graph = "[{relu: , when: $a}, {if: $a, then: elu, else: tanh}, {if: $a, then: [], else: silu}]"
    path.write_text(TOP + f"graph: {graph}", encoding="utf-8")
    names = {
        value: [node.name for node in analyse(str(path), [f"a={value}"]).graph.nodes[1:]]
        for value in ("true", "false")
    }
    assert names == {"true": ["relu", "elu"], "false": ["tanh", "silu"]}


def test_no_value_is_said_that_nobody_reads(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(
        "xgraph: 1\nname: net\ninput: {shape: [8, 8, 3]}\n"
        "blocks: {unit: {params: {g: false}, body: [{relu: , name: act}, "
        "{sigmoid: , name: gate, when: $g}, {multiply: , from: [gate, act], when: $g}]}}\n"
        "graph: [unit, {unit: true}]",
        encoding="utf-8",
    )
    for name in ("torch", "keras", "flax"):
        _, files = compile_spec(str(path), backend.get(name))
        assert "x = gate\n" not in files["model.py"]
        assert files["model.py"].count("if self.g:" if name != "keras" else "if g:") == 1
