"""What JAX's primitives and Flax' layers mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from flax import nnx

from xgraph.importing import axes as laid
from xgraph.importing.axes import Axes, Axis
from xgraph.importing.network import Array, Held, Shape, op
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Call, Table, Tensor
from xgraph.importing.readers.flax_idioms import number
from xgraph.importing.readers.flax_program import LAYERS, Layer, Step
from xgraph.ops.avg_pool import AvgPool
from xgraph.ops.resize import Resize


@dataclass(frozen=True)
class Weight:
    """A variable of the module; along axes in which it is repeated, it has size 1."""

    held: Held

    @property
    def shape(self) -> Shape:
        return self.held.form


@dataclass(frozen=True)
class Times:
    """A sum, which is a mean times a number."""

    tensor: Tensor
    factor: float


@dataclass(frozen=True)
class Operation(Call):
    """A primitive, a layer or an idiom: its last step, and what it is given."""

    reader: Any
    step: Step | None
    given: Sequence[Any]
    params: Mapping[str, Any]

    @property
    def made(self) -> Shape:
        """The shape of what comes out."""
        assert self.step is not None
        return self.step.shapes[0]

    def add(self, kind: str, places: Sequence[int], /, held: Any = None, **given: Any) -> int:
        """An op of a layer of Flax' is called as that, another one also by its kind."""
        name = self.name if self.is_layer else self.reader.numbered(self.path, kind)
        return self.reader.add(name, kind, places, held, **given)

    @property
    def path(self) -> str:
        return "" if self.step is None else self.step.path

    @property
    def is_layer(self) -> bool:
        """Whether it is code of Flax' own, of one of its layers."""
        module = None if self.step is None else self.step.module
        own = module is not None and module.__module__.startswith("flax.")
        return own and not issubclass(module, nnx.Sequential)

    def raw(self, number: int = 0) -> Tensor:
        """What follows from the images, with axes as they are."""
        value = self.given[number]
        if isinstance(value, Times):
            return self.pointwise("rescale", value.tensor, scale=value.factor)
        if isinstance(value, Scores):
            raise self.refused("of scores of attention, which are multiplied with values alone")
        if not isinstance(value, Tensor):
            raise self.refused("of what does not follow from the images")
        return value

    def tensor(self, number: int = 0) -> Tensor:
        """The same, an image or a vector as it has four axes or two."""
        value = _upsampled(self, self.raw(number))
        name = self.name if self.is_layer else f"{self.path}.{self.said}".removeprefix(".")
        return self.reader.settled(name, value)

    def weight(self, number: int) -> Held:
        """A variable that is an operand."""
        value = self.given[number]
        if not isinstance(value, Weight):
            raise self.refused("with weights that are no variables, but computed or constant")
        return value.held

    def number(self, word: str) -> float:
        """A number by which an idiom goes."""
        found = self.params[word]
        value = number(found) if isinstance(found, np.ndarray) else None
        if value is None:
            raise self.refused(f"whose {word} is not one number")
        return value

    def moved_weight(self) -> Weight:
        """A variable with its axes moved, or of size 1 put in or taken away."""
        assert self.step is not None
        value, kind = self.given[0], self.step.kind
        if len(self.given) > 1 or kind not in _MOVES:
            raise self.refused("of weights alone, which no op of ours computes")
        return Weight(_MOVES[kind](self, value.held))


OPS: Table[Callable[[Operation], Any]] = Table()
IDIOMS: Table[Callable[[Operation], Any]] = Table()


def said(step: Step) -> str:
    """A step for a message."""
    layer = step.params.get("layer")
    return f"nnx.{layer.kind.__name__}" if isinstance(layer, Layer) else step.kind


# -- weights --------------------------------------------------------------------------------------


def _spread(call: Operation, held: Held) -> Held:
    shape = [1] * len(call.made)
    for axis, n in zip(call.params["broadcast_dimensions"], held.form, strict=True):
        shape[axis] = n
    return held.reshaped(*shape)


def _whole(call: Operation, held: Held) -> Held:
    if held.form != call.made:
        raise call.refused(f"of a part of weights, of shape {call.made} of {held.form}")
    return held


_MOVES: Mapping[str, Callable[[Operation, Held], Held]] = {
    "broadcast_in_dim": _spread,
    "reshape": lambda call, held: held.reshaped(*call.made),
    "rev": lambda call, held: held.reversed(*call.params["dimensions"]),
    "slice": _whole,
    "squeeze": lambda call, held: held.reshaped(*call.made),
    "transpose": lambda call, held: held.transposed(*call.params["permutation"]),
}


