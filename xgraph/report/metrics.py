"""What the values in a log are called among people, and in which unit they are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xgraph.diagnostics import printable
from xgraph.report.runs import Run

_LIMIT = 40


@dataclass(frozen=True, slots=True)
class Metric:
    """A value of a log: its name there, what it is called, and the unit that it is shown in.

    What is shown is the logged value times `scale`.
    """

    name: str
    title: str
    unit: str = ""
    scale: float = 1.0

    @property
    def is_accuracy(self) -> bool:
        """Whether it is a share of images, from 0 to 100 %."""
        return self.unit == "%"

    @property
    def label(self) -> str:
        """The title with the unit, as an axis has it."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


_TITLES = {"learning_rate": "learning rate", "images_per_second": "images per second"}


def metric(name: str) -> Metric:
    """The metric of a name: accuracies are logged from 0 to 1 and shown in percent."""
    if match := re.fullmatch(r"top(\d{1,4})", name, re.ASCII):
        return Metric(name, f"top-{match[1]} accuracy", "%", 100.0)
    if match := re.fullmatch(r"map(\d{1,4})", name, re.ASCII):
        return Metric(name, f"MAP@{match[1]}")
    return Metric(name, _TITLES.get(name) or printable(name, _LIMIT))


def logged(runs: Iterable[Run]) -> list[str]:
    """The names of all values in the logs, in the order in which they come."""
    return list(
        dict.fromkeys(name for run in runs for entry in run.entries for name in entry.values)
    )


def evaluated(runs: Iterable[Run]) -> list[str]:
    """The names of what evaluations measure besides the loss, in the order in which they come."""
    names = dict.fromkeys(
        name for run in runs for entry in run.evaluations for name in entry.values
    )
    return [name for name in names if name != "loss"]


def main_metric(runs: Sequence[Run]) -> str | None:
    """What says how good a network is: top-1 accuracy, or what else is evaluated first."""
    names = evaluated(runs)
    return "top1" if "top1" in names else next(iter(names), None)
