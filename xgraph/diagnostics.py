"""Located errors: what went wrong, where, what was expected, and what to try.

Every problem in a spec becomes a `Diagnostic`. A stage of the compiler collects all the
diagnostics it can find and raises them together as one `SpecError`, so that an author fixes a
file in one round. This module imports nothing of xgraph.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


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
        return f"{self.source.path}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Diagnostic:
    """One problem. `code` names its kind (`xgraph explain CODE` documents it).

    `notes` point at other places that matter, such as where each of two shapes came from.
    """

    code: str
    message: str
    span: Span | None = None
    expected: str | None = None
    received: str | None = None
    hint: str | None = None
    notes: tuple[tuple[str, Span | None], ...] = ()

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
            "message": self.message,
            **place(self.span),
            "expected": self.expected,
            "received": self.received,
            "hint": self.hint,
            "notes": [{"message": message, **place(span)} for message, span in self.notes],
        }


class SpecError(Exception):
    """The spec is at fault. Carries every diagnostic of the stage that found it."""

    def __init__(self, diagnostics: Diagnostic | Iterable[Diagnostic]) -> None:
        if isinstance(diagnostics, Diagnostic):
            diagnostics = [diagnostics]
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__(render(self.diagnostics))


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """All diagnostics as text for people, in file order, with the line and a caret."""
    ordered = sorted(diagnostics, key=_position)
    return "\n\n".join(_render_one(diagnostic) for diagnostic in ordered)


def suggest(word: object, known: Iterable[str]) -> str | None:
    """A hint "did you mean 'conv'?" when `word` is close to one of `known`, else None."""
    if not isinstance(word, str):
        return None
    candidates = list(known)
    close = difflib.get_close_matches(word, candidates, n=1, cutoff=0.6)
    if not close:  # a difference of case or of separators only
        folded = {_fold(candidate): candidate for candidate in candidates}
        close = [folded[_fold(word)]] if _fold(word) in folded else []
    return f"did you mean '{close[0]}'?" if close else None


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
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _fold(word: str) -> str:
    return word.replace("_", "").replace("-", "").lower()


def _position(diagnostic: Diagnostic) -> tuple[str, int, int]:
    span = diagnostic.span
    return (span.source.path, span.line, span.column) if span else ("", 0, 0)


def _render_one(diagnostic: Diagnostic) -> str:
    where = f"{diagnostic.span}: " if diagnostic.span else ""
    lines = [f"{where}error[{diagnostic.code}]: {diagnostic.message}"]
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
    visible = text[cut : cut + _LINE_LIMIT]
    # Control characters could move the caret or drive the terminal.
    visible = "".join(c if c.isprintable() else ("\t" if c == "\t" else "·") for c in visible)
    start -= cut
    length = max(1, min(span.length, len(visible) - start))
    # A tab before the caret stays a tab, so that the caret stays under its character.
    indent = "".join("\t" if c == "\t" else " " for c in visible[:start])
    return [
        f"{span.line:>{width + 1}} | {visible}",
        f"{'':>{width + 1}} | {indent}{'^' * length}",
    ]
