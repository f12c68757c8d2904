"""What train.py computes, against NumPy, PyTorch and SEMANTICS.md's formulas, in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from .conftest import RECIPE, Program, render

SCHEDULE = "schedule: {exponential: {initial: 0.05, rate: 0.5, every: {epochs: 1}}}"
OPTIMIZER = "optimizer: {sgd: {momentum: 0.9}}"


@pytest.fixture
def double() -> Iterator[None]:
    """New arrays are float64."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def train(program: Program):
    return program.module("train")


def variant(folder: Path, old: str, new: str, **facts):
    assert old in RECIPE
    return Program(render(folder, RECIPE.replace(old, new), **facts)).module("train")


def to_double(module: nnx.Module) -> nnx.Module:
    for _, variable in nnx.to_flat_state(nnx.state(module, (nnx.Param, nnx.BatchStat))):
        variable.set_value(variable[...].astype(jnp.float64))
    return module


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("{constant: {rate: 0.1, warmup: {steps: 10}}}", lambda t: 0.1 * min(1, (t + 1) / 10)),
        (
            "{exponential: {initial: 1, rate: 0.9, every: {samples: 100}}}",
            lambda t: 0.9 ** (t * 8 // 100),
        ),
        (
            "{cosine: {initial: 0.2, final: 0.1, warmup: {epochs: 1}}}",
            lambda t: (0.1 + 0.05 * (1 + math.cos(math.pi * t / 70))) * min(1, (t + 1) / 7),
        ),
    ],
)
def test_schedules(tmp_path: Path, schedule: str, expected) -> None:
    train = variant(tmp_path, SCHEDULE, f"schedule: {schedule}")
    plan = train.Plan(batch_size=8, steps_per_epoch=7, total_steps=70)
    for step in range(70):
        assert train.learning_rate(step, plan) == pytest.approx(expected(step), rel=1e-12)


def test_decay_is_on_kernels_only(train, program: Program) -> None:
    model = program.module("model").create_model()
    optimizer = train.create_optimizer(model)
    before = {n: np.array(v[...]) for n, v in canonical(program, model).items()}
    zeros = jax.tree.map(jnp.zeros_like, nnx.state(model, nnx.Param))
    for variable in canonical(program, model).values():
        variable[...] = jnp.ones_like(variable[...])
    nnx.jit(lambda o, m, g: o.update(m, g, rate=1.0) and None)(optimizer, model, zeros)
    for name, variable in canonical(program, model).items():
        moved = not np.array_equal(variable[...], np.ones_like(before[name]))
        assert moved == program.module("weights").is_kernel(name), name


def canonical(program: Program, model: nnx.Module) -> dict[str, nnx.Variable]:
    return program.module("weights").canonical_weights(model)


