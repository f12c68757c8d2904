"""`share`: an earlier call once more, with its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.ir.analysis import Analysis
from xgraph.passes import shared
from xgraph.passes.cost import measure, total

TOP = "xgraph: 1\nname: net\ninput: {shape: [8, 8, 3]}\nparams: {yes: true, n: 2}\n"
BLOCKS = """
blocks:
  unit: {params: {filters: 3}, body: [{conv: {filters: $filters, kernel: 1}, name: c}, {share: c}]}
  normed: {body: [batch_norm, relu]}
  vector: {body: [flatten, halved]}
  halved: {body: [{channel_slice: {channels: $input.channels // 2}}]}
  counted: {body: [flatten, turned]}
  turned: {body: [{repeat: $input.channels // 10, body: [tanh]}]}
  dropping: {params: {rate: 0.5}, body: [{conv: {filters: 3, kernel: 1}}, {dropout: $rate}]}
"""
CONV = "{conv: {filters: 3, kernel: 1}, name: c}"


def network(folder: Path, graph: str) -> Analysis:
    path = folder / "spec.yaml"
    path.write_text(f"{TOP}{BLOCKS}graph: {graph}\n", encoding="utf-8")
    return analyse(str(path))


def owners(folder: Path, graph: str) -> dict[str, str | None]:
    return {node.name: node.shares for node in network(folder, graph).graph.nodes[1:]}


def test_whose_weights_they_have(tmp_path):
    assert owners(tmp_path, f"[{CONV}, relu, {{share: c}}, {{share: c, name: again}}]") == {
        "c": None, "relu": None, "c_2": "c", "again": "c",
    }  # fmt: skip


def test_of_what_is_shared_itself(tmp_path):
    assert owners(tmp_path, f"[{CONV}, {{share: c, name: d}}, {{share: d}}]")["d_2"] == "c"


def test_within_what_is_shared(tmp_path):
    """A block that shares, shared: every node has the weights of the one that was first."""
    found = owners(tmp_path, "[{unit: , name: u}, {share: u}, {repeat: 2, body: [{share: u}]}]")
    assert found == {"u.c": None} | dict.fromkeys(
        ["u.c_2", "u_2.c", "u_2.c_2", "u_3.0.c", "u_3.0.c_2", "u_3.1.c", "u_3.1.c_2"], "u.c"
    )


def test_in_a_loop_each_turn_shares_its_own(tmp_path):
    inner = "{repeat: 2, body: [{share: d}]}"
    body = f"[{{repeat: 2, body: [{CONV}, {{share: c, name: d}}, {inner}]}}]"
    found = owners(tmp_path, body)
    assert {name: found[name] for name in ("d.0", "d.1", "d_2.0.1", "d_2.1.0")} == {
        "d.0": "c.0", "d.1": "c.1", "d_2.0.1": "c.0", "d_2.1.0": "c.1",
    }  # fmt: skip


def test_weights_count_once_and_work_each_time(tmp_path):
    one, three = (
        network(tmp_path, f"[{CONV}, {more}]") for more in ("relu", "{share: c}, {share: c}")
    )
    once, thrice = (total(measure(n.graph, n.types)) for n in (one, three))
    assert (thrice.parameters, thrice.macs) == (once.parameters, 3 * once.macs)
    assert once.parameters == 12


@pytest.mark.parametrize(
    ("graph", "code", "says"),
    [
        ("[{share: c}]", "XG211", "nothing before this can be shared as 'c'"),
        (f"[{{share: c}}, {CONV}]", "XG211", "earlier call"),
        (f"[{CONV}, {{share: d}}]", "XG211", "earlier call"),
        ("[{residual: [relu], name: sum}, {share: sum}]", "XG211", "a merge, which has no weights"),
        ("[{unit: , name: u}, {share: u.c}]", "XG211", "earlier call"),
        (f"{{a: [{CONV}], b: [{{share: c}}]}}", "XG211", "of the same body"),
        ("[{unit: , doc: what to share}, share]", "XG206", "stands with what it takes: {share: …}"),
        ("[{unit: }, {share: 3}]", "XG201", "the name of an item"),
        ("[{unit: }, {share: [unit]}]", "XG201", "the name of an item"),
        ("[{unit: }, {share: unit, filters: 3}]", "XG202", "'share' has no key 'filters'"),
        ("[{unit: }, {share: unit, relu: }]", "XG202", "{relu: …} is another item"),
        (f"[{CONV}, {{share: c, name: c}}]", "XG208", "taken"),
        (f"[{{repeat: 2, body: [{CONV}]}}, {{share: c}}]", "XG212", "there may be several"),
        (f"[{{for: {{k: [1, 2]}}, body: [{CONV}]}}, {{share: c}}]", "XG212", "several"),
        (f"[{CONV[:-1]}, when: $yes}}, {{share: c}}]", "XG212", "or none"),
        (f"[{{if: $yes, then: [{CONV}], else: [{{share: c}}]}}]", "XG212", "or none"),
        (
            f"[{{branches: {{repeat: 2, body: [{CONV}]}}, merge: add}}, {{share: c}}]",
            "XG212",
            "several",
        ),
        (
            f"[{{branches: [{{body: [{CONV}], when: $yes}}, []], merge: add}}, {{share: c}}]",
            "XG212",
            "or none",
        ),
        (
            f"[{{residual: [relu], shortcut: [{CONV}], skip: $yes}}, {{share: c}}]",
            "XG212",
            "or none",
        ),
        ("[{conv: {filters: 4, kernel: 1}}, {share: conv}]", "XG509", "an image of 3 channels"),
        ("[{dense: 3, from: input}, {share: dense}]", "XG502", "dense"),
        (f"[{CONV}, global_avg_pool, {{share: c}}]", "XG509", "a vector of 3 channels"),
        ("[{add: , from: [input, input]}, {share: add}]", "XG503", "'add' takes 2 inputs"),
        ("[{position_embedding: , name: p}, {max_pool: 2}, {share: p}]", "XG509", "4×4×3"),
        (
            "[{batch_norm: , name: b}, {share: b, from: input, name: d}, {add: , from: [b, d]}]",
            "XG510",
            "whether 'd' or 'b' is computed first",
        ),
        (
            "[{normed: , name: b}, {share: b, from: input, name: d}, {add: , from: [b, d]}]",
            "XG510",
            "whether 'd' or 'b.batch_norm'",
        ),
        (
            "[{vector: , name: v}, {max_pool: 2, from: input}, {share: v}]",
            "XG509",
            "'v' would be made of other ops here",
        ),
        (
            "[{max_pool: 2}, {counted: , name: v}, {share: v, from: input}]",
            "XG509",
            "how many channels a flattened image has",
        ),
        ("[{dropping: , name: b}, {share: b}]", "XG510", "shares the masks of 'b.dropout'"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared(tmp_path, graph, code, says):
    with pytest.raises(SpecError) as error:
        network(tmp_path, graph)
    (found,) = error.value.diagnostics
    assert found.code == code
    assert says in str(error.value)
    assert found.span is not None
    assert "share" in found.span.source.line(found.span.line)


def test_in_the_same_branch_of_a_condition(tmp_path):
    found = owners(tmp_path, f"[{{if: $yes, then: [{CONV}, {{share: c}}], else: [relu]}}]")
    assert found == {"c": None, "c_2": "c"}


def test_masks_of_rate_0_are_none(tmp_path):
    assert "b_2.dropout" in owners(tmp_path, "[{dropping: 0, name: b}, {share: b}]")


def test_order_by_a_long_way_round(tmp_path):
    graph = (
        "[{batch_norm: , name: b}, {residual: [{conv: {filters: 3, kernel: 1}}, relu]}, {share: b}]"
    )
    assert owners(tmp_path, graph)["b_2"] == "b"


def test_two_loops_of_one_alias_are_two(tmp_path):
    """YAML's aliases are one node in memory."""
    graph = f"[&turns {{repeat: 2, body: [{CONV}, {{share: c, name: d}}]}}, relu]"
    assert owners(tmp_path, graph)["d.1"] == "c.1"


def test_a_million_applications(tmp_path):
    """Of a chain, each is held to the one before, and no other."""
    network(tmp_path, "[{batch_norm: , name: b}, {repeat: 20000, body: [{share: b}]}]")


@pytest.mark.parametrize("source", ["", ", from: input"])
def test_many_that_are_each_shared_once(tmp_path, source):
    """From each first application to the second the way is long, and leads past all others."""
    first = [f"{{batch_norm: , name: b{n}{source}}}" for n in range(2000)]
    between = f"{{add: , from: [{', '.join(f'b{n}' for n in range(2000))}]}}"
    again = [f"{{share: b{n}}}" for n in range(2000)]
    network(tmp_path, f"[{', '.join([*first, between, *again])}]")


def test_stale_applications_are_forgotten(tmp_path):
    """More applications than are kept in mind at a time, and after them one out of order."""
    chain = "[{batch_norm: , name: b}, {repeat: 3000, body: [{share: b}]}, {batch_norm: , name: c}"
    network(tmp_path, f"{chain}, {{share: c}}, {{share: b}}]")
    with pytest.raises(SpecError, match="whether 'late' or 'b_3' is computed first"):
        network(tmp_path, f"{chain}, {{share: b}}, {{share: b, from: c, name: late}}]")


def test_too_much_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "_ROOM", 1000)
    items = [f"{{batch_norm: , name: b{n}, from: input}}" for n in range(100)]
    items += [f"{{add: , from: [{', '.join(f'b{n}' for n in range(100))}]}}"]
    with pytest.raises(SpecError, match="too much is shared to tell"):
        network(tmp_path, f"[{', '.join([*items, *(f'{{share: b{n}}}' for n in range(100))])}]")
