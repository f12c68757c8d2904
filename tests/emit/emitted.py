"""The programs of every spec at hand, in every backend, on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from xgraph import backend, conformance
from xgraph.compile import Compilation, analyse, compile_spec
from xgraph.diagnostics import SpecError
from xgraph.recipe import load_recipe
from xgraph.spec import library

from .random_specs import Author
from .structures import SPECS

BACKENDS = ("torch", "keras", "flax")


def texts(seeds: range, every: int) -> Iterator[tuple[str, str]]:
    """(name, text) of the test specs, of a spec around cases of every op, of random specs.

    Args:
        seeds: of the random specs.
        every: take each so many'th case.
    """
    yield from SPECS.items()
    for number, (op, case) in enumerate(conformance.cases()):
        if number % every == 0:
            yield f"{op}_{number}", conformance.spec_of(op, case)
    for seed in seeds:
        yield f"random_{seed}", Author(seed).spec()


def write_programs(folder: Path, seeds: range, every: int) -> int:
    """Write those of `texts` and of all bundled specs, each into a folder of its own.

    Returns:
        How many programs there are.
    """
    written = 0
    for number, path in enumerate(library.all_specs()):
        # Of families, where not all is written, a program each: of one backend after the other.
        family = path.parent.name == "families" and every > 1
        for target in BACKENDS[number % 3 :][:1] if family else BACKENDS:
            _, files = compile_spec(str(path), backend.get(target))
            written += _write(folder / f"{path.stem}-{target}", files)
    recipe, place = load_recipe("imagenet"), folder / "spec.yaml"
    for name, text in texts(seeds, every):
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


def _write(folder: Path, files: Mapping[str, str]) -> int:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return 1
