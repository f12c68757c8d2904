"""A YAML document as plain trees with positions.

`xgraph.spec.loading` builds these; everything after it reads them. Trees are immutable, so an
alias is a shared reference and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xgraph.diagnostics import Span

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar resolved by YAML 1.2's core schema; quoted text is always a string."""

    value: bool | int | float | str | None
    span: Span
    quoted: bool = False

    def plain(self) -> Plain:
        return self.value


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Yaml, ...]
    span: Span

    def plain(self) -> Plain:
        return [item.plain() for item in self.items]


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping; keys are strings."""

    key: str
    key_span: Span
    value: Yaml


@dataclass(frozen=True, slots=True)
class Mapping:
    """Entries in file order; keys are unique.

    Of a spec that is laid over another, `gone` are entries by which it has left parts out.
    """

    entries: tuple[Entry, ...]
    span: Span
    gone: tuple[Entry, ...] = ()

    def get(self, key: str) -> Yaml | None:
        for entry in self.entries:
            if entry.key == key:
                return entry.value
        return None

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def keys(self) -> tuple[str, ...]:
        return tuple(entry.key for entry in self.entries)

    def plain(self) -> Plain:
        return {entry.key: entry.value.plain() for entry in self.entries}


Yaml = Scalar | Sequence | Mapping


def describe(node: Yaml) -> str:
    """What kind of value a node is, for messages: "a list", "the text 'abc'", "the number 3"."""
    if isinstance(node, Sequence):
        return "a list" if node.items else "an empty list"
    if isinstance(node, Mapping):
        return "a mapping" if node.entries else "an empty mapping"
    value = node.value
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    return f"the number {value!r}"[:60]
