"""Where two programs part: the first node whose values, or gradients, differ."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from xgraph.ir.graph import Graph, Node
from xgraph.ops.base import Array
from xgraph.parity.distance import Arrays, distances
from xgraph.parity.report import Divergence, Measurement

_NOTHING = np.empty(0)


def by_node(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """Values of nodes by their names, from values by path and number ("stem.conv/0").

    A node in a loop that has no layer of its own is met under one path; its iterations are told
    apart by their order, and so are nodes that share a layer. The last step of a composite op is
    the op's value.
    """
    found: dict[str, Array] = {}
    nodes: dict[str, list[str]] = {}
    for node in graph.nodes:
        nodes.setdefault(node.owner, []).append(node.name)
        plain = re.sub(r"(\.\d+)+$", "", node.owner)
        if plain != node.owner:
            nodes.setdefault(plain, []).append(node.name)
    for key in values:
        path, _, number = key.rpartition("/")
        names = nodes.get(path) or nodes.get(path.rpartition(".")[0], [])
        if int(number) < len(names):
            found[names[int(number)]] = values[key]
    return found


def first_difference(
    graph: Graph,
    left: Mapping[str, Array],
    right: Mapping[str, Array],
    measurement: Measurement,
    limit: float,
) -> Divergence | None:
    """The first node, in the order of computing, whose values are farther apart than `limit`."""
    one, other = by_node(graph, left), by_node(graph, right)
    for node in graph.nodes:
        if node.name in one and node.name in other:
            pair = {"value": one[node.name]}, {"value": other[node.name]}
            found = distances(*map(Arrays, pair))["value"]
            if not found <= limit:
                return _divergence(node, measurement, found)
    return None


def owner_of(
    graph: Graph, found: Mapping[str, float], measurement: Measurement, limits: Mapping[str, float]
) -> Divergence | None:
    """The node whose weight differs first: from the end for gradients, which flow backwards."""
    backwards = "gradient" in measurement.quantity
    order: Sequence[Node] = graph.nodes[::-1] if backwards else graph.nodes
    for node in order:
        for key, distance in found.items():
            name = key.partition("/")[2]
            if name.rpartition(".")[0] == node.owner and not distance <= limits[key]:
                return _divergence(node, measurement, distance)
    return None


def named_in(message: str, graph: Graph) -> Node | None:
    """The node that a framework's own message names, as Keras' names the layer that failed."""
    words = re.split(r"[^\w.-]+", message)
    by_name = {node.name: node for node in graph.nodes[1:]}
    by_name |= {name.replace(".", "-"): node for name, node in by_name.items()}
    return next((by_name[word] for word in words if word in by_name), None)


def next_after(reached: Sequence[str], graph: Graph) -> Node | None:
    """The first node, in the order of computing, whose value was not seen; `reached` are paths."""
    seen = by_node(graph, dict.fromkeys(reached, _NOTHING))
    last = max((k for k, node in enumerate(graph.nodes) if node.name in seen), default=0)
    return graph.nodes[last + 1] if last + 1 < len(graph.nodes) else None


def _divergence(node: Node, measurement: Measurement, distance: float) -> Divergence:
    span = node.span
    return Divergence(
        left=measurement.left,
        right=measurement.right,
        quantity=measurement.quantity,
        node=node.name,
        op=node.op.name,
        place=str(span) if span else "",
        line=span.source.line(span.line).strip() if span else "",
        distance=distance,
    )
