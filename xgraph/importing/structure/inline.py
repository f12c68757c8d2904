"""Blocks that are called once, put in place again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from xgraph.importing.structure.tree import (
    ANY,
    Body,
    Each,
    Fork,
    Half,
    Item,
    Leaf,
    Option,
    Ref,
    Tree,
    Turns,
    leaves,
    with_inside,
)


def inlined(tree: Tree) -> Tree:
    """Without blocks that stand once in the text."""
    while (found := _called_once(tree)) is not None:
        block = tree.blocks[found]
        rest = {key: one for key, one in tree.blocks.items() if key != found}

        def change(body: Body, block: Any = block) -> Body:
            made: list[Item] = []
            for item in body:
                if isinstance(item, Leaf) and item.target == block.key:
                    symbols = (parameter.symbol for parameter in block.parameters)
                    made += bound(block.body, dict(zip(symbols, item.values, strict=True)))
                else:
                    made.append(item)
            return tuple(made)

        tree = Tree(tree.body, rest).rewritten(change)
    return tree


def _called_once(tree: Tree) -> str | None:
    counts: Counter[str] = Counter()
    for body in (tree.body, *(block.body for block in tree.blocks.values())):
        counts.update(one.target for one in leaves(body) if one.target in tree.blocks)
    for key, block in tree.blocks.items():
        if counts[key] < 2 and not _keeps(block.body):
            return key
    return None


def _keeps(body: Body) -> bool:
    """Whether a body only reads well as a block: there is a choice in it."""
    return any(isinstance(item, Option) for item in body)


def bound(body: Body, values: Mapping[int, Any]) -> Body:
    """A body with values for its parameters."""
    made: list[Item] = []
    for item in body:
        if isinstance(item, Leaf):
            given = tuple(value_of(value, values) for value in item.values)
            made.append(Leaf(item.target, given, item.label, item.sources))
        elif isinstance(item, Fork):
            paths = tuple(bound(path, values) for path in item.paths)
            made.append(with_inside(item, paths))
        elif isinstance(item, Turns):
            made.append(Turns(value_of(item.count, values), bound(item.body, values)))
        elif isinstance(item, Each):
            variables = tuple(
                replace(one, values=tuple(value_of(value, values) for value in one.values))
                for one in item.variables
            )
            made.append(Each(variables, bound(item.body, values)))
        else:
            condition = value_of(item.condition, values)
            if condition is True:
                made += bound(item.body, values)
            elif condition is not False:
                made.append(Option(condition, bound(item.body, values)))
    return tuple(made)


def value_of(value: Any, values: Mapping[int, Any]) -> Any:
    """What a value is where parameters have these values."""
    if isinstance(value, Half):
        kernel = value_of(value.kernel, values)
        if isinstance(kernel, Ref):
            return Half(kernel)
        return ANY if kernel is ANY else tuple((size // 2, size // 2) for size in kernel)
    if not isinstance(value, Ref) or value.symbol not in values:
        return value
    given = values[value.symbol]
    if isinstance(given, Ref):
        return Ref(given.symbol, given.times * value.times, given.over * value.over)
    if isinstance(given, int) and not isinstance(given, bool):
        return given * value.times // value.over
    return given
