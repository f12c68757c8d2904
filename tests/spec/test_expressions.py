"""Expressions: values, refusals with exact places, hostile texts, and their Python."""

from __future__ import annotations

import ast
import math
import time
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgraph.diagnostics import Source, Span, SpecError
from xgraph.ir.document import Mapping
from xgraph.spec import expressions
from xgraph.spec.expressions import MAX_LENGTH, make_divisible
from xgraph.spec.loading import load

ENVIRONMENT = {
    "n": 5,
    "filters": 64,
    "width": 1.4,
    "act": "relu",
    "flag": False,
    "none": None,
    "pair": [3, 7],
    "nested": [[1, 2], {"a": "x"}],
    "settings": {"filters": 24, "inner": {"stride": 2}},
    "zero": 0,
    "big": 2**53,
    "huge": 10**400,
    "inf": math.inf,
    "nan": math.nan,
}


def parse(text):
    return expressions.parse(text, Span(Source("s.yaml", text), 1, 1, len(text)))


def value(text):
    return expressions.evaluate(parse(text), ENVIRONMENT)


def problem(text):
    with pytest.raises(SpecError) as caught:
        value(text)
    (one,) = caught.value.diagnostics
    return one


def same(got, expected):
    return type(got) is type(expected) and got == expected


# --- values ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$filters", 64), ("  $filters ", 64), ("$filters * 2", 128), ("max($filters, 8)", 64),
        ("min(3, $n, 4.5)", 3), ("$n // 4 + 1", 2), ("$n / 2", 2.5), ("6 / 2", 3.0),
        ("$n % 3", 2), ("-$n % 3", 1), ("-7 // 2", -4), ("$n ** 2", 25), ("2 ** -1", 0.5),
        ("2 ** 53", 2**53), ("-2 ** 2", -4), ("(1 + 2) * 3", 9), ("--$n", 5), ("1.5e3", 1500.0),
        ("$act == 'relu' and not $flag", True), ('$act != "relu"', False), ("1 < $n <= 5", True),
        ("1 < $n < 3", False), ("$act in ['relu', 'gelu']", True), ("$n not in [1, 2]", True),
        ("$n in $pair", False), ("1 == $n == 'x'", False), ("$none == null", True),
        ("true or $unknown", True), ("false and $unknown", False), ("True", True), ("None", None),
        ("1 if $flag else 'b'", "b"), ("1 if true else 1 / 0", 1), ("[1, $n, 'a']", [1, 5, "a"]),
        ("round($width * 10)", 14), ("round(2.5)", 2), ("round(1.25, 1)", 1.2),
        ("round(17, -1)", 20),
        ("ceil($width)", 2), ("floor(-0.5)", -1), ("abs(-3)", 3), ("len($pair)", 2), ("len([])", 0),
        ("make_divisible($filters * $width, 8)", 88), ("make_divisible(10)", 16),
        ("make_divisible(3, 4, 12)", 12), ("$settings.filters", 24), ("$settings.inner.stride", 2),
        ("$pair[0]", 3), ("$pair[-1]", 7), ("$pair[$n - 4]", 7), ("$nested[1].a", "x"),
        ("$nested[0][1]", 2), ("'a' 'b'", "ab"), ("$act == 'é' or $n == 5", True),
        ("$settings", ENVIRONMENT["settings"]),
        ("1\n + 2", 3), ("'$n'", "$n"), ("$flag == false", True), ("0.1 + 0.2", 0.1 + 0.2),
    ],
)  # fmt: skip
def test_values(text, expected):
    assert same(value(text), expected)


@pytest.mark.parametrize(
    ("filters", "expected"),  # MobileNet v1 and v2 at several widths, by TF-Slim
    [(32 * 0.35, 16), (32 * 0.5, 16), (24 * 0.75, 24), (16 * 1.4, 24), (96 * 1.3, 128), (1, 8)],
)
def test_make_divisible(filters, expected):
    assert make_divisible(filters, 8) == expected


def test_is_expression():
    assert expressions.is_expression("a $b")
    assert not expressions.is_expression("max(1, 2)")


def test_names_and_functions():
    one = parse("max($a, 8) + $b.c * ($d if '$e' == 'x' else round(ceil($a)))")
    assert expressions.names(one) == {"a", "b", "d"}
    assert expressions.functions(one) == {"max", "round", "ceil"}


# --- refusals ---


