"""The bodies of several networks as one: what is the same, and what varies.

Two sequences are laid side by side as texts are compared: items that may be one stand in a column,
and what one of the networks lacks must be a copy of what is beside it, or a unit of its own. What
one has more often than another becomes a loop whose turns vary, other values become a `Vary`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xgraph.importing.structure.generalize import is_word, new_symbol
from xgraph.importing.structure.hints import common
from xgraph.importing.structure.loops import LONGEST
from xgraph.importing.structure.taste import Taste
from xgraph.importing.structure.tree import (
    ANY,
    Body,
    Each,
    Fork,
    Hole,
    Item,
    Leaf,
    Ref,
    Shapes,
    Strand,
    Tangle,
    Tree,
    Turns,
    Variable,
    attributes,
    fill,
    inside,
    leaves,
    with_inside,
)
from xgraph.importing.structure.vary import Lists, varying

#: What it costs that two networks are not the same at a place: by the kind of a value, and where
#: one has a copy more, or twice as many, or a unit of its own.
_OTHER = 0.5
_PACE = 0.05
_COPY = 1.0
_MORE = 0.5
#: What is another number in one copy is so in the next.
_AGAIN = 0.1
_UNIT = 12.0
_WIDER = 0.2
#: Where networks part is where they have gone together furthest; a unit that one lacks counts so.
_LACKED = 4
#: Two items of one kind are never as far apart as one that each lacks.
_FURTHEST = 1.5
#: Kinds of values that copies of a unit may differ in, for they follow from the unit's place.
_PLACED = frozenset({"given", "origin", "rate"})
#: Kinds of values that are others in a wider network.
_SCALED = frozenset({"channels", "groups"})
#: So many items beside a unit tell what it would be in a network that has none.
_NEAR = 12
#: So many lists a loop may run over whose turns vary.
_LISTS = 3
#: So large a part of the layers may be such that one of the networks has none like them there.
_LACKING = 0.25


class Apart(Exception):
    """Two networks that are no sizes of one family.

    Attributes:
        alike: how many layers they have in common before they part.
        first: what the first goes on with.
        second: what the other goes on with.
    """

    def __init__(self, alike: int, first: str, second: str) -> None:
        super().__init__(alike, first, second)
        self.alike, self.first, self.second = alike, first, second


@dataclass
class _Column:
    """Items of networks that may be one, by the network's number.

    `unit` is the length of the unit that begins here and that some networks lack, else 0.
    """

    items: dict[int, Item]
    unit: int = 0

    @property
    def example(self) -> Item:
        return next(iter(self.items.values()))


@dataclass
class _Cell:
    """The cheapest way to a place: its cost, where it is from, and the unit that one lacks.

    `alike` is how many items are alike on it, less what units count that one of them lacks.
    """

    cost: float = math.inf
    before: tuple[int, int] = (0, 0)
    unit: int = 0
    alike: int = 0

    def lower(self, cost: float, before: tuple[int, int], alike: int, unit: int = 0) -> None:
        """Take another way if it is cheaper."""
        if cost < self.cost:
            self.cost, self.before, self.alike, self.unit = cost, before, alike, unit


def side_by_side(bodies: Sequence[Body]) -> Body:
    """The body of all networks.

    Raises:
        Apart: two of them are no sizes of one family.
    """
    several = dict(enumerate(bodies))
    made = Alignment(len(bodies), units=True)
    body = made.merged(several)
    if made.lacking <= _LACKING * sum(1 for _ in leaves(body)):
        return body
    return Alignment(len(bodies), units=False).merged(several)  # which says where they part


class Alignment:
    """Lays the bodies of networks side by side; what is known of items is kept.

    With `units`, one may lack a unit that is no copy of another one. `lacking` counts the layers of
    all such units.
    """

    def __init__(self, count: int, units: bool) -> None:
        self.count, self.with_units = count, units
        self.lacking = 0
        self.shapes = Shapes()
        self.taste = Taste(Tree(()))
        self._costs: dict[tuple[Any, Any], float] = {}

    def merged(self, several: Mapping[int, Body]) -> Body:
        """The body of all networks, those of which it is given by their numbers.

        Raises:
            Apart: two of them are no sizes of one family.
        """
        order = sorted(several, key=lambda k: (-sum(1 for _ in leaves(several[k])), k))
        first, *rest = order
        columns = [_Column({first: item}) for item in several[first]]
        for number in rest:
            columns = self.joined(columns, several[number], number)
        return tuple(self.built(columns, sorted(several)))

    # -- two sequences ----------------------------------------------------------------------------

    def joined(self, columns: Sequence[_Column], body: Body, number: int) -> list[_Column]:
        """Columns with the items of one network more."""
        mine = tuple(column.example for column in columns)
        table = self.table(mine, body)
        i, j = len(mine), len(body)
        if table[i][j].cost == math.inf:
            apart = self.parting(mine, body, table)
            if number < min(min(column.items) for column in columns):
                raise Apart(apart.alike, apart.second, apart.first)
            raise apart
        made: list[_Column] = []
        while i or j:
            cell = table[i][j]
            a, b = cell.before
            if cell.unit == 0:
                made.append(
                    replace(columns[i - 1], items={**columns[i - 1].items, number: body[j - 1]})
                )
            else:
                lacked = [_Column({number: item}) for item in body[b:j]]
                lacked = lacked or [replace(one) for one in columns[a:i]]
                lacked[0].unit = lacked[0].unit or cell.unit
                made += reversed(lacked)
            i, j = a, b
        return made[::-1]

    def table(self, mine: Body, yours: Body) -> list[list[_Cell]]:
        """The cheapest ways to lay two sequences side by side, up to each pair of places."""
        lacks, has = self.units(mine), self.units(yours)
        again = self.again(mine), self.again(yours)
        table = [[_Cell() for _ in range(len(yours) + 1)] for _ in range(len(mine) + 1)]
        table[0][0].cost = 0.0
        for i in range(len(mine) + 1):
            for j in range(len(yours) + 1):
                cell = table[i][j]
                if i and j and table[i - 1][j - 1].cost < math.inf:
                    way = table[i - 1][j - 1]
                    apart = self.apart(mine[i - 1], yours[j - 1])
                    if apart and again[0][i - 1] & again[1][j - 1]:
                        apart *= _AGAIN
                    cell.lower(way.cost + apart, (i - 1, j - 1), way.alike + 1)
                for start, more, unit in lacks[i]:
                    way = table[start][j]
                    cell.lower(way.cost + more, (start, j), way.alike - _LACKED, unit)
                for start, more, unit in has[j]:
                    way = table[i][start]
                    cell.lower(way.cost + more, (i, start), way.alike - _LACKED, unit)
        return table

    def units(self, body: Body) -> list[list[tuple[int, float, int]]]:
        """By the place where each ends: where a unit begins that another network may lack.

        Or several copies of one; beside it, what that costs, and the unit's length.
        """
        found: list[list[tuple[int, float, int]]] = [[] for _ in range(len(body) + 1)]
        tokens = [self.token(item) for item in body]
        for end in range(1, len(body) + 1):
            for length in range(1, min(LONGEST, end) + 1):
                start = end - length
                unit = tokens[start:end]
                if _is_periodic(unit):  # it is several copies
                    continue
                copied = unit in (
                    tokens[max(0, start - length) : start],
                    tokens[end : end + length],
                )
                if not copied and not (self.with_units and _is_unit(body[start:end])):
                    continue
                cuts = self.taste.cuts((body, start, end))
                if cuts is None:
                    continue
                found[end].append((start, (_COPY if copied else _UNIT) + cuts, length))
                copies = 1
                while copied and tokens[max(0, start - length) : start] == unit:
                    copies, start = copies + 1, start - length
                    cost = _COPY * (1 + _MORE * math.log2(copies)) + cuts
                    found[end].append((start, cost, length))
        return found

    def again(self, body: Body) -> list[set[int]]:
        """How far before each item the same stands, as in copies of a unit."""
        tokens = [self.token(item) for item in body]
        return [
            {far for far in range(1, min(LONGEST, k) + 1) if tokens[k - far] == tokens[k]}
            for k in range(len(tokens))
        ]

    def token(self, item: Item) -> Any:
        """Equal for items that may be turns of one loop."""
        values = tuple(h.value for h in self.shapes.holes(item) if h.kind not in _PLACED)
        return self.shapes.skeleton(item), values

    def apart(self, one: Item, other: Item) -> float:
        """How much two items differ; endless where they are not of one kind."""
        key = (self.token(one), self.token(other))
        if (found := self._costs.get(key)) is None:
            found = self._costs[key] = self._apart(one, other)
        return found

    def _apart(self, one: Item, other: Item) -> float:
        if isinstance(one, Leaf) and isinstance(other, Leaf):
            if one.target != other.target or len(one.values) != len(other.values):
                return math.inf
            kinds = (kind for _, kind in attributes(one.target))
            values = zip(kinds, one.values, other.values, strict=True)
            return sum(_unlike(kind, a, b) for kind, a, b in values)
        if (pairs := _inner(one, other)) is None:
            return math.inf
        cost = sum(self.table(mine, yours)[-1][-1].cost for mine, yours in pairs)
        return min(cost, _FURTHEST) if cost < _UNIT else cost

    def parting(self, mine: Body, yours: Body, table: Sequence[Sequence[_Cell]]) -> Apart:
        """Where two sequences part that are not sizes of one."""
        ways = [(cell, i, j) for i, row in enumerate(table) for j, cell in enumerate(row)]
        _, _, i, j = max((c.alike, i + j, i, j) for c, i, j in ways if c.cost < math.inf)
        alike = sum(1 for _ in leaves(mine[:i]))
        if i < len(mine) and j < len(yours) and (pairs := _inner(mine[i], yours[j])):
            for one, other in pairs:
                inner = self.table(one, other)
                if inner[-1][-1].cost == math.inf:
                    found = self.parting(one, other, inner)
                    return Apart(alike + found.alike, found.first, found.second)
                alike += sum(1 for _ in leaves(one))
        return Apart(alike, _told(mine[i:]), _told(yours[j:]))

    # -- one body of them -------------------------------------------------------------------------

    def built(self, columns: Sequence[_Column], numbers: Sequence[int]) -> Iterator[Item]:
        """The items of columns, those that some networks lack as loops."""
        at = 0
        while at < len(columns):
            place = next(
                (k for k in range(at, len(columns)) if len(columns[k].items) < len(numbers)),
                len(columns),
            )
            if place == len(columns):
                yield from (self.one(column.items) for column in columns[at:])
                return
            if not columns[place].unit:
                raise Apart(0, _told((columns[place].example,)), "nothing")
            start, end, unit = self.region(columns, at, place)
            yield from (self.one(column.items) for column in columns[at:start])
            beside = [*columns[end : end + _NEAR][::-1], *columns[max(0, start - _NEAR) : start]]
            yield self.loop(columns[start:end], unit, numbers, beside)
            at = end

    def region(self, columns: Sequence[_Column], least: int, place: int) -> tuple[int, int, int]:
        """From where to where copies of the unit stand that begins at a place, and its length."""
        unit = columns[place].unit
        start, end = place, place + unit
        while start - unit >= least and self.copies(columns, start - unit, start, unit):
            start -= unit
        while end + unit <= len(columns) and self.copies(columns, end, end - unit, unit):
            end += unit
        return start, end, unit

    def copies(self, columns: Sequence[_Column], one: int, other: int, unit: int) -> bool:
        """Whether the same stands at two places in each network that has both."""
        for a, b in zip(columns[one : one + unit], columns[other : other + unit], strict=True):
            if self.shapes.skeleton(a.example) != self.shapes.skeleton(b.example):
                return False
            shared = [k for k in a.items if k in b.items]
            if not shared or any(self.token(a.items[k]) != self.token(b.items[k]) for k in shared):
                return False
        return True

    def loop(
        self,
        columns: Sequence[_Column],
        unit: int,
        numbers: Sequence[int],
        beside: Sequence[_Column],
    ) -> Item:
        """A loop over copies of a unit, as many as each network has.

        What stands beside it tells what a unit would be where a network has none, nearest last.
        """
        turns: dict[int, list[Body]] = {number: [] for number in numbers}
        for start in range(0, len(columns), unit):
            copy = columns[start : start + unit]
            for number in numbers:
                items = tuple(column.items[number] for column in copy if number in column.items)
                if items and len(items) < unit:
                    raise Apart(0, _told(items), _told((copy[-1].example,)))
                if items:
                    turns[number].append(items)
        have = {k: several[0] for k, several in turns.items() if several}
        lacking = [k for k in numbers if k not in have]
        would = {k: self.as_in(have, k, beside) for k in lacking}
        body = self.merged({**have, **would})
        if lacking:
            self.lacking += sum(1 for _ in leaves(body))
        if all(one == several[0] for several in turns.values() for one in several):
            return Turns(self.filled({k: len(several) for k, several in turns.items()}), body)
        return self.over_lists(body, turns)

    def as_in(self, have: Mapping[int, Body], number: int, beside: Sequence[_Column]) -> Body:
        """A unit of others as a network would have it, by what numbers are there beside it."""
        other = self.nearest(have, number)
        there: dict[tuple[str, Any], Any] = {}
        for column in beside:
            if other in column.items and number in column.items:
                one, two = column.items[other], column.items[number]
                if self.shapes.skeleton(one) == self.shapes.skeleton(two):
                    pairs = zip(self.shapes.holes(one), self.shapes.holes(two), strict=True)
                    for a, b in pairs:
                        there.pop((_number(a.kind), a.value), None)  # so that it will be the last
                        there[_number(a.kind), a.value] = b.value
        return fill(
            have[other], iter(_as_there(h, there) for h in self.shapes.all_holes(have[other]))
        )

    def over_lists(self, body: Body, turns: Mapping[int, Sequence[Body]]) -> Each:
        """A loop whose turns differ in numbers that follow from their places."""
        columns: dict[Lists, Variable] = {}
        made: list[Any] = []
        holes = {k: [self.shapes.all_holes(one) for one in all_] for k, all_ in turns.items()}
        whole = self.shapes.all_holes(body)
        for place, hole in enumerate(whole):
            if any(len(one) != len(whole) for several in holes.values() for one in several):
                raise Apart(0, _told(body), _told(body))
            entries = {
                k: tuple(one[place].value for one in several) for k, several in holes.items()
            }
            constant = all(value == values[0] for values in entries.values() for value in values)
            if constant or hole.kind in ("given", "origin"):
                made.append(hole.value if constant else None)
                continue
            lists = Lists(tuple(entries[self.nearest(entries, k)] for k in range(self.count)))
            columns.setdefault(lists, Variable(new_symbol(), hole.kind, hole.word, (lists,)))
            made.append(Ref(columns[lists].symbol))
        if len(columns) > _LISTS:
            raise Apart(0, _told(body), _told(body))
        return Each(tuple(columns.values()), fill(body, iter(made)))

    def one(self, items: Mapping[int, Item]) -> Item:
        """Items of networks as one item, those that lack it left out."""
        numbers = sorted(items)
        first = items[numbers[0]]
        if isinstance(first, Leaf):
            several = [one for k in numbers if isinstance(one := items[k], Leaf)]
            values = (self.value(items, place) for place in range(len(first.values)))
            given = self.filled({k: _given(items[k]) for k in numbers})
            return Leaf(first.target, tuple(values), given, common(one.origin for one in several))
        inner = [self.merged(dict(zip(numbers, paths, strict=True))) for paths in _paths(items)]
        made = with_inside(first, tuple(inner))
        if isinstance(made, Fork):
            merges = {k: one.merge for k in numbers if isinstance(one := items[k], Fork)}
            merge = self.one(merges)
            assert isinstance(merge, Leaf)
            return replace(made, merge=merge)
        return made

    def value(self, items: Mapping[int, Item], place: int) -> Any:
        """A value of ops side by side."""
        known = {k: one.values[place] for k, one in items.items() if isinstance(one, Leaf)}
        said = [value for value in known.values() if value is not ANY]
        if not said:
            return ANY
        # A window of one pixel suits every word, but no pixels.
        words = [value for value in said if is_word(value)]
        known = {
            k: (words[0] if words else "valid") if value is ANY else value
            for k, value in known.items()
        }
        return self.filled(known)

    def filled(self, known: Mapping[int, Any]) -> Any:
        """A value for each network; one that has none gets that of the nearest."""
        if any(value is None for value in known.values()):
            return None
        return varying([known[self.nearest(known, number)] for number in range(self.count)])

    def nearest(self, known: Mapping[int, Any], number: int) -> int:
        """Of the networks that have something, the one that was named nearest to another."""
        return min(known, key=lambda k: (abs(k - number), k))


def _as_there(hole: Hole, there: Mapping[tuple[str, Any], Any]) -> Any:
    """A number in a network in which others are those: the same, or as many times another."""
    kind, value = _number(hole.kind), hole.value
    if kind not in _SCALED or (kind, value) in there:
        return there.get((kind, value), value)
    for (other, base), made in reversed(list(there.items())):
        if other != kind or type(base) is not int or type(value) is not int or not base * value:
            continue
        if value % base == 0:
            return made * (value // base)
        if base % value == 0 and made % (base // value) == 0:
            return made // (base // value)
    return value


def _number(kind: str) -> str:
    """The kind of a value; what an item is applied to are channels too."""
    return "channels" if kind == "given" else kind


def _given(item: Item) -> Any:
    return item.given if isinstance(item, Leaf) else None


def _paths(items: Mapping[int, Item]) -> Iterator[tuple[Body, ...]]:
    """The sequences of items that go together."""
    yield from zip(*(inside(items[k]) for k in sorted(items)), strict=True)


def _inner(one: Item, other: Item) -> list[tuple[Body, Body]] | None:
    """The sequences of two items that go together, None where they are not of one kind."""
    if isinstance(one, Fork) and isinstance(other, Fork):
        same = one.merge.target == other.merge.target and len(one.paths) == len(other.paths)
        return list(zip(one.paths, other.paths, strict=True)) if same else None
    if isinstance(one, Tangle) and isinstance(other, Tangle):
        return [(one.body, other.body)] if one.inputs == other.inputs else None
    if isinstance(one, Strand) and isinstance(other, Strand):
        same = (one.label, one.sources) == (other.label, other.sources)
        return [(one.body, other.body)] if same else None
    return None


def _is_periodic(unit: Sequence[Any]) -> bool:
    """Whether a sequence is something shorter, several times."""
    length = len(unit)
    return any(
        length % part == 0 and unit[part:] == unit[:-part] for part in range(1, length // 2 + 1)
    )


def _is_unit(body: Body) -> bool:
    """Whether a sequence is a fork, and perhaps an op behind it."""
    return len(body) <= 2 and [isinstance(one, Fork) for one in body] in ([True], [True, False])


def _unlike(kind: str, one: Any, other: Any) -> float:
    """What it costs that a value differs: little where sizes of a family usually do."""
    if one is ANY or other is ANY or (type(one) is type(other) and one == other):
        return 0.0
    if kind == "rate":
        return _PACE
    if kind in _SCALED and type(one) is type(other) is int and min(one, other) > 0:
        return _WIDER * min(1.0, abs(math.log2(one / other))) ** 2
    return _OTHER


def _told(body: Body) -> str:
    """What a sequence begins with, in words."""
    if not body:
        return "nothing"
    (item, *_) = body
    if isinstance(item, Leaf):
        return item.target
    if isinstance(item, Fork):
        count = sum(1 for _ in leaves((item,))) - 1
        return f"paths of {count} layers that {item.merge.target} joins"
    return "paths that have layers in common"
