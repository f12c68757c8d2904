"""Text of a recipe as it may stand in generated code, and numbers as people write them."""

from __future__ import annotations

import re
import textwrap


def docstring_lines(text: str, width: int = 98) -> list[str]:
    """`text` wrapped, with nothing in it that could end a docstring or escape from it."""
    safe = "".join(c if c.isprintable() else " " for c in text)
    safe = safe.replace("\\", "\\\\").replace('"', "'")
    return textwrap.wrap(safe, width, break_long_words=True, break_on_hyphens=False)


def number(value: float) -> str:
    """A float as Python source, without idle zeros: `0.045`, `1e-5`."""
    return re.sub(r"e([-+])0+", r"e\1", repr(float(value)))
