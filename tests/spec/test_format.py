"""Formatting: the layout changes and nothing else, and only files that need it are written."""

from __future__ import annotations

import cProfile
import functools
import io
import json
import os
import pstats
import random
import stat
import sys
from pathlib import Path

import pytest
import yaml

from xgraph import formatting
from xgraph.cli import main
from xgraph.diagnostics import Source, SpecError
from xgraph.passes.elaborate import elaborate
from xgraph.spec import concrete, formatter
from xgraph.spec.formatter import FormatError, formatted, laid_out, same
from xgraph.spec.library import specs_directory
from xgraph.spec.loading import MAX_DEPTH, load
from xgraph.spec.reader import TOP_KEYS, read_program

BUNDLED = sorted(specs_directory().rglob("*.yaml"))
UGLY = "graph:   [relu]\nname: a\nxgraph: 1\n"
GOOD = "xgraph: 1\nname: a\ngraph:\n- relu\n"


def source(text):
    return Source("s.yaml", text)


def body(text):
    """What becomes of the lines of a body, whatever they are."""
    head = "xgraph: 1\ngraph:\n"
    written = formatted(source(head + text))
    assert written.startswith(head)
    return written.removeprefix(head)


def top(text):
    """What becomes of the lines behind the first of a spec."""
    written = formatted(source("xgraph: 1\n" + text))
    return written.removeprefix("xgraph: 1\n")


# -- bundled files --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_bundled_files_are_formatted(path):
    text = path.read_text(encoding="utf-8")
    assert formatted(source(text)) == text


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_bundled_files_come_back_from_other_layouts(path):
    """All in block style or all in flow style, which loses what the author has grouped."""
    tree = load(source(path.read_text(encoding="utf-8")))
    for flow in (True, False):
        text = yaml.safe_dump(tree.plain(), sort_keys=False, default_flow_style=flow, width=60)
        other = load(source(text))
        written = laid_out(source(text), other)
        assert load(source(written)).plain() == other.plain()
        assert laid_out(source(written), load(source(written))) == written


@pytest.mark.parametrize("name", ["xception", "inception_v3", "families/nasnet_mobile"])
def test_a_network_does_not_depend_on_the_layout(name):
    """Nor on the order of an item's keys, which the formatter brings back."""
    text = (specs_directory() / f"{name}.yaml").read_text(encoding="utf-8")
    dumped = yaml.safe_dump(_turned(load(source(text)).plain()), sort_keys=False)
    dumped = dumped.replace(": null\n", ":\n")  # where nothing was, it says nothing
    networks = []
    for one in (text, formatted(source(dumped))):
        graph = elaborate(read_program(load(source(one)))).graph
        networks.append([(node.name, node.op, node.inputs) for node in graph.nodes])
    assert networks[0] == networks[1]


def _turned(tree, key=None):
    """A tree whose items have their keys the other way around."""
    if isinstance(tree, list):
        return [_turned(one, "item") for one in tree]
    if isinstance(tree, dict):
        entries = [(name, _turned(one, name)) for name, one in tree.items()]
        return dict(reversed(entries) if key == "item" else entries)
    return tree


# -- layout ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- conv:\n    filters: 3\n    kernel: 3\n", "- {conv: {filters: 3, kernel: 3}}\n"),
        ("- {name: a, conv: 3, from: b}\n", "- {conv: 3, from: b, name: a}\n"),
        ("- {conv: {kernel: 3, filters: 3}}\n", "- {conv: {kernel: 3, filters: 3}}\n"),
        ("- {body: relu, repeat: 3}\n", "- {repeat: 3, body: relu}\n"),
        ("- {else: a, then: b, if: $c}\n", "- {if: $c, then: b, else: a}\n"),
        ("- repeat: 3\n  body: relu\n", "- repeat: 3\n  body: relu\n"),
        ("- {merge: add, branches: {b: relu, a: elu}}\n",
         "- {branches: {b: relu, a: elu}, merge: add}\n"),
        ("- - relu\n  - elu\n", "- - relu\n  - elu\n"),
        ("- [  relu,elu,]\n", "- [relu, elu]\n"),
        ("  - relu\n  - {relu: , name: a}\n", "- relu\n- {relu, name: a}\n"),
        ('- "relu"\n- {elu: \'0.5\'}\n', "- relu\n- {elu: \"0.5\"}\n"),
        ("- conv:\n    filters: 3\n    kernel:\n    - 1\n    - 3\n",
         "- {conv: {filters: 3, kernel: [1, 3]}}\n"),
        ("- {elu: null}\n- {elu: ~}\n- {elu: }\n", "- {elu: null}\n- {elu: null}\n- {elu}\n"),
        ("- {elu: 1e-3}\n- {elu: 0x1F}\n- {elu: True}\n",
         "- {elu: 1e-3}\n- {elu: 0x1F}\n- {elu: true}\n"),
    ],
)  # fmt: skip
def test_items(text, expected, parser):
    assert body(text) == expected


