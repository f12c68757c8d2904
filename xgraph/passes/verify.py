"""What a legal graph is, as a check that runs. Passes may rely on it; a failure is our defect."""

from __future__ import annotations

from xgraph.ir.graph import Graph
from xgraph.ops.base import Op
from xgraph.ops.input import Input


def verify(graph: Graph) -> None:
    """Assert the invariants of a graph.

    Raises:
        AssertionError: the compiler made an illegal graph; the message says how.
    """
    assert graph.nodes, "a graph has an input"
    assert isinstance(graph.nodes[0].op, Input), "node 0 is the input"
    names = set()
    owners: dict[str, Op] = {}
    for index, node in enumerate(graph.nodes):
        assert node.name not in names, f"two nodes are called '{node.name}'"
        names.add(node.name)
        assert all(0 <= i < index for i in node.inputs), f"'{node.name}' reads a later node"
        if node.shares:
            assert owners.get(node.shares) is node.op, f"'{node.name}' shares what is not its own"
        else:
            owners[node.name] = node.op
        least, most = node.op.arity
        count = len(node.inputs)
        assert least <= count, f"'{node.name}' has {count} inputs"
        assert most is None or count <= most, f"'{node.name}' has {count} inputs"
        assert index == 0 or not isinstance(node.op, Input), f"'{node.name}' is a second input"
    assert graph.outputs, "a graph has an output"
    assert all(0 < output.node < len(graph.nodes) for output in graph.outputs), "outputs exist"
