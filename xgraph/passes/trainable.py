"""Whether a graph can be trained: its outputs are logits, and reach all weights there are."""

from __future__ import annotations

from collections.abc import Sequence

from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType
from xgraph.passes.trained import unreached_nodes, untrained_nodes

#: Ops that turn logits into probabilities.
_PROBABILITIES = frozenset({"sigmoid", "softmax"})


def check_trainable(graph: Graph, types: Sequence[TensorType]) -> None:
    """The outputs that training reads must be logits, and train all weights there are.

    Raises:
        SpecError: XG706, one diagnostic for each output that is not; XG707, for each node.
    """
    main = types[graph.outputs[0].node]
    problems = []
    for position, output in enumerate(graph.outputs):
        found = types[output.node]
        trained = position == 0 or output.loss_weight is not None
        if trained and (found.rank != 1 or found.channels != main.channels):
            problems.append(
                Diagnostic(
                    "XG706",
                    f"the output '{output.name}' cannot be trained as logits",
                    graph.nodes[output.node].span,
                    expected="one number for each class, as many as the main output has",
                    received=f"an output of shape {found}",
                    hint="end with global_avg_pool or flatten, and a dense layer"
                    if position == 0
                    else "leave its loss_weight out to make it a feature tap",
                )
            )
        elif trained and graph.nodes[output.node].op.name in _PROBABILITIES:
            problems.append(
                Diagnostic(
                    "XG706",
                    f"the output '{output.name}' is made of probabilities",
                    graph.nodes[output.node].span,
                    expected="logits, from which the loss makes probabilities itself",
                    received=f"what {graph.nodes[output.node].op.name} gives",
                    hint="leave it out; apply it to what the trained model gives",
                )
            )
    if problems:
        raise SpecError(problems)
    if not any(
        weight.trainable
        for node in graph.nodes
        for weight in node.op.weights(tuple(types[i] for i in node.inputs))
    ):
        raise SpecError(
            Diagnostic(
                "XG707",
                "the model has nothing to train",
                graph.nodes[graph.outputs[0].node].span,
                expected="a node with weights, on the way to an output",
                hint="leave the recipe out to compile the model alone",
            )
        )
    if untrained := untrained_nodes(graph, types):
        raise SpecError(
            Diagnostic(
                "XG707",
                f"no loss depends on the weights of '{graph.nodes[index].name}'",
                graph.nodes[index].span,
                expected="a way from here to an output that is trained",
                hint="give the output that needs it a loss_weight, or take the node out",
            )
            for index in untrained
        )


def check_reached(graph: Graph, types: Sequence[TensorType]) -> None:
    """Some output must need each weight: in Keras, a model has no others.

    Raises:
        SpecError: XG707, one diagnostic for each node whose weights none needs.
    """
    if unreached := unreached_nodes(graph, types, {output.node for output in graph.outputs}):
        raise SpecError(
            Diagnostic(
                "XG707",
                f"no output depends on the weights of '{graph.nodes[index].name}'",
                graph.nodes[index].span,
                expected="a way from here to an output",
                hint="make an output of what needs it, or take the node out",
            )
            for index in unreached
        )
