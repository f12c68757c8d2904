"""Loops: what follows itself, with the same values or with lists of others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from xgraph.importing.structure.cost import Costs
from xgraph.importing.structure.generalize import generalize, new_symbol
from xgraph.importing.structure.taste import Taste
from xgraph.importing.structure.tree import (
    ANY,
    Body,
    Counted,
    Each,
    Half,
    Item,
    Leaf,
    Nth,
    Ref,
    Shapes,
    Tree,
    Turns,
    Variable,
    fill,
    given_to,
    inside,
    is_wired,
    later,
    unknown,
    with_values,
)

#: The longest body of a loop, and the most entries of its lists together.
LONGEST = 12
ENTRIES = 48
#: So many calls are a loop; fewer are better said one by one.
_CALLS = 5
#: A loop must save something.
_LEAST = 1e-6
_TWO = 5.0  # two turns are hardly a loop
_LISTS = 3.0  # each list beyond
_ENOUGH = 3
#: Kinds of values in which turns of a loop may differ from a single turn of it.
_FREE = frozenset({"channels", "groups", "kernel", "padding", "given", "origin"})


def rolled(tree: Tree, costs: Costs, taste: Taste, ops: bool = True) -> Tree:
    """With a `repeat` wherever something follows itself unchanged; only blocks, without `ops`."""

    return _exhausted(tree, lambda body: _best_roll(body, costs, taste, ops))


def _exhausted(tree: Tree, better: Callable[[Body], Body | None]) -> Tree:
    """With each sequence made better until nothing more makes it so."""

    def change(body: Body) -> Body:
        known = {id(item) for item in body}
        while (made := better(body)) is not None:
            body = made
        return tuple(
            replace(item, body=change(item.body))
            if isinstance(item, Turns | Each) and id(item) not in known
            else item
            for item in body
        )

    return tree.rewritten(change)


def _best_roll(body: Body, costs: Costs, taste: Taste, ops: bool) -> Body | None:
    # Of turns that begin here or there, as of anything that goes round, the last ones are taken:
    # what leads to the first is then before the loop, and nothing is left behind it.
    best, chosen = _LEAST, None
    apart = [_apart(item) for item in body]
    for length in range(1, min(LONGEST, len(body) // 2) + 1):
        for start, turns in enumerate(_turns_from(apart, length)):
            unit = body[start : start + length]
            if turns > 1:
                end = start + turns * length
                loop = _repeated([body[start + k * length :][:length] for k in range(turns)])
                saved = turns * costs.body(unit) - costs.item(loop)
                cost = _seams(body, (start, end), (start, start + length), taste)
                allowed = _movable(unit) and (ops or any(_is_block(one, taste) for one in unit))
                if cost is not None and saved - cost >= best and allowed:
                    best, chosen = saved - cost, (start, length, turns)
    if chosen is None:
        return None
    start, length, turns = chosen
    loop = _repeated([body[start + k * length :][:length] for k in range(turns)])
    return (*body[:start], loop, *body[start + turns * length :])


def _apart(item: Item) -> tuple[Item, tuple[int, ...]]:
    """An item with all places the same, and the places."""
    places: list[int] = []

    def first(value: Any) -> Any:
        if isinstance(value, Nth):
            places.append(value.number)
            return Nth(0)
        return replace(value, start=first(value.start)) if isinstance(value, Counted) else value

    (made,) = with_values((item,), first)
    return (made, tuple(places)) if places else (item, ())


def _turns_from(items: Sequence[tuple[Item, tuple[int, ...]]], length: int) -> list[int]:
    """How many turns a loop of so many items makes that begins here or there.

    Its places grow by as much each time.
    """

    def step(at: int) -> int | None:
        before, after = items[at : at + length], items[at + length : at + 2 * length]
        if [one for one, _ in before] != [one for one, _ in after]:
            return None
        pairs = zip(before, after, strict=True)
        steps = {b - a for (_, x), (_, y) in pairs for a, b in zip(x, y, strict=True)}
        return None if len(steps) > 1 else next(iter(steps), 0)

    steps = [step(at) for at in range(len(items) - 2 * length + 1)]
    turns = [1] * len(steps)
    for at in reversed(range(len(steps))):
        if steps[at] is not None:
            more = at + length < len(steps) and steps[at + length] == steps[at]
            turns[at] = turns[at + length] + 1 if more else 2
    return turns


def _repeated(turns: Sequence[Body]) -> Turns:
    """A loop of equal turns, in which a turn's channels are known if all have the same."""
    known = all(given_to(one) == given_to(turns[0]) for one in turns)
    body = turns[0] if known else unknown(turns[0])
    places = [places for item in turns[0] for places in _apart(item)[1]]
    if len(turns) < 2 or places == [one for item in turns[1] for one in _apart(item)[1]]:
        return Turns(len(turns), body)
    by = next(iter(_apart(item)[1] for item in turns[1] if _apart(item)[1]))[0] - places[0]
    index = new_symbol()

    def counted(value: Any) -> Any:
        if isinstance(value, Nth):
            return Counted(value, index, by)
        if isinstance(value, Counted):  # which grows with an inner loop too
            return replace(value, start=counted(value.start))
        return value

    return Turns(len(turns), with_values(body, counted), index)


