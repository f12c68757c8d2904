"""Blocks: what a spec says several times, with other values."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from xgraph.importing.structure.cost import Costs
from xgraph.importing.structure.generalize import (
    Column,
    General,
    as_parameters,
    generalize,
    given,
    is_pixel,
    is_word,
)
from xgraph.importing.structure.hints import common
from xgraph.importing.structure.taste import Place, Taste
from xgraph.importing.structure.tree import (
    ANY,
    Block,
    Body,
    Each,
    Fork,
    Hole,
    Item,
    Leaf,
    Parameter,
    Ref,
    Shapes,
    Tangle,
    Tree,
    fill,
    given_to,
    inside,
    origins,
)

#: The longest sequence that is looked at as a block.
LONGEST = 16

#: Makes of the items of a place what all places of a block look like; None where they do not.
Fit = Callable[[Body], Body | None]


@dataclass(frozen=True)
class Candidate:
    """A block that could be, and what it would save."""

    shapes: Shapes
    skeletons: tuple[tuple[int, ...], ...]
    fits: tuple[Fit, ...]
    saving: float
    key: str
    parameters: tuple[Parameter, ...]
    general: General
    shape: Body


_keys = itertools.count(1)


def new_key() -> str:
    """What a block is called until it has a name."""
    return f"block.{next(_keys)}"


def exactly(body: Body) -> Body:
    """A place that already looks like the block."""
    return body


def places(
    tree: Tree, skeletons: Sequence[tuple[int, ...]], shapes: Shapes
) -> Iterator[tuple[Place, int]]:
    """Every place, from left to right, that has one of these skeletons, and which of them."""
    for body, numbers in shapes.lines(tree):
        for start, number in found(numbers, skeletons):
            yield (body, start, start + len(skeletons[number])), number


def found(
    numbers: tuple[int, ...], skeletons: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, int]]:
    """Where a sequence has one of these skeletons, the longest first; places do not overlap."""
    firsts = {skeleton[0] for skeleton in skeletons}
    if firsts.isdisjoint(numbers):
        return
    order = sorted(range(len(skeletons)), key=lambda k: -len(skeletons[k]))
    start = 0
    while start < len(numbers):
        if numbers[start] in firsts:
            for k in order:
                end = start + len(skeletons[k])
                if numbers[start:end] == skeletons[k]:
                    yield start, k
                    start = end - 1
                    break
        start += 1


def windows(tree: Tree, shapes: Shapes) -> dict[tuple[int, ...], tuple[int, Body]]:
    """The skeletons of all sequences of items that stand twice or more; how often, and one."""
    counts: dict[tuple[int, ...], int] = {}
    one: dict[tuple[int, ...], Body] = {}
    for body, numbers in shapes.lines(tree):
        for start in range(len(body)):
            for end in range(start + 1, min(len(body), start + LONGEST) + 1):
                key = numbers[start:end]
                counts[key] = counts.get(key, 0) + 1
                one.setdefault(key, body[start:end])
    return {
        key: (counts[key], body)
        for key, body in one.items()
        if counts[key] > 1 and not (len(body) == 1 and isinstance(body[0], Leaf))
    }


def candidate(
    tree: Tree,
    skeletons: tuple[tuple[int, ...], ...],
    fits: tuple[Fit, ...],
    shapes: Shapes,
    costs: Costs,
    taste: Taste,
) -> Candidate | None:
    """What the block of these places would be, and save; None where there can be none."""
    uses, inputs, before, where = [], [], 0.0, []
    shape: Body = ()
    for place, number in places(tree, skeletons, shapes):
        body, start, end = place
        fitted = fits[number](body[start:end])
        if fitted is None or not (shape or _movable(fitted)):
            return None
        shape = fitted
        uses.append(shapes.all_holes(fitted))
        inputs.append(given_to(body[start:end]))
        before += costs.body(body[start:end])
        where.append(place)
    if len(uses) < 2:
        return None
    several = isinstance(shape[0], Tangle) and len(shape[0].inputs) > 1
    general = generalize(uses, () if several else inputs, gates=gates(shape))
    parameters = as_parameters(general.columns)
    if any(one.default is None and ANY in column.values for one, column in parameters):
        return None
    key = new_key()
    block = Block(key, tuple(one for one, _ in parameters), fill(shape, iter(general.values)))
    liking = taste.of_block(block, where)
    if liking is None:
        return None
    costs.words.parameters[key] = block.parameters
    after = costs.block(block)
    after += sum(costs.item(_call(key, parameters, number)) for number in range(len(uses)))
    for parameter, column in parameters:
        if parameter.kind == "kernel":
            liking -= taste.mixes(column.values)
    return Candidate(
        shapes, skeletons, fits, before - after + liking, key, block.parameters, general, shape
    )


def _movable(body: Body) -> bool:
    """Whether items may stand in a block: a loop over lists is like none but itself."""
    return not any(
        isinstance(item, Each)
        or (not isinstance(item, Leaf) and not all(map(_movable, inside(item))))
        for item in body
    )


def gates(shape: Body) -> bool:
    """Whether a sequence scales what it is applied to, by something that it makes of it."""
    only = shape[0]
    return (
        len(shape) == 1
        and isinstance(only, Fork)
        and only.merge.target == "multiply"
        and () in only.paths
    )


def _call(key: str, parameters: Sequence[tuple[Parameter, Column]], number: int) -> Leaf:
    """The call of one use."""
    values: dict[int, object] = {}
    for parameter, column in parameters:
        values[parameter.symbol] = column.values[number]
    for parameter, _ in parameters:
        values[parameter.symbol] = given(parameter, values[parameter.symbol], values)
    return Leaf(key, tuple(values[parameter.symbol] for parameter, _ in parameters))


def applied(tree: Tree, chosen: Candidate) -> Tree:
    """The tree with a block, and calls in all its places."""
    key, parameters, shapes = chosen.key, chosen.parameters, chosen.shapes
    body = fill(chosen.shape, iter(chosen.general.values))

    def change(sequence: Body) -> Body:
        made: list[Item] = []
        start = 0
        for place, number in list(found(shapes.sequence(sequence), chosen.skeletons)):
            made += sequence[start:place]
            start = place + len(chosen.skeletons[number])
            fitted = chosen.fits[number](sequence[place:start])
            assert fitted is not None
            call = _solved(key, parameters, chosen.general, shapes.all_holes(fitted))
            window = sequence[place:start]
            origin = common(origins(window))
            made.append(replace(call, given=given_to(window), origin=origin))
        return (*made, *sequence[start:])

    rewritten = tree.rewritten(change)
    return Tree(rewritten.body, {key: Block(key, parameters, body), **rewritten.blocks})


def _solved(
    key: str, parameters: Sequence[Parameter], general: General, holes: Sequence[Hole]
) -> Leaf:
    """The call that stands for these holes."""
    values: dict[int, object] = {}
    words = {one.symbol for one in parameters if one.kind == "padding" and is_word(one.default)}
    for place, (meant, hole) in enumerate(zip(general.values, holes, strict=True)):
        if (
            not isinstance(meant, Ref)
            or hole.kind in ("given", "origin")
            or values.get(meant.symbol, ANY) is not ANY
        ):
            continue
        if meant.is_plain:
            free = hole.value is ANY and hole.word == "padding" and meant.symbol not in words
            values[meant.symbol] = "valid" if free and is_pixel(holes, place) else hole.value
    for parameter in parameters:
        values[parameter.symbol] = given(parameter, values.get(parameter.symbol, ANY), values)
    return Leaf(key, tuple(values[parameter.symbol] for parameter in parameters))
