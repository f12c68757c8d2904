"""Networks whose paths have layers in common: values with names, and what lies between them.

What is in series or side by side is reduced first, so that a residual is one item here too. What is
left are points: values that several take, and merges of what several have made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from xgraph.importing.network import Layer
from xgraph.importing.normal import COMMUTATIVE
from xgraph.importing.structure.tree import (
    Body,
    Fork,
    Item,
    Leaf,
    Strand,
    Tangle,
    attributes,
    is_wired,
    leaf,
    leaves,
)

#: Ops that a fork may end in.
MERGES = frozenset({"add", "average", "concat", "maximum", "multiply"})

#: Forks in forks in forks are said with names instead, from so many on.
DEEPEST = 6
#: Paths from several values stand side by side; more than so many have names.
_BESIDE = 2
_IDENTITY = Leaf("identity")


@dataclass(frozen=True)
class Point:
    """A value with a name.

    Attributes:
        place: the layer that makes it.
        paths: the points that it is made of, and what each goes through first.
        merge: an op or a cell that makes one of them; None where there is a single path.
        merged: the layer that the merge is.
        tail: what follows the merge.
    """

    place: int
    paths: tuple[tuple[int, Body], ...]
    merge: Leaf | Tangle | None = None
    merged: int = -1
    tail: Body = ()

    def followed_by(self, place: int, item: Fork | Leaf) -> Point:
        """The value that another item makes of this one."""
        if self.merge is not None:
            return replace(self, place=place, tail=(*self.tail, item))
        ((source, body),) = self.paths
        return Point(place, ((source, (*body, item)),))


def points(layers: Sequence[Layer], ends: Sequence[int], also: Collection[int] = ()) -> list[Point]:
    """The points that the layers at `ends` need, each after those that it is made of.

    Those, and those at `also`, are points in any case.

    Layers without inputs are points that nothing makes, and are not listed.
    """
    return _Reduction(layers, ends, also).points()


class _Reduction:
    def __init__(
        self, layers: Sequence[Layer], ends: Sequence[int], also: Collection[int] = ()
    ) -> None:
        self.layers, self.ends = layers, ends
        self.known = {*ends, *also}
        self.readers = Counter(read for layer in layers for read in layer.inputs)
        self.made: dict[int, Point] = {}
        self.orders: dict[int, list[int]] = {}

    def points(self) -> list[Point]:
        for place, layer in enumerate(self.layers):
            if len(layer.inputs) == 1:
                self.made[place] = self.behind(layer.inputs[0], place, leaf(layer))
            elif layer.inputs:
                self.made[place] = self.merged(place, layer)
        return ordered(self.made, self.ends)

    def is_private(self, place: int) -> bool:
        """Whether a value is taken once, and has a way to it."""
        return self.readers[place] == 1 and place not in self.known and place in self.made

    def behind(self, source: int, place: int, item: Fork | Leaf) -> Point:
        if self.is_private(source):
            return self.made[source].followed_by(place, item)
        return Point(place, ((source, (item,)),))

    def merged(self, place: int, layer: Layer) -> Point:
        """A fork of paths from one point, or a merge of paths from several."""
        ways = [self.way(read) for read in layer.inputs]
        merge = leaf(layer)
        sources = {source for source, _ in ways}
        deep = 1 + max(map(_depth, (body for _, body in ways)))
        if layer.op.name in MERGES and len(sources) == 1 and deep > 1 and deep <= DEEPEST:
            (source,) = sources
            self.readers[source] -= len(ways) - 1
            return self.behind(source, place, Fork(tuple(body for _, body in ways), merge))
        if layer.op.name in COMMUTATIVE:
            self.orders[place] = sorted(range(len(ways)), key=lambda k: _rank(ways[k][1]))
        if layer.op.name not in MERGES or len(ways) > _BESIDE or deep > DEEPEST:
            ways = [(read, ()) for read in layer.inputs]
        return Point(place, tuple(ways), merge, place)

    def way(self, place: int) -> tuple[int, Body]:
        """From which point a value comes, and how."""
        if self.is_private(place) and self.made[place].merge is None:
            return self.made[place].paths[0]
        return place, ()


def ordered(made: Mapping[int, Point], ends: Sequence[int]) -> list[Point]:
    """The points that some need, each behind what it needs, as near as can be."""
    done: dict[int, None] = {}
    for end in ends:
        todo = [end] if end in made else []
        while todo:
            place = todo[-1]
            missing = [
                source for source, _ in made[place].paths if source not in done and source in made
            ]
            if place in done or not missing:
                done.setdefault(place)
                todo.pop()
            else:
                todo += reversed(missing)
    return [made[place] for place in done]


def _depth(body: Body) -> int:
    """How many forks are in one another; 0 for nothing at all."""
    inner = [_depth(path) for item in body if isinstance(item, Fork) for path in item.paths]
    return (1 if body else 0) + max(inner, default=0)


def _rank(body: Body) -> tuple[int, list[int]]:
    """By what a path comes before others: how long it is, then how large its windows are."""
    found = list(leaves(body))
    sizes = [
        size[0] * size[1]
        for one in found
        for (word, _), size in zip(attributes(one.target), one.values, strict=True)
        if word == "kernel"
    ]
    return -len(found), [-size for size in sizes]


def settled(layers: Sequence[Layer], ends: Sequence[int]) -> list[Layer]:
    """The layers with what merges take in an order that does not depend on where they stand.

    Where paths come from several values, the longest since those comes first, then that of the
    largest windows. Paths from one value stay as they are.
    """
    reduction = _Reduction(layers, ends)
    reduction.points()
    orders = reduction.orders
    return [
        replace(layer, inputs=tuple(layer.inputs[k] for k in orders[place]))
        if place in orders
        else layer
        for place, layer in enumerate(layers)
    ]


def woven(
    found: Sequence[Point], inputs: Mapping[int, str], ends: Sequence[int]
) -> tuple[Body, dict[int, str]]:
    """Points as the strands of a tangle, and their labels.

    Args:
        found: points, each behind those that it is made of.
        inputs: the labels of what the tangle is applied to, the first first.
        ends: what must have a label; a single one that comes last needs none.
    """
    labels = {**inputs, **{one.place: f"n{k}" for k, one in enumerate(found, start=1)}}
    made: list[Strand] = []
    for point in found:
        made += _strands(point, labels)
    return _tidied(made, next(iter(inputs.values())), _needed(found, ends, labels)), labels


def _needed(found: Sequence[Point], ends: Sequence[int], labels: Mapping[int, str]) -> set[str]:
    """Labels of outputs, unless the only one comes last."""
    if len(ends) == 1 and found[-1].place == ends[0]:
        return set()
    return {labels[end] for end in ends}


def _strands(point: Point, labels: Mapping[int, str]) -> Iterator[Strand]:
    """A merge by itself, and what follows it."""
    label = labels[point.place]
    if point.merge is None:
        ((source, body),) = point.paths
        yield Strand(body, label, (labels[source],))
        return
    last = None if point.tail else label
    sources = tuple(labels[source] for source, _ in point.paths)
    if isinstance(point.merge, Leaf) and any(body for _, body in point.paths):
        paths = tuple(
            (Strand(body or (_IDENTITY,), None, (source,)),)
            for (_, body), source in zip(point.paths, sources, strict=True)
        )
        yield Strand((Fork(paths, point.merge),), last)
    else:
        yield Strand((point.merge,), last, sources)
    if point.tail:
        yield Strand(point.tail, label)


def _tidied(made: Sequence[Strand], first: str, needed: set[str]) -> Body:
    """Strands that do not name what is just before them, and have a label only if they need one."""
    found: list[Strand] = []
    before = first
    for one in made:
        found.append(replace(one, sources=()) if one.sources == (before,) else one)
        before = one.label or ""
    wanted = needed | set(_read(found))
    return tuple(one if one.label in wanted else replace(one, label=None) for one in found)


def _read(body: Iterable[Item]) -> Iterator[str]:
    """Labels that strands take."""
    for item in body:
        if isinstance(item, Strand):
            yield from item.sources
            yield from _read(item.body)
        elif isinstance(item, Fork) and is_wired(item):
            for path in item.paths:
                yield from _read(path)


def condensed(tangle: Tangle) -> Tangle:
    """A tangle without strands that are nothing: others take what those would have taken."""
    means: dict[str, str] = {}
    made: list[Strand] = []
    before = tangle.inputs[0]  # of what has no other label, "" is one
    skipped: str | None = None
    for one in tangle.body:
        assert isinstance(one, Strand)
        sources = tuple(means.get(source, source) for source in one.sources)
        if not sources and skipped is not None and skipped != before:
            sources = (skipped,)
        if one.body:
            made.append(replace(one, body=_renamed(one.body, means), sources=sources))
            before, skipped = one.label or "", None
        else:
            skipped = sources[0] if sources else before
            if one.label:
                means[one.label] = skipped
    return replace(tangle, body=tuple(made))


def with_inputs(tangle: Tangle, inputs: tuple[str, ...]) -> Tangle:
    """A tangle whose inputs have other labels."""
    means = dict(zip(tangle.inputs, inputs, strict=True))
    return Tangle(_renamed(tangle.body, means), inputs)


def _renamed(body: Body, means: Mapping[str, str]) -> Body:
    """A body whose strands and paths take what labels mean."""
    made: list[Item] = []
    for item in body:
        if isinstance(item, Strand):
            sources = tuple(means.get(source, source) for source in item.sources)
            made.append(replace(item, body=_renamed(item.body, means), sources=sources))
        elif isinstance(item, Fork) and is_wired(item):
            made.append(replace(item, paths=tuple(_renamed(path, means) for path in item.paths)))
        else:
            made.append(item)
    return tuple(made)