def _is_block(item: Item, taste: Taste) -> bool:
    """Whether an item is a call of a block, or has one in it."""
    if isinstance(item, Leaf):
        return item.target in taste.blocks
    return any(_is_block(one, taste) for body in inside(item) for one in body)


def _seams(body: Body, loop: tuple[int, int], turn: tuple[int, int], taste: Taste) -> float | None:
    """What it costs to cut a sequence around a loop, and between its turns; None: never."""
    around = taste.cuts((body, *loop))
    inner = taste.cuts((body, *turn))
    return None if around is None or inner is None else around


def _movable(body: Body) -> bool:
    """Whether nothing in a sequence says where it stands in the wiring of another."""
    return not any(map(is_wired, body))


def over_lists(tree: Tree, shapes: Shapes, costs: Costs, taste: Taste) -> Tree:
    """With a `for` wherever what follows itself differs in numbers, and that is shorter."""
    return _exhausted(tree, lambda body: _best_each(body, shapes, costs, taste))


def _best_each(body: Body, shapes: Shapes, costs: Costs, taste: Taste) -> Body | None:
    best, chosen = 0.0, None
    numbers, loops = shapes.sequence(body), [isinstance(one, Turns) for one in body]
    for length in range(1, min(LONGEST, len(body) // 2) + 1):
        for start in range(len(body) - length + 1):
            after = start + length
            followed = numbers[after : after + 1] == numbers[start : start + 1]
            if not followed and not any(loops[start : after + 1]):
                continue  # one turn is all there is
            unit = body[start:after]
            if not _movable(unit) or any(isinstance(one, Each) for one in unit):
                continue
            before = list(_turns_before(body, start, unit, shapes))
            behind = list(_turns(body, start, unit, shapes))
            for early, late in itertools.product(range(len(before) + 1), range(1, len(behind) + 1)):
                turns = [turn for _, turn in (*before[:early][::-1], *behind[:late])]
                begin = before[early - 1][0] if early else start
                end = behind[late - 1][0]
                count = len(turns)
                if end is None:
                    continue
                if count < 2 or (count < _CALLS and len(unit) == 1 and isinstance(unit[0], Leaf)):
                    continue
                seams = _seams(body, (begin, end), (start, start + length), taste)
                loop = _loop(turns, shapes) if seams is not None else None
                if seams is None or loop is None:
                    continue
                saved = costs.body(body[begin:end]) - costs.each(loop) - seams
                saved -= _LISTS * max(0, len(loop.variables) - _ENOUGH)
                if count == 2:
                    saved -= _TWO
                if saved > best:
                    best, chosen = saved, (begin, end, loop)
    if chosen is None:
        return None
    start, at, loop = chosen
    return (*body[:start], loop, *body[at:])


def _turns(body: Body, start: int, unit: Body, shapes: Shapes) -> Iterator[tuple[int | None, Body]]:
    """One turn after the other of a loop with this body: where it ends, and what it is.

    Turns of a loop that is there end at no place, but for the last.
    """
    while start < len(body):
        loop = body[start]
        plain = isinstance(loop, Turns) and loop.index is None and isinstance(loop.count, int)
        if isinstance(loop, Turns) and plain and _alike(loop.body, unit, shapes):
            start += 1
            yield from [(None, loop.body)] * (loop.count - 1)
            yield start, loop.body
            continue
        found = _turn(body, start, unit, shapes)
        if found is None or not _movable(found[1]):
            return
        start, turn = found
        yield start, turn


def _turns_before(body: Body, start: int, unit: Body, shapes: Shapes) -> Iterator[tuple[int, Body]]:
    """Turns that stand before such a loop, the last one first, in which repeats are short or none.

    Those are where each begins, and what it is.
    """
    if not any(isinstance(like, Turns) for like in unit):
        return
    better = True
    while better:
        better = False
        for begin in range(max(0, start - LONGEST), start):
            found = _turn(body, begin, unit, shapes)
            if found is not None and found[0] == start and _movable(found[1]):
                yield begin, found[1]
                start, better = begin, True
                break


def _turn(body: Body, start: int, unit: Body, shapes: Shapes) -> tuple[int, Body] | None:
    """What looks like the unit at a place. Repeats in it may be short, or none."""
    made: list[Item] = []
    at, split = start, 0
    for place, like in enumerate(unit):
        item = body[at] if at < len(body) else None
        if isinstance(item, Turns) and isinstance(like, Leaf) and len(unit) > place + 1:
            both = _split(item)
            if _alike(both, unit[place : place + 2], shapes):
                body, split = (*body[:at], *both, *body[at + 1 :]), split + 1
                item = both[0]
        if item is not None and shapes.skeleton(item) == shapes.skeleton(like):
            made.append(item)
            at += 1
        elif isinstance(like, Turns):
            once = (item,) if item is not None else ()
            if (
                once
                and shapes.sequence(once) == shapes.sequence(like.body)
                and _same(once, like, shapes)
            ):
                count = _run(body[at:], like, shapes)
                values = (hole.value for hole in shapes.all_holes(once))
                made += fill((like,), itertools.chain((count,), values))
                at += count
            else:
                made += fill((like,), itertools.chain((0,), itertools.repeat(ANY)))
        else:
            return None
    return (at - split, tuple(made)) if at - split > start else None


def _split(loop: Turns) -> Body:
    """The first turn of a loop of one item, and the loop of the others."""
    if len(loop.body) > 1 or not isinstance(loop.count, int) or loop.count < 2:
        return (loop,)

    def first(value: Any) -> Any:
        return value.start if isinstance(value, Counted) and value.index == loop.index else value

    def second(value: Any) -> Any:
        counts = isinstance(value, Counted) and value.index == loop.index
        return later(value, value.by) if counts else value

    rest = replace(loop, count=loop.count - 1, body=with_values(loop.body, second))
    return (*with_values(loop.body, first), rest)


def _alike(one: Body, other: Body, shapes: Shapes) -> bool:
    return shapes.sequence(one) == shapes.sequence(other)


def _run(body: Body, like: Turns, shapes: Shapes) -> int:
    """How many turns of a loop with one item are here in a row, one by one."""
    first = shapes.skeleton(body[0])
    alike = itertools.takewhile(lambda item: shapes.skeleton(item) == first, body)
    count = next(iter(_turns_from([_apart(item) for item in alike], 1)), 1)
    while count > 1 and shapes.skeleton(_repeated([(one,) for one in body[:count]])) != (
        shapes.skeleton(like)
    ):
        count -= 1
    return count


def _same(one: Body, loop: Turns, shapes: Shapes) -> bool:
    """Whether a single turn is one of that loop's: flags and strides say what it is for."""
    pairs = zip(shapes.all_holes(one), shapes.all_holes(loop.body), strict=True)
    return all(
        a.kind in _FREE
        or a.value == b.value
        or (isinstance(b.value, Counted) and type(a.value) is Nth)
        for a, b in pairs
    )


def _loop(turns: list[Body], shapes: Shapes) -> Each | None:
    """The loop that takes these turns."""
    general = generalize([shapes.all_holes(turn) for turn in turns])
    for (
        one
    ) in general.columns:  # where a turn has nothing to do with it, that of the turn before will do
        some = next(value for value in one.values if value is not ANY)
        for place, value in enumerate(one.values):
            if value is ANY:
                one.values[place] = some
            else:
                some = value
        if one.kind == "count" and one.values.count(0) > len(one.values) / 2:
            return None  # hardly a part of the turns
    lists = [one.values for one in general.columns]
    if not lists or sum(map(len, lists)) > ENTRIES:
        return None
    if any(isinstance(value, Ref | Half | Counted) for values in lists for value in values):
        return None  # numbers are for lists
    variables = tuple(
        Variable(one.symbol, one.kind, one.word, tuple(one.values)) for one in general.columns
    )
    return Each(variables, fill(turns[0], iter(general.values)))
