"""data.py: where images come from, how they are prepared, and in which order."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import RECIPE, Program, render

IMAGES = """images:
  train: {resize: {shorter_side: 1.25}, crop: random, flip: true}
  normalize: symmetric
"""


@pytest.fixture(scope="module")
def data(program: Program):
    return program.module("data")


def variant(folder: Path, images: str, **facts):
    """data.py of a recipe with another `images` section."""
    assert IMAGES in RECIPE
    return Program(render(folder, RECIPE.replace(IMAGES, images), **facts)).module("data")


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
        (lambda root: None, "has 4 classes, the model 5"),
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


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_a_corrupt_image_is_named(data, tmp_path: Path, content: bytes | None) -> None:
    path = write_folder(tmp_path) / "train/bee/1.png"
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    source = data.open_data(tmp_path, 4)["train"]
    with pytest.raises(data.DataError, match=r"train/bee/1\.png is not a readable image"):
        data.Dataset(source).load(4)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "I;16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_kinds_of_image(tmp_path: Path, mode: str, channels: int) -> None:
    images = "images: {normalize: unit}\n"
    data = variant(tmp_path / "program", images, input_shape=(16, 16, channels))
    root = write_folder(tmp_path / "images", splits=("train",))
    path = root / "train/ant/0.png"
    if mode == "I;16":
        Image.fromarray(np.full((16, 16), 0x8000, np.uint16)).save(path)
    else:
        path.unlink()
        image = Image.new("RGB", (16, 16), (128, 128, 128))
        image = image.quantize(2) if mode == "P" else image.convert(mode)
        image.save(path.with_suffix(".tiff" if mode == "CMYK" else ".png"))
    pixels, _ = data.Dataset(data.open_data(root, 4)["train"]).load(0)
    assert pixels.shape == (16, 16, channels)
    if mode != "1":
        assert np.allclose(pixels, 128 / 255, atol=0.02)


def test_evaluation_keeps_the_center(tmp_path: Path) -> None:
    images = "images: {normalize: unit, evaluate: {resize: {shorter_side: 1.0}}}\n"
    data = variant(tmp_path, images)
    pixels = np.zeros((16, 40, 3), np.uint8)
    pixels[:, 12:28] = 255
    source = data.ArrayImages(pixels[None], np.array([2]))
    image, label = data.Dataset(source).load(0)
    assert (image == 1).all()
    assert label == 2


def test_training_crops_and_flips_everywhere(tmp_path: Path) -> None:
    images = "images: {normalize: unit, train: {resize: {stretch: 1.25}, flip: true}}\n"
    data = variant(tmp_path, images)
    rows, columns = np.mgrid[:20, :20]
    pixels = np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)
    dataset = data.Dataset(data.ArrayImages(pixels[None], np.array([0])), training=True)
    crops = [dataset.load(0, epoch)[0] for epoch in range(400)]
    flipped = [bool(c[0, 0, 1] > c[0, -1, 1]) for c in crops]
    places = {(c[0, 0, 0], c[0, :, 1].min(), f) for c, f in zip(crops, flipped, strict=True)}
    assert len(places) == 5 * 5 * 2
    assert 150 < sum(flipped) < 250


def test_mean_and_deviation_per_channel(tmp_path: Path) -> None:
    images = "images: {normalize: {mean: [0.1, 0.2, 0.3], std: [0.5, 1, 2]}}\n"
    data = variant(tmp_path, images)
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
        for purpose in range(4)
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


# CIFAR-10


def official_pickle(images: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 and NumPy 1 wrote the official files."""
    raw = images.tobytes()
    count = struct.pack("<H", len(images))
    return (
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x04testq\x03U\x06labelsq\x04]q\x05("
        + b"".join(b"K" + bytes([label]) for label in labels)
        + b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08"
        b"K\x00\x85U\x01b\x87Rq\x09(K\x01M" + count + b"M\x00\x0c\x86cnumpy\ndtype\nq\x0a"
        b"U\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<I", len(raw)) + raw + b"tbu."
    )


def modern_pickle(images: np.ndarray, labels: list[int]) -> bytes:
    return pickle.dumps({b"data": images, b"labels": labels}, protocol=4)


