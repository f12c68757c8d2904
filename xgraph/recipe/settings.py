"""From entries of a recipe's tree to parts with their settings, with every problem located."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from xgraph.diagnostics import Diagnostic, Span, suggest
from xgraph.ir.document import Entry, Scalar, Yaml, describe
from xgraph.ir.document import Mapping as Tree
from xgraph.spec.binding import Given, bind

T = TypeVar("T")

UNKNOWN, MISSING, WRONG = CODES = ("XG601", "XG602", "XG603")
NOTHING: Final = "nothing"
_NOTHING: Final[Mapping[str, str]] = {}


def choice(
    section: str, node: Yaml, options: Mapping[str, type[T]], problems: list[Diagnostic]
) -> T | None:
    """`sgd`, `{sgd: {momentum: 0.9}}`, or `{l2: 1e-5}`, which sets the first setting."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        chosen = Entry(node.value, node.span, Tree((), node.span))
    elif isinstance(node, Tree) and len(node.entries) == 1:
        chosen = node.entries[0]
    else:
        problems.append(wrong(f"'{section}'", node, one_of_them(options)))
        return None
    if chosen.key not in options:
        problems.append(
            Diagnostic(
                UNKNOWN,
                f"there is no {section} '{chosen.key}'",
                chosen.key_span,
                expected="one of " + ", ".join(options),
                hint=suggest(chosen.key, options),
            )
        )
        return None
    return settings(options[chosen.key], f"{section} '{chosen.key}'", chosen, problems)


def settings(cls: type[T], title: str, entry: Entry, problems: list[Diagnostic]) -> T | None:
    """An instance of `cls` from `name: {settings}`, or `name: VALUE` for its first setting."""
    node = entry.value
    if isinstance(node, Tree):
        return bound(cls, title, node, entry.key_span, problems)
    if isinstance(node, Scalar) and node.value is not None:
        first = dataclasses.fields(cls)[0].name  # type: ignore[arg-type]
        return bound(cls, title, [Entry(first, node.span, node)], entry.key_span, problems)
    problems.append(wrong(title, node, "a mapping of its settings"))
    return None


def bound(
    cls: type[T], title: str, entries: Iterable[Entry], span: Span, problems: list[Diagnostic]
) -> T | None:
    """An instance of `cls` with the entries as its settings."""
    given = {e.key: Given(e.value.plain(), e.key_span, e.value.span) for e in entries}
    return bind(cls, title, given, span, problems, codes=CODES)


def check_known(
    node: Tree,
    title: str,
    known: Iterable[str],
    problems: list[Diagnostic],
    renamed: Mapping[str, str] = _NOTHING,
) -> None:
    """Report every key that is none of those known; `renamed` are what they were once called."""
    names = tuple(known)
    for entry in node:
        if entry.key not in names:
            problems.append(
                Diagnostic(
                    UNKNOWN,
                    f"{title} has no setting '{entry.key}'",
                    entry.key_span,
                    expected="one of " + ", ".join(names),
                    hint=f"it is called '{renamed[entry.key]}' now"
                    if entry.key in renamed
                    else suggest(entry.key, names),
                )
            )


def one_of_them(options: Iterable[str]) -> str:
    """What is expected of a section that names one of several things."""
    return "one of " + ", ".join(options) + ", with its settings"


def wrong(title: str, node: Yaml, expected: str) -> Diagnostic:
    """A value that cannot be taken."""
    return Diagnostic(
        WRONG,
        f"{title} cannot take this value",
        node.span,
        expected=expected,
        received=describe(node),
    )
