"""What is legal and probably not meant: unused names, and branches that do nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xgraph.cli import main
from xgraph.compile import analyse
from xgraph.spec import library

TOP = "xgraph: 1\nname: example\ninput: {shape: [8, 8, 4]}\n"


def warnings(folder: Path, text: str, settings: tuple[str, ...] = ()) -> list[tuple[str, int, str]]:
    """Code, line and message of each warning."""
    path = folder / "spec.yaml"
    path.write_text(TOP + text, encoding="utf-8")
    found = analyse(str(path), settings).warnings
    assert {one.severity for one in found} <= {"warning"}
    return [(one.code, one.span.line, one.message) for one in found if one.span]


def codes(folder: Path, text: str, settings: tuple[str, ...] = ()) -> list[str]:
    return [code for code, _, _ in warnings(folder, text, settings)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("blocks: {a: {body: relu}, b: {body: a}}\ngraph: [a]", ["XG901"]),
        ("params: {n: 3}\ngraph: [relu]", ["XG902"]),
        ("params: {n: 3, m: $n}\ngraph: [relu]", ["XG902", "XG902"]),
        ("params: {n: 3, m: $n}\ngraph: [{repeat: $m, body: relu}]", []),
        ("params: {n: 3}\ngraph: [relu]\noutputs: {y: {from: relu, loss_weight: $n}}", []),
        ("params: {n: 3}\ndefaults: {elu: {alpha: $n}}\ngraph: [elu]", []),
        ("params: {n: true}\ngraph: [{branches: [relu, {body: elu, when: $n}], merge: add}]", []),
        ("blocks: {a: {params: {n: 3}, body: relu}}\ngraph: [{a: {n: 4}}]", ["XG902"]),
        ("blocks: {a: {params: {n: 3, m: $n}, body: {repeat: $m, body: relu}}}\ngraph: [a]", []),
        ("graph: [{repeat: 2, index: i, body: relu}]", ["XG903"]),
        ("graph: [{repeat: 2, index: i, body: {elu: $i + 1}}]", []),
        ("graph: [{for: {i: [1, 2]}, body: relu}]", ["XG903"]),
        ("defaults: {elu: {alpha: 2}}\ngraph: [relu]", ["XG904"]),
        ("defaults: {elu: {alpha: 2}}\ngraph: [{elu: 3}, {elu: {alpha: 1}}]", ["XG904"]),
        ("defaults: {elu: {alpha: 2}}\ngraph: [{elu: 3}, elu]", []),
    ],
)
def test_unused(tmp_path, text, expected):
    assert codes(tmp_path, text) == expected


def test_a_blocks_own_parameter_hides_the_specs(tmp_path):
    text = """\
params: {n: 3}
blocks: {a: {params: {n}, body: {repeat: $n, body: relu}}}
graph: [{a: 2}]
"""
    [(code, line, message)] = warnings(tmp_path, text)
    assert (code, line) == ("XG902", 4)
    assert message == "nothing uses the parameter 'n'"
    assert codes(tmp_path, text.replace("params: {n},", "params: {n: $n},")) == []


def test_what_is_switched_off_is_used(tmp_path):
    text = "params: {n: 3, on: false}\ngraph: [relu, {elu: $n, when: $on}]"
    assert codes(tmp_path, text) == []


@pytest.mark.parametrize(
    ("branch", "warned"),
    [
        ("{elu, when: $on}", True),
        ("[{elu, when: $on}, {repeat: 0, body: elu}]", True),
        ("{if: $on, then: elu}", True),
        ("[], c: {body: elu, when: $on}", False),
        ("[{if: $on, then: elu, else: identity}]", False),
        ("{body: elu, when: $on}", False),
        ("{body: [{elu, when: $on}], when: true}", True),
    ],
)
def test_a_branch_that_does_nothing(tmp_path, branch, warned):
    text = f"params: {{on: false}}\ngraph: [{{branches: {{a: relu, b: {branch}}}, merge: add}}]"
    assert codes(tmp_path, text) == (["XG905"] if warned else [])
    assert codes(tmp_path, text, ("on=true",)) == []


def test_a_residual_that_does_nothing(tmp_path):
    off = "{elu, when: false}"
    assert codes(tmp_path, f"graph: [{{residual: [{off}]}}]") == ["XG905"]
    assert codes(tmp_path, f"graph: [{{residual: [relu], shortcut: [{off}]}}]") == []


def test_one_use_of_a_block_is_enough_and_one_warning_too(tmp_path):
    text = """\
