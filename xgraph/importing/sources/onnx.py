"""ONNX models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xgraph.importing.network import Array, Network, Refused, Shape
from xgraph.importing.runtimes.base import Runtime
from xgraph.importing.sources.base import Source, needed, whole, wrong_kind

#: Since this version of the format, an initializer need not be an input too.
_OWN_INITIALIZERS = 4


class OnnxSource(Source):
    """A `.onnx` file. What it keeps in other files is not read."""

    tells_training = False

    def __init__(self, path: Path) -> None:
        self.title = path.name
        onnx = needed("onnx", self.title)
        try:
            self.model: Any = onnx.load(path, load_external_data=False)
        except Exception:  # protobuf's own, and whatever else a broken file brings
            raise Refused(f"{self.title} is not an ONNX model, or is cut off") from None
        if not self.model.HasField("graph"):  # an empty file is a message that says nothing
            raise Refused(f"{self.title} is not an ONNX model: there is no graph in it")
        if not _is_text(self.model):
            raise Refused(f"{self.title} is broken: it has names that are no UTF-8")

    def image_shape(self) -> Shape | None:
        held = {one.name for one in self.model.graph.initializer}
        fed = [one for one in self.model.graph.input if one.name not in held]
        if len(fed) != 1:
            return None
        sizes = [one.dim_value for one in fed[0].type.tensor_type.shape.dim][1:]
        # Images lie channels first, but for models that turn them around at once.
        last_first = len(sizes) == 3 and sizes[0] > 4 >= sizes[2]
        return whole(sizes if last_first else [*sizes[1:], *sizes[:1]])

    def network(self, input_shape: Shape) -> Network:
        from xgraph.importing.readers.onnx import read

        return read(self.model, input_shape)

    def arrays(self) -> Mapping[str, Array]:
        from xgraph.importing.readers.onnx import arrays

        return arrays(self.model)

    def runtime(self, dtype: str, input_shape: Shape) -> Runtime:
        from xgraph.importing.runtimes.onnx import OnnxRuntime

        return OnnxRuntime(self.model, dtype)

    def write(self, path: Path, arrays: Mapping[str, Array]) -> None:
        onnx = needed("onnx", self.title)
        if path.suffix != ".onnx":
            raise wrong_kind(path, self.title, (".onnx",))
        model = type(self.model)()
        model.CopyFrom(self.model)
        graph, before = model.graph, self.arrays()
        for tensor in graph.initializer:
            if tensor.name in arrays:
                made = arrays[tensor.name].astype(before[tensor.name].dtype)
                tensor.CopyFrom(onnx.numpy_helper.from_array(made, tensor.name))
        # What nodes gave, Constant for one, are tensors now.
        others = [node for node in graph.node if arrays.keys() & before.keys() & {*node.output}]
        for node in others:
            (name,) = node.output
            made = arrays[name].astype(before[name].dtype)
            graph.initializer.append(onnx.numpy_helper.from_array(made, name))
            graph.node.remove(node)
            if model.ir_version < _OWN_INITIALIZERS:
                kind = onnx.helper.np_dtype_to_tensor_dtype(made.dtype)
                graph.input.append(onnx.helper.make_tensor_value_info(name, kind, made.shape))
        onnx.save(model, path)


def _is_text(message: Any) -> bool:
    """Whether all strings of a message are some; protobuf gives bytes for what is no UTF-8."""
    for field, value in message.ListFields():
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if field.type == field.TYPE_STRING:
            if not all(isinstance(one, str) for one in several):
                return False
        elif field.type == field.TYPE_MESSAGE and not all(map(_is_text, several)):
            return False
    return True
