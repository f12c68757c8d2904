"""Specs as plain trees: dicts and lists as a YAML or JSON file of them loads.

A tree is analysed without becoming text first, for generating and shrinking a spec takes some
hundred analyses, and reading text would be most of their cost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import yaml

from xgraph.diagnostics import Source, Span, SpecError
from xgraph.ir import document
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType
from xgraph.passes.elaborate import elaborate
from xgraph.passes.shapes import infer_shapes
from xgraph.passes.shared import check_shared
from xgraph.passes.trained import untrained_nodes
from xgraph.spec import expressions
from xgraph.spec.reader import read_program

Tree = dict[str, Any]

#: Keys of items that are no call's target, and the items that have bodies, by the keys of these.
STRUCTURES: Mapping[str, tuple[str, ...]] = {
    "repeat": ("body",),
    "for": ("body",),
    "residual": ("residual", "shortcut"),
    "branches": ("branches",),
    "if": ("then", "else"),
}
MODIFIERS = ("name", "from", "when", "doc", "source")

#: What every span points into. A null is one that was written out, not a value left away.
_SOURCE = Source("fuzz", "null")
MENTION = re.compile(r"\$([a-z][a-z0-9_]*)")


def to_yaml(tree: Tree) -> str:
    """A tree as a YAML file that people can read."""
    return yaml.safe_dump(
        tree, sort_keys=False, default_flow_style=None, width=96, allow_unicode=True
    )


def analyse_tree(tree: Tree) -> tuple[Graph, list[TensorType]]:
    """The flat graph of a spec and every node's type, as `xgraph.compile.analyse` finds them.

    Raises:
        SpecError: the tree is no valid spec.
    """
    graph = elaborate(read_program(_document(tree))).graph
    types = infer_shapes(graph)
    check_shared(graph, types)
    return graph, types


def trainable(graph: Graph, types: list[TensorType]) -> bool:
    """Whether training reads logits and trains all weights, as `prepare` demands (XG706, XG707)."""
    main = types[graph.outputs[0].node]
    trained = [o for k, o in enumerate(graph.outputs) if k == 0 or o.loss_weight is not None]
    logits = main.rank == 1 and all(types[o.node] == main for o in trained)
    return logits and not untrained_nodes(graph, types)


def _document(tree: Any) -> document.Yaml:
    # Each node a line of its own, in case anything tells nodes apart by their spans.
    lines = iter(range(2, 1 << 30))

    def convert(value: Any) -> document.Yaml:
        span = Span(_SOURCE, 1 if value is None else next(lines), 1)
        if isinstance(value, dict):
            entries = tuple(
                document.Entry(key, Span(_SOURCE, next(lines), 1), convert(part))
                for key, part in value.items()
            )
            return document.Mapping(entries, span)
        if isinstance(value, list):
            return document.Sequence(tuple(convert(part) for part in value), span)
        return document.Scalar(value, span)

    return convert(tree)


def bodies(tree: Tree) -> list[list[Any]]:
    """Every list of items in a spec, outer ones first; bodies of one item that is no list aside."""
    found: list[list[Any]] = []
    graph = tree["graph"]
    roots = [graph] if isinstance(graph, list) else list(graph.values())
    roots += list(tree.get("blocks", {}).values())
    for root in roots:
        found += _bodies_in(root["body"] if isinstance(root, dict) else root)
    return found


def _bodies_in(item: Any) -> Iterator[list[Any]]:
    if isinstance(item, list):
        yield item
        for part in item:
            yield from _bodies_in(part)
    elif isinstance(item, dict) and is_branch(item):
        yield from _bodies_in(item["body"])
    elif isinstance(item, dict):
        for key in structure_of(item) or ():
            inner = item.get(key)
            if key == "branches":
                for path in paths(inner):
                    yield from _bodies_in(path)
            elif inner is not None:
                yield from _bodies_in(inner)


def paths(branches: Any) -> list[Any]:
    """What stands under `branches`, by name or not; a loop of them is one."""
    if not isinstance(branches, dict):
        return list(branches or [])
    return [branches] if is_loop(branches) else list(branches.values())


def is_loop(branches: Any) -> bool:
    """Whether what stands under `branches` is a loop, of which each turn is a branch."""
    return isinstance(branches, dict) and bool({"repeat", "for"} & branches.keys())


def is_branch(path: Any) -> bool:
    """Whether a path of a split is said with a condition: `{body: […], when: …}`."""
    return isinstance(path, dict) and "body" in path and structure_of(path) is None


def structure_of(item: Any) -> tuple[str, ...] | None:
    """The keys under which a structure holds bodies; None for a call."""
    if isinstance(item, dict):
        for key, inner in STRUCTURES.items():
            if key in item:
                return inner
    return None


def target_of(item: Any) -> str | None:
    """The op or block that an item calls; None for a structure or a list."""
    if isinstance(item, str):
        return item
    if isinstance(item, dict) and structure_of(item) is None:
        return next((key for key in item if key not in MODIFIERS), None)
    return None


def targets(items: Any) -> list[str]:
    """Every op and block that items call, in the order of the text."""
    listed = items if isinstance(items, list) else [items]
    nested = list(_bodies_in(listed))
    found = (target_of(item) for body in nested for item in body)
    return [target for target in found if target is not None]


def mentioned(value: Any) -> list[str]:
    """The parameters that the expressions in a tree mention, in the order of the text."""
    if isinstance(value, str):
        return MENTION.findall(value)
    if isinstance(value, dict):
        return [name for part in value.values() for name in mentioned(part)]
    if isinstance(value, list):
        return [name for part in value for name in mentioned(part)]
    return []


def without_unmentioned(params: Tree, *users: Any) -> Tree:
    """The parameters that something mentions, be it another that is kept."""
    kept = dict(params)
    while True:
        used = set(mentioned([list(users), list(kept.values())]))
        fewer = {name: value for name, value in kept.items() if name in used}
        if len(fewer) == len(kept):
            return fewer
        kept = fewer


def reachable_blocks(blocks: Mapping[str, Any], items: Any) -> Tree:
    """The blocks that items call, directly or by others, in the order of `blocks`."""
    reached: set[str] = set()
    waiting = [target for target in targets(items) if target in blocks]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [inner for inner in targets(blocks[name]["body"]) if inner in blocks]
    return {name: block for name, block in blocks.items() if name in reached}


def evaluated(text: str, environment: Mapping[str, Any]) -> Any:
    """What an expression is worth.

    Raises:
        SpecError: it is none, or has no value.
    """
    parsed = expressions.parse(text, Span(_SOURCE, 1, 1))
    return expressions.evaluate(expressions.with_channels(parsed, environment), environment)


def substituted(value: Any, environment: Mapping[str, Any]) -> Any:
    """A tree with parameters replaced by values, which may be expressions themselves.

    Raises:
        SpecError: what comes out is no expression.
    """
    if isinstance(value, dict):
        return {key: substituted(part, environment) for key, part in value.items()}
    if isinstance(value, list):
        return [substituted(part, environment) for part in value]
    if not isinstance(value, str) or not set(mentioned(value)) & environment.keys():
        return value
    alone = MENTION.fullmatch(value)
    if alone:
        return environment[alone[1]]
    text = MENTION.sub(lambda m: _literal(m[0], m[1], environment), value)
    return text if "$" in text else evaluated(text, {})


def _literal(mention: str, name: str, environment: Mapping[str, Any]) -> str:
    if name not in environment:
        return mention
    value = environment[name]
    if isinstance(value, str):
        return f"({value})" if "$" in value else f"'{value}'"
    words = {True: "true", False: "false", None: "null"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, int | float):
        return repr(value) if value >= 0 else f"({value!r})"
    return repr(value)  # a list of numbers; anything else is refused when it is parsed


def valid(tree: Tree, further: Callable[[Graph, list[TensorType]], bool] = trainable) -> bool:
    """Whether a tree is a spec that compiles to a training program."""
    try:
        return further(*analyse_tree(tree))
    except SpecError:
        return False


def fresh(word: str, taken: Collection[str]) -> str:
    """`word`, or `word_2`, `word_3`, … where that is taken."""
    name, number = word, 2
    while name in taken:
        name, number = f"{word}_{number}", number + 1
    return name
