"""A run that changes its framework under way, and runs in other precisions.

One checkpoint is of all frameworks: the same names, layouts and counts, whatever each of them keeps
in memory.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from xgraph import backend
from xgraph.programs import Length, import_files

from ..turns import by_turns
from .programs import (
    AUXILIARY,
    CHECKPOINT,
    FRAMEWORKS,
    PLAIN,
    RECIPE,
    SMALL,
    SPEC,
    Program,
    about,
    changed,
    files,
    losses,
    render,
)
from .test_run import altered

#: What has most to remember, and stops within an epoch.
KEPT = changed(
    RECIPE,
    optimizer={"adam": {"epsilon": 1e-3}},
    schedule={"cosine": {"initial": 0.01, "warmup": {"steps": 9}}},
    clip={"norm": 0.5},
    loss={"softmax_cross_entropy": 0.1},
)
LENGTH = Length(batch_size=8, steps_per_epoch=5, total_steps=20)
BEFORE, AFTER = 7, 5


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(5)
    count = BEFORE + AFTER
    return [(random.normal(size=(8, 16, 16, 3)), random.integers(0, 4, 8)) for _ in range(count)]


@pytest.fixture(scope="module", params=[SPEC, AUXILIARY], ids=["one output", "auxiliary"])
def stays(request: pytest.FixtureRequest) -> dict[str, tuple[list[dict], list[float]]]:
    """Each framework's states after each update, and its losses, never stopped, in float64."""
    found = {}
    weights: dict[str, np.ndarray] = {}
    for name in FRAMEWORKS:
        program = backend.get(name).load(files(name, KEPT, request.param))
        weights = weights or program.weights()
        program.set_weights(weights)
        states: list[dict[str, np.ndarray]] = []
        trained = program.train(batches(), LENGTH, lambda _, t, s=states: s.append(t.state()))
        found[name] = states, trained.losses
    found["spec"] = request.param
    return found


#: By default each framework is left once and gone on in once.
ROUND = {("torch", "keras"), ("keras", "flax"), ("flax", "torch")}
OTHERS = [
    pytest.param(*pair, marks=[] if pair in ROUND else [pytest.mark.slow])
    for pair in itertools.permutations(FRAMEWORKS, 2)
]


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_a_run_goes_on_in_another_framework(one: str, other: str, stays: dict[str, Any]) -> None:
    """Bit for bit what was saved, then the updates of the framework that it left."""
    states, expected = stays[one]
    program = backend.get(other).load(files(other, KEPT, stays["spec"]))
    after: list[dict[str, np.ndarray]] = []

    def between(step: int, training: Any) -> None:
        if step == BEFORE:  # what it has trained until now is forgotten
            training.load_state(states[BEFORE])
            loaded = training.state()
            assert loaded.keys() == states[BEFORE].keys()
            for name, array in loaded.items():
                assert np.array_equal(array, states[BEFORE][name]), name
                assert array.dtype.kind == states[BEFORE][name].dtype.kind, name
        elif step > BEFORE:
            after.append(training.state())

    begun = {n.removeprefix("model."): a for n, a in states[0].items() if n.startswith("model.")}
    program.set_weights(begun)
    trained = program.train(batches(), LENGTH, between)
    assert np.allclose(trained.losses[BEFORE:], expected[BEFORE:], rtol=1e-11)
    for step, (found, wanted) in enumerate(zip(after, states[BEFORE + 1 :], strict=True)):
        for name, array in found.items():
            assert np.allclose(array, wanted[name], rtol=1e-8, atol=1e-11), (step, name)


def test_what_is_kept(stays: dict[str, Any]) -> None:
    """The mean and the mean square of every weight that is trained, averages of all, and counts."""
    for name in FRAMEWORKS:
        state = stays[name][0][BEFORE]
        weights = {n.removeprefix("model.") for n in state if n.startswith("model.")}
        trained = {n for n in weights if "moving" not in n}
        wanted = {f"model.{n}" for n in weights} | {f"ema.{n}" for n in weights}
        wanted |= {f"optimizer.{word}.{n}" for word in ("mean", "mean_square") for n in trained}
        assert state.keys() == wanted | {"optimizer.updates", "dropout.passes"}
        assert state["optimizer.updates"] == BEFORE
        assert state["dropout.passes"] == BEFORE


