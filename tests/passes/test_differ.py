"""What is different between two graphs, of small specs and of published ones."""

from __future__ import annotations

import itertools
import random

import pytest

from xgraph.compile import analyse
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.trees import to_yaml
from xgraph.passes.align import align
from xgraph.passes.differ import difference

KINDS = ("removed", "added", "replaced", "changed", "rewired", "resized")
SPEC = """\
xgraph: 1
name: small
input: {{shape: [8, 8, 3]}}
graph: [{items}]
"""


def analysis(items, tmp_path, name="small"):
    path = tmp_path / f"{name}.yaml"
    path.write_text(SPEC.format(items=items))
    return analyse(str(path))


def told(one, other):
    """What differs: for each kind the op, what changed, and the nodes."""
    found = difference(one, other)
    groups = {kind: [(g.op, g.changes, g.nodes) for g in getattr(found, kind)] for kind in KINDS}
    return {kind: group for kind, group in groups.items() if group}


CHANGES = [
    ("conv: 4", "conv: 4", {}),
    ("relu", "elu", {"replaced": [("relu", {"op": ("relu", "elu")}, ["relu"])]}),
    (
        "{conv: {filters: 4, kernel: 3}}, relu",
        "{conv: {filters: 4, kernel: 3, bias: false}}, relu",
        {"changed": [("conv", {"bias": (True, False)}, ["conv"])]},
    ),
    (
        "{conv: {filters: 4, kernel: 3}}, relu",
        "{conv: {filters: 5, kernel: 3}}, relu",
        {
            "changed": [("conv", {"filters": (4, 5)}, ["conv"])],
            "resized": [("conv", {"shape": ((6, 6, 4), (6, 6, 5))}, ["conv", "relu"])],
        },
    ),
    (
        "{conv: {filters: 4, kernel: 3}}, batch_norm, relu",
        "{conv: {filters: 4, kernel: 3}}, relu",
        {"removed": [("batch_norm", {}, ["batch_norm"])]},
    ),
    (
        "{conv: {filters: 4, kernel: 3}}, relu",
        "{conv: {filters: 4, kernel: 3}, name: other}, relu, tanh",
        {"added": [("tanh", {}, ["tanh"])]},
    ),
    (
        "{relu: , name: a}, {tanh: , name: b}, {sigmoid: , from: a}",
        "{relu: , name: a}, {tanh: , name: b}, {sigmoid: , from: b}",
        {"rewired": [("sigmoid", {"inputs": (["a"], ["b"])}, ["sigmoid"])]},
    ),
]


@pytest.mark.parametrize(("one", "other", "expected"), CHANGES[1:])
def test_what_is_told(one, other, expected, tmp_path):
    assert told(analysis(one, tmp_path), analysis(other, tmp_path, "other")) == expected


def test_inputs_that_differ_are_called_as_they_are(tmp_path):
    """Also those before which the two differ; what is told is the one that is another."""
    one = "{tanh: , name: a}, batch_norm, {relu: , name: x}, {sigmoid: , name: b}"
    other = "{tanh: , name: a}, {elu: , name: x}, {sigmoid: , name: b}"
    found = told(
        analysis(f"{one}, {{silu: , name: c}}, {{add: , from: [x, b]}}", tmp_path),
        analysis(f"{other}, {{silu: , name: c}}, {{add: , from: [x, c]}}", tmp_path, "other"),
    )
    assert found["rewired"] == [("add", {"inputs": (["x", "b"], ["x", "c"])}, ["add"])]


def test_inputs_of_one_name_that_get_something_else(tmp_path):
    one = (
        "{tanh: , name: a}, {silu: , name: b}, {batch_norm: , from: a}, {relu: , name: x}, sigmoid"
    )
    other = "{tanh: , name: a}, {silu: , name: b}, {elu: , name: x, from: b}, sigmoid"
    found = told(analysis(one, tmp_path), analysis(other, tmp_path, "other"))
    assert found["rewired"] == [("sigmoid", {"inputs": (["a"], ["b"])}, ["sigmoid"])]


def test_names_alone_make_no_other_network(tmp_path):
    one = analysis("{conv: {filters: 4, kernel: 3}}, relu", tmp_path)
    other = analysis("{conv: {filters: 4, kernel: 3}, name: stem}, {relu: , name: x}", tmp_path)
    found = difference(one, other)
    assert found.equal
    assert found.renamed == {"conv": "stem", "relu": "x"}
    assert found.same == 2


def test_an_output_more_is_a_difference(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(
        SPEC.format(items="relu, tanh") + "outputs: {logits: tanh, seen: {from: relu}}\n"
    )
    assert not difference(analysis("relu, tanh", tmp_path), analyse(str(path))).equal


#: Pairs of specs, and of one with settings: by how much the second has more.
PAIRS = [
    (("xception",), ("xception_slides",), 20_875_658 - 22_910_480),
    (("xception",), ("xception_no_residual",), 21_929_136 - 22_910_480),
    (("resnet50",), ("resnet50_torchvision",), 25_610_152 - 25_636_712),
    (("resnet50",), ("resnet152",), 60_419_944 - 25_636_712),
    (("inception_v3",), ("inception_v3", "bn_scale=true", "auxiliary=true"), 3_345_704),
    (("vgg16",), ("resnet50",), 25_636_712 - 138_357_544),
]


@pytest.mark.parametrize(("one", "other", "more"), PAIRS, ids=str)
def test_groups_add_up_to_the_totals(one, other, more):
    """Each node is told of once, and what all of them have more is what the networks have."""
    first, second = (analyse(spec, settings) for spec, *settings in (one, other))
    found = difference(first, second)
    groups = list(itertools.chain.from_iterable(getattr(found, kind) for kind in KINDS))
    assert sum(group.parameters for group in groups) == more
    assert sum(group.macs for group in groups) == found.totals[1].macs - found.totals[0].macs


@pytest.mark.parametrize("seed", range(12))
def test_random_specs_add_up_too(seed, tmp_path):
    """Of any two specs, and of a spec and itself; every node is in one place of the alignment."""
    paths = []
    for number in (seed, seed + 1000):
        paths.append(tmp_path / f"{number}.yaml")
        paths[-1].write_text(to_yaml(random_spec(random.Random(number).randrange(10**6))))
    one, other = (analyse(str(path)) for path in paths)
    assert difference(one, one).equal
    assert difference(one, one).same == len(one.graph.nodes) - 1
    found = difference(one, other)
    groups = [group for kind in KINDS for group in getattr(found, kind)]
    totals = found.totals[1].parameters - found.totals[0].parameters
    assert sum(group.parameters for group in groups) == totals
    made = align(one.graph, one.types, other.graph, other.types)
    mine = [*made.pairs, *made.replaced, *made.removed]
    theirs = [*made.pairs.values(), *made.replaced.values(), *made.added]
    assert sorted(mine) == list(range(len(one.graph.nodes)))
    assert sorted(theirs) == list(range(len(other.graph.nodes)))


def test_a_long_spec_takes_no_quadratic_time(tmp_path):
    """Eighty thousand nodes, with one more in the middle."""
    one, other = (
        analysis(f"{{repeat: {n}, body: [relu]}}, tanh, {{repeat: 40000, body: [elu]}}", tmp_path)
        for n in (40_000, 40_001)
    )
    found = difference(one, other)
    assert [group.nodes for group in found.added] == [["relu.40000"]]
    assert found.same == 80_001 - len(found.rewired)
