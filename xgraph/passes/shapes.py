"""The output type of every node."""

from __future__ import annotations

from xgraph.diagnostics import Diagnostic, Span, SpecError
from xgraph.ir.graph import Graph, Node
from xgraph.ir.types import TensorType
from xgraph.ops.base import ShapeProblem

_PROBLEM_LIMIT = 100
_NOTE_LIMIT = 4


def infer_shapes(graph: Graph) -> list[TensorType]:
    """Output type by node index.

    Raises:
        SpecError: with every node whose inputs do not fit; nodes that depend on one of those are
            not reported again.
    """
    types: list[TensorType | None] = []
    problems: dict[Span | None, Diagnostic] = {}
    known: dict[tuple[int, tuple[TensorType, ...]], TensorType] = {}
    for node in graph.nodes:
        inputs = tuple([types[i] for i in node.inputs])
        if None in inputs:
            types.append(None)
            continue
        key = (id(node.op), inputs)
        found = known.get(key)  # type: ignore[arg-type]  # no None in it
        if found is None:
            try:
                found = known[key] = node.op.infer(inputs)  # type: ignore[index, arg-type]
            except ShapeProblem as problem:
                problems.setdefault(node.span, _diagnostic(graph, node, inputs, problem))  # type: ignore[arg-type]
                if len(problems) >= _PROBLEM_LIMIT:
                    break
        types.append(found)
    if problems:
        raise SpecError(problems.values())
    return types  # type: ignore[return-value]


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
