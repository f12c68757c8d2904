"""How runs and kinds of lines look in a figure, and the keys that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xgraph.report.curves import Picture

#: Colours that the colour-blind tell apart (Okabe and Ito 2008), without the yellow, which is
#: faint on white. Further runs have them again, dashed.
COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#e69f00", "#56b4e9", "#cc79a7", "#000000")
DASHES: Final = ("solid", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))
#: By split, in the order in which they come.
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
MAX_RUNS: Final = len(COLORS) * len(DASHES)
RAW, FAINT = 0.75, 0.25  # opacity of training values: by themselves, and behind an average
BAND: Final = 0.18  # between the least and the greatest run of a group
GREY: Final = "#555555"
_ROOM: Final = 70  # characters above one panel


def run_look(run: int) -> tuple[str, Any]:
    """Colour and dashes of a run."""
    again, color = divmod(run, len(COLORS))
    return COLORS[color], DASHES[again]


def evaluated(picture: Picture) -> list[str]:
    """The splits that its points are of."""
    return [split for split in picture.splits if split is not None]


def banded(picture: Picture, split: str) -> bool:
    """Whether it shows by how much the runs of a group differ on a split."""
    curves = (curve for panel in picture.panels for curve in panel.curves)
    return any(curve.band is not None for curve in curves if curve.split == split)


def split_marker(picture: Picture, split: str) -> str:
    """The marker of a split."""
    return MARKERS[evaluated(picture).index(split)]


@dataclass(frozen=True)
class Key:
    """What is said of lines: how each looks, in how many columns."""

    looks: tuple[Mapping[str, Any], ...]
    texts: tuple[str, ...]
    columns: int

    @property
    def rows(self) -> int:
        return -(-len(self.texts) // self.columns)


def _key(entries: Sequence[tuple[str, Mapping[str, Any]]], panels: int) -> Key:
    """In one row where there is room above so many panels, else in columns of one width."""
    texts, looks = zip(*entries, strict=True)
    widths = [len(text) + 7 for text in texts]  # in characters, with the line before the text
    room = _ROOM * panels
    columns = len(texts) if sum(widths) <= room else max(1, room // max(widths))
    return Key(looks, texts, columns)


def runs_key(picture: Picture, panels: int) -> Key:
    """Which run has which colour."""
    entries = []
    for run in picture.drawn:
        color, dash = run_look(run)
        entries.append((picture.runs[run], {"color": color, "linestyle": dash, "linewidth": 2.2}))
    return _key(entries, panels)


def kinds_key(picture: Picture, panels: int) -> Key:
    """What is training, what an average, and what was evaluated."""
    entries: list[tuple[str, Mapping[str, Any]]] = []
    for split in picture.splits:
        if split is not None:
            marker = {"marker": split_marker(picture, split), "markersize": 5}
            entries.append((split, {"linewidth": 1.8, **marker}))
            if banded(picture, split):
                text = f"{split}, from the least to the greatest"
                entries.append((text, {"linewidth": 8, "alpha": BAND}))
        elif picture.smooth:
            text = f"training, exponential average of weight {picture.smooth:g}"
            entries.append((text, {"linewidth": 1.2}))
            entries.append(("as logged", {"linewidth": 0.9, "alpha": FAINT}))
        else:
            entries.append(("training", {"linewidth": 0.9, "alpha": RAW}))
    return _key([(text, {"color": GREY, **look}) for text, look in entries], panels)
