"""A recipe's parts as the pieces of train.py, the same way in every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from xgraph.emit.contributions import Contribution
from xgraph.recipe import Recipe
from xgraph.recipe.part import Part
from xgraph.recipe.train_values import parts

_LIBRARY = Path(__file__).parent / "library"

Spellings = Mapping[type[Any], Callable[[Any], Contribution]]


def contribution(recipe: Recipe, spellings: Spellings) -> Contribution:
    """What the parts of a recipe add to train.py together."""
    return sum((spell(part, spellings) for part in parts(recipe)), Contribution())


def spell(part: Part, spellings: Spellings) -> Contribution:
    """What one part adds.

    Raises:
        KeyError: the backend does not know how to say it.
    """
    return spellings[type(part)](part)


def static_files(folder: Path) -> dict[str, str]:
    """The files of a training program that are the same for every spec, by name."""
    return {
        "run.py": (_LIBRARY / "run.py").read_text(encoding="utf-8"),
        "loader.py": (folder / "training" / "loader.py").read_text(encoding="utf-8"),
    }


def state_lines(copied: str, made: list[str]) -> list[str]:
    """Lines that return a state.

    Args:
        copied: the expression that copies all slots.
        made: entries for what is in no slot.
    """
    if not made:
        return [f"return {copied}"]
    return ["return {", f"    **{copied},", *(f"    {line}" for line in made), "}"]