# -- the same entries -----------------------------------------------------------------------------


def _viewed(call: Operation, axes: Axes | None) -> Any:
    value = call.given[0]
    inner = value.tensor if isinstance(value, Times) else value
    if axes is None:
        raise call.refused(f"of shape {call.made} cuts across axes {laid.said(inner.axes)}")
    made = Tensor(inner.place, axes)
    return Times(made, value.factor) if isinstance(value, Times) else made


def _axes(call: Operation) -> Axes:
    """Of a sum too, which stays one when its axes are moved."""
    value = call.given[0]
    if isinstance(value, Scores):
        raise call.refused("of scores of attention, which are multiplied with values alone")
    return value.tensor.axes if isinstance(value, Times) else call.raw().axes


@OPS.of("reshape")
def _reshape(call: Operation) -> Any:
    if call.params.get("dimensions") is not None:
        raise call.refused(f"with dimensions {call.params['dimensions']}")
    return _viewed(call, laid.reshaped(_axes(call), call.made))


@OPS.of("squeeze")
def _squeeze(call: Operation) -> Any:
    return _viewed(call, laid.reshaped(_axes(call), call.made))


@OPS.of("transpose")
def _transpose(call: Operation) -> Any:
    axes = _axes(call)
    return _viewed(call, tuple(axes[axis] for axis in call.params["permutation"]))


@OPS.of("broadcast_in_dim")
def _broadcast(call: Operation) -> Any:
    """Axes of size 1 put in, or entries repeated along them."""
    if len(call.given) > 1:
        raise call.refused("to a shape that is not known")
    axes: list[Any] = [()] * len(call.made)
    for axis, one in zip(call.params["broadcast_dimensions"], _axes(call), strict=True):
        axes[axis] = one
    return _viewed(call, laid.expanded(tuple(axes), call.made))


@OPS.of("rev")
def _reversed(call: Operation) -> Any:
    raise call.refused("of what follows from the images")


@OPS.of("convert_element_type")
def _converted(call: Operation) -> Any:
    raise call.refused(
        f"makes {call.params['new_dtype']} of other numbers; read are networks that compute in "
        "float32 or float64, as with dtype=None"
    )


# -- pixels, parts of axes ------------------------------------------------------------------------


def _upsampled(call: Operation, value: Tensor) -> Tensor:
    """Pixels that are repeated side by side, as by `jnp.repeat`."""
    if len(value.axes) != 4:
        return value
    scale, axes, known = {"h": 1, "w": 1}, list(value.axes), call.reader.known(value.place)
    for k, axis in enumerate(axes):
        if len(axis) == 2 and axis[1].letter == "x" and axis[:1] in (known["h"], known["w"]):
            scale[axis[0].letter], axes[k] = axis[1].size, axis[:1]
    if max(scale.values()) == 1:
        return value
    plain = Tensor(value.place, tuple(axes))
    order = call.order(plain)
    place = call.add("resize", [value.place], scale=list(scale.values()), method="nearest")
    return call.reader.lying(place, order)


def _order(call: Operation, tensor: Tensor) -> str:
    """Which axis is which; where sizes are 1, as Flax has them."""
    return "nhwc" if tensor == call.reader.lying(tensor.place, "nhwc") else call.order(tensor)


@OPS.of("slice")
def _slice(call: Operation) -> Tensor:
    value, strides = call.tensor(), call.params["strides"]
    starts, stops = call.params["start_indices"], call.params["limit_indices"]
    if any(step != 1 for step in strides or ()):
        raise call.refused(f"with steps {tuple(strides)}")
    parts = {axis: (a, b - a) for axis, (a, b) in enumerate(zip(starts, stops, strict=True))}
    return shared.cut(call, value, parts)


@OPS.of("split")
def _split(call: Operation) -> list[Tensor]:
    sizes = [int(size) for size in call.params["sizes"]]
    return shared.split(call, call.tensor(), call.params["axis"], sizes)


@OPS.of("concatenate")
def _concat(call: Operation) -> Tensor:
    if not all(isinstance(one, Tensor | Times) for one in call.given):
        raise call.refused("of what does not follow from the images")
    tensors = [call.tensor(number) for number in range(len(call.given))]
    return shared.concat(call, tensors, call.params["dimension"])


