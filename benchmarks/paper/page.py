"""What the results look like: a figure of each experiment, and the tables of the page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from benchmarks.paper.experiments import ARMS, EXPERIMENTS
from benchmarks.paper.results import PUBLISHED, Outcome, outcomes, published, read
from xgraph.compile import analyse
from xgraph.passes.cost import measure, total
from xgraph.report import curves, plot
from xgraph.report.runs import Entry, Run

PAGE: Final = PUBLISHED.parent / "experiments.md"
#: For which the minutes of the page are.
CORES: Final = 2
SEEDS: Final = 3
EPOCHS: Final = 5
#: Between these lines of the page is what is written here.
_TABLE: Final = re.compile(r"(<!-- table of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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
    """An experiment in numbers, a row for each arm; a sentence, where it has no results yet."""
    if not published(experiment, folder):
        return f"No results yet: `make {experiment}` makes them.\n"
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


def networks() -> str:
    """What is trained, a row for each arm."""
    lines = ["| | spec, settings | recipe | trained parameters | MACs |", "|---|---|---|---|---|"]
    for arm in ARMS.values():
        found = analyse(arm.path, arm.settings)
        cost = total(measure(found.graph, found.types))
        spec = " ".join([f"`{arm.spec}`", *(f"`{setting}`" for setting in arm.settings)])
        lines.append(
            f"| {arm.name} | {spec} | `{arm.recipe}` | {cost.trainable:,} | {cost.macs:,} |"
        )
    return "\n".join(lines) + "\n"


def commands() -> str:
    """How to run each experiment, and how long that takes."""
    lines = ["| command | minutes | |", "|---|---|---|"]
    for experiment in EXPERIMENTS.values():
        lines.append(
            f"| `make {experiment.name}` | {minutes(experiment.arms)} | {experiment.title} |"
        )
    everything = minutes(ARMS)
    lines.append(
        f"| `python -m benchmarks.paper all` | {everything} | all of it, shared runs once |"
    )
    return "\n".join(lines) + "\n"


def minutes(arms: Iterable[str]) -> int:
    """About, on so many cores and with so many seeds."""
    return round(sum(ARMS[name].seconds * EPOCHS * SEEDS for name in arms) / CORES / 60)


def page(text: str, folder: Path = PUBLISHED) -> str:
    """The page with its tables as the results have them."""

    def filled(match: re.Match[str]) -> str:
        made = {"networks": networks, "commands": commands}.get(match[2])
        filling = made() if made else table(match[2], folder)
        return f"{match[1]}\n{filling}\n{match[3]}"

    return _TABLE.sub(filled, text)


def write_tables() -> None:
    """Bring the page up to date."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