@pytest.mark.parametrize(
    ("text", "code", "column", "length"),
    [
        # Not well formed.
        ("$", "XG301", 1, 1), ("$n +", "XG301", 4, 1), ("$n $n", "XG301", None, None),
        ("($n", "XG301", 1, 1), ("$n)", "XG301", 3, 1), ("[$n)", "XG301", 4, 1),
        ("'a", "XG301", 1, 1), ("$n + 'a", "XG301", 6, 1), ("", "XG301", 1, 1),
        ("$n$n", "XG301", 3, 2),
        ("2$n", "XG301", 2, 2), ("$1", "XG301", 1, 2), ("$Filters", "XG301", 1, 8),
        ("$n + $_x", "XG301", 6, 3), ("$né", "XG301", 3, 1), ("ｎ + $n", "XG301", 1, 1),
        ("$n\x00", "XG301", 3, 1), ("$n + 1_000", "XG301", 7, 4), ("0x10", "XG301", 2, 3),
        ("010", "XG301", None, None), ("1j", "XG301", 2, 1), ("1if $n else 2", "XG301", 2, 2),
        ("9" * 19, "XG301", 1, 19), ("1e999", "XG301", 1, 5), ("'''a'''", "XG301", 3, 3),
        # Not of the language.
        ("filters * 2", "XG301", 1, 7), ("$n = 3", "XG301", 4, 1), ("$n is 5", "XG301", 4, 2),
        ("$n & 1", "XG301", 4, 1), ("~$n", "XG301", 1, 1), ("$n << 2", "XG301", 1, 7),
        ("+$n", "XG301", 1, 3), ("$n @ $n", "XG301", 4, 1), ("(y := $n)", "XG301", 2 + 2, 1),
        ("lambda: $n", "XG301", 1, 6), ("[x for x in $pair]", "XG301", 4, 3),
        ("{$n}", "XG301", 1, 1),
        ("{'a': $n}", "XG301", 1, 1), ("f'{$n}'", "XG301", 2, 6), ("b'a' + $n", "XG301", 2, 3),
        ("$n, 2", "XG301", 1, 5), ("...", "XG301", 1, 3), ("$pair[0:1]", "XG301", 8, 1),
        ("$pair[0, 1]", "XG301", 7, 4), ("'abc'[0] + $act", "XG301", 1, 8),
        ("$act == 'a\\n'", "XG301", 11, 1),
        ("await $n", "XG301", 1, 5), ("$n # c", "XG301", 4, 1), ("$n; 1", "XG301", 3, 1),
        ("*$pair", "XG301", 1, None), ("`$n`", "XG301", 1, 1), ("$settings.$n", "XG301", 1, 12),
        # Functions.
        ("int($n)", "XG301", 1, 3), ("max", "XG301", 1, 3), ("max($n)", "XG301", 1, 7),
        ("len($pair, 1)", "XG301", 1, 13), ("max(*$pair, 1)", "XG301", 5, 6),
        ("max(**$settings)", "XG301", 1, 16), ("$f(1)", "XG301", 1, 2), ("$a.b(1)", "XG301", 1, 4),
        ("round()", "XG301", 1, 7), ("true(1)", "XG301", 1, 4),
        # Hostile.
        ("__import__('os')", "XG301", 1, 10), ("(1).__class__", "XG301", 5, 9),
        ("$n.__class__", "XG301", 4, 9), ("$act.format", "XG303", 1, 4),
        ("eval('$n')", "XG301", 1, 4),
        ("().x", "XG301", 1, 4), ("print($n)", "XG301", 1, 5), ("$act.upper()", "XG301", 1, 10),
        # Parameters.
        ("$filtres * 2", "XG302", 1, 8), ("1 + $x", "XG302", 5, 2),
        ("'é漢😀' == $x", "XG302", 10, 2),
        # Types.
        ("1 + 'a'", "XG303", 5, 3), ("'a' * 2", "XG303", 1, 3), ("$act + $act", "XG303", 1, 4),
        ("'a' * 10**9", "XG303", 1, 3), ("$flag + 1", "XG303", 1, 5), ("-$act", "XG303", 2, 4),
        ("not $n", "XG303", 5, 2), ("$n and true", "XG303", 1, 2), ("true and 'x'", "XG303", 10, 3),
        ("1 if $n else 2", "XG303", 6, 2), ("$act < 'z'", "XG303", 1, 4),
        ("1 < true", "XG303", 5, 4),
        ("'r' in $act", "XG303", 8, 4), ("$none + 1", "XG303", 1, 5), ("[1] + [2]", "XG303", 1, 3),
        ("max('a', 1)", "XG303", 5, 3), ("len($act)", "XG303", 5, 4),
        ("len($settings)", "XG303", 5, 9),
        ("$pair[2]", "XG303", 7, 1), ("$pair[-3]", "XG303", 7, 2), ("$pair[1.0]", "XG303", 7, 3),
        ("$pair[true]", "XG303", 7, 4), ("$act[0]", "XG303", 1, 4),
        ("$settings['filters']", "XG303", 1, 9),
        ("$settings.filtres", "XG303", 1, 17), ("$pair.x", "XG303", 1, 5),
        ("round(1.5, 0.5)", "XG303", 12, 3),
        ("make_divisible(8, 2.0)", "XG303", 19, 3), ("make_divisible(8, -8)", "XG303", 19, 2),
        ("'é' == $act or 1", "XG303", 16, 1),
        # Bounds.
        ("$big + 1", "XG304", 1, 8), ("2 ** 54", "XG304", 1, 7), ("2 ** 65", "XG304", 6, 2),
        ("10**10**10", "XG304", 5, 6), ("$n + 9 ** 9 ** 9", "XG304", 11, 6),
        ("0.5 ** -64", "XG304", 1, 10), ("(-8) ** 0.5", "XG304", 1, 11),
        ("1 / 1e-300", "XG304", 1, 10),
        ("1 // 1e-320", "XG304", 1, 11), ("$huge", "XG304", 1, 5), ("1 - $inf", "XG304", 5, 4),
        ("$nan > 1", "XG304", 1, 4), ("1e300", "XG304", 1, 5), ("round(1.5, 99)", "XG304", 12, 2),
        ("99999999999999999", "XG304", 1, 17),
        # Zero.
        ("1 / $zero", "XG305", 5, 5), ("1 // 0", "XG305", 6, 1), ("1 % 0.0", "XG305", 5, 3),
        ("0 ** -1", "XG305", 1, 7), ("make_divisible(8, 0)", "XG305", 19, 1),
        ("1 / (2 - 2)", "XG305", 6, 5),
    ],
)  # fmt: skip
def test_refusals(text, code, column, length):
    one = problem(text)
    assert one.code == code
    if column is not None:
        assert (one.span.line, one.span.column) == (1, column)
    if length is not None:
        assert one.span.length == length


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("filters * 2", "write $filters"),
        ("$filtres", "did you mean 'filters'?"),
        ("int($n)", "floor(…) and make_divisible(…) give integers"),
        ("maxx($n, 1)", "did you mean 'max'?"),
        ("$n = 3", "'=='"),
        ("${n}", "without braces"),
        ("$settings.filtres", "did you mean 'filters'?"),
    ],
)
def test_hints(text, part):
    assert part in problem(text).hint


