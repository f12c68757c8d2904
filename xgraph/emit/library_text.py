"""Picks definitions out of a Python file, to emit only those that a program uses."""

from __future__ import annotations

import ast

from xgraph.emit.specialize import Definition, first_line, specialized

_IMPORTS = ast.Import | ast.ImportFrom


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


def definitions(
    text: str, wanted: frozenset[str], program: str | None = None
) -> tuple[list[str], list[str]]:
    """(import lines, blocks of source) for the wanted top-level names and all that they need.

    Blocks keep the order of the file; imports that no chosen definition mentions are left out.
    With the source of the program that uses them they are written for it: see
    `xgraph.emit.specialize`.
    """
    imports, blocks = _picked(text, wanted)
    if program is not None:
        text = specialized("\n".join([*imports, *blocks]), program)
        imports, blocks = _picked(text, wanted)  # what is left may need less
    return imports, blocks


def _picked(text: str, wanted: frozenset[str]) -> tuple[list[str], list[str]]:
    tree = ast.parse(text)
    lines = text.splitlines()
    available = {node.name: node for node in tree.body if isinstance(node, Definition)}
    chosen: set[str] = set()
    pending = sorted(wanted)
    while pending:
        name = pending.pop()
        if name in chosen:
            continue
        chosen.add(name)
        pending += sorted((_names(available[name]) & available.keys()) - chosen)
    mentioned = set().union(*(_names(available[name]) for name in chosen))
    imports = []
    for node in tree.body:
        if isinstance(node, _IMPORTS):
            node.names = [alias for alias in node.names if _word(alias) in mentioned]
            if node.names:
                imports.append(ast.unparse(node))
    blocks = [
        "\n".join(lines[first_line(node) - 1 : node.end_lineno])
        for name, node in available.items()
        if name in chosen
    ]
    return imports, blocks


def _bound(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Names that an import gives a meaning to."""
    return {_word(alias) for alias in node.names}


def _word(alias: ast.alias) -> str:
    return (alias.asname or alias.name).split(".")[0]


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