@OPS.of("pad")
def _pad(call: Operation) -> Tensor:
    value = call.tensor()
    if not isinstance(call.given[1], np.ndarray) or call.given[1].any():
        raise call.refused("pads with other than zeros")
    sides = {axis: (int(a), int(b)) for axis, (a, b, _) in enumerate(call.params["padding_config"])}
    if any(inner for *_, inner in call.params["padding_config"]):
        raise call.refused("pads between pixels")
    kept = {}
    for axis, (low, high) in sides.items():
        if min(low, high) < 0:
            n = laid.size(value.axes[axis]) + min(low, 0) + min(high, 0)
            kept[axis] = (max(-low, 0), n)
    value = shared.cut(call, value, kept) if kept else value
    return shared.zero_pad(call, value, {k: (max(a, 0), max(b, 0)) for k, (a, b) in sides.items()})


def _resized(call: Operation, tensor: Tensor, axis: int, size: int, method: str) -> Tensor:
    """An image with another number of rows or columns; both are one op."""
    order = _order(call, tensor)
    builder, place = call.reader.builder, tensor.place
    height, width, _ = call.shape(place)
    sizes = {"h": height, "w": width, order[axis]: size}
    layer = builder.layers[place]
    if isinstance(layer.op, Resize) and layer.op.method == method:
        rows, columns, _ = call.shape(layer.inputs[0])
        other = (rows, columns)["hw".index(order[axis])]
        last = place == len(builder.layers) - 1 and call.reader.is_read_no_more(place)
        if last and sizes[order[axis]] != other and (height, width)["hw".index(order[axis])] == other:
            builder.layers.pop()
            builder.types.pop()
            (place,) = layer.inputs
    made = call.add("resize", [place], size=[sizes["h"], sizes["w"]], method=method)
    return call.reader.lying(made, order)


@OPS.of("gather")
def _gather(call: Operation) -> Tensor:
    """Rows or columns by their numbers, of which a resize takes the nearest."""
    value, indices = call.tensor(), call.given[1]
    told, sizes = call.params["dimension_numbers"], call.params["slice_sizes"]
    plain = isinstance(indices, np.ndarray) and len(told.start_index_map) == 1
    if not plain or told.collapsed_slice_dims != told.start_index_map or indices.ndim != 2:
        raise call.refused("with indices that are no rows or columns by their numbers")
    (axis,) = told.start_index_map
    n, taken = laid.size(value.axes[axis]), [int(one) for one in indices.ravel()]
    others = [k for k in range(len(sizes)) if k != axis]
    whole = all(sizes[k] == laid.size(value.axes[k]) for k in others) and sizes[axis] == 1
    if not whole or list(told.offset_dims) != others:
        raise call.refused("of parts of other axes")
    if _order(call, value)[axis] in "hw" and taken == shared.nearest(n, len(taken)):
        return _resized(call, value, axis, len(taken), "nearest")
    if taken == list(range(taken[0], taken[0] + len(taken))):
        return shared.cut(call, value, {axis: (taken[0], len(taken))})
    raise call.refused("takes rows or columns that are neither side by side nor the nearest")


def _interpolated(call: Operation, tensor: Tensor, axis: int, matrix: Array) -> Tensor:
    """Rows or columns times a matrix (n, m), which may be that of a bilinear resize."""
    n, m = matrix.shape
    images = np.eye(n).reshape(n, n, 1, 1)
    resize = op("resize", size=[m, 1], method="bilinear")
    found = resize.reference([images], {}).reshape(n, m)
    if _order(call, tensor)[axis] not in "hw" or not np.allclose(found, matrix, atol=1e-6):
        raise call.refused("with a matrix of constants that is no bilinear resize")
    return _resized(call, tensor, axis, m, "bilinear")


# -- layers with weights --------------------------------------------------------------------------


