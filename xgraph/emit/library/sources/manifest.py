"""Manifests: tables that say where each image lies and what it shows."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from xgraph.emit.library.base import DataError, Label, Splits
from xgraph.emit.library.opening import listed, split_places
from xgraph.emit.library.reading import read_image

PATH_COLUMN, LABEL_COLUMN = "path", "label"
SEPARATOR = " "


def open_manifest(directory: Path, kind: type[ManifestImages]) -> Splits | None:
    """The splits of the tables train, val and test (.csv or .jsonl) in `directory`, if there are.

    Classes are the lines of classes.txt, or without it all labels of the first table, sorted.

    Raises:
        DataError: a table has a line that is not sound, or a label that is no class.
    """
    tables = split_places(directory, (".csv", ".jsonl"))
    if not tables:
        return None
    listing, first = directory / "classes.txt", next(iter(tables.values()))
    if listing.is_file():
        classes = [line.strip() for line in manifest_lines(listing) if line.strip()]
    else:
        classes = sorted({n for place, _, cell in manifest_rows(first) for n in kind.names(cell)})
    numbers = {name: number for number, name in enumerate(classes)}
    if len(numbers) != len(classes):
        raise DataError(f"{listing} names a class twice")
    return Splits({split: kind(path, numbers) for split, path in tables.items()}, classes)


class ManifestImages:
    """Images of a table with one label each."""

    def __init__(self, table: Path, classes: dict[str, int]) -> None:
        self.folder, self.classes = table.parent, len(classes)
        self.files: list[str] = []
        rows: list[list[int]] = []
        for place, path, cell in manifest_rows(table):
            names = self.names(cell)
            unknown = [name for name in names if name not in classes]
            if unknown:
                raise DataError(f"{place}: there is no class {listed(unknown)}")
            self.files.append(path)
            rows.append([classes[name] for name in names])
        if not rows:
            raise DataError(f"{table} has no images")
        self.labels = self.gathered(rows)

    @staticmethod
    def names(cell: Any) -> list[str]:
        """The labels that a cell holds."""
        return [str(cell).strip()]

    @staticmethod
    def gathered(rows: list[list[int]]) -> np.ndarray:
        """The labels of all images."""
        return np.array(rows, np.int64)[:, 0]

    def label(self, index: int) -> Label:
        """What an image is trained on."""
        return int(self.labels[index])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, Label]:
        return read_image(str(self.folder / self.files[index])), self.label(index)


class ManyLabelImages(ManifestImages):
    """Images of a table with any number of labels each, kept as rows that −1 fills up."""

    @staticmethod
    def names(cell: Any) -> list[str]:
        """The labels that a cell holds: a list in JSON, else texts between separators."""
        texts = cell if isinstance(cell, list) else str(cell).split(SEPARATOR)
        return list(dict.fromkeys(text for each in texts if (text := str(each).strip())))

    @staticmethod
    def gathered(rows: list[list[int]]) -> np.ndarray:
        """The labels of all images."""
        labels = np.full((len(rows), max(map(len, rows))), -1, np.int32)
        for row, numbers in zip(labels, rows, strict=True):
            row[: len(numbers)] = numbers
        return labels

    def label(self, index: int) -> Label:
        """What an image is trained on: 1 for each of its classes, 0 for the others."""
        hot = np.zeros(self.classes, np.float32)
        hot[self.labels[index][self.labels[index] >= 0]] = 1
        return hot


def manifest_rows(table: Path) -> Iterator[tuple[str, str, Any]]:
    """(place, path, labels) of each image of a table: paths are relative to its folder.

    Raises:
        DataError: a line is not sound, or leads out of the folder.
    """
    lines = manifest_lines(table)
    rows = enumerate(map(json.loads, lines), 1) if table.suffix == ".jsonl" else csv_rows(lines)
    number = 0
    try:
        for number, row in rows:
            place = f"{table}:{number}"
            path, cell = row[PATH_COLUMN], row[LABEL_COLUMN]
            if path is None or cell is None:
                raise DataError(f"{place}: the line is too short")
            parts = PurePosixPath(str(path))
            if parts.is_absolute() or ".." in parts.parts or "\0" in str(path):
                raise DataError(f"{place}: the path leads out of {table.parent}")
            yield place, str(path), cell
    except (KeyError, TypeError) as error:
        wanted = f"'{PATH_COLUMN}' and '{LABEL_COLUMN}'"
        raise DataError(f"{table}:{number}: expected {wanted} in each line") from error
    except (csv.Error, json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{table}, after line {number}: {error}") from error


def csv_rows(lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row of a table with its line's number; the first line names the columns."""
    reader = csv.DictReader(lines, strict=True)
    for row in reader:
        yield reader.line_num, row


def manifest_lines(path: Path) -> Iterator[str]:
    """The lines of a text file, which may begin with a byte order mark.

    Raises:
        DataError: it is no UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({error})") from None
