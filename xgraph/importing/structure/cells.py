"""Cells: parts of a tangle with one way out, several of which may be alike.

A merge of one class, by its op and how much it takes, ends each cell. What leads to no other cell's
end belongs to it; a value that several cells take is a cell's end too.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from xgraph.importing.network import Layer
from xgraph.importing.structure.cost import Costs, Words
from xgraph.importing.structure.strands import Point, ordered, points, woven
from xgraph.importing.structure.taste import is_finish
from xgraph.importing.structure.tree import Body, Item, Leaf, Shapes, Tangle, inside

#: The points of a cell; the last is its end.
Members = tuple[Point, ...]

#: Places of values that no layer makes.
_places = itertools.count(-1, -1)


def tangled(
    layers: Sequence[Layer], ends: Sequence[int], in_cells: bool
) -> tuple[Tangle, dict[int, str]]:
    """Layers as a tangle, and the labels of its points.

    Args:
        layers: the first is what the tangle is applied to.
        ends: what comes out.
        in_cells: whether to look for cells; where there are none, there is one tangle all the same.
    """
    found = points(layers, ends)
    body, labels = woven(found, {0: "input"}, ends)
    if in_cells:
        ways = [_in_cells(layers, ends, cuts) for cuts in _cuts(layers, found)]
        body, labels = min(ways, key=lambda way: _price(way[0]))
    return Tangle(body), labels


def _cuts(layers: Sequence[Layer], found: Sequence[Point]) -> list[set[int]]:
    """Where cells could end: nowhere but where they must, or behind each merge of a class."""
    classes: dict[tuple[str, int], list[Point]] = {}
    for point in found:
        if isinstance(point.merge, Leaf):
            classes.setdefault((point.merge.target, len(point.paths)), []).append(point)
    taken_by = _readers(layers)
    cuts: list[set[int]] = [set()]
    for same in classes.values():
        if len(same) > 1:
            ends = [point.merged for point in same]
            while all(_is_finished(layers, taken_by, end) for end in ends):
                ends = [taken_by[end][0] for end in ends]
            cuts.append(set(ends))
    return cuts


def _readers(layers: Sequence[Layer]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in layers]
    for place, layer in enumerate(layers):
        for read in layer.inputs:
            found[read].append(place)
    return found


def _is_finished(layers: Sequence[Layer], taken_by: Sequence[Sequence[int]], end: int) -> bool:
    """Whether a norm or an activation takes a value, and nothing else does."""
    return len(taken_by[end]) == 1 and is_finish(layers[taken_by[end][0]].op.name)


def _in_cells(
    layers: Sequence[Layer], ends: Sequence[int], cuts: set[int]
) -> tuple[Body, dict[int, str]]:
    """The points with those of a cell as one."""
    found = points(layers, ends, cuts)
    owner = _owners(found, cuts | set(ends))
    members: dict[int, list[Point]] = {}
    for point in found:
        members.setdefault(owner[point.place], []).append(point)
    cells = _cells([tuple(one) for one in members.values() if len(one) > 1])
    made = [cells.get(point.place, point) for point in found if owner[point.place] == point.place]
    return woven(made, {0: "input"}, ends)


def _cells(parts: Sequence[Members]) -> dict[int, Point]:
    """Parts as cells, by their ends.

    Those that are the same but for what inputs go through first get a place for that, even if
    nothing is there in some, so that they can be one block.
    """
    shapes = Shapes()
    plain = [_cell(part) for part in parts]
    open_to: dict[Any, list[int]] = {}
    entered = [_with_entries(part) for part in parts]
    for number, part in enumerate(entered):
        open_to.setdefault(_core(part, shapes), []).append(number)
    for numbers in open_to.values():
        kinds = {shapes.skeleton(_tangle(plain[k])) for k in numbers}
        if len(kinds) > 1:
            for k in numbers:
                plain[k] = _cell(entered[k], entered=True)
    return {cell.place: cell for cell in plain}


def _tangle(cell: Point) -> Tangle:
    assert isinstance(cell.merge, Tangle)
    return cell.merge


def _with_entries(members: Members) -> Members:
    """A cell in which each input that items take directly has a name within."""
    own = {point.place for point in members}
    direct: dict[int, list[int]] = {}
    for number, point in enumerate(members):
        for source, _ in point.paths:
            if source not in own and not _is_entry(point, own):
                direct.setdefault(source, []).append(number)
    made: list[Point] = []
    names: dict[int, int] = {}
    for number, point in enumerate(members):
        for source, numbers in direct.items():
            if numbers[0] == number and len(numbers) > 1:
                names[source] = next(_places)
                made.append(Point(names[source], ((source, ()),)))
        paths = tuple(
            (source if _is_entry(point, own) else names.get(source, source), body)
            for source, body in point.paths
        )
        made.append(replace(point, paths=paths))
    return tuple(ordered({point.place: point for point in made}, [members[-1].place]))


def _is_entry(point: Point, own: Collection[int]) -> bool:
    """Whether a point is what an input becomes before anything else is done with it."""
    return point.merge is None and point.paths[0][0] not in own


def _core(members: Members, shapes: Shapes) -> Any:
    """What cells have in common that differ in what their inputs go through first."""
    own = {point.place: k for k, point in enumerate(members)}
    return tuple(
        ("entry",)
        if _is_entry(point, own)
        else (
            point.merge and shapes.skeleton(point.merge),
            tuple((own.get(source), shapes.sequence(body)) for source, body in point.paths),
            shapes.sequence(point.tail),
        )
        for point in members
    )


def _owners(found: Sequence[Point], cuts: set[int]) -> dict[int, int]:
    """The end of the cell of each point: the only cut that it leads to without another between."""
    taken_by: dict[int, set[int]] = {point.place: set() for point in found}
    owner: dict[int, int] = {}
    for point in reversed(found):
        ends = taken_by[point.place]
        place = point.place if point.place in cuts or len(ends) != 1 else next(iter(ends))
        owner[point.place] = place
        for source, _ in point.paths:
            if source in taken_by:
                taken_by[source].add(place)
    return owner


def _cell(members: Members, entered: bool = False) -> Point:
    """Points that lead to the last of them, which alone is taken by others, as one.

    With `entered`, each point that is an entry has an input of its own.
    """
    own = {point.place for point in members}
    inputs: dict[tuple[int, int], int] = {}
    made: list[Point] = []
    for number, point in enumerate(members):
        apart = number if entered and _is_entry(point, own) else -1
        paths = []
        for source, body in point.paths:
            if source in own:
                paths.append((source, body))
            else:
                paths.append((inputs.setdefault((source, apart), next(_places)), body))
        made.append(replace(point, paths=tuple(paths)))
    sources = [source for source, _ in inputs]
    words = ["input"] if len(sources) == 1 else [f"x{k}" for k in range(1, len(sources) + 1)]
    end = made[-1]
    within = 0
    while within < len(end.tail) and _finishes(end.tail[within]):
        within += 1
    last = replace(end, tail=end.tail[:within])
    labels = dict(zip(inputs.values(), words, strict=True))
    body, _ = woven([*made[:-1], last], labels, [end.place])
    taken: tuple[tuple[int, Body], ...] = tuple((source, ()) for source in sources)
    return replace(end, paths=taken, merge=Tangle(body, tuple(words)), tail=end.tail[within:])


def _finishes(item: Item) -> bool:
    return isinstance(item, Leaf) and is_finish(item.target)


def _price(body: Body) -> float:
    """About what a body costs where cells that are alike are a block."""
    costs, shapes = Costs(Words()), Shapes()
    known: set[int] = set()
    total = 0.0
    for strand in body:
        total += costs.item(strand)
        for item in inside(strand)[0]:
            if isinstance(item, Tangle):
                number = shapes.skeleton(item)
                if number in known:
                    total -= costs.item(item) - costs.prices.item - costs.prices.value
                known.add(number)
    return total
