"""Numbers as people write them."""

from __future__ import annotations

import re


def number(value: float) -> str:
    """A float as Python source, without idle zeros: `0.045`, `1e-5`."""
    return re.sub(r"e([-+])0+", r"e\1", repr(float(value)))
