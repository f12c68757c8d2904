"""What the parts of a recipe add to a training program: contributions, which add up."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from xgraph.wrapping import INDENT, LINE


@dataclass(frozen=True)
class Contribution:
    """What a part of a recipe adds to train.py in one framework.

    Attributes:
        definitions: names that it takes from the backend's `training/library.py`.
        places: lines by the place that they go to; what places there are is the backend's choice.
    """

    definitions: frozenset[str] = frozenset()
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __add__(self, other: Contribution) -> Contribution:
        """Both, this one first in every place."""
        places = {
            name: (*self.places.get(name, ()), *other.places.get(name, ()))
            for name in (*self.places, *other.places)
        }
        return Contribution(self.definitions | other.definitions, places)

    def at(self, place: str) -> list[str]:
        """The lines for a place."""
        return list(self.places.get(place, ()))

    def one(self, place: str, otherwise: str) -> str:
        """The line for a place that has no more than one, or else this."""
        [line] = self.places.get(place, (otherwise,))
        return line


def wrapped_import(node: ast.Import | ast.ImportFrom) -> list[str]:
    """An import, one name to a line where it is too long for one."""
    line = ast.unparse(node)
    if len(line) <= LINE:
        return [line]
    head, _, names = line.partition(" import ")
    return [f"{head} import (", *(f"{INDENT}{name}," for name in names.split(", ")), ")"]


@functools.lru_cache(64)
def _read(code: str) -> frozenset[str]:
    """Names that code mentions; remembers, for many programs are trained the same way."""
    return frozenset(n.id for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Name))


def imports_for(code: str, available: str) -> list[str]:
    """Of the import lines `available`, in their order and groups, what `code` reads.

    A blank line stands between groups of which both have a line.
    """
    read = _read(code)
    lines: list[str] = []
    for line in available.splitlines():
        if not line:
            lines.append("")
            continue
        [node] = ast.parse(line).body
        assert isinstance(node, ast.Import | ast.ImportFrom)
        node.names = [n for n in node.names if (n.asname or n.name).split(".")[0] in read]
        if node.names:
            lines += wrapped_import(node)
    grouped: list[str] = []
    for line in lines:
        if line or (grouped and grouped[-1]):
            grouped.append(line)
    return grouped[:-1] if grouped and not grouped[-1] else grouped