@OPS.of("conv_general_dilated")
def _conv(call: Operation) -> Tensor:
    given = call.params
    if given["batch_group_count"] != 1:
        raise call.refused("in groups of the batch")
    told = given["dimension_numbers"]
    value, held = call.tensor(), call.weight(1)
    if len(value.axes) != 4:
        raise call.refused(f"of {len(value.axes)} axes; images have four")
    order = [value.axes[axis] for axis in told.lhs_spec]
    image = Tensor(value.place, tuple(order))
    kernel = held.transposed(*told.rhs_spec)  # (filters, channels, height, width)
    window = {"stride": given["window_strides"], "dilation": given["rhs_dilation"]}
    if max(given["lhs_dilation"]) > 1:
        made = _conv_transpose(call, image, kernel)
    else:
        window = {word: [int(one) for one in ones] for word, ones in window.items()}
        padding = [[int(a), int(b)] for a, b in given["padding"]]
        more = {"filters": kernel.form[0], "groups": given["feature_group_count"]}
        made = shared.conv(call, "conv", image, kernel, None, padding=padding, **window, **more)
    axes: list[Any] = [()] * 4
    for axis, one in zip(told.out_spec, made.axes, strict=True):
        axes[axis] = one
    return Tensor(made.place, tuple(axes))


def _conv_transpose(call: Operation, image: Tensor, kernel: Held) -> Tensor:
    """Pixels set apart, and a convolution: a transposed one, whose kernel is the other way round.

    A convolution that pads by kernel − 1 takes nothing away of what a transposed one gives.
    """
    given, spatial = call.params, kernel.form[2:]
    if given["feature_group_count"] != 1 or max(given["rhs_dilation"]) > 1:
        raise call.refused("of pixels set apart, in groups or with dilation")
    if max(given["window_strides"]) > 1:
        raise call.refused("of pixels set apart, with strides")
    taken = [[k - 1 - int(a), k - 1 - int(b)]
             for k, (a, b) in zip(spatial, given["padding"], strict=True)]  # fmt: skip
    padding = [[low, max(high, 0)] for low, high in taken]
    window: dict[str, Any] = {
        "filters": kernel.form[0],
        "stride": [int(one) for one in given["lhs_dilation"]],
        "padding": padding,
        "output_padding": [max(-high, 0) for _, high in taken],
    }
    turned = kernel.transposed(1, 0, 2, 3).reversed(2, 3)
    return shared.conv(call, "conv_transpose", image, turned, None, **window)


@OPS.of("dot_general")
def _dot(call: Operation) -> Any:
    """Channels times a kernel; rows or columns times constants; or products as in attention."""
    contracted, batched = call.params["dimension_numbers"]
    first, second = call.given
    if isinstance(first, Weight | np.ndarray):
        turned = replace(
            call,
            given=(second, first),
            params={**call.params, "dimension_numbers": (contracted[::-1], batched[::-1])},
        )
        made = _product(turned)
        if not isinstance(made, Tensor):
            raise call.refused("of weights and scores of attention")
        free = len(first.shape) - len(contracted[0])
        last = made.axes[len(made.axes) - free :]
        return Tensor(made.place, (*last, *made.axes[: len(made.axes) - free]))
    return _product(call)


def _product(call: Operation) -> Any:
    (left, right), (batch, others) = call.params["dimension_numbers"]
    value, other = call.given
    if not isinstance(other, Weight | np.ndarray):
        return _scores(call)
    if batch:
        raise call.refused("with weights that differ along an axis")
    free = [axis for axis in range(len(other.shape)) if axis not in right]
    if isinstance(other, np.ndarray):
        if len(left) != 1 or len(free) != 1:
            raise call.refused("with constants")
        tensor = call.tensor()
        made = _interpolated(call, tensor, left[0], other.transpose(*right, *free))
        kept = [axis for k, axis in enumerate(made.axes) if k != left[0]]
        return Tensor(made.place, (*kept, made.axes[left[0]]))
    inner = math.prod(other.shape[axis] for axis in right)
    sizes = [other.shape[axis] for axis in free]
    kernel = call.weight(1).transposed(*right, *free).reshaped(inner, math.prod(sizes))
    tensor = call.tensor()
    kept = [axis for k, axis in enumerate(tensor.axes) if k not in left]
    joined = laid.joined([part for k in left for part in tensor.axes[k]])
    made = shared.linear(call, Tensor(tensor.place, (*kept, joined)), kernel)
    if len(sizes) == 1:
        return made
    split = laid.reshaped(made.axes, [*(laid.size(axis) for axis in made.axes[:-1]), *sizes])
    assert split is not None  # channels alone are split
    return Tensor(made.place, split)


