"""Runs on disk: the folders that a training program writes, read with suspicion.

A folder holds `metrics.jsonl`, a line of JSON for each logged step and each evaluation, and
`run.json`, which says what was trained; programs of older releases write no `run.json`, and no
`seconds` in the lines. Runs are handed around, so nothing in them is trusted: what is read is
bounded, of the right kind, and finite; what is not is left out and counted.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xgraph.diagnostics import printable

LOG: Final = "metrics.jsonl"
ABOUT: Final = "run.json"

# Bounds of what is read. A run of a million steps that logs each fiftieth has 4 MiB.
MAX_BYTES: Final = 32 * 1024 * 1024
_MAX_LINE: Final = 64 * 1024
_MAX_VALUES: Final = 64
#: Greater numbers are no measurements, and drawing them overflows.
_MAX_NUMBER: Final = 1e30
_MAX_STEP: Final = 2**53
_NAME_LIMIT: Final = 40
#: Names of values in one message.
_NAMES_SHOWN: Final = 5


class RunError(Exception):
    """What is asked of runs cannot be done. Each of `lines` is a whole, plain message."""

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log: of training where `split` is None, else of an evaluation.

    `epoch` counts passes over the training images, `seconds` the time of training over all
    resumes; either may not be known. `values` holds the other numbers by name, all finite.
    """

    step: int
    epoch: float | None
    seconds: float | None
    split: str | None
    values: Mapping[str, float]


@dataclass(frozen=True)
class About:
    """What `run.json` says was trained; None is what it does not say."""

    spec: str | None = None
    framework: str | None = None
    recipe: str | None = None
    parameters: int | None = None
    macs: int | None = None
    seed: int | None = None
    batch_size: int | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Run:
    """A run. `name` tells it from the others and may be shown anywhere.

    `entries` are in the order of steps; `about` is None without a `run.json`. `remarks` say what
    was left out, a line each.
    """

    name: str
    path: str
    entries: tuple[Entry, ...]
    about: About | None
    remarks: tuple[str, ...]

    @property
    def training(self) -> tuple[Entry, ...]:
        """The lines of training."""
        return tuple(entry for entry in self.entries if entry.split is None)

    @property
    def evaluations(self) -> tuple[Entry, ...]:
        """The lines of evaluations, of any split."""
        return tuple(entry for entry in self.entries if entry.split is not None)


def read_runs(paths: Sequence[str]) -> list[Run]:
    """Every run once, in the order given, by the shortest names that differ.

    Raises:
        RunError: some of them cannot be read; a line for each of these.
    """
    unique = list({os.path.abspath(path): path for path in reversed(paths)}.items())[::-1]
    names = distinct([whole for whole, _ in unique])
    found: list[Run] = []
    failed: list[str] = []
    for name, (_, path) in zip(names, unique, strict=True):
        try:
            found.append(_read_run(name, path))
        except RunError as error:
            failed += error.lines
    if failed:
        raise RunError(*failed)
    return found


def distinct(paths: Sequence[str]) -> list[str]:
    """What to call each of some absolute paths: its last part, or as many as tell it apart.

    The names are printable and bounded.
    """
    parts = [Path(path).parts for path in paths]
    depths = [1] * len(parts)
    while True:
        names = [str(Path(*whole[-depth:])) for whole, depth in zip(parts, depths, strict=True)]
        uses = Counter(names)
        clashing = [
            index
            for index, name in enumerate(names)
            if uses[name] > 1 and depths[index] < len(parts[index])
        ]
        if not clashing:
            return [printable(name, _NAME_LIMIT) or "/" for name in names]
        for index in clashing:
            depths[index] += 1


def folders(runs: Sequence[Run]) -> list[str]:
    """What to call the folder that each run lies in, by the shortest names that differ."""
    above = [os.path.dirname(os.path.abspath(run.path)) for run in runs]
    unique = list(dict.fromkeys(above))
    names = dict(zip(unique, distinct(unique), strict=True))
    return [names[path] for path in above]


def show(path: str) -> str:
    """A path as it may be shown."""
    return printable(path, 200)


def _read_run(name: str, path: str) -> Run:
    if not os.path.isdir(path):
        what = "there is no such folder" if not os.path.lexists(path) else "it is not a folder"
        raise RunError(f"{show(path)}: {what}; a run is the folder that train.py --output names")
    log = _read(path, LOG)
    if log is None:
        raise RunError(f"{show(path)}: no {LOG} is in it; a run is what train.py --output names")
    entries, remarks = _entries(log)
    about, others = _about(_read(path, ABOUT))
    lines = tuple(f"{show(path)}: {remark}" for remark in (*remarks, *others))
    return Run(name, path, entries, about, lines)


