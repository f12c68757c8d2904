"""Numbers that were written with few digits, and have been rounded since."""

from __future__ import annotations

import math
import struct
from typing import Any

#: Larger numbers are none of float32.
_MOST_SINGLE = 3e38


def shortened(value: Any, of_single: bool = True) -> Any:
    """A number with as few digits as tell it from others, or a tuple of such; else what it is.

    With `of_single`, from others of float32, if it is one of them.
    """
    if isinstance(value, tuple):
        return tuple(shortened(one, of_single) for one in value)
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    if of_single and abs(value) < _MOST_SINGLE and single(value) == value:
        return next(
            found for n in (6, 7, 8, 9) if single(found := float(f"{value:.{n}g}")) == value
        )
    return float(f"{value:.15g}")


def single(value: float) -> float:
    """A number as float32 has it."""
    found: float = struct.unpack("f", struct.pack("f", value))[0]
    return found
