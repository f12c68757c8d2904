"""Runs that are killed, time and again, while they save: they end with the same bits."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from .programs import (
    CHECKPOINT,
    FRAMEWORKS,
    RECIPE,
    SMALL,
    WEIGHTS,
    Program,
    about,
    changed,
    differing,
    render,
    without_times,
)

SAVING = changed(
    RECIPE, every={"log": {"steps": 5}, "evaluate": {"steps": 9}, "checkpoint": {"steps": 1}}
)
ARGUMENTS = ("--synthetic", "--workers", 0, "--keep", 2)

#: Ends its process, as `kill -9` would, at some moment while a checkpoint is written: the file, the
#: older ones that are kept beside it, and what is logged around it.
DYING = """
import os, random, signal, threading, time, run

draw = random.Random({seed})
left, took, save = draw.randrange(1, 4), 0.01, run.Run.save

def die(seconds):
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)

def saved(self):
    global left, took
    left -= 1
    if not left:
        threading.Thread(target=die, args=(draw.uniform(0, took),)).start()
    began = time.perf_counter()
    save(self)
    took = time.perf_counter() - began

run.Run.save = saved
"""


def kill(program: Program, run: Path, times: int, draw: random.Random) -> Counter[str]:
    """Begin a run and go on with it so many times, each time to its death; what was left behind."""
    left: Counter[str] = Counter()
    for _ in range(times):
        before = about(run / CHECKPOINT)["step"] if (run / CHECKPOINT).exists() else 0
        program.run(
            *(*ARGUMENTS, "--output", run, "--resume", "auto"),
            script=DYING.format(seed=draw.getrandbits(32)),
            code=-signal.SIGKILL,
        )
        left["half written"] += any(run.glob(".*.tmp"))
        left["no further"] += (run / CHECKPOINT).exists() and (
            about(run / CHECKPOINT)["step"] == before
        )
    return left


def check(name: str, times: int, folder: Path) -> Counter[str]:
    """Compare a run that was killed so many times with one that was not."""
    program = Program(render(folder / "program", SAVING, name, spec=SMALL))
    whole, run = folder / "whole", folder / "run"
    program.run(*ARGUMENTS, "--output", whole)
    left = kill(program, run, times, random.Random(name))
    reached = about(run / CHECKPOINT)["step"] if (run / CHECKPOINT).exists() else 0
    assert reached < about(whole / CHECKPOINT)["step"]
    program.run(*ARGUMENTS, "--output", run, "--resume", "auto")
    for file in (CHECKPOINT, WEIGHTS, "best.safetensors"):
        assert differing(run / file, whole / file) == []
    assert without_times(run) == without_times(whole)
    assert not any(run.glob(".*.tmp"))
    return left


def test_a_run_is_killed_while_it_saves(tmp_path: Path) -> None:
    check("torch", 2, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_run_is_killed_fifty_times(name: str, tmp_path: Path) -> None:
    left = check(name, 50, tmp_path)
    print(f"{name}: {dict(left)}")
    assert left["half written"] >= 5, "it was not killed while it wrote"
