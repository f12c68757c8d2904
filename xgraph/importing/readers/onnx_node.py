"""A node of an ONNX graph in its place, and the constants of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from xgraph.diagnostics import printable
from xgraph.importing.network import Array, Builder, Held, Refused
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Call, Reader, Tensor
from xgraph.importing.readers.onnx_constants import integers

DOMAINS = ("", "ai.onnx")
#: What a malformed model makes Python, NumPy and onnx raise.
MALFORMED = (
    ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError, MemoryError,
)  # fmt: skip
#: Numbers of a weight that one number stands for.
_MOST_FILLED = 1 << 27


@dataclass(frozen=True)
class Constant:
    """Numbers that no image takes part in.

    Attributes:
        array: them.
        held: who holds them, and how they come to lie as they do; None of what is computed.
        trained: whether they are an initializer, or stand for one.
        filled: whether one number stands for them all.
    """

    array: Array
    held: Held | None = None
    trained: bool = False
    filled: bool = False


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
Value = Tensor | Constant | Begun | Scores | list[Tensor]


def held_constants(graph: onnx.GraphProto) -> dict[str, Constant]:
    """Initializers, the tensors of nodes Constant, and what stands for weights, by their names."""
    if graph.sparse_initializer:
        raise Refused("the model has sparse initializers; only dense ones are read")
    found = {}
    for tensor in graph.initializer:
        array = _array(tensor, tensor.name)
        found[tensor.name] = Constant(array, Held(tensor.name, array.shape), trained=True)
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in DOMAINS and len(node.output) == 1:
            name = node.output[0]
            array = _constant(node)
            found[name] = Constant(array, Held(name, array.shape))
    return {**found, **_stand_ins(graph, found)}


def _stand_ins(graph: onnx.GraphProto, held: Mapping[str, Constant]) -> dict[str, Constant]:
    """What nodes ConstantOfShape give, if kernels are among it.

    Such graphs are published in place of large files: one number fills each weight.
    """
    filled = {
        node.output[0]: node
        for node in graph.node
        if node.op_type == "ConstantOfShape" and node.input and node.output[:1] != [""]
    }
    kernels = [node.input[1] for node in graph.node if node.op_type == "Conv" and node.input[1:]]
    if filled.keys().isdisjoint(kernels):
        return {}
    found = {}
    for name, node in filled.items():
        shape = held.get(node.input[0])
        if name in held:
            raise Refused(f"{printable(name)}: two values have this name")
        if shape is not None and node.domain in DOMAINS:
            sizes = integers(shape.array) if shape.array.dtype.kind in "iu" else [-1]
            if math.prod(sizes) > _MOST_FILLED or min(sizes, default=1) < 0:
                raise Refused(f"{printable(name)}: ConstantOfShape of shape {tuple(sizes)}")
            numbers = [_array(one.t, name) for one in node.attribute if one.name == "value"]
            number = numbers[0].ravel()[:1] if numbers else np.zeros(1, "float32")
            if not number.size:
                raise Refused(f"{printable(name)}: ConstantOfShape without a number")
            array = np.broadcast_to(number[0], sizes)  # which takes no memory
            found[name] = Constant(array, Held(name, array.shape), trained=True, filled=True)
    return found


def _constant(node: onnx.NodeProto) -> Array:
    """What a node Constant says, in any of the ways that there are."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return _array(attribute.t, node.output[0])
        if attribute.name in ("value_float", "value_floats", "value_int", "value_ints"):
            dtype = np.float32 if "float" in attribute.name else np.int64
            return np.asarray(helper.get_attribute_value(attribute), dtype)
    raise Refused(f"{printable(node.output[0])}: Constant without numbers")


