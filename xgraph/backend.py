"""What a backend is, and how one is found.

A backend turns a compilation into the files of a training program. It is found through the
entry-point group `xgraph.backends`, so a separately installed package can bring one.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, suggest
from xgraph.ir.analysis import Analysis
from xgraph.semantics import Conventions

if TYPE_CHECKING:
    from xgraph.programs import MeasuredProgram
    from xgraph.recipe import Recipe

GROUP = "xgraph.backends"
#: Backends of this distribution, which also work in a checkout that was never installed.
_BUNDLED = {
    "flax": "xgraph_backends.flax_nnx:BACKEND",
    "keras": "xgraph_backends.keras3:BACKEND",
    "torch": "xgraph_backends.pytorch:BACKEND",
}


@dataclass(frozen=True)
class Compilation:
    """An analysis with the recipe that the program trains by; without one it is a model alone.

    `probed` asks for a program that shows the value of every node on its way: each op's result
    passes through a function `probe(self, name, value)`, which whoever loads it provides.
    """

    analysis: Analysis
    recipe: Recipe | None
    probed: bool = False


@dataclass(frozen=True)
class Backend:
    """A target framework.

    `emit` returns the text of every file of the program, by file name. `spelled` are the ops that
    it has a spelling for. `program` says where the class is that brings emitted files to life to
    be measured (`xgraph.programs.MeasuredProgram`), as "module:class"; only `load` imports it, and
    with it the framework. A backend that is `forward_only` makes no training program, so its class
    need only be an `xgraph.programs.Program`, and `xgraph parity` leaves it out.
    """

    name: str
    title: str
    conventions: Conventions
    spelled: frozenset[str]
    emit: Callable[[Compilation], Mapping[str, str]]
    program: str
    forward_only: bool = False

    def load(
        self, files: Mapping[str, str], dtype: str = "float64", device: str = "cpu"
    ) -> MeasuredProgram:
        """A generated program in this process; `dtype` is what it computes in, on `device`.

        A class that knows no devices but the CPU is asked for none.
        """
        module, _, name = self.program.partition(":")
        kind = getattr(importlib.import_module(module), name)
        other = {} if device == "cpu" else {"device": device}
        program: MeasuredProgram = kind(files, dtype, **other)
        return program


@functools.cache
def _installed() -> dict[str, str]:
    """Where every backend is found, as "module:attribute"; a bundled name cannot be taken over."""
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    return {**{point.name: point.value for point in entry_points(group=GROUP)}, **_BUNDLED}


def names() -> tuple[str, ...]:
    """Names of all installed backends, sorted; none is imported."""
    return tuple(sorted(_installed()))


def get(name: str, where: Span | None = None) -> Backend:
    """The backend of this name.

    Args:
        name: a backend's.
        where: the place of the name; `--backend`, if it is not given.

    Raises:
        SpecError: there is none (XG702), or what its entry point names is none (XG708).
    """
    place = _BUNDLED.get(name) or _installed().get(name)
    where = where or Span(Source("--backend", name), 1, 1, max(1, len(name)))
    if place is None:
        raise SpecError(
            Diagnostic(
                "XG702",
                f"there is no backend called '{name[:60]}'",
                where,
                expected="one of " + ", ".join(names()),
                hint=suggest(name, names()),
            )
        )
    module, _, attribute = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise SpecError(_unsound(name, where, place, str(error))) from None
    except AttributeError:
        raise SpecError(_unsound(name, where, place, f"{module} has no '{attribute}'")) from None
    except Exception as error:  # a package may raise anything while it is imported
        received = f"{type(error).__name__}: {error}"
        raise SpecError(_unsound(name, where, place, received)) from None
    if not isinstance(found, Backend):
        raise SpecError(_unsound(name, where, place, f"a {type(found).__name__}"))
    return found


def _unsound(name: str, where: Span, place: str, received: str) -> Diagnostic:
    """What is wrong with an entry point."""
    return Diagnostic(
        "XG708",
        f"the backend '{name}' cannot be loaded",
        where,
        expected=f"a Backend at {place}",
        received=received,
        hint="its package is at fault, or something that it needs is not installed",
    )
