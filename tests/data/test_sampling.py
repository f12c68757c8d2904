"""Which images are held out, and in which order they come, balanced or not."""

from __future__ import annotations

import collections
import pickle
import sys

import numpy as np
import pytest

from tests.data.programs import program, sizes, write_images
from xgraph.diagnostics import SpecError


def labelled(data, labels):
    labels = np.asarray(labels)
    pixels = np.zeros((len(labels), 2, 2), np.uint8)
    return data.ArrayImages(pixels, labels)


@pytest.mark.parametrize(("holdout", "count"), [("30", 30), ("0.25", 25), ("{amount: 30}", 30)])
def test_of_every_class_the_same_share_is_held_out(holdout, count, tmp_path, monkeypatch):
    data = program(f"{{normalize: unit, holdout: {holdout}}}", "idx")
    labels = [0] * 40 + [1] * 30 + [2] * 20 + [3] * 10
    made = data.Splits({"train": labelled(data, labels)}, "abcd")
    monkeypatch.setattr(data, "open_idx", lambda folder: made)
    splits = data.open_data(tmp_path, 4)
    assert sizes(splits) == {"train": 100 - count, "validation": count}
    held = np.bincount(splits["validation"].labels)
    assert np.abs(held - count * np.array([0.4, 0.3, 0.2, 0.1])).max() < 1
    numbers = sorted([*splits["train"].numbers, *splits["validation"].numbers])
    assert numbers == list(range(100))


def test_the_choice_is_drawn_by_the_recipes_seed():
    choices = set()
    for seed in (0, 0, 1):
        data = program(f"{{normalize: unit, holdout: {{amount: 10, seed: {seed}}}}}", "idx")
        choices.add(tuple(np.flatnonzero(data.held_out(np.arange(100) % 5, 10))))
    assert len(choices) == 2
    assert all(max(choice) - min(choice) > 50 for choice in choices)


def test_a_class_keeps_an_image_for_training():
    data = program("{normalize: unit, holdout: 0.5}", "idx")
    labels = np.array([0] * 50 + [1] + [2] + [3, 3])
    for count in (1, 10, 27, 40, 53):
        held = data.held_out(labels, count)
        left = np.bincount(labels[~held], minlength=4)
        assert (left > 0).all()
        assert held.sum() == min(count, 50)


def test_rounding_gives_the_images_of_the_largest_remainders():
    data = program("{normalize: unit, holdout: 5}", "idx")
    labels = np.repeat([0, 1, 2], [3, 3, 4])  # quotas 1.5, 1.5, 2
    assert np.bincount(labels[data.held_out(labels, 5)]).tolist() == [2, 1, 2]


def test_a_folder_with_validation_images_keeps_them(tmp_path):
    data = program("{normalize: unit, holdout: 2}")
    write_images(tmp_path, {"train/a": 3, "train/b": 3})
    assert sizes(data.open_data(tmp_path, 2)) == {"train": 4, "validation": 2}
    image, label = data.Dataset(data.open_data(tmp_path, 2)["validation"]).load(1)
    assert image.shape == (16, 16, 3)
    assert label == 1
    write_images(tmp_path, {"val/a": 1})
    splits = data.open_data(tmp_path, 2)
    assert sizes(splits) == {"train": 6, "validation": 1}
    assert splits.notes == [f"{tmp_path} has its own validation images: none are held out"]


def test_no_more_can_be_held_out_than_there_are(tmp_path):
    data = program("{normalize: unit, holdout: 6}")
    write_images(tmp_path, {"train/a": 3, "train/b": 3})
    with pytest.raises(data.DataError, match="6 training images, of which 6 are to be held out"):
        data.open_data(tmp_path, 2)


def test_images_of_many_labels_are_held_out_as_one_class():
    data = program("{normalize: unit, holdout: 6}", "{manifest: {many: true}}")
    held = data.held_out(np.full((20, 3), -1), 6)
    assert held.sum() == 6


# Balanced sampling


@pytest.fixture(scope="module")
def balanced():
    return program("{normalize: unit, balanced: true}", "idx")


def test_every_class_is_as_frequent_as_every_other(balanced):
    labels = np.array([5] * 90 + [2] * 9 + [7] * 4)
    balance = balanced.Balance(labels, seed=3)
    for epoch in range(4):
        drawn = labels[[balance(index, epoch) for index in range(103)]]
        counts = [int((drawn == name).sum()) for name in (2, 5, 7)]
        assert sorted(counts) == [34, 34, 35]


def test_no_image_comes_again_before_all_of_its_class_came(balanced):
    labels = np.array([0] * 90 + [1] * 9 + [2] * 4)
    balance = balanced.Balance(labels, seed=3)
    order = [balance(index, epoch) for epoch in range(20) for index in range(103)]
    for name in range(3):
        own = [image for image in order if labels[image] == name]
        size = int((labels == name).sum())
        for lap in range(len(own) // size):
            assert len(set(own[lap * size : (lap + 1) * size])) == size
        laps = {tuple(own[lap * size : (lap + 1) * size]) for lap in range(len(own) // size)}
        assert len(laps) > 1


def test_a_balanced_dataset_is_the_same_from_any_place(balanced):
    source = labelled(balanced, [0] * 20 + [1] * 3)
    one, other = (balanced.Dataset(source, seed=9, training=True) for _ in range(2))
    keys = [(index, epoch) for epoch in range(3) for index in range(23)]
    forwards = [one.load(*key)[1] for key in keys]
    backwards = [other.load(*key)[1] for key in reversed(keys)]
    assert forwards == backwards[::-1]
    assert collections.Counter(forwards[:23]) == {0: 12, 1: 11}
    assert [balanced.Dataset(source).load(index)[1] for index in range(23)] == [0] * 20 + [1] * 3


def test_loading_processes_may_be_sent_it(balanced, monkeypatch):
    """Where processes are not forked, a data set is pickled for them."""
    monkeypatch.setitem(sys.modules, balanced.__name__, balanced)
    balance = balanced.Balance(np.array([0] * 20 + [1] * 3), seed=9)
    places = [(index, epoch) for epoch in range(3) for index in range(23)]
    expected = [balance(*place) for place in places]
    other = pickle.loads(pickle.dumps(balance))
    assert [other(*place) for place in places] == expected


def test_many_labels_cannot_be_balanced():
    with pytest.raises(SpecError, match=r"error\[XG603\]: 'images' are balanced by their class"):
        program("{normalize: unit, balanced: true}", "{manifest: {many: true}}")
