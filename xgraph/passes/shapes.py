"""The output type of every node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xgraph.diagnostics import Diagnostic, Span, SpecError
from xgraph.ir.elaborated import SectionRecord
from xgraph.ir.graph import Graph, Node
from xgraph.ir.types import TensorType
from xgraph.ops.base import ShapeProblem
from xgraph.ops.kinds import LARGEST
from xgraph.passes.uses import Use, uses

_PROBLEM_LIMIT = 100
_NOTE_LIMIT = 4


def infer_shapes(graph: Graph, sections: Sequence[SectionRecord] = ()) -> list[TensorType]:
    """Output type by node index.

    Args:
        graph: the graph.
        sections: where its nodes came from; a problem within a block says in which of its uses.

    Raises:
        SpecError: with every node whose inputs do not fit; nodes that depend on one of those are
            not reported again.
    """
    types: list[TensorType | None] = []
    problems: dict[Span | None, Diagnostic] = {}
    places: dict[int, Span | None] = {}  # of the nodes with problems
    known: dict[tuple[int, tuple[TensorType, ...]], TensorType] = {}
    for index, node in enumerate(graph.nodes):
        inputs = tuple([types[i] for i in node.inputs])
        if None in inputs:
            types.append(None)
            continue
        key = (id(node.op), inputs)
        found = known.get(key)  # type: ignore[arg-type]  # no None in it
        if found is None:
            try:
                made = node.op.infer(inputs)  # type: ignore[arg-type]  # no None in it
                found = known[key] = bounded(made)  # type: ignore[index]  # nor there
            except ShapeProblem as problem:
                if node.span not in problems:  # in a loop, once
                    places[index] = node.span
                    problems[node.span] = _diagnostic(graph, node, inputs, problem)  # type: ignore[arg-type]
                if len(problems) >= _PROBLEM_LIMIT:
                    break
        types.append(found)
    if problems:
        for index, around in uses(sections, places).items():
            problems[places[index]] = _used(problems[places[index]], around)
        raise SpecError(problems.values())
    return types  # type: ignore[return-value]


def bounded(type_: TensorType) -> TensorType:
    """A type, none of whose sizes is absurd.

    Raises:
        ShapeProblem: one is.
    """
    if max(type_.shape) > LARGEST:
        raise ShapeProblem(
            "what comes out is too large",
            expected=f"at most {LARGEST:,} rows, columns and channels",
            received="×".join(f"{size:,}" for size in type_.shape),
        )
    return type_


def _diagnostic(
    graph: Graph, node: Node, inputs: tuple[TensorType, ...], problem: ShapeProblem
) -> Diagnostic:
    """The problem with where each input came from; of many inputs, one for each shape."""
    sources = list(zip(node.inputs, inputs, strict=True))
    if len(sources) > _NOTE_LIMIT:
        sources = list({type_: (i, type_) for i, type_ in reversed(sources)}.values())[::-1]
    notes = tuple(
        (f"'{graph.nodes[i].name}' gives {type_}", graph.nodes[i].span) for i, type_ in sources
    )
    return Diagnostic(
        "XG501" if len(inputs) > 1 else "XG502",
        f"{problem.message} (node '{node.name}')",
        node.span,
        expected=problem.expected,
        received=problem.received,
        hint=problem.hint,
        notes=notes[:_NOTE_LIMIT],
    )


def _used(problem: Diagnostic, around: tuple[Use, ...]) -> Diagnostic:
    """The problem with the uses of blocks that it is in."""
    notes = [(f"the block is used here, as '{path}'", span) for path, span in around]
    return replace(problem, notes=(*problem.notes, *notes[:_NOTE_LIMIT]))
