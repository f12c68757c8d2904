"""Keras' program on each framework that Keras runs on, and what Keras knows of its variables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from xgraph.recipe import reference

from .programs import (
    CHECKPOINT,
    PLAIN,
    Program,
    changed,
    differing,
    files,
    log_lines,
    losses,
)

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


@pytest.mark.parametrize("under", [pytest.param("jax", marks=pytest.mark.slow), "torch"])
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


#: Updates of a program, with the state after them and how many batches the optimizer has seen.
UPDATES = """
import json, sys
import keras, numpy as np
from xgraph.programs import import_files

rng = np.random.default_rng(0)
batches = [(rng.normal(size=(8, 2, 2, 3)).astype("float32"), rng.integers(0, 4, 8)) for _ in "1234"]

class Given(keras.utils.PyDataset):
    def __len__(self):
        return len(batches)

    def __getitem__(self, index):
        return batches[index]

def trained(files, scale=None):
    modules = import_files(files)
    keras.config.set_dtype_policy("mixed_float16" if scale else "float32")
    train = modules["train"]
    model = modules["model"].create_model(0)
    training = train.Training(model, train.Plan(8, 4, 4, train.LEARNING_RATE))
    if scale:
        training.trained.optimizer.dynamic_scale.assign(scale)
    train.fit(training, Given())
    state = {name: np.asarray(value).tolist() for name, value in training.state().items()}
    return state, int(training.optimizer.iterations)

whole, parts, scaled = json.load(sys.stdin)
made = trained(whole), trained(parts), trained(scaled, 2.0**60), trained(scaled, 2.0**9)
print(json.dumps(made))
"""


@pytest.mark.parametrize(
    "under",
    [*(pytest.param(name, marks=pytest.mark.slow) for name in ("jax", "torch")), "tensorflow"],
)
def test_what_counts_as_an_update(under: str) -> None:
    """The mean of micro-batches does, and a batch whose gradients overflow but for the optimizer.

    Without statistics of a batch, its parts are as good as the whole.
    """
    both = {
        "optimizer": {"adam": {}},
        "schedule": {"exponential": {"initial": 0.1, "rate": 0.5, "every": {"steps": 1}}},
        "regularization": {"decoupled": 0.3},
        "tune": {"freeze": ["norm"]},
        "batch_size": 8,
    }
    whole = changed(PLAIN, **both, ema={"decay": 0.9}, clip={"norm": 0.05})
    recipes = whole, changed(whole, accumulation=4), changed(PLAIN, **both, precision="float16")
    texts = json.dumps([files("keras", recipe, reference.SPEC) for recipe in recipes])
    done = subprocess.run(
        [sys.executable, "-c", UPDATES],
        input=texts,
        capture_output=True,
        text=True,
        env={**os.environ, "KERAS_BACKEND": under},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (state, seen), (shared_out, seen_too), (none, overflowed), (few, fitted) = json.loads(
        done.stdout.splitlines()[-1]
    )
    assert seen == seen_too == overflowed == fitted == 4
    assert state.keys() == shared_out.keys()
    for name, value in state.items():
        assert np.allclose(shared_out[name], value, rtol=1e-4, atol=1e-6), name
    assert none["optimizer.updates"] == 0
    assert none["scaling.scale"] == 2.0**56
    assert few["optimizer.updates"] == 4
