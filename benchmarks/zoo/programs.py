"""How long a generated model.py is, beside what a library says of the same network.

Counted are statements' lines as `ast.unparse` writes them, so that neither comments, docstrings
and imports nor the breaking of lines change the count. Of a library's file, it is the network's
function and all that is behind it in that file, by names in bodies; what other files of the library
have, such as layers, is left out, and so are the lists of trained weights.
"""

from __future__ import annotations

import ast
import inspect
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from xgraph import backend as backends
from xgraph.compile import emit, prepare

#: Classes of torchvision that list where trained weights are.
_WEIGHTS = "_Weights"


def generated(text: str, backend: str) -> int:
    """The lines of model.py of a spec."""
    with tempfile.TemporaryDirectory(prefix="xgraph-zoo-") as folder:
        path = Path(folder) / "network.yaml"
        path.write_text(text, encoding="utf-8")
        return lines(ast.parse(emit(prepare(str(path)), backends.get(backend))["model.py"]))


def published(network: str) -> int | None:
    """The lines that a library has for a network, None where it is no function of a library."""
    zoo, _, name = network.partition(":")
    if zoo not in _FUNCTIONS:
        return None
    function = inspect.unwrap(_FUNCTIONS[zoo](name))
    module = inspect.getmodule(function)
    assert module is not None, f"{network} is of no module"
    return lines(behind(function.__name__, ast.parse(inspect.getsource(module))))


def behind(name: str, module: ast.Module) -> ast.Module:
    """What of a module's statements a function needs, itself too."""
    named: dict[str, list[ast.stmt]] = {}
    for statement in module.body:
        for bound in _bound(statement):
            named.setdefault(bound, []).append(statement)
    found: list[ast.stmt] = []
    wanted = [name]
    while wanted:
        for statement in named.pop(wanted.pop(), ()):
            if statement not in found:
                found.append(statement)
                wanted += _read(statement)
    return ast.Module([one for one in module.body if one in found], [])


def lines(module: ast.Module) -> int:
    """The lines of code of a module, one for each statement that is not broken."""
    for node in ast.walk(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or [ast.Pass()]
    code = [one for one in module.body if not isinstance(one, ast.Import | ast.ImportFrom)]
    text = "\n".join(map(ast.unparse, code))
    return sum(bool(line.strip()) for line in text.splitlines())


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.ClassDef | ast.FunctionDef):
        if not statement.name.endswith(_WEIGHTS):
            yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        yield from (one.id for one in targets if isinstance(one, ast.Name))


def _read(statement: ast.stmt) -> list[str]:
    """Names in bodies and values; decorators and annotations say what is not computed."""
    if isinstance(statement, ast.FunctionDef):
        parts = [*statement.body, *statement.args.defaults]
    elif isinstance(statement, ast.ClassDef):
        bases = [one.id for one in statement.bases if isinstance(one, ast.Name)]
        return bases + [name for one in statement.body for name in _read(one)]
    elif isinstance(statement, ast.AnnAssign):
        parts = [statement.value] if statement.value else []
    else:
        parts = [statement]
    return [
        node.id
        for part in parts
        for node in ast.walk(part)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ]


def _keras(name: str) -> Callable[..., Any]:
    import keras

    found: Callable[..., Any] = getattr(keras.applications, name)
    return found


def _torchvision(name: str) -> Callable[..., Any]:
    from torchvision.models import get_model_builder

    found: Callable[..., Any] = get_model_builder(name)
    return found


def _timm(name: str) -> Callable[..., Any]:
    from timm.models import model_entrypoint

    found: Callable[..., Any] = model_entrypoint(name)
    return found


_FUNCTIONS = {"keras": _keras, "torchvision": _torchvision, "timm": _timm}
