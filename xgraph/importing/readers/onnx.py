"""ONNX models; onnx is needed, to read their protocol buffers.

ONNX's tensors have their channels second, whatever exporters make of it: axes are moved, split and
joined in any graph. A layout is what the operators say, never what sizes look like: the first
convolution says which axis of the images that are fed has the channels. Nothing is read but the
model that is given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from xgraph.diagnostics import printable
from xgraph.importing.network import Array, Builder, Network, Refused, Shape, without_unread
from xgraph.importing.readers.common import few
from xgraph.importing.readers.onnx_constants import FLOATS, FOLDS, TooMany, tidy
from xgraph.importing.readers.onnx_node import (
    DOMAINS,
    MALFORMED,
    Constant,
    Node,
    Value,
    Walk,
    held_constants,
)
from xgraph.importing.readers.onnx_ops import OPS

#: Broadcasting is as it is today since then.
_OLDEST = 7


def arrays(model: onnx.ModelProto) -> dict[str, Array]:
    """Initializers, the tensors of nodes Constant, and what stands for weights, by their names.

    Raises:
        Refused: one is malformed, or lies outside of the model.
    """
    return {name: constant.array for name, constant in held_constants(model.graph).items()}


def read(model: onnx.ModelProto, input_shape: Shape) -> Network:
    """The network of an ONNX model, for images of this shape (H, W, C).

    Raises:
        Refused: operators mean nothing here, all of which are named, or it is no model of images.
    """
    graph = model.graph
    opset = max((one.version for one in model.opset_import if one.domain in DOMAINS), default=0)
    if opset < _OLDEST:
        raise Refused(f"the model is of ONNX' opset {opset}; {_OLDEST} and later are read")
    if opset > (newest := onnx.defs.onnx_opset_version()):
        raise Refused(
            f"the model is of ONNX' opset {opset}; onnx {onnx.__version__} knows {newest}"
        )
    constants = held_constants(graph)
    fed = [one for one in graph.input if one.name not in constants]
    if len(fed) != 1:
        names = ", ".join(printable(one.name) for one in fed[:8]) or "none"
        raise Refused(f"the model has the inputs {names}; one is read, the images")
    nodes = _needed(graph)
    own = {one.name for one in model.functions if one.domain in DOMAINS}
    for node in nodes:
        if node.domain in DOMAINS and node.op_type in own:
            kind = printable(node.op_type)
            raise Refused(f"the model says itself what {kind} does; read are ONNX' own operators")
    walk = Walk(Builder(printable(graph.name) or "model", input_shape), opset, constants)
    for name in (*(n for node in nodes for n in node.input), *(o.name for o in graph.output)):
        walk.readers[name] = walk.readers.get(name, 0) + 1
    _feed(walk, fed[0], nodes)
    lines = [line for node in nodes for line in _place(walk, node)]
    if lines:
        raise Refused(*few(lines))
    told = {one.name: printable(one.name) for one in graph.output}
    ends = [(said, walk.output(said, walk.values.get(name))) for name, said in told.items()]
    return without_unread(walk.builder.network(ends))


def order_of_images(model: onnx.ModelProto) -> str:
    """How the axes of images lie in a model that can be read, such as "nchw"."""
    held = held_constants(model.graph)
    (fed,) = (one for one in model.graph.input if one.name not in held)
    return _order(_needed(model.graph), fed.name)


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


def _order(nodes: Sequence[onnx.NodeProto], name: str) -> str:
    """Which axes of what is fed are the batch, the channels, the height and the width."""
    seen = {name: (0, 1, 2, 3)}
    found = 0, 1, 2, 3
    for node in nodes:
        order = next((seen[one] for one in node.input if one in seen), None)
        if order is None or node.op_type in _OTHER_AXES:
            continue
        if node.op_type in _CHANNELS_SECOND:
            found = order
            break
        if node.op_type == "Transpose":
            perm = next((one.ints for one in node.attribute if one.name == "perm"), [3, 2, 1, 0])
            if sorted(perm) != [0, 1, 2, 3]:
                continue
            order = tuple(order[axis] for axis in perm)  # type: ignore[assignment]  # four
        seen.update(dict.fromkeys(node.output, order))
    return "".join("nchw"[found.index(axis)] for axis in range(4))


def _feed(walk: Walk, told: onnx.ValueInfoProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """The images, whose declared shape must be that of the network's."""
    name, kind = printable(told.name), told.type.tensor_type
    if kind.elem_type not in FLOATS:
        raise Refused(f"the input {name} is no tensor of floating-point numbers")
    dims = [one.dim_value if one.dim_value > 0 else None for one in kind.shape.dim]
    if len(dims) != 4:
        raise Refused(f"the input {name} has {len(dims)} axes; images have 4, the batch's too")
    order = _order(nodes, told.name)
    if order[0] != "n":
        raise Refused(f"the input {name} has its batch on axis {order.index('n')}, not the first")
    sizes = dict(zip("hwc", walk.shape(0), strict=True))
    expected = [sizes[letter] for letter in order[1:]]
    if any(n not in (None, m) for n, m in zip(dims[1:], expected, strict=True)):
        received, wanted = (", ".join(["N", *map(str, each)]) for each in (dims[1:], expected))
        raise Refused(f"the input {name} is of shape ({received}), not ({wanted})")
    walk.fixed = dims[0]
    walk.define(told.name, walk.lying(0, order))