def _scores(call: Operation) -> Any:
    """Queries times keys, or scores times values, for each of the batch and of the heads."""
    (left, right), (batch, others) = call.params["dimension_numbers"]
    one, other = call.given

    def lying(value: Tensor, outer: Sequence[int], inner: Sequence[int], *, last: bool) -> Tensor:
        """Outer axes, and the two of a matrix, that which is summed over last or before it."""
        free = [k for k in range(len(value.axes)) if k not in (*outer, *inner)]
        if len(free) != 1 or len(inner) != 1:
            raise call.refused("of two tensors that are no matrices in their last axes")
        order = [*outer, *free, *inner] if last else [*outer, *inner, *free]
        return Tensor(value.place, tuple(value.axes[k] for k in order))

    if isinstance(one, Scores) or isinstance(other, Scores):
        first = isinstance(one, Scores)
        scores, sides = (one, (left, batch)) if first else (other, (right, others))
        number, (inner, outer) = (1, (right, others)) if first else (0, (left, batch))
        rank = len(scores.query.axes)
        if list(sides[1]) != list(range(rank - 2)) or list(sides[0]) != [rank - 1]:
            raise call.refused("of scores of attention over other than the positions of values")
        made = attention.matmul(call, scores, lying(call.raw(number), outer, inner, last=False))
        assert isinstance(made, Tensor)
        if first:
            return made
        *rest, positions, channels = made.axes
        return Tensor(made.place, (*rest, channels, positions))
    query = lying(call.raw(0), batch, left, last=True)
    key = lying(call.raw(1), others, right, last=True)
    return Scores(query, key)


@OPS.of("attention")
def _attention(call: Operation) -> Tensor:
    """Of queries, keys and values (n, positions, heads, channels)."""
    if call.params["told"]:
        raise call.refused(f"with {', '.join(call.params['told'])}; {attention.READ}")

    def turned(tensor: Tensor) -> Tensor:
        n, positions, heads, channels = tensor.axes
        return Tensor(tensor.place, (n, heads, positions, channels))

    query, key, value = (turned(call.raw(number)) for number in range(3))
    return turned(attention.attended(call, query, key, value, call.params["scale"]))


# -- layers of Flax -------------------------------------------------------------------------------

_LAYERS: Table[Callable[[Operation, Layer], Any]] = Table()


@OPS.of("layer")
def _layer(call: Operation) -> Any:
    """One of Flax' own; what it computes in is not part of a network, but that it has digits."""
    layer: Layer = call.params["layer"]
    dtype = getattr(layer.module, "dtype", None)
    if dtype is not None and np.dtype(dtype).itemsize < 4:
        raise call.refused(f"computes in {np.dtype(dtype)}; read is one with dtype=None")
    told = {word: one for word, one in layer.told.items() if one is not None}
    flag = "deterministic" if layer.kind is nnx.Dropout else "use_running_average"
    training = told.pop(flag, told.pop("argument 2", None)
                        if layer.kind is nnx.BatchNorm else None)  # fmt: skip
    told.pop("rngs", None)
    if training is False:
        raise call.refused(f"is called as in training, with {flag}=False, in evaluation too")
    if told:
        raise call.refused(f"is called with {', '.join(told)}")
    for word in ("axis_name", "axis_index_groups"):
        if getattr(layer.module, word, None) is not None:
            raise call.refused(f"with {word}")
    return _LAYERS[layer.kind.__name__](call, layer)


def _vectors(call: Operation, layer: Layer) -> dict[str, Held]:
    words = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}
    return {words[word]: call.weight(number) for number, word in enumerate(layer.words, 1)}


def _norm(call: Operation, layer: Layer, kind: str, axis: int = -1, **told: Any) -> Tensor:
    vectors, epsilon = _vectors(call, layer), float(layer.module.epsilon)
    return shared.norm(call, kind, call.tensor(), axis, vectors, epsilon=epsilon, **told)


def _is_last(axes: Any, rank: int) -> bool:
    one = tuple(axes) if isinstance(axes, tuple | list) else (axes,)
    return one in ((-1,), (rank - 1,))


@_LAYERS.of("BatchNorm")
def _batch_norm(call: Operation, layer: Layer) -> Tensor:
    module = layer.module
    if not module.use_running_average:
        raise call.refused("by the batch's own statistics, in evaluation too")
    if not isinstance(module.axis, int):
        raise call.refused(f"over axes {module.axis}")
    return _norm(call, layer, "batch_norm", module.axis, momentum=float(module.momentum))


