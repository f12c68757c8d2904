"""What random specs are: legal, trainable, small, of every size, and together the language."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
import yaml

from xgraph import ops
from xgraph.compile import analyse
from xgraph.fuzz import collisions
from xgraph.fuzz.flow import MOST_ELEMENTS
from xgraph.fuzz.generate import FEWEST_NODES, MOST_NODES, random_spec
from xgraph.fuzz.trees import (
    analyse_tree,
    bodies,
    is_branch,
    is_loop,
    paths,
    target_of,
    to_yaml,
    trainable,
)
from xgraph.passes.cost import measure, total

SEEDS = range(300)


@pytest.fixture(scope="module")
def specs():
    return [random_spec(seed) for seed in range(25)]


def digest(spec) -> str:
    return hashlib.sha256(json.dumps(spec).encode()).hexdigest()[:16]


def test_three_hundred_seeds():
    """One test, so that one process draws them once."""
    specs = [random_spec(seed) for seed in SEEDS]
    graphs = [analyse_tree(spec) for spec in specs]
    assert len({digest(spec) for spec in specs}) == len(specs)
    all_are_trainable_and_small(graphs)
    sizes_are_spread(graphs)
    every_op_appears_often(graphs)
    every_structure_appears_often(specs, graphs)
    inputs_are_odd_and_even_and_small(graphs)


def all_are_trainable_and_small(graphs):
    for graph, types in graphs:
        assert trainable(graph, types)
        cost = total(measure(graph, types))
        assert cost.parameters < 60_000
        assert max(one.elements for one in types) <= MOST_ELEMENTS


def test_the_text_is_the_tree(specs, tmp_path):
    for number, spec in enumerate(specs):
        path = tmp_path / "spec.yaml"
        path.write_text(to_yaml(spec) if number % 2 else json.dumps(spec))
        nodes = analyse_tree(spec)[0].nodes
        read = analyse(str(path)).graph.nodes
        assert [(n.name, n.op, n.inputs) for n in read] == [(n.name, n.op, n.inputs) for n in nodes]


def sizes_are_spread(graphs):
    sizes = [len(graph.nodes) - 1 for graph, _ in graphs]
    assert FEWEST_NODES <= min(sizes) <= 8
    assert 57 <= max(sizes) <= MOST_NODES
    for low, high in pairwise(range(FEWEST_NODES, MOST_NODES + 1, 11)):
        assert sum(low <= size < high for size in sizes) >= 0.12 * len(sizes)


def every_op_appears_often(graphs):
    seen = Counter(node.op.name for graph, _ in graphs for node in graph.nodes[1:])
    assert {name: seen[name] for name in ops.names() if seen[name] < 25} == {}


def features(spec, graph) -> set[str]:
    """What a spec uses of the language, and its ops of their attributes."""
    found = set()
    items = [item for body in bodies(spec) for item in body]
    for item in items:
        if isinstance(item, dict):
            found |= {key for key in ("repeat", "for", "residual", "branches", "if") if key in item}
            found |= {key for key in ("shortcut", "when", "from", "index") if key in item}
            found |= {f"merge {item['merge']}"} if "merge" in item else set()
            branches = item.get("branches")
            if isinstance(branches, dict):
                found.add("branches by a loop" if is_loop(branches) else "named branches")
            found |= {"conditional branch"} if any(map(is_branch, paths(branches))) else set()
            found |= {f"{key} {name}" for key in ("from",) for name in ("input",)
                      if name in item.get(key, ())}  # fmt: skip
    for name, block in spec.get("blocks", {}).items():
        calls = [item for item in items if target_of(item) == name]
        if len({json.dumps(call[name]) if isinstance(call, dict) else "" for call in calls}) > 1:
            found.add("block called differently")
        found |= {"block with inputs"} if "inputs" in block else set()
        found |= {"block with results"} if "results" in block else set()
    for node in graph.nodes[1:]:
        op = node.op
        window = getattr(op, "stride", None) or (1, 1)
        found |= {"unequal strides"} if window[0] != window[1] else set()
        found |= {"stride 3"} if 3 in window else set()
        found |= {"groups"} if getattr(op, "groups", 1) > 1 else set()
        found |= {"multiplier"} if getattr(op, "multiplier", 1) > 1 else set()
        found |= {"dilation"} if max(getattr(op, "dilation", (1, 1))) > 1 else set()
        kernel = getattr(op, "kernel", (1, 1))
        found |= {"unequal kernel"} if kernel[0] != kernel[1] else set()
        padding = getattr(op, "padding", None)
        found.add(f"padding {padding}" if isinstance(padding, str) else "padding explicit")
        if op.name == "batch_norm":
            found |= {f"scale {op.scale}, center {op.center}", f"momentum {op.momentum}"}
        found.add(f"initializer {getattr(op, 'kernel_initializer', '')}")
    outputs = graph.outputs
    found |= {"several outputs"} if len(outputs) > 1 else set()
    found |= {"auxiliary"} if any(one.loss_weight for one in outputs[1:]) else set()
    found |= {"tap"} if any(one.loss_weight is None for one in outputs[1:]) else set()
    found |= {"sections"} if isinstance(spec["graph"], dict) else {"one list"}
    return found | {key for key in ("params", "defaults", "blocks") if key in spec}


def every_structure_appears_often(specs, graphs):
    seen = Counter(
        one for spec, (graph, _) in zip(specs, graphs, strict=True) for one in features(spec, graph)
    )
    wanted = """repeat|for|residual|branches|if|shortcut|when|from|index|merge add|merge concat
        merge multiply|named branches|branches by a loop|conditional branch|block called differently
        block with inputs|block with results|unequal strides
        stride 3|groups|multiplier|dilation|unequal kernel|padding same|padding valid
        padding explicit|scale False, center False|scale True, center False|momentum 0.5
        several outputs|auxiliary|tap|sections|one list|params|defaults|blocks
        initializer he_normal|initializer truncated_normal(0.1)|from input"""
    words = [word.strip() for line in wanted.splitlines() for word in line.split("|")]
    assert {word: seen[word] for word in words if seen[word] < 5} == {}


def inputs_are_odd_and_even_and_small(graphs):
    shapes = [types[0].shape for _, types in graphs]
    assert {height for height, _, _ in shapes} == set(range(5, 25))
    assert {height == width for height, width, _ in shapes} == {True, False}
    assert {channels for _, _, channels in shapes} == {1, 3, 4}


def test_a_seed_is_a_spec(specs):
    assert [random_spec(seed) for seed in (7, 3, 7)] == [specs[7], specs[3], specs[7]]


def test_names_collide(specs):
    """Parameters are called like other things in the spec, and like words of the programs."""
    found = Counter()
    for spec in [*specs, *(random_spec(seed) for seed in range(25, 60))]:
        own = set(collisions.parameters(spec))
        found["a word"] += bool(own & set(collisions.WORDS))
        found["another thing"] += bool(own & collisions.others(spec))
    assert found["a word"] >= 10, found
    assert found["another thing"] >= 5, found


def test_hashes_do_not_matter():
    code = (
        "import json; from xgraph.fuzz.generate import random_spec; "
        "print(json.dumps([random_spec(s) for s in range(4)]))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(filter(None, sys.path))},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(texts) == 1


def test_generating_imports_no_framework():
    code = (
        "import sys; import xgraph.fuzz.run as run; run.random_spec(0); "
        "print([name for name in ('numpy', 'torch', 'keras', 'jax') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_text_reads_as_any_yaml(specs):
    for spec in specs:
        assert yaml.safe_load(to_yaml(spec)) == spec
