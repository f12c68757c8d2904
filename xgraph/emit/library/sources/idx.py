"""IDX files."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from xgraph.emit.library.arrays import ArrayImages
from xgraph.emit.library.base import DataError, Splits

#: Bytes of one file, unpacked; a header may say any size, and a few bytes unpack to many.
IDX_LIMIT = 2**32


def open_idx(directory: Path) -> Splits | None:
    """The files of MNIST and its kin at `directory`, packed or not, if there are any.

    Raises:
        DataError: a file is missing, or is not what its name says.
    """
    splits = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        if idx_file(directory, f"{stem}-images", 3) is None:
            continue
        images = read_idx(directory, f"{stem}-images", 3)
        labels = read_idx(directory, f"{stem}-labels", 1).astype(np.int64)
        if len(images) != len(labels) or not images.size:
            raise DataError(f"{directory}: {len(images):,} {stem} images, {len(labels):,} labels")
        splits[split] = ArrayImages(images, labels)
    if not splits:
        return None
    classes = 1 + max(int(images.labels.max()) for images in splits.values())
    return Splits(splits, [str(number) for number in range(classes)])


def idx_file(directory: Path, name: str, axes: int) -> Path | None:
    """Where a file lies, by any of the names that people give it."""
    endings = [f"{mark}idx{axes}-ubyte{packed}" for mark in "-." for packed in ("", ".gz")]
    paths = [directory / f"{name}{ending}" for ending in endings]
    return next((path for path in paths if path.is_file()), None)


def read_idx(directory: Path, name: str, axes: int) -> np.ndarray:
    """The bytes of a file: 0, 0, 8, the number of axes, their sizes as 4 bytes each, the data.

    Source: Yann LeCun's page of MNIST.
    """
    path = idx_file(directory, name, axes)
    if path is None:
        raise DataError(f"{directory} has no {name}-idx{axes}-ubyte, packed with gzip or not")
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            header = file.read(4 + 4 * axes)
            shape = np.frombuffer(header[4:], ">u4").tolist()
            size = math.prod(shape)
            if header[:4] != bytes((0, 0, 8, axes)) or len(shape) != axes or size > IDX_LIMIT:
                raise DataError(f"{path} is no IDX file of bytes with {axes} axes")
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read ({error})") from error
    if len(content) != size:
        raise DataError(f"{path} has not the {size:,} bytes that it says")
    return np.frombuffer(content, np.uint8).reshape(shape)
