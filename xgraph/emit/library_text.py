"""Picks definitions out of a Python file, to emit only those that a program uses."""

from __future__ import annotations

import ast


def names_of_library(text: str) -> frozenset[str]:
    """All top-level names: what the file defines and imports."""
    found = set()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return frozenset(found)


def definitions(text: str, wanted: frozenset[str]) -> tuple[list[str], list[str]]:
    """(import lines, blocks of source) for the wanted top-level names and all that they need.

    Blocks keep the order of the file; imports that no chosen definition mentions are left out.
    """
    tree = ast.parse(text)
    lines = text.splitlines()
    available = {
        node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }
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
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound = {(alias.asname or alias.name).split(".")[0] for alias in node.names}
            if bound & mentioned:
                imports.append(ast.unparse(node))
    blocks = [
        "\n".join(lines[_first_line(node) - 1 : node.end_lineno])
        for name, node in available.items()
        if name in chosen
    ]
    return imports, blocks


def decorated(text: str, decorator: str) -> frozenset[str]:
    """Names of the top-level functions and classes under this decorator, as it is written."""
    return frozenset(
        node.name
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        and decorator in map(ast.unparse, node.decorator_list)
    )


def _first_line(node: ast.ClassDef | ast.FunctionDef) -> int:
    """Where a definition begins, its decorators with it."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
