"""CIFAR's official files, in either version."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xgraph.emit.library.base import DataError


def read_cifar(path: Path, key: bytes, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (count, 32, 32, 3) and labels of one file.

    The binary version has records of label bytes, the last of which counts, and 3 × 32 × 32 bytes;
    the Python version a pickled {b"data": array, key: list}.
    """
    if path.suffix == ".bin":
        content = np.frombuffer(_open(path).read(), np.uint8)
        length = 3072 + (1 if classes == 10 else 2)
        if content.size == 0 or content.size % length:
            raise DataError(f"{path} is not a CIFAR file: its length is no multiple of {length:,}")
        records = content.reshape(-1, length)
        images: Any = records[:, -3072:]
        labels: Any = records[:, -3073]
    else:
        batch = read_pickle(path)
        images, labels = batch.get(b"data"), np.asarray(batch.get(key))
    sound = isinstance(images, np.ndarray) and images.dtype == np.uint8
    if not sound or labels.dtype.kind not in "iu" or images.shape != (*labels.shape, 3072):
        raise DataError(f"{path} is not a CIFAR file: expected bytes (count, 3072) and labels")
    if not len(labels) or labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path} has no labels, or some outside 0 to {classes - 1}")
    return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), labels.astype(np.int64)


def cifar_names(text: Path, pickled: Path, key: bytes, classes: int) -> list[str]:
    """Names of the classes, from the file of either version; numbers where there is none."""
    names: list[Any] = []
    if text.is_file():
        names = text.read_text(encoding="utf-8", errors="replace").split()
    elif pickled.is_file():
        names = [bytes(name).decode(errors="replace") for name in read_pickle(pickled).get(key, [])]
    return names if len(names) == classes else [str(number) for number in range(classes)]


def read_pickle(path: Path) -> dict[Any, Any]:
    """A pickled dictionary of arrays and plain data."""
    try:
        batch = ArrayUnpickler(_open(path), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path} {error}") from None
    except Exception as error:  # a pickle can fail in any way
        raise DataError(f"{path} is not a CIFAR file ({error!r:.200})") from error
    if not isinstance(batch, dict):
        raise DataError(f"{path} is not a CIFAR file: expected a dictionary")
    return batch


class ArrayUnpickler(pickle.Unpickler):
    """Loads NumPy arrays and plain data; a pickle that names anything else is refused.

    Loading a pickle runs what it names, so files from the network must not choose.
    """

    def find_class(self, module: str, name: str) -> Any:
        """What the pickle may name: what it takes to put an array together."""
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np.empty(0).__reduce__()[0]  # the function itself, wherever NumPy keeps it
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise DataError(f"wants to run {module}.{name}, which no CIFAR file does: refused")


def _open(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"CIFAR is incomplete: {path}: {error.strerror}") from None
