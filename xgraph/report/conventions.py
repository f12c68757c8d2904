"""Where published forms of one network are not one: how a spec decides these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from xgraph.ir.graph import Graph, Node
from xgraph.ops.avg_pool import AvgPool

#: Ops that begin each convolution, followed by batch norm or not.
_CONVOLUTIONS = frozenset({"conv", "depthwise_conv", "separable_conv", "conv_transpose"})

#: What a node is an example of, and which side it takes; None if it takes none.
Decision = tuple[str, str] | None


def conventions(graph: Graph) -> list[str]:
    """A line for each convention that the network takes a side of, or several sides.

    Frameworks, and the networks that they publish, differ in the epsilon of normalizations, in
    where the odd pixel of padding goes when a window has a stride, in whether the mean of a window
    counts its padding, and in biases that batch norm takes away again.
    """
    found: dict[str, Counter[str]] = {}
    for kind in _KINDS:
        for node in graph.nodes:
            if decision := kind(node, graph):
                subject, side = decision
                found.setdefault(subject, Counter())[side] += 1
    return [f"{subject}: {_counted(sides)}" for subject, sides in found.items()]


def _normalization(node: Node, graph: Graph) -> Decision:
    if not hasattr(node.op, "epsilon"):
        return None
    said = [f"epsilon {float(node.op.epsilon):g}"]
    if hasattr(node.op, "momentum"):
        said.append(f"momentum {float(node.op.momentum):g}")
    said += [f"no {word}" for word in ("scale", "center") if getattr(node.op, word, True) is False]
    return node.op.name, ", ".join(said)


def _stride(node: Node, graph: Graph) -> Decision:
    padding = getattr(node.op, "padding", None)
    step = getattr(node.op, "step", getattr(node.op, "stride", None))
    kernel = getattr(node.op, "kernel", (1, 1))
    if padding is None or step is None or max(step) == 1 or max(kernel) == 1:
        return None
    if padding == "same":
        return _STRIDED, "padding same, the odd pixel right and below"
    if padding == "valid" or not any(sum(sides) for sides in padding):
        return _STRIDED, "no padding"
    return _STRIDED, "padding in pixels"


def _mean(node: Node, graph: Graph) -> Decision:
    if not isinstance(node.op, AvgPool) or node.op.padding == "valid":
        return None
    return node.op.name, f"padding is {'' if node.op.count_include_pad else 'not '}counted"


def _bias(node: Node, graph: Graph) -> Decision:
    before = graph.nodes[node.inputs[0]].op if node.inputs else None
    if node.op.name != "batch_norm" or before is None or before.name not in _CONVOLUTIONS:
        return None
    side = "with a bias" if getattr(before, "bias", False) else "without a bias"
    return "convolutions before batch norm", side


_STRIDED = "windows with a stride"
_KINDS: tuple[Callable[[Node, Graph], Decision], ...] = (_normalization, _stride, _mean, _bias)


def _counted(sides: Counter[str]) -> str:
    """Sides, the most frequent first, and of several how often each is taken."""
    if len(sides) == 1:
        return next(iter(sides))
    return "; ".join(f"{side} (×{count})" for side, count in sides.most_common())
