"""How the experiments are run: what is done is left alone, what was stopped goes on.

The programs here only pretend to train; the real ones are for `pytest -m slow`.
"""

from __future__ import annotations

import gzip
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.paper import __main__, page, results, training
from benchmarks.paper.experiments import ARMS, EXPERIMENTS, HERE

ROOT = HERE.parents[1]
#: It writes as a train.py does, an epoch at a time, as many as the file `epochs` says for now.
PROGRAM = '''
"""A program that trains nothing."""
import json, pathlib, signal, sys, time
EPOCHS = 3
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
assert given["--resume"] == "auto" and given["--workers"] == "0" and given["--device"] == "cpu"
data, output = pathlib.Path(given["--data"]), pathlib.Path(given["--output"])
seed = int(given["--seed"])
with (data / "order").open("a") as order:
    order.write(f"{pathlib.Path.cwd().name} {seed}\\n")
if (data / "broken").exists():
    sys.exit("error: broken")
about = {"network": "n", "recipe": "r", "image_settings": "i", "parameters": 100, "images": 256,
         "batch_size": 256, "epochs": EPOCHS, "device": "cpu", "seed": seed}
(output / "run.json").write_text(json.dumps(about))
log = output / "metrics.jsonl"
done = sum("split" in line for line in log.read_text().splitlines()) if log.exists() else 0
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
for epoch in range(done + 1, EPOCHS + 1):
    while (data / "hold").exists() and epoch == 2:
        time.sleep(0.01)
    line = {"step": epoch, "epoch": float(epoch), "seconds": 1.0, "loss": 1 / epoch}
    top1 = 0.5 + 0.1 * epoch + 0.01 * seed
    with log.open("a") as file:
        file.write(json.dumps({**line, "learning_rate": 0.1, "images_per_second": 1.0}) + "\\n")
        file.write(json.dumps({**line, "split": "test", "top1": top1}) + "\\n")
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Programs of Figure 9, and a folder for images, into which they write that they were run."""
    monkeypatch.setattr(training, "_POLL", 0.01)
    (tmp_path / "data").mkdir()
    for arm in EXPERIMENTS["figure9"].arms:
        program = tmp_path / "programs" / arm
        program.mkdir(parents=True)
        (program / "train.py").write_text(PROGRAM)
    return tmp_path


def run(folder, *words):
    fixed = ["--no-compile", "--device", "cpu", "--folder", str(folder)]
    return __main__.main(["figure9", *fixed, "--data", str(folder / "data"), *words])


def order(folder):
    return (folder / "data" / "order").read_text().splitlines()


def test_it_trains_gathers_and_draws(folder, capsys):
    assert run(folder, "--seeds", "2", "--jobs", "1") == 0
    assert order(folder) == ["xception 0", "no_residual 0", "xception 1", "no_residual 1"]
    printed = capsys.readouterr().out
    assert printed.startswith("4 of 4 runs to do, 1 at a time; about 19 minutes on as many CPU ")
    assert "no_residual, seed 1: 81.00 % of the test images" in printed
    assert page.table("figure9", folder) in printed
    assert (folder / "figure9.svg").read_text().startswith("<?xml")
    lines = [json.loads(line) for line in (folder / "figure9.jsonl").read_text().splitlines()]
    assert len(lines) == 4 * (1 + 2 * 3)
    assert [(line["arm"], line["seed"]) for line in lines if "parameters" in line] == [
        ("xception", 0), ("xception", 1), ("no_residual", 0), ("no_residual", 1)
    ]  # fmt: skip
    assert {name for line in lines for name in line} == {
        "arm", "seed", "network", "recipe", "image_settings", "parameters", "images", "batch_size",
        "epochs", "device", "step", "epoch", "split", "loss", "top1",
    }  # fmt: skip


def test_what_is_done_is_not_done_again(folder, capsys):
    assert run(folder, "--seeds", "1") == 0
    before = (folder / "figure9.jsonl").read_bytes()
    capsys.readouterr()
    assert run(folder, "--seeds", "2") == 0
    assert capsys.readouterr().out.startswith("2 of 4 runs to do")
    assert sorted(order(folder)[:2]) == ["no_residual 0", "xception 0"]
    assert sorted(order(folder)[2:]) == ["no_residual 1", "xception 1"]
    assert (folder / "figure9.jsonl").read_bytes().startswith(before.splitlines()[0])


def test_what_was_stopped_goes_on_and_only_whole_seeds_are_gathered(folder, capsys):
    assert run(folder, "--seeds", "1") == 0
    (folder / "data" / "hold").touch()
    assert run(folder, "--seeds", "2", "--minutes", "0.02", "--jobs", "2") == 0
    assert "stopped after 0.02 minutes; the same command goes on" in capsys.readouterr().out
    assert {one.seed for one in results.read("figure9", folder)} == {0}
    stopped = training.Run(ARMS["xception"], 1, folder)
    assert (stopped.evaluations(), stopped.done()) == (1, False)
    (folder / "data" / "hold").unlink()
    assert run(folder, "--seeds", "2") == 0
    assert stopped.done()
    assert [line["epoch"] for line in stopped.log() if "split" in line] == [1.0, 2.0, 3.0]
    assert [one.seed for one in results.read("figure9", folder)] == [0, 1, 0, 1]


def test_several_at_a_time_end_with_the_command(folder):
    """As at Ctrl-C: no run is left behind, and each has had the time to save."""
    (folder / "data" / "hold").touch()
    command = [sys.executable, "-m", "benchmarks.paper", "figure9", "--no-compile", "--device",
               "cpu", "--folder", str(folder), "--data", str(folder / "data"), "--jobs", "4",
               "--train-only", "--seeds", "2"]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    every = training.runs(EXPERIMENTS["figure9"].arms, 2, folder)
    while any(run.evaluations() < 1 for run in every):
        assert process.poll() is None
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.decode()) == (1, "stopped; the same command goes on\n")
    (folder / "data" / "hold").unlink()
    assert not any(run.done() for run in every)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "data" / "broken").touch(),
         "{run} has failed, see {folder}/runs/{arm}/0/output.txt"),
        (lambda folder: (folder / "data").rename(folder / "elsewhere"),
         "there is no folder {folder}/data: --data says where Fashion-MNIST is"),
        (lambda folder: (folder / "programs" / "no_residual" / "train.py").unlink(),
         "there is no program at {folder}/programs/no_residual: leave --no-compile out"),
    ],
    ids=["failed", "no-images", "no-program"],
)  # fmt: skip
def test_what_goes_wrong_is_a_line(folder, capsys, change, said):
    change(folder)
    assert run(folder, "--seeds", "1", "--jobs", "1") == 1
    names = {"folder": folder, "run": "xception, seed 0", "arm": "xception"}
    assert capsys.readouterr().err == said.format(**names) + "\n"


def test_a_run_of_another_program_is_not_taken_for_this_one(folder, capsys):
    assert run(folder, "--seeds", "1") == 0
    program = folder / "programs" / "xception" / "train.py"
    program.write_text(program.read_text() + "# changed\n")
    assert run(folder, "--seeds", "1") == 1
    assert capsys.readouterr().err == (
        f"{folder}/runs/xception/0 is a run of another program: delete it to train anew\n"
    )


def test_nothing_done_is_nothing_gathered(folder, capsys):
    (folder / "data" / "hold").touch()
    assert run(folder, "--seeds", "1", "--minutes", "0.005") == 1
    errors = capsys.readouterr().err
    assert errors == "figure9: not done yet: xception, seed 0, no_residual, seed 0\n"


def test_outcomes_are_of_the_last_epoch_and_compared_by_seed(folder):
    assert run(folder, "--seeds", "2") == 0
    first, other = results.outcomes("figure9", folder)
    assert (first.arm, first.parameters) == ("xception", 100)
    assert first.first == pytest.approx((60, 61))
    assert first.last == pytest.approx((80, 81))
    assert (other.ahead, other.more) == (0, (0.0, 0.0))
    row = page.table("figure9", folder).splitlines()[-1]
    assert row == (
        "| no_residual | 100 | 60.50 % | 80.50 % | 80.00, 81.00 | +0.00, with 0 of 2 seeds |"
    )


def test_a_program_that_cannot_be_compiled_is_said(tmp_path, monkeypatch):
    arm = training.Arm("wrong", "xception", 1, settings=("clases=3",))
    with pytest.raises(training.Failed, match=r"(?s)^wrong does not compile:.*XG803.*clases"):
        training.compile_programs([arm], tmp_path)


@pytest.mark.slow
def test_a_real_experiment_in_small(tmp_path):
    """Two networks and two seeds, on a few of random images, stopped and resumed."""
    data = tmp_path / "data"
    data.mkdir()
    random = np.random.default_rng(0)
    for name, count in (("train", 512), ("t10k", 40)):
        images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8).tobytes()
        labels = bytes(i % 10 for i in range(count))
        for kind, header, body in (
            ("images-idx3", struct.pack(">IIII", 0x803, count, 28, 28), images),
            ("labels-idx1", struct.pack(">II", 0x801, count), labels),
        ):
            path = data / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + body))
    words = ["budget", "--data", str(data), "--folder", str(tmp_path), "--device", "cpu"]
    words += ["--seeds", "2", "--jobs", "2"]
    assert __main__.main([*words, "--train-only", "--minutes", "0.25"]) == 0
    assert __main__.main(words) == 0
    found = results.outcomes("budget", tmp_path)
    assert [one.arm for one in found] == [*EXPERIMENTS["budget"].arms]
    assert all(len(one.last) == 2 for one in found)
    assert Path(tmp_path / "budget.svg").exists()
