"""`xgraph diff`: what is printed, as text, in color and as JSON."""

from __future__ import annotations

import io
import json
import sys

import pytest

from xgraph.cli import main

SLIDES = """\
                   xception  xception_slides  difference
  ──────────────────────────────────────────────────────
  input           299×299×3        299×299×3
  nodes                 134              130          −4
  parameters     22,910,480       20,875,658  −2,034,822
  trainable      22,855,952       20,825,402  −2,030,550
  MACs        8,357,403,496    8,355,375,976  −2,027,520

  Parameters of the specs:
~ classes: 1000 → 10

  Only in the first:
- batch_norm at 4 nodes (entry_flow.module2.shortcut.batch_norm,\
 entry_flow.module3.shortcut.batch_norm and 2 more): −8,544 parameters

  Other attributes:
~ conv: bias false → true at 6 nodes (entry_flow.conv_bn.conv, entry_flow.conv_bn_2.conv and 4\
 more): +2,232 parameters
~ dense: units 1000 → 10 at head.classifier: −2,028,510 parameters, −2,027,520 MACs

  Other shapes:
~ 1000 → 10 at head.classifier

  123 nodes are the same.
"""


def test_two_specs(capsys):
    assert main(["diff", "xception", "xception_slides"]) == 0
    assert capsys.readouterr().out == SLIDES


def test_a_spec_with_settings(capsys):
    assert main(["diff", "inception_v3", "--set", "bn_scale=true"]) == 0
    out = capsys.readouterr().out
    assert "~ bn_scale: false → true\n" in out
    assert "~ batch_norm: scale false → true at 94 nodes" in out
    assert ": +17,216 parameters\n" in out
    assert out.endswith("219 nodes are the same.\n")


def test_the_same(capsys):
    assert main(["diff", "xception"]) == 0
    assert capsys.readouterr().out.endswith("\n\n  The two are the same network.\n")


def test_json_has_every_node(capsys):
    assert main(["diff", "xception", "xception_no_residual", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["equal"]
    assert found["names"] == ["xception", "xception_no_residual"]
    assert {group["op"]: len(group["nodes"]) for group in found["removed"]} == {
        "conv": 4,
        "batch_norm": 4,
        "add": 12,
    }
    assert len(found["rewired"]) == 12
    assert found["rewired"][0]["changes"]["inputs"] == [
        ["entry_flow.module2.add"],
        ["entry_flow.module2.max_pool"],
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_colors(no_color, colored, monkeypatch):
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert main(["diff", "xception", "xception_slides"]) == 0
    out = sys.stdout.getvalue()
    assert ("\033[33m~ classes: 1000 → 10\033[0m\n" in out) == colored
    assert ("\033[31m- batch_norm" in out) == colored
    assert ("\033" in out) == colored


def test_errors_are_of_the_spec_that_has_them(capsys):
    assert main(["diff", "xception", "xceptoin"]) == 1
    assert "did you mean 'xception'" in capsys.readouterr().err
    assert main(["diff", "xception", "--set", "clases=1"]) == 1
