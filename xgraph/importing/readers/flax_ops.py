"""What JAX's primitives mean, and functions of JAX that are found by their steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xgraph.importing import axes as laid
from xgraph.importing.axes import Axes, Axis
from xgraph.importing.network import Array, Shape
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Table, Tensor
from xgraph.importing.readers.flax_idioms import number
from xgraph.importing.readers.flax_node import Operation, Times, Weight
from xgraph.ops.avg_pool import AvgPool

OPS: Table[Callable[[Operation], Any]] = Table()
IDIOMS: Table[Callable[[Operation], Any]] = Table()

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
    if call.order(value)[axis] in "hw" and taken == shared.nearest(n, len(taken)):
        return call.resized(value, axis, len(taken), "nearest")
    if taken == list(range(taken[0], taken[0] + len(taken))):
        return shared.cut(call, value, {axis: (taken[0], len(taken))})
    raise call.refused("takes rows or columns that are neither side by side nor the nearest")


# -- pooling --------------------------------------------------------------------------------------


def _window(call: Operation, value: Tensor) -> dict[str, Any]:
    """A window on rows and columns, wherever these lie."""
    given, order = call.params, call.order(value)
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
    order = call.order(value)
    place = call.add(kind, [value.place], **_window(call, value), **told)
    return call.reader.lying(place, order)


@OPS.of("reduce_window_max")
def _max_pool(call: Operation) -> Tensor:
    return _pool(call, "max_pool")


@OPS.of("reduce_window_sum")
def _sum_pool(call: Operation) -> Times:
    bordered = any(any(sides) for sides in call.params["padding"])
    made = _pool(call, "avg_pool", count_include_pad=bordered)
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
        order = call.order(value.tensor)
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


@IDIOMS.of("log_softmax")
def _log_softmax(call: Operation) -> Tensor:
    tensor = call.tensor()
    call.over_channels(tensor, call.params["axis"], ordered=True)
    return shared.log_softmax(call, tensor)


@OPS.of("log")
def _log(call: Operation) -> Tensor:
    return shared.log(call, call.tensor())


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
    share = kind == "multiply" or (kind == "divide" and not first)
    if isinstance(value, Times) and isinstance(other, np.ndarray) and share:
        return _averaged(call, value, other if kind == "divide" else 1 / other)
    tensor = call.tensor(int(first))
    if isinstance(other, Weight):
        return _with_weight(call, kind, tensor, other, first=first)
    if kind in ("maximum", "minimum"):
        bound = number(other)
        if bound is None:
            raise call.refused("of constants")
        return shared.clipped(
            call, tensor, *((bound, None) if kind == "maximum" else (None, bound))
        )
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
    return (
        lies if every and laid.sorted_parts(lies) == call.reader.known(tensor.place)["c"] else None
    )


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