def test_messages_name_what_came():
    assert problem("1 + 'a'").message == "'+' needs numbers, received the text 'a'"
    assert problem("not 3").message == "'not' needs true or false, received the number 3"
    assert problem("$x").expected.startswith("one of act, ")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: $x + 1\n", "1:4+2"),
        ("é: 1 + $x\n", "1:8+2"),
        ("a: '1 + $x'\n", "1:9+2"),
        ('a: "1 + $x"\n', "1:9+2"),
        ("a: {b: [2, $x]}\n", "1:12+2"),
        # What the line does not show as it is: the whole scalar.
        ("a: '''b'' == $x'\n", "1:4+13"),
        ("a: 1 +\n  $x\n", "1:4+3"),
        ("a: |\n  1 + $x\n", "1:4+1"),
        ("a: $x +\n  1\n", "1:4+2"),
    ],
)
def test_places_in_a_file(text, place):
    document = load(Source("s.yaml", text))
    assert isinstance(document, Mapping)
    scalar = document.entries[0].value
    if text.startswith("a: {"):
        scalar = scalar.entries[0].value.items[1]
    with pytest.raises(SpecError) as caught:
        expressions.evaluate(expressions.parse(scalar.value, scalar.span), {})
    span = caught.value.diagnostics[0].span
    assert f"{span.line}:{span.column}+{span.length}" == place


# --- hostile ---


@pytest.mark.parametrize(
    "text",
    ["(" * 250 + ")" * 250, "(" * 500, "[" * 500, "-" * 499 + "1", "not " * 120 + "true",
     "$a+" * 165 + "$a", "max(1," * 80, "2**" * 160 + "2", "$p" + "[0]" * 160,
     "$p" + ".a" * 200, "((" * 32 + "$a", "max(" * 31 + "$a" + ",", "$" * 500, "'" * 499,
      "$a\n" * 160,
     "[" * 33 + "]" * 33, "a" * 501, " " * 600],
)  # fmt: skip
def test_deep_and_long(text):
    start = time.process_time()
    assert problem(text).code == "XG301"
    assert time.process_time() - start < 0.5


def test_depth_and_length_that_are_allowed():
    assert value("(" * 32 + "1" + ")" * 32) == 1
    assert value("1+" * 63 + "1") == 64
    assert value("1" + " " * (MAX_LENGTH - 1)) == 1
    assert problem("1" + " " * MAX_LENGTH).received == "501 characters"


def test_a_power_is_refused_before_it_is_computed():
    start = time.process_time()
    for text in ("10**10**10", "9**9**9**9", "$big ** 64", "(2**53) ** (2**5)", "-$big ** 63"):
        assert problem(text).code == "XG304"
    assert time.process_time() - start < 0.5


