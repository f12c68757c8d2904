"""Many comparisons with the same processes: what random specs are put through."""

from __future__ import annotations

import queue
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from xgraph.compile import COMPILING, analyse
from xgraph.emit.planner import taken_back
from xgraph.fuzz.run import CannotCheck
from xgraph.parity.comparison import compare
from xgraph.parity.process import Worker, WorkerFailed

#: After so many specs a process is started anew: compiled code piles up in it.
_RENEW = 60
#: Random specs name no recipe; by this one they have a loss, and take their steps.
_RECIPE = "imagenet"
#: What tells failures of a process apart, when one is cut down.
_KIND = re.compile(r"\b\w+(Error|Exception)\b|status -?\d+")
#: Random specs are small, and frameworks shall leave the cores to each other.
_ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


class Checkers:
    """Several checkers behind one function, which may be called from as many threads.

    It is a context: their processes live as long.
    """

    def __init__(
        self, count: int, backends: Sequence[str], steps: int, batch: int, device: str = "cpu"
    ) -> None:
        self.all = [Checker(backends, steps, batch, device) for _ in range(count)]
        self.free: queue.SimpleQueue[Checker] = queue.SimpleQueue()
        for checker in self.all:
            self.free.put(checker)

    def __enter__(self) -> Checkers:
        return self

    def __exit__(self, *error: object) -> None:
        for checker in self.all:
            checker.close()

    @property
    def ill_conditioned(self) -> int:
        """How many specs rounding alone makes so different that their agreement says little."""
        return sum(checker.ill_conditioned for checker in self.all)

    def __call__(self, text: str) -> str | None:
        """What is wrong with the programs of a spec, if anything."""
        checker = self.free.get()
        try:
            return checker(text)
        finally:
            self.free.put(checker)


class Checker:
    """A function from the text of a spec to what is wrong with its programs, or None.

    It is a context: its processes live as long.
    """

    def __init__(
        self, backends: Sequence[str], steps: int = 3, batch: int = 3, device: str = "cpu"
    ) -> None:
        self.backends = tuple(backends)
        self.device = device
        self.steps = steps
        self.batch = batch
        self.workers: dict[str, Worker] = {}
        self.asked = 0
        self.ill_conditioned = 0

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, text: str) -> str | None:
        """Compare; the message begins with what kind of failure it is."""
        if self.asked % _RENEW == 0:
            self.close()
            self.workers = {name: Worker(name, _ONE_CORE, self.device) for name in self.backends}
        self.asked += 1
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "spec.yaml")
            path.write_text(text, encoding="utf-8")
            try:
                if wrong := _by_chance(path):
                    return wrong
                report = compare(
                    str(path),
                    backends=self.backends,
                    device=self.device,
                    steps=self.steps,
                    batch=self.batch,
                    recipe=_RECIPE,
                    ties=True,
                    workers=self.workers,
                )
            except WorkerFailed as failure:
                if failure.missing or failure.refused:
                    raise CannotCheck(failure) from failure
                self.asked = 0  # a process may have ended
                kind = _KIND.search(failure.message)
                how = f" with {kind[0]}" if kind else ""
                return _without_folders(f"{failure.backend} fails{how}: {failure.message}")
            except Exception as error:  # whatever a compiler raises is a finding
                return _without_folders(f"{type(error).__name__}: {error}")
        self.ill_conditioned += bool(report.ill_conditioned or report.chaotic)
        if report.agree:
            return None
        divergence = f"; {report.divergences[0]}" if report.divergences else ""
        return _without_folders(f"{report.failures[0].quantity}: {report.reason}{divergence}")

    def close(self) -> None:
        """End the processes."""
        for worker in self.workers.values():
            worker.close()
        self.workers = {}


def _by_chance(path: Path) -> str | None:
    """That programs would take parameters that are right for the spec's own values alone."""
    with COMPILING:
        analysis = analyse(str(path))
        wrong = ", ".join(sorted(taken_back(analysis.elaborated, analysis.types)))
    return f"parameters: a trial takes back what was offered: {wrong}" if wrong else None


def _without_folders(message: str) -> str:
    """A message that says nothing of folders that are gone."""
    return re.sub(re.escape(tempfile.gettempdir()) + r"/[^/\s]+/", "", message)
