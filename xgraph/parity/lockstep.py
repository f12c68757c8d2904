"""Training steps compared one at a time, each from a state that all programs share.

Where training is chaotic, roundings grow from step to step until nothing of two equal programs is
alike, and what is left after many steps says nothing. Here the first program trains on, and before
each step all others are given its state: what differs after it is this step's doing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xgraph.ops.base import Array
from xgraph.parity.distance import Arrays, Quantity, distances
from xgraph.parity.job import Job, result, state_file
from xgraph.parity.process import Worker

#: Weights and averages are measured by what the step has changed: a step changes them little, and
#: against the whole of them an error of the step would be small.
QUANTITIES = (
    Quantity("losses, step by step", "lockstep", "losses", 1e-7, None),
    Quantity("weights, step by step", "lockstep", "weights", 1e-7, None),
    Quantity("statistics, step by step", "lockstep", "statistics", 1e-7, None),
    Quantity("optimizer, step by step", "lockstep", "momentum", 1e-7, None),
    Quantity("averages, step by step", "lockstep", "averages", 1e-7, None),
)
_CHANGES = frozenset({"weights", "statistics", "averages"})

#: (left, right, quantity) and the farthest tensor of the worst step: its distance and key.
Found = dict[tuple[str, str, Quantity], tuple[float, str]]


def in_lockstep(
    workers: Mapping[str, Worker],
    jobs: Mapping[str, Job],
    progress: Callable[[str, Mapping[str, Any]], None],
) -> Found:
    """Have the programs take their steps in turn; one computes at a time.

    Args:
        workers: processes by backend; others begin each step where the first of `jobs` does.
        jobs: of the one stage "lockstep", by backend.
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
        _compare(found, start, states(step))
        for path in (*states(step - 1).values(), *list(states(step).values())[1:]):
            path.unlink(missing_ok=True)
    for name in names:
        workers[name].tell({"state": None})
        wait(name)
    ends = {name: result(Path(jobs[name].output), "lockstep") for name in names}
    _compare(found, states(steps)[names[0]], ends)
    order = {quantity: place for place, quantity in enumerate(QUANTITIES)}
    return dict(sorted(found.items(), key=lambda item: order[item[0][2]]))


def _compare(found: Found, start: Path, after: Mapping[str, Path]) -> None:
    """Take the distances of a step into the worst of all; files have what they have."""
    for left, right in itertools.combinations(after, 2):
        with (
            np.load(start) as before,
            np.load(after[left]) as one,
            np.load(after[right]) as other,
        ):
            for quantity in QUANTITIES:
                of = _Changes if quantity.kind in _CHANGES else _Values
                each = distances(of(one, quantity.kind, before), of(other, quantity.kind, before))
                if each:
                    tensor = max(each, key=each.__getitem__)
                    key = left, right, quantity
                    found[key] = max(found.get(key, (0.0, tensor)), (each[tensor], tensor))


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