def test_nothing_is_printed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in (
            "'\\d'",
            "1is 2",
            "1 is 1",
            "0xfor 1",
            "1or 2",
            "'a'('b')",
            "[1][1,2]",
            "1[0]",
            "1()",
        ):
            assert problem(text).code == "XG301"


# --- Python ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a * 2", "args.a * 2"), ("((($a + 1)) * 2)", "(args.a + 1) * 2"),
        ("ceil($a) + floor($b)", "math.ceil(args.a) + math.floor(args.b)"),
        ("make_divisible($a * $b, 8)", "make_divisible(args.a * args.b, 8)"),
        ("$a == null or not true", "args.a == None or not True"), ("$a.b[0]", "args.a['b'][0]"),
        ('$a in ["x", "$y"]', "args.a in ('x', '$y')"), ("1 if $a else 2", "1 if args.a else 2"),
        ("-$a ** 2", "-args.a ** 2"), ("(-$a) ** 2", "(-args.a) ** 2"),
        ("$a == 'it' \"'s\"", "args.a == \"it's\""),
    ],
)  # fmt: skip
def test_to_python(text, expected):
    assert expressions.to_python(parse(text), lambda name: f"args.{name}") == expected


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        ("$a if $b else 1", {"b": True}, "a"),
        ("2 * ($a if $b else 1 if $c else 3)", {"b": False, "c": False}, "2 * 3"),
        ("$a if $b == 'x' and not $c else 1", {"b": "x", "c": False}, "a"),
        ("$a if $b else 1", {"a": 7}, "a if b else 1"),
        ("1 if true else $a", {}, "1"),
        ("$a if $b else 1", {"b": 3}, "a if b else 1"),  # no truth value: not asked where it stands
    ],
)
def test_conditions_that_are_decided_are_folded(text, known, expected):
    one = parse(text)
    before = ast.dump(one.tree)
    assert expressions.to_python(expressions.folded(one, known), str) == expected
    assert ast.dump(one.tree) == before


def test_to_python_keeps_precedence_of_what_stands_for_a_parameter():
    one = parse("$a * 2 + $b")
    assert expressions.to_python(one, {"a": "x + 1", "b": "-3"}.__getitem__) == "(x + 1) * 2 + -3"
    assert expressions.to_python(one, str) == "a * 2 + b"  # and the tree is as it was
    assert isinstance(one.tree, ast.BinOp)


numbers = st.one_of(
    st.integers(0, 99).map(str),
    st.sampled_from(["0.5", "1e-3", "2.", ".25", "$n", "$filters", "$width", "$zero", "$pair[1]"]),
)


def compound(inner):
    pair = st.tuples(inner, inner)
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%", "**"])
    orders = st.sampled_from(["<", "<=", "==", "!=", ">", ">="])
    calls = st.sampled_from(["min", "max"])
    unary = st.sampled_from(["round", "ceil", "floor", "abs", "make_divisible"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, operators, inner),
        st.builds("{} {} {}".format, inner, operators, inner),
        st.builds("-{}".format, inner),
        st.builds("{}({}, {})".format, calls, inner, inner),
        st.builds("{}({})".format, unary, inner),
        st.builds("({} if {} {} {} else {})".format, inner, inner, orders, inner, inner),
        pair.map(lambda two: f"({two[0]} if {two[1]} in [1, 2.0] or not $flag else 3)"),
    )


@settings(max_examples=300, deadline=None)
@given(st.recursive(numbers, compound, max_leaves=8))
def test_python_computes_the_same(text):
    try:
        one = parse(text)
        expected = expressions.evaluate(one, ENVIRONMENT)
    except SpecError:
        return
    source = expressions.to_python(one, lambda name: f"p[{name!r}]")
    got = eval(source, {"math": math, "make_divisible": make_divisible, "p": ENVIRONMENT})
    assert same(got, expected)


tokens = st.lists(
    st.sampled_from(
        ["$n", "$act", "$pair", "$settings", "$x", "n", "1", "2.5", "'a'", "(", ")", "[", "]",
         ",", ".",
         "+", "-", "*", "/", "//", "%", "**", "<", "==", "in", "not", "and", "or", "if", "else",
          " ",
         "max", "round", "len", "make_divisible", "true", "null", "is", "lambda", ":", "=", "é",
          "'", "\n"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.text(max_size=30), tokens, st.text("$abn19.e+-*/%()[]<>=!'\" ,", max_size=30)))
def test_nothing_but_spec_errors_on_any_text(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            one = parse(text)
            expressions.names(one)
            expressions.functions(one)
            expressions.to_python(one, str)
            expressions.evaluate(one, ENVIRONMENT)
        except SpecError as error:
            (found,) = error.diagnostics
            assert found.code in ("XG301", "XG302", "XG303", "XG304", "XG305")
