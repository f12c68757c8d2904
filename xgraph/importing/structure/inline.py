"""Blocks that are called once, put in place again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from xgraph.importing.structure.generalize import new_symbol
from xgraph.importing.structure.strands import condensed
from xgraph.importing.structure.tree import (
    ANY,
    INPUT,
    Block,
    Body,
    Counted,
    Each,
    Fits,
    Fork,
    Half,
    Item,
    Leaf,
    Option,
    Parameter,
    Ref,
    Strand,
    Tangle,
    Tree,
    Turns,
    inside,
    later,
    leaves,
    with_inside,
)
from xgraph.importing.structure.vary import is_whole, scaled


def inlined(tree: Tree) -> Tree:
    """Without blocks that stand once in the text, or are another one by another name."""
    return _without(tree, lambda tree: _called_once(tree) or _wrapper(tree))


def unwrapped(tree: Tree) -> Tree:
    """Without blocks that are another one by another name."""
    return _without(tree, _wrapper)


def _without(tree: Tree, choose: Callable[[Tree], str | None]) -> Tree:
    while (found := choose(tree)) is not None:
        block = tree.blocks[found]
        rest = {key: one for key, one in tree.blocks.items() if key != found}

        def change(body: Body, block: Any = block) -> Body:
            made: list[Item] = []
            for item in body:
                if isinstance(item, Leaf) and item.target == block.key:
                    symbols = (parameter.symbol for parameter in block.parameters)
                    values = dict(zip(symbols, item.values, strict=True))
                    made += bound(block.body, {INPUT: item.given, **values})
                else:
                    made.append(item)
            return tuple(made)

        tree = Tree(tree.body, rest).rewritten(change)
    return tree


def lifted(tree: Tree, key: Callable[[], str]) -> Tree:
    """With each tangle in a block of its own, where its labels are: the only item of a body."""
    blocks: dict[str, Block] = {}
    known = {INPUT: Parameter(INPUT, "channels", "channels")}
    known |= {one.symbol: one for block in tree.blocks.values() for one in block.parameters}
    for body in tree.bodies():
        for item in body:
            if isinstance(item, Each):
                known |= {v.symbol: Parameter(v.symbol, v.kind, v.word) for v in item.variables}

    def apart(item: Tangle) -> Leaf:
        """The call of a block with a tangle, which is given all numbers that the tangle reads."""
        mentioned = _symbols((item,))
        read = [symbol for symbol in known if symbol in mentioned]
        parameters = [replace(known[one], symbol=new_symbol(), default=None) for one in read]
        renamed = {old: Ref(one.symbol) for old, one in zip(read, parameters, strict=True)}
        block = Block(key(), tuple(parameters), bound((item,), renamed))
        blocks[block.key] = block
        return Leaf(block.key, tuple(Ref(old) for old in read))

    def all_of(body: Body, own: bool) -> Body:
        """A body with its tangles apart; one that has names of its `own` may be a tangle."""
        if own and len(body) == 1 and isinstance(body[0], Tangle):
            return (replace(body[0], body=all_of(body[0].body, own=False)),)
        return tuple(
            apart(replace(item, body=all_of(item.body, own=False)))
            if isinstance(item, Tangle)
            else with_inside(item, tuple(all_of(one, own=False) for one in inside(item)))
            for item in body
        )

    tree = tree.rewritten(_condensed)
    made = {k: replace(one, body=all_of(one.body, own=True)) for k, one in tree.blocks.items()}
    single = sum(isinstance(item, Tangle) for item in tree.body) == 1
    body = tuple(
        one
        for item in tree.body
        for one in all_of((item,), own=single)  # a section has names of its own
    )
    return Tree(body, {**blocks, **made})


def _condensed(body: Body) -> Body:
    return tuple(condensed(item) if isinstance(item, Tangle) else item for item in body)


def _symbols(body: Body) -> set[int]:
    """The parameters and variables that a body reads."""
    found: set[int] = set()
    for item in body:
        if isinstance(item, Leaf):
            read = (value.kernel if isinstance(value, Half) else value for value in item.values)
            starts = (value.start if isinstance(value, Counted) else value for value in read)
            found |= {value.symbol for value in starts if isinstance(value, Ref)}
        for inner in inside(item):
            found |= _symbols(inner)
    return found


def _called_once(tree: Tree) -> str | None:
    calls: dict[str, list[Leaf]] = {key: [] for key in tree.blocks}
    for body in (tree.body, *(block.body for block in tree.blocks.values())):
        for one in leaves(body):
            if one.target in calls:
                calls[one.target].append(one)
    for key, block in tree.blocks.items():
        told = INPUT not in _symbols(block.body) or all(
            one.given not in (None, ANY) for one in calls[key]
        )
        if len(calls[key]) < 2 and told and not _keeps(block.body):
            return key
    return None


def _wrapper(tree: Tree) -> str | None:
    """A block that calls another one, and is no shorter to call."""
    for key, block in tree.blocks.items():
        (only, *more) = block.body
        if more or not isinstance(only, Leaf) or only.target not in tree.blocks:
            continue
        if INPUT in _symbols(block.body):
            continue
        handed = {parameter.symbol for parameter in block.parameters}
        inner = tree.blocks[only.target].parameters
        several = len(inputs_of(only, tree)) > 1
        if several or all(
            value == parameter.default
            or (isinstance(value, Ref) and value.is_plain and value.symbol in handed)
            for value, parameter in zip(only.values, inner, strict=True)
        ):
            return key
    return None


def inputs_of(call: Leaf, tree: Tree) -> tuple[str, ...]:
    """The labels of what a block is applied to."""
    first = tree.blocks[call.target].body[0] if call.target in tree.blocks else None
    if isinstance(first, Leaf):
        return inputs_of(first, tree)
    return first.inputs if isinstance(first, Tangle) else ("input",)


def _keeps(body: Body) -> bool:
    """Whether a body is a block's in any case: there is a choice in it, or names of its own."""
    return any(
        isinstance(item, Option | Tangle) or (isinstance(item, Fork) and item.skip is not None)
        for item in body
    )


