"""What ONNX's operators mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xgraph.diagnostics import printable
from xgraph.importing import axes as laid
from xgraph.importing.axes import BATCH, Axes, Blocks, Size
from xgraph.importing.network import Layer, Shape
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Table, Tensor
from xgraph.importing.readers.onnx_constants import FLOATS, integers, sliced_shape, slices
from xgraph.importing.readers.onnx_node import Begun, Constant, Node, Value
from xgraph.ops.rescale import Rescale

_LARGEST_FLOAT = 3.4e38

OPS: Table[Callable[[Node], Value | tuple[Tensor, ...]]] = Table()


# -- windows --------------------------------------------------------------------------------------


def _window(node: Node, kernel: Sequence[int], shape: Shape) -> dict[str, Any]:
    """A window on an image (H, W, C); `SAME_LOWER` is explicit for that size."""
    pads, auto = node.get("pads", [0, 0, 0, 0]), node.get("auto_pad", "NOTSET")
    if len(kernel) != 2 or len(pads) != 4:
        raise node.refused(f"with a kernel of {len(kernel)} axes; images have two")
    node.only(kernel_shape=list(kernel))
    stride, dilation = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    padding: Any = {"SAME_UPPER": "same", "VALID": "valid"}.get(auto)
    if auto == "NOTSET":
        padding = [pads[::2], pads[1::2]]
    elif auto == "SAME_LOWER":
        totals = [
            max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
            for n, s, k, d in zip(shape[:2], stride, kernel, dilation, strict=True)
        ]
        padding = [[total - total // 2, total // 2] for total in totals]
    elif padding is None:
        raise node.refused(f"with auto_pad={printable(str(auto))}")
    return {"stride": stride, "dilation": dilation, "padding": padding}


@OPS.of("Conv")
def _conv(node: Node) -> Tensor:
    tensor, kernel = node.tensor(), node.held(1, "kernel")
    window = _window(node, kernel.form[2:], node.first(tensor))
    given = {"filters": kernel.form[0], "groups": node.get("group", 1)}
    return shared.conv(node, "conv", tensor, kernel, node.vector(2, "bias", 0), **given, **window)


@OPS.of("ConvTranspose")
def _conv_transpose(node: Node) -> Tensor:
    tensor, kernel = node.tensor(), node.held(1, "kernel")
    node.only(group=1, dilations=[1, 1], output_shape=None)
    if node.get("auto_pad") == "SAME_LOWER":
        raise node.refused("with auto_pad=SAME_LOWER")
    window = _window(node, kernel.form[2:], node.first(tensor))
    del window["dilation"]
    given = {"filters": kernel.form[1], "output_padding": node.get("output_padding")}
    bias = node.vector(2, "bias", 0)
    return shared.conv(node, "conv_transpose", tensor, kernel, bias, **given, **window)


@OPS.of("MaxPool", "AveragePool")
def _pool(node: Node) -> Tensor:
    tensor, kernel = node.tensor(), node.get("kernel_shape", [])
    node.only(dilations=[1, 1])
    window = _window(node, kernel, node.first(tensor))
    window |= {"kernel": kernel, "ceil_mode": bool(node.get("ceil_mode", 0))}
    del window["dilation"]
    if node.said == "MaxPool":
        return node.image("max_pool", tensor, **window)
    counted = bool(node.get("count_include_pad", 0))
    return node.image("avg_pool", tensor, count_include_pad=counted, **window)


def _whole_pool(node: Node) -> str:
    return "global_max_pool" if "Max" in node.said else "global_avg_pool"


@OPS.of("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(node: Node) -> Tensor:
    return node.image(_whole_pool(node), node.tensor(), keep_dims=True)


@OPS.of("ReduceMean", "ReduceMax")
def _reduce(node: Node) -> Tensor:
    axes, kept = node.integers(1, "axes"), bool(node.get("keepdims", 1))
    return shared.pool_all(node, _whole_pool(node), node.tensor(), axes or [], kept=kept)


@OPS.of("Pad")
def _pad(node: Node) -> Tensor:
    tensor, mode = node.tensor(), node.get("mode", "constant")
    pads = node.integers(1, "pads") or []
    if mode != "constant" or node.number(2, "value", 0.0) != 0 or min(pads) < 0:
        raise node.refused(f"with mode={printable(str(mode))} and pads={pads}; zeros are added")
    named = node.array(3)
    axes = range(len(tensor.axes)) if named is None else integers(named)
    sides = zip(pads[: len(axes)], pads[len(axes) :], strict=True)
    return shared.zero_pad(node, tensor, dict(zip(axes, sides, strict=True)))


@OPS.of("Resize", "Upsample")
def _resize(node: Node) -> Tensor:
    """Any way to say which pixels are read, if they are those that `resize` reads."""
    tensor, order = node.tensor(), node.order(node.tensor())
    given = [laid.size(axis) for axis in tensor.axes]
    axes = [node.axis(tensor, axis) for axis in node.get("axes", range(len(given)))]
    old = node.said == "Upsample" or len(node.inputs) == 2
    scales = node.get("scales") if old and len(node.inputs) < 2 else node.array(1 if old else 2)
    if scales is not None and np.size(scales):
        wanted = [
            given[axis] if factor == 1 else given[axis] * factor
            for axis, factor in zip(axes, np.asarray(scales).ravel().tolist(), strict=True)
        ]
        if any(one is not BATCH and one != math.floor(one) for one in wanted):
            raise node.refused("with a scale that does not give whole pixels")
    else:
        node.only(keep_aspect_ratio_policy="stretch")
        said = node.array(3)
        if said is None:
            raise node.refused("with neither scales nor sizes")
        wanted = list(said.ravel())
    sizes = dict(zip(order, given, strict=True))
    made = {**sizes, **{order[axis]: n for axis, n in zip(axes, wanted, strict=True)}}
    if made["c"] != sizes["c"] or made["n"] not in (BATCH, node.reader.fixed):
        raise node.refused("of the batch or the channels")
    pairs = [(int(sizes[letter]), int(made[letter])) for letter in "hw"]
    method = _method(node, node.get("mode", "nearest"), pairs)
    return shared.resized(node, tensor, [m for _, m in pairs], method)


#: Which of n pixels are read for each of m, before rounding.
_PLACES: dict[str, Callable[[Any, int, int], Any]] = {
    "half_pixel": lambda i, n, m: (i + 0.5) * n / m - 0.5,
    "pytorch_half_pixel": lambda i, n, m: (i + 0.5) * n / m - 0.5 if m > 1 else 0 * i,
    "asymmetric": lambda i, n, m: i * n / m,
    "align_corners": lambda i, n, m: i * (n - 1) / max(m - 1, 1),
}
_ROUNDED: dict[str, Callable[[Any], Any]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda place: np.ceil(place - 0.5),
    "round_prefer_ceil": lambda place: np.floor(place + 0.5),
}


def _method(node: Node, mode: str, pairs: Sequence[tuple[int, int]]) -> str:
    """How `resize` does the same, of n pixels for m of them; refused where it reads others."""
    where = node.get("coordinate_transformation_mode", "half_pixel")
    rounding = node.get("nearest_mode", "round_prefer_floor")
    if node.said == "Upsample" or node.reader.opset < 11:
        where, rounding = "asymmetric", "floor"
    if max(m for _, m in pairs) > 1 << 16:
        raise node.refused(f"to {pairs[0][1]}×{pairs[1][1]} pixels")
    if mode == "nearest" and where in _PLACES and rounding in _ROUNDED:
        read = [
            _ROUNDED[rounding](_PLACES[where](np.arange(m), n, m)).clip(0, n - 1).tolist()
            for n, m in pairs
        ]
        if read == [shared.nearest(n, m) for n, m in pairs]:
            return "nearest"
    half = where == "half_pixel" or (where == "pytorch_half_pixel" and all(m > 1 for _, m in pairs))
    shrinks = bool(node.get("antialias")) and any(m < n for n, m in pairs)
    if mode == "linear" and not shrinks and (half or all(n == m for n, m in pairs)):
        return "bilinear"
    words = {"mode": mode, "coordinate_transformation_mode": where, "nearest_mode": rounding}
    said = ", ".join(f"{word}={printable(str(value))}" for word, value in words.items())
    raise node.refused(f"with {said}: other pixels, or other places between them")


@OPS.of("DepthToSpace", "SpaceToDepth")
def _blocks(node: Node) -> Tensor:
    tensor, mode = node.tensor(), node.get("mode", "DCR")
    if mode not in ("DCR", "CRD"):
        raise node.refused(f"with mode={printable(str(mode))}")
    node.first(tensor)
    found = Blocks(node.get("blocksize", 0), node.said == "DepthToSpace", mode == "CRD")
    return node.reader.blocks(node.name, tensor.place, found)


# -- layers with weights --------------------------------------------------------------------------


@OPS.of("Gemm")
def _gemm(node: Node) -> Tensor:
    node.only(alpha=1.0, beta=1.0, transA=0)
    kernel = node.held(1, "kernel")
    if node.get("transB"):
        kernel = kernel.transposed(1, 0)
    return shared.linear(node, node.tensor(), kernel, node.vector(2, "bias", 0))


@OPS.of("MatMul")
def _matmul(node: Node) -> Value:
    """With a weight, or of two tensors, as in attention."""
    scores = node.value(0)
    if not isinstance(node.value(1), Constant):
        one = scores if isinstance(scores, Scores) else node.raw()
        if isinstance(one, Tensor):
            node.reader.begun.update((one.place, node.raw(1).place))
        return attention.matmul(node, one, node.raw(1))
    return shared.linear(node, node.tensor(), node.held(1, "kernel"))


@OPS.of("BatchNormalization")
def _batch_norm(node: Node) -> Tensor:
    node.only(training_mode=0, spatial=1)
    vectors = {"moving_mean": node.held(3, "mean"), "moving_variance": node.held(4, "variance")}
    given = {"epsilon": node.get("epsilon", 1e-5), "momentum": node.get("momentum", 0.9)}
    vectors |= node.learned()  # type: ignore[arg-type]  # of which some may be left out
    return shared.norm(node, "batch_norm", node.tensor(), 1, vectors, **given)


@OPS.of("LayerNormalization", "RMSNormalization")
def _layer_norm(node: Node) -> Tensor:
    tensor, epsilon = node.tensor(), node.get("epsilon", 1e-5)
    axis = _to_the_last(node, tensor, node.get("axis", -1))
    kind = "rms_norm" if node.said == "RMSNormalization" else "layer_norm"
    return shared.norm(node, kind, tensor, axis, node.learned(), epsilon=epsilon)


def _to_the_last(node: Node, tensor: Tensor, axis: int) -> int:
    """An axis of operators over it and all that follow, which must be of size 1."""
    axis = node.axis(tensor, axis)
    if any(tensor.axes[axis + 1 :]):
        raise node.refused(f"over axes {axis} to the last of {laid.said(tensor.axes)}")
    return axis


@OPS.of("GroupNormalization", "InstanceNormalization")
def _group_norm(node: Node) -> Tensor:
    """Until opset 21 there was a scale for each group. Of an instance each channel is a group."""
    tensor, channels = node.tensor(), node.shape(node.tensor().place)[-1]
    given = {"epsilon": node.get("epsilon", 1e-5), "groups": node.get("num_groups", channels)}
    plain = all(np.all(node.array(k) == usual) for k, usual in ((1, 1), (2, 0)))
    if node.said == "InstanceNormalization" and len(tensor.axes) == 3 and plain:
        # Channels in groups: a group norm, of which what is learned comes after it.
        given["groups"] = groups = laid.size(tensor.axes[1])
        if tensor.axes[:2] != (laid.whole("n", BATCH), laid.whole("c", groups, channels // groups)):
            raise node.refused(f"of axes {laid.said(tensor.axes)}")
        return node.pointwise("group_norm", tensor, scale=False, center=False, **given)
    axis = node.over_channels(tensor, 1, ordered=True)
    return shared.norm(node, "group_norm", tensor, axis, node.learned(), **given)


@OPS.of("LRN")
def _local_response_norm(node: Node) -> Tensor:
    given = {"alpha": node.get("alpha", 1e-4), "beta": node.get("beta", 0.75)}
    given |= {"size": node.get("size"), "k": node.get("bias", 1.0)}
    return node.image("local_response_norm", node.tensor(), **given)


@OPS.of("PRelu")
def _prelu(node: Node) -> Tensor:
    held = node.held(1, "slope")
    return shared.learned(node, "prelu", node.tensor(), held.form, "alpha", held, "slope")


# -- of each number by itself ---------------------------------------------------------------------

#: Ops of ours, and their attributes: what ONNX calls them, and what they are by default.
_POINTWISE: dict[str, tuple[str, dict[str, tuple[str, float]]]] = {
    "Elu": ("elu", {"alpha": ("alpha", 1.0)}),
    "HardSwish": ("hard_swish", {}),
    "LeakyRelu": ("leaky_relu", {"negative_slope": ("alpha", 0.01)}),
    "Mish": ("mish", {}),
    "Relu": ("relu", {}),
    "Sigmoid": ("sigmoid", {}),
}


@OPS.of(*_POINTWISE)
def _pointwise(node: Node) -> Tensor:
    kind, words = _POINTWISE[node.said]
    return node.pointwise(kind, node.tensor(), **{ours: node.get(*w) for ours, w in words.items()})


@OPS.of("HardSigmoid")
def _hard_sigmoid(node: Node) -> Tensor:
    """Files keep a sixth in float32."""
    slope, offset = node.get("alpha", 0.2), node.get("beta", 0.5)
    slope = 1 / 6 if math.isclose(slope, 1 / 6, rel_tol=1e-6) else slope
    return node.pointwise("hard_sigmoid", node.tensor(), slope=slope, offset=offset)


@OPS.of("Gelu")
def _gelu(node: Node) -> Tensor:
    approximate = node.get("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise node.refused(f"with approximate={printable(str(approximate))}")
    given = {"approximation": "tanh" if approximate == "tanh" else "exact"}
    return node.pointwise("gelu", node.tensor(), **given)


@OPS.of("Swish")
def _swish(node: Node) -> Tensor:
    node.only(alpha=1.0)
    return node.pointwise("silu", node.tensor())


@OPS.of("Clip")
def _clip(node: Node) -> Tensor:
    low, high = node.number(1, "min"), node.number(2, "max")
    low = None if low is None or low <= -_LARGEST_FLOAT else low
    high = None if high is None or high >= _LARGEST_FLOAT else high
    return shared.clipped(node, node.tensor(), low, high)


@OPS.of("Softmax")
def _softmax(node: Node) -> Value:
    scores, axis = node.value(0), _axis_of_softmax(node)
    if isinstance(scores, Scores):
        return attention.normalized(node, scores, axis)
    return node.pointwise("softmax", _over_channels(node, axis))


@OPS.of("LogSoftmax")
def _log_softmax(node: Node) -> Value:
    return shared.log_softmax(node, _over_channels(node, _axis_of_softmax(node)))


@OPS.of("Log")
def _log(node: Node) -> Value:
    return shared.log(node, node.tensor())


def _axis_of_softmax(node: Node) -> int:
    axis: int = node.get("axis", 1 if node.reader.opset < 13 else -1)
    return axis


def _over_channels(node: Node, axis: int) -> Tensor:
    """What a softmax is of, over its channels. Until opset 13, over an axis and all that follow."""
    tensor, old = node.tensor(), node.reader.opset < 13
    node.over_channels(tensor, _to_the_last(node, tensor, axis) if old else axis, ordered=True)
    return tensor


@OPS.of("Dropout")
def _dropout(node: Node) -> Value:
    training, scores = node.array(2), node.value(0)
    if training is not None and bool(training.reshape(())):
        raise node.refused("with training_mode=true, a random mask")
    if isinstance(scores, Scores):
        return scores
    return node.pointwise("dropout", node.tensor(), rate=node.number(1, "ratio", 0.5))


@OPS.of("Identity", "CastLike")
def _same(node: Node) -> Value:
    value = node.value(0)
    return node.raw() if value is None else value


@OPS.of("Cast")
def _cast(node: Node) -> Tensor:
    if node.get("to") not in FLOATS:
        raise node.refused("to what are no floating-point numbers")
    return node.raw()


# -- activations that are written out -------------------------------------------------------------


@OPS.of("Erf")
def _erf(node: Node) -> Begun:
    """A GELU begins: x · 1/2 · (1 + erf(x / √2))."""
    tensor = node.tensor()
    layer = node.reader.builder.layers[tensor.place]
    if not math.isclose(_factor(layer), math.sqrt(0.5), rel_tol=1e-6):
        raise node.refused("of what is not x / √2, as in a GELU")
    return _begun(node, "erf(x/√2)", Tensor(layer.inputs[0], tensor.axes))


@OPS.of("Softplus")
def _softplus(node: Node) -> Begun:
    """A Mish begins: x · tanh(softplus(x))."""
    return _begun(node, "softplus(x)", node.tensor())


@OPS.of("Tanh")
def _tanh(node: Node) -> Value:
    value = node.value(0)
    if isinstance(value, Begun) and value.said == "softplus(x)":
        return replace(value, said=f"tanh({value.said})")
    return node.pointwise("tanh", node.tensor())


def _begun(node: Node, said: str, x: Tensor) -> Begun:
    node.reader.begun.add(x.place)
    return Begun(said, x)


def _factor(layer: Layer) -> float:
    """The number that a layer multiplies by, if that is all it does, else 0."""
    made = layer.op
    plain = isinstance(made, Rescale) and not made.offset and isinstance(made.scale, float)
    return made.scale if plain else 0.0  # type: ignore[attr-defined]  # looked at


def _continued(node: Node, begun: Begun, other: Value | None) -> Value:
    """What is begun, plus, times or divided by something."""
    number = other.array if isinstance(other, Constant) and other.array.size == 1 else None
    if node.said == "Add" and begun == Begun("erf(x/√2)", begun.x) and number == 1:
        return replace(begun, said="1 + erf(x/√2)")
    if node.said in ("Mul", "Div") and number is not None:
        factor = float(number.reshape(()))
        begun = replace(begun, factor=begun.factor * (1 / factor if node.said == "Div" else factor))
    elif (
        node.said == "Mul"
        and isinstance(other, Tensor)
        and begun.said in ("1 + erf(x/√2)", "tanh(softplus(x))")
    ):
        other, factor = node.reader.settled(node.name, other), 1.0
        if other != begun.x:
            layer = node.reader.builder.layers[other.place]
            factor, other = _factor(layer), Tensor((*layer.inputs, -1)[0], other.axes)
        if other != begun.x or not factor:
            raise node.refused(f"of {begun.said} and something else than x")
        begun = replace(begun, said=f"x · ({begun.said})", factor=begun.factor * factor)
    else:
        raise node.refused(f"of {begun.said}, of which alone no op is ours")
    if begun.said == "x · (1 + erf(x/√2))" and math.isclose(begun.factor, 0.5, rel_tol=1e-6):
        return node.pointwise("gelu", begun.x)
    if begun.said == "x · (tanh(softplus(x)))" and begun.factor == 1:
        return node.pointwise("mish", begun.x)
    return begun


# -- sums and products ----------------------------------------------------------------------------

_MERGES = {
    "Add": "add", "Div": "divide", "Max": "maximum", "Mean": "average", "Mul": "multiply",
    "Sub": "subtract", "Sum": "add",
}  # fmt: skip


@OPS.of(*_MERGES)
def _merge(node: Node) -> Value:
    values, kind = list(node.inputs), _MERGES[node.said]
    if len(values) == 2:
        for k, (value, other) in enumerate((values, values[::-1])):
            if isinstance(value, Begun) and not (k and node.said == "Div"):
                return _continued(node, value, other)
            if isinstance(value, Scores) and not (k and node.said == "Div"):
                array = other.array if isinstance(other, Constant) else None
                number = array.item() if array is not None and array.size == 1 else None
                return attention.scaled(node, kind, value, number)
            if isinstance(value, Tensor) and isinstance(other, Constant):
                return _with_constant(node, kind, node.tensor(k), other, first=bool(k))
    tensors = node.tensors()
    if kind == "divide":
        raise node.refused("of two tensors")
    return tensors[0] if len(tensors) == 1 else shared.merged(node, kind, tensors)


def _with_constant(
    node: Node, kind: str, tensor: Tensor, constant: Constant, *, first: bool
) -> Tensor:
    """A factor that was trained is one; a bias is that of the layer before."""
    if kind in ("average", "maximum"):
        raise node.refused("of constants")
    held, shape = constant.held, constant.array.shape
    if kind == "add" and held is not None and sum(size > 1 for size in shape) > 1:
        return shared.embedded(node, tensor, shape, held)
    axis = shared.across(node, tensor, shape)
    if held is not None and (axis is not None or node.shape(tensor.place)[-1] == 1):
        lies = () if axis is None else tensor.axes[axis]
        vector = laid.in_order(held.reshaped(constant.array.size), lies)
        if shared.absorbed(node, kind, tensor.place, vector):
            return tensor
        trained = kind == "multiply" and axis is not None and constant.trained
        if trained and not _is_of_images(node, tensor.place):
            return shared.learned(node, "scale", tensor, shape, "gamma", held, "factor")
    return shared.with_constants(node, kind, tensor, constant.array, first=first)


def _is_of_images(node: Node, place: int) -> bool:
    """Whether it is the images, brought to another scale: what they are scaled by is constant."""
    layers = node.reader.builder.layers
    while isinstance(layers[place].op, Rescale):
        (place,) = layers[place].inputs
    return place == 0


# -- channels -------------------------------------------------------------------------------------


@OPS.of("Concat")
def _concat(node: Node) -> Tensor:
    return shared.concat(node, node.tensors(), node.get("axis"))


def _parts(node: Node, sizes: Sequence[int] | None) -> list[Tensor]:
    """Segments of an axis, of these sizes or all of one but the last."""
    tensor, count = node.tensor(), len(node.proto.output)
    axis = node.axis(tensor, node.get("axis", 0))
    n = laid.size(tensor.axes[axis])
    if n is BATCH:
        raise node.refused("of the batch")
    if sizes is None:
        each = -(-n // count)
        sizes = [each] * (count - 1) + [n - each * (count - 1)]
    if sum(sizes) != n or min(sizes) < 1:
        raise node.refused(f"of {n} entries into {printable(str(list(sizes)))}")
    return shared.split(node, tensor, axis, sizes)


@OPS.of("Split")
def _split(node: Node) -> tuple[Tensor, ...]:
    return tuple(_parts(node, node.integers(1, "split")))


@OPS.of("SplitToSequence")
def _split_to_sequence(node: Node) -> Value:
    given = node.array(1)
    if given is None:
        raise node.refused("into single channels")
    tensor, sizes = node.tensor(), integers(given)
    if given.ndim == 0:
        (each,), n = sizes, laid.size(tensor.axes[node.axis(tensor, node.get("axis", 0))])
        if n is BATCH or each < 1 or n // each > 4096:
            raise node.refused(f"into segments of {each} entries")
        sizes = [min(each, n - start) for start in range(0, n, each)]
    parts = _parts(node, sizes)
    node.reader.begun.update(one.place for one in parts)
    return parts


@OPS.of("SequenceAt")
def _sequence_at(node: Node) -> Tensor:
    sequence, at = node.value(0), node.array(1)
    if not isinstance(sequence, list) or at is None:
        raise node.refused("of what is no sequence of ours")
    return sequence[int(at.reshape(()))]


@OPS.of("Gather")
def _gather(node: Node) -> Tensor:
    """One entry of an axis."""
    value, chosen = node.raw(), node.array(1)
    axis = node.axis(value, node.get("axis", 0))
    n = laid.size(value.axes[axis])
    if chosen is None or chosen.size != 1 or n is BATCH or not -n <= int(chosen.reshape(())) < n:
        raise node.refused("of other than one entry of an axis")
    made = shared.entry(node, value, axis, int(chosen.reshape(())) % n)
    kept = ((),) * chosen.ndim
    return Tensor(made.place, (*made.axes[:axis], *kept, *made.axes[axis:]))


@OPS.of("Slice")
def _slice(node: Node) -> Tensor:
    """Of channels, or of height and width: a border is cut off."""
    tensor, parts = node.tensor(), {}
    given = [None, *(node.array(k) for k in range(1, 5))]
    for axis, start, stop, step in slices(node.attributes, given, len(tensor.axes)):
        n = laid.size(tensor.axes[axis])
        if n is BATCH and start == 0 and stop >= 2**31 - 1 and step == 1:
            continue
        if n is BATCH:
            raise node.refused("of the batch")
        low, high, _ = slice(start, stop).indices(n)
        if (low, high, step) == (0, n, 1):
            continue
        if step != 1 or high <= low:
            raise node.refused(f"from {start} to {stop} in steps of {step}")
        parts[axis] = low, high - low
    return shared.cut(node, tensor, parts)


# -- axes -----------------------------------------------------------------------------------------


def _viewed(node: Node, axes: Axes | None, said: Any) -> Tensor:
    tensor = node.raw()
    if axes is None or len(axes) > 16:
        raise node.refused(f"of axes {laid.said(tensor.axes)} to {printable(str(said))}")
    return Tensor(tensor.place, axes)


@OPS.of("Transpose")
def _transpose(node: Node) -> Tensor:
    axes = node.raw().axes
    perm = node.get("perm", list(range(len(axes))[::-1]))
    if sorted(perm) != list(range(len(axes))):
        raise node.refused(f"with perm={printable(str(perm))}")
    return _viewed(node, tuple(axes[axis] for axis in perm), perm)


@OPS.of("Squeeze")
def _squeeze(node: Node) -> Tensor:
    tensor, axes = node.raw(), node.integers(1, "axes")
    if axes is None:
        raise node.refused("of all axes of size 1, the batch's perhaps")
    chosen = {node.axis(tensor, axis) for axis in axes}
    left = [laid.size(axis) for k, axis in enumerate(tensor.axes) if k not in chosen]
    return _viewed(node, laid.reshaped(tensor.axes, left), left)


@OPS.of("Unsqueeze")
def _unsqueeze(node: Node) -> Tensor:
    tensor, axes = node.raw(), node.integers(1, "axes") or []
    made = [*tensor.axes, *[()] * len(axes)]
    chosen = {node.axis(Tensor(0, tuple(made)), axis) for axis in axes}
    if len(chosen) != len(axes):
        raise node.refused(f"with axes={axes}")
    left = iter(tensor.axes)
    return _viewed(node, tuple(() if k in chosen else next(left) for k in range(len(made))), axes)


def _sizes(array: Any) -> list[Size]:
    return [one if one is BATCH else int(one) for one in array.ravel()]


@OPS.of("Expand")
def _expand(node: Node) -> Tensor:
    tensor, shape = node.raw(), node.array(1)
    wanted = [] if shape is None else _sizes(shape)
    wanted = [*[1] * (len(tensor.axes) - len(wanted)), *wanted]
    return _viewed(node, laid.expanded(tensor.axes, wanted), wanted)


@OPS.of("Shape")
def _shape(node: Node) -> Constant:
    sizes = [laid.size(axis) for axis in node.raw().axes]
    return Constant(sliced_shape(sizes, node.attributes))


@OPS.of("Flatten")
def _flatten(node: Node) -> Tensor:
    axes = node.raw().axes
    at = node.get("axis", 1)
    made = (
        laid.joined([part for axis in some for part in axis]) for some in (axes[:at], axes[at:])
    )
    return _viewed(node, tuple(made), at)


@OPS.of("Reshape")
def _reshape(node: Node) -> Tensor:
    tensor, shape = node.raw(), node.array(1)
    if shape is None or shape.ndim != 1 or len(shape) > 16:
        raise node.refused("to a shape that is not known")
    sizes = _sizes(shape)
    if not node.get("allowzero", 0):
        sizes = [laid.size(tensor.axes[k]) if one == 0 else one for k, one in enumerate(sizes)]
    found = (laid.reshaped(tensor.axes, wanted) for wanted in _meant(node, tensor, sizes))
    axes = next((axes for axes in found if axes), None) or _in_the_batch(node, tensor, sizes)
    return _viewed(node, axes, sizes)


def _in_the_batch(node: Node, tensor: Tensor, sizes: list[Size]) -> Axes | None:
    """Axes where the first is the batch, whose size is fixed, and heads of attention."""
    fixed, total = node.reader.fixed, math.prod(node.shape(tensor.place))
    if fixed is None or len(sizes) < 2 or any(one is BATCH or one < 1 for one in sizes[1:]):
        return None
    heads, rest = divmod(total, math.prod(sizes[1:]))
    if rest or sizes[0] not in (-1, fixed * heads):
        return None
    axes = laid.reshaped(tensor.axes, [BATCH, heads, *sizes[1:]])
    return axes and (laid.joined([*axes[0], *axes[1]]), *axes[2:])


def _meant(node: Node, tensor: Tensor, sizes: list[Size]) -> Iterator[list[Size]]:
    """What sizes may mean: where the batch is, and what −1 stands for."""
    total = math.prod(node.shape(tensor.place))
    if sizes.count(-1) > 1 or any(one is not BATCH and one < 1 and one != -1 for one in sizes):
        return
    known = math.prod(one for one in sizes if one is not BATCH and one != -1)
    if BATCH not in sizes:
        if known == total and -1 in sizes:
            yield [BATCH if one == -1 else one for one in sizes]
        fixed = node.reader.fixed
        if not sizes or fixed is None or sizes[0] != fixed:
            return
        sizes, known = [BATCH, *sizes[1:]], known // fixed
    rest = total // known if total % known == 0 else 0
    if rest and (rest == 1 or -1 in sizes):
        yield [rest if one == -1 else one for one in sizes]
