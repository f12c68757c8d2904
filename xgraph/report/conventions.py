"""Where published forms of one network are not one: how a spec decides these."""

from __future__ import annotations

from collections.abc import Iterator

from xgraph.ir.graph import Graph
from xgraph.ops.avg_pool import AvgPool

#: Ops that begin each convolution, followed by batch norm or not.
_CONVOLUTIONS = frozenset({"conv", "depthwise_conv", "separable_conv", "conv_transpose"})


def conventions(graph: Graph) -> list[str]:
    """A line for each convention that the network takes a side of.

    Frameworks, and the networks that they publish, differ in the epsilon of normalizations, in
    where the odd pixel of padding goes when a window has a stride, in whether the mean of a window
    counts its padding, and in biases that batch norm takes away again.
    """
    found = (*_normalizations(graph), *_strides(graph), *_means(graph), *_biases(graph))
    return [f"{subject}: {decision}" for subject, decision in found]


def _normalizations(graph: Graph) -> Iterator[tuple[str, str]]:
    kinds: dict[str, dict[str, int]] = {}
    for node in graph.nodes:
        if hasattr(node.op, "epsilon"):
            said = f"epsilon {float(node.op.epsilon):g}"
            if hasattr(node.op, "momentum"):
                said += f", momentum {float(node.op.momentum):g}"
            absent = [w for w in ("scale", "center") if getattr(node.op, w, True) is False]
            said += "".join(f", no {word}" for word in absent)
            seen = kinds.setdefault(node.op.name, {})
            seen[said] = seen.get(said, 0) + 1
    for name, seen in kinds.items():
        yield name, _counted(seen)


def _strides(graph: Graph) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for node in graph.nodes:
        padding = getattr(node.op, "padding", None)
        step = getattr(node.op, "step", getattr(node.op, "stride", None))
        kernel = getattr(node.op, "kernel", (1, 1))
        if padding is None or step is None or max(step) == 1 or max(kernel) == 1:
            continue
        if padding == "same":
            said = "padding same, the odd pixel right and below"
        elif padding == "valid" or not any(sum(sides) for sides in padding):
            said = "no padding"
        else:
            said = "padding in pixels"
        seen[said] = seen.get(said, 0) + 1
    if seen:
        yield "windows with a stride", _counted(seen)


def _means(graph: Graph) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for node in graph.nodes:
        if isinstance(node.op, AvgPool) and node.op.padding != "valid":
            said = f"padding is {'' if node.op.count_include_pad else 'not '}counted"
            seen[said] = seen.get(said, 0) + 1
    if seen:
        yield "avg_pool", _counted(seen)


def _biases(graph: Graph) -> Iterator[tuple[str, str]]:
    seen: dict[str, int] = {}
    for node in graph.nodes:
        if node.op.name == "batch_norm":
            before = graph.nodes[node.inputs[0]].op
            if before.name in _CONVOLUTIONS:
                said = "with a bias" if getattr(before, "bias", False) else "without a bias"
                seen[said] = seen.get(said, 0) + 1
    if seen:
        yield "convolutions before batch norm", _counted(seen)


def _counted(seen: dict[str, int]) -> str:
    """What is said, the most frequent first, and of several how often each is."""
    ordered = sorted(seen, key=lambda said: -seen[said])
    if len(ordered) == 1:
        return ordered[0]
    return "; ".join(f"{said} (×{seen[said]})" for said in ordered)