def _place(walk: Walk, proto: onnx.NodeProto) -> list[str]:
    """Define a node's values; or lines that say why there are none."""
    if proto.domain in DOMAINS and (
        proto.op_type == "Constant"
        or (proto.op_type == "ConstantOfShape" and _is_filled(walk, proto))
    ):
        return []
    name = printable(proto.name or next(iter(proto.output), "") or proto.op_type)
    kind = printable(proto.op_type)
    missing = [one for one in proto.input if one and one not in walk.values]
    if missing:
        raise Refused(f"{name}: no node before it gives {printable(missing[0])}")
    for one in proto.input:
        walk.readers[one] -= 1
    made: list[Value] = []
    lines: list[str] = []
    try:
        foreign = proto.domain not in DOMAINS
        if foreign or (proto.op_type not in OPS and proto.op_type not in FOLDS):
            domain = f" of {printable(proto.domain)}" if foreign else ""
            raise Refused(f"{name}: no op of ours is ONNX' {kind}{domain}")
        inputs = [walk.values[one] if one else None for one in proto.input]
        if not any(one and value is None for one, value in zip(proto.input, inputs, strict=True)):
            made = _made(Node(walk, name, kind, proto, inputs))
    except Refused as refused:
        lines += refused.lines
    except TooMany as error:
        lines.append(f"{name}: {kind} {error}")
    except MALFORMED as error:
        said = printable(str(error)) or type(error).__name__
        lines.append(f"{name}: {kind} is not as ONNX has it: {said}")
    for k, output in enumerate(proto.output):
        if output:
            walk.define(output, made[k] if k < len(made) else None)
            if made and k >= len(made) and walk.readers.get(output):
                lines.append(f"{name}: {kind} is read for its output {k + 1}")
    return lines


def _is_filled(walk: Walk, proto: onnx.NodeProto) -> bool:
    """Whether what a node gives is a weight of the model already."""
    known = walk.values.get(next(iter(proto.output), ""))
    return isinstance(known, Constant) and known.filled


def _made(node: Node) -> list[Value]:
    """The values of a node that means something here."""
    if all(one is None or isinstance(one, Constant) for one in node.inputs):
        return [_folded(node)]
    if node.said not in OPS:
        raise node.refused("of images, not of constants")
    value = OPS[node.said](node)
    return list(value) if isinstance(value, tuple) else [value]


def _folded(node: Node) -> Constant:
    """What a node makes of constants; a weight that is only moved is still held."""
    if node.said not in FOLDS:
        raise node.refused("of constants alone")
    given = [one.array if isinstance(one, Constant) else None for one in node.inputs]
    with np.errstate(all="ignore"):
        array = tidy(FOLDS[node.said](node.attributes, given))
    first = node.value(0)
    if not isinstance(first, Constant) or first.held is None:
        return Constant(array)
    if node.said in ("Flatten", "Reshape", "Squeeze", "Unsqueeze"):
        held = first.held.reshaped(*array.shape)
    elif node.said == "Transpose":
        held = first.held.transposed(*node.get("perm", range(array.ndim)[::-1]))
    elif node.said in ("Cast", "CastLike", "Identity") and array.dtype.kind not in "biu":
        held = first.held
    else:
        return Constant(array)
    return Constant(array, held, first.trained)
