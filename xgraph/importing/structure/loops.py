"""Loops: what follows itself, with the same values or with lists of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from xgraph.importing.structure.cost import Costs
from xgraph.importing.structure.generalize import generalize
from xgraph.importing.structure.options import blank
from xgraph.importing.structure.taste import Taste
from xgraph.importing.structure.tree import (
    ANY,
    Body,
    Each,
    Half,
    Item,
    Leaf,
    Ref,
    Shapes,
    Tree,
    Turns,
    Variable,
    fill,
    given_to,
    inside,
    is_wired,
    unknown,
)

#: The longest body of a loop, and the most entries of its lists together.
LONGEST = 12
ENTRIES = 40
#: So many calls are a loop; fewer are better said one by one.
_CALLS = 5
_TWO = 5.0  # two turns are hardly a loop
_LISTS = 4.0  # each list beyond
_ENOUGH = 3
#: Kinds of values in which turns of a loop may differ from a single turn of it.
_FREE = frozenset({"channels", "kernel", "padding", "given", "origin"})


def rolled(tree: Tree, costs: Costs, taste: Taste, ops: bool = True) -> Tree:
    """With a `repeat` wherever something follows itself unchanged; only blocks, without `ops`."""

    return _exhausted(tree, lambda body: _best_roll(body, costs, taste, ops))


def _exhausted(tree: Tree, better: Callable[[Body], Body | None]) -> Tree:
    """With each sequence made better until nothing more makes it so."""

    def change(body: Body) -> Body:
        while (made := better(body)) is not None:
            body = made
        return body

    return tree.rewritten(change)


def _best_roll(body: Body, costs: Costs, taste: Taste, ops: bool) -> Body | None:
    best, chosen = 0.0, None
    for length in range(1, min(LONGEST, len(body) // 2) + 1):
        start = 0
        while start + 2 * length <= len(body):
            unit = body[start : start + length]
            turns = 1
            while body[start + turns * length : start + (turns + 1) * length] == unit:
                turns += 1
            if turns > 1:
                end = start + turns * length
                saved = (turns - 1) * costs.body(unit) - costs.prices.turns
                cost = _seams(body, start, length, end, taste)
                allowed = _movable(unit) and (ops or any(_is_block(one, taste) for one in unit))
                if cost is not None and saved - cost > best and allowed:
                    best, chosen = saved - cost, (start, length, turns)
            start += max(1, (turns - 1) * length) if turns > 1 else 1
    if chosen is None:
        return None
    start, length, turns = chosen
    loop = _repeated([body[start + k * length :][:length] for k in range(turns)])
    return (*body[:start], loop, *body[start + turns * length :])


def _repeated(turns: Sequence[Body]) -> Turns:
    """A loop of equal turns, in which a turn's channels are known if all have the same."""
    known = all(given_to(one) == given_to(turns[0]) for one in turns)
    return Turns(len(turns), turns[0] if known else unknown(turns[0]))


def _is_block(item: Item, taste: Taste) -> bool:
    """Whether an item is a call of a block, or has one in it."""
    if isinstance(item, Leaf):
        return item.target in taste.blocks
    return any(_is_block(one, taste) for body in inside(item) for one in body)


def _seams(body: Body, start: int, length: int, end: int, taste: Taste) -> float | None:
    """What it costs to cut a sequence around a loop, and between its turns; None: never."""
    around = taste.cuts((body, start, end))
    inner = taste.cuts((body, start, start + length))
    return None if around is None or inner is None else around


def _movable(body: Body) -> bool:
    """Whether nothing in a sequence says where it stands in the wiring of another."""
    return not any(map(is_wired, body))


def over_lists(tree: Tree, shapes: Shapes, costs: Costs, taste: Taste) -> Tree:
    """With a `for` wherever what follows itself differs in numbers, and that is shorter."""
    return _exhausted(tree, lambda body: _best_each(body, shapes, costs, taste))


def _best_each(body: Body, shapes: Shapes, costs: Costs, taste: Taste) -> Body | None:
    best, chosen = 0.0, None
    for length in range(1, min(LONGEST, len(body) // 2) + 1):
        for start in range(len(body) - length + 1):
            unit = body[start : start + length]
            if not _movable(unit) or any(isinstance(one, Each) for one in unit):
                continue
            ends, turns = [], []
            at = start
            for end, turn in _turns(body, start, unit, shapes):
                ends.append(end)
                turns.append(turn)
            for count in range(2, len(turns) + 1):
                at = ends[count - 1]
                seams = _seams(body, start, ends[0] - start, at, taste)
                if seams is None:
                    continue
                loop = _loop(turns[:count], shapes)
                if loop is None:
                    continue
                saved = costs.body(body[start:at]) - costs.each(loop) - seams
                saved -= _LISTS * max(0, len(loop.variables) - _ENOUGH)
                if count == 2:
                    saved -= _TWO
                if count < _CALLS and len(unit) == 1 and isinstance(unit[0], Leaf):
                    continue
                if saved > best:
                    best, chosen = saved, (start, at, loop)
    if chosen is None:
        return None
    start, at, loop = chosen
    return (*body[:start], loop, *body[at:])


def _turns(body: Body, start: int, unit: Body, shapes: Shapes) -> Iterator[tuple[int, Body]]:
    """One turn after the other of a loop with this body: where it ends, and what it is."""
    while (found := _turn(body, start, unit, shapes)) is not None and _movable(found[1]):
        start, turn = found
        yield start, turn


def _turn(body: Body, start: int, unit: Body, shapes: Shapes) -> tuple[int, Body] | None:
    """What looks like the unit at a place. Repeats in it may be short, or none."""
    made: list[Item] = []
    at = start
    for like in unit:
        item = body[at] if at < len(body) else None
        if item is not None and shapes.skeleton(item) == shapes.skeleton(like):
            made.append(item)
            at += 1
        elif isinstance(like, Turns):
            once = (item,) if item is not None else ()
            if (
                once
                and shapes.sequence(once) == shapes.sequence(like.body)
                and _same(once, like.body, shapes)
            ):
                count = 1
                while body[at + count : at + count + 1] == once:
                    count += 1
                made.append(_repeated([body[at + k : at + k + 1] for k in range(count)]))
                at += count
            else:
                made.append(Turns(0, blank(like.body)))
        else:
            return None
    return (at, tuple(made)) if at > start else None


def _same(one: Body, other: Body, shapes: Shapes) -> bool:
    """Whether a single turn is one of that loop's: flags and strides say what it is for."""
    pairs = zip(shapes.all_holes(one), shapes.all_holes(other), strict=True)
    return all(a.kind in _FREE or a.value == b.value for a, b in pairs)


def _loop(turns: list[Body], shapes: Shapes) -> Each | None:
    """The loop that takes these turns."""
    general = generalize([shapes.all_holes(turn) for turn in turns])
    for one in general.columns:  # where a turn has nothing to do with it, any other's will do
        some = next(value for value in one.values if value is not ANY)
        one.values = [some if value is ANY else value for value in one.values]
    lists = [one.values for one in general.columns]
    if not lists or sum(map(len, lists)) > ENTRIES:
        return None
    if any(isinstance(value, Ref | Half) for values in lists for value in values):
        return None  # numbers are for lists
    variables = tuple(
        Variable(one.symbol, one.kind, one.word, tuple(one.values)) for one in general.columns
    )
    return Each(variables, fill(turns[0], iter(general.values)))
