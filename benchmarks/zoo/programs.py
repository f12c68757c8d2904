"""How long a generated model.py is, beside what a library says of the same network.

Counted are statements' lines as `ast.unparse` writes them, so that neither comments, docstrings
and imports nor the breaking of lines change the count. Of a library, it is the network's function
and all that is behind it in its file and in those of networks beside it, by names in bodies; what
other files have, such as layers, is left out, and so are the lists of trained weights.
"""

from __future__ import annotations

import ast
import inspect
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

from benchmarks.zoo.networks import make_importable
from xgraph import backend as backends
from xgraph.compile import emit, prepare

#: Classes of torchvision that list where trained weights are.
_WEIGHTS = "_Weights"
#: Files beside those of networks that have other things, how models are found and loaded.
_IS_MACHINERY = re.compile(r"_|imagenet_utils|registry|helpers|factory")


def generated(text: str, backend: str) -> int:
    """The lines of model.py of a spec."""
    with tempfile.TemporaryDirectory(prefix="xgraph-zoo-") as folder:
        path = Path(folder) / "network.yaml"
        path.write_text(text, encoding="utf-8")
        return lines(ast.parse(emit(prepare(str(path)), backends.get(backend))["model.py"]))


def published(network: str) -> int | None:
    """The lines that a library has for a network, None where it is no function of a library."""
    made = function(network)
    if made is None:
        return None
    file = Path(inspect.getfile(made))
    return lines(behind(made.__name__, *_with_others(file)))


def function(network: str) -> Callable[..., Any] | None:
    """The function of a library that makes a network, None where it is a file."""
    zoo, _, name = network.partition(":")
    if zoo not in _FUNCTIONS:
        return None
    make_importable(network)
    return inspect.unwrap(_FUNCTIONS[zoo](name))


def _with_others(file: Path) -> list[ast.Module]:
    """A file of a network, and those beside it that it imports something from."""
    module = ast.parse(file.read_text(encoding="utf-8"))
    imported = [one for one in ast.walk(module) if isinstance(one, ast.ImportFrom)]
    words = [
        word for one in imported for word in ((one.module or "").rpartition(".")[2], *_names(one))
    ]
    found = [file.with_name(f"{word}.py") for word in dict.fromkeys(words)]
    others = [path for path in found if path.is_file() and not _IS_MACHINERY.match(path.stem)]
    return [module, *(ast.parse(path.read_text(encoding="utf-8")) for path in others)]


def _names(statement: ast.ImportFrom) -> list[str]:
    return [one.name for one in statement.names]


def behind(name: str, *modules: ast.Module) -> ast.Module:
    """What of modules' statements a function of the first needs, itself too.

    A name is that of the first module that has it.
    """
    named: dict[str, list[ast.stmt]] = {}
    for module in modules:
        own: dict[str, list[ast.stmt]] = {}
        for statement in module.body:
            for bound in _bound(statement):
                own.setdefault(bound, []).append(statement)
        named = own | named
    found: list[ast.stmt] = []
    wanted = [name]
    while wanted:
        for statement in named.pop(wanted.pop(), ()):
            if statement not in found:
                found.append(statement)
                wanted += _read(statement)
    return ast.Module([one for module in modules for one in module.body if one in found], [])


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
    nodes = [node for part in parts for node in ast.walk(part)]
    names = [one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)]
    return names + [one.attr for one in nodes if _is_of_a_module(one)]


def _is_of_a_module(node: ast.AST) -> TypeGuard[ast.Attribute]:
    """As `resnet.ResNet`, a class or function of another file; attributes of `self` are none."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id not in ("self", "cls")
    )


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
