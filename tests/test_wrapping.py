"""Broken lines mean what they meant, and fit."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgraph.wrapping import LINE, broken

NAMES = st.sampled_from(["filters", "in_channels", "expansion_of_the_block", "x", "stage"])
ATOMS = st.one_of(
    NAMES,
    st.integers(0, 10**9).map(str),
    st.text("abc ,()[]'\\", max_size=12).map(lambda text: '"' + text.replace("\\", "\\\\") + '"'),
)


def _compound(inner):
    many = st.lists(inner, min_size=1, max_size=9)
    return st.one_of(
        many.map(lambda parts: f"({', '.join(parts)},)"),
        many.map(lambda parts: f"make_divisible({', '.join(parts)})"),
        many.map(lambda parts: f"[{', '.join(parts)}]"),
        many.map(
            lambda parts: "{" + ", ".join(f'"key{k}": {p}' for k, p in enumerate(parts)) + "}"
        ),
        many.map(lambda parts: "(" + " + ".join(parts) + ")"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} and {t[2]} else {t[0]})"),
        st.tuples(inner, inner).map(lambda t: f"list({t[0]} for a, b in zip({t[1]}, x) if a)"),
        st.tuples(inner, NAMES).map(lambda t: f'{t[1]}["filters"] * ({t[0]})'),
    )


EXPRESSIONS = st.recursive(ATOMS, _compound, max_leaves=40)
STATEMENTS = st.one_of(
    EXPRESSIONS.map(lambda code: f"x = {code}"),
    EXPRESSIONS.map(lambda code: f"self.units.append({code})"),
    EXPRESSIONS.map(lambda code: f"assert {code}"),
)


def width(lines):
    return max(map(len, lines))


@settings(max_examples=300, deadline=None)
@given(STATEMENTS)
def test_any_statement(statement):
    lines = broken(statement)
    assert ast.dump(ast.parse("\n".join(lines))) == ast.dump(ast.parse(statement))


@settings(max_examples=100, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=14), st.lists(NAMES, max_size=12), EXPRESSIONS)
def test_a_loop_over_many(names, more, code):
    targets = ", ".join([*names, f"({', '.join(more)},)"] if more else names)
    lines = broken(f"for {targets} in {code}:")
    meant = ast.dump(ast.parse(f"for {targets} in {code}: pass"))
    assert ast.dump(ast.parse("\n".join([*lines, "    pass"]))) == meant
    assert width(lines[: len(names) + len(more)]) <= LINE or len(lines) < len(names)


ROW = '{"filters": 16, "stride": 1, "expansion": 1, "blocks": 1}'
TESTS = " or ".join(f"kind == {k} and width * 2 > {k}" for k in range(9))
A, B, C = "a" * 30, "b" * 30, "c" * 40
LONG = {
    "table": f"stages = ({', '.join([ROW] * 7)})",
    "loop": f"for stage in ({', '.join([ROW] * 7)}):\n    pass",
    "condition": f"if {TESTS}:\n    pass",
    "sum": f"channels = {' + '.join(f'filters_{k} * expansion' for k in range(12))}",
    "choice": f"channels = {A} if {B} else {C}",
    "comprehension": f"self.units = nn.ModuleList(Unit({A}, {B}) for unit in {C})",
    "nested": f"self.units.append(Unit({', '.join(f'one_{k}=make(1, 2, {k})' for k in range(9))}))",
    "signature": f"x = unit(x, {', '.join(f'argument_{k}=value_{k}' for k in range(9))})",
}


@pytest.mark.parametrize("name", LONG)
def test_what_is_too_long_fits(name):
    statement = LONG[name]
    first, _, rest = statement.partition("\n")
    lines = [*broken(first), *rest.splitlines()]
    assert len(lines) > 2
    assert width(lines) <= LINE
    assert ast.dump(ast.parse("\n".join(lines))) == ast.dump(ast.parse(statement))


def test_a_table():
    assert broken(f"stages = ({', '.join([ROW] * 3)})") == [
        "stages = (",
        *[f"    {ROW},"] * 3,
        ")",
    ]


def test_arguments_stay_apart():
    """A line that stands within brackets already, too long by the depth that it came to."""
    names = [f"{letter * 20}={letter * 12}" for letter in "abc"]
    line = f"        expand * in_channels, {', '.join(names)}"
    assert broken(line) == [
        "        expand * in_channels,",
        *(f"        {name}," for name in names),
    ]
