"""Which ONNX cases a spec can express, decided by rules over their attributes and shapes.

A rule is a function from a case to the specs that say the same, or an `Unmapped` that says why
there is none. Where a spec says it only for the size of the case, as explicit padding for
`ceil_mode`, or compares less than all of it, a remark says so.

ONNX's tensors have their channels second; here they come last. A tensor with one axis besides the
batch is a vector; one with more than three is folded to height and width where the operator does
not look at them.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx.defs
from onnx import helper

from xgraph import ops
from xgraph.diagnostics import fold
from xgraph.ops.base import Array
from xgraph.ops.pointwise import Pointwise

from .cases import Case, Suite, is_number

#: Units in the last place of ONNX's outputs, relative to their greatest: they are float32, and
#: every step that led to them is rounded to float32, while the programs compute in float64. 8 of
#: them are 1e-6. The longest sums here have 144 terms.
UNITS = 8
#: Channels that a recipe's images may have.
COLORS = (1, 3, 4)
#: These move and choose numbers without computing any, so nothing is rounded.
EXACT = frozenset({"concat", "depth_to_space", "dropout", "flatten", "global_max_pool", "identity",
                   "max_pool", "relu", "space_to_depth", "zero_pad"})  # fmt: skip


class Unmapped(Exception):  # its text is the reason
    """No spec says what the case says."""


@dataclass
class Mapped:
    """A spec that says what a case says, with everything that it takes to compare them.

    Attributes:
        op: the op under test, which is the node `op`.
        body: the spec's graph; its node `op`, or `result` where there is one, is compared.
        images: what the program is fed, (N, H, W, C).
        weights: by canonical name, in canonical layout.
        expected: ONNX's output in the layout of the program's.
        training: whether batch statistics are used and moving ones updated.
        updated: weights that training leaves behind.
        remark: what to know of the translation.
        exact: whether nothing may be rounded on the way.
    """

    op: str
    body: list[dict[str, Any]]
    images: Array
    weights: dict[str, Array]
    expected: Array
    training: bool = False
    updated: Mapping[str, Array] = field(default_factory=dict)
    remark: str = ""
    exact: bool = False

    @property
    def tolerance(self) -> float:
        """Greatest distance allowed, relative to the greatest number expected."""
        if self.exact:
            return 0.0
        expected = self.expected.astype("float64")
        if _is_written(self.expected):
            return 1e-4 / float(np.abs(expected).max())
        return UNITS * float(np.finfo(self.expected.dtype).eps)

    def spec(self) -> str:
        """The text of the spec; its second output is what is compared."""
        result = self.body[-1]["name"]
        body, logits = list(self.body), result
        if self.expected.ndim == 4:  # programs train on vectors
            body.append({"global_avg_pool": {}, "from": result, "name": "pooled"})
            logits = "pooled"
        spec = {
            "xgraph": 1,
            "name": "node",
            "input": {"shape": list(self.images.shape[1:])},
            "graph": body,
            "outputs": {"logits": logits, "value": {"from": result}},
        }
        return json.dumps(spec)


def _is_written(x: Array) -> bool:
    """Whether somebody wrote these numbers down with four decimals.

    They are half a unit off, and so are the inputs that they were computed from.
    """
    four, three = (np.array_equal(x, x.round(decimals)) for decimals in (4, 3))
    return four and not three


Rule = Callable[[Case], list[Mapped]]
#: The rule of each ONNX operator that is, for some attributes, an op of ours.
RULES: dict[str, Rule] = {}


def rule(*op_types: str) -> Callable[[Rule], Rule]:
    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(op_types, function))
        return function

    return register


def candidates(suite: Suite) -> list[Case]:
    """Cases of operators that have a rule."""
    return [case for case in suite.cases if case.op_type in RULES]


def translate(case: Case) -> list[Mapped]:
    """The specs that say what the case says.

    Raises:
        Unmapped: there is none.
    """
    return RULES[case.op_type](case)


# -------------------------------------------------------------------------------------- layouts
def _number(x: Any) -> Array:
    """A tensor of floating-point numbers."""
    if isinstance(x, list):
        raise Unmapped("a sequence or an optional, not a tensor")
    if not is_number(x):
        signed = "" if np.asarray(x).dtype.kind != "u" else "unsigned "
        raise Unmapped(f"{signed}integers: a spec computes with floating-point numbers")
    return x


def _channels_last(x: Array, axis: int = 1) -> Array:
    """(N, C) or (N, H, W, C): the axis of channels moved to the end, the first one left the batch.

    A single axis is a vector, a batch of one. A single spatial axis is a row of pixels; of more
    than two, all but the last are folded into the height.
    """
    x = _number(x)
    if x.ndim < 2:
        return x.reshape(1, -1)
    x = np.moveaxis(x, axis, -1)
    if x.ndim == 2:
        return x
    batch, *spatial, channels = x.shape
    return x.reshape(batch, math.prod(spatial[:-1]), spatial[-1], channels)


def _fed(x: Array) -> tuple[Array, list[dict[str, Any]], dict[str, Array], str]:
    """How x comes into a program: (images, nodes, their weights, the node that then has it).

    Programs take images of `COLORS` channels. A vector is a row of pixels, flattened. Where an
    image has another number of channels, they lie side by side in a wider image of one, and a
    convolution of 0s and 1s stacks them.
    """
    if x.ndim == 2:
        return x[:, None, :, None], [{"flatten": {}, "name": "vector"}], {}, "vector"
    *size, width, channels = x.shape
    if channels in COLORS:
        return x, [], {}, "input"
    window = [1, channels]
    stack = {"filters": channels, "kernel": window, "stride": window, "bias": False}
    kernel = np.eye(channels).reshape(1, channels, 1, channels)
    images = x.reshape(*size, width * channels, 1)
    return images, [{"conv": stack, "name": "stacked"}], {"stacked.kernel": kernel}, "stacked"


def _linear(
    name: str, source: str, vector: bool, kernel: Array, bias: Array | None = None
) -> tuple[dict[str, Any], dict[str, Array]]:
    """A layer that multiplies every pixel by a matrix: (its node, its weights)."""
    units = {"bias": bias is not None}
    if vector:
        node: dict[str, Any] = {"dense": {**units, "units": kernel.shape[1]}}
    else:
        node = {"conv": {**units, "filters": kernel.shape[1], "kernel": 1}}
        kernel = kernel[None, None]
    weights = {f"{name}.kernel": kernel}
    if bias is not None:
        weights[f"{name}.bias"] = bias
    return {**node, "from": source, "name": name}, weights


def _single(
    op: str,
    attributes: Mapping[str, Any],
    x: Array,
    expected: Array,
    weights: Mapping[str, Array] | None = None,
    **more: Any,
) -> Mapped:
    """An op applied to the input itself."""
    images, body, given, source = _fed(x)
    body.append({op: dict(attributes), "from": source, "name": "op"})
    named = given | {f"op.{name}": value for name, value in (weights or {}).items()}
    return Mapped(op, body, images, named, expected, exact=op in EXACT, **more)


def _scaled(
    op: str,
    attributes: Mapping[str, Any],
    x: Array,
    expected: Array,
    before: tuple[float, float],
    after: tuple[float, float],
) -> Mapped:
    """An op between layers that scale and shift every number, each by a (slope, shift).

    One that would do nothing is left out.
    """
    images, body, weights, source = _fed(x)
    scaled = before != (1, 0) or after != (1, 0)

    def scale(name: str, slope: float, shift: float, source: str) -> str:
        if (slope, shift) == (1, 0):
            return source
        size = x.shape[-1]
        bias = np.full(size, shift, "float64")
        node, own = _linear(name, source, x.ndim == 2, slope * np.eye(size), bias)
        body.append(node)
        weights.update(own)
        return name

    source = scale("scaled", *before, source)
    body.append({op: dict(attributes), "from": source, "name": "op"})
    scale("result", *after, "op")
    remark = "scaled and shifted by other layers" if scaled else ""
    exact = op in EXACT and not scaled
    return Mapped(op, body, images, weights, expected, exact=exact, remark=remark)


def _merged(op: str, xs: Sequence[Array], expected: Array, pooled: Sequence[bool] = ()) -> Mapped:
    """An op of several inputs, which are channels of one input that layers of 0s and 1s choose.

    What is `pooled` is the same in all pixels, and becomes a single one.
    """
    together = np.concatenate(xs, axis=-1)
    images, body, weights, source = _fed(together)
    vector = together.ndim == 2
    chosen, names = np.eye(together.shape[-1]), []
    for k, x in enumerate(xs):
        kernel, chosen = np.split(chosen, [x.shape[-1]], axis=1)
        node, own = _linear(f"given{k + 1}", source, vector, kernel)
        body.append(node)
        weights |= own
        if k < len(pooled) and pooled[k]:
            body.append({"global_max_pool": {"keep_dims": True}, "name": f"pixel{k + 1}"})
        names.append(body[-1]["name"])
    body.append({op: {}, "from": names, "name": "op"})
    return Mapped(op, body, images, weights, expected, exact=op in EXACT)


# ---------------------------------------------------------------------------------- activations
def _alike() -> dict[str, str]:
    """Operators that are an op of the same name and the same attributes, of every x by itself."""
    found = {}
    schemas = {fold(schema.name): schema for schema in onnx.defs.get_all_schemas()}
    for name in ops.names():
        schema = schemas.get(fold(name))
        if schema is None or not issubclass(ops.get(name), Pointwise):
            continue
        if len(schema.inputs) == 1 and set(schema.attributes) == set(_attributes(name)):
            found[schema.name] = name
    return found


def _attributes(op: str) -> list[str]:
    return [field.name for field in dataclasses.fields(ops.get(op))]


def _activation(case: Case, op: str, **attributes: Any) -> list[Mapped]:
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    return [_single(op, attributes, x, y)]


_ALIKE = _alike()


@rule(*_ALIKE)
def _same_name(case: Case) -> list[Mapped]:
    op = _ALIKE[case.op_type]
    defaults = onnx.defs.get_schema(case.op_type).attributes
    given = {
        name: case.attributes.get(name, helper.get_attribute_value(defaults[name].default_value))
        for name in _attributes(op)
    }
    return _activation(case, op, **given)


@rule("LeakyRelu")
def _leaky_relu(case: Case) -> list[Mapped]:
    return _activation(case, "leaky_relu", negative_slope=case.attributes.get("alpha", 0.01))


@rule("PRelu")
def _prelu(case: Case) -> list[Mapped]:
    """A slope for each channel, which are the axis along which it changes."""
    x, slope, y = case.inputs[0], case.inputs[1], case.outputs[0]
    if case.opset < 7 and slope.ndim == 1:  # before there was broadcasting
        slope = slope.reshape(-1, *(1,) * (x.ndim - 2))
    slope = slope.reshape((1,) * (x.ndim - slope.ndim) + slope.shape)
    axes = [axis for axis, size in enumerate(slope.shape) if size > 1] or [x.ndim - 1]
    if len(axes) > 1:
        raise Unmapped("a slope for each entry; prelu has one for each channel")
    alpha = np.broadcast_to(slope.reshape(-1), x.shape[axes[0]])
    x, y = (_channels_last(value, axes[0]) for value in (x, y))
    return [_single("prelu", {}, x, y, {"alpha": alpha})]


@rule("Gelu")
def _gelu(case: Case) -> list[Mapped]:
    approximation = case.attributes.get("approximate", "none")
    return _activation(case, "gelu", approximation="exact" if approximation == "none" else "tanh")


@rule("Swish")
def _swish(case: Case) -> list[Mapped]:
    if case.attributes.get("alpha", 1.0) != 1:
        raise Unmapped("alpha is not 1, as it is in silu")
    return _activation(case, "silu")


@rule("HardSigmoid")
def _hard_sigmoid(case: Case) -> list[Mapped]:
    slope, offset = case.attributes.get("alpha", 0.2), case.attributes.get("beta", 0.5)
    return _activation(case, "hard_sigmoid", slope=slope, offset=offset)


@rule("Clip")
def _clip(case: Case) -> list[Mapped]:
    """Two bounds are relu6 of another scale, one is relu, none is nothing."""
    low, high = (
        case.attributes.get(name) if given is None else float(given)
        for name, given in (("min", case.input(1)), ("max", case.input(2)))
    )
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    if low is None and high is None:
        return [_single("identity", {}, x, y)]
    if high is None:
        return [_scaled("relu", {}, x, y, (1, -low), (1, low))]
    if low is None:
        return [_scaled("relu", {}, x, y, (-1, high), (-1, high))]
    if low >= high:
        raise Unmapped("min is greater than max")
    slope = 6 / (high - low)
    return [_scaled("relu6", {}, x, y, (slope, -slope * low), (1 / slope, low))]


@rule("Softmax")
def _softmax(case: Case) -> list[Mapped]:
    x, y = case.inputs[0], case.outputs[0]
    axis = case.attributes.get("axis", -1 if case.opset >= 13 else 1)
    if case.opset < 13:  # over that axis and all that follow
        x, y = (value.reshape(math.prod(x.shape[:axis]), -1) for value in (x, y))
        axis = -1
    return [_single("softmax", {}, _channels_last(x, axis), _channels_last(y, axis))]


@rule("Dropout")
def _dropout(case: Case) -> list[Mapped]:
    ratio, training = case.input(1), case.input(2)
    rate = float(case.attributes.get("ratio", 0.5) if ratio is None else ratio)
    training = bool(training)
    if training and rate:
        raise Unmapped("a random mask, which every framework draws its own way")
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    remark = "the mask, a second output, is not compared" if len(case.outputs) > 1 else ""
    return [_single("dropout", {"rate": rate}, x, y, training=training, remark=remark)]


# -------------------------------------------------------------------------------------- merging
_MERGES = {
    "Add": "add",
    "Max": "maximum",
    "Mean": "average",
    "Mul": "multiply",
    "Sub": "subtract",
    "Sum": "add",
}


@rule(*_MERGES)
def _merge(case: Case) -> list[Mapped]:
    op = _MERGES[case.op_type]
    if len(case.inputs) == 1:
        raise Unmapped(f"a single input; {op} takes two or more")
    rank = max(np.ndim(x) for x in case.inputs)
    # The last axis is the channels: it is the one that a broadcast vector has.
    xs = [_channels_last(x.reshape((1,) * (rank - x.ndim) + x.shape), -1) for x in case.inputs]
    y = _channels_last(case.outputs[0], -1)
    pooled = [x.shape != y.shape for x in xs]
    pixels = all(x.shape[1:] == (1, 1, y.shape[-1]) for x, p in zip(xs, pooled, strict=True) if p)
    if any(pooled) and not (op == "multiply" and y.ndim == 4 and pixels):
        raise Unmapped(f"broadcast: {op} wants inputs of one shape")
    return [_merged(op, [np.broadcast_to(x, y.shape) for x in xs], y, pooled)]


@rule("Concat")
def _concat(case: Case) -> list[Mapped]:
    axis = case.attributes["axis"]
    xs = [_channels_last(x, axis) for x in case.inputs]
    return [_merged("concat", xs, _channels_last(case.outputs[0], axis))]


# ---------------------------------------------------------------------------------- dense layers
@rule("Flatten")
def _flatten(case: Case) -> list[Mapped]:
    """Row-major, so the tensor is taken as it lies, without moving its channels."""
    x, y = case.inputs[0], case.outputs[0]
    axis = case.attributes.get("axis", 1)
    if axis < 0:
        axis += x.ndim
    batch, rest = math.prod(x.shape[:axis]), (1, 1, 1, *x.shape[axis:])
    images = x.reshape(batch, math.prod(rest[:-2]), *rest[-2:])
    return [_single("flatten", {}, images, y)]


def _dense(rows: Array, kernel: Array, bias: Array | None, expected: Array) -> Mapped:
    weights = {"kernel": kernel} | ({} if bias is None else {"bias": bias})
    attributes = {"units": kernel.shape[1], "bias": bias is not None}
    return _single("dense", attributes, rows, expected, weights)


@rule("Gemm")
def _gemm(case: Case) -> list[Mapped]:
    """alpha · A · B + beta · C: the kernel is alpha · B, the bias beta · C."""
    a, b = (_number(x).astype("float64") for x in case.inputs[:2])
    rows = a.T if case.attributes.get("transA") else a
    kernel = (b.T if case.attributes.get("transB") else b) * case.attributes.get("alpha", 1.0)
    bias = case.input(2)
    if bias is not None:
        if bias.ndim == 2 and bias.shape[0] > 1:
            raise Unmapped("a bias for each row; dense has one for all")
        bias = np.broadcast_to(bias.reshape(-1), kernel.shape[1:])
        bias = bias.astype("float64") * case.attributes.get("beta", 1.0)
    return [_dense(rows, kernel, bias, case.outputs[0])]


@rule("MatMul")
def _matmul(case: Case) -> list[Mapped]:
    """One of the factors is the kernel."""
    a, b = (_number(x) for x in case.inputs)
    if b.ndim <= 2:
        kernel = b.reshape(len(b), -1)
        rows = a.reshape(-1, len(b))
    elif a.ndim == 1:  # a · B is Bᵀ · a
        kernel = a[:, None]
        rows = np.swapaxes(b, -1, -2).reshape(-1, len(a))
    else:
        raise Unmapped("both factors have a batch axis; dense has one kernel for all")
    return [_dense(rows, kernel, None, case.outputs[0].reshape(len(rows), -1))]


@rule("Attention")
def _attention(case: Case) -> list[Mapped]:
    """Queries, keys and values as channels of one input, which kernels of 0s and 1s choose.

    Queries are as many as keys: those that are added are not compared. Heads of queries are as wide
    as those of values, by channels of zeros.
    """
    given = case.attributes
    if case.input(4) is not None:
        raise Unmapped("keys and values of the past")
    if case.input(6) is not None:
        raise Unmapped("another number of keys in each example")
    if max(given.get("left_window_size", -1), given.get("right_window_size", -1)) >= 0:
        raise Unmapped("a window of keys around each query")
    if given.get("is_causal"):
        raise Unmapped("causal: queries attend to keys before them alone")
    if case.input(3) is not None:
        raise Unmapped("a mask of keys")
    if given.get("softcap"):
        raise Unmapped("softcap: scores are cut off softly")
    query = _heads(case.inputs[0], given.get("q_num_heads"))
    key, value = (_heads(x, given.get("kv_num_heads")) for x in case.inputs[1:3])
    heads, size, most = query.shape[2], query.shape[3], max(query.shape[3], value.shape[3])
    if key.shape[2] != heads:
        raise Unmapped("more heads of queries than of keys")
    positions = key.shape[1]
    if query.shape[1] > positions:
        raise Unmapped("more queries than keys")
    expected = _heads(case.outputs[0], heads)
    more = positions - query.shape[1]
    padded = np.pad(query, ((0, 0), (0, more), (0, 0), (0, 0)))
    parts = [x.reshape(len(x), positions, 1, -1) for x in (padded, key, value)]
    x, y = np.concatenate(parts, axis=-1), expected.reshape(*expected.shape[:2], 1, -1)
    chosen = np.split(
        np.eye(x.shape[-1]), np.cumsum([part.shape[-1] for part in parts])[:2], axis=1
    )
    kernels = {
        name: np.pad(
            kernel.reshape(x.shape[-1], heads, -1),
            ((0, 0), (0, 0), (0, most - kernel.shape[1] // heads)),
        ).reshape(x.shape[-1], -1)
        for name, kernel in zip(("query", "key", "value"), chosen, strict=True)
    }
    kernels["query"] = kernels["query"] * given.get("scale", size**-0.5) * most**0.5
    back = np.pad(np.eye(heads * most), ((0, 0), (0, x.shape[-1] - heads * most)))
    weights = {f"{name}_kernel": kernel for name, kernel in (kernels | {"output": back}).items()}
    attributes = {"heads": heads, "head_size": most, "bias": False}
    remark = "scores, a second output, are not compared" if len(case.outputs) > 1 else ""
    made = _single("attention", attributes, x, y, weights, remark=remark)
    if more:
        made.body.append({"crop": [[0, more], [0, 0]], "name": "asked"})
    made.body.append({"channel_slice": y.shape[-1], "name": "result"})
    return [made]


def _heads(x: Array, heads: int | None) -> Array:
    """(N, positions, heads, size) of (N, heads, positions, size) or (N, positions, channels)."""
    x = _number(x)
    if x.ndim == 4:
        return x.swapaxes(1, 2)
    return x.reshape(*x.shape[:2], heads, -1)


# ------------------------------------------------------------------------------ normalization
@rule("BatchNormalization")
def _batch_norm(case: Case) -> list[Mapped]:
    """ONNX's momentum is the weight of the past and, since opset 14, its variance is biased."""
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    attributes = {
        "momentum": case.attributes.get("momentum", 0.9),
        "epsilon": case.attributes.get("epsilon", 1e-5),
    }
    training = bool(case.attributes.get("training_mode", 0))
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    weights = dict(zip(names, case.inputs[1:], strict=True))
    updated = dict(zip(("op.moving_mean", "op.moving_variance"), case.outputs[1:], strict=training))
    return [_single("batch_norm", attributes, x, y, weights, training=training, updated=updated)]


