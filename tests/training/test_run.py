"""The machine around training (run.py): its folder, checkpoints, log, signals and refusals.

It is one text for all frameworks. What depends on how a framework trains is tried in each of them,
what does not in PyTorch's program.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from xgraph.recipe.kinds import LEARNING_RATE

from ..turns import one_more
from .programs import (
    CHECKPOINT,
    FRAMEWORKS,
    LAST,
    PLAIN,
    RECIPE,
    SMALL,
    WEIGHTS,
    Program,
    about,
    changed,
    differing,
    log_lines,
    losses,
    render,
    wait_for_step,
    without_times,
)
from .test_data import write_folder

SYNTHETIC = ("--synthetic", "--workers", 0, "--max-steps", LAST)


@pytest.fixture
def torch(small: dict[str, Program]) -> Program:
    """PyTorch's program."""
    return small["torch"]


@pytest.fixture
def run(whole_runs: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the whole run by PyTorch's program, to be harmed."""
    return Path(shutil.copytree(whole_runs["torch"], tmp_path / "run"))


def altered(path: Path, to: Path, arrays: dict | None = None, **said: Any) -> Path:
    """A checkpoint that says something else of its run, or holds other arrays."""
    text = {**about(path), **said}
    save_file(load_file(path) if arrays is None else arrays, to, {"run": json.dumps(text)})
    return to


# What a run leaves


def test_it_learns_and_logs(framework: str, whole_runs: dict[str, Path]) -> None:
    run = whole_runs[framework]
    lines = log_lines(run)
    steps = [line for line in lines if "learning_rate" in line]
    assert [line["step"] for line in steps] == [*range(5, 71, 5)]
    assert steps[-1]["loss"] < 0.1 * steps[0]["loss"]
    assert [line["learning_rate"] for line in steps[11:14]] == [0.05, 0.025, 0.025]
    assert steps[-1]["epoch"] == round(70 / 64, 4)
    assert all(line["images_per_second"] > 0 for line in steps)
    seconds = [line["seconds"] for line in lines]
    assert seconds == sorted(seconds)
    evaluations = [line for line in lines if "top1" in line]
    assert [line["step"] for line in evaluations] == [64, 70]
    assert evaluations[-1]["top1"] > 0.95
    expected = {"step", "epoch", "seconds", "split", "loss", "top1", "top5"}
    assert set(evaluations[0]) == expected
    names = {path.name for path in run.iterdir()}
    own = {CHECKPOINT, WEIGHTS, "best.safetensors", "metrics.jsonl", "run.json", "lock"}
    assert names == own


def test_a_run_says_what_it_is(framework: str, whole_runs: dict[str, Path]) -> None:
    said = json.loads((whole_runs[framework] / "run.json").read_text())
    assert said["parameters"] == 916
    assert said["spec"] == "small"
    assert said["recipe"] == "try_out"
    assert (said["seed"], said["images"], said["batch_size"]) == (0, 1024, 16)
    assert said["framework"].startswith({"torch": "PyTorch", "keras": "Keras on tensorflow"}.get(
        framework, "Flax NNX"
    ))  # fmt: skip


def test_runs_of_all_frameworks_say_the_same(whole_runs: dict[str, Path]) -> None:
    """Facts, names, shapes and types of a checkpoint."""
    checkpoints = [whole_runs[name] / CHECKPOINT for name in FRAMEWORKS]
    assert len({json.dumps(about(path)["facts"]) for path in checkpoints}) == 1
    found = [
        {name: (array.shape, array.dtype.kind) for name, array in load_file(path).items()}
        for path in checkpoints
    ]
    assert found[0] == found[1] == found[2]
    assert "optimizer.momentum.classifier.kernel" in found[0]
    assert "ema.norm.moving_variance" in found[0]


# Stopped and resumed

#: Ends its process at a step of the log, or with a checkpoint half written, as `kill -9` would.
KILLED = """
import os, signal, run

def end():
    os.kill(os.getpid(), signal.SIGKILL)

write, replace = run.Log.write, os.replace

def log(self, **values):
    write(self, **values)
    if values["step"] == {step}:
        end()

def put(one, other):
    if {halfway} and str(other).endswith("checkpoint.safetensors"):
        if os.path.exists(other):
            end()
    replace(one, other)

run.Log.write, os.replace = log, put
"""


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_killed_run_continues_to_the_same_bits(
    name: str, small: dict[str, Program], whole_runs: dict[str, Path], tmp_path: Path, capsys
) -> None:
    program, whole, run = small[name], whole_runs[name], tmp_path / "run"
    script = KILLED.format(step=30, halfway=False)
    program.run(
        *("--synthetic", "--output", run, "--workers", 1), script=script, code=-signal.SIGKILL
    )
    assert about(run / CHECKPOINT)["step"] == 28
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 127, "lo')  # a line cut short

    program.call(*SYNTHETIC, "--output", run, "--workers", 2, "--resume", "auto")
    assert "steps 28 to 70" in capsys.readouterr().out
    for file in (CHECKPOINT, WEIGHTS, "best.safetensors"):
        assert differing(run / file, whole / file) == []
    assert without_times(run) == without_times(whole)
    assert (run / "metrics.jsonl.damaged").read_text() == '{"step": 127, "lo\n'


def test_killed_while_a_checkpoint_is_written(
    torch: Program, whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = (*SYNTHETIC, "--output", run)
    torch.run(*arguments, script=KILLED.format(step=-1, halfway=True), code=-signal.SIGKILL)
    assert about(run / CHECKPOINT)["step"] == 7
    torch.call(*arguments, "--resume", "auto")
    assert differing(run / CHECKPOINT, whole_runs["torch"] / CHECKPOINT) == []


def signalled_at(program: Program, step: int, number: int, monkeypatch) -> None:
    """This process gets a signal at a step of the log."""
    log = program.module("run").Log
    write = log.write

    def signalling(self, **values: Any) -> None:
        write(self, **values)
        if values["step"] == step:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(log, "write", signalling)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends(
    number: int,
    framework: str,
    small: dict[str, Program],
    whole_runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch,
    capsys,
) -> None:
    program, run = small[framework], tmp_path / "run"
    common = (*SYNTHETIC, "--output", run)
    with monkeypatch.context() as patched:
        signalled_at(program, 10, number, patched)
        assert program.ended(*common) == 128 + number
    stopped_at = about(run / CHECKPOINT)["step"]
    assert stopped_at in (10, 11)
    assert f"stopped at step {stopped_at}; --resume auto continues" in capsys.readouterr().out
    assert (run / WEIGHTS).exists()
    if number == signal.SIGTERM:
        program.call(*common, "--resume", "auto", "--max-steps", LAST)
        assert differing(run / CHECKPOINT, whole_runs[framework] / CHECKPOINT) == []


def test_a_group_is_told_to_end(torch: Program, tmp_path: Path) -> None:
    """As a shell's Ctrl-C or a cluster does: loading processes get the signal, too."""
    run = tmp_path / "run"
    arguments = ("--synthetic", "--output", run, "--workers", 2, "--epochs", 500)
    process = torch.start(*arguments, start_new_session=True)
    wait_for_step(process, run, 10)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "stopped at step" in out
    assert "Traceback" not in err


#: Which says what processes a program has started; no other system has it in files.
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


def processes_of(process: subprocess.Popen[str]) -> list[int]:
    """The loading processes that a program has started."""
    tasks = Path(f"/proc/{process.pid}/task")
    return [int(n) for task in tasks.iterdir() for n in (task / "children").read_text().split()]


@ON_LINUX
def test_all_processes_are_told_to_end(torch: Program, tmp_path: Path) -> None:
    """As a cluster tells a job: each one of them, and training last."""
    run = tmp_path / "run"
    process = torch.start("--synthetic", "--output", run, "--workers", 2, "--epochs", 500)
    wait_for_step(process, run, 10)
    children = processes_of(process)
    assert len(children) >= 2
    for pid in (*children, process.pid):
        os.kill(pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "stopped at step" in out
    assert "Traceback" not in err


@ON_LINUX
def test_a_loading_process_that_dies_ends_the_run(torch: Program, tmp_path: Path) -> None:
    """Where memory is short, systems kill one of them."""
    run = tmp_path / "run"
    process = torch.start("--synthetic", "--output", run, "--workers", 2, "--epochs", 500)
    wait_for_step(process, run, 10)
    os.kill(processes_of(process)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    said = err.replace("\r", "\n").splitlines()[-1]
    assert said == "error: a loading process has ended, by SIGKILL: is memory short?"
    assert "Traceback" not in err


#: Loading takes for ever after the first batches of each process that loads.
SLOW = """
import data, os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
batch, training = data.Dataset.batch, os.getpid()

def slow(self, keys, made=[]):
    made.append(keys)
    if os.getpid() != training and len(made) > {first}:
        open(f"{loads}{{os.getpid()}}", "w").close()
        time.sleep(600)
    return batch(self, keys)

data.Dataset.batch = slow
"""


def wait_for_end(pids: list[int]) -> None:
    """Until none of these processes is left."""
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@ON_LINUX
def test_ctrl_c_does_not_wait_for_images(torch: Program, tmp_path: Path) -> None:
    """Loading processes that heed no signal of others heed their own program's."""
    torch.call(*SYNTHETIC, "--output", tmp_path / "run", "--max-steps", 1)
    arguments = ("--synthetic", "--evaluate", "--output", tmp_path / "run", "--workers", 2)
    loads = tmp_path / "loads"
    process = torch.start(*arguments, script=SLOW.format(first=0, loads=loads))
    while len(list(tmp_path.glob("loads*"))) < 2:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    pids = processes_of(process)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT, err
    assert "Traceback" not in err
    wait_for_end(pids)


@ON_LINUX
def test_loading_processes_of_a_dead_run_hold_no_folder(torch: Program, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ("--synthetic", "--output", run, "--workers", 2, "--resume", "auto")
    process = torch.start(*arguments, script=SLOW.format(first=8, loads=tmp_path / "loads"))
    wait_for_step(process, run, 10)
    while len(list(tmp_path.glob("loads*"))) < 2:  # before, each would see that the run is dead
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    pids = processes_of(process)
    process.kill()
    process.wait()  # and not for its pipes, which they hold
    assert all(Path(f"/proc/{pid}/cmdline").exists() for pid in pids)  # they load
    torch.run(*arguments, "--max-steps", 20)
    assert about(run / CHECKPOINT)["step"] == 20
    for pid in pids:  # now they heed it
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_for_end(pids)
    process.communicate()


def test_a_second_signal_ends_at_once(torch: Program, tmp_path: Path, monkeypatch) -> None:
    seen = []
    runs = torch.module("run").Run
    stop = runs.stop

    def noted(self, number: int, frame: object) -> None:
        stop(self, number, frame)
        seen.append(signal.getsignal(number))

    monkeypatch.setattr(runs, "stop", noted)
    signalled_at(torch, 5, signal.SIGTERM, monkeypatch)
    assert torch.ended(*SYNTHETIC, "--output", tmp_path / "run") == 128 + signal.SIGTERM
    assert seen == [signal.SIG_DFL]


def test_a_longer_run_continues_a_shorter_one(
    torch: Program, tmp_path: Path, whole_runs: dict[str, Path]
) -> None:
    run = tmp_path / "run"
    torch.call(*SYNTHETIC, "--output", run, "--max-steps", 20)
    torch.call(*SYNTHETIC, "--output", tmp_path / "other", "--resume", run)
    assert differing(tmp_path / "other" / CHECKPOINT, whole_runs["torch"] / CHECKPOINT) == []


def test_a_finished_run_has_nothing_to_do(
    framework: str, small: dict[str, Program], whole_runs: dict[str, Path], capsys
) -> None:
    run = whole_runs[framework]
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.name != "lock"}
    small[framework].call(*SYNTHETIC, "--output", run, "--resume", "auto")
    assert "steps 70 to 70" in capsys.readouterr().out
    after = {path.name: path.read_bytes() for path in run.iterdir() if path.name != "lock"}
    assert after == before


def test_starting_over(torch: Program, run: Path, whole_runs: dict[str, Path]) -> None:
    torch.call(*SYNTHETIC, "--output", run, "--resume", "never", "--max-steps", 3)
    assert [line["step"] for line in log_lines(run)] == [3, 3]
    assert about(run / CHECKPOINT)["step"] == 3


def test_a_run_that_starts_over_leaves_nothing_of_the_old(
    torch: Program, run: Path, monkeypatch
) -> None:
    """Neither a best nor a checkpoint that is another run's, wherever the new one ends."""
    monkeypatch.setattr(torch.module("run").Run, "after_update", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        torch.call(*SYNTHETIC, "--output", run, "--resume", "never")
    assert not {CHECKPOINT, WEIGHTS, "best.safetensors"} & {path.name for path in run.iterdir()}
    assert log_lines(run) == []


def test_the_best_weights_are_kept(torch: Program, tmp_path: Path, monkeypatch) -> None:
    """Those of the first of equals, and after a resume those of before."""
    run = tmp_path / "run"
    given = iter([0.5, 0.75, 0.75, 0.25])  # of the epochs, each of 8 steps
    saved = []
    training = torch.module("train").Training
    monkeypatch.setattr(training, "evaluate", lambda *_: {"loss": 1.0, "top1": next(given)})
    save = training.save_weights

    def saving(self, path: Path, **said: Any) -> None:
        save(self, path, **said)
        saved.append(path.name)

    monkeypatch.setattr(training, "save_weights", saving)
    common = (*SYNTHETIC, "--output", run, "--batch-size", 128)
    torch.call(*common, "--epochs", 4, "--max-steps", 16)
    assert saved == ["best.safetensors", "best.safetensors", WEIGHTS]
    assert about(run / CHECKPOINT)["best"] == 0.75
    saved.clear()
    torch.call(*common, "--epochs", 4, "--resume", "auto", "--max-steps", 32)
    assert saved == [WEIGHTS]


@pytest.mark.parametrize("keep", [1, 3])
def test_keep(keep: int, torch: Program, tmp_path: Path) -> None:
    run = tmp_path / "run"
    torch.call(*SYNTHETIC, "--output", run, "--max-steps", 30, "--keep", keep)
    kept = sorted(path.name for path in run.glob("checkpoint-*"))
    steps = [] if keep == 1 else [21, 28, 30]
    assert kept == [f"checkpoint-{step:09}.safetensors" for step in steps]
    assert about(run / CHECKPOINT)["step"] == 30
    if kept:
        assert differing(run / kept[-1], run / CHECKPOINT) == []
        torch.call(*SYNTHETIC, "--output", tmp_path / "other", "--resume", run / kept[0],
                   "--max-steps", 30)  # fmt: skip
        assert differing(tmp_path / "other" / CHECKPOINT, run / CHECKPOINT) == []


def test_learning_rate(torch: Program, tmp_path: Path) -> None:
    """The whole schedule is in proportion."""
    run = tmp_path / "run"
    torch.call(*SYNTHETIC, "--output", run, "--max-steps", 66, "--learning-rate", 0.02)
    rates = [line["learning_rate"] for line in log_lines(run) if "learning_rate" in line]
    assert rates[0] == 0.02
    assert rates[-1] == 0.01
    message = torch.refused(*SYNTHETIC, "--output", run, "--resume", "auto")
    assert "learning_rate was 0.02, not 0.05" in message


def test_evaluation_alone(
    framework: str, small: dict[str, Program], whole_runs: dict[str, Path], capsys
) -> None:
    run = whole_runs[framework]
    last = log_lines(run)[-1]
    expected = f"test, 64 images: loss {last['loss']:.4f}, top1 {last['top1']:.4f}"
    for chosen in (
        ("--output", run),
        ("--weights", run / WEIGHTS, "--batch-size", 60),
        ("--weights", whole_runs["torch" if framework != "torch" else "flax"] / WEIGHTS),
    ):
        small[framework].call(*SYNTHETIC, "--evaluate", *chosen)
        found = capsys.readouterr().out.splitlines()[-1]
        assert found.startswith("test, 64 images: loss ")
        if run in chosen or run / WEIGHTS in chosen:
            assert expected in found


def test_an_image_folder(framework: str, small: dict[str, Program], tmp_path: Path, capsys) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "test"))
    run = tmp_path / "run"
    small[framework].call(
        "--data", folder, "--output", run, "--epochs", 1, "--batch-size", 5, "--workers", 1
    )
    out = capsys.readouterr().out
    assert "2 steps per epoch (2 images that fill no batch are left out of each)" in out
    assert log_lines(run)[-1]["split"] == "test"


def test_nothing_held_out(torch: Program, tmp_path: Path, capsys) -> None:
    folder = write_folder(tmp_path / "images", splits=("train",))
    torch.call("--data", folder, "--output", tmp_path / "run", "--batch-size", 4, "--workers", 0)
    assert "has no validation images" in capsys.readouterr().out
    message = torch.refused(
        "--data", folder, "--evaluate", "--output", tmp_path / "run", "--workers", 0
    )
    assert "has no images to evaluate on: no val/ or test/" in message


# What is refused


@pytest.mark.parametrize("split", ["train", "val"])
def test_corrupt_images(
    split: str, framework: str, small: dict[str, Program], tmp_path: Path, capfd
) -> None:
    """One of twelve is replaced; two are more than may be unreadable."""
    images = write_folder(tmp_path / "images")
    for number in (1, 2):
        (images / split / f"bee/{number}.png").write_bytes(b"broken")
    message = small[framework].refused(
        "--data", images, "--output", tmp_path / "run", "--workers", 1, "--batch-size", 12
    )
    assert message.startswith(f"{images}/{split}/bee/")
    assert "is not a readable image (of no known form); no more than 1 may be" in message
    err = capfd.readouterr().err
    assert err.count("another image takes its place") == 1
    assert "Traceback" not in err
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_two_runs_in_one_folder(torch: Program, small: dict[str, Program], tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = torch.start("--synthetic", "--output", run, "--workers", 0, "--epochs", 500)
    try:
        wait_for_step(process, run, 10)
        before = (run / "run.json").read_bytes()
        for program in (torch, small["flax"]):
            for how in ("auto", "never"):
                message = program.refused(*SYNTHETIC, "--output", run, "--resume", how)
                assert message == f"another run is writing to {run}"
        assert process.poll() is None
        assert (run / "run.json").read_bytes() == before
    finally:
        process.kill()
        process.communicate()
    torch.call(*SYNTHETIC, "--output", run, "--resume", "never", "--max-steps", 1)


def test_damaged_lines_of_the_log(torch: Program, run: Path) -> None:
    path = run / "metrics.jsonl"
    whole = path.read_bytes()
    absurd = b"[" * 20000 + b"\n\xff\xfe\n"
    damaged = b'{"step": 12\n' + absurd + b'[1, 2]\n"x"\n{"loss": 1}\n{"step": "x"}\n'
    path.write_bytes(damaged[:12] + whole + damaged[12:] + b'{"step": 10000}\n')
    torch.call(*SYNTHETIC, "--output", run, "--resume", "auto")
    assert path.read_bytes() == whole
    assert (run / "metrics.jsonl.damaged").read_bytes() == damaged


def test_mistakes(torch: Program, run: Path, tmp_path: Path) -> None:
    only_val = write_folder(tmp_path / "val_only", splits=("val",))
    three = write_folder(tmp_path / "three", classes=("a", "b", "c"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"PK broken")
    new = ("--output", tmp_path / "new")
    continued = (*SYNTHETIC, "--output", run, "--resume", "auto")
    cases = [
        (["--data", tmp_path / "nowhere", *new], "there is no folder"),
        (["--data", tmp_path, *new], "expected train/<class>"),
        (["--data", three, *new], "has 3 classes, the model 4"),
        (["--data", only_val, *new], "has no training images"),
        ([*SYNTHETIC, "--output", run], "--resume auto to continue it, --resume never to start"),
        ([*continued, "--seed", 1], "is of another run: seed was 0, not 1"),
        ([*continued, "--batch-size", 8], "is of another run: batch_size was 16, not 8"),
        ([*continued, "--epochs", 3], "is of another run: epochs was 2, not 3"),
        ([*continued, "--learning-rate", 1], "learning_rate was 0.05, not 1.0"),
        ([*continued, "--max-steps", 60], "has taken 70 steps, here are 60"),
        ([*continued, "--weights", run / WEIGHTS], "has its own weights: leave --weights out"),
        ([*SYNTHETIC, *new, "--resume", broken], "is not a checkpoint of this program"),
        ([*SYNTHETIC, *new, "--resume", run / WEIGHTS], "is not a checkpoint of this program"),
        ([*SYNTHETIC, *new, "--resume", tmp_path / "no.pt"], "there is no checkpoint"),
        ([*SYNTHETIC, *new, "--resume", tmp_path], "there is no checkpoint"),
        ([*SYNTHETIC, *new, "--evaluate"], "there is no checkpoint"),
        ([*SYNTHETIC, *new, "--weights", broken], "is not a safetensors file"),
        ([*SYNTHETIC, *new, "--weights", tmp_path / "none"], "none"),
        ([*SYNTHETIC, "--output", broken], "broken.safetensors"),
    ]
    before = (run / CHECKPOINT).read_bytes()
    for arguments, message in cases:
        assert message in torch.refused(*arguments), arguments
    assert (run / CHECKPOINT).read_bytes() == before


def test_there_is_no_such_device(framework: str, small: dict[str, Program], tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    message = small[framework].refused(*SYNTHETIC, "--output", tmp_path / "run", "--device", "cuda")
    assert "no CUDA device here: leave --device out" in message


#: Recipes with which a run by `RECIPE` cannot go on, and what is said of it.
OTHERS = {
    "optimizer": ({"optimizer": {"sgd": {"momentum": 0.8}}}, "MOMENTUM was 0.9, not 0.8"),
    "regularization": ({"regularization": {"l2": 2e-3}}, "L2 was 0.001, not 0.002"),
    "no regularization": ({"regularization": None}, "L2 was 0.001, not None"),
    "average": ({"ema": {"decay": 0.8}}, "EMA_DECAY was 0.9, not 0.8"),
    "schedule": (
        {"schedule": {"exponential": {"initial": 0.05, "rate": 0.6, "every": {"epochs": 1}}}},
        "schedule was 0.05, times 0.5 every 1 epoch, not 0.05, times 0.6 every 1 epoch",
    ),
    "clip": ({"clip": {"norm": 1.0}}, "CLIP_NORM was None, not 1.0"),
    "images": ({"images": {"normalize": "unit"}}, "image_settings was "),
    "precision": ({"precision": "bfloat16"}, "precision was float32, not bfloat16"),
    "another optimizer": ({"optimizer": {"adam": {}}}, "BETA1 was None, not 0.9"),
}


@pytest.mark.parametrize("which", OTHERS)
def test_another_recipe(which: str, run: Path, tmp_path: Path) -> None:
    sections, message = OTHERS[which]
    other = Program(render(tmp_path / "other", changed(RECIPE, **sections), spec=SMALL))
    assert message in other.refused(*SYNTHETIC, "--output", run, "--resume", "auto")


@pytest.mark.parametrize("loss", [0.1, 0.2])
def test_another_loss(loss: float, run: Path, tmp_path: Path) -> None:
    recipe = changed(RECIPE, loss={"softmax_cross_entropy": loss})
    other = Program(render(tmp_path / "other", recipe, spec=SMALL))
    message = other.refused(*SYNTHETIC, "--output", run, "--resume", "auto")
    assert f"LABEL_SMOOTHING was None, not {loss}" in message


NETWORKS = {
    "another rate of dropout": ("rate: 0.2", "rate: 0.3", "network was "),
    "another momentum": ("momentum: 0.9", "momentum: 0.8", "network was "),
    "another name": ("name: small", "name: other", "spec was small, not other"),
}


@pytest.mark.parametrize("which", NETWORKS)
def test_another_network(which: str, run: Path, tmp_path: Path) -> None:
    old, new, message = NETWORKS[which]
    other = Program(render(tmp_path / "other", spec=SMALL.replace(old, new, 1)))
    assert message in other.refused(*SYNTHETIC, "--output", run, "--resume", "auto")


HOSTILE = [
    ({"step": "7"}, "its step is '7'"),
    ({"step": 10**12}, "has taken 1,000,000,000,000 steps, here are 70"),
    ({"step": 10**30}, "its step is 1000"),
    ({"step": -5}, "its step is -5"),
    ({"step": 7.5}, "its step is 7.5"),
    ({"step": True}, "its step is True"),
    ({"step": None}, "its step is None"),
    ({"step": [7]}, r"its step is [7]"),
    ({"facts": [1, 2]}, "its format is another"),
    ({"facts": {}}, "is of another run"),
    ({"facts": None}, "its format is another"),
    ({"format": 1}, "its format is another"),
    ({"best": "x"}, "its figures are none"),
    ({"best": [1]}, "its figures are none"),
    ({"seconds": None}, "its figures are none"),
    ({"seconds": {"a": 1}}, "its figures are none"),
    ({"seconds": 10**400}, "int too large"),
    ({"best": float("nan")}, "its figures are none"),
    ({"best": 10**400}, "int too large"),
    ({"stale": -5}, "its figures are below 0"),
    ({"seconds": -1e300}, "its figures are below 0"),
]


@pytest.mark.parametrize(("said", "message"), HOSTILE, ids=lambda text: str(text)[:30])
def test_a_checkpoint_says_nonsense(
    said: dict, message: str, torch: Program, whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    path = altered(whole_runs["torch"] / CHECKPOINT, tmp_path / "c.safetensors", **said)
    assert message in torch.refused(*SYNTHETIC, "--output", tmp_path / "run", "--resume", path)
    assert not (tmp_path / "run/metrics.jsonl").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "null",
        "{}",
        '"x"',
        "{",
        "[" * 20000,
        '{"step": 1}',
        '{"step": 1, "facts": {}}',
    ],
    ids=lambda text: text[:12] or "nothing",
)
def test_a_checkpoint_says_nothing(
    text: str, torch: Program, whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    save_file(load_file(whole_runs["torch"] / CHECKPOINT), path, {"run": text})
    message = torch.refused(*SYNTHETIC, "--output", tmp_path / "run", "--resume", path)
    assert "is not a checkpoint of this program" in message


def _kernel(change) -> Any:
    def changing(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {**arrays, "model.classifier.kernel": change(arrays["model.classifier.kernel"])}

    return changing


ARRAYS = {
    "missing": (
        lambda a: {n: v for n, v in a.items() if n != "ema.norm.beta"},
        "is of another model or recipe: only this program has ema.norm.beta",
    ),
    "more": (
        lambda a: {**a, "optimizer.mean.x": np.zeros(1, np.float32)},
        "is of another model or recipe: only the checkpoint has optimizer.mean.x",
    ),
    "letters that act": (
        lambda a: {**a, "a\x1b[31m\nb": np.zeros(1, np.float32)},
        "only the checkpoint has a?[31m?b",
    ),
    "no count": (
        lambda a: {**a, "dropout.passes": np.array(2**64 - 1, np.uint64)},
        "its dropout.passes is no count",
    ),
    "shape": (_kernel(lambda a: a[:-1]), "its NAME is float32 (127, 4)"),
    "transposed": (
        _kernel(lambda a: a.T.copy()),
        "its NAME is float32 (4, 128)",
    ),
    "whole numbers": (
        _kernel(lambda a: a.astype(np.int32)),
        "its NAME is int32",
    ),
    "truth values": (_kernel(lambda a: a > 0), "its NAME is bool"),
    "other bytes": (
        _kernel(lambda a: a.astype(np.float64)),
        "its NAME is float64",
    ),
    "half": (_kernel(lambda a: a.astype(np.float16)), "its NAME is float16"),
    "none": (lambda a: {"x": np.zeros(1, np.float32)}, "is of another model or recipe"),
    "not finite": (
        _kernel(lambda a: np.full_like(a, np.nan)),
        " is not finite: try a lower --learning-rate",
    ),
}


@pytest.mark.parametrize("which", ARRAYS)
def test_a_checkpoint_holds_something_else(
    which: str, torch: Program, whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    change, message = ARRAYS[which]
    whole = whole_runs["torch"] / CHECKPOINT
    path = altered(whole, tmp_path / "c.safetensors", change(load_file(whole)), step=60)
    refused = torch.refused(*SYNTHETIC, "--output", tmp_path / "run", "--resume", path)
    assert message.replace("NAME", "model.classifier.kernel") in refused


@pytest.mark.parametrize("name", one_more(0))
def test_numbers_that_numpy_does_not_have(
    name: str, small: dict[str, Program], whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    program, path = small[name], tmp_path / "c.safetensors"
    content = (whole_runs[name] / CHECKPOINT).read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["model.stem.kernel"] |= {"dtype": "F8_E4M3", "shape": [4, 4, 4, 3, 8]}
    written = json.dumps(header).encode()
    path.write_bytes(len(written).to_bytes(8, "little") + written + content[8 + length :])
    message = program.refused(*SYNTHETIC, "--output", tmp_path / "run", "--resume", path)
    assert "is not a checkpoint of this program" in message
    with pytest.raises(SystemExit, match=r"is not a safetensors file|does not fit the model"):
        program.call(*SYNTHETIC, "--output", tmp_path / "run", "--weights", path)


@pytest.mark.parametrize("length", [0, 4, 8, 100, -1])
def test_a_checkpoint_is_cut_short(
    length: int, torch: Program, whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "c.safetensors"
    path.write_bytes((whole_runs["torch"] / CHECKPOINT).read_bytes()[:length])
    message = torch.refused(*SYNTHETIC, "--output", tmp_path / "run", "--resume", path)
    assert "is not a checkpoint of this program" in message


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--synthetic", "--data", "x"],
        ["--synthetic", "--seed", "-1"],
        ["--synthetic", "--seed", str(2**63)],
        ["--synthetic", "--batch-size", "0"],
        ["--synthetic", "--learning-rate", "0"],
        ["--synthetic", "--learning-rate", "nan"],
        ["--synthetic", "--learning-rate", "inf"],
        ["--synthetic", "--learning-rate", "1e300"],
        ["--synthetic", "--learning-rate", "1e-60"],
        ["--synthetic", "--keep", "0"],
        ["--synthetic", "--precision", "float16"],
        ["--synthetic", "--tensorboard", "--evaluate"],
        ["--predict", "x", "--tensorboard"],
        ["--predict", "x", "--evaluate"],
        ["--predict", "x", "--resume", "auto"],
        ["--synthetic", "--evaluate", "--check-data"],
        ["--synthetic", "--evaluate", "--resume", "run"],
        ["--synthetic", "--check-data", "--weights", "x"],
        ["--synthetic", "--confusion", "x"],
        ["--synthetic", "--jsonl"],
        ["--synthetic", "--evaluate", "--top", "3"],
    ],
    ids=" ".join,
)
def test_wrong_arguments(torch: Program, capsys, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        torch.call(*arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_micro_batches_are_equal(tmp_path: Path) -> None:
    """Of a batch that holds all images, too, where there are fewer than it would."""
    recipe = changed(RECIPE, accumulation=4)
    program = Program(render(tmp_path / "torch", recipe, "torch", spec=SMALL))
    options = ("--synthetic", "--workers", 0, "--output", tmp_path / "run")
    message = program.refused(*options, "--batch-size", 6)
    assert message == "6 images do not make 4 equal micro-batches"
    assert not (tmp_path / "run").exists()
    program.call(*options, "--batch-size", 2050, "--max-steps", 1)  # of 1,024 images


# What goes wrong under way


@pytest.mark.parametrize("name", one_more(1))
def test_a_diverging_run_stops(name: str, small: dict[str, Program], tmp_path: Path) -> None:
    """At the step with the first loss that is none, and no checkpoint holds it."""
    run = tmp_path / "run"
    message = small[name].refused(*SYNTHETIC, "--output", run, "--learning-rate", 9e19)
    assert message.startswith("the loss is ")
    step = int(message.split(" at step ")[1].split(",")[0])
    assert step <= 3
    assert " is not finite: try a lower --learning-rate" in message
    assert not (run / CHECKPOINT).exists()
    assert not (run / WEIGHTS).exists()


@pytest.mark.parametrize("name", one_more(2))
def test_the_greatest_numbers_end_in_a_line(name: str, tmp_path: Path) -> None:
    """Of PyTorch's optimizers, Adam divides the rate by the least number: by 1 − β₁."""
    text = changed(
        PLAIN,
        optimizer={"adamw": {"beta1": 0.9999999, "weight_decay": 3e38}},
        schedule={"constant": 9.9e19},
        tune={"rates": {"stem": 999_999}},
    )
    program = Program(render(tmp_path / "program", text, name, spec=SMALL))
    message = program.refused(*SYNTHETIC, "--output", tmp_path / "run")
    assert re.match("the loss is (nan|inf) at step [12], and model.* is not finite", message)


@pytest.mark.parametrize("name", one_more(3))
def test_what_the_last_update_leaves_is_looked_at(name: str, tmp_path: Path) -> None:
    """No loss has seen it yet."""
    text = changed(PLAIN, regularization={"decoupled": 1e30}, every={"checkpoint": {"steps": 1}})
    program = Program(render(tmp_path / "program", text, name, spec=SMALL))
    run = tmp_path / "run"
    message = program.refused(*SYNTHETIC, "--output", run, "--max-steps", 2)
    assert re.match(r"model\.\w+\.kernel is not finite after step 2: try a lower", message)
    assert about(run / CHECKPOINT)["step"] == 1
    assert all(np.isfinite(array).all() for array in load_file(run / CHECKPOINT).values())
    assert not (run / WEIGHTS).exists()


def test_a_loss_that_is_none_before_any_update(tmp_path: Path) -> None:
    """A lower rate is no help."""
    text = changed(PLAIN, images={"normalize": {"mean": [3e38] * 3, "std": [1] * 3}})
    program = Program(render(tmp_path / "program", text, spec=SMALL))
    assert program.refused(*SYNTHETIC, "--output", tmp_path / "run") == (
        "the loss is nan before any update: a number of the network, of the loss or of the "
        "images' normalization is too large"
    )


@pytest.mark.parametrize(("rate", "steps", "last"), [(1e6, 5, "1e+23"), (1e38, 11, "inf")])
def test_a_rate_that_grows_out_of_float32_is_refused(
    rate: float, steps: int, last: str, tmp_path: Path
) -> None:
    """Before the first step, and before there is a folder."""
    grows = {"exponential": {"initial": 0.1, "rate": rate, "every": {"steps": 1}}}
    program = Program(render(tmp_path / "program", changed(PLAIN, schedule=grows), spec=SMALL))
    run = ("--synthetic", "--workers", 0, "--output", tmp_path / "run", "--max-steps")
    assert program.refused(*run, steps) == (
        f"the learning rate grows to {last} at step {steps}: "
        "its schedule, or --epochs, must keep it below 1e+20"
    )
    assert not (tmp_path / "run").exists()
    program.call(*run, 1)
    assert LEARNING_RATE.high == program.module("run").HIGHEST_RATE


def test_a_run_that_diverges_late_keeps_its_checkpoint(
    torch: Program, run: Path, monkeypatch
) -> None:
    """The poisoned update is the one whose checkpoint is due."""
    training = torch.module("train").Training
    update = training.update

    def poisoned(self, step: int, images: Any, labels: Any, rate: float) -> Any:
        loss = update(self, step, images, labels, rate)
        return loss * float("nan") if step == 13 else loss

    monkeypatch.setattr(training, "update", poisoned)
    message = torch.refused(*SYNTHETIC, "--output", run, "--resume", "never")
    assert message == (
        "the loss is nan at step 14: try a lower --learning-rate; the last checkpoint is untouched"
    )
    assert about(run / CHECKPOINT)["step"] == 7
    assert losses(run) == losses(run)[:2]


def test_a_full_disk(torch: Program, tmp_path: Path) -> None:
    """No file may be larger than a log: the old checkpoint stays, and one line says why."""
    run = tmp_path / "run"
    common = ("--synthetic", "--output", run, "--workers", 0)
    torch.call(*common, "--max-steps", 7)
    before = (run / CHECKPOINT).read_bytes()
    limit = len(before) // 2
    script = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    )
    assert resource.RLIMIT_FSIZE is not None
    err = torch.run(*common, "--resume", "auto", script=script, code=1)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert lines == [f"error: {run}/{CHECKPOINT} cannot be written: File too large"], err
    assert "Traceback" not in err
    assert (run / CHECKPOINT).read_bytes() == before
    assert not list(run.glob(".*"))
    torch.call(*common, "--resume", "auto", "--max-steps", 14)
    with safe_open(run / CHECKPOINT, "numpy") as file:
        assert json.loads(file.metadata()["run"])["step"] == 14


def test_one_step_of_a_plain_recipe(framework: str, tmp_path: Path) -> None:
    """Without momentum, average, metrics or decay."""
    program = Program(render(tmp_path / framework, PLAIN, framework, spec=SMALL))
    run = tmp_path / "run"
    program.call(*SYNTHETIC, "--output", run, "--max-steps", 8)
    program.call(*SYNTHETIC, "--output", run, "--evaluate")
    others = {name for name in load_file(run / CHECKPOINT) if not name.startswith("model.")}
    assert others == {"dropout.passes"}
