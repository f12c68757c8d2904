"""Cutting specs down."""

from __future__ import annotations

import json

from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.shrink import shrink, size
from xgraph.fuzz.trees import analyse_tree, bodies, trainable

BUDGET = 200


def strided(value, inside=False) -> bool:
    """Whether a depthwise convolution of stride 2 stands in a residual."""
    if isinstance(value, list):
        return any(strided(part, inside) for part in value)
    if not isinstance(value, dict):
        return False
    attributes = value.get("depthwise_conv")
    if inside and isinstance(attributes, dict) and attributes.get("stride") == 2:
        return True
    return any(
        strided(part, inside or key in ("residual", "shortcut")) for key, part in value.items()
    )


class Counted:
    """A `fails` that checks what it is asked about."""

    def __init__(self, fails):
        self.fails = fails
        self.asked = []

    def __call__(self, spec):
        graph, types = analyse_tree(spec)
        assert trainable(graph, types)
        text = json.dumps(spec)
        assert text not in self.asked
        self.asked.append(text)
        return self.fails(spec)


def planted(seed):
    """A spec of some 40 nodes with the construction in its middle."""
    spec = random_spec(seed)
    window = {"kernel": 3, "stride": 2, "padding": "same"}
    residual = {
        "residual": [{"depthwise_conv": {**window, "multiplier": 1}}, "batch_norm", "relu"],
        "shortcut": [{"max_pool": window}, "tanh"],
    }
    graph = spec["graph"]
    (graph if isinstance(graph, list) else bodies(spec)[0]).insert(0, residual)
    return spec


def candidates():
    """Planted specs of about 40 nodes that are legal."""
    for seed in range(400):
        measured = size(planted(seed))
        if measured is not None and 35 <= measured[0] <= 45:
            yield planted(seed)


def test_a_large_spec_becomes_a_small_one():
    found = 0
    for spec in candidates():
        fails = Counted(strided)
        before = json.dumps(spec)
        small = shrink(spec, fails, BUDGET)
        assert json.dumps(spec) == before
        assert strided(small)
        assert len(fails.asked) <= BUDGET
        assert size(small)[0] <= 6, small
        assert "blocks" not in small
        found += 1
        if found == 4:
            break
    assert found == 4


def test_loops_and_blocks_dissolve():
    spec = {
        "xgraph": 1,
        "name": "a",
        "params": {"width": 8, "unused": 3},
        "input": {"shape": [9, 9, 3]},
        "defaults": {"conv": {"padding": "same"}, "elu": {"alpha": 0.5}},
        "blocks": {
            "unit": {
                "params": {"filters": 4, "slope": 0.1},
                "body": [{"conv": {"filters": "$filters", "kernel": 3}}, {"leaky_relu": "$slope"}],
            }
        },
        "graph": [
            {"repeat": 2, "index": "i", "body": [{"unit": {"filters": "$width + $i"}}]},
            {"for": {"n": [2, 3]}, "body": [{"conv": {"filters": "$n", "kernel": 1}}, "tanh"]},
            "global_avg_pool",
            {"dense": 5},
        ],
    }
    small = shrink(spec, lambda tree: "leaky_relu" in json.dumps(tree))
    assert small["graph"] in ([{"leaky_relu": 0.1}, "global_avg_pool"], ["leaky_relu", "flatten"])
    assert small.keys() == {"xgraph", "name", "input", "graph"}
    assert small["input"]["shape"] == [1, 1, 1]


def test_what_does_not_fail_stays():
    spec = random_spec(1)
    fails = Counted(lambda tree: False)
    assert shrink(spec, fails, 30) == spec
    assert len(fails.asked) == 30
