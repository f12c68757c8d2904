"""The networkx form of a graph says what the graph says."""

import networkx as nx

from xgraph.compile import analyse
from xgraph.ir.export import to_networkx


def same(left, right):
    return left["op"] == right["op"] and left["attributes"] == right["attributes"]


def test_nodes_edges_and_outputs():
    graph = analyse("inception_v3", ["auxiliary=true"]).graph
    made = to_networkx(graph)
    assert list(made) == [node.name for node in graph.nodes]
    assert nx.is_directed_acyclic_graph(made)
    for node in graph.nodes:
        incoming = sorted(made.in_edges(node.name, data="position"), key=lambda edge: edge[2])
        assert [source for source, _, _ in incoming] == [graph.nodes[i].name for i in node.inputs]
    assert made.nodes["head.classifier"]["attributes"]["units"] == 1000
    assert made.graph["outputs"] == {
        "logits": "head.classifier",
        "auxiliary": "auxiliary.classifier",
    }


def test_two_edges_from_one_node(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(
        "xgraph: 1\nname: twice\ninput: {shape: [4, 4, 3]}\n"
        "graph: [{add: , from: [input, input]}]\n"
    )
    assert to_networkx(analyse(str(path)).graph).number_of_edges("input", "add") == 2


def test_isomorphism_tells_variants_apart():
    xception = to_networkx(analyse("xception").graph)
    again = to_networkx(analyse("xception", ["middle_repeat=8"]).graph)
    assert nx.is_isomorphic(xception, again, node_match=same)
    elu = to_networkx(analyse("xception_elu").graph)
    assert nx.faster_could_be_isomorphic(xception, elu)
    assert not nx.is_isomorphic(xception, elu, node_match=same)
