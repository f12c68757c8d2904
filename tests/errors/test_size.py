"""What a program expands to is known before it is expanded."""

from __future__ import annotations

import pytest

from xgraph.passes.elaborate import elaborate
from xgraph.passes.scope import Scope
from xgraph.passes.size import measure
from xgraph.spec import library
from xgraph.spec.library import find_spec
from xgraph.spec.overlay import load_layers
from xgraph.spec.reader import read_program

HEAD = "xgraph: 1\nname: sized\ninput: {shape: [8, 8, 3]}\n"
SIZES = [
    ("graph: [relu, elu]", 2),
    ("graph: [{repeat: 4, body: [relu, elu]}]", 1 + 4 * 3),
    ("graph: [{repeat: 4, index: i, body: [{relu, when: $i < 2}]}]", 1 + 2 * 3 + 2 * 2),
    ("graph: [{repeat: 4, index: i, body: [{repeat: $i, body: [relu]}]}]", 1 + 4 * 2 + 2 * 6),
    ("blocks: {b: {params: {n}, body: [{repeat: $n, body: [relu]}]}}\ngraph: [{b: 2}, {b: 3}]", 14),
    ("graph: [{for: {n: [1, 2]}, body: [{repeat: $n, body: [relu]}]}]", 1 + 2 * 2 + 2 * 3),
    ("graph: [{branches: [[relu], [elu, relu]], merge: concat}]", 4),
    ("graph: [{branches: {repeat: 3, body: [relu, elu]}, merge: concat}]", 1 + 3 * 3),
    ("params: {c: false}\ngraph: [{if: $c, then: [relu], else: [elu, elu]}]", 3),
]


def sizes(path: str) -> tuple[int, int]:
    """The measure of a spec, and how many nodes it has."""
    document, _ = load_layers(*find_spec(path))
    program = read_program(document)
    elaborated = elaborate(program)
    return measure(program, Scope(elaborated.parameters, {})), len(elaborated.graph.nodes) - 1


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_size(text, size, tmp_path):
    path = tmp_path / "sized.yaml"
    path.write_text(HEAD + text, encoding="utf-8")
    assert sizes(str(path))[0] == size


@pytest.mark.parametrize("path", library.all_specs(), ids=lambda path: path.stem)
def test_no_fewer_than_nodes(path):
    measured, nodes = sizes(str(path))
    assert nodes <= measured <= 3 * nodes
