"""Generated programs run as a user runs them."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.training.test_data import write_folder

from .conftest import RECIPE, Program, log_lines, render


def without_speed(lines: list[dict]) -> list[dict]:
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "numpy") as file:
        return file.metadata()


def same(a: Path, b: Path) -> bool:
    """Whether two files hold the same bits."""
    one, other = load_file(a), load_file(b)
    return (
        metadata(a) == metadata(b)
        and one.keys() == other.keys()
        and all(np.array_equal(one[name], other[name]) for name in one)
    )


@pytest.fixture(scope="module")
def whole_run(program: Program, tmp_path_factory) -> Path:
    """An epoch of 64 steps and six more, never stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    program.call("--synthetic", "--output", run, "--workers", 0, "--max-steps", 70)
    return run


def test_it_learns_and_logs(whole_run: Path) -> None:
    lines = log_lines(whole_run)
    steps = [line for line in lines if "learning_rate" in line]
    assert [line["step"] for line in steps] == [*range(5, 71, 5)]
    assert steps[-1]["loss"] < 0.4 * steps[0]["loss"]
    assert [line["learning_rate"] for line in steps[11:]] == [0.05, 0.025, 0.025]
    evaluations = [line for line in lines if "top1" in line]
    assert [line["step"] for line in evaluations] == [64, 70]
    assert evaluations[-1]["top1"] > 0.7
    assert set(evaluations[0]) == {"step", "epoch", "split", "loss", "top1", "top5"}
    assert sorted(p.name for p in whole_run.iterdir()) == [
        "checkpoint.safetensors",
        "metrics.jsonl",
        "weights.safetensors",
    ]


def wait_for_step(process, run: Path, step: int) -> None:
    deadline = time.monotonic() + 60
    path = run / "metrics.jsonl"
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        time.sleep(0.002)
    raise AssertionError(process.communicate()[1])


def test_a_killed_run_continues_to_the_same_bits(
    program: Program, whole_run: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    common = ["--synthetic", "--output", run, "--max-steps", 70, "--resume", "auto"]
    arguments = [*common, "--workers", 1]

    process = program.start(*arguments)
    wait_for_step(process, run, 20)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 69, "lo')  # a line cut short

    process = program.start(*arguments, start_new_session=True)
    wait_for_step(process, run, 40)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped at step" in out

    program.call(*common, "--workers", 2)
    for name in ("checkpoint.safetensors", "weights.safetensors"):
        assert same(run / name, whole_run / name)
    assert without_speed(log_lines(run)) == without_speed(log_lines(whole_run))


def test_a_finished_run_has_nothing_to_do(program: Program, whole_run: Path, capsys) -> None:
    before = (whole_run / "metrics.jsonl").read_text()
    program.call("--synthetic", "--output", whole_run, "--max-steps", 70, "--resume", "auto")
    assert "steps 70 to 70" in capsys.readouterr().out
    assert (whole_run / "metrics.jsonl").read_text() == before


def test_evaluation_alone(program: Program, whole_run: Path, capsys) -> None:
    last = log_lines(whole_run)[-1]
    expected = f"test, 64 images: loss {last['loss']:.4f}, top1 {last['top1']:.4f}"
    program.call("--synthetic", "--evaluate", "--output", whole_run)
    assert expected in capsys.readouterr().out
    weights = whole_run / "weights.safetensors"
    program.call("--synthetic", "--evaluate", "--weights", weights, "--batch-size", 60)
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_other_precisions(program: Program, tmp_path: Path, precision: str) -> None:
    run = tmp_path / "run"
    common = ["--synthetic", "--output", run, "--workers", 0, "--precision", precision]
    program.call(*common, "--max-steps", 10)
    program.call(*common, "--max-steps", 20, "--resume", "auto")
    losses = [line["loss"] for line in log_lines(run) if "learning_rate" in line]
    assert sum(losses[-2:]) < sum(losses[:2])
    assert load_file(run / "weights.safetensors")["stem.kernel"].dtype == np.float32


def test_an_image_folder(program: Program, tmp_path: Path, capsys) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "test"))
    run = tmp_path / "run"
    program.call("--data", folder, "--output", run, "--epochs", 1, "--batch-size", 5)
    out = capsys.readouterr().out
    assert "2 steps per epoch (2 images that fill no batch are left out of each)" in out
    assert log_lines(run)[-1]["split"] == "test"


