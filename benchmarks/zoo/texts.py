"""How long specs are, in measures that do not change where lines are packed or broken.

*Items* are what a spec's sequences are made of: calls of ops and blocks, loops, forks, conditions
and the merges of forks, in blocks and in the graph. *Tokens* are names, numbers and signs of
arithmetic in its `params`, `defaults`, `blocks`, `graph` and `outputs`:
`{conv: {filters: $n // 4}}` has five. What is said about a network, and of other sizes of its
family, is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xgraph.ir.structure import Loop, Program, walk

_COUNTED = ("params", "defaults", "blocks", "graph", "outputs")
_TOKEN = re.compile(r"\$?[\w.]+|//|[^\w\s]")


@dataclass(frozen=True)
class Size:
    """A spec in numbers."""

    lines: int
    items: int
    tokens: int
    blocks: int
    loops: int


def size(lines: int, document: Any, program: Program) -> Size:
    """The size of a spec of so many lines, given what YAML and what xgraph reads in it."""
    bodies = [block.body for block in program.blocks.values()]
    bodies += [section.block.body for section in program.sections]
    items = [item for body in bodies for item in walk(body)]
    loops = sum(isinstance(item, Loop) for item in items)
    return Size(lines, len(items), tokens(document), len(program.blocks), loops)


def tokens(document: Any) -> int:
    """The tokens of a spec."""
    said = (document.get(key) for key in _COUNTED)
    return sum(len(_TOKEN.findall(one)) for part in said for one in _scalars(part))


def _scalars(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield str(key)
            yield from _scalars(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _scalars(value)
    elif tree is not None:
        yield str(tree)
