"""What of a block follows from the height and width of the images that it is applied to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xgraph.emit.planning.records import block_calls
from xgraph.ir.elaborated import Instance
from xgraph.ir.graph import Node
from xgraph.ir.types import TensorType
from xgraph.ops.base import ShapeProblem

#: Other sizes to ask for, of which a block may not admit all.
_OTHERS: tuple[Callable[[int], int], ...] = (
    lambda size: 2 * size,
    lambda size: 3 * size,
    lambda size: size + 1,
    lambda size: size if size == 1 else 2 * size,
)


def is_of_one_size(nodes: Sequence[Node], types: Sequence[TensorType], instance: Instance) -> bool:
    """Whether a use of a block is for images of its size alone.

    Its weights are, or blocks in it are given as many channels as there are in a flattened image.
    """
    known = {node: types[node] for node in instance.inputs}
    shapes = _following(nodes, instance, known)
    for other in _OTHERS:
        grown = {
            node: TensorType((*map(other, type_.shape[:-1]), type_.channels))
            for node, type_ in known.items()
        }
        try:
            return _following(nodes, instance, grown) != shapes
        except ShapeProblem:
            continue
    return True


def _following(
    nodes: Sequence[Node], instance: Instance, known: dict[int, TensorType]
) -> list[tuple[int, ...]]:
    """Of a use of a block whose inputs have these types, what may follow from their sizes.

    Raises:
        ShapeProblem: it does not admit them.
    """
    types, found = dict(known), []
    for index in range(instance.first, instance.last):
        node = nodes[index]
        inputs = tuple(types[k] for k in node.inputs)
        types[index] = node.op.infer(inputs)
        found += [weight.shape for weight in node.op.weights(inputs)]
    for record, _ in block_calls(instance.records):
        found.append(tuple(types[node].channels for node in record.instance.inputs))
    return found
