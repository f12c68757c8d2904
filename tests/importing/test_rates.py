"""Rates of stochastic depth that grow with a block's place, and blocks that add their input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from xgraph.compile import analyse
from xgraph.importing.equal import differ_in_training, match
from xgraph.importing.network import of_spec
from xgraph.importing.recover import recover
from xgraph.importing.structure.inline import bound
from xgraph.importing.structure.skips import with_skips
from xgraph.importing.structure.tree import Block, Fits, Fork, Leaf, Parameter, Ref, Tree


def block(filters, rate=None, stride=1, adds=True):
    """Three layers around a shortcut, as flat items."""
    body = [
        {"conv": {"filters": filters, "kernel": 3, "stride": stride, "padding": "same"}},
        "batch_norm",
        "silu",
        {"conv": {"filters": filters, "kernel": 1}},
        "batch_norm",
    ]
    drop = [] if rate is None else [{"stochastic_depth": rate}]
    return [{"residual": [*body, *drop]}] if adds else body


def network(graph, tmp_path):
    path = tmp_path / "flat.yaml"
    graph = [{"conv": {"filters": 8, "kernel": 3}}, *graph, "global_avg_pool", {"dense": 10}]
    spec = {"xgraph": 1, "name": "flat", "input": {"shape": [32, 32, 3]}, "graph": graph}
    path.write_text(json.dumps(spec))
    return of_spec(analyse(str(path)))


def rates(one):
    return [layer.op.rate for layer in one.layers if layer.op.name == "stochastic_depth"]


def recovered(graph, tmp_path):
    """The spec, after a look at whether it is the same network in training too."""
    source = network(graph, tmp_path)
    found = recover(source, "found")
    again = of_spec(found.analysis)
    assert not match(again, source).differences
    assert not differ_in_training(again, source)
    return found, again


def test_a_rate_that_grows_is_a_formula(tmp_path):
    meant = [0.2 * k / 8 for k in range(1, 8)]
    found, again = recovered([one for rate in meant for one in block(8, rate)], tmp_path)
    assert "drop: 0.2" in found.text
    assert "{stochastic_depth: $drop * ($i + 1) / 8}" in found.text
    assert rates(again) == meant


def test_the_first_of_all_may_have_none(tmp_path):
    meant = [0.1 * k / 5 for k in range(1, 6)]
    graph = [*block(8), *(one for rate in meant for one in block(8, rate))]
    found, again = recovered(graph, tmp_path)
    assert "repeat: 6" in found.text
    assert "{stochastic_depth: $drop * $i / 5}" in found.text
    assert rates(again) == [0, *meant]


def test_one_parameter_sets_all(tmp_path):
    meant = [0.2 * k / 8 for k in range(1, 8)]
    found, _ = recovered([one for rate in meant for one in block(8, rate)], tmp_path)
    path = tmp_path / "found.yaml"
    path.write_text(found.text)
    assert rates(of_spec(analyse(str(path), ["drop=0.4"]))) == [0.4 * k / 8 for k in range(1, 8)]


def test_rates_of_float32_are_those_of_the_formula(tmp_path):
    meant = np.linspace(0, 0.1, 7, dtype=np.float32)[1:].tolist()
    found, again = recovered([one for rate in meant for one in block(8, rate)], tmp_path)
    assert "drop: 0.1" in found.text
    assert np.array_equal(np.float32(rates(again)), np.float32(meant))


@pytest.mark.parametrize(
    "meant",
    [
        [0.1, 0.1, 0.1, 0.1],
        [0.1, 0.2],
        [0.05, 0.1, 0.15, 0.2000001],
        [0.0123456, 0.0246912, 0.0370368],  # of nothing that an author would write
    ],
    ids=["equal", "two", "nearly", "odd"],
)
def test_other_rates_stay_as_they_are(meant, tmp_path):
    found, again = recovered([one for rate in meant for one in block(8, rate)], tmp_path)
    assert "drop" not in found.text
    assert rates(again) == meant


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])
def test_blocks_add_their_input_where_they_can(name):
    source = of_spec(analyse(name))
    found = recover(source, "found")
    assert "skip: $stride == 1 and $input.channels == $filters" in found.text
    assert rates(source) == [rate for rate in rates(of_spec(found.analysis)) if rate]


def tree_of(*given):
    """Calls that are added to what they are applied to; others, of these channels and strides."""
    filters, stride = Parameter(1, "channels", "filters"), Parameter(2, "stride", "stride", (1, 1))
    values = (Ref(1), (3, 3), Ref(2), "same", (1, 1), 1, True, "glorot_uniform")
    unit = Block("block.1", (filters, stride), (Leaf("conv", values), Leaf("relu")))
    added = Fork(((Leaf("block.1", (8, (1, 1)), given=8),), ()), Leaf("add"))
    others = (Leaf("block.1", (8, (step, step)), given=channels) for channels, step in given)
    return Tree((added, *others, added), {"block.1": unit})


def test_a_block_with_a_skip_takes_the_place_of_a_fork():
    ((key, tree),) = with_skips(tree_of((16, 1), (8, 2)))
    assert [(one.target, one.values) for one in tree.body] == [
        (key, (8, (1, 1))),
        (key, (8, (1, 1))),
        (key, (8, (2, 2))),
        (key, (8, (1, 1))),
    ]
    (fork,) = tree.blocks[key].body
    assert fork.skip == Fits(Ref(1), Ref(2))
    assert bound((fork,), {1: 8, 2: (1, 1), 0: 8})[0].skip is None
    assert len(bound((fork,), {1: 8, 2: (1, 1), 0: 16})) == 2
    assert len(bound((fork,), {1: 8, 2: (2, 2), 0: 8})) == 2


@pytest.mark.parametrize("channels", [8, None])
def test_what_could_add_and_does_not_is_another_block(channels):
    """Or may be, where nobody knows what it is applied to."""
    assert not list(with_skips(tree_of((16, 1), (channels, 1))))


def test_rates_in_what_is_wired_by_names_stay_numbers(tmp_path):
    """Each of these is a block of its own in the end, which sees no loop around it."""
    graph = []
    for k in range(1, 6):
        conv = {"conv": {"filters": 8, "kernel": 3, "padding": "same"}, "name": f"a{k}"}
        drop = {"stochastic_depth": 0.2 * k / 5, "name": f"d{k}"}
        both = {"add": {}, "from": [f"d{k}", f"a{k}"], "name": f"b{k}"}
        graph += [conv, {"relu": {}, "name": f"r{k}"}, drop, both]
        graph += [{"multiply": {}, "from": [f"b{k}", f"r{k}"]}]
    found, again = recovered(graph, tmp_path)
    assert "drop:" not in found.text
    assert rates(again) == pytest.approx([0.2 * k / 5 for k in range(1, 6)], abs=1e-15)
