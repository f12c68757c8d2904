"""Printing where not every character can be said, and where some would do more than be seen.

A terminal, a pipe or a file may take ASCII only, and a path may hold bytes that are no text. None
of that ends in a traceback: what cannot be said is shown otherwise.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO

from xgraph.diagnostics import printable

#: What stands for characters that xgraph itself prints, where there is only ASCII.
_ASCII = {
    "×": "x", "–": "-", "−": "-", "─": "-", "→": "->", "←": "<-", "…": "...", "·": ".", "✗": "!",
    "γ": "gamma", "β": "beta", "μ": "mu", "σ": "sigma", "Σ": "sum", "Φ": "Phi", "α": "alpha",
    "₁": "1", "₂": "2", "²": "^2",
}  # fmt: skip
_HANDLER = "xgraph"
#: Green, red and yellow.
_COLORS = {"+": 32, "-": 31, "~": 33}


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Stand-ins for what an encoding cannot say."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    said = "".join(_ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return said, error.end


def take_any_text() -> None:
    """Make standard output and standard error take any text, whatever their encoding is."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)


def say_line(text: str, file: TextIO | None = None) -> None:
    """Print one line, whatever it says: a path with a line break in it adds none of its own."""
    say(text.replace("\n", "·"), file)


def say_change(sign: str, text: str) -> None:
    """One line of a comparison, colored on a terminal by its sign: +, -, ~ or a space.

    `NO_COLOR` in the environment leaves the colors away.
    """
    line = f"{sign} {text}".rstrip().replace("\n", "·")
    line = printable(line, len(line))
    if sign in _COLORS and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        line = f"\033[{_COLORS[sign]}m{line}\033[0m"
    print(line)


def say(text: str, file: TextIO | None = None) -> None:
    """Print lines, in which nothing drives the terminal; for one line there is `say_line`."""
    lines = ["\t".join(printable(part, len(part)) for part in line.split("\t"))
             for line in text.split("\n")]  # fmt: skip
    print("\n".join(lines), file=file or sys.stdout)
