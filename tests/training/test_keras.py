"""Keras' program on each framework that Keras runs on, and what Keras knows of its variables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from .programs import CHECKPOINT, Program, differing, log_lines, losses

#: A whole run, and the first half of one that goes on with the arguments that are given.
BEFORE = """
import os, sys, train

os.chdir({folder!r})
given = sys.argv
for output, steps in (("whole", 14), ("stopped", 7)):
    common = ["--synthetic", "--workers", "2", "--output", output]
    sys.argv = ["train.py", *common, "--max-steps", str(steps)]
    train.main()
sys.argv = given
"""


@pytest.mark.parametrize("under", ["jax", "torch"])
def test_another_framework_under_keras(
    under: str, small: dict[str, Program], tmp_path: Path, monkeypatch
) -> None:
    """The numbers of the PyTorch program; and a run that is resumed ends as if never stopped."""
    monkeypatch.setenv("KERAS_BACKEND", under)
    arguments = ("--synthetic", "--workers", 0, "--max-steps", 14)
    out = small["keras"].run(
        *(*arguments, "--output", tmp_path / "stopped", "--resume", "auto"),
        script=BEFORE.format(folder=str(tmp_path)),
    )
    assert "steps 7 to 14" in out
    assert f"Keras on {under}" in (tmp_path / "whole/run.json").read_text()
    assert differing(tmp_path / "stopped" / CHECKPOINT, tmp_path / "whole" / CHECKPOINT) == []

    small["torch"].call(*arguments, "--output", tmp_path / "torch")
    whole, other = tmp_path / "whole", tmp_path / "torch"
    assert losses(whole) == pytest.approx(losses(other), rel=1e-4)
    measured, wanted = (log_lines(run)[-1] for run in (whole, other))
    assert {measured[word] for word in ("top1", "top5")} == {wanted[w] for w in ("top1", "top5")}
    assert measured["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
    found, expected = load_file(whole / CHECKPOINT), load_file(other / CHECKPOINT)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert np.allclose(array, expected[name], rtol=1e-3, atol=1e-5), name


def test_no_variable_is_held_twice(small: dict[str, Program]) -> None:
    """What Keras on JAX hands to a step, which would be given the same memory two times."""
    train = small["keras"].module("train")
    plan = train.Plan(batch_size=16, steps_per_epoch=64, total_steps=128, rate=0.05)
    training = train.Training(small["keras"].module("model").create_model(), plan)
    held = [*training.trained.variables, *training.trained.optimizer.variables]
    assert len({id(variable) for variable in held}) == len(held)
    own = {id(variable) for variable in held}
    assert {id(slot) for slot in training.slots().values()} <= own
