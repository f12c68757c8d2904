"""What train.py computes, against NumPy and against SEMANTICS.md's formulas."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from .conftest import KERNELS, RECIPE, Program, render

SCHEDULE = "schedule: {exponential: {initial: 0.05, rate: 0.5, every: {epochs: 1}}}"
OPTIMIZER = "optimizer: {sgd: {momentum: 0.9}}"


@pytest.fixture(scope="module")
def train(program: Program):
    return program.module("train")


def variant(folder: Path, old: str, new: str, **facts):
    assert old in RECIPE
    return Program(render(folder, RECIPE.replace(old, new), **facts)).module("train")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("{constant: 0.1}", lambda t: 0.1),
        ("{constant: {rate: 0.1, warmup: {steps: 10}}}", lambda t: 0.1 * min(1, (t + 1) / 10)),
        (
            "{exponential: {initial: 0.045, rate: 0.94, every: {epochs: 2}}}",
            lambda t: 0.045 * 0.94 ** (t // 14),
        ),
        (
            "{exponential: {initial: 1, rate: 0.5, every: {steps: 3}}}",
            lambda t: 0.5 ** (t // 3),
        ),
        (
            "{exponential: {initial: 1, rate: 0.9, every: {samples: 100}}}",
            lambda t: 0.9 ** (t * 8 // 100),
        ),
        (
            "{cosine: {initial: 0.2}}",
            lambda t: 0.1 * (1 + math.cos(math.pi * t / 70)),
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
    decayed, others = train.create_optimizer(model).param_groups
    names = {id(p): n for n, p in model.named_parameters()}
    assert decayed["weight_decay"] == 1e-3
    assert others["weight_decay"] == 0
    assert len(decayed["params"]) == len(KERNELS)
    assert all(p.ndim > 1 for p in decayed["params"])
    assert all(p.ndim == 1 for p in others["params"])
    held = [id(p) for p in [*decayed["params"], *others["params"]]]
    assert sorted(held) == sorted(names)


@pytest.mark.parametrize(
    ("settings", "nesterov", "momentum"),
    [
        ("{momentum: 0.9}", False, 0.9),
        ("{momentum: 0.8, nesterov: true}", True, 0.8),
        ("{}", False, 0),
    ],
)
def test_sgd_against_numpy(tmp_path: Path, settings: str, nesterov: bool, momentum: float) -> None:
    train = variant(tmp_path, OPTIMIZER, f"optimizer: {{sgd: {settings}}}")
    rng = np.random.default_rng(0)
    torch.manual_seed(0)  # a weight that comes out near 0 has few digits: no luck in that
    layer = nn.Linear(3, 2).double()
    optimizer = train.create_optimizer(layer)
    w = [layer.weight.detach().numpy().copy(), layer.bias.detach().numpy().copy()]
    v = [np.zeros_like(x) for x in w]
    for step in range(5):
        rate = 0.1 / (step + 1)  # velocity must not remember the rate
        for group in optimizer.param_groups:
            group["lr"] = rate
        gradients = [rng.normal(size=x.shape) for x in w]
        layer.weight.grad, layer.bias.grad = map(torch.tensor, gradients)
        optimizer.step()
        for i, decay in enumerate((1e-3, 0.0)):
            g = gradients[i] + decay * w[i]
            v[i] = momentum * v[i] + g
            w[i] = w[i] - rate * ((g + momentum * v[i]) if nesterov else v[i])
        assert np.allclose(layer.weight.detach().numpy(), w[0], rtol=1e-13, atol=0)
        assert np.allclose(layer.bias.detach().numpy(), w[1], rtol=1e-13, atol=0)


@pytest.mark.parametrize("warmup", [True, False])
def test_average_against_numpy(tmp_path: Path, warmup: bool) -> None:
    word = str(warmup).lower()
    train = variant(tmp_path, "{decay: 0.9}", f"{{decay: 0.6, warmup: {word}}}")
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).double()
    averaged = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).double()
    averaged.load_state_dict(model.state_dict())
    floats = [k for k, t in model.state_dict().items() if t.is_floating_point()]
    a = {k: model.state_dict()[k].numpy().copy() for k in floats}
    for t in range(20):
        for tensor in model.state_dict().values():
            tensor.add_(torch.ones_like(tensor))
        train.update_average(averaged, model, t)
        d = min(0.6, (1 + t) / (10 + t)) if warmup else 0.6
        a = {k: d * a[k] + (1 - d) * model.state_dict()[k].numpy() for k in floats}
        for k in floats:
            assert np.allclose(averaged.state_dict()[k].numpy(), a[k], rtol=1e-13)
    assert len(floats) == 6  # kernel, bias, gamma, beta, mean, variance


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_against_numpy(tmp_path: Path, smoothing: float) -> None:
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

    given = {name: rng.normal(size=(3, 4)).astype(np.float32) for name, _ in outputs}
    tensors = {name: torch.tensor(value) for name, value in given.items()}
    total = expected(given["logits"]) + 0.4 * expected(given["auxiliary"])
    assert train.loss_function(tensors, torch.tensor(labels)).item() == pytest.approx(
        total, rel=1e-5
    )
    alone = single.loss_function(tensors["logits"], torch.tensor(labels))
    assert alone.item() == pytest.approx(expected(given["logits"]), rel=1e-5)


def test_evaluation_counts_every_image(train) -> None:
    class Fixed(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :4, 0, 0]

    rng = np.random.default_rng(0)
    logits = rng.normal(size=(11, 4)).astype(np.float32)
    labels = rng.integers(0, 4, 11)
    images = torch.tensor(logits)[:, :, None, None]
    settings = train.Settings(torch.device("cpu"), torch.float32, workers=0)
    batches = ((images[i : i + 4], torch.tensor(labels[i : i + 4])) for i in range(0, 11, 4))
    metrics = train.evaluate(Fixed(), batches, settings)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert metrics["loss"] == pytest.approx(-log_p[range(11), labels].mean(), rel=1e-6)
    assert metrics["top1"] == pytest.approx((logits.argmax(1) == labels).mean())
    assert metrics["top5"] == 1  # of four classes, all are among the best four


def test_loading_does_not_depend_on_workers(train, program: Program) -> None:
    data = program.module("data")
    dataset = data.Dataset(data.synthetic_data(4, 0)["train"], seed=2, training=True)

    def load(workers: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        settings = train.Settings(torch.device("cpu"), torch.float32, workers)
        keys = data.training_batches(len(dataset), 16, 2, 60, 68)
        return list(settings.batches(dataset, keys))

    torch.manual_seed(5)
    before = torch.get_rng_state()
    alone, shared = load(0), load(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(alone) == len(shared) == 8
    for (a, a_labels), (b, b_labels) in zip(alone, shared, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a_labels, b_labels)
        assert b.is_contiguous(memory_format=torch.channels_last)
