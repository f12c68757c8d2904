"""ONNX models; onnx is needed, to read their protocol buffers.

ONNX's tensors have their channels second, whatever exporters make of it: axes are moved, split and
joined in any graph. What each tensor is to us is tracked (`xgraph.importing.axes`), so a layout is
what the operators say, never what sizes look like. The first convolution says which axis of the
images that are fed has the channels. Nothing is read but the model that is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from xgraph.diagnostics import printable
from xgraph.importing import axes as laid
from xgraph.importing.axes import BATCH, Axes, Axis, Batch, N, Part, Size, whole
from xgraph.importing.network import Array, Builder, Held, Layer, Network, Pixel, Refused, Shape, op
from xgraph.importing.readers.onnx_constants import (
    FLOATS,
    FOLDS,
    TooMany,
    integers,
    named_axes,
    sliced_shape,
    slices,
    tidy,
)
from xgraph.ops.rescale import Rescale

_DOMAINS = ("", "ai.onnx")
#: Broadcasting is as it is today since then.
_OLDEST = 7
#: Lines that are said of what cannot be read.
_LINES = 40
#: What a malformed model makes Python, NumPy and onnx raise.
_MALFORMED = (
    ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError, MemoryError,
)  # fmt: skip
_LARGEST_FLOAT = 3.4e38


@dataclass(frozen=True)
class Tensor:
    """A value of ours at a place of the network, and how ONNX's axes lie in it."""

    place: int
    axes: Axes


@dataclass(frozen=True)
class Constant:
    """Numbers that no image takes part in.

    Attributes:
        array: them.
        held: who holds them, and how they come to lie as they do; None of what is computed.
        trained: whether they are an initializer.
    """

    array: Array
    held: Held | None = None
    trained: bool = False


@dataclass(frozen=True)
class Begun:
    """What is no op of ours by itself, and becomes one with the operators that follow.

    `said` is one of "erf(x/√2)", "1 + erf(x/√2)", "x · (1 + erf(x/√2))", "softplus(x)" and
    "tanh(softplus(x))", all of them `factor` times.
    """

    said: str
    x: Tensor
    factor: float = 1.0


#: A sequence of tensors is one of these, too.
Value = Tensor | Constant | Begun | list[Tensor]


def arrays(model: onnx.ModelProto) -> dict[str, Array]:
    """Initializers, and the tensors of nodes Constant, by their names.

    Raises:
        Refused: one is malformed, or lies outside of the model.
    """
    return {name: constant.array for name, constant in _constants(model.graph).items()}


def _constants(graph: onnx.GraphProto) -> dict[str, Constant]:
    if graph.sparse_initializer:
        raise Refused("the model has sparse initializers; only dense ones are read")
    found = {}
    for tensor in graph.initializer:
        array = _array(tensor, tensor.name)
        found[tensor.name] = Constant(array, Held(tensor.name, array.shape), trained=True)
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in _DOMAINS and len(node.output) == 1:
            name = node.output[0]
            array = _constant(node)
            found[name] = Constant(array, Held(name, array.shape))
    return found


def _constant(node: onnx.NodeProto) -> Array:
    """What a node Constant says, in any of the ways that there are."""
    for attribute in node.attribute:
        name = node.output[0]
        if attribute.name == "value":
            return _array(attribute.t, name)
        if attribute.name in ("value_float", "value_floats"):
            given = attribute.floats if attribute.name.endswith("s") else attribute.f
            return np.asarray(given, np.float32)
        if attribute.name in ("value_int", "value_ints"):
            given = attribute.ints if attribute.name.endswith("s") else attribute.i
            return np.asarray(given, np.int64)
    raise Refused(f"{printable(node.output[0])}: Constant without numbers")


def _array(tensor: onnx.TensorProto, name: str) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise Refused(f"{printable(name)}: its numbers lie in another file; load the model whole")
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
        if array.dtype.kind in "cOSU":
            raise Refused(f"{printable(name)}: complex numbers, or texts")
        return array
    except _MALFORMED:
        shape = f"its shape {tuple(tensor.dims)}"
        raise Refused(f"{printable(name)}: its numbers are not those of {shape}") from None


def read(model: onnx.ModelProto, input_shape: Shape) -> Network:
    """The network of an ONNX model, for images of this shape (H, W, C).

    Raises:
        Refused: operators mean nothing here, all of which are named, or it is no model of images.
    """
    graph = model.graph
    opset = max((one.version for one in model.opset_import if one.domain in _DOMAINS), default=0)
    if opset < _OLDEST:
        raise Refused(f"the model is of ONNX' opset {opset}; {_OLDEST} and later are read")
    constants = _constants(graph)
    fed = [one for one in graph.input if one.name not in constants]
    if len(fed) != 1:
        names = ", ".join(printable(one.name) for one in fed[:8]) or "none"
        raise Refused(f"the model has the inputs {names}; one is read, the images")
    nodes = _needed(graph)
    reader = _Reader(graph, nodes, constants, opset, input_shape)
    reader.feed(fed[0])
    for node in nodes:
        reader.place(node)
    if reader.lines:
        raise Refused(*_few(reader.lines))
    return reader.network(graph)


def _few(lines: Sequence[str]) -> list[str]:
    lines = list(dict.fromkeys(lines))
    more = len(lines) - _LINES
    return [*lines[:_LINES], *([f"and {more} more"] if more > 0 else [])]


