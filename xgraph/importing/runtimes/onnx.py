"""ONNX models, by the reference implementation that ONNX brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from xgraph.importing.digits import shortened
from xgraph.importing.network import Array, Refused
from xgraph.importing.readers.onnx import order_of_images
from xgraph.importing.readers.onnx_node import held_constants
from xgraph.importing.runtimes.base import Passed, TrainingOf

_TYPES = {"float64": onnx.TensorProto.DOUBLE, "float32": onnx.TensorProto.FLOAT}


class LRN(OpRun):
    """Local response normalization as the operator's page has it.

    That of onnx to 1.23 goes over as many channels as there are images (onnx #7805).
    """

    op_domain = ""

    def _run(
        self,
        x: Array,
        alpha: float = 1e-4,
        beta: float = 0.75,
        bias: float = 1.0,
        size: int = 1,
    ) -> tuple[Array]:
        before = (size - 1) // 2
        around = [(0, 0), (before, size - 1 - before)] + [(0, 0)] * (x.ndim - 2)
        squares = np.pad(x * x, around)
        channels = x.shape[1]
        near = sum(squares[:, k : k + channels] for k in range(size))
        return ((x / (bias + alpha / size * near) ** beta).astype(x.dtype),)


class OnnxRuntime:
    """A copy of a model whose float32 is another type; it is evaluated and cannot be trained.

    In float64 its attributes, such as epsilon, are what they were before a file made them float32.
    """

    trains = False
    rounding = 0.0
    tells_dropped = False
    drew = False
    casts = False

    def __init__(self, model: onnx.ModelProto, dtype: str = "float64") -> None:
        self.dropped: list[tuple[str, float]] = []
        self.beside: list[str] = []
        self.dtype = dtype
        self.axes = tuple("nhwc".index(letter) for letter in order_of_images(model))
        self.model = type(model)()
        self.model.CopyFrom(model)
        graph = self.model.graph
        held = {name: one.array for name, one in held_constants(graph).items()}
        (self.input,) = (one for one in graph.input if one.name not in held)
        nodes = [node for node in graph.node if held.keys().isdisjoint(node.output)]
        del graph.initializer[:], graph.node[:], graph.value_info[:]
        graph.node.extend(nodes)
        for name, array in held.items():
            made = array.astype(dtype) if array.dtype == np.float32 else array
            graph.initializer.append(onnx.numpy_helper.from_array(made, name))
        _retype(graph, _TYPES[dtype])

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        for tensor in self.model.graph.initializer:
            if tensor.name in arrays:
                made = arrays[tensor.name].astype(self.dtype)
                tensor.CopyFrom(onnx.numpy_helper.from_array(made, tensor.name))

    def arrays(self) -> dict[str, Array]:
        held = self.model.graph.initializer
        return {one.name: onnx.numpy_helper.to_array(one) for one in held}

    def run(self, images: Array) -> list[Array]:
        images = images.astype(self.dtype).transpose(self.axes)
        fixed = self.input.type.tensor_type.shape.dim[0].dim_value or len(images)
        if len(images) % fixed:
            raise Refused(f"the model takes {fixed} images at a time")
        session = ReferenceEvaluator(self.model, new_ops=[LRN])
        if self.dtype == "float64":
            _unround(session)
        parts = [
            session.run(None, {self.input.name: images[k : k + fixed]})
            for k in range(0, len(images), fixed)
        ]
        return [_last(np.concatenate(one)) for one in zip(*parts, strict=True)]

    def passed(self, images: Array, along: Sequence[Array | None], logs: Sequence[bool]) -> Passed:
        raise Refused("an ONNX model is not trained")

    def values(self, images: Array, training: bool) -> dict[str, Array]:
        return {}  # nodes need no names

    def train(self, training: TrainingOf, batches: Iterable[tuple[Array, Array]]) -> None:
        raise Refused("an ONNX model is not trained")


def _last(value: Array) -> Array:
    return value.transpose(0, 2, 3, 1) if value.ndim == 4 else value


def _unround(session: ReferenceEvaluator) -> None:
    """Attributes with the digits that they were written with; files have no other than float32."""
    for node in session.rt_nodes_:
        for name in node.attributes_names_:
            value = getattr(node, name)
            if isinstance(value, np.float32):
                setattr(node, name, shortened(float(value)))


def _retype(graph: Any, kind: int) -> None:
    """What a graph says of float32, of this type."""
    single = onnx.TensorProto.FLOAT
    for told in (*graph.input, *graph.output):
        if told.type.tensor_type.elem_type == single:
            told.type.tensor_type.elem_type = kind
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == single:
                array = onnx.numpy_helper.to_array(attribute.t)
                made = array.astype(onnx.helper.tensor_dtype_to_np_dtype(kind))
                attribute.t.CopyFrom(onnx.numpy_helper.from_array(made))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == single:
                attribute.i = kind
