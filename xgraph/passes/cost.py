"""Parameters, multiply-accumulates and activation memory of every node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType

#: Activations are counted in float32.
BYTES_PER_ELEMENT = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """For one example. `macs` counts convolutions and dense layers only; `activation` is bytes."""

    trainable: int = 0
    non_trainable: int = 0
    macs: int = 0
    activation: int = 0

    @property
    def parameters(self) -> int:
        return self.trainable + self.non_trainable


def measure(graph: Graph, types: Sequence[TensorType]) -> list[Cost]:
    """Cost by node index. Weights that are shared are counted where they are used first."""
    costs: list[Cost] = []
    known: dict[tuple[int, tuple[TensorType, ...]], Cost] = {}
    for index, node in enumerate(graph.nodes):
        inputs = tuple([types[i] for i in node.inputs])
        key = (id(node.op), inputs)
        cost = known.get(key)
        if cost is None:
            weights = node.op.weights(inputs)
            trainable = sum(w.size for w in weights if w.trainable)
            cost = known[key] = Cost(
                trainable,
                sum(w.size for w in weights) - trainable,
                node.op.macs(inputs, types[index]),
                types[index].elements * BYTES_PER_ELEMENT,
            )
        costs.append(replace(cost, trainable=0, non_trainable=0) if node.shares else cost)
    return costs


def total(costs: Sequence[Cost]) -> Cost:
    """The sum over nodes."""
    return Cost(
        sum(c.trainable for c in costs),
        sum(c.non_trainable for c in costs),
        sum(c.macs for c in costs),
        sum(c.activation for c in costs),
    )
