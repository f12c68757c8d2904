"""Images without labels."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from xgraph.emit.library.base import HEIGHT, MODE, WIDTH, DataError, Splits
from xgraph.emit.library.opening import listed
from xgraph.emit.library.reading import read_image
from xgraph.emit.library.sources.folder import identity, image_files


def open_images(paths: Iterable[Path]) -> Splits:
    """The images that are asked about, files and those in folders, as the only split.

    Raises:
        DataError: a path leads nowhere, or there is no image.
    """
    files: list[str] = []
    skipped: Counter[str] = Counter()
    for path in paths:
        if path.is_dir():
            files += image_files(path, {identity(path)}, skipped)
        elif path.exists():
            files.append(str(path))
        else:
            raise DataError(f"there is no {path}")
    if not files:
        raise DataError(f"no images at {listed([str(path) for path in paths])}")
    kinds = listed([f"{count:,} {kind}" for kind, count in skipped.most_common()])
    notes = [f"files passed over: {kinds}"] if kinds else []
    return Splits({"images": UnlabelledImages(files)}, (), notes)


class UnlabelledImages:
    """Image files. The label is 0, or -1 of a file that cannot be read, which is said."""

    def __init__(self, files: list[str]) -> None:
        self.files = files
        self.labels = np.zeros(len(files), np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        try:
            return read_image(self.files[index]), 0
        except DataError as error:
            print(error, file=sys.stderr, flush=True)
            return Image.new(MODE, (WIDTH, HEIGHT)), -1
