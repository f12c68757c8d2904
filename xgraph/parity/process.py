"""The parent's side of a worker: starts it, asks, listens."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from xgraph.diagnostics import printable
from xgraph.parity.job import Job

#: Frameworks' greetings on standard error are nobody's business here; and threads that spin while
#: they wait take the cores from the other frameworks.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_WAIT_POLICY": "PASSIVE"}
#: What a process is told of devices, whatever the user's own settings say. On a CPU a GPU beside it
#: does not exist. On a GPU float32 is float32: no product is rounded to TF32's ten bits before. The
#: frameworks share its memory, so none takes it all.
_DEVICE_SETTINGS = {
    "cpu": {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"},
    "cuda": {
        "NVIDIA_TF32_OVERRIDE": "0",
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    },
}
#: Characters of a framework's message; some print whole arrays.
_LONGEST = 300
_NOTHING: Mapping[str, str] = {}


class WorkerFailed(Exception):  # the message says all
    """A framework could not do what it was asked.

    Attributes:
        backend: whose.
        message: one line.
        missing: the package that is not installed, if that is why.
        refused: whether it says itself that it cannot do such a thing, ever.
        reached: paths of the nodes whose values were there by then, where it knows them.
    """

    def __init__(
        self,
        backend: str,
        message: str,
        missing: str | None = None,
        *,
        refused: bool = False,
        reached: Sequence[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.backend = backend
        self.message = message
        self.missing = missing
        self.refused = refused
        self.reached = reached

    def at(self, place: str, node: str) -> WorkerFailed:
        """The same with its place in the spec."""
        what = f"'{node}': " if node else ""
        return WorkerFailed(self.backend, f"{place}: {what}{self.message}", reached=self.reached)


@contextlib.contextmanager
def processes(
    backends: Sequence[str], device: str, running: Mapping[str, Worker] | None = None
) -> Iterator[Mapping[str, Worker]]:
    """Processes by backend: those that run already, or new ones, which end afterwards."""
    own = {} if running else {name: Worker(name, device=device) for name in backends}
    try:
        yield running or own
    finally:
        for worker in own.values():
            worker.close()


class Worker:
    """A process with one framework in it. It may be given any number of jobs, one after another."""

    def __init__(
        self, backend: str, settings: Mapping[str, str] = _NOTHING, device: str = "cpu"
    ) -> None:
        """Start the process; `settings` are environment variables that hold for it alone.

        Jobs are for this device.
        """
        self.backend = backend
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xgraph.parity.worker", backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**_QUIET, **settings, **os.environ, **_DEVICE_SETTINGS[device]},
        )

    def ask(self, job: Job) -> None:
        """Hand over a job; `answers` tells what becomes of it."""
        self._write(job.text())

    def tell(self, message: Mapping[str, Any]) -> None:
        """Say something that a job waits for."""
        self._write(json.dumps(message))

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._gone() from None

    def answers(self) -> Iterator[dict[str, Any]]:
        """What it says until the job is done; the last answer holds seconds by stage.

        Raises:
            WorkerFailed: it could not do the job.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answer: dict[str, Any] = json.loads(line)
            if missing := answer.get("missing"):
                text = f"the backend '{self.backend}' needs {missing}, which is not installed"
                raise WorkerFailed(self.backend, f"{text}: pip install 'xgraph[{self.backend}]'",
                                   missing)  # fmt: skip
            if refused := answer.get("refused"):
                raise WorkerFailed(self.backend, refused, refused=True)
            if "error" in answer:
                message = f"the program of '{self.backend}' fails: {_line(answer['error'])}"
                raise WorkerFailed(self.backend, message, reached=answer.get("reached"))
            yield answer
            if "done" in answer:
                return
        raise self._gone()

    def perform(self, job: Job) -> dict[str, float]:
        """Do a job and return its figures."""
        self.ask(job)
        *_, last = self.answers()
        figures: dict[str, float] = last["done"]
        return figures

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()

    def _gone(self) -> WorkerFailed:
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else "it said nothing"
        why = "it ran out of memory, perhaps" if code == -9 else _line(last)
        text = f"the process of '{self.backend}' ended with status {code}: {why}"
        return WorkerFailed(self.backend, text)


def _line(text: str) -> str:
    """What a framework says, on one line of bearable length."""
    words = " ".join(printable(text).split())
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"
