"""The flat graph as a networkx graph, for comparison, drawing and algorithms of its library."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from xgraph.ir.graph import Graph

if TYPE_CHECKING:
    import networkx as nx


def to_networkx(graph: Graph) -> nx.MultiDiGraph[Any]:
    """One networkx node for each node, by name, with `op` and the op's attributes.

    One that shares another's weights has that one's name as `shares`. An edge for each input
    carries `position`, the input's place in the list. Outputs are in `graph["outputs"]`, node name
    by output name.
    """
    import networkx as nx  # slow to import, and needed by none of the commands' usual work

    made: nx.MultiDiGraph[Any] = nx.MultiDiGraph(name=graph.name)
    for node in graph.nodes:
        attributes = {f.name: getattr(node.op, f.name) for f in dataclasses.fields(node.op)}
        made.add_node(node.name, op=node.op.name, attributes=attributes)
        if node.shares:
            made.nodes[node.name]["shares"] = node.shares
        for position, source in enumerate(node.inputs):
            made.add_edge(graph.nodes[source].name, node.name, position=position)
    made.graph["outputs"] = {o.name: graph.nodes[o.node].name for o in graph.outputs}
    return made
