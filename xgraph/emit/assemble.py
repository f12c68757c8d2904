"""The files of a program from its parts, the same way in every backend."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xgraph.backend import Compilation
from xgraph.emit.library_text import definitions, names_of_library
from xgraph.emit.render import header, render
from xgraph.emit.source import LINE
from xgraph.ir.analysis import Analysis


def assemble(
    compilation: Compilation,
    folder: Path,
    model: Mapping[str, Any],
    helpers: frozenset[str],
    context: Mapping[str, Any],
) -> dict[str, str]:
    """Every file of the program, by name.

    Args:
        compilation: what the program is made from.
        folder: the backend's, with `layers.py` and `templates/`.
        model: values for model.py.jinja.
        helpers: names that the model takes from layers.py.
        context: values for data.py.jinja, weights.py.jinja and train.py.jinja.
    """
    analysis = compilation.analysis
    top = header(analysis.name, analysis.digest, analysis.settings)
    trained = header(analysis.name, analysis.digest, analysis.settings, compilation.recipe.name)
    templates = folder / "templates"
    files = {"model.py": render(templates, "model.py.jinja", {"header": top, "model": model})}
    if helpers:
        lines = _library_lines(folder / "layers.py", helpers, files["model.py"])
        values = {"header": top, "layers": {"lines": lines}}
        files["layers.py"] = render(templates, "layers.py.jinja", values)
    for name in ("weights.py", "data.py", "train.py"):
        text = trained if name != "weights.py" else top
        files[name] = render(templates, f"{name}.jinja", {**context, "header": text})
    return files


def _library_lines(library: Path, helpers: frozenset[str], model: str) -> list[str]:
    """The definitions of a backend's layers.py that a model uses, with their imports.

    They are without the parameters that the model never passes.
    """
    imports, blocks = definitions(library.read_text(encoding="utf-8"), helpers, model)
    standard = [line for line in imports if _module(line) in sys.stdlib_module_names]
    lines = [*standard, ""] if standard else []
    lines += [line for line in imports if line not in standard]
    for block in blocks:
        lines += ["", "", *block.splitlines()]
    return lines if imports else lines[1:]  # a blank line follows the docstring as it is


def _module(line: str) -> str:
    """The package that an import line imports from."""
    return line.split()[1].split(".", maxsplit=1)[0]


def reserved_names(folder: Path, *modules: str) -> frozenset[str]:
    """Names that a model.py gives a meaning to: modules, its own functions, those of layers.py."""
    library = (folder / "layers.py").read_text(encoding="utf-8")
    own = {"create_model", "initialize", "load_weights", "save_weights"}
    return names_of_library(library) | own | set(modules)


def outputs_doc(analysis: Analysis, shape: Any) -> list[str]:
    """What a model takes and gives, as lines of model.py's docstring."""
    results = [
        f"{output.name} {shape(analysis.types[output.node])}" for output in analysis.graph.outputs
    ]
    taken = f"Images {shape(analysis.types[0])} of any batch size N"
    return textwrap.wrap(f"{taken}; {', '.join(results)}.", LINE, break_long_words=False)


def names_in(lines: Iterable[str]) -> frozenset[str]:
    """Names that code mentions."""
    tree = ast.parse("\n".join(lines))
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
