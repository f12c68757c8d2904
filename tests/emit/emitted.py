"""The programs of every spec at hand, in every backend, on disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from xgraph import backend, conformance
from xgraph.compile import Analysis, Compilation, analyse, compile_spec
from xgraph.diagnostics import SpecError
from xgraph.recipe import load_recipe
from xgraph.spec import library

from .random_specs import Author
from .structures import SPECS

BACKENDS = ("torch", "keras", "flax")


def texts(seeds: range) -> Iterator[tuple[str, str]]:
    """(name, text) of the test specs, of a spec around every case of every op, of random ones."""
    yield from SPECS.items()
    numbers = itertools.count()
    for op, case in conformance.cases():
        yield f"{op}_{next(numbers)}", conformance.spec_of(op, case)
    for seed in seeds:
        yield f"random_{seed}", Author(seed).spec()


def write_programs(folder: Path, seeds: range = range(60)) -> int:
    """Write all, each into a folder of its own; returns how many there are."""
    written = 0
    for path in library.all_specs():
        for target in BACKENDS:
            analysis, files = compile_spec(str(path), backend.get(target))
            written += _write(folder / f"{path.stem}-{target}", files)
            assert isinstance(analysis, Analysis)
    recipe, place = load_recipe("imagenet"), folder / "spec.yaml"
    for name, text in texts(seeds):
        place.write_text(text)
        try:
            analysis = analyse(str(place))
        except SpecError:
            assert name.startswith("random"), name
            continue
        for target in BACKENDS:
            files = backend.get(target).emit(Compilation(analysis, recipe))
            written += _write(folder / f"{name}-{target}", files)
    return written


def _write(folder: Path, files: dict[str, str]) -> int:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return 1