def test_keys_at_the_top():
    keys = list(reversed(TOP_KEYS))
    text = "".join(f"{key}: {1 if key == 'xgraph' else 'a'}\n" for key in keys)
    assert [line.split(":")[0] for line in formatted(source(text)).splitlines()] == list(TOP_KEYS)


def test_keys_of_recipes_are_those_that_there_are():
    from xgraph.recipe import reading
    from xgraph.spec.layout import RECIPE_KEYS

    known = {reading._HEADER, "extends", *reading._GENERAL, *reading._SECTIONS}
    assert known == {*RECIPE_KEYS}


def test_order_that_means_something_is_kept():
    text = "params: {b: 1, a: $b}\nblocks:\n  z:\n    body: relu\n  a:\n    body: z\n"
    assert top(text) == text
    text = "graph:\n  z: [relu]\n  a: [elu]\noutputs: {z: z, a: a}\n"
    assert top(text) == text


def test_blocks_and_sizes_have_lines_of_their_own():
    assert top("blocks: {a: {body: [relu], params: {n, m: 3}}}\n") == (
        "blocks:\n  a:\n    params: {n, m: 3}\n    body: [relu]\n"
    )
    assert top("sizes: {a: {params: {n: 1}, doc: A}, b: {params: {n: 2}}}\n") == (
        "sizes:\n  a:\n    doc: A\n    params: {n: 1}\n  b: {params: {n: 2}}\n"
    )
    assert top("graph: {a: {doc: A, body: relu}, b: [relu]}\n") == (
        "graph:\n  a:\n    doc: A\n    body: relu\n  b: [relu]\n"
    )


def test_long_numbers_fill_lines_with_their_comment_at_the_end():
    numbers = ", ".join(["1000"] * 30)
    text = f"params:\n  a: [{numbers}]  # of a table\n"
    written = top(text)
    assert [len(line) for line in written.splitlines()][1:] == [95, 107]
    assert written.endswith("]  # of a table\n")


def test_a_block_of_text_keeps_its_lines():
    text = "doc: >\n  One line, and\n  another\n\n  - and a third\nname: a\n"
    assert top(text).split("name: a\n") == ["", text.removesuffix("name: a\n")]
    assert body("- relu:\n  doc:   |-\n         a\n           b\n") == (
        "- relu:\n  doc: |-\n    a\n      b\n"
    )
    text = "doc: >+\n  a\n\n\nname: a\n"  # blank lines that count
    assert load(source("xgraph: 1\n" + top(text))).plain()["doc"] == "a\n\n\n"
    text = "doc: |2\n    indented\n  not\n"
    assert load(source("xgraph: 1\n" + top(text))).plain()["doc"] == "  indented\nnot\n"


@pytest.mark.parametrize("header", ["|", ">", "|-", ">-", "|+", ">+", "|2", ">1-"])
@pytest.mark.parametrize(
    "lines",
    [
        "",
        "   \n",
        "\n   \n",
        "   a\n     b\n",
        "  a \n\n\n  b\n",
        "   # a\n  \n",
        "   a\tb\n",
        "  - a: b\n",
    ],
)
def test_a_block_of_any_text(header, lines, parser):
    text = f"xgraph: 1\ndoc: {header}  # comment\n{lines}name: a\n"
    try:
        expected = load(source(text)).plain()
    except SpecError:  # where the header wants more columns
        assert header in ("|2", ">1-")
        return
    assert load(source(formatted(source(text)))).plain() == expected