@pytest.mark.parametrize("other", ["keras", pytest.param("flax", marks=pytest.mark.slow)])
def test_checkpoints_are_taken_to_another_program(other: str, tmp_path: Path) -> None:
    """The same as users do it, in float32: from PyTorch to another, and back."""
    programs = {
        name: Program(render(tmp_path / name, KEPT, name, spec=SMALL)) for name in ("torch", other)
    }
    common = ("--synthetic", "--workers", 0, "--resume", "auto")
    run, alone = tmp_path / "run", tmp_path / "alone"
    for name, steps in (("torch", 10), (other, 20), ("torch", 30)):
        programs[name].call(*common, "--output", run, "--max-steps", steps)
    programs["torch"].call(*common, "--output", alone, "--max-steps", 30)
    assert about(run / CHECKPOINT)["step"] == 30
    assert losses(run)[-1] == pytest.approx(losses(alone)[-1], rel=1e-2)
    found, wanted = load_file(run / CHECKPOINT), load_file(alone / CHECKPOINT)
    assert found["optimizer.updates"] == wanted["optimizer.updates"] == 30
    for name, array in found.items():
        apart = np.abs(array - wanted[name]).max() / max(np.abs(wanted[name]).max(), 1e-3)
        assert apart < 1e-2, name


# Other precisions


@pytest.mark.parametrize(
    ("precision", "framework"), by_turns(["bfloat16", "float16"], always=("keras",))
)
def test_other_precisions(
    framework: str, precision: str, whole_runs: dict[str, Path], tmp_path: Path
) -> None:
    """They train, go on from where they stopped, and keep weights and losses in float32."""
    recipe = changed(RECIPE, precision=precision)
    program = Program(render(tmp_path / framework, recipe, framework, spec=SMALL))
    run, whole = tmp_path / "run", tmp_path / "whole"
    common = ("--synthetic", "--workers", 0)
    program.call(*common, "--output", run, "--max-steps", 10)
    stopped = load_file(run / CHECKPOINT)
    program.call(*common, "--output", run, "--max-steps", 20, "--resume", "auto")
    program.call(*common, "--output", whole, "--max-steps", 20)
    found = losses(whole)
    assert sum(found[-2:]) < 0.5 * sum(found[:2])
    exact = losses(whole_runs[framework])[0]
    assert 0 < abs(found[0] - exact) < 0.02 * exact
    assert any(np.float32(loss).view(np.uint32) % 2**13 for loss in found)  # of no half precision
    one, other = load_file(run / CHECKPOINT), load_file(whole / CHECKPOINT)
    assert {n for n in one if one[n].tobytes() != other[n].tobytes()} == set()
    kept = ("model.", "ema.", "optimizer.")
    assert {a.dtype.name for n, a in one.items() if n.startswith(kept)} == {"float32"}
    scaling = {n: one[n] for n in one if n.startswith("scaling.")}
    if precision == "bfloat16":
        assert scaling == {}
    else:
        assert scaling == {"scaling.scale": 2.0**16, "scaling.updates": 20}
        assert stopped["scaling.updates"] == 10


