"""What is read of a run's folder, whatever stands in it."""

from __future__ import annotations

import json
import os
import random

import pytest

from tests.report.folders import ABOUT, LINES, evaluated, trained, write_run
from xgraph.report import runs
from xgraph.report.runs import About, Entry, RunError, distinct, read_runs


def read(path):
    [run] = read_runs([str(path)])
    return run


def test_a_run_is_read(tmp_path):
    run = read(write_run(tmp_path / "first"))
    assert run.name == "first"
    assert run.remarks == ()
    assert len(run.entries) == len(LINES)
    assert run.training[0] == Entry(
        50, 0.5, 25.0, None, {"loss": 2.0, "learning_rate": 0.1, "images_per_second": 64.0}
    )
    assert run.evaluations[-1] == Entry(200, 2.0, 100.0, "validation", {"loss": 0.5, "top1": 0.75})
    assert run.about == About("xception_mini", "PyTorch", "digits", 250_000, 19_017_792, 0, 32,
                              "float32")  # fmt: skip


def test_an_older_run_has_no_time_and_says_nothing_of_itself(tmp_path):
    lines = [{"step": 3, "epoch": 0.5, "loss": 1}]
    run = read(write_run(tmp_path / "old", lines, about=None))
    assert run.entries == (Entry(3, 0.5, None, None, {"loss": 1.0}),)
    assert run.about is None
    assert run.remarks == ()


DAMAGED = [
    '{"step": 70, "epoch": 0.',
    "",  # no line at all, so not counted
    "[1, 2]",
    "null",
    "step",
    "\x00\x1b[2J",
    "[" * 50_000,
    '{"step": ' + "9" * 5000 + "}",
    json.dumps({"loss": 1.0}),
    json.dumps({"step": -1}),
    json.dumps({"step": 1.5}),
    json.dumps({"step": True}),
    json.dumps({"step": "1"}),
    json.dumps({"step": float("nan")}),
    json.dumps({"step": 2**60}),
    json.dumps({"step": 1, "epoch": "half"}),
    json.dumps({"step": 1, "epoch": float("nan")}),
    json.dumps({"step": 1, "seconds": -1.0}),
    json.dumps({"step": 1, "seconds": 10**400}).replace("e+", "e"),
    json.dumps({"step": 1, "split": ["test"]}),
    json.dumps({"step": 1, **{f"m{index}": index for index in range(1000)}}),
]


@pytest.mark.parametrize("line", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_line_is_left_out_and_counted(tmp_path, line):
    path = write_run(tmp_path / "run", [LINES[0], line, LINES[1]])
    run = read(path)
    assert [entry.step for entry in run.entries] == [50, 100]
    told = f"{path}: 1 line is damaged and left out (line 2 of metrics.jsonl)"
    assert run.remarks == ((told,) if line else ())


def test_damaged_lines_are_counted_in_one_line(tmp_path):
    run = read(write_run(tmp_path / "run", [LINES[0], *DAMAGED, LINES[1]]))
    [told] = run.remarks
    assert told.endswith("20 lines are damaged and left out (the first is line 2 of metrics.jsonl)")


def test_bytes_that_are_no_text(tmp_path):
    path = write_run(tmp_path / "run", [LINES[0]])
    with open(f"{path}/metrics.jsonl", "ab") as file:
        file.write(b'{"step": 60, "loss\xff": 1}\n\xff\xfe\x00')
    run = read(path)
    assert len(run.entries) == 1
    assert "2 lines are damaged" in run.remarks[0]


def test_values_that_are_no_finite_numbers_are_left_out_and_counted(tmp_path):
    lines = [
        trained(1, float("nan")), trained(2, float("inf")), trained(3, 1e40), trained(4, "low"),
        trained(5, 1.0, learning_rate=None, device={"gpu": 0}), trained(6, True),
        trained(7, 10**400), evaluated(7, loss=2.0, top1=0.5),
    ]  # fmt: skip
    path = write_run(tmp_path / "run", lines)
    run = read(path)
    assert [entry.values.get("loss") for entry in run.entries] == [None] * 4 + [1.0, None, None, 2]
    assert run.remarks == (
        f"{path}: values that are no finite numbers below 1e30 are left out: loss (6), "
        "learning_rate (1), device (1)",
    )


def test_many_names_of_such_values_are_cut_short(tmp_path):
    lines = [{"step": 1, **{f"\x1b[3{index}m": None for index in range(20)}}]
    [told] = read(write_run(tmp_path / "run", lines)).remarks
    assert told.endswith(" and 15 more names")
    assert "\x1b" not in told


def test_entries_are_in_the_order_of_steps(tmp_path):
    lines = [trained(step, 1.0) for step in (50, 30, 40)]
    run = read(write_run(tmp_path / "run", lines))
    assert [entry.step for entry in run.entries] == [30, 40, 50]


def test_a_run_of_nothing(tmp_path):
    run = read(write_run(tmp_path / "run", []))
    assert run.entries == run.evaluations == run.remarks == ()


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ("{", "run.json is damaged, so what was trained is not known"),
        ("[]", "run.json is damaged, so what was trained is not known"),
        (json.dumps({**ABOUT, "parameters": "many", "spec": 3, "macs": -1, "recipe": None}),
         "run.json: of the wrong kind and left out: spec, parameters, macs"),
        (json.dumps({**ABOUT, "parameters": True, "batch_size": float("nan")}),
         "run.json: of the wrong kind and left out: parameters, batch_size"),
    ],
)  # fmt: skip
def test_what_was_trained_may_be_damaged(tmp_path, about, told):
    path = write_run(tmp_path / "run", about=None)
    (tmp_path / "run" / "run.json").write_text(about)
    run = read(path)
    assert run.remarks == (f"{path}: {told}",)
    assert run.about.parameters is None
    assert len(run.entries) == len(LINES)