# -- comments and blank lines ---------------------------------------------------------------------

COMMENTED = """\
# yaml-language-server: $schema=./schema.json
# and more of the head

xgraph: 1
name: a  # beside a value
# above a key
params:  # beside a key
  # above the first parameter
  n: 1  # beside one

  # after a blank line
  m: 2
  # at the end of the parameters
blocks:
  a:
    body:
    # above an item
    - {conv: {filters: 3}}  # beside an item
    - conv:
        filters: 3  # beside an attribute
        kernel: 1
      name: b
    - [relu, elu]  # beside a list
    - - relu  # inside a list
      - elu
    # at the end of a body

  b:  # beside a block
    body: [relu]
graph:
- relu
# at the end of the file
"""


def test_comments_stay_where_they_are(parser):
    assert formatted(source(COMMENTED)) == COMMENTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-   relu # a\n", "- relu  # a\n"),
        ("- [relu, # a\n   elu]\n", "- - relu  # a\n  - elu\n"),
        ("- [relu, elu, # a\n  ] # b\n", "- - relu  # b\n  - elu  # a\n"),
        ("- [ # a\n   relu]\n", "- [relu]  # a\n"),
        ("- {conv: # a\n   3, name: b}\n", "- conv: 3  # a\n  name: b\n"),
        ("- {conv: 3,\n  # a\n  name: b}\n", "- conv: 3\n  # a\n  name: b\n"),
        ("- # a\n  relu\n", "# a\n- relu\n"),
        ("- # a\n  conv: 3\n", "# a\n- {conv: 3}\n"),
        ("- # a\n  # b\n  conv: # c\n    3 # d\n", "# a\n# b\n- conv: 3  # c\n  # d\n"),
        ("- conv: 3 # a\n", "- {conv: 3}  # a\n"),
        ("- []\n- [ # a\n  ]\n", "- []\n# a\n- []\n"),
        ("- doc: > # a\n    text\n  relu:\n", "- relu:\n  doc: >  # a\n    text\n"),
        ("- {doc: \"a # b\", relu} # c\n", "- {relu, doc: \"a # b\"}  # c\n"),
        ("- doc: |\n    # no comment\n  relu:\n", "- relu:\n  doc: |\n    # no comment\n"),
        ("- relu\n\n\n\n- elu\n", "- relu\n\n- elu\n"),
        ("\n- relu\n", "- relu\n"),
        ("- relu\n  # deeper\n- elu\n", "- relu\n# deeper\n- elu\n"),
        ("- repeat: 2\n  body:\n  - relu\n  # a\n  from: b\n",
         "- repeat: 2\n  body:\n  - relu\n  # a\n  from: b\n"),
    ],
)  # fmt: skip
def test_comments_find_a_place(text, expected, parser):
    assert body(text) == expected


def test_a_comment_in_every_place_is_kept(parser):
    """Behind each line of a spec, and above each, alone and all at once."""
    lines = COMMENTED.splitlines()
    for place in range(len(lines)):
        for changed in (f"{lines[place]}  # here", f"# here\n{lines[place]}", f"\n{lines[place]}"):
            text = "\n".join([*lines[:place], changed, *lines[place + 1 :]]) + "\n"
            written = formatted(source(text))  # which would not bear that one is lost
            assert written.count("# here") == text.count("# here")


@pytest.mark.parametrize("seed", range(4))
def test_comments_and_anchors_anywhere(seed, parser):
    found = random.Random(seed)
    texts = [path.read_text(encoding="utf-8") for path in BUNDLED]
    count = 0
    for _ in range(25):
        lines = found.choice(texts).splitlines()
        for number in range(found.choice([1, 3, 20])):
            place = found.randrange(len(lines))
            line, indent = lines[place], " " * found.choice([0, 1, 2, 4, 6, 8])
            changed = (
                f"{line} # {number}", f"{indent}# {number}\n{line}", f"\n{line}",
                line.replace(", ", f", # {number}\n      ", 1), line.replace(": ", ": &a ", 1),
            )  # fmt: skip
            lines[place] = found.choice(changed)
        try:
            formatted(source("\n".join(lines)))
        except SpecError:
            continue  # it is no YAML any more
        count += 1
    assert count > 15


