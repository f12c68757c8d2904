"""A run that several processes train together; process 0 alone writes, and says how it goes.

All take the same decisions: the loss and what is measured are the same numbers in each, and what
only one of them knows, a signal or the time, they agree on after every update.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import data
import processes
from arguments import UserError
from run import Run, Training
from tqdm import tqdm


def together(start: Callable[[SharedRun], None]) -> Callable[[Run], None]:
    """`start`, for all processes of a run."""

    def started(run: Run) -> None:
        processes.join(run.arguments)
        try:
            start(SharedRun(run))
        except Exception as error:
            if not (said := processes.lost(error)):
                raise
            raise UserError(f"another process has ended, or does not answer ({said})") from None
        processes.leave()

    return started


class SharedRun(Run):
    """The part of a run that is this process's."""

    def __init__(self, run: Run) -> None:
        self.__dict__.update(vars(run))  # it goes on from a run that has opened its images
        self.number, self.count = processes.number(), processes.count()
        self.signalled, self.elapsed = 0, 0.0
        asked = self.arguments
        for name in ("predict", "per_class", "confusion"):
            if self.count > 1 and getattr(asked, name):
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"{option} is answered by one process, not by {self.count}")

    def begin(self, training: Training, **about: Any) -> Iterator[list[tuple[int, int]]]:
        """As for one process; the others begin with what process 0 found in the folder.

        Returns:
            The keys of the images of each batch to come, all of them.
        """
        images = min(self.plan.batch_size, len(self.dataset))
        processes.take_part(images // self.recipe.micro_batches)
        if self.number:
            return self.follow(training, processes.from_first(None))
        found = None  # nothing, should it end here: the others end as well
        try:
            keys: Iterator[list[tuple[int, int]]] = super().begin(
                training, **about, processes=self.count
            )
            place = {name: getattr(self, name) for name in ("step", "best", "stale", "before")}
            found = {**place, "state": training.state()}
        finally:
            processes.from_first(found)
        return keys

    def follow(
        self, training: Training, found: dict[str, Any] | None
    ) -> Iterator[list[tuple[int, int]]]:
        """Begin with what process 0 has found, and leave the folder to it."""
        if found is None:
            sys.exit(1)  # it has said why
        training.load_state(found.pop("state"))
        self.__dict__.update(found)
        self.training = training
        self.log_every, self.evaluate_every, self.save_every = self.recipe.every(self.plan)
        self.held_out = next((name for name in ("validation", "test") if name in self.splits), None)
        self.log, self.progress = Silent(), tqdm(disable=True)
        self.stopped_by: int | None = None
        self.enough = ""
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self.stop)
            self.closing.callback(signal.signal, number, before or signal.SIG_DFL)
        self.previous, self.unsettled, self.seen = 0.0, True, 0
        self.began = self.started = time.perf_counter()
        plan, count = self.plan, len(self.dataset)
        keys = data.training_batches(count, plan.batch_size, self.seed, self.step, self.last_step)
        return iter(keys)

    def parts(
        self, batches: Iterable[list[tuple[int, int]]], micro_batches: int = 1
    ) -> Iterator[list[tuple[int, int]]]:
        """The keys of this process's images of each batch in which it has some."""
        for batch in batches:
            if own := part(batch, self.number, self.count, micro_batches):
                yield own

    def after_update(self, loss: Any, held_out: Callable[[data.Dataset], Any]) -> bool:
        """As for one process, once all know what one of them does."""
        seconds = super().position()["seconds"]
        stopped_by, self.elapsed = processes.greatest([self.signalled, seconds])
        self.stopped_by = int(stopped_by) or None
        goes_on: bool = super().after_update(loss, held_out)
        return goes_on

    def position(self) -> dict[str, Any]:
        """Where the run is, by the time on which all agree."""
        return {**super().position(), "seconds": self.elapsed}

    def stop(self, number: int, frame: object) -> None:
        """On Ctrl-C and SIGTERM of any process: all stop after the same step."""
        self.signalled = number
        signal.signal(number, signal.SIG_DFL)

    def save(self) -> None:
        """A checkpoint, written by process 0."""
        if not self.number:
            super().save()

    def save_weights(self, name: str) -> None:
        """The weights that are evaluated, likewise."""
        if not self.number:
            super().save_weights(name)


class Silent:
    """The log of a process that has none."""

    def write(self, **values: Any) -> None:
        """Write nothing."""


def part(
    batch: list[tuple[int, int]], number: int, count: int, micro_batches: int = 1
) -> list[tuple[int, int]]:
    """What process `number` of `count` takes of a batch: of each micro-batch, images in a row."""
    size = len(batch) // micro_batches
    first, last = number * size // count, (number + 1) * size // count
    return [key for m in range(micro_batches) for key in batch[m * size + first : m * size + last]]