def test_texts_of_a_run_are_printable_and_bounded(tmp_path):
    about = {**ABOUT, "spec": "\x1b[31m" + "x" * 1000, "framework": "a\u202eb"}
    run = read(write_run(tmp_path / "a\x1b[2J\nb", [evaluated(1, "\x1b\u2066" + "y" * 99)], about))
    texts = [run.name, run.about.spec, run.about.framework, run.evaluations[0].split]
    assert all(text.isprintable() and len(text) <= 40 for text in texts)


def test_what_is_no_run_is_a_line_each(tmp_path):
    good = write_run(tmp_path / "good")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    pipe = tmp_path / "pipe" / "metrics.jsonl"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    (tmp_path / "folder" / "metrics.jsonl").mkdir(parents=True)
    names = ["absent", "empty", "file", "pipe", "folder"]
    with pytest.raises(RunError) as error:
        read_runs([good, *(str(tmp_path / name) for name in names), "null\0"])
    what = "a run is the folder that train.py --output names"
    assert list(error.value.lines) == [
        f"{tmp_path}/absent: there is no such folder; {what}",
        f"{tmp_path}/empty: no metrics.jsonl is in it; a run is what train.py --output names",
        f"{tmp_path}/file: it is not a folder; {what}",
        f"{tmp_path}/pipe: metrics.jsonl is not a regular file",
        f"{tmp_path}/folder: metrics.jsonl is not a regular file",
        f"null·: there is no such folder; {what}",
    ]


def test_a_log_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "MAX_BYTES", 1024 * 1024)
    path = write_run(tmp_path / "run", ["x" * 1024 * 1024])
    with pytest.raises(RunError, match=r"metrics.jsonl is larger than 1 MiB, which no log is$"):
        read(path)


def test_a_line_that_is_too_long(tmp_path):
    line = json.dumps({**LINES[1], "note": "x" * 70_000})
    run = read(write_run(tmp_path / "run", [LINES[0], line]))
    assert len(run.entries) == 1
    assert "1 line is damaged" in run.remarks[0]


def test_names_are_as_short_as_they_can_be():
    assert distinct(["/a/one", "/a/two"]) == ["one", "two"]
    assert distinct(["/a/x/run", "/a/y/run", "/a/other"]) == ["x/run", "y/run", "other"]
    assert distinct(["/x/run", "/a/x/run"]) == ["/x/run", "a/x/run"]
    assert distinct(["/"]) == ["/"]


def test_a_run_given_twice_is_one(tmp_path, monkeypatch):
    write_run(tmp_path / "b")
    write_run(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    assert [run.path for run in read_runs(["b", "a", "./b", str(tmp_path / "a")])] == ["b", "a"]


def test_any_bytes(tmp_path):
    """Whatever a log is made of, it is read or refused."""
    dice = random.Random(0)
    whole = "".join(json.dumps(line) + "\n" for line in LINES).encode()
    for case in range(200):
        data = bytearray(whole)
        for _ in range(dice.randrange(1, 20)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        folder = tmp_path / str(case)
        folder.mkdir()
        (folder / "metrics.jsonl").write_bytes(data)
        run = read(folder)
        assert len(run.entries) <= data.count(b"\n") + 1
        assert all(line.isprintable() for line in run.remarks)
