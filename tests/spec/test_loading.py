"""Loading: values, exact positions, and each bound under hostile text."""

from __future__ import annotations

import math
import os
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from xgraph.diagnostics import Source, SpecError
from xgraph.ir.document import Mapping, Scalar, Sequence
from xgraph.spec.loading import MAX_BYTES, MAX_DEPTH, MAX_NODES, load, read
from xgraph.spec.scalars import resolve


def of(text):
    return load(Source("s.yaml", text))


def problems(text):
    with pytest.raises(SpecError) as caught:
        of(text)
    return caught.value.diagnostics


def found(text):
    """`CODE line:column+length` of each problem."""
    return [
        f"{one.code} {one.span.line}:{one.span.column}+{one.span.length}" for one in problems(text)
    ]


def spans(node, prefix=""):
    """Every position in a tree by path: keys as `a?`, values as `a`."""
    span = node.span
    out = {prefix or ".": f"{span.line}:{span.column}+{span.length}"}
    if isinstance(node, Mapping):
        for entry in node:
            path = f"{prefix}.{entry.key}"
            span = entry.key_span
            out[path + "?"] = f"{span.line}:{span.column}+{span.length}"
            out |= spans(entry.value, path)
    elif isinstance(node, Sequence):
        for index, item in enumerate(node.items):
            out |= spans(item, f"{prefix}[{index}]")
    return out


# --- scalars ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, None) for text in ("", "~", "null", "Null", "NULL")],
        *[(text, True) for text in ("true", "True", "TRUE")],
        *[(text, False) for text in ("false", "False", "FALSE")],
        ("0", 0), ("-0", 0), ("+12", 12), ("010", 10), ("0o17", 15), ("0x1F", 31),
        ("999999999999999999", 10**18 - 1), ("-999999999999999999", 1 - 10**18),
        ("0" * 30 + "7", 7), ("0o" + "0" * 30 + "7", 7), ("0xDE0B6B3A763FFFF", 10**18 - 1),
        ("1e-3", 1e-3), ("1E5", 1e5), ("1.", 1.0), (".5", 0.5), ("-.5e+2", -50.0),
        ("1e-999", 0.0), (".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf),
        *[(text, text) for text in (
            "no", "yes", "on", "off", "y", "n", "nULL", "tRUE", "1_000", "12:30", "1:2:3", "1x1",
            "0x", "0o8", "-0x1", "+0o7", "e5", ".e5", "1e", "--1", "+", "-", ".", "inf", "nan",
            ".iNF", "+.nan", "2001-01-01", "<<", "=", "١٢", "1 2", "1\n",
        )],
    ],
)  # fmt: skip
def test_plain_scalars_follow_the_core_schema(text, value):
    got = resolve(text, quoted=False)
    assert (got, type(got)) == (value, type(value))
    assert resolve(text, quoted=True) == text


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_nan(text):
    assert math.isnan(resolve(text, quoted=False))


@pytest.mark.parametrize(
    "text",
    ["1000000000000000000", "-" + "9" * 19, "0xDE0B6B3A7640000", "0o" + "7" * 21, "9" * 10**6,
     "0x" + "f" * 10**6, "1e999", "-1e999", "9" * 400 + ".0"],
)  # fmt: skip
def test_numbers_too_large(text):
    with pytest.raises(SpecError, match="XG112"):
        resolve(text, quoted=False)


# --- values and positions ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1\nb: [x, 'no', no]\n", {"a": 1, "b": ["x", "no", "no"]}),
        ("'1'", "1"),
        ("~", None),
        ("null", None),
        ("''", ""),
        ("[]", []),
        ("{}", {}),
        ("{a, b: }", {"a": None, "b": None}),
        ("- - 1\n  - 2\n-\n", [[1, 2], None]),
        ("a: |\n  x\n  y\nb: >-\n  x\n  y\n", {"a": "x\ny\n", "b": "x y"}),
        ("yes: 1\nno: 2\non: 3\n", {"yes": 1, "no": 2, "on": 3}),
        ("'1': a\n", {"1": "a"}),
        ("base: &b {x: 1}\nuse: {<<: *b, y: 2}\n", {"base": {"x": 1}, "use": {"<<": {"x": 1},
         "y": 2}}),
        ("a: &k key\n*k : 1\n", {"a": "key", "key": 1}),
        ("a: &x 1\nb: &x 2\nc: *x\n", {"a": 1, "b": 2, "c": 2}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
        ("a: 1\r\nb:\r\n  - c\r\n", {"a": 1, "b": ["c"]}),
        ("a: 1\rb: 2\r", {"a": 1, "b": 2}),
        ("\ufeffa: 1\n", {"a": 1}),
        ('a: "\\u00e9\\t\\n"', {"a": "é\t\n"}),
        ("a: 2001-01-01\nb: 0b1\n", {"a": "2001-01-01", "b": "0b1"}),
        ("a: $n * 2", {"a": "$n * 2"}),
    ],
)  # fmt: skip
def test_values(parser, text, value):
    assert of(text).plain() == value


