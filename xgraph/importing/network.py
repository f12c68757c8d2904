"""A network from anywhere: layers that are ops of ours, and who holds their weights, how."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

from xgraph import ops
from xgraph.ir.analysis import Analysis
from xgraph.ir.types import TensorType
from xgraph.ops import Op
from xgraph.ops.attention import attended
from xgraph.ops.base import ShapeProblem
from xgraph.ops.input import Input

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]
else:
    Array = Any

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pixel(Op):
    """A vector as an image of one pixel: (C,) → (1, 1, C). In specs `keep_dims` says so."""

    name: ClassVar[str] = "pixel"

    def infer(self, inputs: tuple[TensorType, ...]) -> TensorType:
        return TensorType((1, 1, inputs[0].channels))


@dataclass(frozen=True)
class HeadsAttention(Op):
    """softmax(scale · Q · Kᵀ) · V in each head: three images (H, W, C) → (H, W, C).

    In specs `attention` has it, and the convolutions around it.
    """

    name: ClassVar[str] = "heads_attention"

    heads: int
    scale: float

    def infer(self, inputs: tuple[TensorType, ...]) -> TensorType:
        return inputs[0]

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        query, key, value = inputs
        return attended(query, key, value, self.heads, self.scale)


@dataclass(frozen=True)
class LogSoftmax(Op):
    """The logarithm of a softmax over the channels, with which a network may end.

    In specs networks end in logits, of which losses take it.
    """

    name: ClassVar[str] = "log_softmax"

    def infer(self, inputs: tuple[TensorType, ...]) -> TensorType:
        return inputs[0]

    def reference(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], training: bool = False
    ) -> Array:
        import numpy as np

        (x,) = inputs
        less = x - x.max(axis=-1, keepdims=True)
        y: Array = less - np.log(np.exp(less).sum(axis=-1, keepdims=True))
        return y


class Refused(Exception):  # what is asked for, not the program, is at fault
    """A source cannot be read, or is not the network of the spec.

    Each of `lines` is a whole, plain message.
    """

    def __init__(self, *lines: str) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Transposed:
    """Axes in another order, as `numpy.transpose` takes it."""

    axes: tuple[int, ...]

    def shape(self, shape: Shape) -> Shape:
        return tuple(shape[axis] for axis in self.axes)

    def there(self, array: Array) -> Array:
        return array.transpose(self.axes)


@dataclass(frozen=True)
class Reshaped:
    """The same entries in the same order, in another shape."""

    before: Shape
    after: Shape

    def shape(self, shape: Shape) -> Shape:
        if shape != self.before:
            raise ValueError(f"expected shape {self.before}, received {shape}")
        return self.after

    def there(self, array: Array) -> Array:
        return array.reshape(self.after)


@dataclass(frozen=True)
class Segment:
    """Some entries of the last axis, one after the other."""

    start: int
    count: int

    def shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.count)

    def there(self, array: Array) -> Array:
        return array[..., self.start : self.start + self.count]


@dataclass(frozen=True)
class Reversed:
    """Axes the other way round."""

    axes: tuple[int, ...]

    def shape(self, shape: Shape) -> Shape:
        return shape

    def there(self, array: Array) -> Array:
        import numpy as np

        return np.flip(array, self.axes)


Move = Transposed | Reshaped | Segment | Reversed


@dataclass(frozen=True)
class Held:
    """A weight as its owner has it.

    Attributes:
        name: what the owner calls it.
        shape: as it lies there.
        moves: what brings it into the layout of the op that has it, in order.
    """

    name: str
    shape: Shape
    moves: tuple[Move, ...] = ()

    @property
    def form(self) -> Shape:
        """The shape that the op sees."""
        shape = self.shape
        for move in self.moves:
            shape = move.shape(shape)
        return shape

    def transposed(self, *axes: int) -> Held:
        return replace(self, moves=(*self.moves, Transposed(axes)))

    def reshaped(self, *shape: int) -> Held:
        """The same in another shape, which has as many entries."""
        if shape == self.form:
            return self
        if math.prod(shape) != math.prod(self.form):
            raise ValueError(f"{self.name} of shape {self.form} is not one of shape {shape}")
        return replace(self, moves=(*self.moves, Reshaped(self.form, shape)))

    def reversed(self, *axes: int) -> Held:
        return replace(self, moves=(*self.moves, Reversed(axes)))

    def segment(self, start: int, count: int) -> Held:
        """A part of the last axis."""
        return replace(self, moves=(*self.moves, Segment(start, count)))

    def seen(self, array: Array) -> Array:
        """The owner's array as the op sees it."""
        for move in self.moves:
            array = move.there(array)
        return array

    def places(self) -> Array:
        """Where what the op sees lies in the owner's array, in which entries are numbered."""
        import numpy as np

        return self.seen(np.arange(math.prod(self.shape)).reshape(self.shape))

    def kept(self, array: Array) -> Array:
        """What the op sees, as the owner has it; zeros where it sees nothing."""
        import numpy as np

        made = np.zeros(math.prod(self.shape), array.dtype)
        made[self.places()] = array
        return made.reshape(self.shape)