def test_a_head_stays_where_it_is_whichever_key_comes_first():
    assert formatted(source("# head\n\n# of name\nname: a\n# of xgraph\nxgraph: 1\n")) == (
        "# head\n\n# of name\n# of xgraph\nxgraph: 1\nname: a\n"
    )


# -- anchors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "- &a relu\n- *a\n",
        "- {conv: &a {filters: 3}, name: b}\n- {conv: *a}\n",
        "- name: &n first\n  relu:\n- {relu, from: *n}\n",  # no order of keys may part them
        "- &a [relu, elu]\n- *a\n- [*a, *a]\n",
        "- &a\n  conv:\n    filters: 3  # of three\n    kernel: 1\n- *a\n",
        "- {&k relu: 1, name: b}\n- {*k : 2}\n",
        "- {relu: &a , name: b}\n- {elu: *a}\n",
        "- &a 1e-3\n- *a\n",
    ],
)
def test_anchors_and_aliases_stay(text, parser):
    written = body(text)
    assert written.count("*") == text.count("*")
    assert written.count("&") == text.count("&")
    assert body(written) == written


def test_keys_are_not_sorted_where_there_are_anchors():
    assert body("- {name: &n a, relu}\n- {relu, name: *n}\n").startswith("- {name: &n a, relu}")


# -- hostile texts --------------------------------------------------------------------------------


def test_the_deepest_and_the_longest(parser):
    deep = "xgraph: 1\ngraph:\n- " + "[" * (MAX_DEPTH - 2) + "]" * (MAX_DEPTH - 2) + "\n"
    assert load(source(formatted(source(deep)))).plain() == load(source(deep)).plain()
    braces = "xgraph: 1\ngraph: " + "{a: " * (MAX_DEPTH - 1) + "1" + "}" * (MAX_DEPTH - 1) + "\n"
    assert load(source(formatted(source(braces)))).plain() == load(source(braces)).plain()
    long = f'xgraph: 1\ndoc: "{"x" * 100_000}"\n? {"k" * 5000}\n: [{"y" * 3000}, z]\n'
    assert load(source(formatted(source(long)))).plain() == load(source(long)).plain()


@pytest.mark.parametrize("text", ["xgraph: 1\na: [", "a: \x1b", "a: !t 1", "a: 1\na: 2", ""])
def test_what_is_no_yaml_has_its_error(text):
    with pytest.raises(SpecError):
        formatted(source(text))


@pytest.mark.parametrize("text", ["a: 1", "[xgraph]", "xgraph"])
def test_other_yaml_is_left_alone(text):
    with pytest.raises(SpecError) as caught:
        formatted(source(text))
    assert [problem.code for problem in caught.value.diagnostics] == ["XG113"]


def _calls(text):
    """How many functions are called to format a text."""
    profile = cProfile.Profile()
    profile.runcall(formatted, source(text))
    return pstats.Stats(profile).total_calls


@pytest.mark.parametrize(
    "line",
    [
        "- [{conv: {filters: 64, kernel: 3}}, batch_norm, relu]  # text\n",
        "- doc: >\n    text\n\n  relu:\n",
        "\n# comment\n- relu\n",
        "- {a: [" + "1, " * 30 + "1]}\n",
    ],
)
def test_work_grows_as_the_text(line):
    head = "xgraph: 1\ngraph:\n"
    few, many = (_calls(head + line * count) for count in (100, 800))
    assert many < 9 * few


@pytest.mark.parametrize(
    ("line", "count"),
    [
        (f"- {{relu, doc: {'some words ' * 100}}}  # c\n", 1000),
        pytest.param(
            "- {conv: {filters: 64, kernel: 3}, name: a}  # c\n", 22_000, marks=pytest.mark.slow
        ),
    ],
    ids=["of words", "of items"],
)
def test_a_text_of_a_megabyte(line, count):
    text = "xgraph: 1\ngraph:\n" + line * count
    assert len(text) > 2**20
    assert formatted(source(text))


