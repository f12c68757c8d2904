"""Whether nodes that share weights can: shapes that fit, and an order where there must be one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from xgraph.diagnostics import Diagnostic, Span, SpecError
from xgraph.ir.elaborated import SectionRecord
from xgraph.ir.graph import Graph, Node
from xgraph.ir.types import TensorType
from xgraph.passes.uses import Use, uses

Shape = tuple[int, ...]
_PROBLEM_LIMIT = 100
#: Nodes that may be looked at for each node of the graph, to tell which of two comes first.
_PATIENCE = 50


def check_shared(
    graph: Graph, types: Sequence[TensorType], sections: Sequence[SectionRecord] = ()
) -> None:
    """Hold what is shared to its owner.

    What leaves something behind in training, as batch norm does in its moving statistics, must be
    applied in an order that the graph itself gives, by a path from each application to the next. A
    framework computes what does not depend on each other in any order.

    Args:
        graph: the graph.
        types: output type of every node.
        sections: where its nodes came from; a problem within a block is told where it is shared.

    Raises:
        SpecError: XG509 where weights do not fit, XG510 where there is no order, or for a mask.
    """
    if not any(node.shares for node in graph.nodes):
        return
    problems: list[tuple[int, Callable[[str, Span | None], Diagnostic]]] = []
    owners = {node.name: index for index, node in enumerate(graph.nodes)}
    latest: dict[str, int] = {}  # of what remembers, the application before
    order = _Order(graph)
    for index, node in enumerate(graph.nodes):
        owner = graph.nodes[owners[node.owner]]
        if node.shares and (weight := _unfit(graph, types, owner, node)):
            problems.append((index, partial(_does_not_fit, node, owner, *weight)))
        if node.shares and node.op.draws:
            problems.append((index, partial(_draws, node, owner)))
        if not node.op.remembers:
            continue
        before = latest.get(node.owner)
        latest[node.owner] = index
        if before is not None and not order.follows(before, index):
            problems.append((index, partial(_unordered, node, graph.nodes[before])))
    around = uses(sections, [index for index, _ in problems])
    found: dict[tuple[str, Span | None], Diagnostic] = {}
    for index, problem in problems:
        diagnostic = problem(*_shared_at(graph.nodes[index], around[index]))
        found.setdefault((diagnostic.code, diagnostic.span), diagnostic)
    if found:
        raise SpecError([*found.values()][:_PROBLEM_LIMIT])


def _shared_at(node: Node, around: Sequence[Use]) -> tuple[str, Span | None]:
    """What is shared, and where: the node itself, or the block that it came with."""
    for path, span in reversed(around):
        if not node.owner.startswith(f"{path}."):
            return path, span
    return node.name, node.span


def _unfit(
    graph: Graph, types: Sequence[TensorType], owner: Node, node: Node
) -> tuple[str, Shape, Shape] | None:
    """A weight that does not fit both, with the shapes that it has and would need."""
    here, there = (
        {w.name: w.shape for w in one.op.weights(tuple(types[k] for k in one.inputs))}
        for one in (node, owner)
    )
    return next(
        ((name, there[name], shape) for name, shape in here.items() if there[name] != shape), None
    )


def _does_not_fit(
    node: Node, owner: Node, word: str, there: Shape, here: Shape, name: str, span: Span | None
) -> Diagnostic:
    return Diagnostic(
        "XG509",
        f"the {word} of '{owner.name}' does not fit '{name}', which shares it",
        span,
        expected=f"shape {_size(there)}",
        received=f"shape {_size(here)}",
        hint="it is for images of one size",
        notes=(("the weight is of this", owner.span),),
    )


def _draws(node: Node, owner: Node, name: str, span: Span | None) -> Diagnostic:
    """Masks follow from how many passes a layer has gone through, one in each of the model's."""
    return Diagnostic(
        "XG510",
        f"'{name}' shares the masks of '{owner.name}'",
        span,
        expected=f"{node.op.name} outside of what is shared",
        hint="put it behind each application, or give the block its rate as a parameter that is 0",
        notes=((f"the {node.op.name} is here", owner.span),),
    )


def _unordered(node: Node, before: Node, name: str, span: Span | None) -> Diagnostic:
    return Diagnostic(
        "XG510",
        f"nothing says whether '{name}' or '{before.name}' is computed first",
        span,
        expected=f"a path from one to the other: the {node.op.name} that they share goes on in "
        "training from where the one before has left it",
        hint="let one follow from the other, take group_norm or layer_norm, or give each its own",
        notes=((f"the {node.op.name} is here", node.span),) if span != node.span else (),
    )


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape))


class _Order:
    """Which nodes follow from which."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.patience = _PATIENCE * len(graph.nodes)

    def follows(self, first: int, last: int) -> bool:
        """Whether a path leads from the first to the last.

        Raises:
            SpecError: XG510, it would take too long to find out.
        """
        seen, pending = {last}, [last]
        while pending:
            node = self.graph.nodes[pending.pop()]
            self.patience -= 1
            if self.patience < 0:
                one, other = self.graph.nodes[last], self.graph.nodes[first]
                raise SpecError([_unordered(one, other, one.name, one.span)])
            for source in node.inputs:
                if source == first:
                    return True
                if source > first and source not in seen:
                    seen.add(source)
                    pending.append(source)
        return False
