"""Losses of all outputs and metrics of all images, by value; and that measuring changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xgraph import backend, interpreter
from xgraph.compile import analyse
from xgraph.programs import Length
from xgraph.recipe.losses.softmax_cross_entropy import SoftmaxCrossEntropy

from .programs import AUXILIARY, PLAIN, RECIPE, SMALL, Given, changed, files, loaded, read
from .test_rendering import SPECS

RNG = np.random.default_rng(0)
LENGTH = Length(batch_size=8, steps_per_epoch=5, total_steps=20)
BATCHES = [
    (RNG.normal(size=(8, 16, 16, 3)).astype(np.float32), RNG.integers(0, 4, 8)) for _ in range(3)
]

#: Weights of the losses of a spec's outputs, in their order; 0 where an output has none.
WEIGHTED = {
    "AUXILIARY": (1, 0.4, 0),
    "one weighted": (0.3,),
    "all weighted": (2, 0.4, 0),
    "untrained": (1, 0),
}


@pytest.mark.parametrize("spec", WEIGHTED)
def test_losses_of_outputs(spec: str, framework: str) -> None:
    """Their sum by their weights is minimized; an output without a weight has no part in it."""
    images, labels = BATCHES[0]
    program = backend.get(framework).load(files(framework, RECIPE, SPECS[spec]))
    made = program.gradients(images.astype(float), labels)
    loss, part = 0.0, SoftmaxCrossEntropy()
    layers = ("classifier", "second", "flat")
    for weight, layer, output in zip(WEIGHTED[spec], layers, made.outputs, strict=False):
        if weight:
            loss += weight * part.reference(output, labels)
            slope = weight * part.gradient(output, labels).sum(0)
            assert np.allclose(made.weights[f"{layer}.bias"], slope, rtol=1e-11), layer
    assert made.loss == pytest.approx(loss, rel=1e-12)


IMAGES = RNG.normal(size=(11, 16, 16, 3)).astype(np.float32)
MANY = np.arange(44).reshape(11, 4) % 5 % 3 == 0
MANY[3] = False
#: A spec, its recipe, and the labels of eleven images.
EVALUATED = {
    "the average, the first of several outputs": (AUXILIARY, RECIPE, RNG.integers(0, 4, 11)),
    "smoothed": (
        SMALL,
        changed(PLAIN, loss={"softmax_cross_entropy": 0.1}, metrics=["top2"]),
        RNG.integers(0, 4, 11),
    ),
    "any number of labels": (
        SPECS["one weighted"],
        changed(PLAIN, loss="sigmoid_cross_entropy", metrics=["top1", "top3", "map3", "recall2"]),
        MANY.astype(int),
    ),
}


def expected(recipe: str, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What a recipe measures, by its formulas."""
    said = read(recipe)
    targets = np.eye(4)[labels] if labels.ndim == 1 else labels
    hits = np.take_along_axis(targets, np.argsort(-logits, axis=1), axis=1)
    found = {"loss": said.loss.reference(logits, labels)}
    for metric in said.metrics:
        values = metric.reference(hits[:, : metric.k], targets.sum(axis=1))
        found[str(metric)] = float(values.mean())
    return found


@pytest.mark.parametrize("case", EVALUATED)
def test_evaluation_counts_every_image(case: str, framework: str, tmp_path: Path) -> None:
    """Of eleven in batches of four, under way, by the weights that are saved."""
    spec, recipe, labels = EVALUATED[case]
    (tmp_path / "spec.yaml").write_text(spec)
    analysis = analyse(str(tmp_path / "spec.yaml"))
    program = backend.get(framework).load(files(framework, recipe, spec), "float32")
    keys = [[(index, 0) for index in range(i, min(i + 4, 11))] for i in range(0, 11, 4)]
    measured: list[tuple[Any, dict[str, float]]] = []

    def between(step: int, training: Any) -> None:
        if step == 2:
            batches = loaded(framework, program.modules["loader"], Given(IMAGES, labels), keys)
            measured.append((training.state(), training.evaluate(batches)))

    program.train(BATCHES, LENGTH, between)
    ((state, found),) = measured
    part = "ema." if any(name.startswith("ema.") for name in state) else "model."
    weights = {n.removeprefix(part): a for n, a in state.items() if n.startswith(part)}
    values = interpreter.run(analysis.graph, IMAGES, weights)
    logits = values[analysis.graph.outputs[0].node]
    assert found == pytest.approx(expected(recipe, logits, labels), rel=1e-5)


def test_evaluation_leaves_training_as_it_was(framework: str) -> None:
    """To the bit, where the model that is trained is evaluated itself."""

    def trained(evaluated: bool) -> dict[str, np.ndarray]:
        program = backend.get(framework).load(files(framework, PLAIN, SMALL), "float32")
        loader = program.modules["loader"]

        def between(step: int, training: Any) -> None:
            if evaluated:
                training.evaluate(loaded(framework, loader, Given(*BATCHES[0]), [[(0, 0), (1, 0)]]))

        return dict(program.train(BATCHES, LENGTH, between).state)

    never, often = trained(False), trained(True)
    assert never.keys() == often.keys()
    for name, array in never.items():
        assert np.array_equal(array, often[name]), name
