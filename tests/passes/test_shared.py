"""What passes make of weights that are shared."""

from __future__ import annotations

import pytest

from xgraph import interpreter
from xgraph.compile import analyse, prepare
from xgraph.diagnostics import SpecError
from xgraph.ir.export import to_networkx
from xgraph.passes.differ import difference
from xgraph.passes.trained import untrained_nodes
from xgraph.passes.verify import verify
from xgraph.recipe.facts import model_facts
from xgraph.report.summary import measured, summary_json, summary_text

TOP = "xgraph: 1\nname: net\ninput: {shape: [8, 8, 3]}\n"
TWICE = """
graph:
- {conv: {filters: 3, kernel: 3, padding: same}, name: c}
- {batch_norm: , name: b}
- {share: c, name: d}
- {share: b, name: e}
- [global_avg_pool, {dense: 4}]
"""


@pytest.fixture
def twice(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(TOP + TWICE)
    return analyse(str(path))


def test_names_of_weights(twice):
    verify(twice.graph)
    names = {name.partition(".")[0] for name in interpreter.weight_shapes(twice.graph, twice.types)}
    assert names == {"c", "b", "dense"}
    assert model_facts(twice).initializers.keys() == {"c.kernel", "dense.kernel"}
    assert dict(to_networkx(twice.graph).nodes(data="shares")) == {
        "input": None, "c": None, "b": None, "d": "c", "e": "b",
        "global_avg_pool": None, "dense": None,
    }  # fmt: skip


def test_the_network_is_another_one(twice, tmp_path):
    """By its digest, and as `xgraph diff` tells."""
    path = tmp_path / "apart.yaml"
    apart = TWICE.replace(
        "{share: c, name: d}", "{conv: {filters: 3, kernel: 3, padding: same}, name: d}"
    )
    path.write_text(TOP + apart.replace("{share: b, name: e}", "{batch_norm: , name: e}"))
    other = analyse(str(path))
    assert model_facts(twice).digest != model_facts(other).digest
    changed = difference(twice, other).changed
    assert [(group.nodes, group.changes, group.parameters) for group in changed] == [
        (["d"], {"shares": ("c", None)}, 84),
        (["e"], {"shares": ("b", None)}, 12),
    ]


def test_statistics_go_on_from_the_application_before(twice):
    import numpy as np

    weights = interpreter.random_weights(twice.graph, twice.types)
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 3))
    values = interpreter.run(twice.graph, images, weights, training=True)
    after = interpreter.updated_weights(twice.graph, values, weights)
    expected = weights["b.moving_mean"]
    for index in (1, 3):  # c and d, which b and e are given
        expected = 0.99 * expected + 0.01 * values[index].mean((0, 1, 2))
    assert np.allclose(after["b.moving_mean"], expected, rtol=1e-14)
    assert after.keys() == {"b.moving_mean", "b.moving_variance"}


def test_a_part_without_weights_is_not_tuned(tmp_path):
    path, recipe = tmp_path / "twice.yaml", tmp_path / "recipe.yaml"
    path.write_text(TOP + TWICE)
    recipe.write_text("xgraph_recipe: 1\nname: tuned\nextends: fashion\ntune: {freeze: [d]}\n")
    with pytest.raises(SpecError, match="no weights in 'd'"):
        prepare(str(path), recipe=str(recipe))


def test_what_training_reaches(tmp_path):
    """Weights that a loss reaches by one application; not statistics that another moves."""
    path = tmp_path / "taps.yaml"
    head = "[global_avg_pool, {dense: 4, name: logits}"
    taps = "outputs: {logits: logits, tap: d}"
    path.write_text(
        f"{TOP}graph: [{{conv: {{filters: 3, kernel: 1}}, name: c}}, {head}, "
        f"{{share: c, name: d, from: c}}]]\n{taps}\n"
    )
    assert untrained_nodes(analyse(str(path)).graph, analyse(str(path)).types) == []
    again = "{share: c, name: d, from: c}"
    path.write_text(f"{TOP}graph: [{{batch_norm: , name: c}}, {head}, {again}]]\n{taps}\n")
    found = analyse(str(path))
    assert [found.graph.nodes[k].name for k in untrained_nodes(found.graph, found.types)] == ["d"]
    with pytest.raises(SpecError, match="XG707"):
        prepare(str(path), recipe="fashion")


def test_summary(twice):
    result = measured(twice)
    rows = summary_text(result).splitlines()
    (row,) = [row for row in rows if row.startswith("d ")]
    assert row.split()[:5] == ["d", "share", "c", "8×8×3", "0"]
    assert "conv of c" in summary_text(result, flat=True)
    nodes = {node["name"]: node for node in summary_json(result)["nodes"]}
    assert (nodes["d"]["shares"], nodes["d"]["parameters"]) == ("c", 0)
    assert "shares" not in nodes["c"]
