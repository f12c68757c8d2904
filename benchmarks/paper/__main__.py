"""Train the networks of an experiment, gather what they come to, and draw it.

    python -m benchmarks.paper figure9          # into runs/paper/figure9.jsonl and .svg
    python -m benchmarks.paper all --jobs 2     # every experiment; arms that are shared run once
    python -m benchmarks.paper all --publish    # the runs that are done, into docs/experiments

Where it is stopped, the same command goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.results import PUBLISHED, gather
from benchmarks.paper.training import (
    Failed,
    check,
    compile_programs,
    every,
    minutes_ahead,
    runs,
    train,
)

DATA = Path("/usr/share/datasets/fashion-mnist")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = _parser().parse_args(arguments)
    names = list(EXPERIMENTS) if options.experiment == "all" else [options.experiment]
    try:
        if not options.redraw:
            _train(names, options)
        if not options.train_only:
            _show(names, options)
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.paper", description=__doc__.splitlines()[0]
    )
    made.add_argument("experiment", choices=[*EXPERIMENTS, "all"])
    made.add_argument("--seeds", type=int, default=3, help="runs of each arm (default: 3)")
    made.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time (default: cores)"
    )
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    made.add_argument("--minutes", type=float, help="stop after so long; the same command goes on")
    made.add_argument("--data", type=Path, default=DATA, help=f"default: {DATA}")
    made.add_argument(
        "--folder", type=Path, default=Path("runs/paper"), help="of programs, runs and results"
    )
    made.add_argument("--no-compile", action="store_true", help="take the programs as they are")
    which = made.add_mutually_exclusive_group()
    which.add_argument("--train-only", action="store_true", help="gather and draw nothing")
    which.add_argument(
        "--publish", action="store_true", help="train nothing; gather into docs/experiments"
    )
    which.add_argument(
        "--redraw", action="store_true", help="draw docs/experiments from the results there"
    )
    return made


def _train(names: Sequence[str], options: argparse.Namespace) -> None:
    arms = [arm for name in names for arm in EXPERIMENTS[name].arms]
    wanted = runs(arms, options.seeds, options.folder)
    if not options.no_compile:
        compile_programs(every(arms), options.folder)
    if options.publish:
        check(wanted)
        return
    ahead = [run for run in wanted if not run.done()]
    if ahead:
        print(
            f"{len(ahead)} of {len(wanted)} runs to do, {options.jobs} at a time; "
            f"about {minutes_ahead(ahead, options.jobs)} minutes on as many CPU cores",
            flush=True,
        )
    train(wanted, options.data, jobs=options.jobs, device=options.device, minutes=options.minutes)


def _show(names: Sequence[str], options: argparse.Namespace) -> None:
    from benchmarks.paper import page

    target = PUBLISHED if options.publish or options.redraw else options.folder
    for name in names:
        if not options.redraw:
            print(gather(name, options.seeds, options.folder, target))
        print(page.write_figure(name, target))
        if target != PUBLISHED:
            print(page.table(name, target))
    if target == PUBLISHED:
        page.write_tables()


if __name__ == "__main__":
    sys.exit(main())
