"""Definitions picked out of several Python files that read each other, for one file of a program.

The files are what a package of their own would be; a program has what it takes of them as one text.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_Definition = ast.ClassDef | ast.FunctionDef
#: What ties the files of a library together; no program imports it.
_OWN = "xgraph."


@dataclass(frozen=True)
class Import:
    """`import module as bound`, or with a name `from module import name`."""

    module: str
    name: str | None
    bound: str


@dataclass(frozen=True)
class Piece:
    """One top-level definition: a class, a function, or a constant.

    Attributes:
        names: those that it binds.
        lines: its source, with the comment right above it.
        reads: names that it mentions.
        is_constant: whether it is an assignment.
    """

    names: frozenset[str]
    lines: tuple[str, ...]
    reads: frozenset[str]
    is_constant: bool


@dataclass(frozen=True)
class Library:
    """A file. Its title is the first line of its docstring."""

    title: str
    pieces: tuple[Piece, ...]
    imports: tuple[Import, ...]


@dataclass(frozen=True)
class Picked:
    """What a program takes: lines of imports and constants, and definitions under their titles."""

    imports: list[str]
    constants: list[str]
    blocks: list[list[str]]


def library(path: Path) -> Library:
    """A file's definitions and imports."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    imports: list[Import] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            imports += [Import(each.name, None, each.asname or each.name) for each in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports += [Import(node.module, each.name, each.name) for each in node.names]
    title = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    return Library(
        title,
        tuple(_pieces(tree, text.splitlines())),
        tuple(each for each in imports if not each.module.startswith((_OWN, "__future__"))),
    )


def _pieces(tree: ast.Module, lines: list[str]) -> Iterable[Piece]:
    for node in tree.body:
        if isinstance(node, _Definition):
            names = frozenset({node.name})
            first = min(each.lineno for each in (node, *node.decorator_list))
        elif isinstance(node, ast.Assign):
            names = _names([node], ast.Store)
            first = node.lineno
        else:
            continue
        while first > 1 and lines[first - 2].startswith("#"):
            first -= 1
        text = tuple(lines[first - 1 : node.end_lineno])
        yield Piece(names, text, _names([node], ast.Load), isinstance(node, ast.Assign))


def _names(trees: Iterable[ast.AST], how: type[ast.expr_context]) -> frozenset[str]:
    nodes = (node for tree in trees for node in ast.walk(tree))
    return frozenset(n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, how))


@functools.lru_cache(64)
def _read(program: str) -> frozenset[str]:
    """Names that a program mentions; remembers, for many programs see images the same way."""
    return _names([ast.parse(program)], ast.Load)


def pick(libraries: Sequence[Library], program: str, constants: Sequence[str]) -> Picked:
    """What a program takes of the libraries: all that it mentions, and all that these need.

    Args:
        libraries: the files, in the order of the program.
        program: the source that uses them.
        constants: lines that give names a value, which the libraries' own give way to; the program
            has those that it reads.
    """
    own = list(_pieces(ast.parse("\n".join(constants)), list(constants)))
    found = [*(piece for each in libraries for piece in each.pieces), *own]
    home = {name: piece for piece in found for name in piece.names}
    read = set(_read(program))
    pending, chosen = read & home.keys(), set[Piece]()
    while pending:
        piece = home[pending.pop()]
        if piece not in chosen:
            chosen.add(piece)
            read |= piece.reads
            pending |= piece.reads & home.keys()
    given = {name for piece in own for name in piece.names}
    lines = [line for piece in own if piece in chosen for line in piece.lines] + [""]
    blocks: list[list[str]] = []
    for each in libraries:
        taken = [p for p in each.pieces if p in chosen and not p.names & given]
        lines += [line for piece in taken if piece.is_constant for line in piece.lines]
        bodies = [list(piece.lines) for piece in taken if not piece.is_constant]
        blocks += [[f"# {each.title}"], *bodies] if bodies else []
    imports = {each for library in libraries for each in library.imports if each.bound in read}
    return Picked(import_lines(imports), lines, blocks)


def import_lines(imports: Iterable[Import]) -> list[str]:
    """Import statements as isort sorts them, those of the standard library first."""
    plain: dict[str, str] = {}
    named: dict[str, set[str]] = {}
    for each in imports:
        if each.name is None:
            alias = "" if each.bound == each.module else f" as {each.bound}"
            plain[each.module] = f"import {each.module}{alias}"
        else:
            named.setdefault(each.module, set()).add(each.name)
    lines = sorted(plain.items())
    for module, names in sorted(named.items()):
        lines.append((module, f"from {module} import {', '.join(sorted(names, key=_by_kind))}"))
    groups: tuple[list[str], list[str]] = ([], [])
    for module, line in lines:
        groups[module.split(".")[0] not in sys.stdlib_module_names].append(line)
    return [*groups[0], "", *groups[1]]


def _by_kind(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
