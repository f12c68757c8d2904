"""Distances and limits, which all verdicts rest on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xgraph.parity.distance import (
    FLOOR,
    IMAGES_FLOOR,
    QUANTITIES,
    Arrays,
    distances,
    limits,
    within,
    worst,
)

GRADIENTS = next(q for q in QUANTITIES if q.name == "gradients of weights")
IMAGES = next(q for q in QUANTITIES if q.name == "gradient of images")
OUTPUT = next(q for q in QUANTITIES if q.name == "evaluation output")
STEPS = next(q for q in QUANTITIES if q.name == "weights after steps")


def between(left, right):
    return distances(Arrays(left), Arrays(right))


def test_a_distance_is_relative_to_the_largest_entry_of_the_tensor():
    found = between({"a": np.array([1.0, -4.0])}, {"a": np.array([1.5, -5.0])})
    assert found == {"a": 0.2}


def test_small_tensors_are_measured_against_the_floor():
    left = {"large": np.array([10.0]), "small": np.array([1e-9])}
    right = {"large": np.array([10.0]), "small": np.array([0.0])}
    assert between(left, right)["small"] == pytest.approx(1e-9 / (FLOOR * 10))


def test_gradients_of_weights_tell_how_small_that_of_images_is():
    weight, others = {"gradients/a": np.array([0.5])}, {"gradients/b": np.array([2.0])}
    for size, scale in ((1e-16, 2 * IMAGES_FLOOR), (1e-5, 1e-5)):
        left = {**weight, **others, "images": np.array([2 * size]), "outputs/0": np.array([1e9])}
        right = {**weight, **others, "images": np.array([size]), "outputs/0": np.array([1e9])}
        found = distances(IMAGES.of(left), IMAGES.of(right))
        assert found == {"images": pytest.approx(size / scale)}
    alone = distances(IMAGES.of({"images": np.array([1e-16])}), IMAGES.of({"images": np.zeros(1)}))
    assert alone == {"images": math.inf}


def test_of_nothing_but_zeros_all_else_is_infinitely_far():
    zeros, others = {"images": np.zeros(3)}, {"images": np.array([0, 1e-300, 0])}
    assert distances(Arrays(others), Arrays(zeros)) == {"images": math.inf}
    assert distances(Arrays(zeros), Arrays(others)) == {"images": 1}
    assert distances(Arrays(zeros), Arrays(zeros)) == {"images": 0}


@pytest.mark.parametrize(
    "other",
    [{}, {"a": np.ones(3)}, {"a": np.array([1.0, np.nan])}, {"a": np.array([1.0, np.inf])}],
)
def test_what_cannot_be_compared_is_infinitely_far(other):
    assert between({"a": np.ones(2)}, other)["a"] == math.inf
    assert between(other, {"a": np.ones(2)})["a"] == math.inf


def test_a_kind_is_a_name_or_what_stands_before_a_slash():
    held = {"loss": np.ones(1), "losses": np.ones(1), "loss/a": np.ones(1)}
    assert Arrays(held, "loss").names == ["loss", "loss/a"]


@pytest.mark.parametrize(
    ("quantity", "dtype", "own", "limit"),
    [
        (OUTPUT, "float64", [], 1e-12),
        (OUTPUT, "float64", [{"a": 1e-15}], 1e-12),
        (GRADIENTS, "float64", [{"a": 1e-12}, {}], 1e-10),
        (GRADIENTS, "float64", [{"a": 1e-8}, {"a": 3e-8}], 3e-6),
        (GRADIENTS, "float64", [{"a": 1.0}], 1e-2),
        (GRADIENTS, "float64", [{"a": math.inf}], 1e-12),
        (GRADIENTS, "float32", [{"a": 0.0}], 1e-6),
        (GRADIENTS, "float32", [{"a": 1e-3}, {"a": 2e-3}], 4e-3),
        (GRADIENTS, "float32", [{"a": 1.0}], 0.1),
        (GRADIENTS, "float32", [{"a": math.inf}], 1e-6),
        (STEPS, "float64", [], 1e-12),
        (STEPS, "float32", [], None),
    ],
)
def test_limits(quantity, dtype, own, limit):
    assert limits(quantity, dtype, ["a"], own) == {"a": pytest.approx(limit)}


def test_a_tensor_that_is_too_far_from_itself_is_left_out_where_others_tell():
    own = [{"a": 0.1, "b": 1e-9}]
    allowed = limits(GRADIENTS, "float64", ["a", "b"], own)
    assert allowed == {"a": None, "b": pytest.approx(1e-7)}
    assert worst({"a": 0.5, "b": 1e-9}, allowed) == "b"


def test_the_worst_is_farthest_in_proportion_to_its_limit():
    found = {"a": 1e-8, "b": 5e-9}
    assert worst(found, {"a": 1e-6, "b": 1e-9}) == "b"
    assert worst(found, {"a": None, "b": None}) == "a"
    assert worst({}, {}) is None


def test_within():
    assert within({"a": 1e-9, "b": math.inf}, {"a": 1e-9, "b": None})
    assert not within({"a": 1.1e-9}, {"a": 1e-9})
    assert not within({"a": math.inf}, {"a": 1e-9})
    assert not within({"a": math.nan}, {"a": 1e-9})
