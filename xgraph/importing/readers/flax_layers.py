"""What convolutions, products and Flax' own layers mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from flax import nnx

from xgraph.importing import axes as laid
from xgraph.importing.network import Array, Held, op
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Table, Tensor
from xgraph.importing.readers.flax_node import Operation, Weight
from xgraph.importing.readers.flax_program import LAYERS, Layer

OPS: Table[Callable[[Operation], Any]] = Table()

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
    (left, right), (batch, _) = call.params["dimension_numbers"]
    other = call.given[1]
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


def _interpolated(call: Operation, tensor: Tensor, axis: int, matrix: Array) -> Tensor:
    """Rows or columns times a matrix (n, m), which may be that of a bilinear resize."""
    n, m = matrix.shape
    images = np.eye(n).reshape(n, n, 1, 1)
    resize = op("resize", size=[m, 1], method="bilinear")
    found = resize.reference([images], {}).reshape(n, m)
    if call.order(tensor)[axis] not in "hw" or not np.allclose(found, matrix, atol=1e-6):
        raise call.refused("with a matrix of constants that is no bilinear resize")
    return call.resized(tensor, axis, m, "bilinear")


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
    kinds = {frozenset[int](): "dropout", frozenset(range(1, rank)): "stochastic_depth"}
    if rank == 4:
        kinds |= {frozenset({1, 2}): "spatial_dropout"}
    kind = kinds.get(frozenset(axis % rank for axis in module.broadcast_dims))
    in_place = rank == 2 or value == call.reader.lying(value.place, "nhwc")
    if kind is None or not (kind == "dropout" or in_place):
        raise call.refused(f"with broadcast_dims {tuple(module.broadcast_dims)}")
    return call.pointwise(kind, value, rate=float(module.rate))


assert {kind.__name__ for kind in LAYERS} == set(_LAYERS)
