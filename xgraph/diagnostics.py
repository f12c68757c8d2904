"""Located errors: what went wrong, where, what was expected, and what to try.

Every problem in a spec becomes a `Diagnostic`. A stage of the compiler collects all the
diagnostics it can find and raises them together as one `SpecError`, so that an author fixes a
file in one round. This module imports nothing of xgraph.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Source:
    """A text that spans point into: a spec file, or the value of a `--set` option."""

    path: str
    text: str = field(repr=False)

    @functools.cached_property
    def lines(self) -> list[str]:
        """The lines as YAML counts them: `str.splitlines` also splits at \\f, \\v, U+2028 …"""
        return self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")

    def line(self, number: int) -> str:
        """Line `number` (from 1) without its line break; empty past the end."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one line of a source; `line` and `column` count from 1."""

    source: Source
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{printable(self.source.path, _TEXT_LIMIT)}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Diagnostic:
    """One problem. `code` names its kind (`xgraph explain CODE` documents it).

    An error is why nothing is compiled; a warning is legal and probably not what was meant.

    `notes` point at other places that matter, such as where each of two shapes came from.
    Texts are made printable and bounded here, for they may quote whatever a spec says.
    """

    code: str
    message: str
    span: Span | None = None
    expected: str | None = None
    received: str | None = None
    hint: str | None = None
    notes: tuple[tuple[str, Span | None], ...] = ()
    severity: Literal["error", "warning"] = "error"

    def __post_init__(self) -> None:
        for name in ("message", "expected", "received", "hint"):
            text = getattr(self, name)
            if text is not None:
                object.__setattr__(self, name, printable(text, _TEXT_LIMIT))
        notes = tuple((printable(message, _TEXT_LIMIT), span) for message, span in self.notes)
        object.__setattr__(self, "notes", notes)

    def to_json(self) -> dict[str, Any]:
        """The diagnostic as plain data, for `--json`."""

        def place(span: Span | None) -> dict[str, Any]:
            if span is None:
                return {}
            return {
                "file": span.source.path,
                "line": span.line,
                "column": span.column,
                "length": span.length,
            }

        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            **place(self.span),
            "expected": self.expected,
            "received": self.received,
            "hint": self.hint,
            "notes": [{"message": message, **place(span)} for message, span in self.notes],
        }


class SpecError(Exception):
    """The spec is at fault. Carries every diagnostic of the stage that found it.

    They stand in file order, and none stands there twice.
    """

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        if isinstance(diagnostics, Diagnostic):
            diagnostics = [diagnostics]
        unique = dict.fromkeys(diagnostics)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(sorted(unique, key=_position))
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics)


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """All diagnostics as text for people, in file order, with the line and a caret."""
    ordered = sorted(diagnostics, key=_position)
    return "\n\n".join(_render_one(diagnostic) for diagnostic in ordered)


def suggest(word: object, known: Iterable[str]) -> str | None:
    """A hint "did you mean 'conv'?" when `word` is close to one of `known`, else None."""
    close = closest(word, known)
    return None if close is None else f"did you mean '{close}'?"


