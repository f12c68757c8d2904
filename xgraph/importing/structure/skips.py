"""Blocks that add what they are applied to where that is possible: where no pixel is left out, and
as many channels come out as go in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xgraph.importing.structure.blocks import new_key
from xgraph.importing.structure.generalize import new_symbol
from xgraph.importing.structure.rates import DROPS
from xgraph.importing.structure.tree import (
    ANY,
    Block,
    Body,
    Fits,
    Fork,
    Item,
    Leaf,
    Nth,
    Option,
    Parameter,
    Ref,
    Shapes,
    Tree,
    attributes,
    inside,
    with_inside,
)
from xgraph.importing.structure.vary import Vary, side_by_side

_ONE = (1, 1)
_MAKERS = frozenset({"conv", "separable_conv"})


@dataclass(frozen=True)
class _Use:
    """A call of a block, and the fork of which it is a path, if it is; with what drops that.

    It is `added` if it is a part of a path that is added to something else.
    """

    call: Leaf
    fork: Fork | None = None
    drop: Leaf | None = None
    added: bool = False


def with_skips(tree: Tree) -> Iterator[tuple[str, Tree]]:
    """The trees in which one block adds its input itself, and that block's key in each."""
    uses: dict[str, list[_Use]] = {key: [] for key in tree.blocks}
    for body in (tree.body, *(block.body for block in tree.blocks.values())):
        for use in _uses(body):
            if use.call.target in uses:
                uses[use.call.target].append(use)
    for key, mine in uses.items():
        found = _skip(tree, tree.blocks[key], mine)
        if found is not None:
            yield found.key, _replaced(tree, key, found)


def stands_alone(shape: Body, tree: Tree, shapes: Shapes) -> bool:
    """Whether what a block would add to an input stands elsewhere without being added.

    That had better be a block first, and then one with a skip.
    """
    return any(isinstance(one, Fork) and _stands_alone(one, tree, shapes) for one in shape)


def _stands_alone(fork: Fork, tree: Tree, shapes: Shapes) -> bool:
    if fork.merge.target != "add":
        return False
    path = tuple(one for one in fork.paths[0] if not _drops(one))
    if len(fork.paths) != 2 or fork.paths[1] or len(path) < 2:
        return False
    for whole in (True, False):
        part: Body = ()
        for item in path:
            part += (item,) if not isinstance(item, Option) else item.body if whole else item.other
        wanted, length = shapes.sequence(part), len(part)
        for body, numbers in shapes.lines(tree):
            for start in range(len(body) - length + 1):
                rest = body[start + length :]
                apart = start > 0 or not all(map(_drops, rest))
                if apart and numbers[start : start + length] == wanted:
                    return True
    return False


def _drops(item: Item) -> bool:
    return isinstance(item, Leaf) and item.target == DROPS


def _skip(tree: Tree, block: Block, uses: Sequence[_Use]) -> Block | None:
    """The block that adds its input where those of its uses do that are paths of forks."""
    forks = [use for use in uses if use.fork is not None]
    if not forks or len(forks) == len(uses) or len({use.drop is None for use in forks}) > 1:
        return None
    if any(use.added for use in uses):  # what is added is not added once more
        return None
    filters = _made(block.body, tree)
    strides = [one.symbol for one in block.parameters if one.kind == "stride"]
    if filters is None or len(strides) > 1:
        return None
    places = {one.symbol: place for place, one in enumerate(block.parameters)}
    for use in uses:
        stride = use.call.values[places[strides[0]]] if strides else _ONE
        if isinstance(stride, Ref | Vary) or (stride != _ONE and use.fork is not None):
            return None
        # What is added is of one shape; of what is not, somebody must know that it is not.
        same = _same(use.call.given, use.call.values[places[filters]])
        if use.fork is None and stride == _ONE and same is not False:
            return None
    fork = forks[0].fork
    assert fork is not None
    path = block.body
    parameters = tuple(
        replace(one, default=_ONE) if one.kind == "stride" else one for one in block.parameters
    )
    if (drop := forks[0].drop) is not None:
        place = Parameter(new_symbol(), "rate", "place", Nth(0))
        path = (*path, replace(drop, values=(Ref(place.symbol),), given=Ref(filters)))
        parameters = (*parameters, place)
    skip = Fits(Ref(filters), Ref(strides[0]) if strides else None)
    return Block(new_key(), parameters, (Fork((path, ()), fork.merge, skip),))


def _same(one: Any, other: Any) -> bool | None:
    """Whether two numbers of channels are equal, None where nobody knows."""
    if one is None or other is ANY or isinstance(one, Ref) != isinstance(other, Ref):
        return None
    if isinstance(one, Ref):
        return True if one == other else None
    found = {a == b for a, b in side_by_side(one, other)}
    return None if len(found) > 1 else found.pop()


def _made(body: Body, tree: Tree) -> int | None:
    """The parameter that says how many channels come out."""
    for item in reversed(body):
        if not isinstance(item, Leaf):
            return None
        value = None
        if item.target in _MAKERS:
            value = item.values[0]
        elif item.target in tree.blocks:
            inner = tree.blocks[item.target]
            if (symbol := _made(inner.body, tree)) is None:
                return None
            value = item.values[[one.symbol for one in inner.parameters].index(symbol)]
        elif any(word in ("filters", "multiplier") for word, _ in attributes(item.target)):
            return None
        if value is not None:
            return (
                value.symbol if isinstance(value, Ref) and value.is_plain and value.symbol else None
            )
    return None


def _use(item: Item) -> _Use | None:
    """A fork as the use of a block that is all of its path."""
    if not isinstance(item, Fork) or item.merge.target != "add" or item.skip is not None:
        return None
    if len(item.paths) != 2 or item.paths[1] or not item.paths[0]:
        return None
    call, *more = item.paths[0]
    if not isinstance(call, Leaf) or len(more) > 1:
        return None
    if not more:
        return _Use(call, item)
    (drop,) = more
    known = isinstance(drop, Leaf) and drop.target == DROPS and type(drop.values[0]) is not float
    return _Use(call, item, drop) if known and isinstance(drop, Leaf) else None


def _uses(body: Body, added: bool = False) -> Iterator[_Use]:
    """All calls, each once."""
    for item in body:
        if (found := _use(item)) is not None:
            yield found
        elif isinstance(item, Leaf):
            yield _Use(item, added=added)
        else:
            adds = isinstance(item, Fork) and item.merge.target == "add"
            for inner in inside(item):
                yield from _uses(inner, added or adds)


def _replaced(tree: Tree, key: str, block: Block) -> Tree:
    """The tree with another block, which adds its input itself, instead of one."""
    more = len(block.parameters) - len(tree.blocks[key].parameters)

    def instead(item: Item) -> Item:
        use = _use(item) or (_Use(item) if isinstance(item, Leaf) else None)
        if use is None or use.call.target != key:
            inner = inside(item)
            made = tuple(tuple(map(instead, one)) for one in inner)
            same = all(
                a is b for x, y in zip(made, inner, strict=True) for a, b in zip(x, y, strict=True)
            )
            return item if same else with_inside(item, made)
        place = (use.drop.values[0] if use.drop is not None else ANY,) if more else ()
        return replace(use.call, target=block.key, values=(*use.call.values, *place))

    blocks = {
        block.key if name == key else name: block
        if name == key
        else replace(one, body=tuple(map(instead, one.body)))
        for name, one in tree.blocks.items()
    }
    return Tree(tuple(map(instead, tree.body)), blocks)