def _array(tensor: onnx.TensorProto, name: str) -> Array:
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
        raise Refused(f"{printable(name)}: its numbers lie in another file; load the model whole")
    try:
        array = np.asarray(numpy_helper.to_array(tensor))
        if array.shape != (*tensor.dims,):  # NumPy finds out what is below zero
            raise ValueError(array.shape)
    except MALFORMED:
        shape = f"its shape {tuple(tensor.dims)}"
        raise Refused(f"{printable(name)}: its numbers are not those of {shape}") from None
    if array.dtype.kind in "cOSU":
        raise Refused(f"{printable(name)}: complex numbers, or texts")
    return array


class Walk(Reader):
    """What is known of every value so far.

    Attributes:
        values: by names; None of a node that is refused.
        readers: how many nodes have yet to read a value, and outputs.
        begun: places that something reads that is no layer yet.
        fixed: the size of batches, where the model takes those of one size alone.
    """

    def __init__(self, builder: Builder, opset: int, constants: Mapping[str, Constant]) -> None:
        super().__init__(builder)
        self.opset = opset
        self.values: dict[str, Value | None] = dict(constants)
        self.readers: dict[str, int] = {}
        self.begun: set[int] = set()
        self.fixed: int | None = None
        self.names: dict[int, list[str]] = {}  # of values, by places

    def define(self, name: str, value: Value | None) -> None:
        if name in self.values:
            raise Refused(f"{printable(name)}: two values have this name")
        self.values[name] = value
        if isinstance(value, Tensor):
            self.names.setdefault(value.place, []).append(name)

    def is_read_no_more(self, place: int) -> bool:
        """Whether nothing reads a place but what reads it now."""
        read = any(place in layer.inputs for layer in self.builder.layers[place:])
        waited_for = any(self.readers.get(one) for one in self.names.get(place, ()))
        return not read and not waited_for and place not in self.begun


@dataclass(frozen=True)
class Node(Call):
    """A node that is called: its attributes and its inputs. What is `said` is its kind."""

    reader: Walk
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

    def get(self, word: str, otherwise: Any = None) -> Any:
        return self.attributes.get(word, otherwise)

    def only(self, **usual: Any) -> None:
        """Attributes that must be as they are usually."""
        for word, value in usual.items():
            given = self.get(word, value)
            if given != value:
                raise self.refused(f"with {word}={printable(str(given))}; read is {value}")

    # -- inputs -----------------------------------------------------------------------------------

    def value(self, k: int) -> Value | None:
        return self.inputs[k] if k < len(self.inputs) else None

    def raw(self, k: int = 0) -> Tensor:
        """A tensor with axes as they are."""
        value = self.value(k)
        if not isinstance(value, Tensor):
            begun = isinstance(value, Begun) and f"{value.said}, of which alone no op is ours"
            if isinstance(value, Scores):
                begun = "scores of attention, which are multiplied with values alone"
            raise self.refused(f"of {begun or 'what is no image and no vector of ours'}")
        return value

    def tensor(self, k: int = 0) -> Tensor:
        """The same, an image or a vector as it has four axes or two."""
        return self.reader.settled(self.name, self.raw(k))

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

    def integers(self, k: int, word: str) -> list[int] | None:
        """Integers, an attribute in older opsets."""
        array = self.array(k)
        return self.get(word) if array is None else integers(array)

    def held(self, k: int, word: str) -> Held:
        """A weight."""
        value = self.value(k)
        if not isinstance(value, Constant):
            raise self.refused(f"whose {word} is no constant")
        if value.held is None:
            raise self.refused(f"whose {word} is computed; no tensor of the model is it")
        return value.held

    def vector(self, k: int, word: str, usual: float) -> Held | None:
        """A weight; None where it is left out, or computed and as if it were."""
        value = self.value(k)
        if value is None:
            return None
        if isinstance(value, Constant) and value.held is None and (value.array == usual).all():
            return None
        held = self.held(k, word)
        return held.reshaped(math.prod(held.form))

    def learned(self) -> dict[str, Held | None]:
        """The two vectors of a normalization."""
        return {"gamma": self.vector(1, "gamma", 1), "beta": self.vector(2, "beta", 0)}
