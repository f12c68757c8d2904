"""The command line that every program has, and mistakes of whoever writes one."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from run import Recipe

HIGHEST_RATE = 1e20  # above which what an optimizer makes of a rate may leave float32
TRAINING = "training"  # what a program does if it is asked for nothing else
_TASKS = ("evaluate", "predict", "check_data")
_ONLY = {  # what only some tasks heed; how long a run is may be said for all
    "resume": (TRAINING,),
    "tensorboard": (TRAINING,),
    "leave_out": (TRAINING,),
    "weights": (TRAINING, "--evaluate", "--predict"),
    "per_class": ("--evaluate",),
    "confusion": ("--evaluate",),
    "top": ("--predict",),
    "jsonl": ("--predict",),
}


class UserError(Exception):
    """Something that the user can put right; shown as one line."""


def create_parser(doc: str, recipe: Recipe) -> argparse.ArgumentParser:
    """The arguments that every program has."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    images = made.add_mutually_exclusive_group(required=True)
    images.add_argument("--data", type=Path, metavar="DIR", help="folder of images, see data.py")
    images.add_argument("--synthetic", action="store_true", help="made-up images, for a try")
    images.add_argument(
        "--predict", type=Path, nargs="+", metavar="PATH", help="say what images or folders show"
    )
    made.add_argument("--output", type=Path, metavar="RUN", default=recipe.output)
    made.add_argument("--epochs", type=positive, default=recipe.epochs)
    made.add_argument("--max-steps", type=positive, help="stop early; the schedule is the same")
    made.add_argument("--hours", type=hours, default=recipe.hours, help="how long a run may take")
    made.add_argument("--batch-size", type=positive, default=recipe.batch_size)
    made.add_argument(
        "--learning-rate", type=rate, default=recipe.rate, help="the schedule is in proportion"
    )
    made.add_argument("--seed", type=natural, default=0)
    made.add_argument("--resume", metavar="auto|never|PATH", help="continue from a checkpoint")
    made.add_argument("--keep", type=positive, default=1, help="how many checkpoints to keep")
    made.add_argument("--tensorboard", action="store_true", help="log for TensorBoard, too")
    made.add_argument("--evaluate", action="store_true", help="evaluate only")
    made.add_argument("--per-class", action="store_true", help="evaluate class by class too")
    made.add_argument("--confusion", type=Path, metavar="CSV", help="evaluate into a table too")
    made.add_argument("--top", type=positive, default=5, help="how many classes to predict")
    made.add_argument("--jsonl", action="store_true", help="predict in lines of JSON")
    made.add_argument("--check-data", action="store_true", help="read every image, and no more")
    made.add_argument("--weights", type=Path, metavar="FILE", help="weights to begin with")
    made.add_argument(
        "--leave-out", nargs="+", metavar="NAME", default=(), help="parts that begin anew instead"
    )
    made.add_argument("--workers", type=natural, default=min(8, (os.cpu_count() or 1) - 1))
    made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    return made


def read_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What the command line says; one that asks for what it would not get ends the program."""
    arguments = parser.parse_args()
    asked = [f"--{name.replace('_', '-')}" for name in _TASKS if getattr(arguments, name)]
    if len(asked) > 1:
        parser.error(f"{asked[0]} goes without {asked[1]}")
    task = asked[0] if asked else TRAINING
    for name, tasks in _ONLY.items():
        if task not in tasks and getattr(arguments, name) != parser.get_default(name):
            parser.error(f"--{name.replace('_', '-')} goes with {' and '.join(tasks)}, not {task}")
    if arguments.leave_out and not arguments.weights:
        parser.error("--leave-out goes with --weights")
    return arguments


def natural(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"expected a whole number, received {text!r}")
    return int(text)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if natural(text) == 0:
        raise argparse.ArgumentTypeError("expected at least 1, received 0")
    return int(text)


def hours(text: str) -> float:
    """A number above 0."""
    return between(0, math.inf, text, "a number above 0")


def rate(text: str) -> float:
    """A number above 0 that float32 can hold, with room for what is computed from it."""
    least = float(np.finfo(np.float32).tiny)
    return between(least, HIGHEST_RATE, text, f"a number from {least:.2g} to {HIGHEST_RATE:g}")


def between(low: float, high: float, text: str, expected: str) -> float:
    """A number between two others, neither of which it is."""
    with contextlib.suppress(ValueError):
        if low < float(text) < high:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected {expected}, received {text!r}")
