"""The NumPy references of recipes' parts, against what nobody here has written."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import numpy as np
import optax
import pytest
import torch

from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.clips.norm import Norm
from xgraph.recipe.clips.value import Value
from xgraph.recipe.kinds import Period
from xgraph.recipe.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from xgraph.recipe.optimizers.adam import Adam
from xgraph.recipe.optimizers.adamw import AdamW
from xgraph.recipe.optimizers.base import Optimizer
from xgraph.recipe.optimizers.rmsprop import Rmsprop
from xgraph.recipe.optimizers.sgd import Sgd
from xgraph.recipe.part import named
from xgraph.recipe.reference import Length
from xgraph.recipe.regularizations.decoupled import Decoupled
from xgraph.recipe.regularizations.l2 import L2
from xgraph.recipe.schedules.base import Schedule
from xgraph.recipe.schedules.constant import Constant
from xgraph.recipe.schedules.cosine import Cosine
from xgraph.recipe.schedules.exponential import Exponential
from xgraph.recipe.schedules.polynomial import Polynomial
from xgraph.recipe.schedules.step_list import StepList

STEPS = 20
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(5, 3))
GRADIENTS = RNG.normal(size=(STEPS, 5, 3)) * RNG.choice([1e-3, 1, 10], size=(STEPS, 5, 3))
#: The rate changes, so that what holds it in a memory is seen.
RATES = 0.1 / (1 + np.arange(STEPS) // 3)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def by_reference(optimizer: Optimizer) -> list[np.ndarray]:
    """The weight after each update."""
    weight = WEIGHT
    memory = {word: np.full_like(WEIGHT, start) for word, start in optimizer.memories.items()}
    found = []
    for t, (gradient, rate) in enumerate(zip(GRADIENTS, RATES, strict=True)):
        weight = optimizer.step(weight, gradient, memory, float(rate), t, kernel=True)
        found.append(weight)
    return found


def by_torch(make: Callable[..., torch.optim.Optimizer]) -> list[np.ndarray]:
    weight = torch.nn.Parameter(torch.tensor(WEIGHT))
    optimizer = make([weight])
    found = []
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        optimizer.param_groups[0]["lr"] = float(rate)
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        found.append(weight.detach().numpy().copy())
    return found


def by_optax(transformation: optax.GradientTransformation) -> list[np.ndarray]:
    """By one that minds no learning rate but that of `RATES`, which it is given as a schedule."""
    weight = jax.numpy.asarray(WEIGHT)
    state = transformation.init(weight)
    found = []
    for gradient in GRADIENTS:
        update, state = transformation.update(jax.numpy.asarray(gradient), state, weight)
        weight = optax.apply_updates(weight, update)
        found.append(np.asarray(weight))
    return found


def scheduled(step):
    """`RATES` as optax takes it."""
    return jax.numpy.asarray(RATES)[step]


ORACLES = {
    "sgd": (Sgd(), lambda: by_torch(lambda w: torch.optim.SGD(w, lr=1))),
    "momentum": (Sgd(0.9), lambda: by_torch(lambda w: torch.optim.SGD(w, lr=1, momentum=0.9))),
    "nesterov": (
        Sgd(0.8, True),
        lambda: by_torch(lambda w: torch.optim.SGD(w, lr=1, momentum=0.8, nesterov=True)),
    ),
    "adam": (Adam(), lambda: by_torch(torch.optim.Adam)),
    "adam, optax": (
        Adam(0.5, 0.9, 0.1),
        lambda: by_optax(optax.adam(scheduled, b1=0.5, b2=0.9, eps=0.1)),
    ),
    "adamw": (
        AdamW(0.3, 0.5, 0.9, 0.1),
        lambda: by_torch(
            lambda w: torch.optim.AdamW(w, betas=(0.5, 0.9), eps=0.1, weight_decay=0.3)
        ),
    ),
    "rmsprop": (
        Rmsprop(decay=0.95, epsilon=1.0, initial=1.0),
        lambda: by_optax(optax.rmsprop(scheduled, 0.95, 1.0, 1.0)),
    ),
}


def test_every_optimizer_has_an_oracle() -> None:
    assert {type(optimizer) for optimizer, _ in ORACLES.values()} == {*named("optimizer").values()}


@pytest.mark.parametrize("name", ORACLES)
def test_optimizers(name: str) -> None:
    optimizer, oracle = ORACLES[name]
    for t, (found, expected) in enumerate(zip(by_reference(optimizer), oracle(), strict=True)):
        assert np.allclose(found, expected, rtol=1e-12, atol=1e-13), t


def test_rmsprop_with_momentum_is_keras() -> None:
    """Keras has the rate in its momentum and ε in the root, and begins at 0."""
    import keras

    keras.config.set_floatx("float64")
    try:
        weight = keras.Variable(WEIGHT, dtype="float64")
        optimizer = keras.optimizers.RMSprop(0.1, rho=0.95, momentum=0.9, epsilon=1e-3)
        optimizer.build([weight])
        reference = by_reference(Rmsprop(momentum=0.9, decay=0.95, epsilon=1e-3))
        for gradient, rate, expected in zip(GRADIENTS, RATES, reference, strict=True):
            optimizer.learning_rate.assign(rate)
            optimizer.apply([keras.ops.convert_to_tensor(gradient)])
            found = keras.ops.convert_to_numpy(weight.value)
            # Keras keeps the learning rate in float32, whatever its floatx is.
            assert np.allclose(found, expected, rtol=1e-6)
    finally:
        keras.config.set_floatx("float32")


def test_decay() -> None:
    """L2 is PyTorch's `weight_decay` of SGD; decoupled with SGD is that of AdamW's first lines."""
    l2 = by_torch(lambda w: torch.optim.SGD(w, lr=1, momentum=0.9, weight_decay=0.1))
    decoupled = by_optax(
        optax.chain(
            optax.trace(0.9),
            optax.add_decayed_weights(0.3),
            optax.scale_by_learning_rate(scheduled),
        )
    )
    for part, expected in ((L2(0.1), l2), (Decoupled(0.3), decoupled)):
        weight, memory = WEIGHT, {"momentum": np.zeros_like(WEIGHT)}
        for t, (gradient, rate) in enumerate(zip(GRADIENTS, RATES, strict=True)):
            whole = gradient + part.added(weight)
            decayed = part.decayed(weight, float(rate))
            weight = Sgd(0.9).step(decayed, whole, memory, float(rate), t, kernel=True)
            assert np.allclose(weight, expected[t], rtol=1e-12, atol=1e-13), t


def test_biases_do_not_decay() -> None:
    args = (WEIGHT, GRADIENTS[0])
    adam, adamw = Adam(), AdamW(weight_decay=0.3)
    made = [
        optimizer.step(*args, {w: np.zeros_like(WEIGHT) for w in adam.memories}, 0.1, 0, kernel)
        for optimizer, kernel in ((adam, True), (adamw, False), (adamw, True))
    ]
    assert np.array_equal(made[0], made[1])
    assert np.allclose(made[2], made[0] - 0.1 * 0.3 * WEIGHT, rtol=1e-14)


@pytest.mark.parametrize("limit", [0.05, 1e6])
def test_clips(limit: float) -> None:
    gradients = {"a": GRADIENTS[0], "b": GRADIENTS[1][:2]}
    tree = {name: jax.numpy.asarray(gradient) for name, gradient in gradients.items()}
    clip = optax.clip_by_global_norm(limit)
    expected, _ = clip.update(tree, clip.init(tree))
    found = Norm(limit).reference(gradients)
    assert all(np.allclose(found[name], expected[name], rtol=1e-14) for name in gradients)

    weights = [torch.nn.Parameter(torch.zeros_like(torch.tensor(g))) for g in gradients.values()]
    for weight, gradient in zip(weights, gradients.values(), strict=True):
        weight.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_value_(weights, limit)
    clipped = Value(limit).reference(gradients).values()
    for weight, ours in zip(weights, clipped, strict=True):
        assert np.array_equal(weight.grad.numpy(), ours)


def test_nothing_has_no_norm() -> None:
    zeros = {"a": np.zeros(3)}
    assert np.array_equal(Norm(1.0).reference(zeros)["a"], zeros["a"])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_softmax_cross_entropy(smoothing: float) -> None:
    logits, labels = 30 * RNG.normal(size=(7, 5)), RNG.integers(0, 5, 7)
    given = torch.tensor(logits, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(given, torch.tensor(labels), label_smoothing=smoothing)
    loss.backward()
    part = SoftmaxCrossEntropy(smoothing)
    assert part.reference(logits, labels) == pytest.approx(loss.item(), rel=1e-13)
    assert np.allclose(part.gradient(logits, labels), given.grad.numpy(), rtol=1e-11, atol=1e-15)


def test_ema() -> None:
    """optax counts from 1 and knows no warm-up; the formula of that is TensorFlow's."""
    average = optax.ema(0.9, debias=False)
    state = average.init(jax.numpy.asarray(WEIGHT))
    ours = np.zeros_like(WEIGHT)
    for t, value in enumerate(GRADIENTS):
        theirs, state = average.update(jax.numpy.asarray(value), state)
        ours = Ema(0.9, warmup=False).reference(ours, value, t)
        assert np.allclose(ours, theirs, rtol=1e-13)
    assert [Ema(0.99).kept(t) for t in (0, 1, 8)] == [1 / 10, 2 / 11, 1 / 2]
    assert Ema(0.99).kept(10**6) == 0.99


