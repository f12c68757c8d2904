"""What a part of a recipe is: settings, formula, NumPy reference and cases, in a file of its own.

A part is a frozen dataclass; an instance is the part with its settings bound. Adding one is adding
a file `xgraph/recipe/<kind>/<name>.py` that holds one subclass of the kind's base (`base.py` beside
it) whose `name` is the file's name. How a framework says it stands in `training/` of the backends.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.recipe.parts import Parts

#: The sections of a recipe that name a part, each with the folder where its parts are.
KINDS: dict[str, str] = {
    "optimizer": "optimizers",
    "schedule": "schedules",
    "regularization": "regularizations",
    "clip": "clips",
    "ema": "averages",
    "loss": "losses",
    "tune": "tunings",
    "devices": "distributions",
    "asynchronous": "asynchrony",
}
#: Those that have one part, of the section's own name: `ema: {decay: 0.99}`.
SINGLE = frozenset({"ema", "tune", "devices", "asynchronous"})


@dataclass(frozen=True)
class Part:
    """Base of all parts.

    The first line of a part's docstring is its formula. Without a default a setting is required;
    the first setting is the one that the short form `{l2: 1e-4}` sets.
    """

    name: ClassVar[str] = ""

    @property
    def constants(self) -> dict[str, str]:
        """Its settings as constants of train.py: the source of each value by its name."""
        return {}

    @property
    def said(self) -> str:
        """What it is, in a few words, where that says more than its name."""
        return self.name

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        """Settings as a recipe gives them, with which every backend trains against NumPy."""
        raise NotImplementedError


@functools.cache
def named(section: str) -> Parts[Part]:
    """The parts that this section of a recipe may name, by name."""
    return Parts(f"xgraph.recipe.{KINDS[section]}", Part)


def names(section: str) -> tuple[str, ...]:
    """Their names, sorted."""
    return tuple(named(section))


def get(section: str, name: str) -> type[Part]:
    """The class of a part; its file is imported when it is first asked for.

    Raises:
        KeyError: the section has no such part.
    """
    return named(section)[name]
