"""What several uses of one skeleton have in common, and the parameters in which they differ.

Each hole has a column: its value in every use. A column of one value is a constant. Columns of one
kind that are equal are one parameter, and numbers of channels may be a multiple or a part of
another's. Numbers of other kinds that happen to be related are coincidences.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.importing.structure.hints import common
from xgraph.importing.structure.tree import (
    ANY,
    INPUT,
    Counted,
    Half,
    Hole,
    Nth,
    Parameter,
    Ref,
    between,
)
from xgraph.importing.structure.vary import is_whole, scaled, side_by_side

#: A value that so large a share of the uses has is a default; a parameter's that another one is.
_COMMON = 0.45
_MOSTLY = 0.6
#: So many different pairs show that channels are related; a coincidence has fewer.
_MULTIPLE = 2
_PART = 3
#: Kinds that are never a parameter's relation to a constant, but that defaults suit.
_NO_DEFAULT = frozenset({"channels"})
#: What is said where nothing of a use follows from it, and every other says a variable.
_NEUTRAL = {"channels": 1, "condition": False, "groups": 1, "kernel": (1, 1), "rate": 0.0,
            "stride": (1, 1)}  # fmt: skip

_symbols = itertools.count(1)


def new_symbol() -> int:
    """A number that no other parameter or variable has."""
    return next(_symbols)


@dataclass
class Column:
    """A parameter in the making: its values, use by use, where ANY is whatever suits."""

    symbol: int
    kind: str
    word: str
    values: list[Any]


@dataclass(frozen=True)
class General:
    """What uses have in common.

    Attributes:
        values: of each hole, with references to parameters.
        columns: the parameters, and what each use gives them.
    """

    values: tuple[Any, ...]
    columns: tuple[Column, ...]


def generalize(
    uses: Sequence[Sequence[Hole]], inputs: Sequence[Any] = (), gates: bool = False
) -> General:
    """The least general form that all uses are cases of.

    Args:
        uses: the holes of each.
        inputs: the channels of what each is applied to, if they may be referred to.
        gates: whether as many come out as go in for any use that there could be.
    """
    columns: list[Column] = []
    if inputs and None not in inputs:
        columns.append(Column(INPUT, "channels", "channels", list(inputs)))
    last = max((k for k, hole in enumerate(uses[0]) if hole.kind == "channels"), default=-1)
    comes_out = [use[last].value for use in uses] if last >= 0 else []
    values: list[Any] = []
    kernel: Any = None  # of the op whose padding comes next
    for place, holes in enumerate(zip(*uses, strict=True)):
        hole = holes[0]
        column = [one.value for one in holes]
        known = [value for value in column if value is not ANY]
        if hole.kind == "origin":
            values.append(common(known))
            continue
        if hole.kind == "given":
            values.append(_known(column, known, columns))
            continue
        if hole.word == "padding" and known and not all(map(is_word, known)):
            half = _half(column, kernel, columns)
            if half is not None:
                values.append(half)
                continue
            # A window of one pixel suits every word, but no pixels.
            column = [
                "valid" if value is ANY and is_pixel(use, place) else value
                for value, use in zip(column, uses, strict=True)
            ]
            known = [value for value in column if value is not ANY]
        if not known:
            made: Any = ANY
        elif _constant(known):
            made = known[0]
        else:
            # What comes out is said, even where as much went in.
            said = not gates and hole.kind == "channels" and column == comes_out
            open_to = [one for one in columns if one.symbol != INPUT or not said]
            made = _reference(hole, column, open_to)
            if isinstance(made, Column):
                columns.append(made)
                made = Ref(made.symbol)
        values.append(made)
        if hole.word == "kernel":
            kernel = made
    values = _reduced(values, columns)
    if last >= 0:
        values = _rebased(values, values[last], columns)
    return General(tuple(values), tuple(one for one in columns if one.symbol != INPUT))


def _known(column: list[Any], known: list[Any], columns: list[Column]) -> Any:
    """The channels that an item is applied to: a number, or what a parameter says, or None."""
    if not known or any(value is None for value in known):
        return None
    if _constant(known):
        return known[0]
    for one in columns:
        if one.kind == "channels":
            if all(b is ANY or a == b for a, b in zip(one.values, column, strict=True)):
                return Ref(one.symbol)
            if (related := _related(one, column)) is not None:
                return related
    return None


def is_pixel(holes: Sequence[Hole], place: int) -> bool:
    """Whether a padding is that of a window of one pixel, whose kernel and stride are before it."""
    words = [hole.word for hole in holes[max(0, place - 2) : place]]
    return words == ["kernel", "stride"] and holes[place - 2].value == (1, 1)


def _reduced(values: list[Any], columns: list[Column]) -> list[Any]:
    """Without parameters that some uses say nothing to, where others say it all."""
    for column in [one for one in columns if one.kind == "channels" and ANY in one.values]:
        others = [one for one in columns if one is not column and one.kind == "channels"]
        for base in others:
            found = _related(base, column.values)
            if found is None and (joined := _joined(base.values, column.values)) is not None:
                base.values, found = joined, Ref(base.symbol)
            if found is not None:
                values = [_instead(value, column.symbol, found) for value in values]
                columns.remove(column)
                break
    return values


def _instead(value: Any, symbol: int, found: Ref) -> Any:
    if not isinstance(value, Ref) or value.symbol != symbol:
        return value
    return Ref(found.symbol, value.times * found.times, value.over * found.over)


def _rebased(values: list[Any], last: Any, columns: list[Column]) -> list[Any]:
    """What comes out as the parameter, and others as multiples of it, rather than it as a part."""
    if not isinstance(last, Ref) or last.over == 1 or last.symbol == INPUT:
        return values
    (base,) = (one for one in columns if one.symbol == last.symbol)
    mine = [value for value in values if isinstance(value, Ref) and value.symbol == last.symbol]
    if any(one.times * last.over % one.over for one in mine):
        return values
    # A use without the part that has the last channels may have a number that is no multiple.
    if any(v is not ANY and not is_whole(v, last.over) for v in base.values):
        return values
    base.values = [v if v is ANY else scaled(v, 1, last.over) for v in base.values]
    return [
        Ref(value.symbol, times=value.times * last.over // value.over)
        if isinstance(value, Ref) and value.symbol == last.symbol
        else value
        for value in values
    ]


def _constant(known: Sequence[Any]) -> bool:
    """Whether all values are one that means the same everywhere."""
    first = known[0]
    return not isinstance(first, Ref | Half | Counted) and all(
        type(one) is type(first) and one == first for one in known
    )


def _half(column: Sequence[Any], kernel: Any, columns: list[Column]) -> Half | None:
    """Padding that is half of the kernel before it, a parameter, on each side."""
    if not isinstance(kernel, Ref) or kernel.times != 1 or kernel.over != 1:
        return None
    sizes = next(one.values for one in columns if one.symbol == kernel.symbol)
    for size, padding in zip(sizes, column, strict=True):
        if padding is ANY and size in ((1, 1), ANY):
            continue
        if not isinstance(size, tuple) or not isinstance(padding, tuple):
            return None
        if size[0] != size[1] or padding != ((size[0] // 2,) * 2,) * 2:
            return None
    return Half(kernel)


def _reference(hole: Hole, column: list[Any], columns: list[Column]) -> Ref | Column:
    """A parameter that has these values: an old one, or what it is, or one more."""
    for one in columns:
        if one.kind != hole.kind or (one.kind == "channels" and not _meet(one.values, column)):
            continue
        if (joined := _joined(one.values, column)) is not None:
            one.values = joined
            return Ref(one.symbol)
    related = _related if hole.kind == "channels" else _behind
    for one in columns:
        if one.kind == hole.kind and (found := related(one, column)) is not None:
            return found
    places = any(isinstance(value, Nth | Counted) for value in column)
    return Column(new_symbol(), hole.kind, "place" if places else hole.word, column)


def _meet(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether there is a use that says something to both."""
    return any(a is not ANY and b is not ANY for a, b in zip(one, other, strict=True))


