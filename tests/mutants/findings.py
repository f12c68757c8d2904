"""What a check of the harness finds: a disagreement, and how it is looked for."""

from __future__ import annotations

import contextlib
import traceback
from pathlib import Path

import numpy as np

#: In float64.
CLOSE = 1e-9


class Disagreement(Exception):
    """Something is not as it should be; the message says what."""


@contextlib.contextmanager
def generated(what):
    """Here generated programs run, or valid specs are compiled: that they fail is a finding."""
    try:
        yield
    except Disagreement:
        raise
    except AssertionError as error:
        if type(error).__name__ == "Mismatch":
            raise Disagreement(f"{what}: {error}") from error
        raise Disagreement(f"{what} fails: {error!r}") from error
    except (Exception, SystemExit) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = str(error).strip().splitlines()
        raise Disagreement(
            f"{what} fails: {type(error).__name__}: {text[0][:200] if text else ''} "
            f"({Path(place.filename).name}:{place.lineno})"
        ) from error


def same(what, received, expected, tolerance=CLOSE):
    """Arrays or numbers agree to `tolerance`, relative to the largest."""
    received, expected = np.asarray(received), np.asarray(expected)
    if received.shape != expected.shape:
        raise Disagreement(f"{what}: shape {received.shape}, not {expected.shape}")
    scale = max(float(np.abs(expected).max(initial=0)), 1e-3)
    distance = float(np.abs(received - expected).max(initial=0)) / scale
    if not distance <= tolerance:
        raise Disagreement(f"{what}: relative distance {distance:.3g} > {tolerance:g}")


def equal(what, received, expected):
    """Whatever can be compared."""
    if received != expected:
        raise Disagreement(f"{what}: {str(received)[:300]}, not {str(expected)[:300]}")
