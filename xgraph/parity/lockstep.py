"""Training steps compared one at a time, each from a state that all programs share.

Where training is chaotic, roundings grow from step to step until nothing of two equal programs is
alike, and what is left after many steps says nothing. Here the first program trains on, and before
each step all others are given its state: what differs after it is this step's doing. One of them
takes part twice, the second time from states that are a few roundings off: the limit of each step
follows from how far it is from itself.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xgraph.ops.base import Array
from xgraph.parity.distance import Arrays, Quantity, distances, limits
from xgraph.parity.job import Job, result, state_file
from xgraph.parity.process import Worker

#: Weights and their EMA are measured by what the step has changed: a step changes them little, and
#: against the whole of them an error of the step would be small.
QUANTITIES = (
    Quantity("losses, step by step", "lockstep", "losses", None),
    Quantity("weights, step by step", "lockstep", "weights", None),
    Quantity("statistics, step by step", "lockstep", "statistics", None),
    Quantity("optimizer, step by step", "lockstep", "optimizer", None),
    Quantity("EMA, step by step", "lockstep", "ema", None),
)
_CHANGES = frozenset({"weights", "statistics", "ema"})

#: The name of the one that takes part a second time.
NUDGED = "nudged"


@dataclass(frozen=True)
class Worst:
    """The farthest tensor of the worst step, in proportion to its limit.

    `untold` are the tensors that nothing can be told of in some step.
    """

    distance: float
    tensor: str
    limit: float
    untold: frozenset[str] = frozenset()

    @property
    def proportion(self) -> float:
        """Of the distance to its limit."""
        return self.distance / self.limit


Found = dict[tuple[str, str, Quantity], Worst]


def in_lockstep(
    workers: Mapping[str, Worker],
    jobs: Mapping[str, Job],
    again: str,
    progress: Callable[[str, Mapping[str, Any]], None],
) -> Found:
    """Have the programs take their steps in turn; one computes at a time.

    Args:
        workers: processes by backend, and that of `NUDGED`; all but the first of `jobs` begin each
            step where that one does.
        jobs: of the one stage "lockstep", by backend and for `NUDGED`.
        again: the backend that `NUDGED` is of.
        progress: told what the workers say.

    Raises:
        WorkerFailed: a program fails.
    """
    names = tuple(jobs)
    steps = jobs[names[0]].steps
    found: Found = {}
    talks: dict[str, Iterator[dict[str, Any]]] = {}

    def wait(name: str) -> None:
        """Until it stands before the next step, or is done."""
        for answer in talks[name]:
            progress(name, answer)
            if answer.get("waits"):
                return

    def states(step: int) -> dict[str, Path]:
        return {name: state_file(Path(jobs[name].output), step) for name in names}

    for name in names:
        workers[name].ask(jobs[name])
        talks[name] = workers[name].answers()
        wait(name)
    for step in range(1, steps + 1):
        start = states(step - 1)[names[0]]
        for name in names:
            workers[name].tell({"state": None if name == names[0] else str(start)})
            wait(name)
        _compare(found, start, states(step), again)
        for path in (*states(step - 1).values(), *list(states(step).values())[1:]):
            path.unlink(missing_ok=True)
    for name in names:
        workers[name].tell({"state": None})
        wait(name)
    ends = {name: result(Path(jobs[name].output), "lockstep") for name in names}
    _compare(found, states(steps)[names[0]], ends, again)
    order = {quantity: place for place, quantity in enumerate(QUANTITIES)}
    return dict(sorted(found.items(), key=lambda item: order[item[0][2]]))


def _compare(found: Found, start: Path, after: Mapping[str, Path], again: str) -> None:
    """Take the distances of a step into the worst of all; files have what they have."""
    with contextlib.ExitStack() as files:
        before = files.enter_context(np.load(start))
        held = {name: files.enter_context(np.load(path)) for name, path in after.items()}
        for quantity in QUANTITIES:
            of = _Changes if quantity.kind in _CHANGES else _Values
            sides = {name: of(arrays, quantity.kind, before) for name, arrays in held.items()}
            own = distances(sides[again], sides[NUDGED])
            for left, right in itertools.combinations([n for n in sides if n != NUDGED], 2):
                each = distances(sides[left], sides[right])
                allowed = limits(quantity, "float64", list(each), [own])
                key = left, right, quantity
                seen = [
                    Worst(distance, tensor, limit)
                    for tensor, distance in each.items()
                    if (limit := allowed[tensor]) is not None
                ]
                untold = {tensor for tensor, limit in allowed.items() if limit is None}
                if past := found.get(key):
                    seen, untold = [past, *seen], untold | past.untold
                if seen:
                    worst = max(seen, key=lambda one: one.proportion)
                    found[key] = replace(worst, untold=frozenset(untold))


class _Values(Arrays):
    """Arrays as they are, whatever they were before."""

    def __init__(self, held: Mapping[str, Array], kind: str, before: Mapping[str, Array]) -> None:
        super().__init__(held, kind)
        self.before = before


class _Changes(_Values):
    """How far arrays are from what they were."""

    def __getitem__(self, name: str) -> Array:
        changed: Array = self.held[name] - self.before[name]
        return changed