@_LAYERS.of("LayerNorm", "RMSNorm")
def _layer_norm(call: Operation, layer: Layer) -> Tensor:
    module, rank = layer.module, len(call.made)
    if not (_is_last(module.reduction_axes, rank) and _is_last(module.feature_axes, rank)):
        raise call.refused("over other than the last axis")
    return _norm(call, layer, "layer_norm" if layer.kind is nnx.LayerNorm else "rms_norm")


@_LAYERS.of("GroupNorm", "InstanceNorm")
def _group_norm(call: Operation, layer: Layer) -> Tensor:
    """Of an instance each channel is a group."""
    module, rank = layer.module, len(call.made)
    value = call.tensor()
    call.over_channels(value, -1, ordered=True)
    if layer.kind is nnx.InstanceNorm:
        usual, groups = _is_last(module.feature_axes, rank), call.shape(value.place)[-1]
    else:
        usual, groups = module.reduction_axes is None, module.num_groups
    if not usual:
        raise call.refused("over axes of one's own")
    return _norm(call, layer, "group_norm", groups=groups)


@_LAYERS.of("Dropout")
def _dropout(call: Operation, layer: Layer) -> Tensor:
    module, value = layer.module, call.tensor()
    if not module.rate:
        return value
    if not (module.deterministic or layer.told.get("deterministic")):
        raise call.refused("that drops in evaluation too")
    rank = len(value.axes)
    shared_axes = {axis % rank for axis in module.broadcast_dims}
    kinds = {frozenset[int](): "dropout", frozenset(range(1, rank)): "stochastic_depth"}
    if rank == 4:
        kinds |= {frozenset({1, 2}): "spatial_dropout"}
    kind = kinds.get(frozenset(shared_axes))
    if kind is None or (shared_axes and value != call.reader.lying(value.place, "nhwc"[-rank:] if
                                                                   rank == 4 else "nc")):  # fmt: skip
        raise call.refused(f"with broadcast_dims {tuple(module.broadcast_dims)}")
    return call.pointwise(kind, value, rate=float(module.rate))


assert {kind.__name__ for kind in LAYERS} == set(_LAYERS)


# -- pooling --------------------------------------------------------------------------------------


def _window(call: Operation, value: Tensor) -> dict[str, Any]:
    """A window on rows and columns, wherever these lie."""
    given, order = call.params, _order(call, value)
    if max(*given["base_dilation"], *given["window_dilation"]) > 1:
        raise call.refused("with dilation")
    where = [order.index(letter) for letter in "hw"]
    others = [k for k in range(4) if k not in where]
    if any(given["window_dimensions"][k] != 1 or given["window_strides"][k] != 1
           or tuple(given["padding"][k]) != (0, 0) for k in others):  # fmt: skip
        raise call.refused(f"over other axes than the pixels', of {laid.said(value.axes)}")
    return {
        "kernel": [int(given["window_dimensions"][k]) for k in where],
        "stride": [int(given["window_strides"][k]) for k in where],
        "padding": [[int(side) for side in given["padding"][k]] for k in where],
    }


def _pool(call: Operation, kind: str, **told: Any) -> Tensor:
    value = call.tensor()
    if len(value.axes) != 4:
        raise call.refused(f"of {len(value.axes)} axes; images have four")
    order = _order(call, value)
    place = call.add(kind, [value.place], **_window(call, value), **told)
    return call.reader.lying(place, order)


@OPS.of("reduce_window_max")
def _max_pool(call: Operation) -> Tensor:
    return _pool(call, "max_pool")


@OPS.of("reduce_window_sum")
def _sum_pool(call: Operation) -> Times:
    made = _pool(call, "avg_pool", count_include_pad=True)
    return Times(made, float(math.prod(call.params["window_dimensions"])))


@OPS.of("reduce_sum")
def _sum(call: Operation) -> Times:
    value = call.tensor()
    count = math.prod(laid.size(value.axes[axis]) for axis in call.params["axes"])
    made = shared.pool_all(call, "global_avg_pool", value, call.params["axes"], kept=False)
    return Times(made, float(count))


@OPS.of("reduce_max")
def _max(call: Operation) -> Tensor:
    axes = call.params["axes"]
    return shared.pool_all(call, "global_max_pool", call.tensor(), axes, kept=False)


