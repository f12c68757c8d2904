"""Cells: parts of a tangle with one way out, several of which may be alike.

A merge of one class, by its op and how much it takes, ends each cell. What leads to no other cell's
end belongs to it; a value that several cells take is a cell's end too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xgraph.importing.network import Layer
from xgraph.importing.structure.cost import Costs, Words
from xgraph.importing.structure.strands import Point, points, woven
from xgraph.importing.structure.taste import is_finish
from xgraph.importing.structure.tree import Body, Item, Leaf, Shapes, Tangle, inside



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
        if point.merge is not None:
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
    members: dict[int, list[Point]] = {}
    owner = _owners(found, cuts | set(ends))
    for point in found:
        members.setdefault(owner[point.place], []).append(point)
    made = [
        point if len(members[point.place]) == 1 else _cell(members[point.place])
        for point in found
        if owner[point.place] == point.place
    ]
    return woven(made, {0: "input"}, ends)


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


def _cell(members: Sequence[Point]) -> Point:
    """Points that lead to the last of them, which alone is taken by others, as one."""
    end = members[-1]
    own = {point.place for point in members}
    sources = list(
        dict.fromkeys(
            source for point in members for source, _ in point.paths if source not in own
        )
    )
    words = ["input"] if len(sources) == 1 else [f"x{k}" for k in range(1, len(sources) + 1)]
    within = 0
    while within < len(end.tail) and _finishes(end.tail[within]):
        within += 1
    last = replace(end, tail=end.tail[:within])
    body, _ = woven([*members[:-1], last], dict(zip(sources, words, strict=True)), [end.place])
    paths = tuple((source, ()) for source in sources)
    return replace(end, paths=paths, merge=Tangle(body, tuple(words)), tail=end.tail[within:])


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
