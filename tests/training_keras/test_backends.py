"""One program, three frameworks under Keras, and the PyTorch program: the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.training.conftest import Program as TorchProgram
from tests.training.conftest import render as render_torch
from tests.training.test_data import write_folder

from .conftest import RECIPE, log_lines, render

PER_STEP = RECIPE.replace("log: {steps: 5}", "log: {steps: 1}")
STEPS = {"tensorflow": 8, "jax": 3, "torch": 3}

#: A run, then another of three steps, and the same three in two runs.
SCRIPT = """
import sys, train

def call(*arguments):
    sys.argv = ["train.py", "--workers", "2", *arguments]
    train.main()

call("--synthetic", "--output", "run", "--max-steps", sys.argv[1])
images = ["--data", "images", "--batch-size", "4", "--epochs", "1"]
call(*images, "--output", "whole")
call(*images, "--output", "stopped", "--max-steps", "1")
call(*images, "--output", "stopped", "--resume", "auto")
"""


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """Runs of the PyTorch program, one for each number of steps."""
    folder = render_torch(tmp_path_factory.mktemp("reference") / "torch", PER_STEP)
    for steps in sorted(set(STEPS.values())):
        arguments = ["--synthetic", "--workers", 0, "--output", folder / str(steps)]
        TorchProgram(folder).call(*arguments, "--max-steps", steps)
    return folder


@pytest.mark.parametrize("backend", STEPS)
def test_a_backend(reference: Path, tmp_path: Path, backend: str) -> None:
    folder = render(tmp_path / "keras", PER_STEP)
    write_folder(tmp_path / "images", splits=("train",))
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(folder)}
    steps = STEPS[backend]
    command = [sys.executable, "-c", SCRIPT, str(steps)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"({backend})" in done.stdout

    expected, found = log_lines(reference / str(steps)), log_lines(tmp_path / "run")
    assert len(found) == len(expected) == steps + 1
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.keys() == theirs.keys()
        assert ours.get("split") == theirs.get("split")
        for key in ours.keys() - {"images_per_second", "split"}:
            assert ours[key] == pytest.approx(theirs[key], rel=1e-4), key
    weights = load_file(tmp_path / "run/weights.safetensors")
    theirs = load_file(reference / str(steps) / "weights.safetensors")
    assert weights.keys() == theirs.keys()
    for name, value in weights.items():
        assert np.allclose(value, theirs[name], rtol=1e-4, atol=1e-5), name

    runs = (tmp_path / run / "checkpoint.safetensors" for run in ("whole", "stopped"))
    whole, stopped = map(load_file, runs)
    assert whole.keys() == stopped.keys()
    assert [name for name in whole if not np.array_equal(whole[name], stopped[name])] == []
