"""Which weights training reaches."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType


def untrained_nodes(graph: Graph, types: Sequence[TensorType]) -> list[int]:
    """Nodes with weights that only outputs without a loss need.

    The first output always has a loss; another has one if it has a `loss_weight`.
    """
    trained = {
        output.node
        for position, output in enumerate(graph.outputs)
        if position == 0 or output.loss_weight is not None
    }
    return unreached_nodes(graph, types, trained)


def unreached_nodes(
    graph: Graph, types: Sequence[TensorType], outputs: Collection[int]
) -> list[int]:
    """Nodes with weights that none of the nodes `outputs` needs.

    Weights that are shared are needed where one application of them is. But each application moves
    the statistics of batch norm, unless a framework leaves it out.
    """
    needed = set(outputs)
    for index in range(len(graph.nodes) - 1, 0, -1):
        if index in needed:
            needed.update(graph.nodes[index].inputs)
    reached = {graph.nodes[index].owner for index in needed}
    return [
        index
        for index, node in enumerate(graph.nodes)
        if index not in needed
        and (node.op.remembers or not (node.shares or node.name in reached))
        and node.op.weights(tuple(types[i] for i in node.inputs))
    ]
