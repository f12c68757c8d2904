"""The specs that come with xgraph: `xgraph summary xception` works from any directory."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, one_of, printable, suggest
from xgraph.spec import sizes

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
    files = spec_files()
    paths = [folder / f"{name}.yaml" for folder in dict.fromkeys(file.parent for file in files)]
    found = next((path for path in paths if path in files), None)  # needs none to be read
    return found or next((path for path in paths if sizes.home(path) is not None), None)


def spec_files(folder: Path | None = None) -> list[Path]:
    """Every file of a spec below a folder (default: the bundled ones), by path; no recipes."""
    root = folder or specs_directory()
    return sorted(p for p in root.rglob("*.yaml") if "recipes" not in p.relative_to(root).parts)


def all_specs(folder: Path | None = None) -> list[Path]:
    """Every spec below a folder, by path: the files, and what stands for a size in one of them."""
    files = spec_files(folder)
    return sorted({*files, *(size.path for size in sizes.declared(files))})


@functools.cache
def _evidence() -> dict[str, Any]:
    path = specs_directory() / "evidence.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def evidence(path: Path) -> dict[str, Any] | None:
    """What published network a bundled spec is, and how far from it the programs are.

    `reference` is whose; `float64` is the greatest max|a − b| / max|b| of logits that tests have
    seen in any of the three frameworks, with the same random weights, or None where parameters and
    multiply-accumulates alone were compared.
    """
    if not path.is_relative_to(specs_directory()):
        return None
    return _evidence().get(path.stem)


def sizes_of(spec: str) -> list[str]:
    """The sizes that the file of a spec declares, as commands take them; of a size itself, none.

    Raises:
        SpecError: there is no such spec (XG101).
    """
    path, _ = find_spec(spec)
    named = not spec.endswith((".yaml", ".yml")) and not os.path.exists(spec)
    if not path.is_file():
        return []
    return [size.path.stem if named else str(size.path) for size in sizes.declared([path])]


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