@pytest.mark.parametrize("split", ["train", "val"])
def test_corrupt_images_end_in_one_line(
    program: Program, tmp_path: Path, split: str, capfd
) -> None:
    images = write_folder(tmp_path / "images")
    for name in ("bee/1.png", "cat/2.png"):
        (images / split / name).write_bytes(b"broken")
    arguments = ["--data", images, "--output", tmp_path / "run", "--workers", 2]
    with pytest.raises(SystemExit) as caught:
        program.call(*arguments)
    image = rf"{re.escape(str(images))}/{split}/(bee/1|cat/2)\.png is not a readable image \(.*\)"
    assert re.fullmatch(f"error: {image}; no more than 1 may be unreadable", str(caught.value))
    said = capfd.readouterr().err
    assert re.search(f"^{image}: another image takes its place$", said, re.MULTILINE)
    assert "Traceback" not in said
    assert not (tmp_path / "run/checkpoint.safetensors").exists()


def test_mistakes_end_in_one_line(program: Program, whole_run: Path, tmp_path: Path) -> None:
    only_val = write_folder(tmp_path / "val_only", splits=("val",))
    three = write_folder(tmp_path / "three", classes=("a", "b", "c"))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"PK broken")
    checkpoint, other = whole_run / "checkpoint.safetensors", tmp_path / "other.safetensors"
    arrays = load_file(checkpoint)
    save_file({**arrays, "model.stem.kernel": np.zeros(1)}, other, metadata(checkpoint))
    more = tmp_path / "more.safetensors"
    save_file({**arrays, "model.x": np.zeros(1)}, more, metadata(checkpoint))
    new = ["--output", tmp_path / "new"]
    continued = ["--synthetic", "--output", whole_run, "--resume", "auto"]
    cases = [
        (["--data", tmp_path / "nowhere", *new], "there is no folder"),
        (["--data", tmp_path, *new], "expected train/<class>"),
        (["--data", three, *new], "has 3 classes, the model 4"),
        (["--data", only_val, *new], "has no training images"),
        (["--synthetic", "--output", whole_run], "--resume auto to continue it"),
        ([*continued, "--seed", 1], "is of a run with seed 0, not 1"),
        ([*continued, "--batch-size", 8], "is of a run with batch_size 16, not 8"),
        (["--synthetic", *new, "--resume", broken], "is not a checkpoint of this program"),
        (
            ["--synthetic", *new, "--resume", whole_run / "weights.safetensors"],
            "is not a checkpoint of this program",
        ),
        (["--synthetic", *new, "--resume", other], "is of another model"),
        (["--synthetic", *new, "--resume", more], "is of another model"),
        (["--synthetic", *new, "--resume", tmp_path / "no"], "there is no checkpoint"),
        (["--synthetic", *new, "--evaluate"], "there is no checkpoint"),
        (["--synthetic", *new, "--weights", broken], "is not a safetensors file"),
        (["--synthetic", *new, "--weights", tmp_path / "none"], "none"),
        (["--synthetic", "--output", broken], "broken.safetensors"),
        (["--synthetic", *new, "--device", "cuda"], "no CUDA device"),
    ]
    for arguments, message in cases:
        with pytest.raises(SystemExit) as caught:
            program.call(*arguments)
        assert str(caught.value).startswith("error: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--synthetic", "--data", "x"],
        ["--synthetic", "--seed", "-1"],
        ["--synthetic", "--batch-size", "0"],
        ["--synthetic", "--precision", "float8"],
    ],
)
def test_wrong_arguments(program: Program, capsys, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.call(*arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_diverging_run_stops(tmp_path: Path) -> None:
    text = RECIPE.replace("initial: 0.05", "initial: 1e30")
    program = Program(render(tmp_path / "keras", text))
    with pytest.raises(SystemExit, match="at step 5; try a lower learning rate"):
        program.call("--synthetic", "--output", tmp_path / "run", "--workers", 0)
