"""Bad and hostile specs: a located error each; nothing crashes, hangs, is written or is run.

Each file of `bad/` begins with what is expected of it: comments such as `# XG206 typo_op.yaml:5:9`,
one for each diagnostic, and `# set: key=value` for the settings that it is read with.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xgraph.compile import analyse
from xgraph.diagnostics import SpecError

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))
HEAD = "xgraph: 1\nname: made\ninput: {shape: [32, 32, 3]}\n"
SECONDS = 2.0
MIB = 200.0


def many(line: str, count: int) -> str:
    return "".join(line.format(i) for i in range(count))


#: Specs that are better made than kept: bytes, and the codes expected of them.
MADE: dict[str, tuple[bytes, list[str]]] = {
    "empty.yaml": (b"", ["XG110"]),
    "blank.yaml": (b" \n\n  \n", ["XG110"]),
    "latin1.yaml": ((HEAD + "doc: na\u00efve\n").encode("latin-1"), ["XG103"]),
    "utf16.yaml": ((HEAD + "graph: [relu]\n").encode("utf-16"), ["XG103"]),
    "null.yaml": ((HEAD + "doc: a\0b\n").encode(), ["XG103"]),
    "surrogate.yaml": ((HEAD + "doc: a").encode() + b"\xed\xa0\x80\n", ["XG103"]),
    "bidi.yaml": ((HEAD + "doc: a\u202eb\n").encode(), ["XG103"]),
    "random.yaml": (bytes(range(256)) * 100, ["XG103"]),
    "large.yaml": (b"- relu\n" * 750_000, ["XG102"]),
    "long_line.yaml": ((HEAD + "graph: [" + "relu, " * 150_000 + "rleu]\n").encode(), ["XG206"]),
    "long_text.yaml": (
        (HEAD + "doc: '" + "a" * 3_000_000 + "'\ngraph: [rleu]").encode(),
        ["XG206"],
    ),
    "long_name.yaml": ((HEAD + "graph: [" + "r" * 3_000_000 + "]\n").encode(), ["XG206"]),
    "many_keys.yaml": ((HEAD + many("key{}: 1\n", 50_000)).encode(), ["XG202"] * 100),
    "many_names.yaml": (
        (HEAD + "graph:\n" + many("- {{relu: , name: a{}}}\n", 20_000) + "- rleu\n").encode(),
        ["XG206"],
    ),
    "many_items.yaml": ((HEAD + "graph:\n" + "- relu\n" * 50_000 + "- rleu\n").encode(), ["XG206"]),
    "many_parameters.yaml": (
        (HEAD + "params:\n" + many("  p{}: 1\n", 50_000) + "graph: [{conv: $q}]\n").encode(),
        ["XG302"],
    ),
    "many_blocks.yaml": (
        (HEAD + "blocks:\n" + many("  b{}: {{body: [relu]}}\n", 10_000) + "graph: [c]").encode(),
        ["XG206"],
    ),
    "many_ifs.yaml": (
        (
            HEAD
            + "params: {c: true}\ngraph:\n"
            + many("- {{if: $c, then: [{{relu: , name: a{}}}]}}\n", 9_000)
            + "- rleu\n"
        ).encode(),
        ["XG206"],
    ),
    "unclosed.yaml": ((HEAD + "graph: " + "{a: [" * 100_000).encode(), ["XG107"]),
    "quotes.yaml": ((HEAD + 'doc: "' + "\\" * 100_001).encode(), ["XG104"]),
    "indents.yaml": ("".join(" " * i + "a:\n" for i in range(1_000)).encode(), ["XG107"]),
    "dashes.yaml": (b"- " * 100_000, ["XG107"]),
    "questions.yaml": (b"? " * 100_000, ["XG107"]),
    "anchors.yaml": (
        (HEAD + "x: [" + many("&a{0} 1, *a{0}, ", 50_000) + "]\n").encode(),
        ["XG202", "XG203"],
    ),
}


def expectations(path: Path) -> tuple[list[str], list[str]]:
    """The expected diagnostics and the settings in the head of a bad spec."""
    expected, settings = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# set: "):
            settings.append(line.removeprefix("# set: "))
        elif line.startswith(("# XG", "# and ")):
            expected.append(line.removeprefix("# "))
        else:
            break
    return expected, settings


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """What a watched process says to all bad specs."""
    folder = tmp_path_factory.mktemp("bad")
    shutil.copytree(HERE / "bad", folder, dirs_exist_ok=True)
    for name, (data, _) in MADE.items():
        (folder / name).write_bytes(data)
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    work = [(path.name, expectations(path)[1]) for path in BAD]
    work += [(name, []) for name in (*MADE, *SPECIAL)]
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, str(HERE / "judge.py")],
        input=json.dumps(work), cwd=folder, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    assert sorted(folder.rglob("*")) == before, "something was written"
    return json.loads(done.stdout)


#: Names of things that are no specs.
SPECIAL = {
    "folder.yaml": "XG101",
    "pipe.yaml": "XG101",
    "loop.yaml": "XG101",
    "zero.yaml": "XG101",
    "absent.yaml": "XG101",
    "absent": "XG101",
    "": "XG101",
    "a\0b.yaml": "XG101",
    "a\nb": "XG101",
    "x" * 5000: "XG101",
    "x" * 5000 + ".yaml": "XG101",
    "../../../../etc/passwd": None,
    "/etc/passwd": None,  # read, and found to be no spec
}


def sound(one: dict) -> None:
    """What holds for whatever a spec says."""
    assert one["failure"] is None
    assert one["seen"] == []
    assert one["seconds"] < SECONDS
    assert one["diagnostics"]
    places = [(d.get("file", ""), d.get("line", 0), d.get("column", 0)) for d in one["diagnostics"]]
    assert places == sorted(places), "not in file order"
    texts = [json.dumps(d, sort_keys=True) for d in one["diagnostics"]]
    assert len(set(texts)) == len(texts), "a diagnostic is here twice"
    assert all(c.isprintable() or c in "\n\t" for c in one["text"])
    assert max(map(len, one["text"].splitlines())) < 1_200


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_bad_spec(path, judged):
    expected, _ = expectations(path)
    one = judged["found"][path.name]
    sound(one)
    found = [f"{d['code']} {d['place']}" for d in one["diagnostics"]]
    if len(found) > 12:
        found = [*found[:12], f"and {len(found) - 12} more"]
    assert found == expected


@pytest.mark.parametrize("name", MADE)
def test_made_spec(name, judged):
    one = judged["found"][name]
    sound(one)
    found = [d["code"] for d in one["diagnostics"]]
    expected = MADE[name][1]
    assert found[: len(expected)] == expected or set(found) == set(expected)
    assert all(d["place"] for d in one["diagnostics"] if d["code"] != "XG102")


@pytest.mark.parametrize("name", SPECIAL, ids=lambda name: repr(name)[:30])
def test_special_name(name, judged):
    one = judged["found"][name]
    sound(one)
    if SPECIAL[name]:
        assert [d["code"] for d in one["diagnostics"]] == [SPECIAL[name]]


def test_memory(judged):
    assert judged["peak"] < MIB


def test_there_are_enough():
    assert len(BAD) >= 50
    for path in BAD:
        assert expectations(path)[0], path


def test_all_settings_are_judged_at_once():
    with pytest.raises(SpecError) as caught:
        analyse("xception", ["clases=3", "classes", "defaults.conv=1", "dropout=[0"])
    assert [one.code for one in caught.value.diagnostics] == ["XG803", "XG804", "XG804", "XG104"]


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("blocks.unit.items.act=elu", "a spec that `extends` this one"),
        ("graph.items.act=null", "a spec that `extends` this one"),
        ("sizes.small.params.w=3", "a spec that `extends` this one"),
        ("act.x=elu", "a parameter is set whole: act=VALUE"),
        ("input=3", "input.shape="),
    ],
)
def test_what_cannot_be_set_is_said_how(setting, hint, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(HEAD + "params: {act: 1}\ngraph: [{elu: $act, name: act}]\n")
    with pytest.raises(SpecError) as caught:
        analyse(str(path), [setting])
    (found,) = caught.value.diagnostics
    assert found.code == "XG804"
    assert hint in found.hint


@pytest.mark.parametrize(
    ("graph", "hint"),
    [
        ("{branches: {repeat: 2, body: relu, when: true}, merge: add}", "beside 'branches'"),
        ("{branches: {repeat: 2, body: relu, left: elu}, merge: add}", "a branch beside others"),
        ("{branches: {repeat: 2, for: {x: [1]}, body: relu}, merge: add}", "into its body"),
        ("{branches: {for: {x: [1]}, index: i, body: relu}, merge: add}", "for a repeat"),
        ("{u: , name: a}, {relu: , from: a.inner}", "results: […, inner]"),
        ("{repeat: 0, body: [{u: , name: a}]}, {relu: , from: a.x}", "a loop or condition"),
        ("{relu: , name: b, when: false}, {relu: , from: b}", "a loop or condition"),
    ],
)
def test_what_stands_in_the_wrong_place_is_said_where_it_goes(graph, hint, tmp_path):
    path = tmp_path / "spec.yaml"
    block = "{results: [x, y], body: [{relu: , name: x}, {elu: , name: y}, {tanh: , name: inner}]}"
    path.write_text(HEAD + f"blocks: {{u: {block}}}\ngraph: [{graph}]\n")
    with pytest.raises(SpecError) as caught:
        analyse(str(path))
    assert hint in caught.value.diagnostics[0].hint


def test_text_is_the_same_under_any_hash_seed():
    code = (
        "import sys\nfrom xgraph.compile import analyse\nfrom xgraph.diagnostics import SpecError\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n        analyse(path)\n"
        "    except SpecError as error:\n        print(error)\n"
    )
    names = [path.name for path in BAD if path.stem.startswith(("typo", "name", "expression"))]
    texts = {
        subprocess.run(
            [sys.executable, "-c", code, *names],
            cwd=HERE / "bad", capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert len(texts) == 1
    assert str(HERE) not in texts.pop()
