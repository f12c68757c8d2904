"""Image folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from xgraph.emit.library.base import DataError, Splits
from xgraph.emit.library.opening import listed, split_places
from xgraph.emit.library.reading import read_image

#: Names of image files.
IMAGE_NAME = re.compile(r"(?is).+\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|bmp|p[bgnp]m|avif|jp2|j2k)")
#: Folders that systems leave behind; so are those whose names begin with a dot.
SYSTEM_FOLDERS = frozenset(
    {"__MACOSX", "@eaDir", "@Recycle", "#recycle", "$RECYCLE.BIN", "__pycache__", "lost+found"}
)


def open_folder(directory: Path) -> Splits | None:
    """The splits of an image folder; one without splits is all for training.

    Raises:
        DataError: a class has no training images, or another split has classes of its own.
    """
    roots = split_places(directory)
    if not roots:
        classes = class_folders(directory)
        if any(split_places(directory / name) for name in classes):
            return None  # this is not the folder, but one around it
        images = FolderImages(directory, classes)
        return Splits({"train": images.without_gaps()}, classes, images.notes) if images else None
    first = next(iter(roots.values()))
    classes = class_folders(first)
    if not classes:
        raise DataError(f"{first} has no class folders: expected {first / '<class>' / '*.png'}")
    splits = Splits({}, classes)
    for split, root in roots.items():
        images = FolderImages(root, classes)
        unknown = sorted({*class_folders(root)} - {*classes})
        if split == "test" and not images:
            splits.notes.append(f"{root} has no images of the classes: it is not used")
        elif unknown:
            raise DataError(f"{root / unknown[0]}: {first.name} has no class of that name")
        elif not images:
            raise DataError(f"{root} has no images")
        else:
            splits[split] = images.without_gaps() if split == "train" else images
            splits.notes += images.notes
    return splits


class FolderImages:
    """Image files under `root/<class>/`; the label is the class's place in `classes`."""

    def __init__(self, root: Path, classes: list[str]) -> None:
        self.root, self.classes = root, classes
        self.skipped: Counter[str] = Counter()
        self.files: list[str] = []
        labels: list[int] = []
        lies_in = {identity(folder) for folder in (root.resolve(), *root.resolve().parents)}
        lies_in |= {identity(root / name) for name in class_folders(root)}
        for label, name in enumerate(classes):
            top = root / name
            found = image_files(top, set(lies_in), self.skipped) if top.is_dir() else []
            self.files += found
            labels += [label] * len(found)
        self.labels = np.array(labels, np.int64)
        for path in root.iterdir():
            if path.is_file() and IMAGE_NAME.fullmatch(path.name):
                self.skipped["in no class folder"] += 1

    @property
    def notes(self) -> list[str]:
        """What was passed over, in a line if there is anything."""
        kinds = listed([f"{count:,} {kind}" for kind, count in self.skipped.most_common()])
        return [f"{self.root}: files passed over: {kinds}"] if kinds else []

    def without_gaps(self) -> FolderImages:
        """The images, if there are some of each class.

        Raises:
            DataError: there are none of a class.
        """
        counts = np.bincount(self.labels, minlength=len(self.classes))
        empty = [self.classes[label] for label in np.flatnonzero(counts == 0)]
        if empty:
            raise DataError(f"{self.root} has no images of {listed(empty)}")
        return self

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return read_image(self.files[index]), int(self.labels[index])


def class_folders(root: Path) -> list[str]:
    """Names of the folders in `root` that are no system's, sorted."""
    return sorted(p.name for p in root.iterdir() if not is_hidden(p.name) and p.is_dir())


def is_hidden(name: str) -> bool:
    """Whether a folder or file is there for a program's or a system's own use."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def image_files(top: Path, seen: set[tuple[int, int]], skipped: Counter[str]) -> list[str]:
    """Images anywhere under `top`, sorted by path; `skipped` counts the other files by kind.

    A link to a folder is followed unless the folder was `seen`.

    Raises:
        DataError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{error.filename}: {error.strerror}")

    found = []
    for folder, names, files in os.walk(top, followlinks=True, onerror=refuse):
        inner = [name for name in sorted(names) if not is_hidden(name)]
        names.clear()
        for name in inner:
            place = identity(os.path.join(folder, name))
            if place not in seen:
                seen.add(place)
                names.append(name)
        for name in files:
            if is_hidden(name):
                skipped["hidden"] += 1
            elif IMAGE_NAME.fullmatch(name):
                found.append(os.path.join(folder, name))
            else:
                skipped[os.path.splitext(name)[1].lower() or "without an ending"] += 1
    return sorted(found)


def identity(folder: Path | str) -> tuple[int, int]:
    """What is the same for two paths to one folder."""
    status = os.stat(folder)
    return status.st_dev, status.st_ino
