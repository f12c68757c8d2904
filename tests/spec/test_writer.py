"""Writing: a tree becomes the text that people would have written, and the tree again."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xgraph.diagnostics import Source
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.trees import analyse_tree
from xgraph.passes.elaborate import elaborate
from xgraph.spec.formatter import laid_out
from xgraph.spec.layout import WIDTH
from xgraph.spec.loading import FORBIDDEN, load
from xgraph.spec.reader import read_program
from xgraph.spec.writer import NOTHING, spell, write

CLASSIFIER = {"dense": "$classes", "name": "classifier"}
SPEC = {
    "graph": {"stem": [{"unit": 16}, "relu"], "head": ["global_avg_pool", CLASSIFIER]},
    "sizes": {"large": {"params": {"depths": [3, 4]}, "doc": "A large one"}},
    "name": "example",
    "xgraph": 1,
    "doc": "An example",
    "params": {"depths": [1, 2], "classes": 10},
    "blocks": {
        "unit": {
            "body": [
                {
                    "shortcut": {"when": "$stride > 1", "conv": {"filters": "$filters"}},
                    "residual": [{"conv": {"filters": "$filters", "kernel": 3}}, "batch_norm"],
                },
                {"name": "act", "relu": NOTHING},
            ],
            "params": {"filters": NOTHING, "stride": 1},
        }
    },
    "input": {"shape": [32, 32, 3]},
    "defaults": {"conv": {"bias": False}, "batch_norm": {"epsilon": 1e-5}},
}
TEXT = """\
xgraph: 1
name: example
doc: An example
params: {depths: [1, 2], classes: 10}
input: {shape: [32, 32, 3]}
defaults: {conv: {bias: false}, batch_norm: {epsilon: 1.0e-5}}
blocks:
  unit:
    params: {filters, stride: 1}
    body:
    - residual: [{conv: {filters: $filters, kernel: 3}}, batch_norm]
      shortcut: {conv: {filters: $filters}, when: $stride > 1}
    - {relu, name: act}
graph:
  stem: [{unit: 16}, relu]
  head: [global_avg_pool, {dense: $classes, name: classifier}]
sizes:
  large:
    doc: A large one
    params: {depths: [3, 4]}