# -- its own suspicion ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("{a: 1, b: 2}", "{a: 1, b: 2}", True),
        ("{a: 1, b: 2}", "{b: 2, a: 1}", False),  # of no known form
        ("{a: 1}", "{a: 1.0}", False),
        ("{a: 1}", "{a: true}", False),
        ("{a: 1}", '{a: "1"}', False),
        ("{a}", "{a: null}", False),
        ("{a: ~}", "{a: null}", True),
        ("{a: .nan}", "{a: .NaN}", True),
        ("[a, b]", "[b, a]", False),
        ("[a, b]", "[[a, b]]", False),
        ("[a]", "{a}", False),
    ],
)
def test_same(one, other, is_same):
    assert same(load(source(one)), load(source(other))) is is_same


def test_what_would_not_be_the_same_is_never_written(tmp_path, monkeypatch, capsys):
    path = tmp_path / "a.yaml"
    path.write_text(UGLY + "# comment\n")
    written = formatter._written

    def harmed(text, harm):
        after, comments = written(text)
        return harm(after, text), comments

    for harm in (
        lambda after, _: after.replace("relu", "elu"),
        lambda after, _: after.replace("# comment\n", ""),
        lambda after, _: after + "# comment\n",
        lambda after, _: after + "[",
        lambda after, before: after if "-  relu" in before else after.replace("- relu", "-  relu"),
    ):
        monkeypatch.setattr(formatter, "_written", functools.partial(harmed, harm=harm))
        with pytest.raises(FormatError):
            formatted(source(path.read_text()))
        assert main(["format", str(path)]) == 3
        assert "internal error" in capsys.readouterr().err
        assert path.read_text() == UGLY + "# comment\n"


# -- the command ----------------------------------------------------------------------------------