def test_quoted_marks_every_style_but_plain(parser):
    tree = of("- a\n- 'a'\n- \"a\"\n- |\n  a\n- >\n  a\n")
    assert [item.quoted for item in tree.items] == [False, True, True, True, True]


def test_an_alias_is_the_anchored_node(parser):
    tree = of("a: &x [1, 2]\nb: *x\n")
    assert tree.get("a") is tree.get("b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: 12\nbb:   'x y'\n",
            {".": "1:1+1", ".a?": "1:1+1", ".a": "1:4+2", ".bb?": "2:1+2", ".bb": "2:7+5"},
        ),
        (
            "# c\n\nlist:\n  - one\n  - k: v\n    l: w\n",
            {".": "3:1+1", ".list?": "3:1+4", ".list": "4:3+1", ".list[0]": "4:5+3",
             ".list[1]": "5:5+1", ".list[1].k?": "5:5+1", ".list[1].k": "5:8+1",
             ".list[1].l?": "6:5+1", ".list[1].l": "6:8+1"},
        ),
        ("a:\n- 1\n", {".": "1:1+1", ".a?": "1:1+1", ".a": "2:1+1", ".a[0]": "2:3+1"}),
        (
            "a: {b: [c]}",
            {".": "1:1+1", ".a?": "1:1+1", ".a": "1:4+1", ".a.b?": "1:5+1", ".a.b": "1:8+1",
             ".a.b[0]": "1:9+1"},
        ),
        ("[a: 1]", {".": "1:1+1", "[0]": "1:2+1", "[0].a?": "1:2+1", "[0].a": "1:5+1"}),
        ("a:\nb: c\n", {".": "1:1+1", ".a?": "1:1+1", ".a": "1:3+0", ".b?": "2:1+1",
         ".b": "2:4+1"}),
        # Characters, not bytes and not UTF-16 units.
        (
            "{é: 1, 漢字: ü, 😀k: '😀', z: 2}",
            {".": "1:1+1", ".é?": "1:2+1", ".é": "1:5+1", ".漢字?": "1:8+2", ".漢字": "1:12+1",
             ".😀k?": "1:15+2", ".😀k": "1:19+3", ".z?": "1:24+1", ".z": "1:27+1"},
        ),
        ("\ufeffa: 1\nb: 2\n", {".": "1:2+1", ".a?": "1:2+1", ".a": "1:5+1", ".b?": "2:1+1",
         ".b": "2:4+1"}),
        ("a: 1\r\nb: 2\r\n", {".": "1:1+1", ".a?": "1:1+1", ".a": "1:4+1", ".b?": "2:1+1",
         ".b": "2:4+1"}),
        # Anchors are before the node, not part of it.
        (
            "a: &x  1\nb: &y\n  c: 1\nd: &z # note\n\n  - 1\n&k e: &w {f: *x}\n",
            {".": "1:1+1", ".a?": "1:1+1", ".a": "1:8+1", ".b?": "2:1+1", ".b": "3:3+1",
             ".b.c?": "3:3+1", ".b.c": "3:6+1", ".d?": "4:1+1", ".d": "6:3+1", ".d[0]": "6:5+1",
             ".e?": "7:4+1", ".e": "7:10+1", ".e.f?": "7:11+1", ".e.f": "1:8+1"},
        ),
        ("&k a: 1\n", {".": "1:4+1", ".a?": "1:4+1", ".a": "1:7+1"}),
        ("? a\n: b\n", {".": "1:3+1", ".a?": "1:3+1", ".a": "2:3+1"}),
        # A scalar of several lines: as much as its first line shows.
        (
            "a: one  \n  two\nb: 'x\n  y'\nc: |2-  # note\n  t\n",
            {".": "1:1+1", ".a?": "1:1+1", ".a": "1:4+3", ".b?": "3:1+1", ".b": "3:4+2",
             ".c?": "5:1+1", ".c": "5:4+3"},
        ),
    ],
)  # fmt: skip
def test_positions(parser, text, expected):
    assert spans(of(text)) == expected


