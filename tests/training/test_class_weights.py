"""Class weights: in what training minimizes, and in nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.programs import program as data_program
from tests.data.programs import write_images
from xgraph import backend
from xgraph.diagnostics import SpecError
from xgraph.recipe.losses.sigmoid_cross_entropy import SigmoidCrossEntropy
from xgraph.recipe.losses.softmax_cross_entropy import SoftmaxCrossEntropy

from .programs import (
    AUXILIARY,
    CHECKPOINT,
    FRAMEWORKS,
    PLAIN,
    SMALL,
    Program,
    about,
    changed,
    differing,
    files,
    losses,
    read,
    render,
    without_times,
)

WEIGHTS = (0.3, 2.0, 0.0, 1.7)
COUNTS = {"train/a": 12, "train/b": 3, "train/c": 6, "train/d": 3, "val/a": 2, "val/b": 3}
BALANCED = [24 / (4 * n) for n in (12, 3, 6, 3)]
RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(6, 4)), np.array([0, 1, 1, 2, 3, 0])
SHARES = RNG.dirichlet(np.ones(4), 6)
#: Losses with these weights, by the name of the loss and its other settings.
LOSSES = {
    "softmax": ("softmax_cross_entropy", {}, SoftmaxCrossEntropy),
    "smoothed": ("softmax_cross_entropy", {"label_smoothing": 0.1}, SoftmaxCrossEntropy),
    "sigmoid": ("sigmoid_cross_entropy", {}, SigmoidCrossEntropy),
    "sigmoid, mean": ("sigmoid_cross_entropy", {"over_classes": "mean"}, SigmoidCrossEntropy),
}


def recipe(weights: Any = "balanced", loss: str = "softmax_cross_entropy", **given: Any) -> str:
    """One with class weights."""
    return changed(PLAIN, loss={loss: {"class_weights": weights}}, **given)


# The formula


def plain_softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return np.log(powers / powers.sum(1, keepdims=True))


def test_the_weight_of_an_image_is_that_of_its_class() -> None:
    """Its loss, smoothed or not, times the weight; the mean is over images, not over weights."""
    logarithms = plain_softmax(LOGITS)
    for epsilon in (0.0, 0.1):
        each = -(1 - epsilon) * logarithms[range(6), LABELS] - epsilon * logarithms.mean(1)
        wanted = (np.array(WEIGHTS)[LABELS] * each).sum() / 6
        made = SoftmaxCrossEntropy(epsilon, class_weights=WEIGHTS).reference(LOGITS, LABELS)
        assert made == pytest.approx(wanted, rel=1e-14)


def test_the_weight_of_a_term_is_that_of_its_class() -> None:
    found = 1 / (1 + np.exp(-LOGITS))
    target = np.eye(4)[LABELS]
    terms = -np.log(np.where(target == 1, found, 1 - found))
    made = SigmoidCrossEntropy(class_weights=WEIGHTS).reference(LOGITS, LABELS)
    assert made == pytest.approx((terms @ np.array(WEIGHTS)).mean(), rel=1e-14)


@pytest.mark.parametrize("which", LOSSES)
def test_the_loss_of_shares_is_the_mean_of_losses(which: str) -> None:
    """What two classes weigh in an image that shows both is what each alone would, in shares."""
    _, settings, cls = LOSSES[which]
    loss = cls(**settings, class_weights=WEIGHTS)
    hot = [np.eye(4)[labels] for labels in (LABELS, LABELS[::-1])]
    mixed = loss.reference(LOGITS, 0.3 * hot[0] + 0.7 * hot[1])
    alone = [loss.reference(LOGITS, one) for one in hot]
    assert mixed == pytest.approx(0.3 * alone[0] + 0.7 * alone[1], rel=1e-13)


@pytest.mark.parametrize("which", LOSSES)
@pytest.mark.parametrize("labels", [LABELS, SHARES], ids=["one", "shares"])
def test_the_references_gradient_is_its_slope(which: str, labels: np.ndarray) -> None:
    _, settings, cls = LOSSES[which]
    loss = cls(**settings, class_weights=WEIGHTS)
    slope = loss.gradient(LOGITS, labels)
    for place in np.ndindex(*LOGITS.shape):
        step = np.zeros_like(LOGITS)
        step[place] = 1e-6
        rise = loss.reference(LOGITS + step, labels) - loss.reference(LOGITS - step, labels)
        assert slope[place] == pytest.approx(rise / 2e-6, abs=1e-9)


# The programs


def _tensor(framework: str, array: Any) -> Any:
    if framework == "torch":
        import torch

        return torch.tensor(array)
    if framework == "keras":
        import keras

        kind = "float64" if np.asarray(array).dtype.kind == "f" else "int32"
        return keras.ops.convert_to_tensor(array, kind)
    import jax.numpy as jnp

    return jnp.array(array)


def _value(framework: str, train: Any, labels: Any, *weights: Any, name: str) -> float:
    """A function of the program, of logits and labels in float64."""
    given = [_tensor(framework, array) for array in (LOGITS, labels, *weights)]
    if framework == "keras":
        import keras

        before = keras.config.floatx()
        keras.config.set_floatx("float64")
        try:
            made = getattr(train, name)(given[1], given[0], *given[2:])
        finally:
            keras.config.set_floatx(before)
        return float(np.mean(made))
    return float(getattr(train, name)(*given))


@pytest.mark.parametrize("weights", [list(WEIGHTS), "balanced"], ids=str)
@pytest.mark.parametrize("which", LOSSES)
def test_a_program_minimizes_the_weighted_loss_and_shows_the_plain_one(
    which: str, weights: Any, framework: str, tmp_path: Path
) -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    name, settings, cls = LOSSES[which]
    text = changed(PLAIN, loss={name: {**settings, "class_weights": weights}})
    train = Program(render(tmp_path, text, framework, spec=SMALL)).module("train")
    for labels in (LABELS, SHARES):
        wanted = cls(**settings, class_weights=WEIGHTS).reference(LOGITS, labels)
        made = _value(framework, train, labels, np.array(WEIGHTS), name="loss_function")
        assert made == pytest.approx(wanted, rel=1e-13)
    shown = _value(framework, train, LABELS, name="cross_entropy")
    assert shown == pytest.approx(cls(**settings).reference(LOGITS, LABELS), rel=1e-13)


def test_outputs_that_are_trained_have_them_all(framework: str) -> None:
    train = files(framework, recipe(list(WEIGHTS)), AUXILIARY)["train.py"]
    assert train.count("= weighted_cross_entropy(") == 1
    assert train.count("0.4 * weighted_cross_entropy(") == 1
    assert "CLASS_WEIGHTS = [0.3, 2.0, 0.0, 1.7]" in train
    assert '"CLASS_WEIGHTS": CLASS_WEIGHTS,' in train


def test_gradients_of_outputs(framework: str) -> None:
    """As parity asks for them, by the weights that a program begins with."""
    images, labels = RNG.normal(size=(6, 16, 16, 3)), LABELS
    loss = {"softmax_cross_entropy": {"label_smoothing": 0.1, "class_weights": list(WEIGHTS)}}
    program = backend.get(framework).load(files(framework, changed(PLAIN, loss=loss), AUXILIARY))
    made = program.gradients(images, labels)
    part, value = SoftmaxCrossEntropy(0.1, WEIGHTS), 0.0
    for weight, layer, output in ((1, "classifier", 0), (0.4, "second", 1)):
        value += weight * part.reference(made.outputs[output], labels)
        slope = weight * part.gradient(made.outputs[output], labels).sum(0)
        assert np.allclose(made.weights[f"{layer}.bias"], slope, rtol=1e-11), layer
    assert made.loss == pytest.approx(value, rel=1e-12)


def test_programs_without_them_have_nothing_of_them(framework: str) -> None:
    made = files(framework, PLAIN, SMALL)
    text = "".join(text for name, text in made.items() if name != "run.py")
    assert "class_weights" not in text.lower()
    assert "balanced_weights" not in text


# What is balanced


def test_balanced_weights(tmp_path: Path) -> None:
    """N / (K · n), as scikit-learn's `class_weight="balanced"`."""
    text = read(recipe()).loss
    assert text.class_weights == "balanced"
    data = Program(render(tmp_path, recipe(), spec=SMALL)).module("data")
    assert data.balanced_weights(np.repeat([0, 1, 2, 3], [12, 3, 6, 3])) == BALANCED
    labels = np.repeat([0, 1, 2, 3], [12, 3, 6, 3])
    assert np.mean(np.array(BALANCED)[labels]) == 1  # so the loss is about as large as without
    assert data.balanced_weights(np.array([0, 0, 1])) == [3 / 8, 3 / 4, 3 / 4, 3 / 4]
    rows = np.array([[0, 1], [1, -1], [-1, -1], [1, 3]])
    assert data.balanced_weights(rows) == [1, 1 / 3, 1, 1]


