"""Manifests: tables of paths and labels."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.ops.base import attribute
from xgraph.ops.kinds import BOOLEAN, Choice
from xgraph.recipe.kinds import COLUMN
from xgraph.recipe.sources.base import DataSource
from xgraph.text import literal

_SEPARATORS = {"space": " ", "comma": ",", "semicolon": ";", "bar": "|"}


@dataclass(frozen=True)
class Manifest(DataSource):
    """Tables, CSV or JSON lines, with one label for each image or many."""

    name = "manifest"
    opener = "open_manifest"
    title = "a manifest"
    layout = (
        "DIR/train.csv, val.csv, test.csv, or .jsonl: a line for each image",
        "DIR/classes.txt, if the order of classes is not that of their names",
    )
    expected = "train.csv and val.csv, or .jsonl"
    from_files = True

    path: str = attribute(COLUMN, "path", doc="column of paths, relative to the table")
    label: str = attribute(COLUMN, "label", doc="column of labels")
    many: bool = attribute(BOOLEAN, False, doc="any number of labels for each image")
    separator: str = attribute(
        Choice(tuple(_SEPARATORS)), "space", doc="between the labels of an image, in CSV"
    )

    @property
    def many_labels(self) -> bool:
        return self.many

    def arguments(self) -> tuple[str, ...]:
        """One class of images or the other."""
        return ("ManyLabelImages" if self.many else "ManifestImages",)

    def constants(self) -> tuple[str, ...]:
        """Columns, and what stands between labels."""
        columns = f"PATH_COLUMN, LABEL_COLUMN = {literal(self.path)}, {literal(self.label)}"
        separator = f"SEPARATOR = {literal(_SEPARATORS[self.separator])}"
        return (columns, separator) if self.many else (columns,)