def test_the_line_shown_is_the_line_meant():
    # A form feed and U+2028 split lines for str.splitlines, but not for YAML or an editor.
    source = Source("s", "a\x0cb\u2028c\r\nsecond\rthird\nfourth")
    lines = [source.line(number) for number in range(7)]
    assert lines == ["", "a\x0cb\u2028c", "second", "third", "fourth", "", ""]


# --- problems ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # XG103
        ("a: \x00", ["XG103 1:4+1"]),
        ("a: 1\r\nb: \x07", ["XG103 2:4+1"]),
        ("a: 1\n# x\u2028b: 2", ["XG103 2:4+1"]),
        ("é\x85: 1", ["XG103 1:2+1"]),
        ("a: \ufeff1", ["XG103 1:4+1"]),
        ("\ufeffa: \x0b", ["XG103 1:5+1"]),
        ("a: \ud800", ["XG103 1:4+1"]),
        ('a: "\\0"', ["XG103 1:4+4"]),
        # XG104
        ("a:\n\tb: 1\n", ["XG104 2:1+1"]),
        ("a:\n  - b\n \t- c\n", ["XG104 3:2+1"]),
        ("a: 'x\nb: 1\n", ["XG104 1:4+1"]),
        ('é: "x\n', ["XG104 1:4+1"]),
        ("a: [1, 2\n", ["XG104 1:4+1"]),
        ("a: {b: 1\n\n# end\n", ["XG104 1:4+1"]),
        ("[1, 2}", ["XG104 1:6+1"]),
        ("a: [1\nb: 2\n", ["XG104 2:2+1"]),
        ("- [\n- [\n", ["XG104 2:1+1"]),
        ("a: b: c", ["XG104 1:5+1"]),
        ("a: 1\n b: 2\n", ["XG104 2:3+1"]),
        ("a: @x", ["XG104 1:4+1"]),
        ("- a: 1\n  b: 2\n c: 3\n", ["XG104 3:2+1"]),
        ("b: 1\nabc\nd: 2\n", ["XG104 2:1+1"]),
        ("a: 1\n- b\n", ["XG104 2:1+1"]),
        ("a: *", ["XG104 1:5+1"]),
        ("%YAML 1.1\n---\na: 1\n", ["XG104 1:1+9"]),
        # XG105
        ("{a: 1, b: 2, a: 3, 'b': 4}", ["XG105 1:14+1", "XG105 1:20+3"]),
        ("x:\n  k: 1\n  k: 1\n", ["XG105 3:3+1"]),
        ("a: &k key\nkey: 1\n*k : 1\n", ["XG105 3:1+2"]),
        # XG106
        ("a: !!int 3", ["XG106 1:4+5"]),
        ("a: &x !foo b", ["XG106 1:7+4"]),
        ("a: !foo &x b", ["XG106 1:4+4"]),
        ("a: ! b", ["XG106 1:4+1"]),
        ("[!!python/object/apply:os.system [ls]]", ["XG106 1:2+31"]),
        ("!<tag:yaml.org,2002:str> k: 1", ["XG106 1:1+24"]),
        ("a: !b!c d", ["XG106 1:4+4"]),
        ("# c\n%TAG ! tag:x,2000:\n---\na: 1\n", ["XG106 2:1+18"]),
        # XG109
        ("a: *b", ["XG109 1:4+2"]),
        ("a: &x [1, *x]", ["XG109 1:11+2"]),
        ("&r\na: *r\n", ["XG109 2:4+2"]),
        ("a: *late\nb: &late 1\n", ["XG109 1:4+5"]),
        # XG110
        ("", ["XG110 1:1+1"]),
        ("# only a comment\n", ["XG110 1:1+1"]),
        ("---\n", ["XG110 1:1+1"]),
        ("a: 1\n---\nb: 2\n", ["XG110 2:1+3"]),
        # XG111
        ("{1: a, null: b, true: c, 1.5: d, ~: e}",
         ["XG111 1:2+1", "XG111 1:8+4", "XG111 1:17+4", "XG111 1:26+3", "XG111 1:34+1"]),
        ("? [a]\n: 1\n", ["XG111 1:3+1"]),
        ("{{a: b}: 1}", ["XG111 1:2+1"]),
        ("?\n: 1\n", ["XG111 1:2+0"]),
        ("a: &x [1]\n*x : 2\n", ["XG111 2:1+2"]),
        # XG112
        ("a: 1e999\nb: 12345678901234567890\n", ["XG112 1:4+5", "XG112 2:4+20"]),
        ("12345678901234567890: a\n", ["XG112 1:1+20"]),
        # All at once, with the syntax error that ends the reading.
        ("a: !x 1\na: 2\n3: 4\nb: *c\nd: 'e\n",
         ["XG106 1:4+2", "XG105 2:1+1", "XG111 3:1+1", "XG109 4:4+2", "XG104 5:4+1"]),
    ],
)  # fmt: skip
def test_problems(parser, text, expected):
    assert found(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a:\n\tb: 1\n", "spaces"),
        ("a: 'x\n", "close the text with '"),
        ("a: [1\n", "']'"),
        ("a: @x", "quote"),
        ("a: {b: 1, 3: x}", "quote it: '3'"),
        ("a: &base 1\nb: *bse\n", "did you mean 'base'?"),
    ],
)
def test_hints(text, hint):
    assert hint in problems(text)[0].hint