def _read(folder: str, name: str) -> bytes | None:
    """The bytes of a file of a run, None where there is none.

    Raises:
        RunError: it is no regular file (opening a pipe would wait forever), too large, or closed.
    """
    path = os.path.join(folder, name)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise RunError(f"{show(folder)}: {name} is not a regular file")
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = (getattr(error, "strerror", None) or "the path is not valid").lower()
        raise RunError(f"{show(folder)}: cannot read {name}: {reason}") from None
    if len(data) > MAX_BYTES:
        limit = MAX_BYTES // (1024 * 1024)
        raise RunError(f"{show(folder)}: {name} is larger than {limit} MiB, which no log is")
    return data


# -- the log --------------------------------------------------------------------------------------


def _entries(log: bytes) -> tuple[tuple[Entry, ...], list[str]]:
    """The lines in the order of steps, and what was left out of them."""
    entries: list[Entry] = []
    damaged: list[int] = []
    unusable: Counter[str] = Counter()
    lines = log.split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.strip():
            entry = _entry(_object(line) if len(line) <= _MAX_LINE else None, unusable)
            if entry is None:
                damaged.append(number)
            else:
                entries.append(entry)
    remarks = []
    if damaged:
        count = "1 line is" if len(damaged) == 1 else f"{len(damaged):,} lines are"
        first = "" if len(damaged) == 1 else "the first is "
        remarks.append(f"{count} damaged and left out ({first}line {damaged[0]:,} of {LOG})")
    if unusable:
        remarks.append(
            f"values that are no finite numbers below 1e30 are left out: {_counted(unusable)}"
        )
    entries.sort(key=lambda entry: entry.step)
    return tuple(entries), remarks


def _object(text: bytes) -> dict[str, Any] | None:
    """A JSON object, None for all else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # not UTF-8, not JSON, numbers too long; nested too deep
        return None
    return value if isinstance(value, dict) else None


def _entry(line: Mapping[str, Any] | None, unusable: Counter[str]) -> Entry | None:
    """What a line says, None where it is damaged; values of no use are counted by name."""
    if line is None or len(line) > _MAX_VALUES:
        return None
    step, split = whole(line.get("step"), _MAX_STEP), line.get("split")
    epoch, seconds = (_measure(line.get(name)) for name in ("epoch", "seconds"))
    given = (line.get("epoch") is not None, line.get("seconds") is not None)
    if step is None or given != (epoch is not None, seconds is not None):
        return None
    if split is not None and not isinstance(split, str):
        return None
    values = {}
    for name, value in line.items():
        if name not in ("step", "epoch", "seconds", "split"):
            number = _number(value)
            if number is None:
                unusable[name] += 1
            else:
                values[name] = number
    return Entry(step, epoch, seconds, split and printable(split, _NAME_LIMIT), values)


def _number(value: Any) -> float | None:
    """A number that can be a measurement, as a float; None for all else, and NaN."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if -_MAX_NUMBER < value < _MAX_NUMBER else None


def _measure(value: Any) -> float | None:
    number = _number(value)
    return None if number is None or number < 0 else number


def whole(value: Any, limit: int) -> int | None:
    """A whole number from 0 up to a limit, None for all else."""
    right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit
    return value if right else None


def _counted(names: Counter[str]) -> str:
    """ "loss (3), top1 (1)", cut short where there are many."""
    shown = [f"{printable(name, _NAME_LIMIT)} ({n:,})" for name, n in names.most_common()]
    rest = len(shown) - _NAMES_SHOWN
    return ", ".join(shown[:_NAMES_SHOWN]) + (f" and {rest:,} more names" if rest > 0 else "")


# -- what was trained -----------------------------------------------------------------------------


def _about(text: bytes | None) -> tuple[About | None, Iterable[str]]:
    """What `run.json` says, and what of it is of no use."""
    if text is None:
        return None, ()
    said = _object(text)
    if said is None:
        return About(), [f"{ABOUT} is damaged, so what was trained is not known"]
    words = {
        name: printable(said[name], _NAME_LIMIT)
        for name in ("spec", "framework", "recipe", "precision")
        if isinstance(said.get(name), str)
    }
    counts = {
        name: count
        for name in ("parameters", "macs", "seed", "batch_size")
        if (count := whole(said.get(name), 2**63)) is not None
    }
    about = About(**words, **counts)  # type: ignore[arg-type]
    known = [name for name in About.__dataclass_fields__ if said.get(name) is not None]
    wrong = [name for name in known if getattr(about, name) is None]
    return about, [f"{ABOUT}: of the wrong kind and left out: {', '.join(wrong)}"] if wrong else ()
