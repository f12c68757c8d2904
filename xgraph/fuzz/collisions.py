"""Names that collide: parameters called like a branch, a block, or a word of the programs.

Every such name is legal, and must mean what the spec says in whatever language it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from xgraph.fuzz.trees import MENTION, Tree, is_loop, target_of

#: Names that generated programs have for their own purposes, in one framework or another.
WORDS = (
    "name", "inputs", "input_shape", "x", "self", "rngs", "model", "seed", "path", "nn", "torch",
    "jax", "jnp", "nnx", "keras", "layers", "math", "np", "f", "i", "j", "k", "channels",
    "in_channels", "input_1", "channels2", "filters", "kernel", "shortcut", "branch_1", "branch_2",
    "relu", "conv", "add", "print", "range", "zip", "len", "min", "type", "class", "def", "none",
    "training", "forward", "call", "init", "create_model", "initialize", "weights", "probe",
    "parameters", "children", "train", "state_dict", "dtype", "make_divisible", "index_1",
    "x_output", "branch", "branches", "sum",
)  # fmt: skip


def colliding(random: Random, tree: Tree) -> Tree:
    """The same spec with some of its parameters, loops' variables and indices called otherwise.

    New names are words of the programs and names of other things in the spec; no two parameters
    have one.
    """
    names = sorted(set(parameters(tree)))
    words = sorted({*WORDS, *others(tree)} - set(names))
    random.shuffle(words)
    chosen = {name: words.pop() for name in names if words and random.random() < 0.7}
    other: Tree = _renamed(tree, chosen, tree.get("blocks", {}))
    return other


def parameters(value: Any) -> Iterator[str]:
    """Parameters, loops' variables and indices."""
    if isinstance(value, list):
        for part in value:
            yield from parameters(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            if key in ("params", "for") and isinstance(part, dict):
                yield from part
            elif key == "index" and "repeat" in value:
                yield part
            yield from parameters(part)


def others(tree: Tree) -> set[str]:
    """What else has a name: sections, blocks, their inputs, nodes, branches and outputs."""
    found = {*tree.get("blocks", {}), *tree.get("outputs", {})}
    if isinstance(tree["graph"], dict):
        found |= tree["graph"].keys()

    def visit(value: Any) -> None:
        if isinstance(value, list):
            for part in value:
                visit(part)
        elif isinstance(value, dict):
            if isinstance(value.get("name"), str):
                found.add(value["name"])
            if isinstance(value.get("branches"), dict) and not is_loop(value["branches"]):
                found.update(value["branches"])
            if isinstance(value.get("inputs"), list):
                found.update(value["inputs"])
            for part in value.values():
                visit(part)

    visit([tree["graph"], tree.get("blocks", {})])
    return found - {"input", tree["name"]}


def _renamed(value: Any, chosen: Mapping[str, str], blocks: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        return MENTION.sub(lambda found: f"${chosen.get(found[1], found[1])}", value)
    if isinstance(value, list):
        return [_renamed(part, chosen, blocks) for part in value]
    if not isinstance(value, dict):
        return value
    target = target_of(value)
    result = {}
    for key, part in value.items():
        inner = _renamed(part, chosen, blocks)
        has_names = key in ("params", "for") or (key == target and key in blocks)
        if has_names and isinstance(part, dict):
            inner = {chosen.get(name, name): one for name, one in inner.items()}
        elif key == "index" and "repeat" in value:
            inner = chosen.get(part, part)
        result[key] = inner
    return result
