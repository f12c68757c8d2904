"""Items by name: a variant is the spec that one would have written in one piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from xgraph.compile import analyse
from xgraph.diagnostics import SpecError

HEAD = "xgraph: 1\nname: example\n"
SHAPE = "input: {shape: [8, 8, 4]}\n"


def nodes(folder: Path, *texts: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """The flat graph of a chain of specs, the first of which extends nothing."""
    for number, text in enumerate(texts):
        extends = f"extends: s{number - 1}.yaml\n" if number else SHAPE
        (folder / f"s{number}.yaml").write_text(HEAD + extends + text, encoding="utf-8")
    graph = analyse(str(folder / f"s{len(texts) - 1}.yaml")).graph
    names = [node.name for node in graph.nodes]
    return [(n.name, repr(n.op), tuple(names[i] for i in n.inputs)) for n in graph.nodes]


def problems(folder: Path, *texts: str) -> list[tuple[str, str, int, int]]:
    with pytest.raises(SpecError) as caught:
        nodes(folder, *texts)
    return [
        (one.code, Path(one.span.source.path).name, one.span.line, one.span.column)
        for one in caught.value.diagnostics
        if one.span is not None
    ]


#: A body in which something is called `act`; what is laid over it; what is meant.
BODIES = {
    "in a row": (
        "[tanh, {relu: , name: act}, sigmoid]",
        "elu",
        "[tanh, {elu: , name: act}, sigmoid]",
    ),
    "alone": ("{relu: , name: act}", "elu", "{elu: , name: act}"),
    "in a list within": ("[tanh, [[{relu: , name: act}]]]", "elu", "[tanh, {elu: , name: act}]"),
    "with arguments": ("[{relu: , name: act}]", "{elu: 0.5}", "[{elu: 0.5, name: act}]"),
    "with modifiers": (
        "[{tanh: , name: a}, sigmoid, {relu: , name: act}]",
        "{elu: , from: a, doc: another}",
        "[{tanh: , name: a}, sigmoid, {elu: , name: act, from: a}]",
    ),
    "by one of another name": ("[{relu: , name: act}]", "{elu: , name: b}", "[{elu: , name: b}]"),
    "by several": (
        "[{relu: , name: act}, tanh]",
        "[elu, {silu: , name: act}]",
        "[elu, {silu: , name: act}, tanh]",
    ),
    "by a structure": (
        "[{relu: , name: act}, tanh]",
        "{repeat: 2, body: elu}",
        "[{repeat: 2, body: elu}, tanh]",
    ),
    "by a residual": (
        "[tanh, {relu: , name: act}]",
        "{residual: elu}",
        "[tanh, {residual: elu, name: act}]",
    ),
    "a residual": (
        "[{residual: [relu, {tanh: , name: t}], name: act}]",
        "elu",
        "[{elu: , name: act}]",
    ),
    "taken out": ("[tanh, {relu: , name: act}, sigmoid]", "null", "[tanh, sigmoid]"),
    "taken out by nothing": ("[tanh, {relu: , name: act}]", "", "[tanh]"),
    "taken out by an empty list": ("[tanh, {relu: , name: act}]", "[]", "[tanh]"),
    "in a repeat": (
        "[{repeat: 2, body: [tanh, {relu: , name: act}]}]",
        "elu",
        "[{repeat: 2, body: [tanh, {elu: , name: act}]}]",
    ),
    "in a for": (
        "[{for: {name: [1, 2]}, body: [{elu: $name, name: act}]}]",
        "{leaky_relu: 0.1 * $name}",
        "[{for: {name: [1, 2]}, body: [{leaky_relu: 0.1 * $name, name: act}]}]",
    ),
    "in a residual": (
        "[{residual: {relu: , name: act}, shortcut: tanh}]",
        "[elu, silu]",
        "[{residual: [elu, silu], shortcut: tanh}]",
    ),
    "in a shortcut": (
        "[{residual: tanh, shortcut: {relu: , name: act}}]",
        "null",
        "[{residual: tanh, shortcut: []}]",
    ),
    "in both arms": (
        "[{if: true, then: {relu: , name: act}, else: [tanh, {silu: , name: act}]}]",
        "elu",
        "[{if: true, then: {elu: , name: act}, else: [tanh, {elu: , name: act}]}]",
    ),
    "in a branch": (
        "[{branches: [{relu: , name: act}, tanh], merge: add}]",
        "[elu, silu]",
        "[{branches: [[elu, silu], tanh], merge: add}]",
    ),
    "a branch taken out": (
        "[{branches: [{relu: , name: act}, tanh], merge: add}]",
        "null",
        "[{branches: [[], tanh], merge: add}]",
    ),
    "in a named branch": (
        "[{branches: {a: [{relu: , name: act}], b: {body: tanh, when: true}}, merge: add}]",
        "elu",
        "[{branches: {a: [{elu: , name: act}], b: {body: tanh, when: true}}, merge: add}]",
    ),
    "in a branch with a condition": (
        "[{branches: [tanh, {body: {relu: , name: act}, when: true}], merge: add}]",
        "elu",
        "[{branches: [tanh, {body: {elu: , name: act}, when: true}], merge: add}]",
    ),
    "in a loop of branches": (
        "[{branches: {for: {body: [1, 2]}, body: [{elu: $body, name: act}]}, merge: add}]",
        "{elu: $body + 1}",
        "[{branches: {for: {body: [1, 2]}, body: [{elu: $body + 1, name: act}]}, merge: add}]",
    ),
    "a merge": (
        "[{branches: [relu, tanh], merge: {add: , name: act}}]",
        "concat",
        "[{branches: [relu, tanh], merge: {concat: , name: act}}]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("place", ["block", "section", "list"])
@pytest.mark.parametrize("name", BODIES)
def test_a_variant_is_the_spec_in_one_piece(name, place, tmp_path):
    below, laid, meant = BODIES[name]
    if place == "list" and not below.startswith("["):
        below, meant = f"[{below}]", f"[{meant}]"
    text = {
        "block": "blocks: {{unit: {{body: {}}}}}\ngraph: {{s: [unit, unit], t: [relu]}}",
        "section": "graph: {{s: {{body: {}}}, t: [relu]}}",
        "list": "graph: {}",
    }[place]
    over = {
        "block": f"blocks: {{unit: {{items: {{act: {laid}}}}}}}",
        "section": f"graph: {{s: {{items: {{act: {laid}}}}}}}",
        "list": f"graph: {{items: {{act: {laid}}}}}",
    }[place]
    assert nodes(tmp_path, text.format(below), over) == nodes(tmp_path, text.format(meant))


UNIT = """\
blocks:
  unit:
    params: {rate, slope: 0.5}
    body: [{elu: $slope, name: act}, {dropout: $rate, name: drop}, relu]
