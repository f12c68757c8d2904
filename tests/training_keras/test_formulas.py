"""What train.py computes, in float64 against NumPy and docs/semantics.md's formulas."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pytest

from .conftest import RECIPE, Program, render

SCHEDULE = "schedule: {exponential: {initial: 0.05, rate: 0.5, every: {epochs: 1}}}"
HALVED = RECIPE.replace(
    SCHEDULE, "schedule: {exponential: {initial: 0.9, rate: 0.7, every: {steps: 2}}}"
)
OPTIMIZER = "optimizer: {sgd: {momentum: 0.9}}"
CLASSES = 4


@pytest.fixture(autouse=True)
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


class Given(keras.utils.PyDataset):
    """Batches that a caller has."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


class Losses(keras.callbacks.Callback):
    """The loss of every batch."""

    def __init__(self):
        super().__init__()
        self.values = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append(float(logs["loss"]))


def given(count: int, features: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(6, features)), rng.integers(0, CLASSES, 6).astype(np.int32))
        for _ in range(count)
    ]


def linear() -> keras.Model:
    """Logits x·kernel + bias."""
    x = keras.Input((5,), name="x")
    layer = keras.layers.Dense(CLASSES, name="classifier", bias_initializer="normal")
    return keras.Model(x, layer(x))


def gradients(w, x, labels, smoothing=0.0):
    """Loss of the linear model, and its slope by kernel and bias."""
    logits = x @ w[0] + w[1]
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    target = (1 - smoothing) * np.eye(CLASSES)[labels] + smoothing / CLASSES
    slope = (np.exp(log_p) - target) / len(x)
    return -(target * log_p).sum(1).mean(), [x.T @ slope, slope.sum(0)]


