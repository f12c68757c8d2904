"""Which of many tests that are alike run by default: frameworks take turns, the rest is slow.

`pytest -m slow` with the file's name runs those, see CONTRIBUTING.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

FRAMEWORKS = ("torch", "keras", "flax")


def by_turns(
    values: Iterable[Any],
    always: Sequence[str] = ("torch",),
    frameworks: Sequence[str] = FRAMEWORKS,
    whole: Iterable[int] = (),
    every: int = 1,
) -> list[Any]:
    """Parameters (*value, framework), each value in some frameworks by default, in all if slow.

    Args:
        values: what is tried, single values or tuples.
        always: frameworks in which every value is tried by default; the others take turns.
        frameworks: all of them.
        whole: numbers of values that are tried in every framework by default.
        every: of how many values the others take one; 1: all of them.
    """
    made = []
    others = [name for name in frameworks if name not in always]
    everywhere = set(whole)
    for number, value in enumerate(values):
        given = value if isinstance(value, tuple) else (value,)
        for name in frameworks:
            own = number % every == 0 and others[number // every % len(others)] == name
            turn = name in always or (name in others and own) or number in everywhere
            marks = [] if turn else [pytest.mark.slow]
            said = "-".join(str(one) for one in given)
            made.append(pytest.param(*given, name, id=f"{said}-{name}", marks=marks))
    return made


def one_more(turn: int, frameworks: Sequence[str] = FRAMEWORKS) -> list[Any]:
    """The frameworks alone: by default the first, and by turns one of the others."""
    first, *others = frameworks
    chosen = (first, others[turn % len(others)])
    return [
        pytest.param(name, marks=[] if name in chosen else [pytest.mark.slow])
        for name in frameworks
    ]


def first_of_each(keys: Iterable[Any]) -> list[int]:
    """The numbers of those that are the first of their kind."""
    seen: set[Any] = set()
    first = []
    for number, key in enumerate(keys):
        if key not in seen:
            seen.add(key)
            first.append(number)
    return first
