"""Options: a part of a block that some of its uses do not have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from xgraph.importing.structure.tree import (
    ANY,
    Body,
    Fork,
    Item,
    Option,
    Shapes,
    Strand,
    Tangle,
    fill,
    is_wired,
    with_inside,
)

#: So many strands of a tangle may be others in another one that is the same block.
_STRANDS = 2


def aligned(one: Body, other: Body, shapes: Shapes) -> tuple[Body, Body] | None:
    """Two sequences that differ in a part which one of them has alone, both with it as an option.

    None where they differ in more than that, or in nothing.
    """
    a, b = shapes.sequence(one), shapes.sequence(other)
    first = 0
    while first < min(len(a), len(b)) and a[first] == b[first]:
        first += 1
    last = 0
    while last < min(len(a), len(b)) - first and a[-1 - last] == b[-1 - last]:
        last += 1
    mine, yours = one[first : len(one) - last], other[first : len(other) - last]
    if not mine and not yours:
        return None
    if not mine or not yours:
        part = mine or yours
        there, gone = _optional(part)
        made = [
            (*body[:first], option, *body[len(body) - last :])
            for body, option in ((one, there if mine else gone), (other, there if yours else gone))
        ]
        return made[0], made[1]
    if len(mine) == len(yours) == 1:
        inner = _aligned_inside(mine[0], yours[0], shapes)
        if inner is not None:
            return (
                (*one[:first], inner[0], *one[first + 1 :]),
                (*other[:first], inner[1], *other[first + 1 :]),
            )
    return None


def _aligned_inside(one: Item, other: Item, shapes: Shapes) -> tuple[Item, Item] | None:
    """Two forks of which one path differs, or two tangles of which one strand does."""
    if isinstance(one, Tangle) and isinstance(other, Tangle):
        return _aligned_tangles(one, other, shapes)
    if not isinstance(one, Fork) or not isinstance(other, Fork) or one.skip != other.skip:
        return None
    if one.merge.target != other.merge.target or len(one.paths) != len(other.paths):
        return None
    pairs = list(zip(one.paths, other.paths, strict=True))
    differ = [k for k, (a, b) in enumerate(pairs) if shapes.sequence(a) != shapes.sequence(b)]
    if len(differ) != 1:
        return None
    found = aligned(*pairs[differ[0]], shapes)
    if found is None:
        return None
    mine, yours = list(one.paths), list(other.paths)
    mine[differ[0]], yours[differ[0]] = found
    return with_inside(one, tuple(mine)), with_inside(other, tuple(yours))


def _aligned_tangles(one: Tangle, other: Tangle, shapes: Shapes) -> tuple[Item, Item] | None:
    """Two tangles that are wired alike, in which a strand is not what it is in the other."""
    if one.inputs != other.inputs or len(one.body) != len(other.body):
        return None
    mine, yours = list(one.body), list(other.body)
    differ = [
        k for k, (a, b) in enumerate(zip(mine, yours, strict=True)) if not _alike(a, b, shapes)
    ]
    if not 0 < len(differ) <= _STRANDS:
        return None
    for k in differ:
        a, b = mine[k], yours[k]
        assert isinstance(a, Strand)
        assert isinstance(b, Strand)
        if (a.label, a.sources) != (b.label, b.sources) or any(map(is_wired, (*a.body, *b.body))):
            return None
        first, second = aligned(a.body, b.body, shapes) or _either(a.body, b.body, shapes)
        mine[k], yours[k] = replace(a, body=first), replace(b, body=second)
    return replace(one, body=tuple(mine)), replace(other, body=tuple(yours))


def _alike(one: Item, other: Item, shapes: Shapes) -> bool:
    return shapes.skeleton(one) == shapes.skeleton(other)


def _either(one: Body, other: Body, shapes: Shapes) -> tuple[Body, Body]:
    """Two sequences as a choice between both."""
    return (Option(True, one, blank(other)),), (Option(False, blank(one), other),)


def _optional(part: Body) -> tuple[Option, Option]:
    """A part as an option that is there, and as one that is not, in which anything will do."""
    if len(part) == 1 and isinstance(part[0], Option) and not part[0].other:
        return part[0], Option(False, blank(part[0].body))
    return Option(True, part), Option(False, blank(part))


def blank(body: Body) -> Body:
    """The same with anything in its holes."""
    return fill(body, _anything())


def _anything() -> Iterator[object]:
    while True:
        yield ANY


def fitted(body: Body, like: Body, shapes: Shapes) -> Body | None:
    """A sequence in the form of another one that has options; None where it has another form."""
    made: list[Item] = []
    at = 0
    for item in like:
        here = body[at] if at < len(body) else None
        if here is not None and shapes.skeleton(here) == shapes.skeleton(item):
            made.append(here)
            at += 1
        elif isinstance(item, Option):
            part = body[at : at + len(item.body)]
            other = body[at : at + len(item.other)]
            if shapes.sequence(part) == shapes.sequence(item.body):
                made.append(Option(True, part, blank(item.other)))
                at += len(part)
            elif shapes.sequence(other) == shapes.sequence(item.other):
                made.append(Option(False, blank(item.body), other))
                at += len(other)
            else:
                return None
        elif isinstance(item, Fork) and isinstance(here, Fork):
            fork = _fitted_fork(here, item, shapes)
            if fork is None:
                return None
            made.append(fork)
            at += 1
        elif isinstance(item, Tangle) and isinstance(here, Tangle):
            tangle = _fitted_tangle(here, item, shapes)
            if tangle is None:
                return None
            made.append(tangle)
            at += 1
        else:
            return None
    return tuple(made) if at == len(body) else None


def _fitted_fork(one: Fork, like: Fork, shapes: Shapes) -> Item | None:
    if one.merge.target != like.merge.target or len(one.paths) != len(like.paths):
        return None
    if one.skip != like.skip:  # of another block, whose parameters it is about
        return None
    paths = []
    for path, form in zip(one.paths, like.paths, strict=True):
        made = fitted(path, form, shapes)
        if made is None:
            return None
        paths.append(made)
    return with_inside(one, tuple(paths))


def _fitted_tangle(one: Tangle, like: Tangle, shapes: Shapes) -> Tangle | None:
    if one.inputs != like.inputs or len(one.body) != len(like.body):
        return None
    strands: list[Item] = []
    for strand, form in zip(one.body, like.body, strict=True):
        if _alike(strand, form, shapes):
            strands.append(strand)
            continue
        assert isinstance(strand, Strand)
        assert isinstance(form, Strand)
        made = fitted(strand.body, form.body, shapes)
        if made is None or (strand.label, strand.sources) != (form.label, form.sources):
            return None
        strands.append(replace(strand, body=made))
    return replace(one, body=tuple(strands))


def similar(
    groups: Sequence[tuple[tuple[int, ...], Body]], shapes: Shapes
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], Body]]:
    """Pairs of skeletons that differ in an option, and what both look like with it."""
    for number, (key, body) in enumerate(groups):
        for other_key, other in groups[number + 1 :]:
            if abs(len(body) - len(other)) > 6:
                continue
            found = aligned(body, other, shapes)
            if found is not None:
                yield key, other_key, found[0]