def run(capsys, *arguments):
    status = main(["format", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def folder(tmp_path):
    for name, text in {
        "a.yaml": UGLY, "below/b.yaml": GOOD, "below/c.yml": "xgraph_recipe:   1\n",
        "other.yaml": "services:   {a: 1}\n", ".hidden/d.yaml": UGLY, ".e.yaml": UGLY,
        "note.txt": UGLY,
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder(folder, capsys):
    before = texts(folder)
    status, out, _ = run(capsys, folder, folder / "a.yaml")
    assert status == 0
    assert out.splitlines() == [
        f"{folder}/a.yaml: formatted",
        f"{folder}/below/c.yml: formatted",
        "1 file unchanged",
    ]
    assert texts(folder) == {**before, "a.yaml": GOOD, "below/c.yml": "xgraph_recipe: 1\n"}


def test_check_and_diff_write_nothing(folder, capsys):
    before = texts(folder)
    status, out, _ = run(capsys, folder, "--check")
    assert status == 1
    assert f"{folder}/a.yaml: would change" in out
    status, out, _ = run(capsys, folder / "a.yaml", "--diff")
    assert (status, out.splitlines()[:2]) == (
        0, [f"--- {folder}/a.yaml", f"+++ {folder}/a.yaml (formatted)"],
    )  # fmt: skip
    assert {"-graph:   [relu]", "+graph:", "+- relu"} <= {*out.splitlines()}
    assert run(capsys, folder / "a.yaml", "--diff", "--check")[0] == 1
    assert run(capsys, folder / "below" / "b.yaml", "--diff", "--check")[:2] == (0, "")
    assert texts(folder) == before


def test_json(folder, capsys):
    status, out, _ = run(capsys, folder / "a.yaml", folder / "below", "--json", "--check")
    assert status == 1
    assert json.loads(out) == {
        "ok": True,
        "files": [
            {"file": f"{folder}/a.yaml", "changes": True},
            {"file": f"{folder}/below/b.yaml", "changes": False},
            {"file": f"{folder}/below/c.yml", "changes": True},
        ],
    }
    (folder / "a.yaml").write_text("a: [")
    status, out, _ = run(capsys, folder, "--json")
    assert (status, json.loads(out)["ok"]) == (1, False)


class _Stream(io.TextIOWrapper):
    def __init__(self, data=b""):
        super().__init__(io.BytesIO(data), encoding="utf-8")


def test_standard_input_goes_to_standard_output(capsysbinary, monkeypatch):
    for given, expected in ((UGLY, GOOD), (GOOD, GOOD), (f"# é\r\n{GOOD}", None)):
        monkeypatch.setattr(sys, "stdin", _Stream(given.encode()))
        assert main(["format", "-"]) == 0
        out = capsysbinary.readouterr().out.decode()
        assert out == (expected or f"# é\n{GOOD}".replace("\n", "\r\n"))
    monkeypatch.setattr(sys, "stdin", _Stream(b"\xff"))
    assert main(["format", "-"]) == 1
    assert b"standard input:1:1: error[XG103]" in capsysbinary.readouterr().err
    monkeypatch.setattr(sys, "stdin", _Stream(UGLY.encode()))
    assert main(["format", "-", "--check"]) == 1
    assert capsysbinary.readouterr().out.startswith(b"standard input: would change")


def test_an_error_in_one_file_leaves_all_as_they_were(folder, capsys):
    (folder / "z.yaml").write_text("a: [")
    before = texts(folder)
    status, out, err = run(capsys, folder, folder / "missing.yaml", folder / "other.yaml")
    assert (status, out) == (1, "")
    for code in ("XG101", "XG104", "XG113"):
        assert f"error[{code}]" in err
    assert texts(folder) == before


def test_paths_that_cannot_be(capsys):
    status, _, err = run(capsys, "a\0.yaml", "a\ud800.yaml", "x" * 5000)
    assert status == 1
    assert err.count("error[XG101]") == 3


def test_what_would_become_too_large():
    text = "xgraph: 1\ngraph: " + "[" * 60 + "relu, " * 60_000 + "]" * 60 + "\n"
    with pytest.raises(SpecError) as caught:
        formatted(source(text))
    assert caught.value.diagnostics[0].code == "XG102"


def test_what_is_as_it_should_be_is_not_touched(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_text(GOOD)
    os.utime(path, (1, 1))
    number = path.stat().st_ino
    assert run(capsys, path)[0] == 0
    assert (path.stat().st_mtime, path.stat().st_ino) == (1, number)


def test_permissions_and_links_stay(tmp_path, capsys):
    path, link = tmp_path / "a.yaml", tmp_path / "link.yaml"
    path.write_text(UGLY)
    path.chmod(0o640)
    link.symlink_to("a.yaml")
    assert run(capsys, link, path)[1].splitlines()[0] == f"{link}: formatted"
    assert link.is_symlink()
    assert path.read_text() == GOOD
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.yaml", "link.yaml"]


def test_ends_of_lines_stay_and_a_byte_order_mark_does_not(tmp_path, capsys):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + UGLY.replace("\n", "\r\n").encode())
    assert run(capsys, path)[0] == 0
    assert path.read_bytes() == GOOD.replace("\n", "\r\n").encode()
    assert run(capsys, path, "--check")[0] == 0
    path.write_bytes(UGLY.replace("\n", "\r").encode())
    assert run(capsys, path)[0] == 0
    assert path.read_bytes() == GOOD.encode()


def test_what_cannot_be_written_is_left_whole(tmp_path, capsys, monkeypatch):
    path = tmp_path / "a.yaml"
    path.write_text(UGLY)

    def refuse(*_arguments):
        raise OSError(28, "No space left on device")

    for name in ("replace", "copymode"):
        with monkeypatch.context() as patch:
            patch.setattr(formatting.os if name == "replace" else formatting.shutil, name, refuse)
            status, _, err = run(capsys, path)
        assert status == 1
        assert f"error[XG705]: {path} cannot be written: no space left on device" in err
        assert [one.name for one in tmp_path.iterdir()] == ["a.yaml"]
        assert path.read_text() == UGLY


def test_names_that_drive_no_terminal(tmp_path, capsys):
    path = tmp_path / "a\x1b[31m\n.yaml"
    path.write_text(UGLY)
    for arguments in (["--check"], ["--diff"], []):
        _, out, _ = run(capsys, path, *arguments)
        assert "\x1b" not in out
    assert Path(path).read_text() == GOOD


def test_comments_are_found_where_they_are():
    text = "# a\nb: 'c # d'  # e\nf: \"# g\"\nh: i#j\nk: |  # l\n  # m\nn: &o  # p\n  q # r\n#s"
    assert concrete.read(text)[1] == ["# a", "# e", "# l", "# p", "# r", "#s"]
