"""Training all runs that some experiments need: each a process, several at a time, resumable.

    FOLDER/programs/ARM/    the compiled program
    FOLDER/runs/ARM/SEED/   the run, as its train.py writes it; its output in output.txt

It imports nothing but the standard library and tqdm, unless it has to compile.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from benchmarks.paper.experiments import ARMS, Arm

#: What a program has to say of itself in the folder of its runs.
PROGRAM: Final = "program.sha256"
_POLL: Final = 0.5  # seconds


class Failed(Exception):
    """Something cannot be done; the message says what, and what to do."""


@dataclass(frozen=True)
class Run:
    """One arm from one seed, below a folder."""

    arm: Arm
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        return f"{self.arm.name}, seed {self.seed}"

    @property
    def program(self) -> Path:
        return self.folder / "programs" / self.arm.name

    @property
    def output(self) -> Path:
        return self.folder / "runs" / self.arm.name / str(self.seed)

    def log(self) -> list[dict[str, Any]]:
        """The whole lines of its log so far."""
        try:
            text = (self.output / "metrics.jsonl").read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def evaluations(self) -> int:
        """How many epochs it has been through."""
        return sum("split" in line for line in self.log())

    def about(self) -> dict[str, Any]:
        """What it says of itself; nothing before it has begun."""
        try:
            return json.loads((self.output / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def done(self) -> bool:
        """Whether it has come to its end."""
        log = self.log()
        return bool(log) and "split" in log[-1] and log[-1]["epoch"] >= self.about()["epochs"]


def runs(arms: Iterable[str], seeds: int, folder: Path) -> list[Run]:
    """All runs, one seed of all arms after the other: what there is early is worth the most."""
    names = list(dict.fromkeys(arms))
    return [Run(ARMS[name], seed, folder) for seed in range(seeds) for name in names]


def compile_programs(arms: Iterable[Arm], folder: Path) -> None:
    """The PyTorch program of each arm, where it is not current.

    Raises:
        Failed: the spec or its recipe is at fault, or a program was edited.
    """
    from xgraph.cli import main as xgraph

    for arm in arms:
        command = ["compile", arm.path, "--recipe", arm.recipe_path]
        for setting in arm.settings:
            command += ["--set", setting]
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = xgraph([*command, "-o", str(folder / "programs" / arm.name)])
        if status:
            raise Failed(f"{arm.name} does not compile:\n{said.getvalue()}")


def digest(program: Path) -> str:
    """Of all files of a program."""
    files = sorted(program.glob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def train(
    wanted: Sequence[Run],
    data: Path,
    *,
    jobs: int,
    device: str = "auto",
    minutes: float | None = None,
) -> None:
    """Train all of them that are not done, `jobs` at a time.

    What was stopped goes on where it was. Ctrl-C, SIGTERM and the end of `minutes` stop every run
    after its current step, with a checkpoint.

    Raises:
        Failed: a run has failed, or its folder holds one of another program; or there are no
            images.
    """
    if not data.is_dir():
        raise Failed(f"there is no folder {data}: --data says where Fashion-MNIST is")
    check(wanted)
    waiting = [run for run in wanted if not run.done()]
    end = time.monotonic() + 60 * minutes if minutes else None
    running: dict[Run, subprocess.Popen[bytes]] = {}
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = _Progress(wanted)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                running[run] = _started(run, data, device, jobs)
            time.sleep(_POLL)
            for run in [run for run, process in running.items() if process.poll() is not None]:
                status = running.pop(run).returncode
                if status:
                    raise Failed(f"{run.name} has failed, see {run.output / 'output.txt'}")
                progress.say(f"{run.name}: {_outcome(run)}")
            progress.show()
            if end and time.monotonic() > end and running:
                print(f"stopped after {minutes:g} minutes; the same command goes on")
                break
    except KeyboardInterrupt:
        raise Failed("stopped; the same command goes on") from None
    finally:
        _stop(running.values())
        progress.close()


def check(wanted: Iterable[Run]) -> None:
    """Whether the runs that there are have come of the programs that there are.

    Raises:
        Failed: one has not.
    """
    for run in wanted:
        recorded = run.output / PROGRAM
        if recorded.exists() and recorded.read_text(encoding="utf-8") != digest(run.program):
            raise Failed(f"{run.output} is a run of another program: delete it to train anew")


def _started(run: Run, data: Path, device: str, jobs: int) -> subprocess.Popen[bytes]:
    run.output.mkdir(parents=True, exist_ok=True)
    (run.output / PROGRAM).write_text(digest(run.program), encoding="utf-8")
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    command = [sys.executable, "train.py", "--data", str(data.absolute())]
    command += ["--output", str(run.output.absolute()), "--seed", str(run.seed)]
    command += ["--resume", "auto", "--device", device, "--workers", "0"]
    with (run.output / "output.txt").open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=run.program,
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for this process, which then stops the others
        )


def _stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Have every run save and end, and wait for it."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait()


def _outcome(run: Run) -> str:
    last = run.log()[-1]
    return f"{100 * last['top1']:.2f} % of the test images, {last['seconds']:.0f} s of training"


class _Progress:
    """A bar of epochs, over all runs."""

    def __init__(self, wanted: Sequence[Run]) -> None:
        self.wanted = wanted
        self.seen = {run: run.evaluations() for run in wanted}
        total = sum(epochs(run.program) for run in wanted)
        self.bar = tqdm(total=total, initial=sum(self.seen.values()), unit="epoch", disable=None)

    def show(self) -> None:
        for run in self.wanted:
            now = run.evaluations()
            self.bar.update(now - self.seen[run])
            self.seen[run] = now

    def say(self, line: str) -> None:
        self.bar.write(line)

    def close(self) -> None:
        self.bar.close()


def epochs(program: Path) -> int:
    """The constant of its train.py.

    Raises:
        Failed: there is no such program.
    """
    try:
        text = (program / "train.py").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Failed(f"there is no program at {program}: leave --no-compile out") from None
    return int(text.partition("\nEPOCHS = ")[2].partition("\n")[0])


def minutes_ahead(wanted: Iterable[Run], jobs: int) -> int:
    """How long the runs that are not done take on so many CPU cores, about."""
    ahead = 0.0
    for run in wanted:
        ahead += run.arm.seconds * max(0, epochs(run.program) - run.evaluations())
    return max(1, round(ahead / jobs / 60))


def every(names: Iterable[str]) -> Iterator[Arm]:
    """The arms of these names, each once."""
    return (ARMS[name] for name in dict.fromkeys(names))
