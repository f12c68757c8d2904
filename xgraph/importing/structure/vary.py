"""Values that are others in each network of a family, and arithmetic with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Vary:
    """A value that is not the same in all networks of a family: one for each, in their order."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Lists:
    """The entries of a loop's variable, as many in each network as its loop has turns there."""

    values: tuple[tuple[Any, ...], ...]


def varying(values: Sequence[Any]) -> Any:
    """A value for each network as one: itself where it is the same in all."""
    first = values[0]
    same = all(type(one) is type(first) and one == first for one in values)
    return first if same else Vary(tuple(values))


def in_network(value: Any, number: int) -> Any:
    """What a value is in one of the networks."""
    return value.values[number] if isinstance(value, Vary) else value


def side_by_side(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of two values, one of each network, or a single one where both are constant."""
    length = next((len(v.values) for v in (one, other) if isinstance(v, Vary)), 1)
    for number in range(length):
        yield in_network(one, number), in_network(other, number)


def scaled(value: Any, times: int, over: int = 1) -> Any:
    """A number of channels times a whole number, divided by another, rounded down."""
    if isinstance(value, Vary):
        return varying([one * times // over for one in value.values])
    return value * times // over


def is_whole(value: Any, over: int = 1) -> bool:
    """Whether a value is an integer, in each network, that another one divides."""
    return all(type(one) is int and one % over == 0 for one, _ in side_by_side(value, value))