def _joined(one: Sequence[Any], other: Sequence[Any]) -> list[Any] | None:
    """Two columns as one, if nothing in them contradicts."""
    joined = []
    for a, b in zip(one, other, strict=True):
        if a is not ANY and b is not ANY and a != b:
            return None
        joined.append(b if a is ANY else a)
    return joined


def _related(base: Column, column: Sequence[Any]) -> Ref | None:
    """Channels that are a multiple of others, or a whole part of them."""
    # Where it has a number, so must the other, or one could be given to that later.
    both = [(a, b) for a, b in zip(base.values, column, strict=True) if b is not ANY]
    known = [pair for a, b in both for pair in side_by_side(a, b)]
    if any(type(number) is not int for pair in known for number in pair):
        return None
    pairs = set(known)
    if any(0 in pair for pair in pairs):
        return None
    a, b = next(iter(pairs))
    if len(pairs) >= _MULTIPLE and b % a == 0 and all(y == x * (b // a) for x, y in pairs):
        return Ref(base.symbol, times=b // a)
    if len(pairs) >= _PART and a % b == 0 and all(y * (a // b) == x for x, y in pairs):
        return Ref(base.symbol, over=a // b)
    return None


def _behind(base: Column, column: Sequence[Any]) -> Ref | None:
    """Places that are so far behind others."""
    pairs = [(a, b) for a, b in zip(base.values, column, strict=True) if b is not ANY]
    apart = {between(a, b) for a, b in pairs}
    if len(apart) != 1 or len({b for _, b in pairs}) < _MULTIPLE:
        return None
    (by,) = apart
    return None if by is None else Ref(base.symbol, plus=by)


def as_parameters(columns: Sequence[Column]) -> list[tuple[Parameter, Column]]:
    """Parameters with their defaults, those that must be given first."""
    required: list[tuple[Parameter, Column]] = []
    optional: list[tuple[Parameter, Column]] = []
    for column in columns:
        default = _default(column, columns)
        made = (Parameter(column.symbol, column.kind, column.word, default), column)
        (required if default is None else optional).append(made)
    required.sort(key=lambda one: one[0].word != "filters")
    return [*required, *_ordered(optional)]


def _default(column: Column, columns: Sequence[Column]) -> Any:
    """What a parameter is unless a use says otherwise, None if no value is common enough."""
    count = len(column.values)
    for other in columns:
        if other is column or other.kind != column.kind or other.symbol > column.symbol:
            continue
        same = sum(a == b or a is ANY for a, b in zip(column.values, other.values, strict=True))
        if same >= _MOSTLY * count and column.kind == "channels":
            return Ref(other.symbol)
    counts = Counter(value for value in column.values if value is not ANY)
    value, often = max(counts.items(), key=lambda one: (one[1], repr(one[0])))
    free = sum(one is ANY for one in column.values)
    if column.kind in _NO_DEFAULT and not free:
        return None
    if not isinstance(value, Ref | Half | Counted) and often + free >= _COMMON * count:
        return value
    if not free:
        return None
    # A use that it says nothing to must not have to give it.
    if any(isinstance(v, Nth) for v in counts):
        return Nth(0)
    constants = {v: n for v, n in counts.items() if not isinstance(v, Ref | Half | Counted)}
    if constants:
        return max(constants, key=lambda v: (constants[v], repr(v)))
    return _NEUTRAL.get(column.kind)


def _ordered(optional: list[tuple[Parameter, Column]]) -> Iterator[tuple[Parameter, Column]]:
    """Defaults that are another parameter's value behind that parameter."""
    waiting = list(optional)
    symbols = {parameter.symbol for parameter, _ in waiting}
    while waiting:
        for one in waiting:
            default = one[0].default
            if not isinstance(default, Ref) or default.symbol not in symbols:
                waiting.remove(one)
                symbols.discard(one[0].symbol)
                yield one
                break
        else:  # defaults that refer to each other: none is left, for each is an earlier one
            raise AssertionError("defaults in a circle")


def is_word(padding: Any) -> bool:
    """Whether a padding is `same` or `valid`, which suit a window of one pixel."""
    return isinstance(padding, str)


def given(parameter: Parameter, value: Any, others: dict[int, Any]) -> Any:
    """What a use gives a parameter: where anything will do, its default."""
    if value is not ANY:
        return value
    if isinstance(parameter.default, Ref):
        return others.get(parameter.default.symbol, ANY)
    return parameter.default if parameter.default is not None else ANY
