"""All ops: one file each. A file's name is the op's name; it is imported when first used."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

from xgraph.ops.base import Composite, Op

#: Files of this folder that hold no op.
_SUPPORT = frozenset(
    {"__init__", "base", "kinds", "windows", "input", "pointwise", "pooling", "merging",
     "normalizing", "channelwise"}
)  # fmt: skip


@functools.cache
def names() -> tuple[str, ...]:
    """Names of all ops that a spec may use, sorted."""
    here = Path(__file__).parent
    return tuple(sorted(p.stem for p in here.glob("[a-z]*.py") if p.stem not in _SUPPORT))


@functools.cache
def get(name: str) -> type[Op]:
    """The class of the op `name`.

    Raises:
        KeyError: there is no such op.
    """
    if name not in names():
        raise KeyError(name)
    module = importlib.import_module(f"xgraph.ops.{name}")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Op) and value.name == name:
            return value
    raise TypeError(f"xgraph/ops/{name}.py defines no op named '{name}'")


__all__ = ["Composite", "Op", "get", "names"]