def test_data_of_other_recipes_do_not_count() -> None:
    assert not hasattr(data_program("{normalize: unit}"), "balanced_weights")


RUN = ("--workers", 0, "--batch-size", 4)


@pytest.fixture(scope="module")
def balanced(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Program]:
    """A program of each framework."""
    folder = tmp_path_factory.mktemp("balanced")
    every = {"log": {"steps": 1}, "evaluate": {"epochs": 1}, "checkpoint": {"steps": 1}}
    text = recipe(epochs=3, every=every)
    return {name: Program(render(folder / name, text, name, spec=SMALL)) for name in FRAMEWORKS}


def test_a_run_counts_its_training_images(
    framework: str, balanced: dict[str, Program], tmp_path: Path
) -> None:
    """Its weights are a fact of it; it goes on with them from the middle of an epoch."""
    images = write_images(tmp_path / "images", {**COUNTS, "val/c": 1, "val/d": 1})
    program = balanced[framework]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    program.call("--data", images, *RUN, "--output", whole)
    assert json.loads((whole / "run.json").read_text())["class_weights"] == BALANCED
    assert about(whole / CHECKPOINT)["facts"]["class_weights"] == BALANCED
    program.call("--data", images, *RUN, "--output", cut, "--max-steps", 8)
    program.call("--data", images, *RUN, "--output", cut, "--resume", "auto")
    assert differing(whole / CHECKPOINT, cut / CHECKPOINT) == []
    assert without_times(whole)[-1] == without_times(cut)[-1]
    plain = Program(render(tmp_path / "plain", changed(PLAIN, epochs=3), framework, spec=SMALL))
    plain.call("--data", images, *RUN, "--output", tmp_path / "other", "--max-steps", 1)
    assert losses(tmp_path / "other")[0] != pytest.approx(losses(whole)[0], rel=1e-3)


