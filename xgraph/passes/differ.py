"""What is different between two graphs: ops, attributes, wiring, shapes, parameters and cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xgraph.ir.analysis import Analysis
from xgraph.ir.graph import Graph, Node
from xgraph.passes.align import Alignment, align
from xgraph.passes.cost import Cost, measure, total


@dataclass
class Group:
    """Nodes that differ alike.

    Attributes:
        op: their op, in the first graph unless they are added.
        changes: what differs, each with two values: attributes; or `op`, `inputs` by name, `shape`
            of the output, or that of the `input` where nothing else differs.
        nodes: their names, in the graph that has them, the first in doubt.
        parameters, macs: by how much the second graph has more in these nodes.
    """

    op: str
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    parameters: int = 0
    macs: int = 0


@dataclass(frozen=True)
class Difference:
    """Of two specs that are in order. `same` counts nodes that differ in nothing but their name."""

    one: Analysis
    other: Analysis
    totals: tuple[Cost, Cost]
    settings: dict[str, tuple[Any, Any]]  # parameters of the specs with their two values
    removed: list[Group]
    added: list[Group]
    replaced: list[Group]
    changed: list[Group]
    rewired: list[Group]
    resized: list[Group]
    renamed: dict[str, str]
    same: int

    @property
    def equal(self) -> bool:
        """Whether the two compute the same, whatever their nodes are called."""
        parts = (self.removed, self.added, self.replaced, self.changed, self.rewired, self.resized)
        return not any(parts) and _outputs(self.one.graph) == _outputs(self.other.graph)


#: A value that a spec does not have.
MISSING = "none"


def difference(one: Analysis, other: Analysis) -> Difference:
    """Everything that makes the second of two specs another network than the first."""
    costs = measure(one.graph, one.types), measure(other.graph, other.types)
    alignment = align(one.graph, one.types, other.graph, other.types)
    collected = _Collected(one, other, costs, alignment)
    mine, theirs = one.elaborated.parameters, other.elaborated.parameters
    return Difference(
        one,
        other,
        (total(costs[0][1:]), total(costs[1][1:])),
        {
            name: (mine.get(name, MISSING), theirs.get(name, MISSING))
            for name in dict.fromkeys((*mine, *theirs))
            if mine.get(name, MISSING) != theirs.get(name, MISSING)
        },
        *collected.alone(),
        collected.replaced(),
        *collected.compared(),
        {
            one.graph.nodes[a].name: other.graph.nodes[b].name
            for a, b in alignment.pairs.items()
            if one.graph.nodes[a].name != other.graph.nodes[b].name
        },
        collected.same,
    )


class _Collected:
    """Groups of what differs alike."""

    def __init__(
        self,
        one: Analysis,
        other: Analysis,
        costs: tuple[Sequence[Cost], Sequence[Cost]],
        alignment: Alignment,
    ) -> None:
        self.one, self.other = one, other
        self.costs = costs
        self.alignment = alignment
        self.same = 0

    def alone(self) -> tuple[list[Group], list[Group]]:
        """(nodes that are removed, nodes that are added), by op."""
        sides = (self.one, self.alignment.removed, -1), (self.other, self.alignment.added, 1)
        found: list[list[Group]] = []
        for side, (analysis, indexes, sign) in enumerate(sides):
            groups: dict[str, Group] = {}
            for index in indexes:
                node, cost = analysis.graph.nodes[index], self.costs[side][index]
                group = groups.setdefault(node.op.name, Group(node.op.name))
                _count(group, node.name, (sign * cost.parameters, sign * cost.macs))
            found.append(list(groups.values()))
        return found[0], found[1]

    def replaced(self) -> list[Group]:
        """Nodes with another op in their place."""
        groups: dict[str, Group] = {}
        for a, b in self.alignment.replaced.items():
            mine, theirs = self.one.graph.nodes[a], self.other.graph.nodes[b]
            _add(groups, mine, {"op": (mine.op.name, theirs.op.name)}, self.more(a, b))
        return list(groups.values())

    def compared(self) -> tuple[list[Group], list[Group], list[Group]]:
        """(attributes that differ, inputs that do, shapes that do) of nodes that are paired.

        What a node has more is told once, with its attributes if they differ, else with its shape.
        """
        attributes: dict[str, Group] = {}
        wires: dict[str, Group] = {}
        shapes: dict[str, Group] = {}
        together = {**self.alignment.pairs, **self.alignment.replaced}
        back = {b: a for a, b in together.items()}
        for a, b in sorted(self.alignment.pairs.items()):
            mine, theirs = self.one.graph.nodes[a], self.other.graph.nodes[b]
            changes = _attributes(mine, theirs)
            if changes:
                _add(attributes, mine, changes, self.more(a, b))
            before = [_source(self.one.graph, k, together) for k in mine.inputs]
            after = [_source(self.other.graph, k, back) for k in theirs.inputs]
            moved = before != [back.get(k, -1 - k) for k in after]
            if moved:
                inputs = (
                    _names(self.one.graph, mine.inputs),
                    _names(self.other.graph, theirs.inputs),
                )
                if inputs[0] == inputs[1]:  # but what these nodes get is not the same
                    inputs = _names(self.one.graph, before), _names(self.other.graph, after)
                _add(wires, mine, {"inputs": inputs}, (0, 0))
            more = (0, 0) if changes else self.more(a, b)
            sizes = (self.one.types[a].shape, self.other.types[b].shape)
            resized = sizes[0] != sizes[1]
            if resized:
                _add(shapes, mine, {"shape": sizes}, more)
            elif any(more):  # of weights for more channels, or other images
                given = _shapes(self.one, mine), _shapes(self.other, theirs)
                _add(shapes, mine, {"input": given}, more)
                resized = True
            self.same += a > 0 and not changes and not moved and not resized
        return list(attributes.values()), list(wires.values()), list(shapes.values())

    def more(self, a: int, b: int) -> tuple[int, int]:
        """By how many parameters and multiply-accumulates the second of two nodes has more."""
        mine, theirs = self.costs[0][a], self.costs[1][b]
        return theirs.parameters - mine.parameters, theirs.macs - mine.macs


def _add(
    groups: dict[str, Group], node: Node, changes: dict[str, tuple[Any, Any]], more: tuple[int, int]
) -> None:
    """Count a node to the group that differs as it does; shapes are told whatever the op."""
    shapes = changes.keys() <= {"shape", "input"}
    key = repr(changes) if shapes else f"{node.op.name} {changes!r}"
    _count(groups.setdefault(key, Group(node.op.name, changes)), node.name, more)


def _count(group: Group, name: str, more: tuple[int, int]) -> None:
    group.nodes.append(name)
    group.parameters += more[0]
    group.macs += more[1]


def _shapes(analysis: Analysis, node: Node) -> list[tuple[int, ...]]:
    return [analysis.types[index].shape for index in node.inputs]


def _names(graph: Graph, indexes: Sequence[int]) -> list[str]:
    return [graph.nodes[index].name for index in indexes]


def _attributes(one: Node, other: Node) -> dict[str, tuple[Any, Any]]:
    """Attributes of one op with two values."""
    shares = {"shares": (one.shares, other.shares)} if one.shares != other.shares else {}
    if one.op is other.op:
        return shares
    fields = (each.name for each in dataclasses.fields(one.op))
    values = {name: (getattr(one.op, name), getattr(other.op, name)) for name in fields}
    return shares | {
        name: (before, after) for name, (before, after) in values.items() if before != after
    }


def _source(graph: Graph, index: int, known: Mapping[int, int]) -> int:
    """The node that an input comes from, past such as the other graph has not."""
    while index not in known and len(graph.nodes[index].inputs) == 1:
        (index,) = graph.nodes[index].inputs
    return index


def _outputs(graph: Graph) -> list[tuple[str, float | None]]:
    return [(output.name, output.loss_weight) for output in graph.outputs]
