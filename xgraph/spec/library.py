"""The specs that come with xgraph: `xgraph summary xception` works from any directory."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, one_of, printable, suggest

#: A name longer than this is no name of a file.
_NAME_LIMIT = 64


@functools.cache
def specs_directory() -> Path:
    """The folder of bundled specs: `specs/` of a checkout, or its copy in an installed wheel."""
    found = importlib.util.find_spec("xgraph_specs")
    if found is not None and found.submodule_search_locations:
        return Path(next(iter(found.submodule_search_locations)))
    return Path(__file__).parents[2] / "specs"


def bundled(name: str) -> Path | None:
    """The bundled spec of this name, or None. Names are plain words, never paths."""
    if len(name) > _NAME_LIMIT or not name.replace("_", "").isalnum():
        return None
    for path in sorted(specs_directory().rglob(f"{name}.yaml")):
        if path.parent.name != "recipes":
            return path
    return None


def all_specs(folder: Path | None = None) -> list[Path]:
    """Every spec below a folder (default: the bundled ones), by path; recipes are not specs."""
    root = folder or specs_directory()
    return sorted(p for p in root.rglob("*.yaml") if "recipes" not in p.relative_to(root).parts)


def find_spec(text: str) -> tuple[Path, str]:
    """The file of a spec given as a path or as the name of a bundled one, and how to show it.

    Raises:
        SpecError: there is no such file or name (XG101).
    """
    path = Path(text)
    if text.endswith((".yaml", ".yml")) or os.path.exists(text):
        return path, text
    found = bundled(text)
    if found is None:
        names = [p.stem for p in all_specs()]
        raise SpecError(
            Diagnostic(
                "XG101",
                f"there is no spec called '{printable(text)}'",
                Span(Source("SPEC", text), 1, 1, max(1, len(text))),
                expected="the path of a YAML file, or " + one_of(names),
                hint=suggest(text, names),
            )
        )
    return found, f"specs/{found.relative_to(specs_directory()).as_posix()}"
