"""The log for TensorBoard (event_file.py): what TensorBoard's own reader finds in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from .programs import Program, log_lines

COMMON = ("--synthetic", "--workers", 0)


@pytest.fixture
def torch(small: dict[str, Program]) -> Program:
    """PyTorch's program: it is one text for all frameworks."""
    return small["torch"]


def read(run: Path) -> EventAccumulator:
    """The event files of a run, all points of them."""
    return EventAccumulator(str(run / "tensorboard"), {"scalars": 0, "tensors": 0}).Reload()


def points(found: EventAccumulator) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by tag."""
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def logged(run: Path) -> dict[str, list[tuple[int, float]]]:
    """The same as metrics.jsonl has it, in the precision of event files."""
    expected: dict[str, list[tuple[int, float]]] = {}
    for line in log_lines(run):
        split = line.pop("split", "train")
        for name in line.keys() - {"step", "epoch", "seconds"}:
            if line[name] is not None:
                value = float(np.float32(line[name]))
                expected.setdefault(f"{split}/{name}", []).append((line["step"], value))
    return expected


def crash(program: Program, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program ends behind a line of the log, without a checkpoint."""
    log = program.module("run").Log
    write = log.write

    def crashing(self: Any, **values: Any) -> None:
        write(self, **values)
        if values["step"] == step:
            raise ZeroDivisionError

    monkeypatch.setattr(log, "write", crashing)


def test_it_says_what_the_log_says(torch: Program, tmp_path: Path, monkeypatch) -> None:
    run = tmp_path / "run"
    nan = {"loss": float("nan"), "top1": 0.5}
    monkeypatch.setattr(torch.module("train").Training, "evaluate", lambda *_: nan)
    torch.call(*COMMON, "--output", run, "--max-steps", 12, "--tensorboard")
    found = read(run)
    assert points(found) == logged(run)
    assert points(found).keys() == {
        "train/loss", "train/learning_rate", "train/images_per_second", "test/top1"
    }  # fmt: skip
    times = [event.wall_time for event in found.Scalars("train/loss")]
    seconds = [line["seconds"] for line in log_lines(run) if "learning_rate" in line]
    assert np.diff(times) == pytest.approx(np.diff(seconds), abs=1e-5)
    (event,) = found.Tensors("run")
    said = event.tensor_proto.string_val[0].decode()
    assert all(line.startswith("    ") for line in said.splitlines())
    assert json.loads(said) == json.loads((run / "run.json").read_text())


def test_a_run_that_goes_on_shows_each_step_once(
    torch: Program, tmp_path: Path, monkeypatch
) -> None:
    """Also to a TensorBoard that has looked on since before."""
    run = tmp_path / "run"
    arguments = (*COMMON, "--output", run, "--tensorboard")
    with monkeypatch.context() as patched:
        crash(torch, 20, patched)
        with pytest.raises(ZeroDivisionError):
            torch.call(*arguments)
    open_since_then = read(run)
    assert [step for step, _ in points(open_since_then)["train/loss"]] == [5, 10, 15, 20]
    for last in (24, 27):  # the checkpoint is of step 14
        torch.call(*arguments, "--resume", "auto", "--max-steps", last)
        assert points(read(run)) == logged(run)
        assert points(open_since_then.Reload()) == logged(run)
        assert len(read(run).Tensors("run")) == 1
    assert [step for step, _ in logged(run)["train/loss"]] == [5, 10, 15, 20, 24, 25, 27]


def test_it_may_be_asked_for_later_and_no_more(torch: Program, tmp_path: Path) -> None:
    """It then shows the run from its start; what begins anew leaves nothing of the old run."""
    run = tmp_path / "run"
    arguments = (*COMMON, "--output", run)
    torch.call(*arguments, "--max-steps", 7)
    assert not (run / "tensorboard").exists()
    torch.call(*arguments, "--max-steps", 9, "--resume", "auto", "--tensorboard")
    assert points(read(run)) == logged(run)
    assert [step for step, _ in logged(run)["train/loss"]] == [5, 7, 9]
    torch.call(*arguments, "--max-steps", 3, "--resume", "never")
    assert points(read(run)) == {}


def test_a_log_that_was_edited(torch: Program, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    kept = ['{"step": 5, "loss": 0.5, "top1": null}', '{"step": 7, "split": "val", "top1": 1}']
    huge = "1" + 400 * "0"
    edited = [
        '{"step": 2.5, "loss": 1}',
        f'{{"step": {huge}, "loss": 1}}',
        f'{{"step": 6, "loss": {huge}}}',
        '{"step": 6, "loss": "x", "name": [1]}',
        '{"step": 6, "seconds": "x", "loss": 1}',
        '{"step": 6, "split": "\\ud800", "a": 1}',
        '{"step": 6}',
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join([kept[0], *edited, kept[1]]))
    with torch.module("event_file").EventFile(tmp_path).opened(0.0):
        pass
    assert points(read(tmp_path)) == {"train/loss": [(5, 0.5)], "val/top1": [(7, 1.0)]}


def test_without_the_package(torch: Program, tmp_path: Path, monkeypatch) -> None:
    """Said before anything is read or written."""
    for name in ("tensorboard", "tensorboard.compat.proto.event_pb2"):
        monkeypatch.setitem(sys.modules, name, None)
    run = tmp_path / "run"
    message = torch.refused("--data", tmp_path / "nowhere", "--output", run, "--tensorboard")
    assert message == "--tensorboard needs the package tensorboard: pip install tensorboard"
    assert not run.exists()
    torch.call(*COMMON, "--output", run, "--max-steps", 1)


def test_it_loads_no_framework(torch: Program) -> None:
    script = (
        "import sys; from event_file import EventFile\n"
        "assert 'tensorboard' not in sys.modules; EventFile('run')\n"
        "assert 'tensorboard' in sys.modules\n"
        "assert not {'tensorflow', 'torch', 'jax', 'keras'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], cwd=torch.folder, check=True)
