"""Image folders."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.recipe.sources.base import DataSource


@dataclass(frozen=True)
class Folder(DataSource):
    """Image files in a folder for each class."""

    name = "folder"
    opener = "open_folder"
    title = "an image folder"
    layout = (
        "DIR/train/<class>/*.png, DIR/val/<class>/*.png, DIR/test/<class>/*.png",
        "DIR/<class>/*.png, if all images are for training",
    )
    expected = "train/<class>/*.png and val/<class>/*.png"
    from_files = True
