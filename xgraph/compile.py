"""The whole pipeline, as one list of steps."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xgraph.diagnostics import (
    Diagnostic,
    Source,
    Span,
    SpecError,
    one_of,
    printable,
    suggest,
)
from xgraph.ir.elaborated import Elaborated
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType
from xgraph.passes.elaborate import elaborate
from xgraph.passes.shapes import infer_shapes
from xgraph.passes.trained import untrained_nodes
from xgraph.spec import library
from xgraph.spec.overlay import load_layers, override
from xgraph.spec.reader import read_program

if TYPE_CHECKING:
    from xgraph.backend import Backend
    from xgraph.recipe import Recipe


#: For those who compile in several threads: in CPython 3.11, two that parse Python source at once
#: can fail with "SystemError: AST constructor recursion depth mismatch".
COMPILING = threading.RLock()


@dataclass(frozen=True)
class Analysis:
    """A spec that is in order: its structure, its flat graph, and every node's output type.

    `digest` identifies the text that it was made from: all files and settings.
    """

    elaborated: Elaborated
    types: list[TensorType]
    settings: tuple[str, ...]
    digest: str

    @property
    def name(self) -> str:
        return self.elaborated.program.name

    @property
    def graph(self) -> Graph:
        return self.elaborated.graph


@dataclass(frozen=True)
class Compilation:
    """An analysis with the recipe that the program trains by; without one it is a model alone.

    `probed` asks for a program that shows the value of every node on its way: each op's result
    passes through a function `probe(self, name, value)`, which whoever loads it provides.
    """

    analysis: Analysis
    recipe: Recipe | None
    probed: bool = False


def find_spec(text: str) -> tuple[Path, str]:
    """The file of a spec given as a path or as the name of a bundled one, and how to show it.

    Raises:
        SpecError: there is no such file or name (XG101).
    """
    path = Path(text)
    if text.endswith((".yaml", ".yml")) or os.path.exists(text):
        return path, text
    found = library.bundled(text)
    if found is None:
        names = [p.stem for p in library.all_specs()]
        raise SpecError(
            Diagnostic(
                "XG101",
                f"there is no spec called '{printable(text)}'",
                Span(Source("SPEC", text), 1, 1, max(1, len(text))),
                expected="the path of a YAML file, or " + one_of(names),
                hint=suggest(text, names),
            )
        )
    return found, f"specs/{found.relative_to(library.specs_directory()).as_posix()}"


def analyse(spec: str, settings: Sequence[str] = ()) -> Analysis:
    """Load and check a spec.

    Args:
        spec: path of a YAML file, or the name of a bundled spec.
        settings: `key=value` texts laid over it, as `--set` gives them.

    Raises:
        SpecError: with every problem of the first stage that found any.
    """
    path, shown_as = find_spec(spec)
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
    return compilation.analysis, backend.emit(compilation)


def prepare(spec: str, settings: Sequence[str] = (), recipe: str | None = None) -> Compilation:
    """What every backend's program is made from.

    Raises:
        SpecError: the spec or its recipe is at fault.
    """
    from xgraph.recipe import load_recipe

    analysis = analyse(spec, settings)
    _check_trainable(analysis)
    program = analysis.elaborated.program
    if recipe is not None:
        loaded = load_recipe(recipe)
    elif program.recipe is not None and program.recipe.endswith((".yaml", ".yml")):
        path, shown_as = find_spec(spec)  # a file beside the spec
        beside = (Path(shown_as).parent / program.recipe).as_posix()
        loaded = load_recipe(path.parent / program.recipe, beside, program.recipe_span)
    else:
        loaded = load_recipe(program.recipe or "imagenet", None, program.recipe_span)
    return Compilation(analysis, loaded)


#: Ops that turn logits into probabilities.
_PROBABILITIES = frozenset({"sigmoid", "softmax"})


def _check_trainable(analysis: Analysis) -> None:
    """The outputs that training reads must be logits, and train all weights there are.

    Raises:
        SpecError: XG706, one diagnostic for each output that is not; XG707, for each node.
    """
    graph, types = analysis.graph, analysis.types
    main = types[graph.outputs[0].node]
    problems = []
    for position, output in enumerate(graph.outputs):
        found = types[output.node]
        trained = position == 0 or output.loss_weight is not None
        if trained and (found.rank != 1 or found.channels != main.channels):
            problems.append(
                Diagnostic(
                    "XG706",
                    f"the output '{output.name}' cannot be trained as logits",
                    graph.nodes[output.node].span,
                    expected="one number for each class, as many as the main output has",
                    received=f"an output of shape {found}",
                    hint="end with global_avg_pool or flatten, and a dense layer"
                    if position == 0
                    else "leave its loss_weight out to make it a feature tap",
                )
            )
        elif trained and graph.nodes[output.node].op.name in _PROBABILITIES:
            problems.append(
                Diagnostic(
                    "XG706",
                    f"the output '{output.name}' is made of probabilities",
                    graph.nodes[output.node].span,
                    expected="logits, from which the loss makes probabilities itself",
                    received=f"what {graph.nodes[output.node].op.name} gives",
                    hint="leave it out; apply it to what the trained model gives",
                )
            )
    if problems:
        raise SpecError(problems)
    if untrained := untrained_nodes(graph, types):
        raise SpecError(
            Diagnostic(
                "XG707",
                f"no loss depends on the weights of '{graph.nodes[index].name}'",
                graph.nodes[index].span,
                expected="a way from here to an output that is trained",
                hint="give the output that needs it a loss_weight, or take the node out",
            )
            for index in untrained
        )


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
