"""Generated Flax programs run as a user runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from .conftest import RECIPE, Program, log_lines, render

CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"


def write_folder(root: Path, classes=("ant", "bee", "cat", "dog"), splits=("train", "val")) -> Path:
    rng = np.random.default_rng(0)
    for split in splits:
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(9):
                pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def without_speed(lines: list[dict]) -> list[dict]:
    return [{k: v for k, v in line.items() if k != "images_per_second"} for line in lines]


def facts(checkpoint: Path) -> dict:
    """The step and the run of a checkpoint."""
    with safe_open(checkpoint, "np") as file:
        return json.loads(file.metadata()["checkpoint"])


def assert_same_bits(one: Path, other: Path) -> None:
    a, b = load_file(one), load_file(other)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.fixture(scope="module")
def whole_run(program: Program, tmp_path_factory) -> Path:
    """Two epochs of 64 steps, never stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    program.run("--synthetic", "--output", run, "--workers", 0)
    return run


def test_it_learns_and_logs(whole_run: Path) -> None:
    lines = log_lines(whole_run)
    steps = [line for line in lines if "learning_rate" in line]
    assert [line["step"] for line in steps] == [*range(5, 129, 5), 128]
    assert steps[-1]["loss"] < 0.2 * steps[0]["loss"]
    assert [line["learning_rate"] for line in steps[11:14]] == [0.05, 0.025, 0.025]
    assert steps[-1]["epoch"] == 2
    evaluations = [line for line in lines if "top1" in line]
    assert [line["step"] for line in evaluations] == [64, 128]
    assert evaluations[-1]["top1"] > 0.95
    assert set(evaluations[0]) == {"step", "epoch", "split", "loss", "top1", "top5"}
    names = sorted(p.name for p in whole_run.iterdir())
    assert names == [CHECKPOINT, "metrics.jsonl", WEIGHTS]


def wait_for_step(process, run: Path, step: int) -> None:
    deadline = time.monotonic() + 60
    path = run / "metrics.jsonl"
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists() and f'"step": {step},' in path.read_text():
            return
        time.sleep(0.002)
    raise AssertionError(process.communicate()[1])