"""

RECIPE = {"images": {"normalize": "symmetric"}, "name": "small", "xgraph_recipe": 1, "epochs": 3}


def read(text):
    return load(Source("s.yaml", text))


def is_written_well(text):
    """It is in the canonical layout already, and no line is long that could be broken."""
    assert laid_out(Source("s.yaml", text), read(text)) == text
    return True


def network(graph):
    """A graph without the places that its parts come from."""
    nodes = [(node.name, node.op, node.inputs, node.shares) for node in graph.nodes]
    return nodes, graph.outputs


def test_a_spec_as_people_write_it():
    assert write(SPEC) == TEXT
    assert is_written_well(TEXT)


def test_a_recipe_as_people_write_it():
    text = "xgraph_recipe: 1\nname: small\nepochs: 3\nimages:\n  normalize: symmetric\n"
    assert write(RECIPE) == text


def test_what_does_not_fit_stands_on_lines_of_its_own():
    arguments = {f"argument_{n}": f"$parameter_{n}" for n in range(5)}
    assert write({"xgraph": 1, "graph": [{"unit": arguments, "name": "first"}]}) == (
        "xgraph: 1\ngraph:\n- unit:\n"
        + "".join(f"    {key}: {value}\n" for key, value in arguments.items())
        + "  name: first\n"
    )
    assert write({"a": ["word " * 9] * 3, "b": [["word"] * 20]}) == (
        "a:\n" + f'- "{"word " * 9}"\n' * 3 + "b:\n- " + "- word\n  " * 19 + "- word\n"
    )


def test_a_line_may_be_full_and_no_fuller():
    fits = {"a": ["x" * (WIDTH - len("a: [, y]")), "y"]}
    assert write(fits) == f"a: [{fits['a'][0]}, y]\n"
    fits["a"][0] += "x"
    assert write(fits) == f"a:\n- {fits['a'][0]}\n- y\n"


def test_numbers_fill_lines():
    text = write({"xgraph": 1, "params": {"flags": [True, False] * 20}})
    assert text.splitlines()[2].startswith("  flags: [true, false, true,")
    assert [len(line) <= WIDTH for line in text.splitlines()] == [True] * 5
    assert is_written_well(text)


def test_long_texts_are_folded():
    doc = " ".join(["words"] * 40)
    text = write({"xgraph": 1, "doc": doc})
    assert text.startswith("xgraph: 1\ndoc: >-\n  words words")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert read(text).plain() == {"xgraph": 1, "doc": doc}
    assert write({"doc": doc + "\n"}).startswith("doc: >\n")
    assert write({"doc": "x" * 300}) == f"doc: {'x' * 300}\n"


def test_lines_of_texts_are_kept():
    assert write({"doc": "One\ntwo\n\n three\n"}) == "doc: |\n  One\n  two\n\n   three\n"
    assert write({"doc": "One\ntwo"}) == "doc: |-\n  One\n  two\n"
    assert write({"doc": " One\ntwo"}) == 'doc: " One\\ntwo"\n'


# What some reader may take for something else than a text, or cannot read without quotes.
_WORDS = (
    *("no", "yes", "on", "off", "No", "ON", "~", "null", "NULL", "true", "False", "1e-3", "1.5"),
    *("-3", "+1", "0o7", "0x1F", "010", "1_000", "12:30", "1:2:3", ".5", ".inf", "-.INF", ".nan"),
    *("2020-01-01", "=", "<<", "-", "--", "---", "...", "?", ":", ":a", "-a", "*a", "&a", "!a"),
    *("!!str", "|a", ">a", "%a", "@a", "`a", "'a", '"a', "#a", ",a", "[a", "]a", "{a", "}a", "a,"),
    *("a]", "a}", "a?", "a=", "1234567890123456789", "9e999"),
)
_PHRASES = (
    *("", " ", "a: b", "a #b", "a ", " a", "a:", "a\tb", "a\nb", "- a", "? a", ": a", "#", "\\"),
    *("$a[0]", "max($a, 1)", "$a // 2", "not $a", 'say "so"', "it's", "both ' and \"", "é", "\xa0"),
)


@pytest.mark.parametrize("text", [*_WORDS, *_PHRASES], ids=repr)
@pytest.mark.parametrize("in_flow", [False, True])
def test_a_text_is_that_text_to_every_reader(text, in_flow):
    spelled = spell(text, in_flow)
    whole = f"{{k: [{spelled}, {spelled}], {spelled}: 1}}" if in_flow else f"k: {spelled}\n"
    expected = {"k": [text, text], text: 1} if in_flow else {"k": text}
    for found in (read(whole).plain(), yaml.safe_load(whole)):
        assert found == expected
    if in_flow:
        assert yaml.load(whole, yaml.SafeLoader) == expected


@pytest.mark.parametrize(
    ("text", "plain", "in_flow"),
    [
        ("relu", "relu", "relu"),
        ("$a * 2 + -$b", "$a * 2 + -$b", "$a * 2 + -$b"),
        ("$a if $b else 1", "$a if $b else 1", "$a if $b else 1"),
        ("$a[0]", "$a[0]", '"$a[0]"'),
        ("max($a, 1)", "max($a, 1)", '"max($a, 1)"'),
        ("On it: this", '"On it: this"', '"On it: this"'),
        ("arXiv:1610.02357", "arXiv:1610.02357", '"arXiv:1610.02357"'),
        ('"so"', "'\"so\"'", "'\"so\"'"),
        ("3×3", "3×3", "3×3"),
        ("no", '"no"', '"no"'),
        ("nothing", "nothing", "nothing"),
        ("-$a", "-$a", "-$a"),
    ],
)
def test_a_text_has_no_more_quotes_than_it_needs(text, plain, in_flow):
    assert spell(text, False) == plain
    assert spell(text, True) == in_flow


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-3, "0.001"), (1e-5, "1.0e-5"), (1.001e-5, "1.001e-5"), (1e300, "1.0e+300"),
        (0.1, "0.1"), (2.0, "2.0"), (-0.0, "-0.0"), (math.inf, ".inf"), (-math.inf, "-.inf"),
        (7, "7"), (True, "true"), (None, "null"),
    ],
)  # fmt: skip
def test_a_number_is_that_number_to_every_reader(number, text):
    assert write({"a": number}) == f"a: {text}\n"
    for found in (read(f"a: {text}").plain()["a"], yaml.safe_load(f"a: {text}")["a"]):
        assert (type(found), repr(found)) == (type(number), repr(number))


def test_not_a_number():
    assert math.isnan(read(write({"a": math.nan})).plain()["a"])


def test_nothing_and_null_are_two_things():
    assert write({"a": NOTHING, "b": None, "c": [{"d": NOTHING}]}) == "a:\nb: null\nc: [{d}]\n"
    assert write([NOTHING, 1]) == "-\n- 1\n"


def test_empty_collections():
    assert write({"a": [], "b": {}}) == "a: []\nb: {}\n"
    assert (write([]), write({})) == ("[]\n", "{}\n")


def test_long_keys():
    tree = {"k" * 2000: {"a": 1, "b": ["x"] * 60}, "l": [{"m" * 1500: 1, "n": 2}]}
    assert read(write(tree)).plain() == tree
    assert yaml.safe_load(write(tree)) == tree


@pytest.mark.parametrize("bad", ["\x00", "\x1b", "\x85", "\u2028", "\u202e", "\ud800", "\ufeff"])
def test_what_may_not_be_in_a_spec_is_refused(bad):
    for tree in ({"a": bad}, {bad: 1}, ["x", {"a": [f"x{bad}"]}]):
        with pytest.raises(ValueError, match="may not be in a spec"):
            write(tree)


def test_what_is_no_plain_value_is_refused():
    with pytest.raises(ValueError, match="at most 18 digits"):
        write({"a": 10**18})
    for bad in ({1: 2}, {"a": b"x"}, {"a": {1, 2}}, object()):
        with pytest.raises(TypeError):
            write(bad)


_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: not FORBIDDEN.search(text)
) | st.text("ab:#-?,[]{}&*!|>'\"%@` \n\t\\~$<=.0123456789", max_size=12)
_TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False)
    | _TEXTS
    | st.sampled_from(["a long text of several words " * 5, "x" * 120]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXTS, inner, max_size=5),
    max_leaves=25,
)
_KEYS = st.sampled_from(
    [
        *("xgraph", "name", "graph", "blocks", "body", "residual", "shortcut", "doc", "from"),
        *("conv", "for", "repeat", "branches", "params", "items", "sizes", "xgraph_recipe"),
    ]
)
_SPECS = st.recursive(
    _TREES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6)
)


def _ordered(tree):
    """A tree without the order of its keys, in which 1 and 1.0 and True are three things."""
    if isinstance(tree, dict):
        return {key: _ordered(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_ordered(value) for value in tree]
    return (type(tree), repr(tree))


@settings(deadline=None, max_examples=150)
@given(tree=_TREES | _SPECS)
def test_any_tree_is_itself_again(tree):
    text = write(tree)
    assert _ordered(read(text).plain()) == _ordered(tree)
    assert is_written_well(text)


@settings(deadline=None, max_examples=60)
@given(tree=_TREES)
def test_other_readers_find_the_same(tree):
    text = write(tree)
    for loader in {yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)}:
        assert _ordered(yaml.load(text, loader)) == _ordered(tree)


@pytest.mark.parametrize("seed", range(12))
def test_a_random_spec_is_the_same_network(seed):
    tree = random_spec(seed)
    text = write(tree)
    written = elaborate(read_program(read(text))).graph
    assert network(written) == network(analyse_tree(tree)[0])
    assert is_written_well(text)
