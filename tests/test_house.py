"""The rooms of the house and the doors between them: imports go in one direction."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: The vocabulary of graphs: a node holds an op, and an op says the type of what it gives.
_ONE_ROOM = {"xgraph.ir": "xgraph.ops"}


def _modules() -> dict[str, ast.Module]:
    """Every module of xgraph by its dotted name, parsed."""
    found = {}
    for path in sorted((ROOT / "xgraph").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def _imports(modules: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Which modules of xgraph each one imports: anywhere, in functions and for types alone too."""
    return {
        name: {found for found in _imported(tree, modules) if found != name}
        for name, tree in modules.items()
    }


def _imported(tree: ast.Module, modules: Mapping[str, ast.Module]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module


def _cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of a circle, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _room(module: str) -> str:
    room = ".".join(module.split(".")[:2])
    return _ONE_ROOM.get(room, room)


def test_modules_import_each_other_in_one_direction():
    assert _cycle(_imports(_modules())) == []


def test_rooms_import_each_other_in_one_direction():
    rooms: dict[str, set[str]] = {}
    for module, imported in _imports(_modules()).items():
        rooms.setdefault(_room(module), set()).update(
            _room(name) for name in imported if _room(name) not in (_room(module), "xgraph")
        )
    assert _cycle(rooms) == []


def test_a_circle_would_be_seen():
    texts = {
        "xgraph.a": "if TYPE_CHECKING:\n    from xgraph.b import B",
        "xgraph.b": "def f():\n    from xgraph import a",
        "xgraph": "",
    }
    modules = {name: ast.parse(text) for name, text in texts.items()}
    assert set(_cycle(_imports(modules))) == {"xgraph.a", "xgraph.b"}
