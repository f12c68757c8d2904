"""data.py: where images come from, how they are prepared, and in which order."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.programs import program as data_program

from .conftest import Program


@pytest.fixture(scope="module")
def data(program: Program):
    return program.module("data")


def write_folder(root: Path, classes=("ant", "bee", "cat", "dog"), splits=("train", "val")) -> Path:
    rng = np.random.default_rng(0)
    for split in splits:
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(3):
                pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def test_image_folder(data, tmp_path: Path) -> None:
    splits = data.open_data(write_folder(tmp_path), 4)
    assert {name: len(source) for name, source in splits.items()} == {"train": 12, "validation": 12}
    assert [splits["train"][i][1] for i in range(12)] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    image, label = data.Dataset(splits["train"], seed=1, training=True).load(4, epoch=2)
    assert image.shape == (16, 16, 3)
    assert image.dtype == np.float32
    assert label == 1
    assert splits.class_names == ["ant", "bee", "cat", "dog"]
    assert -1 <= image.min() < image.max() <= 1


def test_files_that_are_no_images_are_passed_over(data, tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train/.hidden").mkdir()
    (tmp_path / "train/ant/notes.txt").write_text("x")
    (tmp_path / "train/ant/._0.png").write_text("x")
    (tmp_path / "train/ant/more").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "train/ant/more/deep.JPG", "JPEG")
    assert len(data.open_data(tmp_path, 4)["train"]) == 13


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda root: None, "has 4 classes, the model 5: ant, bee, cat, dog"),
        (lambda root: os.rename(root / "train", root / "trian"), "has 3 classes"),
        (lambda root: (root / "val/emu").mkdir(), "emu: train has no class of that name"),
        (lambda root: [p.unlink() for p in (root / "val").rglob("*.png")], "val has no images"),
    ],
)
def test_mistakes_in_an_image_folder(data, tmp_path: Path, break_it, message: str) -> None:
    write_folder(tmp_path)
    if "3 classes" in message:
        for path in (tmp_path / "val/dog").iterdir():
            path.unlink()
        (tmp_path / "val/dog").rmdir()
    break_it(tmp_path)
    with pytest.raises(data.DataError, match=message):
        data.open_data(tmp_path, 5 if "model 5" in message else 4)


def test_no_data(data, tmp_path: Path) -> None:
    with pytest.raises(data.DataError, match="there is no folder"):
        data.open_data(tmp_path / "nowhere", 4)
    with pytest.raises(data.DataError, match=r"no images at .*expected train/<class>"):
        data.open_data(tmp_path, 4)
    (tmp_path / "train").mkdir()
    with pytest.raises(data.DataError, match="has no class folders"):
        data.open_data(tmp_path, 4)


def test_evaluation_keeps_the_center() -> None:
    data = data_program("{normalize: unit, evaluate: {resize: {shorter_side: 1.0}}}", "idx")
    pixels = np.zeros((16, 40, 3), np.uint8)
    pixels[:, 12:28] = 255
    source = data.ArrayImages(pixels[None], np.array([2]))
    image, label = data.Dataset(source).load(0)
    assert (image == 1).all()
    assert label == 2


def test_training_crops_and_flips_everywhere() -> None:
    images = "{normalize: unit, train: {resize: {stretch: 1.25}, flip: true}}"
    data = data_program(images, "idx")
    rows, columns = np.mgrid[:20, :20]
    pixels = np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)
    dataset = data.Dataset(data.ArrayImages(pixels[None], np.array([0])), training=True)
    crops = [dataset.load(0, epoch)[0] for epoch in range(400)]
    flipped = [bool(c[0, 0, 1] > c[0, -1, 1]) for c in crops]
    places = {(c[0, 0, 0], c[0, :, 1].min(), f) for c, f in zip(crops, flipped, strict=True)}
    assert len(places) == 5 * 5 * 2
    assert 150 < sum(flipped) < 250


def test_mean_and_deviation_per_channel() -> None:
    data = data_program("{normalize: {mean: [0.1, 0.2, 0.3], std: [0.5, 1, 2]}}", "idx")
    source = data.ArrayImages(np.full((1, 16, 16, 3), 255, np.uint8), np.array([0]))
    image, _ = data.Dataset(source).load(0)
    assert np.allclose(image[3, 4], [1.8, 0.8, 0.35])
    assert image.dtype == np.float32


def test_order_is_a_permutation_per_epoch(data) -> None:
    orders = [data.epoch_order(100, 5, epoch) for epoch in range(3)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[1], data.epoch_order(100, 5, 1))
    philox = np.random.Philox(key=np.array([5, 0], np.uint64), counter=[0, 1, 0, 0])
    # Ranks of the raw bits' upper 53, so that the order is the same in every program.
    raw = philox.random_raw(100) >> np.uint64(11)
    assert np.array_equal(orders[1], np.argsort(raw, kind="stable"))


def test_batches_continue_from_any_step(data) -> None:
    whole = list(data.training_batches(50, 16, 1, 0, 9))
    assert [len(batch) for batch in whole] == [16] * 9
    assert [batch[0][1] for batch in whole] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for start in range(9):
        assert list(data.training_batches(50, 16, 1, start, 9)) == whole[start:]
    assert len({index for batch in whole[:3] for index, _ in batch}) == 48
    assert [len(batch) for batch in data.training_batches(5, 16, 1, 0, 2)] == [5, 5]
    assert [len(batch) for batch in data.evaluation_batches(50, 16)] == [16, 16, 16, 2]


def test_streams_do_not_overlap(data) -> None:
    drawn = [
        data.uniform(4, 0, purpose, a, b)[0]
        for purpose in range(8)
        for a in range(10)
        for b in range(10)
    ]
    assert len(set(drawn)) == len(drawn)


def test_synthetic_images_depend_on_their_class(data) -> None:
    train = data.synthetic_data(4, 0)["train"]
    means = [np.asarray(train[i][0], float) for i in range(8)]
    assert [train[i][1] for i in range(8)] == [0, 1, 2, 3] * 2
    same = np.abs(means[0] - means[4]).mean()
    other = np.abs(means[0] - means[1]).mean()
    assert same < other
    assert not np.array_equal(means[0], means[4])
