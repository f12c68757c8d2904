"""What the results look like: a figure of each experiment, and the tables of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from benchmarks.paper.results import PUBLISHED, Outcome, outcomes, read
from xgraph.report import curves, plot
from xgraph.report.runs import Entry, Run

PAGE: Final = PUBLISHED.parent / "experiments.md"
#: Between these lines of the page is what is written here.
_TABLE: Final = re.compile(r"(<!-- table of (\w+) -->\n\n).*?(\n<!-- end -->)", re.DOTALL)


def picture(experiment: str, folder: Path = PUBLISHED) -> curves.Picture:
    """Loss and accuracy over epochs: of each arm the mean of its seeds, and their spread."""
    trained = read(experiment, folder)
    runs = [
        Run(f"{one.arm}/{one.seed}", "", tuple(map(_entry, one.log)), None, ()) for one in trained
    ]
    single = curves.picture(runs, axis="epochs")
    return curves.grouped(single, [one.arm for one in trained])


def _entry(line: dict[str, float]) -> Entry:
    values = {name: line[name] for name in ("loss", "top1") if name in line}
    return Entry(line["step"], line["epoch"], None, line.get("split"), values)


def write_figure(experiment: str, folder: Path = PUBLISHED) -> Path:
    """Draw an experiment beside its results."""
    path = folder / f"{experiment}.svg"
    plot.save(picture(experiment, folder), str(path))
    return path


def table(experiment: str, folder: Path = PUBLISHED) -> str:
    """An experiment in numbers, a row for each arm."""
    found = outcomes(experiment, folder)
    last = read(experiment, folder)[0].about["epochs"]
    lines = [
        f"| | trained parameters | after 1 epoch | after {last}, mean | of the seeds | "
        f"more than {found[0].arm} |",
        "|---|---|---|---|---|---|",
        *(_row(one, is_first=one is found[0]) for one in found),
    ]
    return "\n".join(lines) + "\n"


def _row(one: Outcome, is_first: bool) -> str:
    seeds = ", ".join(f"{value:.2f}" for value in one.last)
    early = sum(one.first) / len(one.first)
    more = sum(one.more) / len(one.more)
    against = f"{more:+.2f}, with {one.ahead} of {len(one.more)} seeds".replace("-", "−")
    return (
        f"| {one.arm} | {one.parameters:,} | {early:.2f} % | {one.mean:.2f} % | {seeds} | "
        f"{'' if is_first else against} |"
    )


def page(text: str, folder: Path = PUBLISHED) -> str:
    """The page with its tables as the results have them."""

    def filled(match: re.Match[str]) -> str:
        return match[1] + table(match[2], folder) + match[3]

    return _TABLE.sub(filled, text)


def write_tables() -> None:
    """Bring the page up to date."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