def binary(images: np.ndarray, labels: list[int]) -> bytes:
    return np.concatenate([np.array(labels, np.uint8)[:, None], images], axis=1).tobytes()


BATCHES = [f"data_batch_{n}" for n in range(1, 6)] + ["test_batch"]


def write_cifar10(folder: Path, encode, suffix: str = "") -> np.ndarray:
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name in BATCHES:
        images = rng.integers(0, 256, (20, 3072), dtype=np.uint8)
        (folder / f"{name}{suffix}").write_bytes(encode(images, [i % 10 for i in range(20)]))
        made.append(images)
    return np.concatenate(made)


@pytest.mark.parametrize(
    ("encode", "suffix", "folder"),
    [
        (official_pickle, "", "cifar-10-batches-py"),
        (modern_pickle, "", "."),
        (binary, ".bin", "cifar-10-batches-bin"),
    ],
)
def test_cifar10(data, tmp_path: Path, encode, suffix: str, folder: str) -> None:
    images = write_cifar10(tmp_path / folder, encode, suffix)
    splits = data.open_data(tmp_path, 10)
    assert {name: len(source) for name, source in splits.items()} == {"train": 100, "test": 20}
    image, label = splits["train"][47]
    assert label == 7
    expected = images[47].reshape(3, 32, 32).transpose(1, 2, 0)
    assert np.array_equal(np.asarray(image), expected)
    assert np.array_equal(
        np.asarray(splits["test"][3][0]), images[103].reshape(3, 32, 32).transpose(1, 2, 0)
    )


def test_cifar10_held_out(tmp_path: Path) -> None:
    data = variant(tmp_path / "program", "images: {normalize: unit, holdout: 30}\n", classes=10)
    write_cifar10(tmp_path / "cifar", binary, ".bin")
    splits = data.open_data(tmp_path / "cifar", 10)
    sizes = {name: len(source) for name, source in splits.items()}
    assert sizes == {"train": 70, "validation": 30, "test": 20}
    too_many = variant(tmp_path / "other", "images: {normalize: unit, holdout: 100}\n", classes=10)
    with pytest.raises(too_many.DataError, match="fewer than the 100 images"):
        too_many.open_data(tmp_path / "cifar", 10)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/xgraph-hostile-pickle",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Hostile()), r"wants to run (posix|nt)\.system"),
        (pickle.dumps({b"data": eval, b"labels": [1]}), r"wants to run builtins\.eval"),
        (b"cnumpy\nload\n(S'/etc/passwd'\ntR.", r"wants to run numpy\.load"),
        (b"garbage", "is not a CIFAR-10 file"),
        (b"", "is not a CIFAR-10 file"),
        (pickle.dumps({b"data": b"x", b"labels": [1]}), "is not a CIFAR-10 file"),
        (pickle.dumps({b"data": [[1]], b"labels": 3}), "is not a CIFAR-10 file"),
        (modern_pickle(np.zeros((2, 3072), np.uint8), [1]), "is not a CIFAR-10 file"),
        (modern_pickle(np.zeros((0, 3072), np.uint8), []), "CIFAR-10 file|has no labels"),
        (modern_pickle(np.zeros((1, 3072), np.uint8), [11]), "some outside 0 to 9"),
    ],
)
def test_a_hostile_or_broken_pickle_is_refused(data, tmp_path, content, message: str) -> None:
    write_cifar10(tmp_path, official_pickle)
    (tmp_path / "data_batch_3").write_bytes(content)
    with pytest.raises(data.DataError, match=message) as caught:
        data.open_data(tmp_path, 10)
    assert "data_batch_3" in str(caught.value)
    assert not Path("/tmp/xgraph-hostile-pickle").exists()


def test_cifar10_incomplete(data, tmp_path: Path) -> None:
    write_cifar10(tmp_path, binary, ".bin")
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(data.DataError, match=r"incomplete: .*data_batch_4\.bin"):
        data.open_data(tmp_path, 10)
    (tmp_path / "data_batch_4.bin").write_bytes(b"123")
    with pytest.raises(data.DataError, match="no multiple of 3,073"):
        data.open_data(tmp_path, 10)
