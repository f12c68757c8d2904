"""The whole pipeline, as one list of steps."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from xgraph import twin
from xgraph.backend import Backend, Compilation
from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.emit import gate
from xgraph.ir.analysis import Analysis
from xgraph.passes.elaborate import elaborate
from xgraph.passes.shapes import infer_shapes
from xgraph.passes.trainable import check_trainable
from xgraph.spec import library
from xgraph.spec.overlay import load_layers, override
from xgraph.spec.reader import read_program

#: For those who compile in several threads: in CPython 3.11, two that parse Python source at once
#: can fail with "SystemError: AST constructor recursion depth mismatch".
COMPILING = threading.RLock()


def analyse(spec: str, settings: Sequence[str] = ()) -> Analysis:
    """Load and check a spec.

    Args:
        spec: path of a YAML file, or the name of a bundled spec.
        settings: `key=value` texts laid over it, as `--set` gives them.

    Raises:
        SpecError: with every problem of the first stage that found any.
    """
    path, shown_as = library.find_spec(spec)
    document, sources = load_layers(path, shown_as)  # text → trees, `extends` laid over
    document = override(document, list(settings))  # `--set` laid over
    program = read_program(document)  # trees → the author's structure, every name known
    elaborated = elaborate(program)  # structure → flat graph
    types = infer_shapes(elaborated.graph)  # output type of every node
    texts = [source.text for source in sources] + list(settings)
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return Analysis(elaborated, types, tuple(settings), digest)


def compile_spec(
    spec: str, backend: Backend, settings: Sequence[str] = (), recipe: str | None = None
) -> tuple[Analysis, Mapping[str, str]]:
    """The files of a training program: text by file name, and what they were made from.

    Raises:
        SpecError: the spec or its recipe is at fault.
    """
    compilation = prepare(spec, settings, recipe)
    check_spellings(compilation.analysis, backend)
    return compilation.analysis, emit(compilation, backend)


def emit(compilation: Compilation, backend: Backend) -> Mapping[str, str]:
    """The files of a program, text by file name, as they may be written.

    Raises:
        LeakError: the program is not what was planned; see `xgraph.emit.gate`.
    """
    files = backend.emit(compilation)
    gate.check(files, twin.texts(compilation), lambda: backend.emit(twin.neutral(compilation)))
    return files


def prepare(spec: str, settings: Sequence[str] = (), recipe: str | None = None) -> Compilation:
    """What every backend's program is made from.

    Raises:
        SpecError: the spec or its recipe is at fault.
    """
    from xgraph.recipe import load_recipe

    analysis = analyse(spec, settings)
    check_trainable(analysis.graph, analysis.types)
    program = analysis.elaborated.program
    if recipe is not None:
        loaded = load_recipe(recipe)
    elif program.recipe is not None and program.recipe.endswith((".yaml", ".yml")):
        path, shown_as = library.find_spec(spec)  # a file beside the spec
        beside = (Path(shown_as).parent / program.recipe).as_posix()
        loaded = load_recipe(path.parent / program.recipe, beside, program.recipe_span)
    else:
        loaded = load_recipe(program.recipe or "imagenet", None, program.recipe_span)
    return Compilation(analysis, loaded)


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