PLAN = Length(batch_size=8, steps_per_epoch=7, total_steps=70, rate=0.2)
EPOCH, FIVE = Period("epochs", 1), Period("steps", 5)
SCHEDULES: dict[str, tuple[Schedule, Callable[[int], float]]] = {
    "constant": (Constant(0.2), optax.constant_schedule(0.2)),
    "cosine": (Cosine(0.2), optax.cosine_decay_schedule(0.2, 70)),
    "cosine, final": (Cosine(0.2, 0.05), optax.cosine_decay_schedule(0.2, 70, alpha=0.25)),
    "exponential": (
        Exponential(0.2, 0.94, Period("epochs", 2)),
        optax.exponential_decay(0.2, 14, 0.94, staircase=True),
    ),
    "polynomial": (Polynomial(0.2), optax.linear_schedule(0.2, 0.0, 70)),
    "polynomial, power": (
        Polynomial(0.2, 0.01, 0.9),
        optax.polynomial_schedule(0.2, 0.01, 0.9, 70),
    ),
    "step list": (
        StepList(0.2, 0.1, (EPOCH, Period("steps", 30))),
        optax.piecewise_constant_schedule(0.2, {7: 0.1, 30: 0.1}),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name: str) -> None:
    schedule, oracle = SCHEDULES[name]
    for t in range(70):
        assert schedule.reference(t, PLAN) == pytest.approx(float(oracle(t)), rel=1e-12), t


def test_a_schedule_is_in_proportion() -> None:
    twice = Length(8, 7, 70, rate=0.4)
    for schedule, _ in SCHEDULES.values():
        if schedule.name in ("constant", "exponential", "step_list") or schedule.final == 0:
            assert schedule.reference(33, twice) == pytest.approx(
                2 * schedule.reference(33, PLAN), rel=1e-14
            )


def test_warm_up() -> None:
    linear = optax.linear_schedule(0.2 / 5, 0.2, 4)
    for t in range(8):
        assert Constant(0.2, warmup=FIVE).reference(t, PLAN) == pytest.approx(float(linear(t)))


@pytest.mark.parametrize(
    ("period", "first"),
    [(Period("steps", 3), 3), (Period("epochs", 2), 14), (Period("samples", 100), 13)],
)
def test_periods(period: Period, first: int) -> None:
    """The first update with less than the initial rate; of 8 images each, the 13th passes 100."""
    rates = [Exponential(0.2, 0.5, period).reference(t, PLAN) for t in range(70)]
    assert next(t for t, rate in enumerate(rates) if rate < 0.2) == first
    for t, rate in enumerate(rates):
        whole = {"steps": t // 3, "epochs": t // 14, "samples": t * 8 // 100}[period.unit]
        assert rate == pytest.approx(0.2 * 0.5**whole, rel=1e-14)
    assert math.isclose(rates[0], 0.2)