def test_a_duplicate_key_shows_both_places():
    (problem,) = problems("name: a\nb: 1\nname: c\n")
    ((_, first),) = problem.notes
    assert (first.line, first.column, first.length) == (1, 1, 4)
    assert " 1 | name: a" in str(SpecError(problem))


def test_the_number_of_problems_is_bounded():
    assert len(problems("a: 1\n" * 1000)) == 20


# --- bounds ---


def quickly(text, code, seconds):
    start = time.process_time()
    assert problems(text)[-1].code == code
    assert time.process_time() - start < seconds


def nested(levels):
    return "[" * levels + "]" * levels


def test_depth(parser):
    of(nested(MAX_DEPTH))
    assert found(nested(MAX_DEPTH + 1)) == [f"XG107 1:{MAX_DEPTH + 1}+1"]
    assert found("".join(" " * i + "k:\n" for i in range(70))) == ["XG107 65:65+1"]


def test_depth_counts_through_aliases(parser):
    text = f"a: &a {nested(40)}\nb: {'[' * 30}*a{']' * 30}\n"
    assert found(text) == ["XG107 2:34+2"]
    chain = "".join(f"- &a{i} [*a{i - 1}]\n" for i in range(1, 1000))
    assert found("- &a0 [x]\n" + chain)[0].startswith("XG107 64:")
    of(f"a: &a {nested(33)}\nb: {'[' * 30}*a{']' * 30}\n")


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_nesting_bombs(parser, text):
    quickly(text, "XG107", 1)


class GivesUp(yaml.SafeLoader):
    """A parser with a limit of its own, as newer releases of libyaml have one of 1,000 levels."""

    def fetch_flow_collection_start(self, token):
        if self.flow_level >= 70:
            mark = self.get_mark()
            raise yaml.scanner.ScannerError("while counting", mark, "that is too much", mark)
        super().fetch_flow_collection_start(token)


def test_depth_is_not_the_parsers_to_judge(monkeypatch):
    monkeypatch.setattr(yaml, "CSafeLoader", GivesUp, raising=False)
    of(nested(MAX_DEPTH))
    for before in ("", "a: ", "- - ", "x:\n  [b, "):
        wanted = found(before + nested(MAX_DEPTH + 1))  # the parser has not given up yet
        assert wanted[0].startswith("XG107 ")
        assert found(before + nested(100)) == found(before + "[" * 100) == wanted


def test_an_error_below_the_limit_is_not_about_depth(parser):
    assert found("[" * MAX_DEPTH + "}")[0].startswith("XG104")
    assert found("[" * (MAX_DEPTH + 1) + "}") == [f"XG107 1:{MAX_DEPTH + 1}+1"]


def laughs(form):
    lines = [form.format(i=i, body=", ".join([f"*a{i - 1}"] * 10)) for i in range(1, 40)]
    return "a0: &a0 lol\n" + "".join(lines)


@pytest.mark.parametrize("form", ["a{i}: &a{i} [{body}]\n", "a{i}: &a{i} {{x: [{body}]}}\n"])
def test_billion_laughs(form):
    quickly(laughs(form), "XG108", 0.1)