@dataclass(frozen=True)
class Layer:
    """An op in its place. `inputs` are places in the network, all before its own."""

    name: str
    op: Op
    inputs: tuple[int, ...] = ()
    weights: Mapping[str, Held] = field(default_factory=dict)  # by the op's words
    given: int | None = None  # channels of its first input, where they have been looked up


@dataclass(frozen=True)
class Network:
    """Layers in topological order, the first of which is the input, and the type of each."""

    name: str
    layers: Sequence[Layer]
    types: Sequence[TensorType]
    outputs: Sequence[tuple[str, int]]


def op(name: str, **attributes: Any) -> Op:
    """An op of ours with these attributes, as a spec would give them; the rest as by default.

    Raises:
        ValueError: the op takes no such value.
    """
    kind = ops.get(name)
    kinds = {f.name: f.metadata["kind"] for f in fields(kind)}
    given = {}
    for word, value in attributes.items():
        try:
            given[word] = kinds[word].convert(value)
        except ValueError:
            expected = kinds[word].expected
            raise ValueError(f"{word} of {name}: expected {expected}, received {value}") from None
    return kind(**given)


class Builder:
    """Makes a network, layer by layer; readers use it."""

    def __init__(self, name: str, input_shape: Shape) -> None:
        self.name = name
        self.layers: list[Layer] = [Layer("input", Input(input_shape))]
        self.types: list[TensorType] = [TensorType(input_shape)]

    def add(
        self,
        name: str,
        op: Op,
        inputs: Sequence[int],
        weights: Mapping[str, Held] | None = None,
    ) -> int:
        """A layer more; returns its place.

        Raises:
            Refused: its inputs or its weights do not fit the op.
        """
        taken = tuple(self.types[place] for place in inputs)
        try:
            made = op.infer(taken)
        except ShapeProblem as problem:
            reason = f"expected {problem.expected}, received {problem.received}"
            raise Refused(f"{name}: {problem.message}: {reason}") from None
        held = dict(weights or {})
        for weight in op.weights(taken):
            if weight.name not in held:
                raise Refused(f"{name}: {op.name} has a {weight.name}, and the source none for it")
            if held[weight.name].form != weight.shape:
                form = held[weight.name].form
                said = f"expected shape {weight.shape}, received {form}"
                raise Refused(f"{name}: its {weight.name} does not fit {op.name}: {said}")
        self.layers.append(Layer(name, op, tuple(inputs), held))
        self.types.append(made)
        return len(self.layers) - 1

    def network(self, outputs: Sequence[tuple[str, int]]) -> Network:
        """The network, with these outputs.

        Raises:
            Refused: it has a logarithm of probabilities before its end, which no spec says.
        """
        for read in (self.layers[place] for layer in self.layers for place in layer.inputs):
            if isinstance(read.op, LogSoftmax):
                raise Refused(f"{read.name}: log_softmax before the end is no op of ours")
        return Network(self.name, self.layers, self.types, outputs)


#: Ops that networks may end in, and that are no part of them: training wants logits.
ANSWERS = frozenset({"softmax", "log_softmax"})


def without_unread(network: Network) -> Network:
    """A network without layers that no output needs."""
    needed = {0}
    todo = [place for _, place in network.outputs]
    while todo:
        place = todo.pop()
        if place not in needed:
            needed.add(place)
            todo += network.layers[place].inputs
    at = {place: number for number, place in enumerate(sorted(needed))}
    layers = [network.layers[place] for place in at]
    layers = [replace(one, inputs=tuple(at[place] for place in one.inputs)) for one in layers]
    types = [network.types[place] for place in at]
    return Network(network.name, layers, types, [(name, at[end]) for name, end in network.outputs])


def of_spec(analysis: Analysis) -> Network:
    """The network of a spec, whose weights are called by their canonical names."""
    graph, types = analysis.graph, analysis.types
    layers = []
    for node in graph.nodes:
        taken = tuple(types[place] for place in node.inputs)
        weights = node.op.weights(taken) if node.inputs else ()
        held = {
            weight.name: Held(f"{node.owner}.{weight.name}", weight.shape) for weight in weights
        }
        layers.append(Layer(node.name, node.op, node.inputs, held))
    outputs = [(output.name, output.node) for output in graph.outputs]
    return Network(analysis.name, layers, types, outputs)