graph: {s: [{unit: 0.1}], t: [tanh, {unit: 0.2}]}
"""


def test_what_is_said_beside_items_replaces_and_parameters_merge(tmp_path):
    over = """\
blocks: {unit: {params: {slope: 0.25, more: 2}, items: {drop: {elu: $more}}}}
graph: {t: {when: false, items: {}}}
"""
    meant = """\
blocks:
  unit:
    params: {rate, slope: 0.25, more: 2}
    body: [{elu: $slope, name: act}, {elu: $more, name: drop}, relu]
graph: {s: [{unit: 0.1}], t: {when: false, body: [tanh, {unit: 0.2}]}}
"""
    assert nodes(tmp_path, UNIT, over) == nodes(tmp_path, meant)


def test_each_of_a_chain_finds_what_is_laid_below(tmp_path):
    first = "blocks: {unit: {items: {act: [{silu: , name: new}], drop: null}}}"
    second = "blocks: {unit: {items: {new: tanh}}}"
    found = [name for name, _, _ in nodes(tmp_path, UNIT, first, second)]
    assert found == ["input", "s.unit.new", "s.unit.relu", "t.tanh", "t.unit.new", "t.unit.relu"]


def test_a_section_may_be_called_items(tmp_path):
    """A list, or what has a body, is a section; a mapping of items is not."""
    for section in ("[tanh]", "{body: [tanh]}"):
        found = nodes(tmp_path, "graph: [{relu: , name: body}]", f"graph: {{items: {section}}}")
        assert [name for name, _, _ in found] == ["input", "items.tanh"]
    found = nodes(
        tmp_path, "graph: {items: [{relu: , name: act}]}", "graph: {items: {items: {act: elu}}}"
    )
    assert [name for name, _, _ in found] == ["input", "items.act"]


@pytest.mark.parametrize(("over", "expected"), [
    ("blocks: {unit: {items: {atc: elu}}}", [("XG805", 4, 25)]),
    ("blocks: {unit: {items: {relu: elu}}}", [("XG805", 4, 25)]),
    ("blocks: {untt: {items: {act: elu}}}", [("XG805", 4, 10)]),
    ("graph: {u: {items: {act: elu}}}", [("XG805", 4, 9)]),
    ("graph: {s: {items: {a: elu, b: elu}}}\nblocks: {unit: {items: {c: elu}}}",
     [("XG805", 4, 21), ("XG805", 4, 29), ("XG805", 5, 25)]),
    ("blocks: {unit: {items: [act]}}", [("XG201", 4, 24)]),
    ("blocks: {unit: {items: {act: elu}, body: [relu]}}", [("XG202", 4, 36)]),
    ("blocks: {unit: {items: {act: elu}, bodi: [relu]}}", [("XG202", 4, 36)]),
    ("blocks: {unit: {items: {act: 5}}}", [("XG201", 4, 30)]),
    ("blocks: {unit: {items: {act: {elu: , tanh: }}}}", [("XG207", 4, 38)]),
    ("blocks: {unit: {items: {act: {elu: , name: drop}}}}", [("XG208", 1, 1)]),
])  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(over, expected, tmp_path):
    found = problems(tmp_path, UNIT, over)
    if expected[0][0] == "XG208":  # of two that have one name, the one below comes second
        assert [code for code, *_ in found] == ["XG208"]
        return
    assert found == [(code, "s1.yaml", line, column) for code, line, column in expected]


def test_hints(tmp_path):
    def hint(over):
        with pytest.raises(SpecError) as caught:
            nodes(tmp_path, UNIT, over)
        return caught.value.diagnostics[0].hint

    assert hint("blocks: {unit: {items: {atc: elu}}}") == "did you mean 'act'?"
    assert hint("blocks: {untt: {items: {act: elu}}}") == "did you mean 'unit'?"
    found = hint("blocks: {unit: {items: {relu: elu}}}")
    assert found == "items are found by their 'name': {relu: …, name: …} there"


def test_hints_at_what_has_no_items(tmp_path):
    """A branch, and a graph of sections."""
    below = "graph: {s: [{branches: {left: relu, right: [{elu: , name: act}]}, merge: add}]}"
    with pytest.raises(SpecError) as caught:
        nodes(tmp_path, below, "graph: {s: {items: {left: tanh}}}")
    assert (
        caught.value.diagnostics[0].hint == "this is a branch; its items are found by their 'name'"
    )
    with pytest.raises(SpecError) as caught:
        nodes(tmp_path, below, "graph: {items: {act: tanh}}")
    assert "{SECTION: {items: …}}" in caught.value.diagnostics[0].hint
    with pytest.raises(SpecError) as caught:
        nodes(tmp_path, below, "graph: {s: [{items: {act: tanh}}]}")
    assert "in place of the body" in caught.value.diagnostics[0].hint


#: What is laid over, and what it leaves out that a spec below still names.
LEFT_OUT = {
    "an item": ("blocks: {unit: {items: {act: null}}}", "act"),
    "several for one": ("blocks: {unit: {items: {act: [tanh, elu]}}}", "act"),
    "one of another name": ("blocks: {unit: {items: {act: {elu: , name: b}}}}", "act"),
    "what has no name": ("blocks: {unit: {items: {act: {repeat: 2, body: elu}}}}", "act"),
    "what is shared": ("blocks: {unit: {items: {first: null}}}", "first"),
    "an item of a section": ("graph: {s: {items: {stem: null}}}", "stem"),
    "a section": ("graph: {s: null}", "s"),
    "a block": ("blocks: {unit: null}", "unit"),
}


@pytest.mark.parametrize("chain", [1, 2])
@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_referred_to_what_is_gone_is_an_error_there(case, chain, tmp_path):
    """And the error tells where it was left out, however many specs are laid over that."""
    over, name = LEFT_OUT[case]
    below = (
        "blocks: {unit: {body: [{conv: {filters: 4, kernel: 1}, name: first}, "
        "{relu: , name: act}, {share: first, name: again}, {add: , from: [act, again]}]}}\n"
        "graph: {s: [{tanh: , name: stem}, relu], t: [unit], u: [{add: , from: [s.stem, t]}]}"
    )
    nodes(tmp_path, below)
    with pytest.raises(SpecError) as caught:
        nodes(tmp_path, below, over, *["doc: more"] * (chain - 1))
    problem = caught.value.diagnostics[0]
    assert (problem.code, problem.span.source.path[-7:]) in {
        (code, "s0.yaml") for code in ("XG206", "XG211")
    }
    [(said, place)] = problem.notes
    assert said == f"'{name}' is left out here"
    line = place.source.line(place.line)
    assert (place.source.path[-7:], line) == ("s1.yaml", over)
    assert line[place.column - 1 :].startswith(name)


def test_what_is_nowhere_was_not_left_out(tmp_path):
    with pytest.raises(SpecError) as caught:
        nodes(tmp_path, "graph: {s: [relu], t: [{add: , from: [s, r]}]}", "graph: {s: null}")
    notes = {p.span.source.line(p.span.line)[p.span.column - 1 :][:1]: p.notes
             for p in caught.value.diagnostics}  # fmt: skip
    assert notes["r"] == ()


@pytest.mark.parametrize(("below", "over"), [
    ("graph: {s: BODY, t: [relu]}", "graph: {s: {items: {act: null, HERE: null}}}"),
    ("graph: {s: {body: BODY}, t: [relu]}", "graph: {s: {items: {act: [], HERE: []}}}"),
    ("graph: BODY", "graph: {items: {act: null, HERE: null}}"),
    ("graph: {s: [relu, {repeat: 2, body: BODY}]}", "graph: {s: {items: {act: , HERE: }}}"),
    ("graph: [{for: {k: [1]}, body: BODY}]", "graph: {items: {act: null, HERE: null}}"),
    ("graph: [{branches: {repeat: 2, body: BODY}, merge: add}]",
     "graph: {items: {HERE: null, act: null}}"),
    ("blocks: {unit: {body: BODY}}\ngraph: [unit]",
     "blocks: {unit: {items: {HERE: null, act: null}}}"),
])  # fmt: skip
def test_a_body_that_is_left_empty_is_so_where_its_last_item_is_left_out(below, over, tmp_path):
    """Not in the file below, where it is not empty."""
    expected = [("XG203", "s1.yaml", 4, over.index("HERE") + 1)]
    below = below.replace("BODY", "[{relu: , name: act}, {tanh: , name: t}]")
    assert problems(tmp_path, below, over.replace("HERE", "t")) == expected


@pytest.mark.parametrize("text", [
    "blocks: {unit: {items: {act: elu}}}\ngraph: [relu]",
    "graph: {s: {items: {act: elu}}}",
])  # fmt: skip
def test_nothing_is_extended(text, tmp_path):
    assert [code for code, *_ in problems(tmp_path, text)] == ["XG805"]


@pytest.mark.parametrize("below", [
    "blocks: {unit: null}", "blocks: {unit: 5}", "blocks: {unit: [relu]}", "blocks: {unit: {}}",
    "blocks: {unit: {body: null}}", "blocks: {unit: {body: {name: b}}}", "blocks: [unit]",
    "blocks: {unit: {body: [{name: [act]}, {name: 5}, 7, null, {branches: 5}, {merge: {}}]}}",
    "blocks: {unit: {body: [{for: 5, body: {name: act}}, {branches: {for: 1}, name: 1}]}}",
])  # fmt: skip
def test_below_is_no_spec_at_all(below, tmp_path):
    for laid in ("elu", "null", "[elu]", "{for: 5}", "5"):
        over = f"blocks: {{unit: {{items: {{act: {laid}}}}}}}\ngraph: [unit]"
        assert problems(tmp_path, below, over)


def test_items_nest_no_deeper_than_a_file(tmp_path):
    def deep(levels, inner):
        return "{residual: " * levels + inner + "}" * levels

    below = f"blocks: {{unit: {{body: [{deep(50, '{relu: , name: act}')}]}}}}\ngraph: [unit]"
    assert nodes(tmp_path, below, f"blocks: {{unit: {{items: {{act: {deep(9, 'elu')}}}}}}}")
    over = f"blocks: {{unit: {{items: {{act: {deep(10, 'elu')}}}}}}}"
    assert [code for code, *_ in problems(tmp_path, below, over)] == ["XG107"]


def test_a_name_that_stands_often_does_not_multiply_what_is_put_in(tmp_path):
    below = "graph: [" + "{relu: , name: act}, " * 5_000 + "relu]"
    over = "graph: {items: {act: [" + "elu, " * 5_000 + "elu]}}"
    assert [code for code, *_ in problems(tmp_path, below, over)] == ["XG108"]


def test_texts_of_names_are_shown_and_no_more(tmp_path):
    over = f'blocks: {{unit: {{items: {{"x; import os": elu, "": elu, {"n" * 500}: elu}}}}}}'
    with pytest.raises(SpecError) as caught:
        nodes(tmp_path, UNIT, over)
    assert max(len(one.message) for one in caught.value.diagnostics) < 200
    assert [one.code for one in caught.value.diagnostics] == ["XG805"] * 3
