"""Images that cannot be read: named, replaced, and not too many."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.programs import program, write_images


@pytest.fixture(scope="module")
def data():
    return program("{normalize: unit, unreadable: 0.2}")


def broken(path: Path) -> Path:
    """A JPEG that ends early."""
    pixels = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG", quality=95)
    path.write_bytes(path.read_bytes()[:3000])
    return path


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", None])
def test_it_is_logged_once_and_replaced(data, tmp_path, capsys, content):
    write_images(tmp_path, {"train/a": 5, "train/b": 5})
    path = tmp_path / "train/a/001.png"
    broken(path) if content is None else path.write_bytes(content)
    dataset = data.Dataset(data.open_data(tmp_path, 2)["train"], seed=4, training=True)
    loaded = [dataset.load(1, epoch) for epoch in range(6)]
    assert all(image.shape == (16, 16, 3) for image, _ in loaded)
    assert len({image.tobytes() for image, _ in loaded}) > 2  # another one in each epoch
    said = capsys.readouterr().err
    assert said.startswith(f"{path} is not a readable image (")
    assert said.endswith("): another image takes its place\n")
    assert said.count("\n") == 1
    again = data.Dataset(data.open_data(tmp_path, 2)["train"], seed=4, training=True)
    for (image, label), epoch in zip(loaded[::-1], range(5, -1, -1), strict=True):
        other, its_label = again.load(1, epoch)
        assert np.array_equal(image, other)
        assert label == its_label


def test_more_than_the_share_end_the_run(tmp_path, capsys):
    data = program("{normalize: unit, unreadable: 0.11}")
    write_images(tmp_path, {"train/a": 10})
    for number in (1, 4, 7):
        broken(tmp_path / f"train/a/{number:03}.png")
    dataset = data.Dataset(data.open_data(tmp_path, 1)["train"])
    dataset.load(1)
    dataset.load(4)
    with pytest.raises(data.DataError, match=r"007\.png is not .*; no more than 2 may be unread"):
        dataset.load(7)
    assert capsys.readouterr().err.count("\n") == 2


def test_none_may_be_unreadable(tmp_path):
    data = program("{normalize: unit, unreadable: 0}")
    broken(write_images(tmp_path, {"train/a": 10}) / "train/a/003.png")
    with pytest.raises(data.DataError, match=r"003\.png is not a .*; no more than 0 may be"):
        data.Dataset(data.open_data(tmp_path, 1)["train"]).load(3)


def load(dataset, index):
    dataset.load(index)


def test_processes_know_of_each_other(data, tmp_path):
    write_images(tmp_path, {"train/a": 10})
    broken(tmp_path / "train/a/002.png")
    dataset = data.Dataset(data.open_data(tmp_path, 1)["train"])
    process = multiprocessing.get_context("fork").Process(target=load, args=(dataset, 2))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert list(dataset.unreadable.marks) == [0, 0, 1] + [0] * 7


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_a_check_lists_all_that_is_bad(data, tmp_path, workers, monkeypatch):
    write_images(tmp_path, {"train/a": 9, "train/b": 9})
    bad = [broken(tmp_path / f"train/{name}.png") for name in ("a/002", "a/008", "b/005")]
    source = data.open_data(tmp_path, 2)["train"]
    opened = []
    before = data.read_image
    monkeypatch.setattr(data, "read_image", lambda path: (opened.append(path), before(path))[1])
    found = list(data.check(source, workers))
    assert sorted(opened) == sorted(source.files)
    assert [line.partition(" is not a readable image (")[0] for line in found] == list(
        map(str, bad)
    )


def test_images_in_memory_need_none_of_it():
    """But for what reads the images that a model is asked about."""
    plain = program(data="[cifar10, idx]")
    for name in ("Unreadable", "read", "RawArray", "csv"):
        assert not hasattr(plain, name)
    assert list(plain.check(plain.synthetic_data(3, 0)["test"], 2)) == []
