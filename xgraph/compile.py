"""The whole pipeline, as one list of steps."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from xgraph import backend as backends
from xgraph import twin
from xgraph.backend import Backend, Compilation
from xgraph.diagnostics import Diagnostic, Source, Span, SpecError
from xgraph.emit import gate
from xgraph.ir.analysis import Analysis
from xgraph.passes.elaborate import elaborate
from xgraph.passes.foreign import foreign_numbers
from xgraph.passes.idle import idle_branches
from xgraph.passes.shapes import infer_shapes
from xgraph.passes.shared import check_shared
from xgraph.passes.trainable import check_reached, check_trainable
from xgraph.passes.tuned import check_tuning
from xgraph.passes.unused import unused
from xgraph.spec import library
from xgraph.spec.overlay import divided, load_layers, override, telling
from xgraph.spec.reader import read_program

if TYPE_CHECKING:
    from xgraph.recipe import Recipe

#: For those who compile in several threads: in CPython 3.11, two that parse Python source at once
#: can fail with "SystemError: AST constructor recursion depth mismatch".
COMPILING = threading.RLock()


def analyse(spec: str, settings: Sequence[str] = (), family: Path | None = None) -> Analysis:
    """Load and check a spec, as far as it does not matter what it is compiled to.

    Args:
        spec: path of a YAML file, or the name of a bundled spec.
        settings: `key=value` texts laid over it, as `--set` gives them.
        family: the file that declares it, where it is known to be a size of that.

    Raises:
        SpecError: with every problem of the first stage that found any.
    """
    path, shown_as = library.find_spec(spec)
    # text → trees, `extends` laid over
    document, sources = load_layers(path, shown_as, family=family)
    document = override(document, list(settings))  # `--set` laid over
    with telling(document):
        program = read_program(document)  # trees → the author's structure, every name known
        elaborated = elaborate(program)  # structure → flat graph
    types = infer_shapes(elaborated.graph, elaborated.sections)  # output type of every node
    check_shared(elaborated.graph, types, elaborated.sections)  # shared weights fit
    texts = [source.text for source in sources] + list(settings)
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
    inherited = sources[:-1]  # what a spec extends is warned of where it is checked itself
    warnings = [
        warning
        for warning in (
            *unused(program),
            *idle_branches(elaborated),
            *foreign_numbers(elaborated),
        )
        if warning.span is None or warning.span.source not in inherited
    ]
    return Analysis(elaborated, types, tuple(settings), digest, tuple(warnings))


def prepare(
    spec: str,
    settings: Sequence[str] = (),
    recipe: str | None = None,
    family: Path | None = None,
) -> Compilation:
    """What every backend's program is made from.

    Args:
        spec: path of a YAML file, or the name of a bundled spec.
        settings: `key=value` texts laid over it, and `recipe.key=value` texts over its recipe.
        recipe: the recipe to train by, instead of the one that the spec names. Where neither names
            one, the model is all there is.
        family: as of `analyse`.

    Raises:
        SpecError: the spec or its recipe is at fault.
    """
    problems = _Problems()
    of_spec, of_recipe = divided(settings)
    analysis = analyse(spec, of_spec, family)
    compilation = _with_recipe(analysis, spec, recipe, of_recipe, problems)
    problems.raise_any()
    return compilation


def emit(compilation: Compilation, backend: Backend) -> Mapping[str, str]:
    """The files of a program, text by file name, as they may be written.

    Raises:
        SpecError: the backend cannot say an op (XG703), or cannot train the model by the recipe.
        LeakError: the program is not what was planned; see `xgraph.emit.gate`.
    """
    check_spellings(compilation.analysis, backend)
    files = _written(compilation, backend)
    gate.check(files, twin.texts(compilation), lambda: _written(twin.neutral(compilation), backend))
    return files


def _written(compilation: Compilation, backend: Backend) -> Mapping[str, str]:
    """What a backend writes, unless it stumbles over what it has written itself."""
    try:
        return backend.emit(compilation)
    except SpecError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise gate.LeakError(f"the backend '{backend.name}' fails: {reason}") from error


def emit_all(compilation: Compilation, targets: Sequence[Backend]) -> dict[str, Mapping[str, str]]:
    """The files of the program in each backend, by the backend's name and by file name.

    Raises:
        SpecError: with the problems of all of them.
    """
    problems = _Problems()
    programs = {}
    for target in targets:
        with problems.collected():
            programs[target.name] = emit(compilation, target)
    problems.raise_any()
    return programs


def compile_spec(
    spec: str, backend: Backend, settings: Sequence[str] = (), recipe: str | None = None
) -> tuple[Analysis, Mapping[str, str]]:
    """The files of a program: text by file name, and what they were made from.

    Raises:
        SpecError: the spec or its recipe is at fault.
    """
    compilation = prepare(spec, settings, recipe)
    return compilation.analysis, emit(compilation, backend)


def check(
    spec: str,
    settings: Sequence[str] = (),
    recipe: str | None = None,
    names: Sequence[str] | None = None,
) -> Compilation:
    """Find all that compiling would find, for these backends or all that are installed.

    The programs are made, for there is no other way to be sure, and thrown away. A backend that
    is installed and cannot be loaded is a warning, unless it was asked for by name.

    Raises:
        SpecError: with every problem of the spec itself, or else every one of compiling it.
    """
    of_spec, of_recipe = divided(settings)
    analysis = analyse(spec, of_spec)
    problems = _Problems()
    warnings = list(analysis.warnings)
    targets = []
    for name in names if names is not None else backends.names():
        try:
            targets.append(backends.get(name))
        except SpecError as error:
            if names is not None:
                raise
            warnings += [replace(one, severity="warning") for one in error.diagnostics]
    analysis = replace(analysis, warnings=tuple(warnings))
    compilation = _with_recipe(analysis, spec, recipe, of_recipe, problems)
    with problems.collected():
        emit_all(compilation, targets)
    problems.raise_any()
    return compilation


def check_sizes(
    spec: str, settings: Sequence[str] = (), recipe: str | None = None
) -> list[Compilation]:
    """The sizes that a spec's file declares, checked as specs, but for what each backend writes.

    Raises:
        SpecError: with every problem of all sizes.
    """
    problems = _Problems()
    found = []
    family, _ = library.find_spec(spec)
    for size in library.sizes_of(spec):
        with problems.collected():
            found.append(prepare(size, settings, recipe, family))
    problems.raise_any()
    return found


def check_spellings(analysis: Analysis, backend: Backend) -> None:
    """Every op must be one that the backend can say.

    Raises:
        SpecError: XG703, one diagnostic for each op that it cannot.
    """
    from xgraph.ops import Composite

    problems = {}
    for node in analysis.graph.nodes[1:]:
        if node.op.name in backend.spelled or node.op.name in problems:
            continue
        if isinstance(node.op, Composite):  # spelled step by step
            continue
        problems[node.op.name] = Diagnostic(
            "XG703",
            f"the backend '{backend.name}' has no spelling for '{node.op.name}'",
            node.span,
            hint="use another op, or add its spelling to the backend's lowering",
        )
    if problems:
        raise SpecError(problems.values())


@dataclass
class _Problems:
    """Diagnostics of several steps, none of which depends on another, to be raised together."""

    found: list[Diagnostic] = field(default_factory=list)

    @contextlib.contextmanager
    def collected(self) -> Iterator[None]:
        """Go on after a step that fails."""
        try:
            yield
        except SpecError as error:
            self.found += error.diagnostics

    def raise_any(self) -> None:
        """Raise what was found, if anything was."""
        if self.found:
            raise SpecError(self.found)


def _with_recipe(
    analysis: Analysis,
    spec: str,
    recipe: str | None,
    settings: Sequence[str],
    problems: _Problems,
) -> Compilation:
    """The spec with the recipe that is asked for, or that it names; with none if neither is.

    What is set of the recipe is among the settings of the analysis, for it is said in the program.

    Problems: there is no such recipe, it is at fault, or the spec cannot be trained.
    """
    loaded = None
    if recipe is not None or analysis.elaborated.program.recipe is not None:
        with problems.collected():
            loaded = _load_recipe(analysis, spec, recipe, settings)
        with problems.collected():
            check_trainable(analysis.graph, analysis.types)
        if loaded is not None:
            with problems.collected():
                check_tuning(loaded, analysis)
    else:
        problems.found += [_no_recipe(text) for text in settings]
        with problems.collected():
            check_reached(analysis.graph, analysis.types)
    analysis = replace(analysis, settings=(*analysis.settings, *settings))
    return Compilation(analysis, loaded)


def _no_recipe(setting: str) -> Diagnostic:
    return Diagnostic(
        "XG804",
        "there is no recipe to set this of",
        Span(Source("--set", setting), 1, 1, max(1, len(setting.partition("=")[0]))),
        expected="a spec that names a recipe, or --recipe",
        hint="for example --recipe imagenet",
    )


def _load_recipe(
    analysis: Analysis, spec: str, recipe: str | None, settings: Sequence[str]
) -> Recipe:
    from xgraph.recipe import load_recipe

    if recipe is not None:
        return load_recipe(recipe, settings=settings)
    program = analysis.elaborated.program
    named = str(program.recipe)
    if not named.endswith((".yaml", ".yml")):
        return load_recipe(named, None, program.recipe_span, settings)
    path, shown_as = library.find_spec(spec)  # a file beside the spec
    beside = (Path(shown_as).parent / named).as_posix()
    return load_recipe(path.parent / named, beside, program.recipe_span, settings)
