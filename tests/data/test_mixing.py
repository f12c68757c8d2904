"""Mixup and CutMix: the distribution of λ, what is mixed with what, and what the labels say."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from tests.data.programs import program, recipe
from xgraph.diagnostics import SpecError
from xgraph.recipe.mixings import MIXINGS
from xgraph.recipe.mixings.base import probabilities

CASES = [(name, case) for name, cls in MIXINGS.items() for case in cls.cases()]
ALPHAS = (0.001, 0.05, 0.2, 0.5, 1.0, 2.0, 8.0, 300.0)
RNG = np.random.default_rng(0)


def data_of(train: dict[str, Any], source: str = "idx") -> Any:
    """The program that mixes so."""
    return program(json.dumps({"normalize": "unit", "train": train}), source)


@pytest.fixture(scope="module")
def both() -> Any:
    return data_of({"mixup": 0.2, "cutmix": 1})


def dataset(data: Any, seed: int = 0, training: bool = True) -> Any:
    source = data.ArrayImages(np.zeros((9, 16, 16, 3), np.uint8), np.arange(9) % 4)
    return data.Dataset(source, seed, training=training)


# λ


def distribution(alpha: float, numbers: np.ndarray) -> np.ndarray:
    """The distribution function of Beta(α, α), by Simpson's rule.

    It is ½ at ½. For α below 1, with t = u^(1/α), ∫ t^(α − 1)·(1 − t)^(α − 1) dt up to x is
    ∫ (1 − u^(1/α))^(α − 1) du / α up to x^α, whose integrand is bounded.
    """
    power = min(alpha, 1)
    low = np.minimum(numbers, 1 - numbers)
    grid = np.linspace(0, 0.5**power, 200_001)
    if alpha < 1:
        values = (1 - grid ** (1 / alpha)) ** (alpha - 1)
    else:
        values = (4 * grid * (1 - grid)) ** (alpha - 1)
    pairs = values[:-2:2] + 4 * values[1::2] + values[2::2]
    sums = np.concatenate([[0], np.cumsum(pairs)])
    below = 0.5 * np.interp(low**power, grid[::2], sums / sums[-1])
    return np.where(numbers <= 0.5, below, 1 - below)


def test_the_distribution_is_what_it_should_be() -> None:
    """Of the uniform distribution, of Beta(2, 2) and of Beta(½, ½), which have formulas."""
    x = np.linspace(0, 1, 101)
    assert np.allclose(distribution(1, x), x, atol=1e-6)
    assert np.allclose(distribution(2, x), x * x * (3 - 2 * x), atol=1e-6)
    assert np.allclose(distribution(0.5, x), 2 / math.pi * np.arcsin(np.sqrt(x)), atol=1e-6)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_shares_have_the_beta_distribution(alpha: float, both: Any) -> None:
    """By Kolmogorov and Smirnov, and by the first four moments."""
    count = 40_000
    random = both.uniform(4 * count, 1, both.MIXING).reshape(count, 4)
    drawn = np.sort([both.beta(alpha, row) for row in random])
    expected = distribution(alpha, drawn)
    ranks = np.arange(count + 1) / count
    # Many are 0 or 1 to the last bit where α is small: rounding is no distance.
    inner = (drawn > 1e-12) & (drawn < 1 - 1e-12)
    distance = max(
        np.abs(expected - ranks[:-1])[inner].max(initial=0),
        np.abs(expected - ranks[1:])[inner].max(initial=0),
    )
    print(f"α = {alpha:g}: Kolmogorov-Smirnov distance {distance:.5f}")
    assert distance < 1.63 / math.sqrt(count)  # which one of a hundred samples would exceed
    central = drawn - 0.5
    variance = 1 / (4 * (2 * alpha + 1))
    fourth = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3))
    for power, moment in ((1, 0), (2, variance), (3, 0), (4, fourth)):
        spread = np.std(central**power) / math.sqrt(count)
        assert abs(np.mean(central**power) - moment) < 4 * spread + 1e-12, power


def test_shares_of_the_rarest_numbers(both: Any) -> None:
    """Whatever is drawn, a share is a number from 0 to 1."""
    edges = (0.0, 2.0**-53, 0.25, 0.5, 0.75, 1 - 2.0**-53)
    for alpha in (0.001, 0.5, 1.0, 999.0):
        for row in np.stack(np.meshgrid(*[edges] * 4), -1).reshape(-1, 4):
            assert 0 <= both.beta(alpha, row) <= 1


def test_a_share_is_the_formula(both: Any) -> None:
    """Odds times a power, without logarithms."""
    for u, v, first, second in RNG.random((50, 4)):
        p = (1 + math.cos(2 * math.pi * v) * (1 - (1 - u) ** (2 / 5)) ** 0.5) / 2
        odds = p / (1 - p) * ((1 - first) / (1 - second)) ** (1 / 2)
        made = both.beta(2.0, np.array([u, v, first, second]))
        assert made == pytest.approx(odds / (1 + odds), rel=1e-12)


# What is mixed


@pytest.mark.parametrize(("name", "case"), CASES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_the_program_is_the_reference(name: str, case: dict[str, Any], count: int) -> None:
    data, mixing = data_of({name: case}), MIXINGS[name](**case)
    images = RNG.random((count, 9, 14, 3)).astype(np.float32)
    targets = np.eye(4, dtype=np.float32)[RNG.integers(0, 4, count)]
    for random in RNG.random((40, mixing.draws)):
        given = images.copy(), targets.copy()
        made = getattr(data, name)(*given, mixing.alpha, random)
        share = data.beta(mixing.alpha, random)
        expected = mixing.reference(images, targets, share, random[4:])
        for one, other in zip(made, expected, strict=True):
            assert one.dtype == np.float32
            assert np.allclose(one, other, rtol=1e-6, atol=1e-7)
        assert np.array_equal(given[0], images)


def test_labels_sum_to_one(both: Any) -> None:
    targets = both.class_shares(np.array([0, 1, 2, 3, 3, 3]))
    images = np.zeros((6, 4, 4, 1), np.float32)
    for random in RNG.random((300, 6)):
        for mix in (both.mixup, both.cutmix):
            _, made = mix(images, targets, 0.7, random)
            assert np.allclose(made.sum(1), 1, atol=1e-6, rtol=0)
            assert (made >= 0).all()


def test_the_labels_say_how_large_the_box_is(both: Any) -> None:
    """To the pixel, where the box reaches over an edge too, which it often does."""
    images = np.zeros((2, 12, 20, 1), np.float32)
    images[1] = 1
    targets = np.eye(4, dtype=np.float32)[:2]
    apart, areas = [], []
    for random in RNG.random((500, 6)):
        mixed, made = both.cutmix(images, targets, 1.0, random)
        boxes = mixed[0, ..., 0], 1 - mixed[1, ..., 0]
        assert np.array_equal(*boxes)
        rows, columns = (np.flatnonzero(boxes[0].any(axis)) for axis in (1, 0))
        assert boxes[0].sum() == len(rows) * len(columns)
        assert all(np.ptp(places) == len(places) - 1 for places in (rows, columns) if len(places))
        assert made[0, 1] == pytest.approx(boxes[0].mean(), abs=1e-7)
        assert made[1, 0] == pytest.approx(boxes[0].mean(), abs=1e-7)
        apart.append(boxes[0].mean() - (1 - both.beta(1.0, random)))
        areas.append(boxes[0].mean())
    assert min(apart) < -0.3, "no box was cut by an edge"
    assert max(apart) < 1e-6, "a box is larger than 1 − λ"
    assert min(areas) < 0.01
    assert max(areas) > 0.7


def test_boxes_are_everywhere(both: Any) -> None:
    """Every pixel is the center of a box equally often."""
    images = np.stack([np.zeros((8, 8, 1)), np.ones((8, 8, 1))]).astype(np.float32)
    seen = np.zeros((8, 8))
    for u, v in np.stack(np.meshgrid(*[(np.arange(8) + 0.5) / 8] * 2), -1).reshape(-1, 2):
        # λ is ½ wherever s is 0 and both last numbers are the same: half of 5 is 2.
        random = np.array([0.5, 0.25, 0.5, 0.5, u, v])
        mixed, _ = both.cutmix(images, np.eye(2, dtype=np.float32), 1.0, random)
        seen += mixed[0, ..., 0]
    ways = np.array([3, 4, 4, 4, 4, 4, 3, 2])  # how many centers reach a row: those up to 2 above
    assert np.array_equal(seen, np.outer(ways, ways))


# Batches


def ways_of(train: dict[str, Any], tries: int = 4000) -> dict[str, float]:
    """How often batches are mixed in which way."""
    data = data_of(train)
    made = dataset(data)
    images = np.stack([np.full((8, 8, 1), value, np.float32) for value in (0, 1)])
    found = {"mixup": 0, "cutmix": 0, "": 0}
    for index in range(tries):
        mixed, _ = made.mixed((index, 3), images, np.array([0, 1]))
        values = set(mixed[0].ravel().tolist())
        if values == {0.0}:
            found[""] += 1
        elif values <= {0.0, 1.0}:
            found["cutmix"] += 1
        else:
            found["mixup"] += 1
    return {name: count / tries for name, count in found.items()}


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ({"mixup": {"alpha": 5}}, (1, 0)),
        ({"mixup": {"alpha": 5, "probability": 0.3}}, (0.3, 0)),
        ({"mixup": {"alpha": 5}, "cutmix": {"alpha": 5}}, (0.5, 0.5)),
        ({"mixup": {"alpha": 5}, "cutmix": {"alpha": 5, "probability": 0.2}}, (0.8, 0.2)),
        ({"mixup": {"alpha": 5, "probability": 0.6}, "cutmix": {"alpha": 5}}, (0.6, 0.4)),
        (
            {
                "mixup": {"alpha": 5, "probability": 0.4},
                "cutmix": {"alpha": 5, "probability": 0.25},
            },
            (0.4, 0.25),
        ),
    ],
    ids=str,
)
def test_how_many_batches_are_mixed(train: dict[str, Any], expected: tuple[float, float]) -> None:
    found = ways_of(train)
    for name, share in zip(("mixup", "cutmix"), expected, strict=True):
        assert found[name] == pytest.approx(share, abs=0.03 if 0 < share < 1 else 1e-9)


def test_a_batch_is_mixed_by_seed_epoch_and_first_image_alone(both: Any) -> None:
    images = RNG.random((4, 16, 16, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 3])
    made = {
        key: dataset(both, seed).mixed(key[1:], images, labels)[1].tobytes()
        for seed in (0, 1)
        for key in ((seed, index, epoch) for index in range(6) for epoch in range(3))
    }
    assert len(set(made.values())) == len(made)
    again = dataset(both, 1).mixed((2, 1), images, labels)[1].tobytes()
    assert again == made[1, 2, 1]


def test_in_evaluation_nothing_is_mixed(both: Any) -> None:
    images, labels = RNG.random((4, 16, 16, 3)).astype(np.float32), np.array([0, 1, 2, 3])
    made = dataset(both, training=False).mixed((0, 0), images, labels)
    assert made[0] is images
    assert made[1] is labels


def test_labels_of_any_number(both: Any) -> None:
    """Ones and zeros are mixed as shares are; one label for an image becomes a one."""
    rows = np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
    assert np.array_equal(both.class_shares(rows), rows)
    assert both.class_shares(rows).dtype == both.class_shares(np.array([2])).dtype == np.float32
    assert np.array_equal(both.class_shares(np.array([2, 0])), np.eye(4)[[2, 0]])
    data = data_of({"mixup": 1}, "{manifest: {many: true}}")
    _, made = data.mixup(
        np.zeros((3, 2, 2, 1), np.float32), data.class_shares(rows), 1.0, RNG.random(4)
    )
    share = made[0, 0]
    assert np.allclose(made, share * rows + (1 - share) * rows[::-1], atol=1e-6)


# Mistakes


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"mixup": {}}, "needs 'alpha'"),
        ({"mixup": 0}, "at least 0.001 and below 1000"),
        ({"cutmix": {"alpha": 1, "probability": 0}}, "a number above 0 and at most 1"),
        ({"cutmix": {"alpha": 1, "probability": 1.5}}, "a number above 0 and at most 1"),
        ({"cutmix": {"alpha": 1, "probability": True}}, "a number above 0 and at most 1"),
        ({"mixup": {"alpha": 1, "probabilty": 1}}, "probability"),
        ({"cutmixx": 1}, "did you mean 'cutmix'"),
        ({"mixup": {"alpha": 1, "probability": 1}, "cutmix": 1}, "too few batches for mixup and"),
        (
            {
                "mixup": {"alpha": 1, "probability": 0.7},
                "cutmix": {"alpha": 1, "probability": 0.4},
            },
            "too few batches for",
        ),
    ],
    ids=str,
)
def test_mistakes_are_located(train: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message) as caught:
        recipe(json.dumps({"normalize": "unit", "train": train}))
    assert all(d.span and d.code.startswith("XG60") for d in caught.value.diagnostics)


def test_shares_of_batches() -> None:
    made = [MIXINGS["cutmix"](1.0, 0.3), MIXINGS["mixup"](1.0, 0.7)]
    assert probabilities(made) == [0.3, 0.7]
    assert probabilities([]) == []
    assert probabilities([MIXINGS["cutmix"](1.0, 1.0)]) == [1.0]