@pytest.fixture(scope="module", params=["l2", "decoupled"])
def float16(
    request: pytest.FixtureRequest, framework: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[dict[str, float]], tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """From what is said of the loss scale after 7 updates to all that is kept then, and after 8."""
    folder = tmp_path_factory.mktemp("float16")
    regularization = {request.param: 1e-3}
    recipe = changed(RECIPE, precision="float16", ema=None, regularization=regularization)
    program = Program(render(folder / framework, recipe, framework, spec=SMALL))
    run = folder / "run"
    common = ("--synthetic", "--workers", 0, "--resume")
    program.call(*common, "never", "--output", run, "--max-steps", 7)

    def goes_on(scaling: dict[str, float]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        before = load_file(run / CHECKPOINT)
        for name, value in scaling.items():
            before[name] = np.asarray(value, before[name].dtype)
        path = altered(run / CHECKPOINT, folder / "c.safetensors", before)
        other = folder / "other"
        shutil.rmtree(other, ignore_errors=True)
        program.call(*common, path, "--output", other, "--max-steps", 8)
        return before, load_file(other / CHECKPOINT)

    return goes_on


def test_float16_whose_gradients_overflow(float16: Callable) -> None:
    """There is no update, and the factor of the loss halves until gradients are finite."""
    before, after = float16({"scaling.scale": 2.0**40, "scaling.updates": 1})
    assert after["scaling.scale"] == 2.0**39
    assert after["scaling.updates"] == 0
    for name, array in after.items():
        if "moving" not in name and name.startswith(("model.", "optimizer.momentum")):
            assert np.array_equal(array, before[name]), name


@pytest.mark.parametrize(("good", "factor"), [(1998, 1), (1999, 2)])
def test_float16_without_an_overflow(good: int, factor: int, float16: Callable) -> None:
    """The factor of the loss doubles with the 2,000th update, which it does not show in."""
    before, after = float16({"scaling.scale": 2.0**15, "scaling.updates": good})
    assert after["scaling.scale"] == factor * 2.0**15
    assert after["scaling.updates"] == (good + 1) % 2000
    assert not np.array_equal(after["model.stem.kernel"], before["model.stem.kernel"])


def test_half_precision_of_flax_is_of_activations_alone() -> None:
    """In training and in evaluation, near what float32 gives; weights are as they were."""
    modules = import_files(files("flax", changed(RECIPE, precision="bfloat16"), SMALL))
    single, half = (modules["model"].create_model() for _ in range(2))
    modules["parts"].set_precision(half, jnp.bfloat16)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(8, 16, 16, 3)), jnp.float32)
    for mode in ("train", "eval"):
        getattr(single, mode)()
        getattr(half, mode)()
        exact, found = single(images), half(images)
        assert found.dtype == jnp.bfloat16
        apart = np.abs(np.asarray(found, np.float32) - exact).max()
        assert 0 < apart < 0.03 * np.abs(exact).max(), mode
    weights = modules["weights"].canonical_weights(half)
    assert {weight.dtype for weight in weights.values()} == {jnp.dtype("float32")}


def test_a_slow_average_is_exact_in_float32(framework: str, tmp_path: Path) -> None:
    """One of 0 takes a share of 1e-4 of all that it averages, after ten million updates."""
    recipe = changed(PLAIN, ema={"decay": 0.9999})
    program = Program(render(tmp_path / framework, recipe, framework, spec=SMALL))
    common = ("--synthetic", "--workers", 0, "--epochs", 10**5, "--resume")
    run, late = tmp_path / "run", 10**7
    program.call(*common, "never", "--output", run, "--max-steps", 1)
    arrays = load_file(run / CHECKPOINT)
    arrays.update({n: np.zeros_like(a) for n, a in arrays.items() if n.startswith("ema.")})
    path = altered(run / CHECKPOINT, tmp_path / "c.safetensors", arrays, step=late)
    program.call(*common, path, "--output", tmp_path / "late", "--max-steps", late + 1)
    found = load_file(tmp_path / "late" / CHECKPOINT)
    for name in (n.removeprefix("ema.") for n in found if n.startswith("ema.")):
        weights, averages = found[f"model.{name}"], found[f"ema.{name}"]
        assert np.allclose(averages, 1e-4 * weights.astype(float), rtol=3e-7, atol=0), name


def test_flax_where_jax_may_compute_in_float64(tmp_path: Path) -> None:
    for precision in ("float32", "float16"):
        recipe = changed(RECIPE, precision=precision)
        program = Program(render(tmp_path / precision, recipe, "flax", spec=SMALL))
        run = tmp_path / "run" / precision
        with jax.enable_x64(True):
            program.call("--synthetic", "--output", run, "--workers", 0, "--max-steps", 2)
        for name, array in load_file(run / CHECKPOINT).items():
            assert array.dtype == np.float32 or array.dtype.kind in "iu", name