@rule("LayerNormalization", "RMSNormalization")
def _layer_norm(case: Case) -> list[Mapped]:
    """Over the axes from `axis`, which are then the channels of a vector; axes before, a batch."""
    x, scale, y = case.inputs[0], case.inputs[1], case.outputs[0]
    axis = case.attributes.get("axis", -1) % x.ndim
    rows, expected = (value.reshape(math.prod(x.shape[:axis]), -1) for value in (x, y))
    attributes: dict[str, Any] = {"epsilon": case.attributes.get("epsilon", 1e-5)}
    weights = {"gamma": np.broadcast_to(scale, x.shape[axis:]).reshape(-1)}
    op, bias = "rms_norm", case.input(2)
    if case.op_type == "LayerNormalization":
        op, attributes["center"] = "layer_norm", bias is not None
        if bias is not None:
            weights["beta"] = np.broadcast_to(bias, x.shape[axis:]).reshape(-1)
    remark = "mean and deviation, other outputs, are not compared" if len(case.outputs) > 1 else ""
    return [_single(op, attributes, rows, expected, weights, remark=remark)]


@rule("LRN")
def _local_response_norm(case: Case) -> list[Mapped]:
    attributes = {
        "size": case.attributes["size"],
        "alpha": case.attributes.get("alpha", 1e-4),
        "beta": case.attributes.get("beta", 0.75),
        "k": case.attributes.get("bias", 1.0),
    }
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    return [_single("local_response_norm", attributes, x, y)]


