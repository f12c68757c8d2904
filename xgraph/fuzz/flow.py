"""What flows along an edge while a spec is written, and what may be added to it.

A network is worth comparing when its values say something: finite, neither constant nor larger by
hundreds of orders than what they came from. That is kept by construction here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xgraph.diagnostics import SpecError
from xgraph.fuzz.trees import analyse_tree, reachable_blocks
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType
from xgraph.ops.base import Op
from xgraph.ops.group_norm import GroupNorm
from xgraph.passes.cost import measure, total

#: A float64 network of this size runs in milliseconds, in NumPy too.
MOST_PARAMETERS = 50_000
MOST_MACS = 3_000_000
MOST_ELEMENTS = 6_000
MOST_CHANNELS = 40
#: Products of this many unbounded values. A dozen residual multiplications give x to the 4096th
#: power, of which float64 holds nothing: any two programs would disagree.
MOST_DEGREE = 4
#: Values of these are bounded, whatever goes in; those of batch norm nearly.
_BOUNDED = {"sigmoid": 0, "tanh": 0, "softmax": 0, "hard_sigmoid": 0, "relu6": 1, "batch_norm": 1,
            "layer_norm": 1, "group_norm": 1, "rms_norm": 1}  # fmt: skip
#: By how many powers of ten a network may magnify rounding errors, as estimated below. Whatever
#: makes the values of a channel more alike leaves their differences with fewer digits, and batch
#: norm in training makes those differences large again.
MOST_MAGNIFIED = 3.0
_ALIKE = {"attention": 0.5, "sigmoid": 0.7, "hard_sigmoid": 0.7, "softmax": 1.0, "avg_pool": 0.2,
          "global_avg_pool": 0.5, "tanh": 0.1, "batch_norm": 0.1}  # fmt: skip
#: A norm of so few values: some channel's lie close together by chance.
_FEW_PIXELS, _FEW = 4, 0.5


@dataclass(frozen=True)
class Flow:
    """A value: its type, and what it is in terms of the image.

    Of which degree it is at most, and by how many powers of ten rounding errors are magnified in
    it, should a batch norm follow.
    """

    type: TensorType
    degree: int = 1
    magnified: float = 0.0


@dataclass(frozen=True)
class Found:
    """What some items come to: where they lead, how many nodes they are and what they cost."""

    flow: Flow
    nodes: int
    parameters: int
    macs: int


def after(op: Op, inputs: list[Flow]) -> Flow | None:
    """What an op makes of its inputs; None if that is not worth comparing.

    Raises:
        ShapeProblem: they do not fit.
    """
    made = op.infer(tuple(flow.type for flow in inputs))
    degrees = [flow.degree for flow in inputs]
    degree = _BOUNDED.get(op.name, sum(degrees) if op.name == "multiply" else max(degrees))
    if made.elements > MOST_ELEMENTS or (made.channels > MOST_CHANNELS and made.rank == 3):
        return None
    if degree > MOST_DEGREE:
        return None
    # Softmax over one channel is one everywhere, and the norm of one value is 0, or its sign; a
    # batch norm behind it has nothing but rounding errors to normalize. (Batch norm over a single
    # value per channel needs no care: batches have more than one example.)
    together = _normalized(op, made)
    if (op.name == "softmax" and made.channels == 1) or (together == 1 and op.name != "batch_norm"):
        return None
    magnified = max(flow.magnified for flow in inputs) + _ALIKE.get(op.name, 0.0)
    if together is not None and together <= _FEW_PIXELS:
        magnified += _FEW
    if magnified > MOST_MAGNIFIED:
        return None
    return Flow(made, degree, magnified)


def _normalized(op: Op, made: TensorType) -> int | None:
    """How many values of an example a norm takes together; None: the op is none."""
    if isinstance(op, GroupNorm):
        return made.elements // op.groups
    if op.name == "batch_norm":
        return made.elements // made.channels
    return made.channels if op.name in ("layer_norm", "rms_norm") else None


def probe(
    items: list[Any], given: Flow, values: Mapping[str, Any], blocks: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> Found | None:  # fmt: skip
    """What items do to a value, or None if they are illegal or not worth comparing.

    `values` are the parameters that are seen there, loops' variables with what they are first.
    """
    tree = {
        "xgraph": 1,
        "name": "probe",
        "params": dict(values),
        "input": {"shape": [4, 4, 1]},
        "defaults": dict(defaults),
        "blocks": reachable_blocks(blocks, items),
        "graph": items,
    }
    if given.type.rank == 3:
        tree["input"] = {"shape": list(given.type.shape)}
    else:  # only images go in: a vector by way of two layers that are not counted
        entry = ["global_avg_pool", {"dense": {"units": given.type.channels}, "name": "entry"}]
        tree["graph"] = [*entry, *items]
    try:
        graph, types = analyse_tree(tree)
    except SpecError:
        return None
    first = 0 if given.type.rank == 3 else 2
    flow = _flow(graph, given, first)
    if flow is None or len(graph.nodes) - 1 == first:
        return None
    cost = total(measure(graph, types)[first + 1 :])
    return Found(flow, len(graph.nodes) - 1 - first, cost.parameters, cost.macs)


def _flow(graph: Graph, given: Flow, first: int) -> Flow | None:
    flows: list[Flow] = [given] * (first + 1)
    for node in graph.nodes[first + 1 :]:
        made = after(node.op, [flows[i] for i in node.inputs])
        if made is None:
            return None
        flows.append(made)
    return flows[graph.outputs[0].node]
