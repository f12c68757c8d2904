"""The specs that come with xgraph: `xgraph summary xception` works from any directory."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

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