def test_a_killed_run_continues_to_the_same_bits(
    program: Program, whole_run: Path, tmp_path: Path, capsys
) -> None:
    run = tmp_path / "run"
    arguments = ["--synthetic", "--output", run, "--workers", 2, "--resume", "auto"]

    process = program.start(*arguments)
    wait_for_step(process, run, 30)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed_at = facts(run / CHECKPOINT)["step"]
    assert killed_at % 7 == 0
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"step": 127, "lo')  # a line cut short

    process = program.start(*arguments, start_new_session=True)
    wait_for_step(process, run, killed_at // 5 * 5 + 40)
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "stopped at step" in out

    program.call(*arguments)
    assert facts(run / CHECKPOINT) == facts(whole_run / CHECKPOINT)
    assert_same_bits(run / CHECKPOINT, whole_run / CHECKPOINT)
    assert_same_bits(run / WEIGHTS, whole_run / WEIGHTS)
    assert without_speed(log_lines(run)) == without_speed(log_lines(whole_run))

    capsys.readouterr()
    program.call(*arguments)
    assert "steps 128 to 128" in capsys.readouterr().out
    assert without_speed(log_lines(run)) == without_speed(log_lines(whole_run))


def test_dropout_goes_on_where_it_stopped(whole_run: Path) -> None:
    arrays = load_file(whole_run / CHECKPOINT)
    assert arrays["model.dropout.passes"] == 128


def test_a_longer_run_continues_a_shorter_one(program: Program, tmp_path: Path, whole_run) -> None:
    run = tmp_path / "run"
    common = ["--synthetic", "--output", run, "--workers", 0]
    program.call(*common, "--max-steps", 64)
    program.call(*common, "--resume", run)
    assert_same_bits(run / CHECKPOINT, whole_run / CHECKPOINT)


def test_evaluation_alone(program: Program, whole_run: Path, capsys) -> None:
    last = log_lines(whole_run)[-1]
    expected = f"test, 64 images: loss {last['loss']:.4f}, top1 {last['top1']:.4f}"
    program.call("--synthetic", "--evaluate", "--output", whole_run)
    assert expected in capsys.readouterr().out
    weights = whole_run / WEIGHTS
    program.call("--synthetic", "--evaluate", "--weights", weights, "--batch-size", 100)
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_other_precisions(program: Program, tmp_path: Path, precision: str) -> None:
    run = tmp_path / "run"
    common = ["--synthetic", "--output", run, "--workers", 0, "--precision", precision]
    program.call(*common, "--max-steps", 10)
    program.call(*common, "--max-steps", 20, "--resume", "auto")
    losses = [line["loss"] for line in log_lines(run) if "learning_rate" in line]
    assert losses[-1] < 0.7 * losses[0]
    arrays = load_file(run / CHECKPOINT)
    assert {array.dtype.name for array in arrays.values()} <= {"float32", "uint32", "int32"}
    assert ("scaling.scale" in arrays) == (precision == "float16")


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_training_where_jax_may_compute_in_float64(
    program: Program, tmp_path: Path, precision: str
) -> None:
    run = tmp_path / "run"
    with jax.enable_x64(True):
        program.call(
            *("--synthetic", "--output", run, "--workers", 0),
            *("--precision", precision, "--max-steps", 2),
        )
    dtypes = {array.dtype.name for array in load_file(run / CHECKPOINT).values()}
    assert dtypes <= {"float32", "uint32", "int32"}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, where tests run side by side."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_same_losses_as_pytorch(one_thread: None, tmp_path: Path) -> None:
    losses = {}
    for backend in ("flax", "torch"):
        folder = render(tmp_path / backend, RECIPE.replace("steps: 5", "steps: 1"), backend)
        run = tmp_path / "runs" / backend
        Program(folder).call("--synthetic", "--output", run, "--workers", 0, "--max-steps", 20)
        losses[backend] = [line["loss"] for line in log_lines(run)]
    assert len(losses["flax"]) == 21  # and of the evaluation
    assert losses["flax"] == pytest.approx(losses["torch"], rel=1e-4)


def test_an_image_folder(program: Program, tmp_path: Path, capsys) -> None:
    folder = write_folder(tmp_path / "images", splits=("train", "test"))
    run = tmp_path / "run"
    program.call("--data", folder, "--output", run, "--epochs", 1)
    out = capsys.readouterr().out
    assert "2 steps per epoch (4 images that fill no batch are left out of each)" in out
    assert log_lines(run)[-1]["split"] == "test"


def test_corrupt_images_end_in_one_line(program: Program, tmp_path: Path) -> None:
    """The first of twelve is replaced, which is said; the second is one too many."""
    images = write_folder(tmp_path / "images")
    for name in ("bee/1.png", "cat/2.png"):
        (images / "train" / name).write_bytes(b"broken")
    arguments = ["--data", images, "--output", tmp_path / "run", "--workers", 2]
    replaced, error = program.run(*arguments, code=1).splitlines()
    image = rf"{re.escape(str(images))}/train/(bee/1|cat/2)\.png is not a readable image \(.*\)"
    assert re.fullmatch(f"{image}: another image takes its place", replaced)
    assert re.fullmatch(f"error: {image}; no more than 1 may be unreadable", error)


def test_mistakes_end_in_one_line(program: Program, whole_run: Path, tmp_path: Path) -> None:
    only_val = write_folder(tmp_path / "val_only", splits=("val",))
    three = write_folder(tmp_path / "three", classes=("a", "b", "c"))
    broken = tmp_path / "broken"
    broken.write_bytes(b"PK broken")
    other = tmp_path / "other"
    with safe_open(whole_run / CHECKPOINT, "np") as file:
        save_file({"model.x": np.zeros(1)}, other, file.metadata())
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
        ([*continued, "--precision", "float16"], "with precision float32, not float16"),
        (["--synthetic", *new, "--resume", broken], "is not a checkpoint of this program"),
        (["--synthetic", *new, "--resume", whole_run / WEIGHTS], "is not a checkpoint of this"),
        (["--synthetic", *new, "--resume", other], "is of another model"),
        (["--synthetic", *new, "--resume", tmp_path / "no"], "there is no checkpoint"),
        (["--synthetic", *new, "--evaluate"], "there is no checkpoint"),
        (["--synthetic", *new, "--weights", broken], "is not a safetensors file"),
        (["--synthetic", *new, "--weights", tmp_path / "none"], "none"),
        (["--synthetic", "--output", broken], "broken"),
    ]
    if jax.default_backend() == "cpu":
        cases.append((["--synthetic", *new, "--device", "cuda"], "no CUDA device"))
    for arguments, message in cases:
        with pytest.raises(SystemExit) as caught:
            program.call(*arguments)
        assert str(caught.value).startswith("error: ")
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
    assert facts(whole_run / CHECKPOINT)["step"] == 128


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--synthetic", "--data", "x"],
        ["--synthetic", "--seed", "-1"],
        ["--synthetic", "--batch-size", "0"],
        ["--synthetic", "--precision", "float8"],
        ["--synthetic", "--compile"],
    ],
)
def test_wrong_arguments(program: Program, capsys, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        program.call(*arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_diverging_run_stops(tmp_path: Path) -> None:
    text = RECIPE.replace("initial: 0.05", "initial: 1e30")
    program = Program(render(tmp_path / "flax", text))
    with pytest.raises(SystemExit, match="at step 5; try a lower learning rate"):
        program.call("--synthetic", "--output", tmp_path / "run", "--workers", 0)
