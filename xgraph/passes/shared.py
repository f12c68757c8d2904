"""Whether nodes that share weights can: shapes that fit, and an order where there must be one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.ir.graph import Graph, Node
from xgraph.ir.types import TensorType

_PROBLEM_LIMIT = 100
#: Nodes that may be looked at for each node of the graph, to tell which of two comes first.
_PATIENCE = 50


def check_shared(graph: Graph, types: Sequence[TensorType]) -> None:
    """Hold what is shared to its owner.

    What leaves something behind in training, as batch norm does in its moving statistics, must be
    applied in an order that the graph itself gives, by a path from each application to the next. A
    framework computes what does not depend on each other in any order.

    Raises:
        SpecError: XG509 where weights do not fit, XG510 where there is no order, or for a mask.
    """
    if not any(node.shares for node in graph.nodes):
        return
    problems: list[Diagnostic] = []
    owners = {node.name: index for index, node in enumerate(graph.nodes)}
    latest: dict[str, int] = {}  # of what remembers, the application before
    order = _Order(graph)
    for index, node in enumerate(graph.nodes):
        if len(problems) >= _PROBLEM_LIMIT:
            break
        if node.shares:
            problems += _unfit(graph, types, owners[node.shares], node)
            if node.op.draws:
                problems.append(_drawn(graph.nodes[owners[node.shares]], node))
        if not node.op.remembers:
            continue
        before = latest.get(node.owner)
        latest[node.owner] = index
        if before is not None and not order.follows(before, index):
            problems.append(_unordered(graph.nodes[before], node))
    if problems:
        raise SpecError(problems)


def _unfit(
    graph: Graph, types: Sequence[TensorType], first: int, node: Node
) -> Iterable[Diagnostic]:
    owner = graph.nodes[first]
    needed = node.op.weights(tuple(types[k] for k in node.inputs))
    there = {w.name: w.shape for w in owner.op.weights(tuple(types[k] for k in owner.inputs))}
    for weight in needed:
        if there.get(weight.name) != weight.shape:
            yield Diagnostic(
                "XG509",
                f"the {weight.name} of '{owner.name}' does not fit '{node.name}', which shares it",
                node.span,
                expected=_size(weight.shape),
                received=_size(there.get(weight.name, ())),
                hint="images of another size need a layer of their own here"
                if node.op.sized or types[node.inputs[0]].rank == 1
                else None,
                notes=(("it is applied first here", owner.span),),
            )
            return


def _drawn(owner: Node, node: Node) -> Diagnostic:
    """Masks follow from how many passes a layer has gone through, one in each of the model's."""
    return Diagnostic(
        "XG510",
        f"'{node.name}' would draw its masks with '{owner.name}'",
        node.span,
        expected=f"{node.op.name} outside of what is shared",
        hint="put it behind each application, or give the block its rate as a parameter that is 0",
        notes=(("it is applied first here", owner.span),),
    )


def _unordered(before: Node, node: Node) -> Diagnostic:
    return Diagnostic(
        "XG510",
        f"nothing says which of '{before.name}' and '{node.name}' is computed first",
        node.span,
        expected=f"a path from one to the other, since {node.op.name} is shared, and goes on in "
        "training from where the one before has left it",
        hint="let one follow from the other, take group_norm or layer_norm, or give each its own",
        notes=(("the other is here", before.span),),
    )


def _size(shape: tuple[int, ...]) -> str:
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
                raise SpecError([_unordered(self.graph.nodes[first], self.graph.nodes[last])])
            for source in node.inputs:
                if source == first:
                    return True
                if source > first and source not in seen:
                    seen.add(source)
                    pending.append(source)
        return False