def _averaged(call: Operation, value: Times, divisor: Array) -> Any:
    """A sum by how many were added: all of a window, or those of the image alone."""
    one = number(divisor)
    if one is not None:
        factor = value.factor / one if one else 0.0
        if not factor:
            raise call.refused("by zero")
        same = math.isclose(factor, 1, rel_tol=1e-12)
        return value.tensor if same else Times(value.tensor, factor)
    builder, place = call.reader.builder, value.tensor.place
    layer = builder.layers[place]
    if isinstance(layer.op, AvgPool) and call.reader.is_read_no_more(place):
        ones = np.ones((1, *call.shape(layer.inputs[0])[:2], 1))
        counted = layer.op.reference([ones], {}) * value.factor
        order = _order(call, value.tensor)
        lies = counted.transpose(["nhwc".index(letter) for letter in order])
        plain = divisor.ndim == 4 and all(n in (1, m) for n, m in
                                          zip(divisor.shape, call.made, strict=True))  # fmt: skip
        if plain and np.allclose(np.broadcast_to(divisor, call.made), lies):
            changed = replace(layer.op, count_include_pad=False)
            builder.layers[place] = replace(layer, op=changed)
            return value.tensor
    raise call.refused("of sums by numbers that are not how many were added")


# -- entries by themselves ------------------------------------------------------------------------


def _pointwise(kind: str) -> Callable[[Operation], Tensor]:
    return lambda call: call.pointwise(kind, call.tensor())


OPS |= {"logistic": _pointwise("sigmoid"), "tanh": _pointwise("tanh")}
IDIOMS |= {
    kind: _pointwise(kind) for kind in ("hard_swish", "hard_sigmoid", "mish", "relu", "silu")
}


@IDIOMS.of("clip")
def _clip(call: Operation) -> Tensor:
    low, high = call.number("low"), call.number("high")
    none = (None if math.isinf(low) else low, None if math.isinf(high) else high)
    return shared.clipped(call, call.tensor(), *none)


@IDIOMS.of("gelu")
def _gelu(call: Operation) -> Tensor:
    return call.pointwise("gelu", call.tensor(), approximation=call.params["approximation"])


@IDIOMS.of("elu")
def _elu(call: Operation) -> Tensor:
    return call.pointwise("elu", call.tensor(), alpha=call.number("alpha"))


@IDIOMS.of("leaky_relu")
def _leaky_relu(call: Operation) -> Tensor:
    """By a number, or by a learned slope for each channel."""
    slope = call.params["slope"]
    if isinstance(slope, Weight):
        value = call.tensor()
        return shared.learned(call, "prelu", value, slope.shape, "alpha", slope.held, "slope")
    return call.pointwise("leaky_relu", call.tensor(), negative_slope=call.number("slope"))


@IDIOMS.of("maximum")
def _maximum(call: Operation) -> Tensor:
    return shared.merged(call, "maximum", [call.tensor(0), call.tensor(1)])


@IDIOMS.of("softmax")
def _softmax(call: Operation) -> Any:
    value, axis = call.given[0], call.params["axis"]
    if isinstance(value, Scores):
        return attention.normalized(call, value, axis)
    tensor = call.tensor()
    call.over_channels(tensor, axis, ordered=True)
    return call.pointwise("softmax", tensor)


@IDIOMS.of("response")
def _response(call: Operation) -> Tensor:
    value = call.tensor()
    (step,) = (one for one in call.params["steps"] if one.kind == "reduce_window_sum")
    window, told = step.params["window_dimensions"], step.params
    axis = next((k for k, n in enumerate(window) if n > 1), 3)
    size, (low, high) = window[axis], told["padding"][axis]
    fits = (
        math.prod(window) == size
        and size % 2
        and (low, high) == (size // 2, size // 2)
        and max(*told["window_strides"], *told["base_dilation"], *told["window_dilation"]) == 1
        and not any(any(side) for k, side in enumerate(told["padding"]) if k != axis)
    )
    if not fits:
        raise call.refused("over other than an odd number of channels around each")
    call.over_channels(value, axis, ordered=True)
    given = {"alpha": call.number("factor") * size, "beta": call.number("beta")}
    return call.pointwise("local_response_norm", value, size=size, k=call.number("k"), **given)


# -- two tensors, or one and a constant -----------------------------------------------------------

_KINDS = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "max": "maximum",
          "min": "minimum"}  # fmt: skip


