"""What training must know of a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from xgraph.ops.batch_norm import BatchNorm
from xgraph.ops.dropout import Dropout

if TYPE_CHECKING:
    from xgraph.ir.analysis import Analysis
    from xgraph.ir.graph import Graph
    from xgraph.ir.types import TensorType


@dataclass(frozen=True)
class ModelFacts:
    """What training must know of a model.

    Attributes:
        name: the spec's name.
        input_shape: (height, width, channels).
        classes: length of the main logits.
        outputs: name and loss weight of each output. The first is the main one, whose weight is 1
            where it says None; another without a weight takes no part in training.
        initializers: canonical name of each kernel → canonical text of its initializer.
        settling: updates in which the moving statistics of batch norm forget where they began, but
            for a hundredth; None without batch norm.
        drops: whether some layer is dropout of a rate above 0.
        digest: SHA-256 of the network, which does not depend on how its spec is written.
        ops: names of its ops.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    outputs: tuple[tuple[str, float | None], ...]
    initializers: Mapping[str, str]
    drops: bool
    settling: int | None
    digest: str
    ops: frozenset[str]

    @property
    def loss_weights(self) -> tuple[tuple[str, float], ...]:
        """The outputs that take part in training, each with its weight, the main one first."""
        (main, weight), *others = self.outputs
        first = (main, 1.0 if weight is None else weight)
        return (first, *((name, weight) for name, weight in others if weight is not None))


def model_facts(analysis: Analysis) -> ModelFacts:
    """What the training program must know of the model of a spec."""
    graph, types = analysis.graph, analysis.types
    initializers = {
        f"{node.name}.{weight.name}": weight.initializer
        for node in graph.nodes
        if not node.shares
        for weight in node.op.weights(tuple(types[i] for i in node.inputs))
        if weight.decayed
    }
    height, width, channels = types[0].shape
    return ModelFacts(
        name=analysis.name,
        input_shape=(height, width, channels),
        classes=types[graph.outputs[0].node].channels,
        outputs=tuple((output.name, output.loss_weight) for output in graph.outputs),
        initializers=initializers,
        drops=any(isinstance(node.op, Dropout) and node.op.rate > 0 for node in graph.nodes),
        settling=_settling(graph),
        digest=_digest(graph, types[0]),
        ops=frozenset(node.op.name for node in graph.nodes),
    )


def _settling(graph: Graph) -> int | None:
    momenta = [node.op.momentum for node in graph.nodes if isinstance(node.op, BatchNorm)]
    slowest = max(momenta, default=0.0)
    return math.ceil(math.log(0.01) / math.log(slowest)) if slowest else None


def _digest(graph: Graph, image: TensorType) -> str:
    """Of the network alone; an attribute that ops get one day changes it only where it is given."""
    told: dict[int, tuple[Any, ...]] = {}
    for node in graph.nodes:
        if id(node.op) not in told:
            given = ((f.name, getattr(node.op, f.name), f.default) for f in fields(node.op))
            told[id(node.op)] = (node.op.name, *((n, v) for n, v, usual in given if v != usual))
    outputs = tuple((output.name, output.node, output.loss_weight) for output in graph.outputs)
    found = hashlib.sha256(repr((image.shape, outputs)).encode())
    for node in graph.nodes:
        shared = (node.shares,) if node.shares else ()
        found.update(repr((node.name, told[id(node.op)], node.inputs, *shared)).encode())
    return found.hexdigest()
