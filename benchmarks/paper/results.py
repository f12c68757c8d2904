"""What runs have come to: gathered from their folders, as committed, and in numbers.

A file of results is lines of JSON, for each arm and seed first one that says what was trained:

    {"arm": "elu", "seed": 0, "network": …, "recipe": …, "parameters": …, "epochs": …, "device": …}
    {"arm": "elu", "seed": 0, "step": 117, "epoch": 0.5, "loss": 0.71, …}
    {"arm": "elu", "seed": 0, "step": 234, "epoch": 1.0, "split": "test", "loss": 0.6, "top1": 0.8}
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

from benchmarks.paper.experiments import ARMS, EXPERIMENTS, HERE
from benchmarks.paper.training import Failed, Run

#: Where results are committed, with their figures.
PUBLISHED: Final = HERE.parents[1] / "docs" / "experiments"
#: What is kept of run.json. What an epoch is in steps follows.
_ABOUT: Final = (
    "network", "recipe", "image_settings", "parameters", "images", "batch_size", "epochs", "device",
)  # fmt: skip
_TRAINED: Final = ("step", "epoch", "loss")
_EVALUATED: Final = ("step", "epoch", "split", "loss", "top1")


@dataclass(frozen=True)
class Trained:
    """One run: what it was, and its log."""

    arm: str
    seed: int
    about: dict[str, Any]
    log: tuple[dict[str, Any], ...]

    @property
    def evaluations(self) -> tuple[dict[str, Any], ...]:
        return tuple(line for line in self.log if "split" in line)


def gather(experiment: str, seeds: int, folder: Path, target: Path) -> Path:
    """Write the results of an experiment: of the seeds, up to so many, that all its arms have done.

    Raises:
        Failed: there is no such seed.
    """
    arms = [ARMS[name] for name in EXPERIMENTS[experiment].arms]
    whole = [seed for seed in range(seeds) if all(Run(arm, seed, folder).done() for arm in arms)]
    if not whole:
        waiting = [run.name for arm in arms if not (run := Run(arm, 0, folder)).done()]
        raise Failed(f"{experiment}: not done yet: {', '.join(waiting)}")
    wanted = [Run(arm, seed, folder) for arm in arms for seed in whole]
    lines = [json.dumps(line) for run in wanted for line in _lines(run)]
    path = target / f"{experiment}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _lines(run: Run) -> Iterable[dict[str, Any]]:
    who = {"arm": run.arm.name, "seed": run.seed}
    about = run.about()
    yield {**who, **{name: about[name] for name in _ABOUT}}
    for line in run.log():
        names = _EVALUATED if "split" in line else _TRAINED
        yield {**who, **{name: _short(line[name]) for name in names}}


def _short(value: Any) -> Any:
    return round(value, 6) if isinstance(value, float) else value


def published(experiment: str, folder: Path = PUBLISHED) -> bool:
    """Whether an experiment has results."""
    return (folder / f"{experiment}.jsonl").exists()


def read(experiment: str, folder: Path = PUBLISHED) -> list[Trained]:
    """The runs of a committed file, by arm and seed."""
    text = (folder / f"{experiment}.jsonl").read_text(encoding="utf-8")
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in map(json.loads, text.splitlines()):
        who = (line.pop("arm"), line.pop("seed"))
        found.setdefault(who, []).append(line)
    return [Trained(arm, seed, about, tuple(log)) for (arm, seed), (about, *log) in found.items()]


@dataclass(frozen=True)
class Outcome:
    """An arm in numbers, over its seeds; accuracies in percent, of the test images.

    `first` and `last` are after the first epoch and the last. `more` is by how many points it is
    above the first arm with the same seed, for each seed.
    """

    arm: str
    parameters: int
    first: tuple[float, ...]
    last: tuple[float, ...]
    more: tuple[float, ...]

    @property
    def mean(self) -> float:
        return mean(self.last)

    @property
    def ahead(self) -> int:
        """With how many seeds it is above the first arm."""
        return sum(more > 0 for more in self.more)


def outcomes(experiment: str, folder: Path = PUBLISHED) -> list[Outcome]:
    """Of all arms of an experiment, in its order."""
    trained = read(experiment, folder)
    base, *_ = arms = EXPERIMENTS[experiment].arms
    found: list[Outcome] = []
    last: dict[str, tuple[float, ...]] = {}
    for arm in arms:
        mine = [run for run in trained if run.arm == arm]
        last[arm] = tuple(100 * run.evaluations[-1]["top1"] for run in mine)
        first = tuple(100 * run.evaluations[0]["top1"] for run in mine)
        more = tuple(a - b for a, b in zip(last[arm], last[base], strict=True))
        found.append(Outcome(arm, mine[0].about["parameters"], first, last[arm], more))
    return found