def closest(word: object, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was most likely meant to be, if it is close."""
    if not isinstance(word, str) or len(word) > _WORD_LIMIT:
        return None
    candidates = list(itertools.islice(known, _CANDIDATE_LIMIT))
    folded = {fold(candidate): candidate for candidate in reversed(candidates)}
    if fold(word) in folded:  # a difference of case or of separators only
        return folded[fold(word)]
    for close in difflib.get_close_matches(word, candidates, n=3, cutoff=0.6):
        if _slips(word, close) <= (1 if len(word) < 5 else 2 if len(word) < 10 else 3):
            return close
    begun = [candidate for candidate in candidates if candidate.startswith(f"{word}_")]
    return begun[0] if len(begun) == 1 else None


def _slips(word: str, meant: str) -> int:
    """How many letters were left out, added, changed, or exchanged with the next one."""
    before: list[int] = []
    row = list(range(len(meant) + 1))
    for i, letter in enumerate(word, 1):
        earlier, before, row = before, row, [i]
        for j, other in enumerate(meant, 1):
            slips = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == meant[j - 2] and other == word[i - 2]:
                slips = min(slips, earlier[j - 2] + 1)
            row.append(slips)
    return row[-1]


def fold(word: str) -> str:
    """A word without case and separators."""
    return word.replace("_", "").replace("-", "").lower()


def one_of(names: Iterable[str], otherwise: str = "nothing") -> str:
    """ "one of a, b, c" for an expectation, cut short when there are very many of them."""
    known = list(names)
    if not known:
        return otherwise
    if len(known) == 1:
        return known[0]
    first = ", ".join(known[:_NAMES_LIMIT])
    rest = len(known) - _NAMES_LIMIT
    return f"one of {first}" + (f" … and {rest:,} more" if rest > 0 else "")


#: Characters that Python calls printable and that show nothing: fillers, joiners, selectors.
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U00016fe4\U000e0100-\U000e01ef]"
)


def counted(count: int, word: str) -> str:
    """A number of things by the word for one: "1 node", "2,000 nodes"."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def visible(text: str, stand_in: str = " ") -> str:
    """`text` with a stand-in for each character that could drive a terminal, hide, or reorder."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else stand_in for c in text)
    return text if text.isascii() else _BLANK.sub(stand_in, text)


def printable(text: str, limit: int = 60) -> str:
    """`text` without characters that could drive a terminal or hide, and at most so long."""
    text = visible(text, "·")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shown(value: object, limit: int = 60) -> str:
    """`value` as it may safely appear in a message: printable, on one line, bounded."""
    if isinstance(value, str):
        text = repr(value)
    elif value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = repr(value)
    return printable(text, limit)


# Bounds of what a message may hold, whatever the spec says.
_TEXT_LIMIT = 1000
_NAMES_LIMIT = 40
_WORD_LIMIT = 64
_CANDIDATE_LIMIT = 2000


def _position(diagnostic: Diagnostic) -> tuple[str, int, int]:
    span = diagnostic.span
    return (span.source.path, span.line, span.column) if span else ("", 0, 0)


def _render_one(diagnostic: Diagnostic) -> str:
    where = f"{diagnostic.span}: " if diagnostic.span else ""
    lines = [f"{where}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}"]
    width = max([len(str(span.line)) for span in _spans(diagnostic)], default=1)
    if diagnostic.span:
        lines += _excerpt(diagnostic.span, width)
    gutter = " " * (width + 1)
    for label in ("expected", "received", "hint"):
        text = getattr(diagnostic, label)
        if text is not None:
            lines.append(f"{gutter} = {label}: {text}")
    for message, span in diagnostic.notes:
        lines.append(f"{gutter} = note: {message}" + (f" ({span})" if span else ""))
        if span:
            lines += _excerpt(span, width)
    return "\n".join(lines)


def _spans(diagnostic: Diagnostic) -> list[Span]:
    spans = [diagnostic.span, *(span for _, span in diagnostic.notes)]
    return [span for span in spans if span is not None]


# A line longer than this is cut around the caret.
_LINE_LIMIT = 120


def _excerpt(span: Span, width: int) -> list[str]:
    """The spanned line and a caret line below it."""
    text = span.source.line(span.line)
    start = span.column - 1
    cut = max(0, start - _LINE_LIMIT // 2) if len(text) > _LINE_LIMIT else 0
    # Control characters could move the caret or drive the terminal.
    line = "\t".join(visible(part, "·") for part in text[cut : cut + _LINE_LIMIT].split("\t"))
    start -= cut
    marked = line[start : start + max(1, span.length)] or " "
    # A tab before the caret stays a tab, so that the caret stays under its character.
    indent = "".join("\t" if c == "\t" else " " * _cells(c) for c in line[:start])
    return [
        f"{span.line:>{width + 1}} | {line}".rstrip(),
        f"{'':>{width + 1}} | {indent}{'^' * max(1, sum(map(_cells, marked)))}",
    ]


def _cells(character: str) -> int:
    """Columns that a character takes on a terminal."""
    if character.isascii():
        return 1
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
