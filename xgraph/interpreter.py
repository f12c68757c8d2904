"""The flat graph, run in NumPy by the ops' references: what every backend is measured against.

Slow, and exact in float64. NumPy is imported by nothing else of the compiler.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from xgraph.ir.graph import Graph, Node
from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Composite, Op
from xgraph.ops.dropout import Dropout, mask_key
from xgraph.ops.input import Input


def weight_shapes(graph: Graph, types: Sequence[TensorType]) -> dict[str, tuple[int, ...]]:
    """Shape of every weight by canonical name: its owner's path and the op's word for it."""
    return {
        f"{node.owner}.{weight.name}": weight.shape
        for node in graph.nodes
        for weight in node.op.weights(tuple(types[i] for i in node.inputs))
    }


def random_weights(graph: Graph, types: Sequence[TensorType], seed: int = 0) -> dict[str, Array]:
    """Weights that leave nothing at a value which hides a defect, and keep activations near one.

    Kernels are drawn with variance 1/fan-in; scales and variances lie around one, the rest
    around zero.
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, Array] = {}
    for name, shape in weight_shapes(graph, types).items():
        word = name.rpartition(".")[2]
        if word.endswith("kernel"):
            fan = shape[0] * shape[1] if word == "depthwise_kernel" else int(np.prod(shape[:-1]))
            weights[name] = rng.standard_normal(shape) / np.sqrt(fan)
        elif word in ("gamma", "moving_variance"):
            weights[name] = rng.uniform(0.5, 1.5, shape)
        else:
            weights[name] = rng.uniform(-0.5, 0.5, shape)
    return weights


def coarse(values: Array) -> Array:
    """Rounded to multiples of 1/8, but for what that would make 0: sums of these are exact."""
    rounded: Array = np.round(8 * values) / 8
    return np.where(rounded == 0, np.copysign(0.125, values), rounded)


def with_ties(images: Array, whole: bool = True) -> Array:
    """(M, N, H, …) of numbers, 0 in the lower half: their maxima are seldom unique.

    `whole` makes whole numbers of the others, which are often equal too.
    """
    tied: Array = np.round(images) if whole else images.copy()
    tied[:, :, images.shape[2] // 2 :] = 0
    return tied


def run(
    graph: Graph,
    images: Array,
    weights: Mapping[str, Array],
    training: bool = False,
    passes: int = 0,
) -> list[Array]:
    """Value of every node, by its index, for a batch of inputs with channels last.

    Images need not have the size that the graph was elaborated for. `training` selects batch
    statistics in batch norm, and dropout as in a run with seed 0 that has done `passes` of these.
    """
    return [value for *_, value in walk(graph, images, weights, training, passes, keep=True)]


def walk(
    graph: Graph,
    images: Array,
    weights: Mapping[str, Array],
    training: bool = False,
    passes: int = 0,
    keep: bool = False,
) -> Iterator[tuple[Node, list[Array], Array]]:
    """Each node with the values of its inputs and its own, in the order of computing; see `run`.

    Values are forgotten after their last use, unless all are to be kept.
    """
    if training:
        weights = {**weights, **mask_state(graph, passes)}
    last = {source: k for k, node in enumerate(graph.nodes) for source in node.inputs}
    values: dict[int, Array] = {}
    for k, node in enumerate(graph.nodes):
        inputs = [values[source] for source in node.inputs]
        if isinstance(node.op, Input):
            values[k] = images
        else:
            values[k] = node.op.reference(inputs, _own(node.owner, weights), training)
        yield node, inputs, values[k]
        if not keep:
            for done in {*node.inputs, k}:
                if last.get(done, k) == k:
                    del values[done]


def mask_state(graph: Graph, passes: int, seed: int = 0) -> dict[str, Array]:
    """What the masks of dropout follow from, by the layer's path and the op's word for it."""
    found: dict[str, Array] = {}
    for node in graph.nodes:
        for layer in _dropouts(node.name, node.op):
            found[f"{layer}.key"] = np.array(mask_key(seed, layer))
            found[f"{layer}.passes"] = np.array(passes)
    return found


def _dropouts(path: str, op: Op) -> Iterator[str]:
    """The paths of an op's layers of dropout: its own, or those of its steps."""
    if isinstance(op, Dropout):
        yield path
    elif isinstance(op, Composite):
        for step in op.decompose():
            yield from _dropouts(f"{path}.{step.name}", step.op)


def updated_weights(
    graph: Graph, values: Sequence[Array], weights: Mapping[str, Array], passes: int = 0
) -> dict[str, Array]:
    """Moving statistics after the training-mode pass that gave `values`, by canonical name."""
    weights = {**weights, **mask_state(graph, passes)}
    found: dict[str, Array] = {}
    for node in graph.nodes:
        made = updated(node, [values[i] for i in node.inputs], weights)
        found |= made
        weights |= made  # from which those go on that are shared
    return found


def updated(node: Node, inputs: Sequence[Array], weights: Mapping[str, Array]) -> dict[str, Array]:
    """Moving statistics of a node after a training-mode pass, by canonical name.

    `weights` hold the graph's, and `mask_state` where it has dropout.
    """
    own = node.op.updated_weights(inputs, _own(node.owner, weights))
    return {f"{node.owner}.{word}": value for word, value in own.items()}


def _own(node: str, weights: Mapping[str, Array]) -> Mapping[str, Array]:
    return _Below(f"{node}.", weights)


class _Below(Mapping[str, Array]):
    """The weights of one node, by the op's words."""

    def __init__(self, prefix: str, weights: Mapping[str, Array]) -> None:
        self.prefix = prefix
        self.weights = weights

    def __getitem__(self, word: str) -> Array:
        return self.weights[self.prefix + word]

    def __iter__(self):  # type: ignore[no-untyped-def]
        return (
            name.removeprefix(self.prefix) for name in self.weights if name.startswith(self.prefix)
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)
