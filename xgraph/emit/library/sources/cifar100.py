"""CIFAR-100."""

from __future__ import annotations

from pathlib import Path

from xgraph.emit.library.arrays import ArrayImages
from xgraph.emit.library.base import Splits
from xgraph.emit.library.cifar import cifar_names, read_cifar


def open_cifar100(directory: Path) -> Splits | None:
    """CIFAR-100's files at `directory` or in the folder they unpack to, if there are any.

    Labels are the 100 fine ones.
    """
    for folder in (directory, directory / "cifar-100-python", directory / "cifar-100-binary"):
        for suffix in ("", ".bin"):
            if (folder / f"train{suffix}").is_file():
                train, test = (
                    read_cifar(folder / f"{name}{suffix}", b"fine_labels", 100)
                    for name in ("train", "test")
                )
                splits = {"train": ArrayImages(*train), "test": ArrayImages(*test)}
                text, pickled = folder / "fine_label_names.txt", folder / "meta"
                return Splits(splits, cifar_names(text, pickled, b"fine_label_names", 100))
    return None
