"""The door for texts: what a spec or a recipe says in its own words, and how it enters a program.

A `doc` says whatever its author likes, so it must never be pasted into a program. `Text` makes that
a mistake that shows at once: it is no `str`, and formatting it raises. The functions here make of
it a string literal, lines of a docstring, or a comment; nothing in it can end the string, escape
from it, or hide. Identifiers have a door of their own, `xgraph.emit.names`.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

from xgraph.diagnostics import visible
from xgraph.wrapping import INDENT, LINE

#: What Python reads the encoding of a file from, where it stands in one of the first two lines.
_CODING = re.compile(r"coding(?=[:=])")


@dataclass(frozen=True, slots=True)
class Text:
    """Prose that somebody wrote; `raw` is what they wrote, with white space folded."""

    raw: str

    def __bool__(self) -> bool:
        return bool(self.raw)

    def __str__(self) -> str:
        raise TypeError("a text of a spec is written by the functions of xgraph.text alone")

    def __format__(self, how: str) -> str:
        return str(self)


def literal(text: str) -> str:
    """A string as Python source: ASCII, in double quotes."""
    escaped = text.encode("unicode_escape").decode("ascii").replace('"', '\\"')
    return f'"{escaped}"'


def prose(text: Text | str) -> str:
    """A text on one line of printable characters, with no quotes that could end a docstring.

    Backslashes are as they were; `docstring_lines` escapes them.
    """
    said = " ".join(visible(text.raw if isinstance(text, Text) else text).split())
    ends = '""' in said or said.startswith('"') or said.endswith('"')
    return said.replace('"', "'") if ends else said


def docstring_lines(text: Text | str, width: int) -> list[str]:
    """The lines of a docstring that says `text`, each of at most `width` columns."""
    said = prose(text).replace("\\", "\\\\")
    lines = textwrap.wrap(said, width - 1, break_long_words=True, break_on_hyphens=False)
    for position in range(len(lines) - 1):
        line = lines[position]
        if (len(line) - len(line.rstrip("\\"))) % 2:  # wrapped between the two of a pair
            lines[position], lines[position + 1] = line[:-1], "\\" + lines[position + 1]
    return [line for line in lines if line]


def docstring(*paragraphs: Text | str, depth: int = 1) -> list[str]:
    """A whole docstring, quotes included, as lines that will stand `depth` levels in."""
    width = LINE - depth * len(INDENT) - 3
    lines: list[str] = []
    for paragraph in paragraphs:
        lines += (
            ["", *docstring_lines(paragraph, width)]
            if lines
            else docstring_lines(paragraph, width - 3)
        )
    lines[0] = f'"""{lines[0]}'
    return [f'{lines[0]}"""'] if len(lines) == 1 else [*lines, '"""']


def comment_lines(text: Text | str, width: int) -> list[str]:
    """A comment, which is none of those that Python gives a meaning to."""
    said = " ".join(visible(text.raw if isinstance(text, Text) else text).split())
    plain = _CODING.sub("coding ", said)
    return [f"# {line}" for line in textwrap.wrap(plain, width - 2, break_on_hyphens=False)]
