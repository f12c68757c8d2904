"""Files from strangers: read, or refused in a line; nothing else happens."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import warnings

import numpy as np
import pytest
from PIL import Image

from tests.data.programs import program, write_images
from tests.data.test_idx import idx

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
FORMS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000"]


def spoiled(content: bytes, count: int):
    """The content cut off, with bytes changed, or with a part taken out or doubled."""
    rng = np.random.default_rng(len(content))
    for number in range(count):
        made = bytearray(content)
        at, length = rng.integers(0, len(made)), int(rng.integers(1, 40))
        if number % 4 == 0:
            del made[at:]
        elif number % 4 == 1:
            for place in rng.integers(0, len(made), length):
                made[place] = rng.integers(0, 256)
        elif number % 4 == 2:
            del made[at : at + length]
        else:
            made[at:at] = made[at : at + length]
        yield bytes(made)


def one_line(error: Exception) -> bool:
    return "\n" not in str(error) and len(str(error)) <= 1000


@pytest.mark.parametrize("form", FORMS)
def test_spoiled_images(form, tmp_path):
    data = program("{normalize: unit, pixel_limit: 1000000}")
    buffer = io.BytesIO()
    PICTURE.save(buffer, form)
    path = tmp_path / "a.img"
    modes, errors = set(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of what is wrong with a file that it can read
        for content in spoiled(buffer.getvalue(), 120):
            path.write_bytes(content)
            try:
                modes.add(data.read_image(str(path)).mode)
            except data.DataError as error:
                errors.append(error)
    assert modes <= {"RGB"}
    assert errors
    assert all(map(one_line, errors)), errors


def test_what_is_no_file_is_not_waited_for(tmp_path):
    data = program()
    write_images(tmp_path, {"train/a": 2})
    os.mkfifo(tmp_path / "train/a/pipe.png")
    os.symlink("/dev/zero", tmp_path / "train/a/zero.png")
    os.symlink("nowhere", tmp_path / "train/a/gone.png")
    (tmp_path / "train/a/folder.png").mkdir()
    found = list(data.check(data.open_data(tmp_path, 1)["train"], 2))
    assert [line.rpartition("/")[2] for line in found] == [
        f"{name}.png is not a readable image (it is no file)" for name in ("gone", "pipe", "zero")
    ]


@pytest.mark.parametrize("kind", ["idx", "idx.gz", "cifar10", "cifar10.bin", "csv", "jsonl"])
def test_spoiled_files(kind, tmp_path):
    name, source, content = {
        "idx": ("train-images-idx3-ubyte", "idx", idx(np.zeros((3, 4, 4), np.uint8))),
        "idx.gz": (
            "train-images-idx3-ubyte.gz", "idx", gzip.compress(idx(np.zeros((3, 4, 4), np.uint8)))
        ),
        "cifar10": (
            "data_batch_2", "cifar10",
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 9]}),
        ),
        "cifar10.bin": ("data_batch_2.bin", "cifar10", bytes(2 * 3073)),
        "csv": ("train.csv", "manifest", b'path,label\nimages/000.png,a\n"images/001.png","b"\n'),
        "jsonl": ("train.jsonl", "manifest", b'{"path": "images/000.png", "label": "a"}\n' * 2),
    }[kind]  # fmt: skip
    write_images(tmp_path, {"images": 2})
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8)))
    if source == "cifar10":
        for number in range(1, 6):
            (tmp_path / name.replace("2", str(number))).write_bytes(content)
        (tmp_path / name.replace("data_batch_2", "test_batch")).write_bytes(content)
    data = program(data=source)
    errors = []
    for made in spoiled(content, 300):
        (tmp_path / name).write_bytes(made)
        try:
            splits = data.open_data(tmp_path, 10)
        except data.DataError as error:
            errors.append(error)
        else:
            for index in range(len(splits["train"])):
                splits["train"].labels[index]
    assert len(errors) > 100
    assert all(map(one_line, errors)), errors
