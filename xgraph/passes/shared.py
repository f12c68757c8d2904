"""Whether nodes that share weights can: shapes that fit, and an order where there must be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from xgraph.diagnostics import Diagnostic, Span, SpecError
from xgraph.ir.elaborated import SectionRecord
from xgraph.ir.graph import Graph, Node
from xgraph.ir.types import TensorType
from xgraph.passes.uses import Use, uses

Shape = tuple[int, ...]
_PROBLEM_LIMIT = 100
#: Bits that are read to tell what comes first, in all and at a time, and those left for later.
_PATIENCE, _ROOM, _STALE = 10**12, 10**10, 1000


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
    latest: dict[str, Node] = {}  # of what remembers, the application before
    order = _Order(graph)
    for index, node in enumerate(graph.nodes):
        owner = graph.nodes[owners[node.owner]]
        if node.shares and (weight := _unfit(graph, types, owner, node)):
            problems.append((index, partial(_does_not_fit, node, owner, *weight)))
        if node.shares and node.op.draws:
            problems.append((index, partial(_draws, node, owner)))
        if not order.follows(index, node):
            problems.append((index, partial(_unordered, node, latest[node.owner])))
        if node.op.remembers:
            latest[node.owner] = node
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


def _too_many(node: Node) -> Diagnostic:
    return Diagnostic(
        "XG510",
        f"too much is shared to tell whether '{node.name}' comes after what it goes on from",
        node.span,
        hint=f"share fewer blocks that hold {node.op.name}, or have fewer side by side",
    )


def _size(shape: Shape) -> str:
    return "×".join(map(str, shape))


class _Order:
    """Which nodes follow from the latest application of what remembers, node by node.

    Each node keeps a set, as the bits of an integer, of the applications that it follows from; as
    long as another node reads it, and of each owner no other application than the latest.
    """

    def __init__(self, graph: Graph) -> None:
        self.left = Counter(node.owner for node in graph.nodes if node.op.remembers)
        self.readers = Counter(source for node in graph.nodes for source in node.inputs)
        self.sets: dict[int, int] = {}  # by node, for those that are read later
        self.places: dict[str, int] = {}  # by owner, the bit of the latest application
        self.free: list[int] = []
        self.stale = 0  # bits of applications that are the latest no more
        self.width = self.work = 0

    def follows(self, index: int, node: Node) -> bool:
        """Whether a node, the next one, follows from the application before of what it shares.

        Raises:
            SpecError: XG510, it would take too long to find out.
        """
        found = 0
        for source in node.inputs:
            found |= self.sets.get(source, 0)
            self.readers[source] -= 1
            if not self.readers[source]:
                self.sets.pop(source, None)
        ordered = True
        if node.op.remembers:
            place = self.places.pop(node.owner, None)
            if place is not None:
                ordered = bool(found >> place & 1)
                self.stale |= 1 << place
            self.left[node.owner] -= 1
            if self.left[node.owner]:
                found &= ~self.swept()
                self.places[node.owner] = place = self.fresh()
                found |= 1 << place
        if self.readers[index]:
            self.sets[index] = found
        self.work += self.width
        if self.work > _PATIENCE or self.width * len(self.sets) > _ROOM:
            raise SpecError([_too_many(node)])
        return ordered

    def fresh(self) -> int:
        """A bit that no set has."""
        if self.free:
            return self.free.pop()
        self.width += 1
        return self.width - 1

    def swept(self) -> int:
        """Stale bits, which no set has any more: when there are many, they are taken back."""
        stale = self.stale
        if self.free or stale.bit_count() < len(self.places) + _STALE:
            return 0
        self.sets = {node: found & ~stale for node, found in self.sets.items()}
        self.free = [place for place in range(self.width) if stale >> place & 1]
        self.stale = 0
        return stale
