"""The files of a program from its parts, the same way in every backend."""

from __future__ import annotations

import ast
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xgraph.backend import Compilation
from xgraph.emit.contributions import imports_for
from xgraph.emit.library_text import definitions, names_of_library, overlaid
from xgraph.emit.render import header, render
from xgraph.emit.training import static_files
from xgraph.ir.analysis import Analysis
from xgraph.text import docstring_lines
from xgraph.wrapping import INDENT, LINE

_LIBRARY = Path(__file__).parent / "library"


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
        context: values for weights.py.jinja and, with a recipe, data.py.jinja and train.py.jinja.
    """
    analysis, recipe = compilation.analysis, compilation.recipe
    top = header(analysis.name, analysis.digest, analysis.settings)
    templates = folder / "templates"
    files = {"model.py": render(templates, "model.py.jinja", {"header": top, "model": model})}
    if helpers:
        text = (folder / "layers.py").read_text(encoding="utf-8")
        shared = folder / "training" / "shared_layers.py"
        if recipe is not None and recipe.devices is not None and shared.exists():
            over = shared.read_text(encoding="utf-8")
            text = overlaid(text, over, frozenset(context["train"].get("layers", ())))
        lines = _library_lines(text, helpers, files["model.py"])
        values = {"header": top, "layers": {"lines": lines}}
        files["layers.py"] = render(templates, "layers.py.jinja", values)
    weights = {**context["weights"], "files": _file_lines()}
    files["weights.py"] = render(templates, "weights.py.jinja", {"header": top, "weights": weights})
    if recipe is not None:
        trained = header(analysis.name, analysis.digest, analysis.settings, recipe.name)
        values = {**context, "header": trained}
        files["data.py"] = render(templates, "data.py.jinja", values)
        files |= _train(folder, values)
        files |= static_files(folder, recipe)
    return files


def _train(folder: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """train.py with the imports that it needs, and parts.py with the definitions."""
    templates, train = folder / "templates", values["train"]
    # Without what tells of the spec in words: what is found for one program is so for others.
    facts = [line for line in train["facts"] if not line.endswith('",')]
    untold = {**train, "imports": [], "opening": ['"""'], "facts": facts}
    bare = render(templates, "train.py.jinja", {**values, "header": "", "train": untold})
    wanted = train["library"]
    available = train["import_lines"].format(parts=", ".join(sorted(wanted, key=_by_kind)))
    filled = {**train, "imports": imports_for(bare, available)}
    library = (folder / "training" / "library.py").read_text(encoding="utf-8")
    lines = _library_lines(library, wanted, bare)
    return {
        "train.py": render(templates, "train.py.jinja", {**values, "train": filled}),
        "parts.py": render(templates, "parts.py.jinja", {**values, "parts": {"lines": lines}}),
    }


def _library_lines(library: str, helpers: frozenset[str], program: str) -> list[str]:
    """The definitions of a backend's library that a program uses, with their imports.

    They are without the parameters that the program never passes.
    """
    imports, blocks = definitions(library, helpers, program)
    standard = [line for line in imports if _module(line) in sys.stdlib_module_names]
    own = [line for line in imports if _module(line) in _OWN]
    others = [line for line in imports if line not in (*standard, *own)]
    lines = [line for group in (standard, others, own) if group for line in (*group, "")][:-1]
    for block in blocks:
        lines += ["", "", *block.splitlines()]
    return lines if imports else lines[1:]  # a blank line follows the docstring as it is


def _by_kind(name: str) -> tuple[bool, bool, str]:
    """The order of imported names: constants, classes, functions."""
    return not name.isupper(), name[0].islower(), name


@functools.cache
def _file_lines() -> list[str]:
    """The definitions of a weights.py that know files, and no framework."""
    text = (_LIBRARY / "weight_file.py").read_text(encoding="utf-8")
    _, blocks = definitions(text, frozenset({"read_file", "write_file", "part_of"}))
    return "\n\n\n".join(blocks).splitlines()


#: Modules of a program that its libraries import.
_OWN = frozenset({"layers", "processes", "weights"})


def _module(line: str) -> str:
    """The package that an import line imports from."""
    return line.split()[1].split(".", maxsplit=1)[0]


def reserved_names(folder: Path, *modules: str) -> frozenset[str]:
    """Names that a model.py gives a meaning to: modules, its own functions, those of layers.py."""
    files = (folder / "layers.py", folder / "training" / "shared_layers.py")
    texts = (file.read_text(encoding="utf-8") for file in files if file.exists())
    library = "\n".join(texts)
    own = {"create_model", "initialize", "load_weights", "save_weights"}
    return names_of_library(library) | own | set(modules)


def outputs_doc(analysis: Analysis, shape: Any) -> list[str]:
    """What a model takes and gives, as model.py's docstring says it."""
    results = [
        f"{output.name} {shape(analysis.types[output.node])}" for output in analysis.graph.outputs
    ]
    text = f"Images {shape(analysis.types[0])} of any batch size N; {', '.join(results)}."
    return docstring_lines(text, LINE)


def names_in(lines: list[str]) -> frozenset[str]:
    """Names that code reads; what is said of them in docstrings does not count."""
    tree = ast.parse("\n".join(lines))
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def model_imports(
    names: frozenset[str], framework: list[str], helpers: frozenset[str]
) -> list[str]:
    """The imports of model.py, and the names that it is for.

    Args:
        names: those that the model's code reads.
        framework: the lines that import the framework.
        helpers: what it takes from layers.py.
    """
    lines = ["import math", ""] if "math" in names else []
    lines += [*framework, ""]
    if helpers:
        line = f"from layers import {', '.join(sorted(helpers))}"
        each = [f"{INDENT}{name}," for name in sorted(helpers)]
        lines += [line] if len(line) <= LINE else ["from layers import (", *each, ")"]
    lines.append("from weights import initialize, load_weights, save_weights")
    return [*lines, "", '__all__ = ["create_model", "load_weights", "save_weights"]']