def _needed(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """The nodes that outputs take part in, in their order."""
    wanted = {one.name for one in graph.output}
    chosen = []
    for node in reversed(graph.node):
        if any(one and one in wanted for one in node.output):
            chosen.append(node)
            wanted.update(node.input)
    return chosen[::-1]


#: Operators that have channels second in any case; the first of them tells where images have them.
_CHANNELS_SECOND = frozenset({"AveragePool", "BatchNormalization", "Conv", "ConvTranspose",
                              "DepthToSpace", "GlobalAveragePool", "GlobalMaxPool", "LRN",
                              "MaxPool", "SpaceToDepth"})  # fmt: skip
#: Operators whose axes are other ones than those of what they read.
_OTHER_AXES = frozenset({"Flatten", "Gather", "Gemm", "MatMul", "ReduceMean", "Reshape", "Shape",
                         "Size", "Squeeze", "Unsqueeze"})  # fmt: skip


def _order(nodes: Sequence[onnx.NodeProto], name: str) -> tuple[int, ...]:
    """Which axes of what is fed are the batch, the channels, the height and the width."""
    seen: dict[str, tuple[int, ...]] = {name: (0, 1, 2, 3)}
    for node in nodes:
        order = next((seen[one] for one in node.input if one in seen), None)
        if order is None or node.op_type in _OTHER_AXES:
            continue
        if node.op_type in _CHANNELS_SECOND:
            return order
        if node.op_type == "Transpose":
            perm = next((one.ints for one in node.attribute if one.name == "perm"), [3, 2, 1, 0])
            if sorted(perm) != [0, 1, 2, 3]:
                continue
            order = tuple(order[axis] for axis in perm)
        seen.update(dict.fromkeys(node.output, order))
    return 0, 1, 2, 3


class _Reader:
    """What is known of every value so far. A line is kept for each node that cannot be read."""

    def __init__(
        self,
        graph: onnx.GraphProto,
        nodes: Sequence[onnx.NodeProto],
        constants: Mapping[str, Constant],
        opset: int,
        input_shape: Shape,
    ) -> None:
        self.builder = Builder(printable(graph.name) or "model", input_shape)
        self.nodes = nodes
        self.opset = opset
        self.values: dict[str, Value | None] = dict(constants)  # None: of a node that is refused
        self.lines: list[str] = []
        self.batch: int | None = None  # where the model takes batches of one size alone
        self.readers: dict[str, int] = {}  # nodes that have yet to read a value, and outputs
        self.names: dict[int, list[str]] = {}  # of values, by places
        self.taken: set[int] = set()  # places that layers read
        for name in (*(n for node in nodes for n in node.input), *(o.name for o in graph.output)):
            self.readers[name] = self.readers.get(name, 0) + 1

    def feed(self, told: onnx.ValueInfoProto) -> None:
        """The images, whose declared shape must be that of the network's."""
        name, kind = printable(told.name), told.type.tensor_type
        if kind.elem_type not in FLOATS:
            raise Refused(f"the input {name} is no tensor of floating-point numbers")
        dims = [one.dim_value if one.dim_value > 0 else None for one in kind.shape.dim]
        if len(dims) != 4:
            raise Refused(f"the input {name} has {len(dims)} axes; images have 4, the batch's too")
        order = _order(self.nodes, told.name)
        if order[0] != 0:
            raise Refused(f"the input {name} has its batch on axis {order[0]}, not the first")
        height, width, channels = self.builder.types[0].shape
        wanted = dict(zip(order[1:], (channels, height, width), strict=True))
        if any(dims[axis] not in (None, size) for axis, size in wanted.items()):
            expected = ["N", *(str(wanted[axis]) for axis in (1, 2, 3))]
            received = ["N", *(str(dim) for dim in dims[1:])]
            said = f"({', '.join(received)}), not ({', '.join(expected)})"
            raise Refused(f"the input {name} is of shape {said}")
        self.batch = dims[0]
        known = dict(zip(order, laid.channels_first((height, width, channels)), strict=True))
        self.define(told.name, Tensor(0, tuple(known[axis] for axis in range(4))))

    def define(self, name: str, value: Value | None) -> None:
        if name in self.values:
            raise Refused(f"{printable(name)}: two values have this name")
        self.values[name] = value
        if isinstance(value, Tensor):
            self.names.setdefault(value.place, []).append(name)

    def place(self, proto: onnx.NodeProto) -> None:
        """A node's values, or a line that says why there are none."""
        if proto.op_type == "Constant" and proto.domain in _DOMAINS:
            return
        name = printable(proto.name or next(iter(proto.output), "") or proto.op_type)
        missing = [one for one in proto.input if one and one not in self.values]
        if missing:
            raise Refused(f"{name}: no node before it gives {printable(missing[0])}")
        inputs = [self.values[one] if one else None for one in proto.input]
        for one in proto.input:
            self.readers[one] -= 1
        made: list[Value | None] = []
        try:
            kind = printable(proto.op_type)
            if proto.domain not in _DOMAINS or not {proto.op_type} & (_RULES.keys() | FOLDS.keys()):
                domain = f" of {printable(proto.domain)}" if proto.domain not in _DOMAINS else ""
                raise Refused(f"{name}: no op of ours is ONNX' {kind}{domain}")
            if not any(one and self.values[one] is None for one in proto.input):
                made += self.made(_Node(self, name, proto, inputs))
        except Refused as refused:
            self.lines += refused.lines
        except TooMany as error:
            self.lines.append(f"{name}: {kind} {error}")
        except _MALFORMED as error:
            said = printable(str(error)) or type(error).__name__
            self.lines.append(f"{name}: {kind} is not as ONNX has it: {said}")
        for k, output in enumerate(proto.output):
            if output:
                self.define(output, made[k] if k < len(made) else None)
                if made and k >= len(made) and self.readers.get(output):
                    self.lines.append(f"{name}: {kind} is read for its output {k + 1}")

    def made(self, node: _Node) -> list[Value]:
        """The values of a node that means something here."""
        if all(one is None or isinstance(one, Constant) for one in node.inputs):
            return [_folded(node)]
        if node.kind not in _RULES:
            raise node.refused("of images, not of constants")
        value = _RULES[node.kind](node)
        return list(value) if isinstance(value, tuple) else [value]

    def is_read_no_more(self, place: int) -> bool:
        """Whether nothing reads a place but what reads it now."""
        names = self.names.get(place, ())
        return place not in self.taken and not any(self.readers.get(one) for one in names)

    def network(self, graph: onnx.GraphProto) -> Network:
        """The network, without layers that no output needs."""
        ends = []
        for output in graph.output:
            value, name = self.values.get(output.name), printable(output.name)
            if not isinstance(value, Tensor):
                raise Refused(f"the output {name} is nothing that the images say")
            ends.append((name, _end(self, name, value)))
        needed = {0}
        todo = [place for _, place in ends]
        while todo:
            place = todo.pop()
            if place not in needed:
                needed.add(place)
                todo += self.builder.layers[place].inputs
        kept = sorted(needed)
        at = {place: number for number, place in enumerate(kept)}
        layers = [self.builder.layers[place] for place in kept]
        layers = [replace(one, inputs=tuple(at[place] for place in one.inputs)) for one in layers]
        types = [self.builder.types[place] for place in kept]
        return Network(self.builder.name, layers, types, [(name, at[end]) for name, end in ends])


def _end(reader: _Reader, name: str, tensor: Tensor) -> int:
    """The place of an output, an image in any order of its axes or a vector in ours."""
    shape = reader.builder.types[tensor.place].shape
    single = math.prod(shape) == shape[-1]
    if single and len(tensor.axes) == 2 and tensor.axes == (N, whole("c", shape[-1])):
        if len(shape) == 3:
            return _added(reader, name, "flatten", [tensor.place])
        return tensor.place
    image = shape if len(shape) == 3 else (1, 1, *shape)
    if laid.letters(tensor.axes, laid.of_shape(image)) is None:
        raise Refused(f"the output {name} is of axes {_said(tensor.axes)}, which are not ours")
    return tensor.place


def _added(
    reader: _Reader, name: str, kind: str, places: Sequence[int], held: Any = None, **given: Any
) -> int:
    try:
        made = op(kind, **given)
    except ValueError as error:
        raise Refused(f"{name}: {error}") from None
    reader.taken.update(places)
    return reader.builder.add(name, made, places, held)


@dataclass
class _Node:
    """A node that is called: its attributes, its inputs, and what becomes of it."""

    reader: _Reader
    name: str
    proto: onnx.NodeProto
    inputs: Sequence[Value | None]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.proto.attribute:
            if one.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
                raise self.refused("has a graph inside")
            value = helper.get_attribute_value(one)
            if isinstance(value, bytes):
                value = value.decode("utf-8", "replace")
            elif isinstance(value, onnx.TensorProto):
                value = _array(value, self.name)
            elif not isinstance(value, int | float | str):
                value = list(value)
            self.attributes[one.name] = value

    @property
    def kind(self) -> str:
        return printable(self.proto.op_type)

    @property
    def opset(self) -> int:
        return self.reader.opset

    def get(self, word: str, otherwise: Any = None) -> Any:
        return self.attributes.get(word, otherwise)

    def refused(self, reason: str) -> Refused:
        return Refused(f"{self.name}: {self.kind} {reason}")

    def only(self, **usual: Any) -> None:
        """Attributes that must be as they are usually."""
        for word, value in usual.items():
            given = self.get(word, value)
            if given != value:
                raise self.refused(f"with {word}={printable(str(given))}; read is {value}")

    # -- inputs -----------------------------------------------------------------------------------

    def value(self, k: int) -> Value | None:
        return self.inputs[k] if k < len(self.inputs) else None

    def tensor(self, k: int = 0) -> Tensor:
        value = self.value(k)
        if not isinstance(value, Tensor):
            begun = (
                f"{value.said}, of which alone no op is ours" if isinstance(value, Begun) else ""
            )
            raise self.refused(f"of {begun or 'what is no image and no vector of ours'}")
        return value

    def tensors(self) -> list[Tensor]:
        return [self.tensor(k) for k in range(len(self.inputs))]

    def array(self, k: int) -> Array | None:
        """Numbers of an input that may be left out."""
        value = self.value(k)
        if value is None:
            return None
        if not isinstance(value, Constant):
            raise self.refused(f"whose input {k + 1} is computed of the images")
        return value.array

    def number(self, k: int, word: str, otherwise: float | None = None) -> float | None:
        """One number, an attribute in older opsets."""
        array = self.array(k)
        if array is None:
            given = self.get(word, otherwise)
            return None if given is None else float(given)
        return float(array.reshape(()))

    def held(self, k: int, word: str) -> Held:
        """A weight."""
        value = self.value(k)
        if not isinstance(value, Constant):
            raise self.refused(f"whose {word} is no constant")
        if value.held is None:
            raise self.refused(f"whose {word} is computed; no tensor of the model is it")
        return value.held

    def weight(self, k: int, word: str, usual: float) -> dict[str, Held]:
        """A vector by its word; nothing where it is left out, or computed and as if it were."""
        value = self.value(k)
        if value is None:
            return {}
        if isinstance(value, Constant) and value.held is None and (value.array == usual).all():
            return {}
        held = self.held(k, word)
        return {word: held.reshaped(math.prod(held.form))}

    # -- what is made -----------------------------------------------------------------------------

    def shape(self, place: int) -> Shape:
        return self.reader.builder.types[place].shape

    def add(self, name: str, places: Sequence[int], /, held: Any = None, **given: Any) -> int:
        """An op in place of the node, or of a part of it."""
        return _added(self.reader, self.name, name, places, held, **given)

    def pointwise(self, name: str, tensor: Tensor, /, held: Any = None, **given: Any) -> Tensor:
        return Tensor(self.add(name, [tensor.place], held, **given), tensor.axes)

    def image(self, tensor: Tensor) -> int:
        """The place of what is (N, C, H, W), as an image."""
        expected = self.channels_first(tensor.place)
        if tensor.axes != expected:
            raise self.refused(f"of axes {_said(tensor.axes)}, not (n, c, h, w)")
        return self.pixel(tensor.place)

    def channels_first(self, place: int) -> Axes:
        shape = self.shape(place)
        return laid.channels_first(shape if len(shape) == 3 else (1, 1, *shape))

    def pixel(self, place: int) -> int:
        """An image at any rate."""
        if len(self.shape(place)) == 3:
            return place
        self.reader.taken.add(place)
        return self.reader.builder.add(self.name, Pixel(), [place])

    def from_image(self, name: str, tensor: Tensor, /, held: Any = None, **given: Any) -> Tensor:
        """An op of an image (N, C, H, W), of which it makes another."""
        place = self.add(name, [self.image(tensor)], held, **given)
        return Tensor(place, self.channels_first(place))

    def over_channels(self, tensor: Tensor, axis: int) -> None:
        """An axis must be the channels."""
        axis = _axis(axis, len(tensor.axes))
        if tensor.axes[axis] != whole("c", self.shape(tensor.place)[-1]):
            raise self.refused(f"over axis {axis} of {_said(tensor.axes)}, not over the channels")

    def letters(self, tensor: Tensor) -> str:
        """Which axis is which, such as "nchw"."""
        *spatial, channels = self.shape(tensor.place)
        pixels = spatial or (1, 1)
        shape = (channels,) if len(tensor.axes) == 2 else (*pixels, channels)
        found = laid.letters(tensor.axes, laid.of_shape(shape))
        if found is None:
            raise self.refused(f"of axes {_said(tensor.axes)}")
        return found


def _said(axes: Axes) -> str:
    """Axes for a message: (n, c, h·w)."""
    return "({})".format(", ".join("·".join(part.letter for part in one) or "1" for one in axes))


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of {rank}")
    return axis % rank


def _folded(node: _Node) -> Constant:
    """What a node makes of constants; a weight that is only moved is still held."""
    if node.kind not in FOLDS:
        raise node.refused("of constants alone")
    given = [one.array if isinstance(one, Constant) else None for one in node.inputs]
    with np.errstate(all="ignore"):
        array = tidy(FOLDS[node.kind](node.attributes, given, node.opset))
    first = node.value(0)
    held = first.held if isinstance(first, Constant) else None
    if not isinstance(first, Constant) or held is None:
        return Constant(array)
    if node.kind in ("Flatten", "Reshape", "Squeeze", "Unsqueeze"):
        held = held.reshaped(*array.shape)
    elif node.kind == "Transpose":
        held = held.transposed(*node.get("perm", range(array.ndim)[::-1]))
    elif node.kind not in ("Cast", "CastLike", "Identity") or array.dtype.kind in "biu":
        held = None
    return Constant(array, held, first.trained and held is not None)


# -- operators ------------------------------------------------------------------------------------

_Made = Value | tuple[Value, ...]
_Rule = Callable[[_Node], _Made]
_RULES: dict[str, _Rule] = {}


def _rule(*kinds: str) -> Callable[[_Rule], _Rule]:
    def register(function: _Rule) -> _Rule:
        _RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


# -- windows --------------------------------------------------------------------------------------


def _pairs(node: _Node, pads: Sequence[int]) -> list[list[int]]:
    """ONNX has all low sides first, then all high ones."""
    if len(pads) != 4:
        raise node.refused(f"with {len(pads)} pads; images have 4")
    return [[pads[0], pads[2]], [pads[1], pads[3]]]


def _window(node: _Node, kernel: Sequence[int], shape: Shape) -> dict[str, Any]:
    """A window on an image (H, W, C); `SAME_LOWER` is explicit for that size."""
    if len(kernel) != 2:
        raise node.refused(f"with a kernel of {len(kernel)} axes; images have two")
    node.only(kernel_shape=list(kernel))
    stride, dilation = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    auto = node.get("auto_pad", "NOTSET")
    padding: Any = _pairs(node, node.get("pads", [0, 0, 0, 0]))
    if auto == "SAME_UPPER":
        padding = "same"
    elif auto == "VALID":
        padding = "valid"
    elif auto == "SAME_LOWER":
        totals = [
            max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            for n, s, k, d in zip(shape[:2], stride, kernel, dilation, strict=True)
        ]
        padding = [[total - total // 2, total // 2] for total in totals]
    elif auto != "NOTSET":
        raise node.refused(f"with auto_pad={printable(str(auto))}")
    return {"kernel": list(kernel), "stride": stride, "dilation": dilation, "padding": padding}


@_rule("Conv")
def _conv(node: _Node) -> Tensor:
    """A kernel (filters, channels / groups, height, width)."""
    tensor, held = node.tensor(), node.held(1, "kernel")
    window = _window(node, held.form[2:], node.shape(node.image(tensor)))
    bias = node.weight(2, "bias", 0)
    weights = {"kernel": held.transposed(2, 3, 1, 0), **bias}
    given = {"filters": held.form[0], "groups": node.get("group", 1), "bias": bool(bias)}
    return node.from_image("conv", tensor, weights, **given, **window)


@_rule("ConvTranspose")
def _conv_transpose(node: _Node) -> Tensor:
    """A kernel (channels, filters / groups, height, width)."""
    tensor, held = node.tensor(), node.held(1, "kernel")
    node.only(group=1, dilations=[1, 1])
    shape = node.shape(node.image(tensor))
    window = _window(node, held.form[2:], shape)
    del window["dilation"]
    more = node.get("output_padding")
    if (wanted := node.get("output_shape")) is not None:
        if node.get("auto_pad", "NOTSET") != "NOTSET" or len(wanted) != 2:
            raise node.refused(f"with output_shape={printable(str(wanted))}")
        sizes = zip(wanted, shape[:2], window["stride"], window["kernel"], strict=True)
        totals = [(n - 1) * stride + kernel - m for m, n, stride, kernel in sizes]
        window["padding"] = [[max(t, 0) // 2, max(t, 0) - max(t, 0) // 2] for t in totals]
        more = [max(-total, 0) for total in totals]
    if node.get("auto_pad") == "SAME_LOWER":
        raise node.refused("with auto_pad=SAME_LOWER")
    bias = node.weight(2, "bias", 0)
    weights = {"kernel": held.transposed(2, 3, 1, 0), **bias}
    given = {"filters": held.form[1], "output_padding": more, "bias": bool(bias)}
    return node.from_image("conv_transpose", tensor, weights, **given, **window)


@_rule("MaxPool", "AveragePool")
def _pool(node: _Node) -> Tensor:
    tensor = node.tensor()
    node.only(dilations=[1, 1])
    window = _window(node, node.get("kernel_shape", []), node.shape(node.image(tensor)))
    del window["dilation"]
    window["ceil_mode"] = bool(node.get("ceil_mode", 0))
    if node.kind == "MaxPool":
        return node.from_image("max_pool", tensor, **window)
    counted = bool(node.get("count_include_pad", 0))
    return node.from_image("avg_pool", tensor, count_include_pad=counted, **window)


@_rule("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node: _Node) -> Tensor:
    name = "global_max_pool" if node.kind == "GlobalMaxPool" else "global_avg_pool"
    return node.from_image(name, node.tensor(), keep_dims=True)


@_rule("ReduceMean", "ReduceMax")
def _reduce(node: _Node) -> Tensor:
    """Over height and width, in whichever axes they are."""
    tensor = node.tensor()
    axes = named_axes(node.attributes, [None, node.array(1)])
    chosen = {_axis(axis, len(tensor.axes)) for axis in axes or ()}
    reduced = sorted(part.letter for axis in chosen for part in tensor.axes[axis])
    shape = node.shape(tensor.place)
    pixels = [letter for letter, n in zip("hw", shape, strict=False) if n > 1 and len(shape) == 3]
    parts = [part for axis in chosen for part in tensor.axes[axis]]
    if not chosen or reduced != pixels or any(part.stride > 1 for part in parts):
        raise node.refused(f"over axes {axes} of {_said(tensor.axes)}, not over all pixels")
    kept = node.get("keepdims", 1)
    left = tuple(
        () if k in chosen else axis for k, axis in enumerate(tensor.axes) if kept or k not in chosen
    )
    if not pixels:
        return Tensor(tensor.place, left)
    name = "global_max_pool" if node.kind == "ReduceMax" else "global_avg_pool"
    return Tensor(node.add(name, [tensor.place], keep_dims=bool(kept)), left)


@_rule("Pad")
def _pad(node: _Node) -> Tensor:
    tensor, mode = node.tensor(), node.get("mode", "constant")
    given = node.array(1)
    pads = node.get("pads") if given is None else integers(given)
    if mode != "constant" or node.number(2, "value", 0.0) != 0 or min(pads) < 0:
        raise node.refused(f"with mode={printable(str(mode))} and pads={pads}; zeros are added")
    named = node.array(3)
    axes = range(len(tensor.axes)) if named is None else integers(named)
    if len(pads) != 2 * len(axes):
        raise node.refused(f"with {len(pads)} pads of {len(axes)} axes")
    sides = {"h": (0, 0), "w": (0, 0)}
    if not any(pads):
        return tensor
    order = node.letters(tensor)
    for k, axis in enumerate(axes):
        low, high, letter = pads[k], pads[len(axes) + k], order[axis]
        if letter in sides:
            sides[letter] = low, high
        elif low or high:
            raise node.refused("of the batch or the channels")
    place = node.add("zero_pad", [node.pixel(tensor.place)], padding=[sides["h"], sides["w"]])
    return Tensor(place, laid.with_sizes(order, node.shape(place)))


@_rule("Resize", "Upsample")
def _resize(node: _Node) -> Tensor:
    """Any way to say which pixels are read, if they are those that `resize` reads."""
    tensor, mode = node.tensor(), node.get("mode", "nearest")
    order = node.letters(tensor)
    shape = dict(zip("hwc", node.shape(node.pixel(tensor.place)), strict=True))
    given = [_size_of(tensor.axes[k], 1) for k in range(4)]
    old = node.kind == "Upsample" or len(node.inputs) == 2
    scales = node.get("scales") if old and len(node.inputs) < 2 else node.array(1 if old else 2)
    axes = [_axis(axis, 4) for axis in node.get("axes", range(4))]
    if scales is not None and np.size(scales):
        factors = dict(zip(axes, np.asarray(scales).ravel().tolist(), strict=True))
        wanted = {axis: math.floor(given[axis] * factor) for axis, factor in factors.items()}
        if any(wanted[axis] != given[axis] * factor for axis, factor in factors.items()):
            raise node.refused("with a scale that does not give whole pixels")
    else:
        node.only(keep_aspect_ratio_policy="stretch")
        said = node.array(3)
        if said is None:
            raise node.refused("with neither scales nor sizes")
        numbers = [1 if isinstance(one, Batch) else int(one) for one in said.ravel()]
        wanted = dict(zip(axes, numbers, strict=True))
    sizes = {letter: wanted.get(k, given[k]) for k, letter in enumerate(order)}
    if sizes["c"] != shape["c"] or sizes["n"] not in (1, node.reader.batch):
        raise node.refused("of the batch or the channels")
    made = [sizes["h"], sizes["w"]]
    _same_pixels(node, mode, [(shape["h"], made[0]), (shape["w"], made[1])])
    method = "nearest" if mode == "nearest" else "bilinear"
    place = node.add("resize", [node.pixel(tensor.place)], size=made, method=method)
    return Tensor(place, laid.with_sizes(order, node.shape(place)))


def _size_of(axis: Axis, batch: int) -> int:
    size = laid.size(axis)
    return batch if isinstance(size, Batch) else size


def _same_pixels(node: _Node, mode: str, sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse a node that reads other pixels than `resize` does, of n pixels for m of them."""
    where = node.get("coordinate_transformation_mode", "half_pixel")
    rounding = node.get("nearest_mode", "round_prefer_floor")
    if node.kind == "Upsample" or node.opset < 11:
        where, rounding = "asymmetric", "floor"
    said = f"with mode={printable(str(mode))}, coordinate_transformation_mode={printable(where)}"
    if max(m for _, m in sizes) > 1 << 16:
        raise node.refused(f"to {sizes[0][1]}×{sizes[1][1]} pixels")
    if mode == "nearest":
        for n, m in sizes:
            i = np.arange(m)
            places = {
                "half_pixel": (i + 0.5) * n / m - 0.5,
                "pytorch_half_pixel": (i + 0.5) * n / m - 0.5 if m > 1 else 0 * i,
                "asymmetric": i * n / m,
                "align_corners": i * (n - 1) / max(m - 1, 1),
            }
            rounded: dict[str, Callable[[Any], Any]] = {
                "floor": np.floor,
                "ceil": np.ceil,
                "round_prefer_floor": lambda place: np.ceil(place - 0.5),
                "round_prefer_ceil": lambda place: np.floor(place + 0.5),
            }
            if where not in places or rounding not in rounded:
                raise node.refused(said)
            read = rounded[rounding](places[where]).clip(0, n - 1)
            if not np.array_equal(read, (2 * i + 1) * n // (2 * m)):
                raise node.refused(f"{said}, nearest_mode={printable(rounding)}: other pixels")
        return
    half = where == "half_pixel" or (where == "pytorch_half_pixel" and all(m > 1 for _, m in sizes))
    shrinks = any(m < n for n, m in sizes)
    same = all(n == m for n, m in sizes)
    if mode != "linear" or not (half or same) or (node.get("antialias") and shrinks):
        raise node.refused(f"{said}: other places between pixels")


@_rule("DepthToSpace", "SpaceToDepth")
def _blocks(node: _Node) -> Tensor:
    """Mode CRD, PyTorch's, is a shuffle of the channels where they are many."""
    tensor, block = node.tensor(), node.get("blocksize", 0)
    mode = node.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise node.refused(f"with mode={printable(str(mode))}")
    return _moved(node, node.image(tensor), "nchw", node.kind == "DepthToSpace", block, mode)


def _moved(node: _Node, place: int, order: str, apart: bool, block: int, mode: str) -> Tensor:
    """Blocks of pixels that become channels, or channels that become `apart`."""
    if apart:
        if mode == "CRD" and block and (groups := node.shape(place)[-1] // block**2) > 1:
            place = node.add("channel_shuffle", [place], groups=groups)
        place = node.add("depth_to_space", [place], block=block)
    else:
        place = node.add("space_to_depth", [place], block=block)
        if mode == "CRD" and node.shape(place)[-1] > block**2:
            place = node.add("channel_shuffle", [place], groups=block**2)
    return Tensor(place, laid.with_sizes(order, node.shape(place)))


# -- products with matrices -----------------------------------------------------------------------


def _linear(node: _Node, tensor: Tensor, kernel: Held, bias: Mapping[str, Held]) -> Tensor:
    """A kernel (channels, units) over the last axis: a dense layer, or a 1×1 convolution."""
    *outer, last = tensor.axes
    channels, units = kernel.form
    shape = node.shape(tensor.place)
    weights = {"kernel": kernel, **bias}
    given = {"bias": bool(bias)}
    axes = (*outer, whole("c", units))
    if len(shape) == 1 or (outer == [N] and math.prod(shape) == shape[-1]):
        if math.prod(part.size for part in last) != shape[-1] or channels != shape[-1]:
            raise node.refused(f"of {channels} channels; there are {shape[-1]}")
        weights["kernel"] = _in_our_order(kernel, last)
        place = tensor.place
        if len(shape) == 3:
            place = node.add("flatten", [place])
        return Tensor(node.add("dense", [place], weights, units=units, **given), axes)
    node.over_channels(tensor, -1)
    weights["kernel"] = kernel.reshaped(1, 1, channels, units)
    place = node.add("conv", [tensor.place], weights, filters=units, kernel=1, **given)
    return Tensor(place, axes)


def _in_our_order(kernel: Held, parts: Axis) -> Held:
    """The rows of a kernel (entries, units) in our order of the entries."""
    order = sorted(range(len(parts)), key=lambda k: -parts[k].stride)
    if order == list(range(len(parts))):
        return kernel
    rows, units = kernel.form
    split = kernel.reshaped(*(part.size for part in parts), units)
    return split.transposed(*order, len(parts)).reshaped(rows, units)


@_rule("Gemm")
def _gemm(node: _Node) -> Tensor:
    node.only(alpha=1.0, beta=1.0, transA=0)
    kernel = node.held(1, "kernel")
    if node.get("transB"):
        kernel = kernel.transposed(1, 0)
    return _linear(node, node.tensor(), kernel, node.weight(2, "bias", 0))


@_rule("MatMul")
def _matmul(node: _Node) -> Tensor:
    if not isinstance(node.value(1), Constant):
        raise node.refused("of two tensors; one must be a weight")
    return _linear(node, node.tensor(), node.held(1, "kernel"), {})


# -- normalization --------------------------------------------------------------------------------


@_rule("BatchNormalization")
def _batch_norm(node: _Node) -> Tensor:
    tensor = node.tensor()
    node.only(training_mode=0, spatial=1)
    node.over_channels(tensor, 1)
    weights = {**node.weight(1, "gamma", 1), **node.weight(2, "beta", 0)}
    given = {"scale": "gamma" in weights, "center": "beta" in weights}
    weights |= {"moving_mean": node.held(3, "mean"), "moving_variance": node.held(4, "variance")}
    given |= {"epsilon": node.get("epsilon", 1e-5), "momentum": node.get("momentum", 0.9)}
    return node.pointwise("batch_norm", tensor, weights, **given)


@_rule("LayerNormalization", "RMSNormalization")
def _layer_norm(node: _Node) -> Tensor:
    tensor = node.tensor()
    axis = _axis(node.get("axis", -1), len(tensor.axes))
    if any(tensor.axes[axis + 1 :]):
        raise node.refused(f"over axes {axis} to the last of {_said(tensor.axes)}")
    node.over_channels(tensor, axis)
    weights = {**node.weight(1, "gamma", 1), **node.weight(2, "beta", 0)}
    given = {"scale": "gamma" in weights, "epsilon": node.get("epsilon", 1e-5)}
    if node.kind == "RMSNormalization":
        return node.pointwise("rms_norm", tensor, weights, **given)
    return node.pointwise("layer_norm", tensor, weights, center="beta" in weights, **given)


@_rule("GroupNormalization", "InstanceNormalization")
def _group_norm(node: _Node) -> Tensor:
    """Until opset 21 there was a scale for each group. Of an instance each channel is a group."""
    tensor = node.tensor()
    channels = node.shape(tensor.place)[-1]
    if node.kind == "InstanceNormalization" and len(tensor.axes[1]) == 1:
        groups = tensor.axes[1][0].size
        outer = (Part("c", groups, channels // groups),)
        if tensor.axes[0] != N or tensor.axes[1] != outer:
            raise node.refused(f"of axes {_said(tensor.axes)}")
    else:
        groups = node.get("num_groups", 0)
        node.image(tensor)
    weights = {**node.weight(1, "gamma", 1), **node.weight(2, "beta", 0)}
    for k, word, usual in ((1, "gamma", 1), (2, "beta", 0)):
        if word not in weights:
            continue
        if np.all(node.array(k) == usual) and len(tensor.axes) < 4:
            del weights[word]  # of a group norm, of which what is learned comes after it
        elif weights[word].form != (channels,):
            raise node.refused(f"with a {word} for each group; read is one for each channel")
    given = {"scale": "gamma" in weights, "center": "beta" in weights}
    given["epsilon"] = node.get("epsilon", 1e-5)
    return node.pointwise("group_norm", tensor, weights, groups=groups, **given)


@_rule("LRN")
def _local_response_norm(node: _Node) -> Tensor:
    given = {"alpha": node.get("alpha", 1e-4), "beta": node.get("beta", 0.75)}
    given |= {"size": node.get("size"), "k": node.get("bias", 1.0)}
    return node.from_image("local_response_norm", node.tensor(), **given)


# -- of each number by itself ---------------------------------------------------------------------

_POINTWISE = {"HardSwish": "hard_swish", "Mish": "mish", "Relu": "relu", "Sigmoid": "sigmoid"}


@_rule(*_POINTWISE)
def _pointwise(node: _Node) -> Tensor:
    return node.pointwise(_POINTWISE[node.kind], node.tensor())


@_rule("Elu")
def _elu(node: _Node) -> Tensor:
    return node.pointwise("elu", node.tensor(), alpha=node.get("alpha", 1.0))


@_rule("LeakyRelu")
def _leaky_relu(node: _Node) -> Tensor:
    return node.pointwise("leaky_relu", node.tensor(), negative_slope=node.get("alpha", 0.01))


@_rule("HardSigmoid")
def _hard_sigmoid(node: _Node) -> Tensor:
    """Files keep a sixth in float32."""
    slope, offset = node.get("alpha", 0.2), node.get("beta", 0.5)
    slope = 1 / 6 if math.isclose(slope, 1 / 6, rel_tol=1e-6) else slope
    return node.pointwise("hard_sigmoid", node.tensor(), slope=slope, offset=offset)


@_rule("Gelu")
def _gelu(node: _Node) -> Tensor:
    approximate = node.get("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.refused(f"with approximate={printable(str(approximate))}")
    given = {"approximation": "tanh" if approximate == "tanh" else "exact"}
    return node.pointwise("gelu", node.tensor(), **given)


@_rule("Swish")
def _swish(node: _Node) -> Tensor:
    node.only(alpha=1.0)
    return node.pointwise("silu", node.tensor())


@_rule("PRelu")
def _prelu(node: _Node) -> Tensor:
    tensor, held = node.tensor(), node.held(1, "slope")
    vector = _by_channel(node, tensor, held.form)
    channels = node.shape(tensor.place)[-1]
    if not vector and channels > 1:
        raise node.refused("with one slope for all channels; read is one for each")
    return node.pointwise("prelu", tensor, {"alpha": held.reshaped(channels)})


@_rule("Clip")
def _clip(node: _Node) -> Tensor:
    """From 0 on, and perhaps to 6."""
    tensor = node.tensor()
    low = node.number(1, "min", -math.inf)
    high = node.number(2, "max", math.inf)
    low = -math.inf if low is None or low <= -_LARGEST_FLOAT else low
    high = math.inf if high is None or high >= _LARGEST_FLOAT else high
    if (low, high) == (-math.inf, math.inf):
        return tensor
    if low != 0 or high not in (6, math.inf):
        raise node.refused(f"from min={low:g} to max={high:g}; read are 0 to 6, and 0 and above")
    return node.pointwise("relu6" if high == 6 else "relu", tensor)


@_rule("Softmax")
def _softmax(node: _Node) -> Tensor:
    """Until opset 13, over an axis and all that follow."""
    tensor = node.tensor()
    axis = _axis(node.get("axis", -1 if node.opset >= 13 else 1), len(tensor.axes))
    if node.opset < 13 and any(tensor.axes[axis + 1 :]):
        raise node.refused(f"over axes {axis} to the last of {_said(tensor.axes)}")
    node.over_channels(tensor, axis)
    return node.pointwise("softmax", tensor)


@_rule("Dropout")
def _dropout(node: _Node) -> Tensor:
    training = node.array(2)
    if training is not None and bool(training.reshape(())):
        raise node.refused("with training_mode=true, a random mask")
    rate = node.number(1, "ratio", 0.5)
    return node.pointwise("dropout", node.tensor(), rate=rate)


@_rule("Identity", "CastLike")
def _same(node: _Node) -> Value:
    value = node.value(0)
    return node.tensor() if value is None else value


@_rule("Cast")
def _cast(node: _Node) -> Tensor:
    if node.get("to") not in FLOATS:
        raise node.refused("to what are no floating-point numbers")
    return node.tensor()


@_rule("Erf")
def _erf(node: _Node) -> Begun:
    """A GELU begins: x · 1/2 · (1 + erf(x / √2))."""
    tensor = node.tensor()
    layer = node.reader.builder.layers[tensor.place]
    scale = _factor(layer)
    if scale is None or not math.isclose(scale, math.sqrt(0.5), rel_tol=1e-6):
        raise node.refused("of what is not x / √2, as in a GELU")
    return _begun(node, "erf(x/√2)", Tensor(layer.inputs[0], tensor.axes))


@_rule("Softplus")
def _softplus(node: _Node) -> Begun:
    """A Mish begins: x · tanh(softplus(x))."""
    return _begun(node, "softplus(x)", node.tensor())


@_rule("Tanh")
def _tanh(node: _Node) -> Value:
    value = node.value(0)
    if isinstance(value, Begun) and value.said == "softplus(x)":
        return replace(value, said=f"tanh({value.said})")
    return node.pointwise("tanh", node.tensor())


def _begun(node: _Node, said: str, x: Tensor) -> Begun:
    node.reader.taken.add(x.place)
    return Begun(said, x)


def _factor(layer: Layer) -> float | None:
    """The number that a layer multiplies by, if that is all it does."""
    made = layer.op
    if isinstance(made, Rescale) and not made.offset and isinstance(made.scale, float):
        return made.scale
    return None


def _times(node: _Node, begun: Begun, other: Value | None) -> Value:
    """What is begun, times something."""
    if isinstance(other, Constant) and other.array.size == 1:
        begun = replace(begun, factor=begun.factor * float(other.array.reshape(())))
    elif isinstance(other, Tensor) and begun.said in ("1 + erf(x/√2)", "tanh(softplus(x))"):
        factor, place = 1.0, other.place
        if place != begun.x.place:
            layer = node.reader.builder.layers[place]
            factor, place = _factor(layer) or 0.0, (*layer.inputs, -1)[0]
        if place != begun.x.place or not factor or other.axes != begun.x.axes:
            raise node.refused(f"of {begun.said} and something else than x")
        said = f"x · ({begun.said})"
        begun = replace(begun, said=said, factor=begun.factor * factor)
    else:
        raise node.refused(f"of {begun.said}, of which alone no op is ours")
    if begun.said == "x · (1 + erf(x/√2))" and math.isclose(begun.factor, 0.5, rel_tol=1e-6):
        return node.pointwise("gelu", begun.x)
    if begun.said == "x · (tanh(softplus(x)))" and begun.factor == 1:
        return node.pointwise("mish", begun.x)
    return begun


# -- sums and products ----------------------------------------------------------------------------


def _by_channel(node: _Node, tensor: Tensor, shape: Shape) -> bool:
    """Whether constants of this shape are one for each channel; else they are one for all."""
    if len(shape) > len(tensor.axes):
        raise node.refused(f"with constants of shape {shape}")
    shape = (*(1,) * (len(tensor.axes) - len(shape)), *shape)
    wide = [axis for axis, n in enumerate(shape) if n != 1]
    if not wide:
        return False
    channels = node.shape(tensor.place)[-1]
    if len(wide) > 1 or tensor.axes[wide[0]] != whole("c", channels) or shape[wide[0]] != channels:
        raise node.refused(f"with constants of shape {shape} for axes {_said(tensor.axes)}")
    return True


def _numbers(constant: Constant, vector: bool) -> Any:
    """Constants as `rescale` takes them."""
    numbers = constant.array.astype(np.float64).ravel().tolist()
    return numbers if vector else numbers[0]


def _with_constant(node: _Node, tensor: Tensor, constant: Constant, first: bool) -> Tensor:
    """A sum, difference, product or quotient of a tensor and constants, which may come first."""
    vector = _by_channel(node, tensor, constant.array.shape)
    kind = "Add" if node.kind == "Sum" else node.kind
    if constant.held and (merged := _merged_weight(node, kind, tensor, constant, vector)):
        return merged
    given: dict[str, Any]
    if kind == "Add":
        given = {"offset": _numbers(constant, vector)}
    elif kind == "Sub" and first:
        given = {"scale": -1.0, "offset": _numbers(constant, vector)}
    elif kind == "Sub":
        given = {"offset": _numbers(replace(constant, array=-constant.array), vector)}
    elif kind == "Mul" and vector and constant.trained and constant.held and tensor.place:
        gamma = constant.held.reshaped(math.prod(constant.held.form))
        if not _is_of_images(node, tensor.place):
            return node.pointwise("scale", tensor, {"gamma": gamma})
        given = {"scale": _numbers(constant, vector)}
    elif kind == "Mul":
        given = {"scale": _numbers(constant, vector)}
    elif kind == "Div" and not first:
        inverse = 1 / constant.array.astype(np.float64)
        given = {"scale": _numbers(replace(constant, array=inverse), vector)}
    else:
        raise node.refused("of constants by a tensor" if kind == "Div" else "of constants")
    return node.pointwise("rescale", tensor, **given)


def _is_of_images(node: _Node, place: int) -> bool:
    """Whether it is the images, brought to another scale: what they are scaled by is constant."""
    layers = node.reader.builder.layers
    while isinstance(layers[place].op, Rescale):
        (place,) = layers[place].inputs
    return place == 0


_LINEAR = ("conv", "conv_transpose", "dense", "depthwise_conv")


def _merged_weight(
    node: _Node, kind: str, tensor: Tensor, constant: Constant, vector: bool
) -> Tensor | None:
    """The tensor with a vector that its layer has not: a bias, or what a group norm learns."""
    place, builder = tensor.place, node.reader.builder
    layer, channels = builder.layers[place], builder.types[place].channels
    if not (vector or channels == 1) or not node.reader.is_read_no_more(place):
        return None
    made: Any = layer.op
    if kind == "Add" and made.name in _LINEAR and not made.bias:
        word, made = "bias", replace(made, bias=True)
    elif kind == "Add" and made.name == "group_norm" and not made.center:
        word, made = "beta", replace(made, center=True)
    elif kind == "Mul" and made.name == "group_norm" and not (made.scale or made.center):
        word, made = "gamma", replace(made, scale=True)
    else:
        return None
    assert constant.held is not None
    held = {**layer.weights, word: constant.held.reshaped(channels)}
    builder.layers[place] = replace(layer, op=made, weights=held)
    return tensor


_MERGES = {
    "Add": "add",
    "Max": "maximum",
    "Mean": "average",
    "Mul": "multiply",
    "Sub": "subtract",
    "Sum": "add",
}


@_rule("Div", *_MERGES)
def _merge(node: _Node) -> Value:
    values = list(node.inputs)
    if len(values) == 1:
        return node.tensor()
    if len(values) == 2:
        for value, other in (values, values[::-1]):
            if isinstance(value, Begun) and node.kind == "Mul":
                return _times(node, value, other)
            if isinstance(value, Begun) and node.kind == "Add":
                return _plus_one(node, value, other)
        if isinstance(values[0], Begun) and node.kind == "Div" and isinstance(values[1], Constant):
            inverse = replace(values[1], array=1 / values[1].array.astype(np.float64))
            return _times(node, values[0], inverse)
        if node.kind in ("Add", "Div", "Mul", "Sub", "Sum"):
            for k, (value, other) in enumerate((values, values[::-1])):
                if isinstance(value, Tensor) and isinstance(other, Constant):
                    return _with_constant(node, value, other, bool(k))
    if node.kind == "Div":
        raise node.refused("of two tensors")
    return _merged(node, _MERGES[node.kind], node.tensors())


def _plus_one(node: _Node, begun: Begun, other: Value | None) -> Begun:
    one = isinstance(other, Constant) and other.array.size == 1 and bool((other.array == 1).all())
    if not one or begun.said != "erf(x/√2)" or begun.factor != 1:
        raise node.refused(f"of {begun.said}, of which alone no op is ours")
    return replace(begun, said="1 + erf(x/√2)")


def _merged(node: _Node, name: str, tensors: Sequence[Tensor]) -> Tensor:
    """An op of several tensors. One for each channel is a pixel, that multiplies all pixels."""
    rank = max(len(tensor.axes) for tensor in tensors)
    axes = [((),) * (rank - len(tensor.axes)) + tensor.axes for tensor in tensors]
    largest = max(axes, key=lambda one: math.prod(_size_of(axis, 1) for axis in one))
    gates = [_without_pixels(largest), largest] if name == "multiply" else [largest]
    if any(one not in gates for one in axes):
        different = next(one for one in axes if one not in gates)
        raise node.refused(f"of axes {_said(largest)} and {_said(different)}")
    places = _alike(node, [tensor.place for tensor in tensors])
    return Tensor(node.add(name, places), largest)


def _without_pixels(axes: Axes) -> Axes:
    return tuple(tuple(part for part in axis if part.letter not in "hw") for axis in axes)


def _alike(node: _Node, places: Sequence[int]) -> list[int]:
    """Vectors as pixels where others are images."""
    if all(len(node.shape(place)) == 1 for place in places):
        return list(places)
    return [node.pixel(place) for place in places]


# -- channels -------------------------------------------------------------------------------------


@_rule("Concat")
def _concat(node: _Node) -> Tensor:
    tensors = node.tensors()
    axis = _axis(node.get("axis"), len(tensors[0].axes))
    for tensor in tensors:
        node.over_channels(tensor, axis)
        others = [(*one.axes[:axis], *one.axes[axis + 1 :]) for one in (tensor, tensors[0])]
        if others[0] != others[1]:
            raise node.refused(f"of axes {_said(tensors[0].axes)} and {_said(tensor.axes)}")
    place = node.add("concat", _alike(node, [tensor.place for tensor in tensors]))
    return Tensor(place, _with_channels(tensors[0], axis, node.shape(place)[-1]))


def _with_channels(tensor: Tensor, axis: int, channels: int) -> Axes:
    return (*tensor.axes[:axis], whole("c", channels), *tensor.axes[axis + 1 :])


def _channels(node: _Node, tensor: Tensor, axis: int, start: int, count: int) -> Tensor:
    if (start, count) == (0, node.shape(tensor.place)[-1]):
        return tensor
    place = node.add("channel_slice", [tensor.place], start=start, channels=count)
    return Tensor(place, _with_channels(tensor, axis, count))


def _parts(node: _Node, said: Sequence[int] | None) -> tuple[Tensor, ...]:
    """Segments of channels, of these sizes or all of one but the last."""
    tensor, count = node.tensor(), len(node.proto.output)
    axis = _axis(node.get("axis", 0), len(tensor.axes))
    node.over_channels(tensor, axis)
    channels = node.shape(tensor.place)[-1]
    if said is None:
        each = -(-channels // count)
        said = [each] * (count - 1) + [channels - each * (count - 1)]
    if sum(said) != channels or min(said) < 1:
        raise node.refused(f"of {channels} channels into {printable(str(list(said)))}")
    starts = accumulate(said[:-1], initial=0)
    return tuple(
        _channels(node, tensor, axis, start, size) for start, size in zip(starts, said, strict=True)
    )


@_rule("Split")
def _split(node: _Node) -> tuple[Tensor, ...]:
    given = node.array(1)
    return _parts(node, node.get("split") if given is None else integers(given))


@_rule("SplitToSequence")
def _split_to_sequence(node: _Node) -> Value:
    given = node.array(1)
    if given is None:
        raise node.refused("into single channels")
    channels = node.shape(node.tensor().place)[-1]
    sizes = integers(given)
    if given.ndim == 0:
        (each,) = sizes
        if each < 1 or channels // each > 4096:
            raise node.refused(f"into segments of {each} channels")
        sizes = [min(each, channels - start) for start in range(0, channels, each)]
    parts = list(_parts(node, sizes))
    node.reader.taken.update(one.place for one in parts)
    return parts


@_rule("SequenceAt")
def _sequence_at(node: _Node) -> Tensor:
    sequence, at = node.value(0), node.array(1)
    if not isinstance(sequence, list) or at is None:
        raise node.refused("of what is no sequence of ours")
    return sequence[int(at.reshape(()))]


@_rule("Slice")
def _slice(node: _Node) -> Tensor:
    """Of channels, or of height and width: a border is cut off."""
    tensor = node.tensor()
    given = [None, *(node.array(k) for k in range(1, 5))]
    cut = {"h": (0, 0), "w": (0, 0)}
    for axis, start, stop, step in slices(node.attributes, given, len(tensor.axes)):
        size = laid.size(tensor.axes[axis])
        if isinstance(size, Batch):
            if start == 0 and stop >= 2**31 - 1 and step == 1:
                continue
            raise node.refused("of the batch")
        low, high, _ = slice(start, stop).indices(size)
        if (low, high, step) == (0, size, 1):
            continue
        letter = node.letters(tensor)[axis]
        if step != 1 or high <= low:
            raise node.refused(f"from {start} to {stop} in steps of {step}")
        if letter == "c":
            tensor = _channels(node, tensor, axis, low, high - low)
            continue
        cut[letter] = low, size - high
    if cut == {"h": (0, 0), "w": (0, 0)}:
        return tensor
    order = node.letters(tensor)
    place = node.add("crop", [tensor.place], cropping=[cut["h"], cut["w"]])
    return Tensor(place, laid.with_sizes(order, node.shape(place)))


# -- axes -----------------------------------------------------------------------------------------


@_rule("Transpose")
def _transpose(node: _Node) -> Tensor:
    tensor = node.tensor()
    perm = node.get("perm", list(range(len(tensor.axes))[::-1]))
    if sorted(perm) != list(range(len(tensor.axes))):
        raise node.refused(f"with perm={printable(str(perm))}")
    return Tensor(tensor.place, tuple(tensor.axes[axis] for axis in perm))


@_rule("Squeeze")
def _squeeze(node: _Node) -> Tensor:
    tensor = node.tensor()
    axes = named_axes(node.attributes, [None, node.array(1)])
    if axes is None:
        raise node.refused("of all axes of size 1, the batch's perhaps")
    chosen = {_axis(axis, len(tensor.axes)) for axis in axes}
    if any(tensor.axes[axis] for axis in chosen):
        raise node.refused(f"of axes {axes} of {_said(tensor.axes)}")
    return Tensor(tensor.place, tuple(a for k, a in enumerate(tensor.axes) if k not in chosen))


@_rule("Unsqueeze")
def _unsqueeze(node: _Node) -> Tensor:
    tensor = node.tensor()
    axes = named_axes(node.attributes, [None, node.array(1)]) or []
    rank = len(tensor.axes) + len(axes)
    chosen, left = {_axis(axis, rank) for axis in axes}, list(tensor.axes)
    if len(chosen) != len(axes) or rank > 16:
        raise node.refused(f"with axes={axes}")
    return Tensor(tensor.place, tuple(() if k in chosen else left.pop(0) for k in range(rank)))


@_rule("Expand")
def _expand(node: _Node) -> Tensor:
    """Only to what it is already."""
    tensor, shape = node.tensor(), node.array(1)
    given = [laid.size(axis) for axis in tensor.axes]
    wanted = list(shape.ravel()) if shape is not None else []
    wanted = [*[1] * (len(given) - len(wanted)), *wanted]
    if len(wanted) != len(given) or any(
        m not in (1, n) for n, m in zip(given, wanted, strict=True)
    ):
        raise node.refused(f"to {printable(str(wanted))}")
    return tensor


@_rule("Shape")
def _shape(node: _Node) -> Constant:
    sizes = [laid.size(axis) for axis in node.tensor().axes]
    return Constant(sliced_shape(sizes, node.attributes))


@_rule("Flatten")
def _flatten(node: _Node) -> Tensor:
    tensor, axis = node.tensor(), node.get("axis", 1)
    axis = axis % len(tensor.axes) if axis < 0 else axis
    made = tuple(
        laid.joined([part for one in some for part in one])
        for some in (tensor.axes[:axis], tensor.axes[axis:])
    )
    return _settled(node, Tensor(tensor.place, made))


@_rule("Reshape")
def _reshape(node: _Node) -> Tensor:
    tensor, shape = node.tensor(), node.array(1)
    if shape is None or shape.ndim != 1 or len(shape) > 16:
        raise node.refused("to a shape that is not known")
    sizes: list[Size] = [one if isinstance(one, Batch) else int(one) for one in shape]
    if not node.get("allowzero", 0):
        sizes = [laid.size(tensor.axes[k]) if one == 0 else one for k, one in enumerate(sizes)]
    for wanted in _meant(node, tensor, sizes):
        made = laid.reshaped(tensor.axes, wanted)
        if made is not None:
            return _settled(node, Tensor(tensor.place, made))
    said = ", ".join(map(str, sizes))
    raise node.refused(f"of axes {_said(tensor.axes)} to ({said})")


def _meant(node: _Node, tensor: Tensor, sizes: Sequence[Size]) -> Iterator[list[Size]]:
    """What sizes may mean: where the batch is, and what −1 stands for."""
    total = math.prod(node.shape(tensor.place))
    free = [k for k, one in enumerate(sizes) if one == -1]
    if len(free) > 1 or any(isinstance(one, int) and one < 1 and one != -1 for one in sizes):
        return
    known = math.prod(one for one in sizes if not isinstance(one, Batch) and one != -1)
    if free and BATCH not in sizes and known == total:
        yield [BATCH if one == -1 else one for one in sizes]
    sizes = list(sizes)
    if BATCH not in sizes:
        if not sizes or node.reader.batch is None or sizes[0] != node.reader.batch:
            return
        known //= node.reader.batch
        sizes[0] = BATCH
    if free:
        if known < 1 or total % known:
            return
        sizes[free[0]] = total // known
    elif known != total:
        return
    yield sizes


def _settled(node: _Node, tensor: Tensor) -> Tensor:
    """A tensor whose axes are divided no more, where an op of ours does that.

    Channels that were split, moved and joined again are shuffled, or blocks of pixels. A vector of
    an image's pixels is one of ours; its entries may lie in another order.
    """
    shape = node.shape(tensor.place)
    if len(shape) != 3:
        return tensor
    if len(tensor.axes) == 2 and tensor.axes[0] == N and shape[:2] != (1, 1):
        place = node.add("flatten", [tensor.place])
        return Tensor(place, (N, laid.flat(tensor.axes[1], shape)))
    if len(tensor.axes) != 4:
        return tensor
    channels, usual = shape[-1], laid.of_shape(shape)
    for group in {part.size for axis in tensor.axes for part in axis if part.letter == "c"}:
        if group in (1, channels):
            continue
        each = channels // group
        split = (Part("c", group, 1), Part("c", each, group))
        if order := laid.letters(tensor.axes, {**usual, "c": split}):
            place = node.add("channel_shuffle", [tensor.place], groups=each)
            return Tensor(place, laid.with_sizes(order, shape))
    return next(_blocks_meant(node, tensor, shape), tensor)


def _blocks_meant(node: _Node, tensor: Tensor, shape: Shape) -> Iterator[Tensor]:
    """Blocks of pixels that axes tell of."""
    height, width, channels = shape
    usual = laid.of_shape(shape)
    parts = [part for axis in tensor.axes for part in axis]
    for b in sorted({part.size for part in parts}):
        if b < 2:
            continue
        if channels % b**2 == 0:
            c = channels // b**2
            for mode, (i, j, k) in {"DCR": (b * c, c, 1), "CRD": (b, 1, b * b)}.items():
                axes = {
                    "h": laid.joined([*usual["h"], Part("c", b, i)]),
                    "w": laid.joined([*usual["w"], Part("c", b, j)]),
                    "c": (Part("c", c, k),) if c > 1 else (),
                }
                if order := laid.letters(tensor.axes, axes):
                    yield _moved(node, tensor.place, order, True, b, mode)
        if height % b == width % b == 0:
            block = [Part("h", b), Part("w", b)]
            for mode in ("DCR", "CRD"):
                inner = [*block, *usual["c"]] if mode == "DCR" else [*usual["c"], *block]
                axes = {
                    "h": (Part("h", height // b, b),) if height > b else (),
                    "w": (Part("w", width // b, b),) if width > b else (),
                    "c": laid.joined(inner),
                }
                if order := laid.letters(tensor.axes, axes):
                    yield _moved(node, tensor.place, order, False, b, mode)
