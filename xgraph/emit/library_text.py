"""Picks definitions out of a Python file, to emit only those that a program uses."""

from __future__ import annotations

import ast
import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from xgraph.emit.specialize import Definition, first_line, specialized

_IMPORTS = ast.Import | ast.ImportFrom


@functools.lru_cache(16)
def names_of_library(text: str) -> frozenset[str]:
    """All top-level names: what the file defines and imports."""
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, Definition):
            found.add(node.name)
        elif isinstance(node, _IMPORTS):
            found |= _bound(node)
    return frozenset(found)


def decorated(text: str, decorator: str) -> frozenset[str]:
    """Names of the top-level functions and classes under this decorator, as it is written."""
    return frozenset(
        node.name
        for node in ast.parse(text).body
        if isinstance(node, Definition) and decorator in map(ast.unparse, node.decorator_list)
    )


def overlaid(text: str, over: str, names: frozenset[str]) -> str:
    """A library in which the definitions of these names are those of another, `over`.

    What else the other defines is there, too, before all that it may be for.
    """
    own, others = _file(text), _file(over)
    wanted = {n for n in others.blocks if n in names or n not in own.blocks}
    blocks = [others.blocks[name] for name in others.blocks if name in wanted - names]
    blocks += [others.blocks[n] if n in names else block for n, block in own.blocks.items()]
    known = {name for node in own.imports for name in _bound(node)} | own.blocks.keys()
    added = [_without(node, known) for node in others.imports]
    imports = [*own.imports, *(node for node in added if node.names)]
    plain_first = sorted(imports, key=lambda node: (isinstance(node, ast.ImportFrom), _from(node)))
    return "\n".join([*map(ast.unparse, plain_first), *blocks])


def _without(node: ast.Import | ast.ImportFrom, known: set[str]) -> ast.Import | ast.ImportFrom:
    """An import of what is not yet known."""
    needed = copy.copy(node)
    needed.names = [alias for alias in node.names if _word(alias) not in known]
    return needed


def _from(node: ast.Import | ast.ImportFrom) -> str:
    """What module an import is of."""
    return node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name


def definitions(
    text: str, wanted: frozenset[str], program: str | None = None
) -> tuple[list[str], list[str]]:
    """(import lines, blocks of source) for the wanted top-level names and all that they need.

    Blocks keep the order of the file; imports that no chosen definition mentions are left out.
    With the source of the program that uses them they are written for it: see
    `xgraph.emit.specialize`.
    """
    imports, blocks = _written(text, wanted, program)
    return [*imports], [*blocks]


@functools.lru_cache(64)
def _written(text: str, wanted: frozenset[str], program: str | None) -> tuple[list[str], list[str]]:
    """Remembers: the programs of many specs are trained the same way."""
    imports, blocks = _picked(_file(text), wanted)
    if program is not None:
        text = specialized("\n".join([*imports, *blocks]), program)
        imports, blocks = _picked(_parsed(text), wanted)  # what is left may need less
    return imports, blocks


@dataclass(frozen=True)
class _File:
    """What a file imports; the source of each definition by name, and the names it mentions."""

    imports: tuple[ast.Import | ast.ImportFrom, ...]
    blocks: Mapping[str, str]
    mentions: Mapping[str, frozenset[str]]


def _parsed(text: str) -> _File:
    body, lines = ast.parse(text).body, text.splitlines()
    available = {node.name: node for node in body if isinstance(node, Definition)}
    return _File(
        tuple(node for node in body if isinstance(node, _IMPORTS)),
        {
            name: "\n".join(lines[first_line(node) - 1 : node.end_lineno])
            for name, node in available.items()
        },
        {name: frozenset(_names(node)) for name, node in available.items()},
    )


#: Of the files that libraries are, of which every program takes something.
_file = functools.lru_cache(16)(_parsed)


def _picked(file: _File, wanted: frozenset[str]) -> tuple[list[str], list[str]]:
    chosen: set[str] = set()
    pending = sorted(wanted)
    while pending:
        name = pending.pop()
        if name in chosen:
            continue
        chosen.add(name)
        pending += sorted((file.mentions[name] & file.blocks.keys()) - chosen)
    mentioned = set().union(*(file.mentions[name] for name in chosen))
    imports = []
    for node in file.imports:
        needed = copy.copy(node)  # the file is remembered as it is
        needed.names = [alias for alias in node.names if _word(alias) in mentioned]
        if needed.names:
            imports.append(ast.unparse(needed))
    return imports, [block for name, block in file.blocks.items() if name in chosen]


def _bound(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Names that an import gives a meaning to."""
    return {_word(alias) for alias in node.names}


def _word(alias: ast.alias) -> str:
    return (alias.asname or alias.name).split(".")[0]


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
