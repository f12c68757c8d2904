"""Parts of recipes that are found by name: a package with one file for each."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Parts(Mapping[str, type[T]], Generic[T]):
    """The classes of a package by the names of its files, sorted; each is imported when asked for.

    Attributes:
        package: the package's dotted name.
        base: what every part derives from; its file is `base.py`.
    """

    package: str
    base: type[T]

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        here = Path(__file__).parent / self.package.rpartition(".")[2]
        return tuple(sorted(p.stem for p in here.glob("[a-z]*.py") if p.stem != "base"))

    def __getitem__(self, name: str) -> type[T]:
        if name not in self._names:
            raise KeyError(name)
        module = importlib.import_module(f"{self.package}.{name}")
        parts = [v for v in vars(module).values() if isinstance(v, type)]
        for part in parts:
            if issubclass(part, self.base) and vars(part).get("name") == name:
                return part
        raise TypeError(f"{self.package}.{name} defines no part of that name")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