blocks: {a: {params: {on: true}, body: {branches: [relu, {elu, when: $on}], merge: add}}}
graph: [a, {a: {on: false}}, {repeat: 3, body: {a: {on: false}}}]
"""
    assert codes(tmp_path, text) == ["XG905"]


def test_what_is_inherited_is_not_warned_of(tmp_path):
    (tmp_path / "base.yaml").write_text(
        TOP + "params: {width: 4}\nblocks: {a: {body: relu}}\ngraph: [{elu: $width}]"
    )
    path = tmp_path / "over.yaml"
    path.write_text("xgraph: 1\nname: over\nextends: base.yaml\nparams: {widht: 8}\ngraph: [relu]")
    [warning] = analyse(str(path)).warnings
    assert warning.message == "nothing uses the parameter 'widht'"
    assert warning.hint == "did you mean 'width'?"


def test_the_bundled_specs_are_without_warnings():
    for path in library.all_specs():
        assert analyse(str(path)).warnings == (), path


def test_warnings_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(TOP + "params: {n: 3}\ngraph: [relu]")
    assert main(["check", "spec.yaml"]) == 0
    shown = capsys.readouterr()
    assert "warning[XG902]" in shown.err
    assert shown.out.endswith("no errors, 1 warning\n")
    assert main(["check", "spec.yaml", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"]
    assert [(d["code"], d["severity"]) for d in printed["diagnostics"]] == [("XG902", "warning")]
    for command in ("check", "compile"):
        assert main([command, "spec.yaml", "--strict"]) == 1
        assert "error[XG902]" in capsys.readouterr().err
    assert not Path("generated").exists()
    assert main(["compile", "spec.yaml", "-o", "out"]) == 0
    shown = capsys.readouterr()
    assert "warning[XG902]" in shown.err
    assert "--recipe imagenet" in shown.out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("graph: [{batch_norm: {momentum: 0.1}}]", [("XG906", 4)]),
        ("graph:\n- relu\n- {repeat: 3, body: {batch_norm: 0.01}}", [("XG906", 6)]),
        ("graph: [batch_norm]\ndefaults: {batch_norm: {momentum: 0.1}}", [("XG906", 5)]),
        ("graph:\n- batch_norm: 0.1\ndefaults: {batch_norm: {momentum: 0.9}}",
         [("XG906", 5), ("XG904", 6)]),
        ("graph: [{batch_norm: {momentum: 0.5}}]", []),
        ("graph: [batch_norm, {batch_norm: {momentum: 0}}]", []),  # the batch's alone, on purpose
    ],
)  # fmt: skip
def test_momentum_as_pytorch_counts_it(tmp_path, text, expected):
    found = sorted(warnings(tmp_path, text), key=lambda one: one[1])
    assert [(code, line) for code, line, _ in found] == expected


def test_the_hint_says_the_number(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(TOP + "graph: [{batch_norm: {momentum: 0.03}}]", encoding="utf-8")
    [warning] = analyse(str(path)).warnings
    assert (warning.hint or "").endswith("0.03 there is 0.97 here")


@pytest.mark.parametrize(
    ("shape", "warned"),
    [
        ("[3, 32, 32]", True),
        ("[3, 224, 320]", True),
        ("[1, 28, 28]", True),
        ("[4, 16, 16]", True),
        ("[1, 128, 16]", False),  # a signal
        ("[32, 32, 3]", False),
        ("[3, 3, 64]", False),
        ("[8, 8, 8]", False),
        ("[3, 32, 3]", False),
    ],
)
def test_channels_first(tmp_path, shape, warned):
    path = tmp_path / "spec.yaml"
    path.write_text(TOP.replace("[8, 8, 4]", shape) + "graph: [relu]", encoding="utf-8")
    found = analyse(str(path)).warnings
    assert [one.code for one in found] == (["XG907"] if warned else [])