@pytest.mark.parametrize(
    ("settings", "nesterov", "momentum"),
    [
        ("{momentum: 0.9}", False, 0.9),
        ("{momentum: 0.8, nesterov: true}", True, 0.8),
        ("{}", False, 0),
    ],
)
def test_sgd_against_numpy(
    double: None, tmp_path: Path, settings: str, nesterov: bool, momentum: float
) -> None:
    train = variant(tmp_path, OPTIMIZER, f"optimizer: {{sgd: {settings}}}")
    rng = np.random.default_rng(0)
    layer = to_double(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
    optimizer = train.create_optimizer(layer)
    update = nnx.jit(lambda o, m, g, rate: o.update(m, g, rate=rate) and None)
    w = {"kernel": np.array(layer.kernel[...]), "bias": np.array(layer.bias[...])}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    for step in range(5):
        rate = 0.1 / (step + 1)  # velocity must not remember the rate
        drawn = {name: rng.normal(size=value.shape) for name, value in w.items()}
        update(
            optimizer,
            layer,
            nnx.State({n: nnx.Param(jnp.array(g)) for n, g in drawn.items()}),
            rate,
        )
        for name, decay in (("kernel", 1e-3), ("bias", 0.0)):
            g = drawn[name] + decay * w[name]
            v[name] = momentum * v[name] + g
            w[name] = w[name] - rate * ((g + momentum * v[name]) if nesterov else v[name])
            found = getattr(layer, name)[...]
            assert found.dtype == jnp.float64
            assert np.allclose(found, w[name], rtol=1e-13, atol=0)


class Small(nnx.Module):
    def __init__(self) -> None:
        self.conv = nnx.Conv(1, 2, (1, 1), rngs=nnx.Rngs(0))
        self.norm = nnx.BatchNorm(2, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("warmup", [True, False])
def test_average_against_numpy(double: None, tmp_path: Path, warmup: bool) -> None:
    word = str(warmup).lower()
    train = variant(tmp_path, "{decay: 0.9}", f"{{decay: 0.6, warmup: {word}}}")
    model = to_double(Small())
    averaged = nnx.clone(model, arrays=True)
    a = {path: np.array(v[...]) for path, v in nnx.to_flat_state(nnx.state(model))}
    assert len(a) == 6  # kernel, bias, gamma, beta, mean, variance
    for t in range(20):
        for _, variable in nnx.to_flat_state(nnx.state(model)):
            variable[...] += 1
        train.update_average(averaged, model, t)
        d = min(0.6, (1 + t) / (10 + t)) if warmup else 0.6
        for path, variable in nnx.to_flat_state(nnx.state(model)):
            a[path] = d * a[path] + (1 - d) * np.array(variable[...])
        for path, variable in nnx.to_flat_state(nnx.state(averaged)):
            assert variable.dtype == jnp.float64
            assert np.allclose(variable[...], a[path], rtol=1e-13)


def test_a_slow_average_is_exact_in_float32(tmp_path: Path) -> None:
    train = variant(tmp_path, "{decay: 0.9}", "{decay: 0.9999}")
    model, averaged = Small(), Small()
    for module, value in ((model, 1.0), (averaged, 0.0)):
        module.conv.kernel[...] = jnp.full((1, 1, 1, 2), value)
    train.update_average(averaged, model, 10**7)
    assert np.allclose(averaged.conv.kernel[...], 1e-4, rtol=1e-7)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_against_numpy(double: None, tmp_path: Path, smoothing: float) -> None:
    loss = f"loss: {{softmax_cross_entropy: {{label_smoothing: {smoothing}}}}}"
    outputs = (("logits", None), ("auxiliary", 0.4), ("features", None))
    train = variant(tmp_path / "a", "loss: softmax_cross_entropy", loss, outputs=outputs)
    single = variant(tmp_path / "b", "loss: softmax_cross_entropy", loss)
    rng = np.random.default_rng(0)
    labels = np.array([0, 3, 1])

    def expected(logits: np.ndarray) -> float:
        log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        target = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
        return float(-(target * log_p).sum(1).mean())

    given = {name: jnp.array(rng.normal(size=(3, 4))) for name, _ in outputs}
    total = expected(given["logits"]) + 0.4 * expected(given["auxiliary"])
    assert train.loss_function(given, labels).item() == pytest.approx(total, rel=1e-12)
    alone = single.loss_function(given["logits"], labels)
    assert alone.item() == pytest.approx(expected(given["logits"]), rel=1e-12)
    half = single.loss_function(given["logits"].astype(jnp.bfloat16), labels)
    assert half.dtype == jnp.float32


def test_training_is_pytorchs_in_float64(double: None, tmp_path: Path) -> None:
    flax, other = (Program(render(tmp_path / b, RECIPE, b)) for b in ("flax", "torch"))
    model, twin = (p.module("model").create_model(5) for p in (flax, other))
    to_double(model).train()
    twin.double().train()
    theirs = other.module("train")
    settings = theirs.Settings(torch.device("cpu"), torch.float32, 0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    averaged, averaged_twin = nnx.clone(model, arrays=True), other.module("model").create_model(5)
    averaged_twin.double()
    optimizer = flax.module("train").create_optimizer(model)
    optimizer_twin = theirs.create_optimizer(twin)
    rng = np.random.default_rng(0)
    for step in range(5):
        images, labels = rng.normal(size=(8, 16, 16, 3)), rng.integers(0, 4, 8)
        rate = 0.1 / (1 + step)
        loss = flax.module("train").train_step(model, optimizer, images, labels, rate)
        flax.module("train").update_average(averaged, model, step)
        batch = torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(labels)
        loss_twin = theirs.train_step(twin, optimizer_twin, scaler, *batch, rate, settings)
        theirs.update_average(averaged_twin, twin, step)
        assert loss.item() == pytest.approx(loss_twin.item(), rel=1e-12)
    for ours, his in ((model, twin), (averaged, averaged_twin)):
        views = {w.name: w.view for w in other.module("weights").canonical_weights(his)}
        for name, variable in canonical(flax, ours).items():
            assert variable.dtype == jnp.float64
            assert np.allclose(variable[...], views[name].numpy(), rtol=1e-9, atol=1e-12), name


def test_the_rate_compiles_nothing_anew(train, program: Program) -> None:
    model = program.module("model").create_model()
    optimizer = train.create_optimizer(model)
    images, labels = jnp.zeros((16, 16, 16, 3)), jnp.zeros(16, jnp.int32)
    step = nnx.cached_partial(train.train_step, model, optimizer)
    step(images, labels, 0.1)
    compiled = train.train_step.jitted_fn._cache_size()
    for rate in (0.2, 0.3):
        step(images, labels, rate)
    assert train.train_step.jitted_fn._cache_size() == compiled


def test_loss_scale(train) -> None:
    layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer, scaling = train.create_optimizer(layer), train.LossScale()
    update = nnx.jit(lambda s, m, o, g, rate: s.update(m, o, g, rate))
    gradients = nnx.state(nnx.clone(layer), nnx.Param)
    before = np.array(layer.kernel[...])

    update(scaling, layer, optimizer, jax.tree.map(lambda g: g / 0, gradients), 0.1)
    assert (scaling.scale[...], scaling.updates[...], optimizer.step[...]) == (2**15, 0, 0)
    assert np.array_equal(layer.kernel[...], before)

    scaling.updates[...] = jnp.array(1998)
    ones = jax.tree.map(lambda g: jnp.full_like(g, 2.0**15), gradients)
    update(scaling, layer, optimizer, ones, 0.5)
    assert (scaling.scale[...], scaling.updates[...], optimizer.step[...]) == (2**15, 1999, 1)
    assert np.allclose(layer.kernel[...], before - 0.5 * (1 + 1e-3 * before))
    update(scaling, layer, optimizer, ones, 0.5)
    assert (scaling.scale[...], scaling.updates[...]) == (2**16, 0)


def test_evaluation_counts_every_image(train) -> None:
    class Fixed(nnx.Module):
        def __call__(self, images: jax.Array) -> jax.Array:
            return images[:, 0, 0, :4]

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(11, 4)).astype(np.float32)
    labels = rng.integers(0, 4, 11)
    images = logits[:, None, None, :]
    batches = ((images[i : i + 4], labels[i : i + 4]) for i in range(0, 11, 4))
    metrics = train.evaluate(Fixed(), batches)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert metrics["loss"] == pytest.approx(-log_p[range(11), labels].mean(), rel=1e-6)
    assert metrics["top1"] == pytest.approx((logits.argmax(1) == labels).mean())
    assert metrics["top5"] == 1  # of four classes, all are among the best four


def test_evaluation_leaves_training_as_it_was(train, program: Program) -> None:
    model = program.module("model").create_model()
    model.train()
    before = {name: np.array(v[...]) for name, v in canonical(program, model).items()}
    train.evaluate(model, [(jnp.ones((2, 16, 16, 3)), jnp.zeros(2, int))])
    assert not model.dropout.deterministic
    assert not model.stem_norm.use_running_average
    assert all(np.array_equal(v[...], before[n]) for n, v in canonical(program, model).items())


def test_half_precision_is_of_activations_alone(train, program: Program) -> None:
    model = program.module("model").create_model()
    single = nnx.clone(model)
    train.Settings(jax.devices()[0], jnp.bfloat16, 0).apply(model)
    images = jnp.array(np.random.default_rng(0).normal(size=(8, 16, 16, 3)), jnp.float32)
    for mode in ("train", "eval"):
        for m in (model, single):
            getattr(m, mode)()
            m.dropout.deterministic = True
        half, full = (nnx.jit(lambda m, x: m(x))(m, images) for m in (model, single))
        assert half.dtype == jnp.bfloat16
        assert 0 < np.abs(half.astype(jnp.float32) - full).max() < 0.03 * np.abs(full).max()
    assert all(v.dtype == jnp.float32 for v in canonical(program, model).values())


def test_loading_does_not_depend_on_workers(train, program: Program) -> None:
    data = program.module("data")
    dataset = data.Dataset(data.synthetic_data(4, 0)["train"], seed=2, training=True)

    def load(workers: int) -> list[tuple[jax.Array, jax.Array]]:
        settings = train.Settings(jax.devices("cpu")[0], jnp.float32, workers)
        return list(settings.batches(dataset, data.training_batches(len(dataset), 16, 2, 60, 68)))

    alone, shared = load(0), load(3)
    assert len(alone) == len(shared) == 8
    for (a, a_labels), (b, b_labels) in zip(alone, shared, strict=True):
        assert a.shape == (16, 16, 16, 3)
        assert np.array_equal(a, b)
        assert np.array_equal(a_labels, b_labels)
