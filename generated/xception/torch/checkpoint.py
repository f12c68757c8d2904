"""Checkpoints: how they are written, read and refused. They are the same in every framework."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from arguments import UserError
from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from run import Training

FORMAT = 2  # of checkpoints
ABSURD = (RecursionError, OverflowError)  # JSON of brackets in brackets, and of endless numbers
#: What reading a file may raise that no program has written; AttributeError, of a type that NumPy
#: does not have.
FOREIGN = (
    *(SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError),
    *ABSURD,
)


def difference(was: Any, now: Any) -> str:
    """How a fact of a run differs, the first item of two lists that does."""
    if isinstance(was, list) and isinstance(now, list):
        if len(was) != len(now):
            return f"were {len(was)}, not {len(now)}"
        number = next(i for i, (a, b) in enumerate(zip(was, now, strict=True)) if a != b)
        return f"{number} was {shortened(was[number])}, not {shortened(now[number])}"
    return f"was {shortened(was)}, not {shortened(now)}"


def shortened(fact: Any) -> str:
    """A fact on a line."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(fact))
    return text if len(text) <= 60 else text[:57] + "..."


def read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What a checkpoint says of its run, and its arrays.

    Raises:
        UserError: there is none, or it is no checkpoint.
    """
    try:
        with safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {})["run"])
            step, facts = about["step"], about["facts"]
            if about["format"] != FORMAT or not isinstance(facts, dict):
                raise ValueError("its format is another")
            if type(step) is not int or not 0 <= step < 2**53:
                raise ValueError(f"its step is {step!r}")
            best, stale, seconds = about["best"], about["stale"], about["seconds"]
            figures = [stale, seconds, *([] if best is None else [best])]
            if not all(isinstance(f, int | float) and math.isfinite(f) for f in figures):
                raise ValueError("its figures are none")
            if stale < 0 or seconds < 0:
                raise ValueError("its figures are below 0")
            names = file.keys()
            return about, {name: file.get_tensor(name) for name in names}
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path}") from None
    except FOREIGN as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{path} is not a checkpoint of this program: {reason}") from None


def read_classes(path: Path) -> list[str] | None:
    """The class names that a file of weights knows, if it does."""
    try:
        with safe_open(path, "numpy") as file:
            return class_names(json.loads((file.metadata() or {})["xgraph"]))
    except FOREIGN:
        return None


def class_names(facts: Any) -> list[str] | None:
    """The names of the classes among what a file says, if they are some."""
    names = facts.get("classes") if isinstance(facts, dict) else None
    told = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if told else None


def restore(training: Training, arrays: dict[str, np.ndarray], path: Path) -> None:
    """Put a checkpoint's arrays in place.

    Raises:
        UserError: they are another model's, or another optimizer's.
    """
    own = training.state()
    for name in sorted(own.keys() ^ arrays.keys()):
        which = "the checkpoint" if name in arrays else "this program"
        said = shortened(name)
        raise UserError(f"{path} is of another model or recipe: only {which} has {said}")
    for name, array in own.items():
        given = arrays[name]
        if given.dtype.kind in "iu" and ((given < 0) | (given >= 2**53)).any():
            raise UserError(f"{path} is not a checkpoint of this program: its {name} is no count")
        if given.shape != array.shape or _type(given) != _type(array):
            raise UserError(
                f"{path} is of another model: its {name} is {given.dtype} {given.shape}, "
                f"not {array.dtype} {array.shape}"
            )
    training.load_state(arrays)


def not_finite(state: Mapping[str, np.ndarray]) -> str:
    """The name of the first array in which something is infinite or no number, or nothing."""
    return next((name for name, array in state.items() if not np.isfinite(array).all()), "")


def _type(array: np.ndarray) -> str:
    """What numbers an array holds; frameworks count in whole numbers of different lengths."""
    return "integer" if array.dtype.kind in "iu" else str(array.dtype)


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        UserError: the disk is full, or the like.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a folder until the run ends, however it ends.

    Raises:
        UserError: another run does.
    """
    with open(path, "w") as file:
        try:
            import fcntl

            # Not `flock`, which loading processes would go on holding for a run that is dead.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows has no such locks
            pass
        except OSError:
            raise UserError(f"another run is writing to {path.parent}") from None
        yield
