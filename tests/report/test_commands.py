"""`xgraph plot` and `xgraph table`: output, exit status, and what they import."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.report.folders import LINES, older, write_run
from xgraph.cli import main


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "first")
    write_run(tmp_path / "old", [*older(), '{"step"'], about=None)

    def command(*words):
        try:
            status = main(words)
        except SystemExit as stop:
            status = stop.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def test_plot(run, tmp_path):
    status, out, err = run("plot", "first", "old", "-o", "figure.svg")
    assert (status, out) == (0, "figure.svg: loss, top-1 accuracy of first, old\n")
    assert err == "xgraph: old: 1 line is damaged and left out (line 7 of metrics.jsonl)\n"
    assert (tmp_path / "figure.svg").read_text().startswith("<?xml")


def test_plot_takes_what_it_says(run, tmp_path):
    told = run("plot", "first", "--x", "time", "--metric", "loss", "--metric", "learning_rate",
               "--smooth", "0.9", "--log")  # fmt: skip
    assert told == (0, "runs.png: loss, learning rate of first\n", "")
    assert (tmp_path / "runs.png").read_bytes().startswith(b"\x89PNG")


def test_plot_of_groups(run, tmp_path):
    for seed, name in enumerate(["a/0", "a/1", "b/0"]):
        write_run(tmp_path / name, [{**line, "loss": line["loss"] + seed} for line in LINES])
    told = run("plot", "a/0", "b/0", "a/1", "--group", "-o", "groups.svg")
    assert told == (0, "groups.svg: loss, top-1 accuracy of a, b\n", "")
    assert "from the least to the greatest" in (tmp_path / "groups.svg").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("plot no -o a.png", ["no: there is no such folder; a run is the folder that train.py "
                              "--output names"]),
        ("plot first no no2", ["no: there is no such folder; a run is the folder that train.py "
                               "--output names",
                               "no2: there is no such folder; a run is the folder that train.py "
                               "--output names"]),
        ("plot first -o a.pdf", ["a.pdf: the name of a figure ends in .png or .svg"]),
        ("plot first --metric lose", ["no run logs 'lose'; did you mean 'loss'?"]),
        ("table no", ["no: there is no such folder; a run is the folder that train.py --output "
                      "names"]),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_a_line_each(run, tmp_path, words, told):
    before = sorted(tmp_path.iterdir())
    assert run(*words.split()) == (1, "", "".join(f"xgraph: {line}\n" for line in told))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "words",
    ["plot", "table", "plot first --smooth 1", "plot first --smooth nan", "plot first --x days",
     "plot first --smooth x", "table first --json --markdown"],
)  # fmt: skip
def test_usage(run, words):
    status, out, err = run(*words.split())
    assert (status, out) == (2, "")
    assert err.startswith("usage: ")


def test_table(run):
    status, out, err = run("table", "first", "old")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[2:4]] == ["first", "old"]
    assert err == (
        "xgraph: old: 1 line is damaged and left out (line 7 of metrics.jsonl)\n"
        "xgraph: old: its log has no 'seconds', so its time is not known; without a run.json, its "
        "network and parameters are not known\n"
    )
    assert run("table", "first", "--markdown")[1].startswith("| run | network |")


def test_table_as_json(run):
    status, out, err = run("table", "first", "old", "--json")
    assert (status, err) == (0, "")
    first, old = json.loads(out)
    assert (first["name"], first["seconds"]) == ("first", 100.0)
    assert old["remarks"] == ["old: 1 line is damaged and left out (line 7 of metrics.jsonl)"]
    status, out, err = run("table", "no", "--json")
    assert (status, err) == (1, "")
    assert json.loads(out)["ok"] is False
    assert len(json.loads(out)["errors"]) == 1


def test_a_log_of_which_nothing_is_left(run, tmp_path):
    write_run(tmp_path / "broken", ["{", "{"])
    assert run("plot", "broken") == (
        1, "",
        "xgraph: broken: 2 lines are damaged and left out (the first is line 1 of metrics.jsonl)\n"
        "xgraph: there is nothing to draw yet: no run has logged a value\n",
    )  # fmt: skip
    status, out, err = run("table", "broken")
    assert status == 0
    assert "broken" in out
    assert err.endswith("xgraph: broken: nothing is logged yet\n")


def test_names_of_strangers(run, tmp_path):
    """Nothing of a path or a log drives the terminal."""
    path = write_run(
        tmp_path / "\x1b[31m\udcffrun", [{**LINES[2], "split": "\x1b[2J", "\x1b[2Jx": None}],
        {"spec": "\x1b]0;title\x07"},
    )  # fmt: skip
    for words in (["plot", path, "-o", "a\x1b.png"], ["table", path], ["table", path, "--json"],
                  ["table", path, "--markdown"], ["plot", path, "--metric", "\x1b"]):  # fmt: skip
        status, out, err = run(*words)
        assert status == (1 if "--metric" in words else 0)
        assert not [c for c in out + err if not (c.isprintable() or c == "\n")]


def test_plot_without_matplotlib(run, tmp_path):
    code = (
        "import sys; from xgraph.cli import main\n"
        "sys.modules['matplotlib'] = None\n"
        "sys.exit(main(['plot', 'first']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "xgraph: plot needs matplotlib: pip install 'xgraph[plot]'\n"


def test_a_table_imports_no_numpy_and_a_plot_no_framework(run, tmp_path):
    code = (
        "import sys; from xgraph.cli import main\n"
        "frameworks = {'networkx', 'torch', 'tensorflow', 'keras', 'jax', 'matplotlib.pyplot'}\n"
        "main(['table', 'first'])\n"
        "heavy = (frameworks | {'numpy', 'matplotlib'}) & sys.modules.keys()\n"
        "main(['plot', 'first'])\n"
        "heavy |= frameworks & sys.modules.keys()\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