@pytest.mark.parametrize(
    ("settings", "nesterov", "momentum", "l2"),
    [
        ("{momentum: 0.9}", False, 0.9, 1e-3),
        ("{momentum: 0.8, nesterov: true}", True, 0.8, 1e-3),
        ("{momentum: 0.9}", False, 0.9, 0),
        ("{}", False, 0, 1e-3),
        ("{}", False, 0, 0),
    ],
)
def test_updates_and_average(
    tmp_path: Path, settings: str, nesterov: bool, momentum: float, l2: float
) -> None:
    text = HALVED.replace(OPTIMIZER, f"optimizer: {{sgd: {settings}}}")
    text = text if l2 else text.replace("regularization: {l2: 1e-3}\n", "")
    train = Program(render(tmp_path, text)).module("train")
    plan = train.Plan(batch_size=6, steps_per_epoch=5, total_steps=10)
    model, averaged, losses = linear(), linear(), Losses()
    averaged.set_weights(model.get_weights())
    w, v = model.get_weights(), [0.0, 0.0]
    a = [x.copy() for x in w]
    batches = given(8)
    train.fit(train.compile_model(model), averaged, Given(batches), plan, 3, [losses])
    for t, (x, labels) in enumerate(batches, start=3):
        rate = 0.9 * 0.7 ** (t // 2)
        loss, slopes = gradients(w, x, labels)
        assert losses.values[t - 3] == pytest.approx(loss, rel=1e-12)
        for i, decay in enumerate((l2, 0.0)):
            g = slopes[i] + decay * w[i]
            v[i] = momentum * v[i] + g
            w[i] = w[i] - rate * ((g + momentum * v[i]) if nesterov else v[i])
        d = min(0.9, (1 + t) / (10 + t))
        a = [d * old + (1 - d) * new for old, new in zip(a, w, strict=True)]
    for found, expected in zip(
        [*model.get_weights(), *averaged.get_weights()], [*w, *a], strict=True
    ):
        assert found.dtype == np.float64
        assert np.allclose(found, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("warmup", [True, False])
def test_statistics_are_averaged(tmp_path: Path, warmup: bool) -> None:
    word = str(warmup).lower()
    text = RECIPE.replace("{decay: 0.9}", f"{{decay: 0.6, warmup: {word}}}")
    train = Program(render(tmp_path, text)).module("train")

    def create() -> keras.Model:
        x = keras.Input((2, 2, 1))
        y = keras.layers.Conv2D(2, 1, name="conv")(x)
        return keras.Model(x, keras.layers.BatchNormalization(name="norm")(y))

    model, averaged = create(), create()
    a = averaged.get_weights()
    for t in range(5):
        for variable in model.weights:
            variable.assign_add(np.ones(variable.shape))
        train.update_average(averaged, model, t)
        d = min(0.6, (1 + t) / (10 + t)) if warmup else 0.6
        a = [d * old + (1 - d) * new for old, new in zip(a, model.get_weights(), strict=True)]
    assert len(a) == 6  # kernel, bias, gamma, beta, mean, variance
    for found, expected in zip(averaged.get_weights(), a, strict=True):
        assert np.allclose(found, expected, rtol=1e-13)


def test_label_smoothing(tmp_path: Path) -> None:
    smooth = "loss: {softmax_cross_entropy: {label_smoothing: 0.1}}"
    text = HALVED.replace("loss: softmax_cross_entropy", smooth)
    train = Program(render(tmp_path, text)).module("train")
    model, losses = linear(), Losses()
    w, batches = model.get_weights(), given(1)
    plan = train.Plan(batch_size=6, steps_per_epoch=5, total_steps=10)
    train.fit(train.compile_model(model), linear(), Given(batches), plan, 0, [losses])
    loss, slopes = gradients(w, *batches[0], smoothing=0.1)
    assert losses.values == [pytest.approx(loss, rel=1e-12)]
    expected = w[1] - 0.9 * slopes[1]
    assert np.allclose(model.get_weights()[1], expected, rtol=1e-12)
    found = train.evaluate(train.evaluation_model(linear()), Loaded(batches))
    assert set(found) == {"loss", "top1", "top5"}


class Loaded(Given):
    """Given batches, as `evaluate` takes them."""

    errors: ClassVar[dict] = {}


@pytest.mark.parametrize("auxiliary", [0.4, None])
def test_several_outputs(tmp_path: Path, auxiliary: float | None) -> None:
    outputs = (("logits", None), ("auxiliary", auxiliary), ("features", None))
    train = Program(render(tmp_path, HALVED, outputs=outputs)).module("train")
    x = keras.Input((5,), name="x")
    layers = {name: keras.layers.Dense(CLASSES, name=name) for name, _ in outputs}
    model = keras.Model(x, {name: layer(x) for name, layer in layers.items()})
    averaged = keras.models.clone_model(model)
    before = {name: layer.get_weights() for name, layer in layers.items()}
    losses, batches = Losses(), given(1)
    plan = train.Plan(batch_size=6, steps_per_epoch=5, total_steps=10)
    train.fit(train.compile_model(model), averaged, Given(batches), plan, 0, [losses])
    total = 0
    for name, weight in (("logits", 1), ("auxiliary", auxiliary or 0), ("features", 0)):
        loss, slopes = gradients(before[name], *batches[0])
        total += weight * loss
        decay = 1e-3 * before[name][0] if weight else 0
        kernel, bias = layers[name].get_weights()
        assert np.allclose(kernel, before[name][0] - 0.9 * (weight * slopes[0] + decay), 1e-12)
        assert np.allclose(bias, -0.9 * weight * slopes[1], rtol=1e-12)
    assert losses.values == [pytest.approx(total, rel=1e-12)]
    found = train.evaluate(train.evaluation_model(model), Loaded(batches))
    assert found["loss"] == pytest.approx(gradients(layers["logits"].get_weights(), *batches[0])[0])


def test_a_model_of_one_weighted_output(tmp_path: Path) -> None:
    train = Program(render(tmp_path, outputs=(("logits", 0.5),))).module("train")
    labels, logits = np.array([1]), np.array([[0.1, 0.2, 0.3, 0.4]])
    whole, half = train.cross_entropy(labels, logits), train.loss_function(labels, logits)
    assert float(half[0]) == pytest.approx(0.5 * float(whole[0]), rel=1e-15)


def test_evaluation_counts_every_image(program: Program) -> None:
    train, data = program.module("train"), program.module("data")
    model = program.module("model").create_model(1)
    dataset = data.Dataset(data.synthetic_data(4, 0)["test"])
    dataset.source.count = 11
    images, labels = zip(*(dataset.load(i) for i in range(11)), strict=True)
    logits = model.predict(np.stack(images), verbose=0)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    batches = train.evaluation_batches(dataset, 4, workers=2)
    metrics = train.evaluate(train.evaluation_model(model), batches)
    assert metrics["loss"] == pytest.approx(-log_p[range(11), labels].mean(), rel=1e-12)
    assert metrics["top1"] == pytest.approx((logits.argmax(1) == labels).mean())
    assert metrics["top5"] == 1  # of four classes, all are among the best four


def test_loading(program: Program) -> None:
    """Any number of threads, any order of asking, the keys of data.py."""
    train, data = program.module("train"), program.module("data")
    dataset = data.Dataset(data.synthetic_data(4, 0)["train"], seed=2, training=True)
    plan = train.Plan(batch_size=16, steps_per_epoch=64, total_steps=128)
    keys = list(data.training_batches(len(dataset), 16, 2, 60, 68))
    expected = [[dataset.load(*key) for key in batch] for batch in keys]
    for workers in (0, 3):
        batches = train.training_batches(dataset, plan, 60, 68, workers)
        assert len(batches) == 8
        for index in (0, 1, 0, 1, 2, 3, 4, 5, 6, 7):
            images, labels = batches[index]
            assert np.array_equal(images, np.stack([image for image, _ in expected[index]]))
            assert labels.tolist() == [label for _, label in expected[index]]