@rule("GroupNormalization", "InstanceNormalization")
def _group_norm(case: Case) -> list[Mapped]:
    """Until opset 21 there was a scale for each group. Of an instance each channel is a group."""
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    groups = case.attributes.get("num_groups", x.shape[-1])
    attributes = {"groups": groups, "epsilon": case.attributes.get("epsilon", 1e-5)}
    gamma, beta = (np.repeat(w, x.shape[-1] // w.size) for w in case.inputs[1:3])
    return [_single("group_norm", attributes, x, y, {"gamma": gamma, "beta": beta})]


# ------------------------------------------------------------------------------ sliding windows
@dataclass
class _Window:
    """A sliding window over height and width, as a spec says it."""

    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    padding: Any
    remark: str = ""


def _window(case: Case, shape: Sequence[int], kernel: Sequence[int]) -> _Window:
    """The window of a case on an input of `shape`, channels first."""
    given, spatial = case.attributes, list(shape[2:])
    if len(spatial) > 2:
        raise Unmapped("a volume; images have height and width")
    pads = list(given.get("pads", [0] * 2 * len(spatial)))
    sides = [list(pair) for pair in zip(pads[: len(spatial)], pads[len(spatial) :], strict=True)]
    stride, dilation = (
        list(given.get(name, [1] * len(spatial))) for name in ("strides", "dilations")
    )
    window = _Window(list(kernel), stride, dilation, sides)
    if len(spatial) == 1:  # a row of pixels
        spatial, window.padding = [1, *spatial], [[0, 0], *sides]
        window.kernel, window.stride, window.dilation = (
            [1, *v] for v in (kernel, stride, dilation)
        )
        window.remark = "a row of pixels"
    spans = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
    auto = given.get("auto_pad", "NOTSET")
    if auto == "SAME_UPPER":
        window.padding = "same"
    elif auto == "SAME_LOWER":
        totals = [
            max((-(-n // s) - 1) * s + span - n, 0)
            for n, s, span in zip(spatial, window.stride, spans, strict=True)
        ]
        window.padding = [[total - total // 2, total // 2] for total in totals]
        window.remark = "SAME_LOWER as the explicit padding of this size"
    if window.padding == [[0, 0], [0, 0]]:
        window.padding = "valid"
    return window


@rule("MaxPool", "AveragePool")
def _pool(case: Case) -> list[Mapped]:
    x = case.inputs[0]
    window = _window(case, x.shape, case.attributes["kernel_shape"])
    if any(d != 1 for d in window.dilation):
        raise Unmapped("dilations: pooling has no such attribute")
    attributes = {
        "kernel": window.kernel,
        "stride": window.stride,
        "padding": window.padding,
        "ceil_mode": bool(case.attributes.get("ceil_mode", 0)),
    }
    op = "max_pool"
    if case.op_type == "AveragePool":
        op = "avg_pool"
        attributes["count_include_pad"] = bool(case.attributes.get("count_include_pad", 0))
    if len(case.outputs) > 1:
        window.remark = "the indices, a second output, are not compared"
    y = _channels_last(case.outputs[0])
    return [_single(op, attributes, _channels_last(x), y, remark=window.remark)]


@rule("GlobalAveragePool", "GlobalMaxPool")
def _global_pool(case: Case) -> list[Mapped]:
    op = "global_max_pool" if case.op_type == "GlobalMaxPool" else "global_avg_pool"
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    return [
        _single(op, {"keep_dims": True}, x, y),
        _single(op, {}, x, y.reshape(len(y), -1), remark="pooled to a vector"),
    ]


@rule("Conv")
def _conv(case: Case) -> list[Mapped]:
    """A kernel (filters, channels / groups, height, width); with a group a channel, depthwise."""
    x, given, bias = case.inputs[0], case.inputs[1], case.input(2)
    window = _window(case, x.shape, given.shape[2:])
    filters, groups = len(given), case.attributes.get("group", 1)
    kernel = given.reshape(*given.shape[:2], *window.kernel).transpose(2, 3, 1, 0)
    placed = {
        "kernel": window.kernel,
        "stride": window.stride,
        "dilation": window.dilation,
        "padding": window.padding,
        "bias": bias is not None,
    }
    biases = {} if bias is None else {"bias": bias}
    image, y = _channels_last(x), _channels_last(case.outputs[0])
    attributes = {**placed, "filters": filters, "groups": groups}
    remark = window.remark
    made = [_single("conv", attributes, image, y, {"kernel": kernel, **biases}, remark=remark)]
    channels = x.shape[1]
    if groups == channels > 1:
        depthwise = kernel.reshape(*window.kernel, channels, filters // channels)
        weights = {"depthwise_kernel": depthwise, **biases}
        multiplier = {"multiplier": filters // channels}
        made.append(
            _single("depthwise_conv", {**placed, **multiplier}, image, y, weights, remark=remark)
        )
        weights |= {"pointwise_kernel": np.eye(filters)[None, None]}
        attributes = {**placed, **multiplier, "filters": filters}
        remark = ", ".join(filter(None, [remark, "its 1×1 convolution changes nothing"]))
        made.append(_single("separable_conv", attributes, image, y, weights, remark=remark))
    return made


@rule("DepthToSpace", "SpaceToDepth")
def _blocks(case: Case) -> list[Mapped]:
    """Mode CRD, PyTorch's, is a shuffle of the channels where they are many."""
    apart = case.op_type == "DepthToSpace"
    op = "depth_to_space" if apart else "space_to_depth"
    x, y = (_channels_last(value) for value in (case.inputs[0], case.outputs[0]))
    block = case.attributes["blocksize"]
    made = _single(op, {"block": block}, x, y)
    if case.attributes.get("mode", "DCR") == "CRD":
        groups = y.shape[-1] if apart else block**2
        *before, node = made.body
        places = (node["from"], "shuffled") if apart else ("op", "result")
        shuffle = {"channel_shuffle": {"groups": groups}, "from": places[0], "name": places[1]}
        made.body = [*before, shuffle, {**node, "from": "shuffled"}]
        if not apart:
            made.body = [*before, node, shuffle]
        made.remark = "CRD with a shuffle of the channels"
    return [made]


@rule("ConvTranspose")
def _conv_transpose(case: Case) -> list[Mapped]:
    """A kernel (channels, filters / groups, height, width)."""
    given, (x, kernel), bias = case.attributes, case.inputs[:2], case.input(2)
    axes = x.ndim - 2
    if axes > 2:
        raise Unmapped("a volume; images have height and width")
    if given.get("group", 1) > 1:
        raise Unmapped("groups: conv_transpose has no such attribute")
    if any(d != 1 for d in given.get("dilations", [])):
        raise Unmapped("dilations: conv_transpose has no such attribute")
    strides = list(given.get("strides", [1] * axes))
    pads, more = list(given.get("pads", [0] * 2 * axes)), list(given.get("output_padding", []))
    sides = [list(pair) for pair in zip(pads[:axes], pads[axes:], strict=True)]
    if (shape := given.get("output_shape")) is not None:  # what is missing is added below
        sides = [[0, 0]] * axes
        more = [
            m - (n - 1) * s - k
            for m, n, s, k in zip(shape, x.shape[2:], strides, kernel.shape[2:], strict=True)
        ]
    padding: Any = "same" if given.get("auto_pad") == "SAME_UPPER" else sides
    remark = ""
    if axes == 1:
        kernel, strides, remark = kernel[:, :, None], [1, *strides], "a row of pixels"
        padding = [[0, 0], *sides]
    attributes = {
        "filters": kernel.shape[1],
        "kernel": list(kernel.shape[2:]),
        "stride": strides,
        "padding": padding,
        "output_padding": more or None,
        "bias": bias is not None,
    }
    weights = {"kernel": kernel.transpose(2, 3, 1, 0)} | ({} if bias is None else {"bias": bias})
    x, y = _channels_last(x), _channels_last(case.outputs[0])
    return [_single("conv_transpose", attributes, x, y, weights, remark=remark)]


@rule("Resize", "Upsample")
def _resize(case: Case) -> list[Mapped]:
    """Any way to say which pixels are read, if they are those that a spec reads at these sizes."""
    given, x, y = case.attributes, case.inputs[0], case.outputs[0]
    mode = given.get("mode", "nearest")
    where = given.get("coordinate_transformation_mode", "half_pixel")
    if case.op_type == "Upsample":
        where = "asymmetric"
    if mode == "cubic":
        raise Unmapped("mode cubic")
    if where == "tf_crop_and_resize":
        raise Unmapped("a part of the image alone")
    if x.ndim != 4 or x.shape[:2] != y.shape[:2]:
        raise Unmapped("the batch or the channels resized")
    scales = [m / n for n, m in zip(x.shape[2:], y.shape[2:], strict=True)]
    exact = all(scale == round(scale) for scale in scales)
    if (said := _said_scales(case)) is not None and said != scales:
        raise Unmapped("a scale that does not give whole pixels: a spec's follows from the sizes")
    if mode == "nearest":
        rounding = given.get("nearest_mode", "round_prefer_floor")
        if case.op_type == "Upsample":
            rounding = "floor"
        for n, m in zip(x.shape[2:], y.shape[2:], strict=True):
            read = _rounded(_place(where, n, m), rounding).clip(0, n - 1)
            if not np.array_equal(read, (2 * np.arange(m) + 1) * n // (2 * m)):
                raise Unmapped(f"{where}, {rounding}: other pixels")
    elif where not in ("half_pixel", "pytorch_half_pixel"):
        raise Unmapped(f"{where}: other places between pixels")
    elif where == "pytorch_half_pixel" and 1 in y.shape[2:]:
        raise Unmapped("pytorch_half_pixel: a single pixel is read at the border")
    elif given.get("antialias") and min(scales) < 1:
        raise Unmapped("antialias")
    attributes: dict[str, Any] = {"method": "nearest" if mode == "nearest" else "bilinear"}
    attributes |= {"scale": [round(s) for s in scales]} if exact else {"size": list(y.shape[2:])}
    return [_single("resize", attributes, _channels_last(x), _channels_last(y))]


def _said_scales(case: Case) -> list[float] | None:
    """The scales of height and width where the case says them."""
    position = 1 if case.op_type == "Upsample" or len(case.inputs) == 2 else 2
    said = case.input(position)
    if said is None or said.size == 0:
        return None
    named = case.attributes.get("axes", range(4 - len(said), 4))
    scales = dict(zip(named, map(float, said), strict=True))
    return [scales.get(axis, 1.0) for axis in (2, 3)]


def _place(where: str, n: int, m: int) -> Array:
    """What ONNX calls `x_original`, for m pixels out of n."""
    i = np.arange(m)
    if where == "align_corners":
        return i * (n - 1) / max(m - 1, 1)
    return i * n / m if where == "asymmetric" else (i + 0.5) * n / m - 0.5


def _rounded(place: Array, rounding: str) -> Array:
    functions = {
        "floor": np.floor(place),
        "ceil": np.ceil(place),
        "round_prefer_floor": np.ceil(place - 0.5),
        "round_prefer_ceil": np.floor(place + 0.5),
    }
    return functions[rounding].astype(int)


@rule("Pad")
def _pad(case: Case) -> list[Mapped]:
    """A border of another value is one of zeros around an image with that value taken off."""
    mode = case.attributes.get("mode", "constant")
    if mode != "constant":
        raise Unmapped(f"mode {mode}: zero_pad adds zeros")
    x, pads, value, axes = (case.input(k) for k in range(4))
    if pads is None:  # attributes, before opset 11
        pads, value = case.attributes["pads"], case.attributes.get("value", 0.0)
    border = 0.0 if value is None else float(value)
    named = list(range(x.ndim)) if axes is None else [int(axis) % x.ndim for axis in axes]
    sides = dict.fromkeys(range(x.ndim), (0, 0))
    sides |= {
        axis: (int(low), int(high))
        for axis, low, high in zip(named, pads[: len(named)], pads[len(named) :], strict=True)
    }
    if x.ndim != 4 or any(sides[axis] != (0, 0) for axis in (0, 1)):
        raise Unmapped("padding of the batch or the channels")
    attributes = {"padding": [list(sides[2]), list(sides[3])]}
    x, y = _channels_last(x), _channels_last(case.outputs[0])
    return [_scaled("zero_pad", attributes, x, y, (1, -border), (1, border))]
