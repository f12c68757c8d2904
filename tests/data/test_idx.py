"""IDX files, the form of the MNIST family."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.data.programs import program, sizes


@pytest.fixture(scope="module")
def data():
    return program(data="idx", shape=(28, 28, 1))


def idx(array: np.ndarray) -> bytes:
    """As Yann LeCun's page of MNIST has it."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.tobytes()


def write(folder: Path, mark: str = "-", pack=lambda content: content, ending: str = ""):
    rng = np.random.default_rng(0)
    made = {}
    for stem, count in (("train", 20), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for what, array, axes in (("images", images, 3), ("labels", labels, 1)):
            name = f"{stem}-{what}{mark}idx{axes}-ubyte{ending}"
            (folder / name).write_bytes(pack(idx(array)))
        made[stem] = images, labels
    return made


@pytest.mark.parametrize("mark", ["-", "."])
@pytest.mark.parametrize(("pack", "ending"), [(gzip.compress, ".gz"), (bytes, "")])
def test_files(data, tmp_path, mark, pack, ending):
    made = write(tmp_path, mark, pack, ending)
    splits = data.open_data(tmp_path, 10)
    assert sizes(splits) == {"train": 20, "test": 10}
    assert splits.class_names == [str(n) for n in range(10)]
    for split, stem in (("train", "train"), ("test", "t10k")):
        for index in (0, 9):
            image, label = splits[split][index]
            assert np.array_equal(np.asarray(image), made[stem][0][index])
            assert label == made[stem][1][index]
    pixels, _ = data.Dataset(splits["train"]).load(3)
    assert pixels.shape == (28, 28, 1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"", "is no IDX file"),
        ("train-images-idx3-ubyte", b"\x1f\x8bgarbage", "cannot be read"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\xff" * 12, "is no IDX file"),
        ("train-images-idx3-ubyte", b"\0\0\x0d\x03" + b"\0" * 12, "is no IDX file"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + b"1234567", "not the 8"),
        ("train-images-idx3-ubyte", b"\0\0\x08\x03" + b"\0\0\0\2" * 3 + b"123456789", "not the 8"),
        ("train-labels-idx1-ubyte", idx(np.zeros(3, np.uint8)), "20 train images, 3 labels"),
        ("train-labels-idx1-ubyte", None, "has no train-labels-idx1-ubyte"),
        ("t10k-labels-idx1-ubyte", None, "has no t10k-labels-idx1-ubyte"),
    ],
)
def test_files_that_are_not_what_they_should_be(data, tmp_path, name, content, message):
    write(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(data.DataError, match=message):
        data.open_data(tmp_path, 10)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x1f\x8bgarbage", gzip.compress(b"x" * 99)[:-9]],
    ids=["empty", "garbage", "cut off"],  # its bytes tell the time
)
def test_a_broken_archive(data, tmp_path, content):
    write(tmp_path, "-", gzip.compress, ".gz")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(data.DataError, match=r"train-images-idx3-ubyte\.gz"):
        data.open_data(tmp_path, 10)


def test_no_more_is_unpacked_than_the_header_says(data, tmp_path):
    write(tmp_path, "-", gzip.compress, ".gz")
    small = idx(np.zeros((20, 28, 28), np.uint8))
    bomb = gzip.compress(small + bytes(2**27))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(data.DataError, match="has not the 15,680 bytes"):
        data.open_data(tmp_path, 10)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