def test_images_of_other_classes_do_not_go_on(balanced: dict[str, Program], tmp_path: Path) -> None:
    one = write_images(tmp_path / "one", COUNTS)
    other = write_images(tmp_path / "other", {**COUNTS, "train/a": 11, "train/b": 4})
    run = tmp_path / "run"
    balanced["torch"].call("--data", one, *RUN, "--output", run, "--max-steps", 2)
    said = balanced["torch"].refused("--data", other, *RUN, "--output", run, "--resume", "auto")
    assert "is of another run: class_weights 0 was 0.5, not 0.545" in said


def test_runs_of_all_frameworks_have_the_same(balanced: dict[str, Program], tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", COUNTS)
    found = []
    for name, program in balanced.items():
        program.call("--data", images, *RUN, "--output", tmp_path / name)
        found.append(losses(tmp_path / name))
    assert len(found[0]) == 18
    for other in found[1:]:
        assert np.allclose(found[0], other, rtol=1e-4)
    moved, first, *others = tmp_path / "moved", *balanced.values()
    first.call("--data", images, *RUN, "--output", moved, "--max-steps", 8)
    for program, step in zip(others, (13, 18), strict=True):
        more = ("--resume", "auto", "--max-steps", step)
        program.call("--data", images, *RUN, "--output", moved, *more)
    assert np.allclose(found[0], losses(moved), rtol=1e-4)


# Mistakes


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, 3, 4, 5]])
def test_weights_of_another_number_of_classes(weights: list[float], framework: str) -> None:
    pattern = (
        rf"recipe\.yaml:\d+:1: error\[XG603\].*'loss' has weights of another number of classes"
        rf"[\s\S]*4 numbers, one per class[\s\S]*{len(weights)}"
    )
    with pytest.raises(SpecError, match=pattern):
        files(framework, recipe(weights), SMALL)


@pytest.mark.parametrize(
    "weights", ["even", [], [0, 0, 0, 0], [1, -1, 1, 1], [1, "2", 1, 1], [True] * 4, 2, {"a": 1}]
)
def test_what_is_no_weights(weights: Any) -> None:
    with pytest.raises(SpecError, match="balanced, or a list of numbers of at least 0") as caught:
        read(recipe(weights))
    assert [d.code for d in caught.value.diagnostics] == ["XG603"]


def test_classes_are_balanced_once() -> None:
    twice = recipe(images={"normalize": "unit", "balanced": True})
    with pytest.raises(SpecError, match="classes are balanced twice") as caught:
        read(twice)
    assert [d.code for d in caught.value.diagnostics] == ["XG603"]
    read(recipe(list(WEIGHTS), images={"normalize": "unit", "balanced": True}))