def bound(body: Body, values: Mapping[int, Any]) -> Body:
    """A body with values for its parameters."""
    made: list[Item] = []
    for item in body:
        if isinstance(item, Leaf):
            given = tuple(value_of(value, values) for value in item.values)
            made.append(Leaf(item.target, given, value_of(item.given, values), item.origin))
        elif isinstance(item, Fork):
            paths = tuple(bound(path, values) for path in item.paths)
            skip = value_of(item.skip, values)
            if skip is False:
                made += paths[0]
            else:
                made.append(replace(item, paths=paths, skip=None if skip is True else skip))
        elif isinstance(item, Turns):
            made.append(
                replace(item, count=value_of(item.count, values), body=bound(item.body, values))
            )
        elif isinstance(item, Each):
            variables = tuple(
                replace(one, values=tuple(value_of(value, values) for value in one.values))
                for one in item.variables
            )
            made.append(Each(variables, bound(item.body, values)))
        elif isinstance(item, Strand | Tangle):
            made.append(replace(item, body=bound(item.body, values)))
        else:
            condition = value_of(item.condition, values)
            if condition is True:
                made += bound(item.body, values)
            elif condition is False:
                made += bound(item.other, values)
            else:
                made.append(Option(condition, bound(item.body, values), bound(item.other, values)))
    return tuple(made)


def value_of(value: Any, values: Mapping[int, Any]) -> Any:
    """What a value is where parameters have these values."""
    if isinstance(value, Fits):
        return _fits(value, values)
    if isinstance(value, Half):
        kernel = value_of(value.kernel, values)
        if isinstance(kernel, Ref):
            return Half(kernel)
        return ANY if kernel is ANY else tuple((size // 2, size // 2) for size in kernel)
    if isinstance(value, Counted):
        return replace(value, start=value_of(value.start, values))
    if not isinstance(value, Ref) or value.symbol not in values:
        return value
    given = values[value.symbol]
    if value.plus:
        return later(given, value.plus)
    if isinstance(given, Ref):
        return replace(given, times=given.times * value.times, over=given.over * value.over)
    if is_whole(given):
        return scaled(given, value.times, value.over)
    return given


def _fits(value: Fits, values: Mapping[int, Any]) -> Any:
    """A condition on shapes where parameters have these values; true or false where it is known."""
    filters, stride = value_of(value.filters, values), value_of(value.stride, values)
    known = values.get(INPUT)
    if stride not in (None, (1, 1)) and not isinstance(stride, Ref):
        return False
    if is_whole(filters) and known is not None and is_whole(known) and filters != known:
        return False
    if filters == known and not isinstance(stride, Ref):
        return True
    return Fits(filters, stride)
