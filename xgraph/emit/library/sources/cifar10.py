"""CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xgraph.emit.library.arrays import ArrayImages
from xgraph.emit.library.base import Splits
from xgraph.emit.library.cifar import cifar_names, read_cifar


def open_cifar10(directory: Path) -> Splits | None:
    """CIFAR-10's files at `directory` or in the folder they unpack to, if there are any."""
    for folder in (directory, *(directory / f"cifar-10-batches-{kind}" for kind in ("py", "bin"))):
        for suffix in ("", ".bin"):
            if (folder / f"data_batch_1{suffix}").is_file():
                files = [folder / f"data_batch_{number}{suffix}" for number in range(1, 6)]
                batches = [read_cifar(path, b"labels", 10) for path in files]
                images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
                test = read_cifar(folder / f"test_batch{suffix}", b"labels", 10)
                splits = {"train": ArrayImages(images, labels), "test": ArrayImages(*test)}
                text, pickled = folder / "batches.meta.txt", folder / "batches.meta"
                return Splits(splits, cifar_names(text, pickled, b"label_names", 10))
    return None