def test_size():
    half = MAX_NODES // 2
    # A list, `half` items, and as many again by the alias: over the limit by the two lists.
    items = ", ".join(["1"] * (half - 2))
    of(f"[&a [{items}], *a]")
    quickly(f"[&a [{items}], *a, 1, 2, 3, 4]", "XG108", 10)
    quickly("- a\n" * (MAX_NODES + 1), "XG108", 10)


@pytest.mark.parametrize(
    "unit",
    ["[", "{", "]", "- ", "? ", ": ", "&a ", "*a ", "!", "!a ", '"', "'", "|", "#", "a: ", "a: 1\n",
     "%", "a\n", "[a, ", ",", "[]", "\n", "\t", "\r", "&a\n", " -\n", "a:\n ", '"\\\n', "---\n",
      "é"],
)  # fmt: skip
def test_four_megabytes_of_junk_end_soon(unit):
    text = unit * (MAX_BYTES // len(unit.encode()))
    start = time.process_time()
    message = ""
    try:
        of(text)
    except SpecError as error:
        message = str(error)
    assert time.process_time() - start < 8
    assert len(message) < 20_000


def test_a_text_over_the_limit():
    assert [one.code for one in problems("a" * (MAX_BYTES + 1))] == ["XG102"]


# --- files ---


def unread(path, shown_as="spec.yaml"):
    with pytest.raises(SpecError) as caught:
        read(path, shown_as)
    (problem,) = caught.value.diagnostics
    return problem


def test_read(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_bytes("\ufeffa: é\r\n".encode())
    source = read(path, "shown.yaml")
    assert (source.path, source.text) == ("shown.yaml", "a: é\r\n")


def test_missing_file_names_close_ones(tmp_path):
    (tmp_path / "resnet50.yaml").touch()
    problem = unread(tmp_path / "resent50.yaml")
    assert (problem.code, problem.span) == ("XG101", None)
    assert problem.hint == "did you mean 'resnet50.yaml'?"
    assert unread(tmp_path / "no" / "folder.yaml").code == "XG101"


def test_what_is_not_a_file(tmp_path):
    assert "folder" in unread(tmp_path).message
    os.mkfifo(tmp_path / "pipe")
    assert "regular" in unread(tmp_path / "pipe").message  # and does not wait for a writer
    assert unread(tmp_path / "a\0b").code == "XG101"
    assert "\x1b" not in unread(tmp_path / "x", "\x1b[31m").message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "spec.yaml"
    path.touch(mode=0)
    assert unread(path).code == "XG101"


def test_file_size(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_bytes(b"#" * MAX_BYTES)
    read(path, "spec.yaml")
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    assert unread(path).code == "XG102"


@pytest.mark.parametrize(
    ("data", "place", "hint"),
    [
        ("a: 1\r\né: ".encode() + b"\xe9\n", (2, 4), "UTF-8"),
        ("a: 1".encode("utf-16"), (1, 1), "UTF-16"),
        (b"a: \xed\xa0\x80", (1, 4), "UTF-8"),
    ],
)
def test_not_utf8(tmp_path, data, place, hint):
    path = tmp_path / "spec.yaml"
    path.write_bytes(data)
    problem = unread(path)
    assert problem.code == "XG103"
    assert (problem.span.line, problem.span.column) == place
    assert hint in problem.hint


# --- anything ---

yaml_like = st.text(st.sampled_from("ab1 \n\t:-?[]{},&*!|>'\"#%@`~<.é\r\\$"), max_size=60)


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=40), yaml_like))
def test_load_raises_nothing_but_spec_errors(text):
    for pure in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if pure:
                patch.delattr(yaml, "CSafeLoader", raising=False)
            try:
                tree = of(text)
            except SpecError as error:
                for problem in error.diagnostics:
                    lines = problem.span.source.lines
                    assert 1 <= problem.span.line <= len(lines)
                    assert 1 <= problem.span.column <= len(lines[problem.span.line - 1]) + 1
            else:
                assert isinstance(tree, Mapping | Sequence | Scalar)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**17), 10**17)
        | st.text("aé1: -'\n", max_size=8),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abc: 1", max_size=4), inner, max_size=3),
        max_leaves=12,
    )
)  # fmt: skip
def test_what_yaml_dumps_loads_again(value):
    if value is not None:
        text = yaml.safe_dump(value, allow_unicode=True)
        assert of(text).plain() == value
