"""CIFAR's files, in both versions, sound, broken and hostile."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from tests.data.programs import program


@pytest.fixture(scope="module")
def data():
    return program(data="cifar10")


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


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/xgraph-hostile-pickle",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Hostile()), r"wants to run (posix|nt)\.system"),
        (pickle.dumps({b"data": eval, b"labels": [1]}), r"wants to run builtins\.eval"),
        (b"cnumpy\nload\n(S'/etc/passwd'\ntR.", r"wants to run numpy\.load"),
        (b"garbage", "is not a CIFAR file"),
        (b"", "is not a CIFAR file"),
        (pickle.dumps({b"data": b"x", b"labels": [1]}), "is not a CIFAR file"),
        (pickle.dumps({b"data": [[1]], b"labels": 3}), "is not a CIFAR file"),
        (modern_pickle(np.zeros((2, 3072), np.uint8), [1]), "is not a CIFAR file"),
        (modern_pickle(np.zeros((0, 3072), np.uint8), []), "CIFAR file|has no labels"),
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
