"""Import the networks of public zoos, and tell how many can be, and what comes out.

    python -m benchmarks.zoo                      # into benchmarks/results/zoo.jsonl
    python -m benchmarks.zoo --only timm --jobs 2
    python -m benchmarks.zoo --table              # of the results there are, into docs/importing.md
    python -m benchmarks.zoo --unseen 7           # ten others of timm's, drawn with this seed
    python -m benchmarks.zoo --numbers            # one size of each family, compared in float64

Where it is stopped, the same command goes on; what was found by other code is found anew, but with
--failed, which takes those alone that failed or are not done.
torchvision and timm must be there, see benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.zoo import hand, networks, numbers, page, results, table
from benchmarks.zoo.results import ROOT, Result


@dataclass(frozen=True)
class Measure:
    """What is measured of networks.

    Attributes:
        path: where results are kept.
        names: the networks, given the command's options.
        code: what results are of, to which others are no results.
        one: the module that measures a network, given its name, `hand.index()` and a file.
        said: a result in a line.
        written: results as tables.
    """

    path: Path
    names: Callable[[argparse.Namespace], list[str]]
    code: str
    one: str
    said: Callable[[Result], str]
    written: Callable[[Sequence[Result]], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = _parser().parse_args(arguments)
    measure = _measure(options)
    path: Path = options.results or measure.path
    if options.table:
        print(measure.written(list(results.read(path).values())))
        if options.results is None:
            page.PAGE.write_text(page.filled(page.PAGE.read_text("utf-8")), encoding="utf-8")
        return 0
    names, known = measure.names(options), results.read(path)
    todo = [one for one in names if _is_wanted(known.get(one), measure.code, options)]
    if todo:
        _run(todo, measure, path, options)
    if not options.only:  # others may have been drawn, chosen or listed before
        kept = sorted(names)
        path.write_text("".join(f"{json.dumps(results.read(path)[one])}\n" for one in kept))
    done = [results.read(path)[one] for one in names]
    failed = [one["network"] for one in done if "failed" in one]
    print(
        f"{len(done) - len(failed)} of {len(done)} {'compared' if options.numbers else 'imported'}"
    )
    print(measure.written(done))
    return 0


def _is_wanted(known: Result | None, code: str, options: argparse.Namespace) -> bool:
    """Whether a network is measured, of which there may be a result."""
    if options.failed:
        return known is None or "failed" in known
    return options.again or known is None or known["code"] != code


def _measure(options: argparse.Namespace) -> Measure:
    if options.numbers:
        return Measure(
            results.NUMBERS,
            lambda options: numbers.smallest(
                networks.names(options.only), results.read(results.RESULTS)
            ),
            results.code(patterns=results.COMPARED),
            "benchmarks.zoo.numbers",
            numbers.said,
            numbers.written,
        )
    imported = (results.code(), "benchmarks.zoo.one", table.said, table.written)
    if options.unseen is None:
        return Measure(results.RESULTS, lambda options: networks.names(options.only), *imported)
    return Measure(results.UNSEEN, lambda options: networks.unseen(options.unseen), *imported)


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.zoo", description=__doc__.splitlines()[0]
    )
    made.add_argument("--jobs", type=int, default=1, help="networks at a time (default: 1)")
    made.add_argument("--only", choices=networks.ZOOS, help="the networks of one zoo")
    made.add_argument("--again", action="store_true", help="those too that are done")
    made.add_argument(
        "--failed", action="store_true", help="those alone that failed or are not done"
    )
    made.add_argument("--seconds", type=float, default=600, help="for a network (default: 600)")
    made.add_argument(
        "--table",
        action="store_true",
        help="print the tables of the results there are, and write them into docs/importing.md",
    )
    made.add_argument(
        "--unseen", type=int, metavar="SEED", help="ten of timm's that are not listed"
    )
    made.add_argument(
        "--numbers",
        action="store_true",
        help="compare the lightest network of each family with its three programs, in float64",
    )
    made.add_argument("--results", type=Path, help="a file of results, other than the usual one")
    return made


def _run(names: Sequence[str], measure: Measure, path: Path, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="xgraph-zoo-") as folder:
        specs = Path(folder) / "specs.json"
        specs.write_text(json.dumps(hand.index()), encoding="utf-8")
        with ThreadPoolExecutor(options.jobs) as pool:
            found = [pool.submit(_one, measure.one, name, specs, options.seconds) for name in names]
            for number, (name, future) in enumerate(zip(names, found, strict=True), 1):
                result = {"network": name, "code": measure.code, **future.result()}
                results.keep(path, result)
                print(f"[{number}/{len(names)}] {name}: {measure.said(result)}", flush=True)


def _one(module: str, name: str, specs: Path, seconds: float) -> Result:
    """A network in a process of its own, which may take so long."""
    result = specs.with_name(f"{re.sub(r'[^a-zA-Z0-9]+', '-', name)}.json")
    command = [sys.executable, "-m", module, name, str(specs), str(result)]
    begun = time.perf_counter()
    try:
        process = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return {"failed": "time", "why": [f"more than {seconds:g} s"]}
    if process.returncode:
        last = process.stderr.strip().splitlines()[-1:] or ["nothing is said"]
        return {"failed": "crash", "why": [f"exit status {process.returncode}: {last[0][:300]}"]}
    whole = round(time.perf_counter() - begun, 1)
    found: Result = json.loads(result.read_text(encoding="utf-8"))
    return found | {"process_seconds": whole}


if __name__ == "__main__":
    sys.exit(main())
