"""Put every fault into a copy of the checkout and let the harness look for it."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.faults import FAULTS, GROUPS, Fault

ROOT = Path(__file__).resolve().parents[2]
#: Of one harness, in seconds; the one without a fault tries the cases of all ops.
LIMIT, WHOLE_LIMIT = 600, 1800
#: Exit status of a harness that found a disagreement.
FOUND = 10
#: The least share of faults that must be caught.
SHARE = 0.97

#: Of the backends in a harness.
ORDER = ("torch", "keras", "flax")

CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"


@dataclass(frozen=True)
class Result:
    """What became of a fault; `found` is what the harness said last."""

    fault: Fault | None
    outcome: str
    found: str
    seconds: float

    @property
    def is_explained(self) -> bool:
        """Whether it says why no check can notice the fault, and none has."""
        return self.outcome == SURVIVED and self.fault is not None and bool(self.fault.survives)

    @property
    def row(self) -> str:
        """A row of the table."""
        assert self.fault is not None
        found = self.found.replace("|", "\\|")
        if self.outcome == SURVIVED:
            found = f"**survived**: {self.fault.survives or 'no explanation'}"
        elif self.outcome == BROKEN:
            found = f"**broken**: {found}"
        return f"| {self.fault.name} | {self.fault.file} | {found} | {self.seconds:.0f} |"


def copy_checkout(folder: Path) -> None:
    """What the compiler and the harness consist of, importable from the folder."""
    nothing = shutil.ignore_patterns("__pycache__")
    for name in ("xgraph", "backends", "specs", "tests/mutants"):
        shutil.copytree(ROOT / name, folder / name, ignore=nothing)
    shutil.copy(ROOT / "tests/__init__.py", folder / "tests")
    for package in ("backends", "specs"):
        (folder / f"xgraph_{package}").symlink_to(package)


def apply(fault: Fault, folder: Path) -> None:
    """Put a fault into a copy."""
    path = folder / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise ValueError(f"{fault.name}: its text occurs {text.count(fault.old)} times in {path}")
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")


def examine(
    folder: Path, backends: Sequence[str], ops: Iterable[str], limit: float, checks: str = ""
) -> tuple[str, str]:
    """(outcome, last line) of a harness in a copy."""
    command = [
        sys.executable, "-m", "tests.mutants.harness", "--root", str(folder),
        "--backends", ",".join(backends), "--ops", ",".join(ops), "--checks", checks,
    ]  # fmt: skip
    home = folder / "keras_home"  # settings that must not matter
    home.mkdir(exist_ok=True)
    settings = {"image_data_format": "channels_first", "floatx": "float64", "epsilon": 0.5}
    (home / "keras.json").write_text(json.dumps(settings))
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "KERAS_HOME": str(home),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # of machine code, which takes XLA long
    }
    with tempfile.TemporaryFile("w+") as errors:
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, timeout=limit, text=True,
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return BROKEN, f"not done after {limit:.0f} s"
        errors.seek(0)
        said = done.stdout.strip().splitlines() or [""]
        complaints = errors.read().strip().splitlines() or [""]
    if done.returncode == 0:
        return SURVIVED, said[-1]
    if done.returncode == FOUND:
        return CAUGHT, said[-1]
    return BROKEN, f"status {done.returncode}: {complaints[-1]}"


def unharmed(faults: Sequence[Fault], checks: str = "") -> Result:
    """A copy without a fault, which must pass all that is to find these.

    What fails here would be taken for every fault's discovery.
    """
    before = time.perf_counter()
    ops = sorted({op for fault in faults for op in fault.ops})
    backends = sorted({name for fault in faults for name in fault.backends}, key=ORDER.index)
    with tempfile.TemporaryDirectory(prefix="xgraph-mutants-") as folder:
        copy_checkout(Path(folder))
        outcome, said = examine(Path(folder), backends, ops, WHOLE_LIMIT, checks)
        for name in backends[1:]:  # what is done with the first of the backends alone
            if outcome == SURVIVED:
                outcome, said = examine(Path(folder), (name,), (), WHOLE_LIMIT, checks)
    return Result(None, outcome, said, time.perf_counter() - before)


def attempt(fault: Fault, checks: str = "") -> Result:
    """One fault; `checks` are names of those that look for it, by default all."""
    before = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="xgraph-mutants-") as folder:
        copy_checkout(Path(folder))
        try:
            apply(fault, Path(folder))
        except (OSError, ValueError) as error:  # the code has become another one
            return Result(fault, BROKEN, str(error), time.perf_counter() - before)
        looking = checks or ",".join(fault.checks)
        outcome, said = examine(Path(folder), fault.backends, fault.ops, LIMIT, looking)
    return Result(fault, outcome, said, time.perf_counter() - before)


def attempt_all(
    faults: Sequence[Fault], jobs: int, report: Callable[[Result], None], checks: str = ""
) -> list[Result]:
    """All of them, `jobs` at a time; `report` is told each result in order."""
    results = []
    with ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(lambda fault: attempt(fault, checks), faults):
            report(result)
            results.append(result)
    return results


def verdict(results: Sequence[Result]) -> tuple[bool, str]:
    """(whether enough are caught and the others explained, the score)."""
    caught = sum(result.outcome == CAUGHT for result in results)
    others = [r for r in results if r.outcome != CAUGHT]
    explained = all(r.is_explained for r in others)
    share = caught / len(results)
    score = f"{caught} of {len(results)} caught ({share:.1%}), {len(others)} not"
    return share >= SHARE and explained, score


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="only this fault, or these")
    parser.add_argument(
        "--group", choices=GROUPS, action="append", help="only these faults, or those of --only"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument(
        "--checks", default="", help="which look for them, such as parity_ill_conditioned"
    )
    options = parser.parse_args()
    some = options.only or options.group
    chosen = {fault.name for group in options.group or () for fault in GROUPS[group]}
    faults = [f for f in FAULTS if not some or f.name in {*chosen, *(options.only or ())}]
    if not faults:
        parser.error("there is no fault of that name")
    sound = unharmed(faults, options.checks)
    if sound.outcome != SURVIVED:
        print(f"without a fault: {sound.outcome}: {sound.found}")
        return 1
    print(f"Without a fault, all agree ({sound.seconds:.0f} s).\n")
    print("| fault | file | found by | s |\n|---|---|---|---|", flush=True)
    results = attempt_all(
        faults, options.jobs, lambda result: print(result.row, flush=True), options.checks
    )
    good, score = verdict(results)
    print(f"\n{score}")
    if some:
        return 0 if all(r.outcome == CAUGHT or r.is_explained for r in results) else 1
    return 0 if good else 1
