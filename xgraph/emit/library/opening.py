"""Splits, whatever the source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xgraph.emit.library.base import DataError, Splits, printable

#: What people call a split.
SPLIT_NAMES = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}


def checked(splits: Splits, directory: Path, classes: int) -> Splits:
    """The splits, with a note where they have none to be held out.

    Raises:
        DataError: they have another number of classes than the model.
    """
    found = len(splits.class_names)
    if found != classes:
        names = listed(splits.class_names)
        raise DataError(f"{directory} has {found} classes, the model {classes}: {names}")
    if "train" in splits and "validation" not in splits:
        evaluated = "evaluated on test" if "test" in splits else "not evaluated"
        splits.notes.append(f"{directory} has no validation images: training is {evaluated}")
    return splits


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names for a message, the first of them where there are many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return printable(", ".join(names[:most]) + more)


def split_places(directory: Path, suffixes: Sequence[str] = ("",)) -> dict[str, Path]:
    """Where each split lies that `directory` has: a folder, or a file with one of the suffixes.

    Raises:
        DataError: a split is there under two names.
    """
    found = {}
    for split, names in SPLIT_NAMES.items():
        paths = [(suffix, directory / f"{name}{suffix}") for name in names for suffix in suffixes]
        there = [path for suffix, path in paths if (path.is_file() if suffix else path.is_dir())]
        if len(there) > 1:
            shown = listed([path.name for path in there])
            raise DataError(f"{directory} has {shown}, which mean the same: keep one")
        if there:
            found[split] = there[0]
    return found
