"""Rates of stochastic depth that grow with a block's place: one formula instead of many numbers.

Libraries give the k-th of n blocks the rate p · k / n. Where that is so, k stands in the tree
instead of the rate, and the spec says p once, as a parameter of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xgraph.importing.digits import shortened, single
from xgraph.importing.structure.tree import (
    Body,
    Fork,
    Item,
    Leaf,
    Nth,
    Shapes,
    Tangle,
    given_to,
    inside,
    leaves,
    with_inside,
)

DROPS = "stochastic_depth"
#: So many different rates show that they grow, by so much more than numbers are rounded.
_SHOWN = 3
_LEAST = 1e-6
#: So many blocks at the end may have no rate, for they have no shortcut.
_BEHIND = 3
#: A number that an author would write has so few digits.
_DIGITS = 3
#: How far apart numbers are that differ in the order of multiplication.
_NOISE = 1e-15


@dataclass(frozen=True)
class Rates:
    """That the rate of stochastic depth is `most` · k / `count` at place k."""

    most: float
    count: int

    def at(self, place: int) -> float:
        """The rate at a place, as specs compute it."""
        return self.most * place / self.count


def placed(body: Body) -> tuple[Body, Rates | None]:
    """A network with places instead of rates, and what these then are; None where they are none.

    So it is where one is in a tangle, which becomes a block of its own wherever it is.
    """
    known = {one.values[0] for one in _drops(body)}
    if any(type(rate) is not float for rate in known) or any(map(_is_tangled, body)):
        return body, None
    found = sorted(known)
    if (rates := _grown(found)) is None:
        return body, None
    places = {rate: round(rate * rates.count / rates.most) for rate in found}
    made = _with_places(body, places)
    return _with_first(made), rates


def _drops(body: Body) -> Iterator[Leaf]:
    return (one for one in leaves(body) if one.target == DROPS)


def _is_tangled(item: Item) -> bool:
    if isinstance(item, Tangle):
        return any(_drops((item,)))
    return any(map(_is_tangled, itertools.chain.from_iterable(inside(item))))


def _grown(rates: Sequence[float]) -> Rates | None:
    """The formula of these rates, of which the least is the first; None if there is none."""
    if len(rates) < _SHOWN:
        return None
    step = min(b - a for a, b in itertools.pairwise(rates))
    if step < _LEAST:
        return None
    last = round(rates[-1] / step)
    fitting = []
    for count in range(last, last + _BEHIND + 1):
        most = float(f"{rates[-1] / last * count:.{_DIGITS}g}")
        made = Rates(most, count)
        if all(_is(made.at(round(rate * count / most)), rate) for rate in rates):
            fitting.append((len(repr(most)), count, made))
    return min(fitting, key=lambda one: one[:2])[2] if fitting else None


def _is(made: float, rate: float) -> bool:
    """Whether a formula gives a rate, or what float32 has made of it."""
    return abs(made - rate) < _NOISE or shortened(single(made)) == shortened(single(rate)) == rate


def _with_places(body: Body, places: dict[float, int]) -> Body:
    made: list[Item] = []
    for item in body:
        if isinstance(item, Leaf):
            drops = item.target == DROPS
            made.append(replace(item, values=(Nth(places[item.values[0]]),)) if drops else item)
        else:
            made.append(with_inside(item, tuple(_with_places(one, places) for one in inside(item))))
    return tuple(made)


def _with_first(body: Body) -> Body:
    """With a rate at place 0 too, whose block is as those behind it."""
    shapes = Shapes()
    for number, item in enumerate(body):
        path = item.paths[0] if isinstance(item, Fork) else ()
        drop = next((k for k, one in enumerate(path) if _at(one) == 1), None)
        if drop is None:
            continue
        assert isinstance(item, Fork)
        plain = with_inside(item, ((*path[:drop], *path[drop + 1 :]), *item.paths[1:]))
        before = [k for k, one in enumerate(body[:number]) if isinstance(one, Fork)]
        if not before or shapes.skeleton(body[before[-1]]) != shapes.skeleton(plain):
            return body
        first = body[before[-1]]
        assert isinstance(first, Fork)
        kept, (own, *others) = path[drop], first.paths
        assert isinstance(kept, Leaf)
        given = given_to(own) if () in others else None
        none = replace(kept, values=(Nth(0),), given=given)
        with_drop = with_inside(first, ((*own[:drop], none, *own[drop:]), *others))
        return (*body[: before[-1]], with_drop, *body[before[-1] + 1 :])
    return body


def _at(item: Item) -> int | None:
    """The place of a rate."""
    if not isinstance(item, Leaf) or item.target != DROPS:
        return None
    (value,) = item.values
    return value.number if isinstance(value, Nth) else None
