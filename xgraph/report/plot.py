"""A picture of runs drawn with matplotlib, and written as PNG or SVG.

No run and no setting of the machine changes how a figure looks: matplotlib's own defaults and
fonts are under it, texts are never read as formulas, and the same picture gives the same bytes.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogFormatter, MaxNLocator

from xgraph.report.curves import Curve, Panel, Picture
from xgraph.report.looks import (
    BAND,
    FAINT,
    MARKERS,
    MAX_RUNS,
    RAW,
    Key,
    evaluated,
    kinds_key,
    run_look,
    runs_key,
    split_marker,
)
from xgraph.report.runs import RunError, show

MAX_PANELS: Final = 12

_STYLE: Final[dict[Any, Any]] = {
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.labelsize": 11,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",  # it comes with matplotlib
    "font.size": 10,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.hashsalt": "xgraph",  # identifiers in an SVG are random without one
    "text.parse_math": False,
}
_PANEL: Final = (6.0, 3.9)  # inches
_KEY_LINE: Final = 0.22  # inches
_DPI: Final = 150
#: What would say when or with which release a figure was drawn.
_METADATA: Final[dict[str, dict[str, Any]]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "xgraph"},
}


def file_format(path: str) -> str:
    """The format that the name of a file asks for.

    Raises:
        RunError: none that there is.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in _METADATA:
        raise RunError(f"{show(path)}: the name of a figure ends in .png or .svg")
    return suffix


def save(picture: Picture, path: str) -> None:
    """Draw a picture and write it, whole or not at all.

    Raises:
        RunError: the name has no known ending, the file cannot be written, or it is too much for
            one figure.
    """
    kind = file_format(path)
    buffer = io.BytesIO()
    with _style():
        draw(picture).savefig(buffer, format=kind, dpi=_DPI, metadata=_METADATA[kind])
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, target)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        reason = (error.strerror or "the path is not valid").lower()
        raise RunError(f"{show(path)}: cannot write it: {reason}") from None


def draw(picture: Picture) -> Figure:
    """The figure: a panel for each metric, side by side, with the runs above and kinds below.

    Raises:
        RunError: there is more than one figure can hold.
    """
    for count, what, limit in (
        (len(picture.runs), "runs", MAX_RUNS),
        (len(picture.panels), "metrics", MAX_PANELS),
        (len(evaluated(picture)), "splits", len(MARKERS)),
    ):
        if count > limit:
            raise RunError(f"{count:,} {what}: a figure can show {limit}")
    columns = min(2, len(picture.panels))
    rows = -(-len(picture.panels) // columns)
    keys = (runs_key(picture, columns), kinds_key(picture, columns))
    with _style():
        height = _PANEL[1] * rows + _KEY_LINE * sum(key.rows for key in keys)
        figure = Figure(figsize=(_PANEL[0] * columns, height), layout="constrained")
        first: Axes | None = None
        for place, panel in enumerate(picture.panels, 1):
            axes = figure.add_subplot(rows, columns, place, sharex=first)
            first = first or axes
            _draw_panel(axes, picture, panel)
        if first is not None and first.get_xlim()[1] > 0:
            first.set_xlim(left=0)
        for key, where in zip(keys, ("upper", "lower"), strict=True):
            _draw_key(figure, key, f"outside {where} center")
    return figure


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib as it comes, with our changes, whatever the user's settings are."""
    with mpl.rc_context(), warnings.catch_warnings():
        # A name in a script that the font does not have is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


class _PlainNumbers(LogFormatter):
    """Labels where matplotlib has them on a logarithmic axis, as 0.3 rather than 3 × 10⁻¹."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def _draw_panel(axes: Axes, picture: Picture, panel: Panel) -> None:
    axes.set_xlabel(picture.x_label)
    if picture.axis == "steps":  # 2M rather than 2 below a 1e6, and no half steps
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.set_ylabel(panel.metric.label)
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_PlainNumbers())
        axes.yaxis.set_minor_formatter(_PlainNumbers())
    for curve in panel.curves:
        _draw_curve(axes, picture, curve)


def _draw_curve(axes: Axes, picture: Picture, curve: Curve) -> None:
    """Training as a thin line, its average in front of it; evaluations as points and lines.

    Artists carry the name of their run as label, with what they are of: `first/training`,
    `first/training/average`, `first/validation`, `first/validation/band`.
    """
    color, dash = run_look(curve.run)
    name = picture.runs[curve.run]
    if curve.split is not None:
        marker = split_marker(picture, curve.split)
        size = 5 if len(curve.x) <= 40 else 2.5
        axes.plot(
            curve.x, curve.y, color=color, linestyle=dash, linewidth=1.8, marker=marker,
            markersize=size, zorder=3, label=f"{name}/{curve.split}",
        )  # fmt: skip
        if curve.band is not None:
            least, greatest = zip(*curve.band, strict=True)
            axes.fill_between(
                curve.x, least, greatest, color=color, alpha=BAND, linewidth=0, zorder=1,
                label=f"{name}/{curve.split}/band",
            )  # fmt: skip
        return
    alone = "." if len(curve.x) == 1 else ""  # a line of one point is invisible
    opacity = RAW if curve.average is None else FAINT
    axes.plot(
        curve.x, curve.y, color=color, linestyle=dash, linewidth=0.9, marker=alone, alpha=opacity,
        zorder=2, label=f"{name}/training",
    )  # fmt: skip
    if curve.average is not None:
        axes.plot(
            curve.x, curve.average, color=color, linestyle=dash, linewidth=1.2, marker=alone,
            zorder=2.5, label=f"{name}/training/average",
        )  # fmt: skip


def _draw_key(figure: Figure, key: Key, place: str) -> None:
    lines = [Line2D([], [], **look) for look in key.looks]
    options: dict[str, Any] = {"loc": place, "ncols": key.columns}
    # matplotlib leaves out names that begin with an underscore, so they are put in afterwards.
    legend = figure.legend(lines, ["x"] * len(lines), **options)
    for artist, text in zip(legend.get_texts(), key.texts, strict=True):
        artist.set_text(text)