@OPS.of(*_KINDS)
def _two(call: Operation) -> Any:
    assert call.step is not None
    kind, pair = _KINDS[call.step.kind], list(call.given)
    constants = [isinstance(one, Weight | np.ndarray) for one in pair]
    if any(isinstance(one, Scores) for one in pair):
        return _scaled(call, kind, pair)
    if not any(constants):
        if kind in ("divide", "minimum"):
            raise call.refused("of two tensors")
        return shared.merged(call, kind, [call.tensor(0), call.tensor(1)])
    first = constants[0]
    value, other = pair[::-1] if first else pair
    if isinstance(value, Times) and isinstance(other, np.ndarray):
        if kind == "multiply" or (kind == "divide" and not first):
            return _averaged(call, value, other if kind == "divide" else 1 / other)
    tensor = call.tensor(int(first))
    if isinstance(other, Weight):
        return _with_weight(call, kind, tensor, other, first=first)
    if kind in ("maximum", "minimum"):
        bound = number(other)
        if bound is None:
            raise call.refused("of constants")
        return shared.clipped(call, tensor, *((bound, None) if kind == "maximum" else (None, bound)))
    return _with_constants(call, kind, tensor, other, first=first)


def _with_weight(
    call: Operation, kind: str, tensor: Tensor, other: Weight, *, first: bool
) -> Tensor:
    """A bias of the layer before, a factor for each channel, or what is learned for each pixel."""
    held, shape = other.held, other.shape
    if kind == "add":
        lies = _of_channels(call, tensor, shape)
        if lies is not None:
            vector = laid.in_order(held.reshaped(math.prod(shape)), lies)
            if shared.absorbed(call, kind, tensor.place, vector):
                return tensor
        if sum(size > 1 for size in shape) > 1:
            return shared.embedded(call, tensor, shape, held)
    if kind == "multiply":
        return shared.learned(call, "scale", tensor, shape, "gamma", held, "learned factor")
    raise call.refused(
        f"of a variable of shape {shape}, which no op of ours has; batch norm is read as "
        "nnx.BatchNorm, constants as arrays that are no variables"
    )


def _of_channels(call: Operation, tensor: Tensor, shape: Shape) -> Axis | None:
    """How channels lie in a variable of this shape, if it has a number for each of them."""
    if len(shape) > len(tensor.axes):
        return None
    aligned = [*[1] * (len(tensor.axes) - len(shape)), *shape]
    wide = [axis for axis, n in zip(tensor.axes, aligned, strict=True) if n != 1]
    lies = tuple(part for axis in wide for part in axis)
    every = math.prod(shape) == call.shape(tensor.place)[-1]
    return lies if every and laid.sorted_parts(lies) == call.reader.known(tensor.place)["c"] else None


def _with_constants(
    call: Operation, kind: str, tensor: Tensor, array: Array, *, first: bool
) -> Tensor:
    shape = tuple(1 if step == 0 else n for n, step in zip(array.shape, array.strides, strict=True))
    array = np.asarray(array)[tuple(slice(0, n) for n in shape)]  # once, where it is repeated
    if array.size > 1 and (one := number(array)) is not None:
        array = np.asarray(one)
    share = number(array)
    if kind in ("divide", "multiply") and not first and share:
        average = _average(call, tensor, share if kind == "divide" else 1 / share)
        if average is not None:
            return average
    return shared.with_constants(call, kind, tensor, array, first=first)


def _average(call: Operation, tensor: Tensor, count: float) -> Tensor | None:
    """A sum of so many tensors by their number, if it is one that nothing else reads."""
    layers, todo, terms = call.reader.builder.layers, [tensor.place], []
    while todo:
        place = todo.pop(0)
        inner = place == tensor.place or call.reader.is_read_no_more(place)
        if layers[place].op.name == "add" and inner:
            todo = [*layers[place].inputs, *todo]
        else:
            terms.append(place)
    if len(terms) < 2 or not math.isclose(count, len(terms), rel_tol=1e-12):
        return None
    if any(call.shape(place) != call.shape(tensor.place) for place in terms):
        return None
    return Tensor(call.add("average", terms), tensor.axes)


def _scaled(call: Operation, kind: str, pair: Sequence[Any]) -> Scores:
    """Scores of attention, and a factor."""
    scores, other = pair[::-1] if kind == "multiply" and isinstance(pair[1], Scores) else pair
    factor = number(other) if isinstance(other, np.ndarray) else None
    return attention.scaled(call, kind, scores, factor)


@OPS.of("neg")
def _negated(call: Operation) -> Tensor:
    return call.pointwise("rescale", call.tensor(), scale=-1.0)

