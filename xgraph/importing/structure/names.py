"""Names that people would give: blocks by what is in them, parameters by what they are for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xgraph import ops
from xgraph.importing.structure.hints import common, telling
from xgraph.importing.structure.taste import options
from xgraph.importing.structure.tree import (
    INPUT,
    Block,
    Body,
    Counted,
    Each,
    Fork,
    Half,
    Item,
    Leaf,
    Option,
    Ref,
    Strand,
    Tangle,
    Tree,
    Turns,
    attributes,
    inside,
    leaves,
    origins,
)
from xgraph.spec.calls import MODIFIERS, STRUCTURES
from xgraph.spec.form import RESERVED

_SHORT = {
    "batch_norm": "bn",
    "separable_conv": "sepconv",
    "depthwise_conv": "dwconv",
    "max_pool": "pool",
    "avg_pool": "pool",
    "layer_norm": "ln",
    "group_norm": "gn",
}
#: Paths of an inception, and inputs that have names of their own.
_SEVERAL = 3
_PAIR = 2
_CONVS = ("conv", "depthwise_conv", "separable_conv")
_ACTIVATIONS = frozenset(
    {"relu", "relu6", "silu", "gelu", "elu", "hard_swish", "leaky_relu", "prelu", "mish", "tanh"}
)
#: Words that are no names in specs.
_RESERVED = {
    *RESERVED,
    *STRUCTURES,
    *MODIFIERS,
    "body",
    "then",
    "merge",
    "shortcut",
    "skip",
    "index",
}


#: Names of blocks that say little: a source's own, where it has one, says more.
_VAGUE = frozenset({"cell", "residual_unit", "unit"})


@dataclass
class Names:
    """Names of blocks by their key, of parameters and variables by their symbol.

    `bodies` are those of the blocks.
    """

    bodies: Mapping[str, Body] = field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    blocks: dict[str, str] = field(default_factory=dict)
    symbols: dict[int, str] = field(default_factory=lambda: {INPUT: "input.channels"})


def name_all(tree: Tree, known: Collection[str] = ()) -> Names:
    """Names for everything in a tree that has one; `known` are parameters of the spec."""
    names = Names({key: block.body for key, block in tree.blocks.items()})
    taken = set(_RESERVED) | set(ops.names())
    names.inputs = _inputs(tree)
    everywhere = common(origins(tree.body)) or ()
    for block in in_order(tree.blocks):
        word = _block_name(block, names)
        if word in _VAGUE:
            word = telling(common(origins(block.body)), everywhere, taken) or word
        name = names.blocks[block.key] = _free(word, taken)
        taken.add(name)
        within: set[str] = {*_RESERVED, *known}
        for symbol, word in _roles(block, names, tree):
            names.symbols[symbol] = _free(word, within)
            within.add(names.symbols[symbol])
        _variables(block.body, names, tree, within)
    _variables(tree.body, names, tree, {*_RESERVED, "classes", *known})
    return names


def _inputs(tree: Tree) -> dict[str, tuple[str, ...]]:
    """Names of two inputs that are, for most calls, what came last and what came before that."""
    latest: dict[str, list[int | None]] = {}
    for body in (tree.body, *(block.body for block in tree.blocks.values())):
        for tangle in body:
            if not isinstance(tangle, Tangle):
                continue
            before: str | None = None
            for strand in tangle.body:
                assert isinstance(strand, Strand)
                first = strand.body[0]
                sources = strand.sources
                if isinstance(first, Leaf) and len(sources) == _PAIR:
                    place = sources.index(before) if before in sources else None
                    latest.setdefault(first.target, []).append(place)
                before = strand.label
    found: dict[str, tuple[str, ...]] = {}
    for key, places in latest.items():
        for place, words in enumerate((("current", "previous"), ("previous", "current"))):
            if 2 * places.count(place) > len(places):
                found[key] = words
    return found


def in_order(blocks: Mapping[str, Block]) -> Iterator[Block]:
    """Blocks after those that they call."""
    done: set[str] = set()

    def visit(key: str) -> Iterator[Block]:
        if key not in done:
            done.add(key)
            for one in leaves(blocks[key].body):
                if one.target in blocks:
                    yield from visit(one.target)
            yield blocks[key]

    for key in sorted(blocks, key=lambda key: int(key.partition(".")[2])):
        yield from visit(key)


def _free(word: str, taken: set[str]) -> str:
    name, number = word, 1
    while name in taken:
        number += 1
        name = f"{word}_{number}"
    return name


# -- blocks ---------------------------------------------------------------------------------------


def _block_name(block: Block, names: Names) -> str:
    body = block.body
    if isinstance(body[0], Tangle):
        return "cell"
    forks = [item for item in body if isinstance(item, Fork)]
    if len(forks) == 1:
        return _fork_name(forks[0], names)
    calls = [one for one in leaves(body) if one.target in names.blocks]
    if _is_stage(body, names):
        return "stage"
    windows = _kernels(body, names)
    if windows == ["1", "d", "1"]:
        squeezes = any(names.blocks[one.target] == "squeeze_excite" for one in calls)
        return "mbconv" if squeezes or _squeezes(body) else "inverted_residual"
    if windows == ["1", "3", "1"]:
        return "bottleneck"
    flat = [item for item in body if isinstance(item, Leaf)]
    if flat and flat[0].target == "global_avg_pool":
        return "squeeze"
    if len(flat) == len(body) and len(body) <= 4 and not calls:
        return "_".join(_SHORT.get(one.target, one.target) for one in flat)
    return "unit"


def _fork_name(fork: Fork, names: Names) -> str:
    paths, merge = fork.paths, fork.merge.target
    first = paths[0]
    if merge == "multiply" and len(paths) == 2 and not paths[1] and _squeezes((fork,)):
        return "squeeze_excite"
    if merge == "concat":
        if len(paths) == 2 and () in paths:
            return "dense_layer"
        strided = any(value not in ((1, 1), None) for value in _strides((fork,)))
        if len(paths) < _SEVERAL:
            return "unit"
        return "reduction" if strided else "inception"
    if merge != "add":
        return "unit"
    if any(
        one.target.endswith("pool") and not one.target.startswith("global") for one in leaves(first)
    ):
        return "downsample"
    called = [names.blocks[one.target] for one in leaves(first) if one.target in names.blocks]
    if len(called) == 1 and not called[0].startswith("conv"):
        inner = called[0]
        return "residual_unit" if "residual" in inner else f"residual_{inner}"
    windows = _kernels(first, names)
    if windows == ["1", "d", "1"]:
        gated = "squeeze_excite" in called or _squeezes(first)
        return "mbconv" if gated else "inverted_residual"
    if windows in (["1", "3", "1"], ["1", "k", "1"]):
        return "bottleneck"
    if windows in (["3", "3"], ["k", "k"]):
        return "basic_block"
    return "residual_unit"


def _squeezes(body: Body) -> bool:
    return any(one.target == "global_avg_pool" for one in leaves(body))


def _strides(body: Body) -> Iterator[Any]:
    for one in leaves(body):
        yield from _values(one, "stride")


def _kernels(body: Body, names: Names) -> list[str]:
    """The windows of the convolutions of a path: "1", "3", … a number, "k" any, "d" depthwise."""
    found = []
    for item in body:
        if isinstance(item, Leaf) and item.target in _CONVS:
            (size,) = _values(item, "kernel")
            if item.target == "depthwise_conv":
                found.append("d")
            elif isinstance(size, tuple) and size[0] == size[1]:
                found.append(str(size[0]))
            else:
                found.append("k")
        elif isinstance(item, Leaf):
            inner = names.bodies.get(item.target, ())
            found += _kernels(inner, names) if _is_flat(inner) else []
        elif isinstance(item, Option | Turns):
            found += _kernels(item.body, names)
    return found


def _is_flat(body: Body) -> bool:
    return all(isinstance(item, Leaf) for item in body)


def _is_stage(body: Body, names: Names) -> bool:
    """Whether blocks follow each other, one of which has paths."""
    calls = list(leaves(body))
    bodies = [names.bodies.get(one.target) for one in calls]
    return len(body) > 1 and all(bodies) and any(_has_paths(one, names) for one in calls)


def _has_paths(call: Leaf, names: Names) -> bool:
    body = names.bodies[call.target]
    return any(isinstance(item, Fork) for item in body)


def _values(one: Leaf, word: str) -> Iterator[Any]:
    if "." not in one.target:
        for (name, _), value in zip(attributes(one.target), one.values, strict=True):
            if name == word:
                yield value


# -- parameters -----------------------------------------------------------------------------------


def _roles(block: Block, names: Names, tree: Tree) -> list[tuple[int, str]]:
    """What each parameter is for, most telling ones first."""
    body = block.body
    last = _last_channels(body)
    roles = []
    for parameter in block.parameters:
        symbol, word = parameter.symbol, parameter.word
        if word in ("filters", "units", "channels"):
            word = word if symbol == last else _place_of(body, symbol)
        elif word == "condition":
            word = _condition(body, symbol, names)
            if word == "extra":  # an inner block knows better what it is for
                word = _handed_to(body, symbol, names, tree) or word
        roles.append((symbol, word))
    return sorted(roles, key=lambda one: one[0] != last)


def _last_channels(body: Body) -> int | None:
    """The parameter that says how many channels come out, if one does."""
    for item in reversed(body):
        if isinstance(item, Fork):
            found = _last_channels(item.paths[0]) if item.merge.target != "concat" else None
            if found is not None or item.merge.target == "concat":
                return found
        elif isinstance(item, Leaf):
            channels = [v for v in item.values if isinstance(v, Ref)]
            if item.target in ("conv", "separable_conv", "dense") and isinstance(
                item.values[0], Ref
            ):
                return item.values[0].symbol
            if "." in item.target and channels:
                return channels[0].symbol
            if item.target in ("conv", "separable_conv", "dense") or "." in item.target:
                return None
        else:
            found = _last_channels(item.body)
            if found is not None:
                return found
    return None


def _place_of(body: Body, symbol: int) -> str:
    """`branch2` of the second path of a fork, else `inner`."""
    for item in body:
        if isinstance(item, Fork) and item.merge.target == "concat":
            for number, path in enumerate(item.paths):
                if any(_mentions(one, symbol) for one in path):
                    return f"branch{number + 1}"
    return "inner"


def _mentions(item: Item, symbol: int) -> bool:
    if isinstance(item, Leaf):
        return any(
            (isinstance(v, Ref) and v.symbol == symbol)
            or (isinstance(v, Half) and v.kernel.symbol == symbol)
            for v in item.values
        )
    return any(_mentions(one, symbol) for body in inside(item) for one in body)


def _condition(body: Body, symbol: int, names: Names) -> str:
    """What a part is that may be left out."""
    for item in body:
        if isinstance(item, Fork):
            for number, path in enumerate(item.paths):
                mine = [one for one in options(path) if _is_of(one, symbol)]
                if mine and number and item.merge.target == "add":
                    return "project"
                if mine:
                    return _part(mine[0], names)
        elif isinstance(item, Option) and _is_of(item, symbol):
            return _part(item, names)
        else:
            for inner in inside(item):
                if any(_is_of(one, symbol) for one in options(inner)):
                    return _condition(inner, symbol, names)
    return "extra"


def _is_of(option: Option, symbol: int) -> bool:
    return isinstance(option.condition, Ref) and option.condition.symbol == symbol


def _part(option: Option, names: Names) -> str:
    found = [one.target for one in leaves(option.body)]
    windows = _kernels(option.body, names)
    if isinstance(option.body[0], Option):
        return "extra"
    if option.other:
        return "project" if windows == ["1"] else "extra"
    if all(target in _ACTIVATIONS for target in found):
        return "activate"
    if _squeezes(option.body):
        return "squeeze"
    return "expand" if windows == ["1"] else "extra"


def _variables(body: Body, names: Names, tree: Tree, taken: set[str]) -> None:
    """Names of loops' variables: of what they are handed to, if that has one."""
    for item in body:
        if isinstance(item, Each):
            within = set(taken)
            for one in item.variables:
                word = _handed_to(item.body, one.symbol, names, tree) or one.word
                names.symbols[one.symbol] = _free(word, within)
                within.add(names.symbols[one.symbol])
            _variables(item.body, names, tree, within)
            continue
        within = taken
        if isinstance(item, Turns) and item.index is not None:
            names.symbols[item.index] = _free("i", taken)
            within = taken | {names.symbols[item.index]}
        for inner in inside(item):
            _variables(inner, names, tree, within)


def _handed_to(body: Body, symbol: int, names: Names, tree: Tree) -> str | None:
    for one in leaves(body):
        block = tree.blocks.get(one.target)
        if block is None:
            continue
        for parameter, value in zip(block.parameters, one.values, strict=True):
            start = value.start if isinstance(value, Counted) else value
            if isinstance(start, Ref) and start.symbol == symbol and start.is_plain:
                return names.symbols[parameter.symbol]
    return None
