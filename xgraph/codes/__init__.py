"""One page of prose for each diagnostic code: what it means, an example, and how to mend it."""

from __future__ import annotations

import functools
from pathlib import Path

_FOLDER = Path(__file__).parent


@functools.cache
def codes() -> tuple[str, ...]:
    """Every code that has a page, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("XG*.md")))


def page(code: str) -> str:
    """The page of a code, as Markdown.

    Raises:
        KeyError: there is no such code.
    """
    if code not in codes():
        raise KeyError(code)
    return (_FOLDER / f"{code}.md").read_text(encoding="utf-8")
