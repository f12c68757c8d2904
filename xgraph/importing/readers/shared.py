"""What operations mean that sources have in common, whatever they call them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from xgraph.importing import axes as laid
from xgraph.importing.axes import Part, whole
from xgraph.importing.network import Array, Held, LogSoftmax, Pixel, Shape, op
from xgraph.importing.readers.common import Call, Tensor
from xgraph.ops.channel_slice import ChannelSlice
from xgraph.ops.crop import Crop

_Sides = tuple[int, int]
#: Paths that are added up, each a layer of its own.
_MOST_PATHS = 16

# -- layers with weights --------------------------------------------------------------------------


def conv(
    call: Call, kind: str, tensor: Tensor, kernel: Held, bias: Held | None, /, **given: Any
) -> Tensor:
    """A kernel (filters, channels / groups, height, width); of a transposed one, channels first."""
    held = {"kernel": kernel.transposed(2, 3, 1, 0), **_bias(bias)}
    given |= {"kernel": list(kernel.form[2:]), "bias": bias is not None}
    return call.image(kind, tensor, held, **given)


def _bias(bias: Held | None) -> dict[str, Held]:
    return {} if bias is None else {"bias": bias}


def linear(call: Call, tensor: Tensor, kernel: Held, bias: Held | None = None) -> Tensor:
    """A kernel (channels, units) over the last axis: a dense layer, or a 1×1 convolution.

    Its rows are brought into our order, where a vector is an image's with channels first.
    """
    call.over_channels(tensor, -1)
    channels, units = kernel.form
    kernel = laid.in_order(kernel, tensor.axes[-1])
    has = bias is not None
    if len(call.shape(tensor.place)) == 1:
        held = {"kernel": kernel, **_bias(bias)}
        place = call.add("dense", [tensor.place], held, units=units, bias=has)
    else:
        held = {"kernel": kernel.reshaped(1, 1, channels, units), **_bias(bias)}
        place = call.add("conv", [tensor.place], held, filters=units, kernel=1, bias=has)
    return Tensor(place, (*tensor.axes[:-1], whole("c", units)))


def norm(
    call: Call, kind: str, tensor: Tensor, axis: int, vectors: Mapping[str, Any], **given: Any
) -> Tensor:
    """A normalization; `vectors` are its weights along an axis, or None, by our words.

    Groups of channels are normalized over all of an image, which must lie in one entry of the
    first axis.
    """
    if kind == "group_norm" and tensor.axes[:1] != (call.reader.known(tensor.place)["n"],):
        raise call.refused(f"of axes {laid.said(tensor.axes)}, of which the first is no batch")
    held = call.vectors(tensor, axis, vectors)
    given |= {"scale": "gamma" in held}
    if kind != "rms_norm":
        given |= {"center": "beta" in held}
    return call.pointwise(kind, tensor, held, **given)


def learned(
    call: Call, kind: str, tensor: Tensor, shape: Shape, word: str, held: Held, said: str
) -> Tensor:
    """An op with a vector that is multiplied with the tensor, or a part of it."""
    axis, channels = across(call, tensor, shape), call.shape(tensor.place)[-1]
    if axis is None and channels > 1:
        raise call.refused(f"with one {said} for all channels; read is one for each")
    vector = held.reshaped(channels)
    ordered = vector if axis is None else laid.in_order(vector, tensor.axes[axis])
    return call.pointwise(kind, tensor, {word: ordered})


_LINEAR = ("conv", "conv_transpose", "dense", "depthwise_conv")


def absorbed(call: Call, kind: str, place: int, vector: Held) -> bool:
    """Give a layer a vector that it has not: a bias, or what a group norm learns.

    It is added or multiplied with what the layer gives, which nothing else reads. A factor with a
    bias is a depthwise convolution of single pixels.
    """
    builder = call.reader.builder
    layer, made = builder.layers[place], builder.layers[place].op
    if kind == "add" and made.name == "scale" and len(call.shape(place)) == 3:
        if not call.reader.is_read_no_more(place):
            return False
        (gamma,), channels = layer.weights.values(), call.shape(place)[-1]
        kernel = gamma.reshaped(1, 1, channels, 1)
        conv = op("depthwise_conv", kernel=1, bias=True)
        held = {"depthwise_kernel": kernel, "bias": vector}
        builder.layers[place] = replace(layer, op=conv, weights=held)
        return True
    lacks = {word for word in ("bias", "scale", "center") if getattr(made, word, None) is False}
    if kind == "add" and made.name in _LINEAR and "bias" in lacks:
        word, flag = "bias", "bias"
    elif kind == "add" and made.name == "group_norm" and "center" in lacks:
        word, flag = "beta", "center"
    elif kind == "multiply" and made.name == "group_norm" and {"scale", "center"} <= lacks:
        word, flag = "gamma", "scale"
    else:
        return False
    if not call.reader.is_read_no_more(place):
        return False
    changed: Any = {flag: True}
    held = {**layer.weights, word: vector}
    builder.layers[place] = replace(layer, op=replace(made, **changed), weights=held)
    return True


def embedded(call: Call, tensor: Tensor, shape: Shape, held: Held) -> Tensor:
    """An image plus a number for each position and channel, in whichever order its axes are."""
    known, wanted = call.reader.known(tensor.place), call.shape(tensor.place)
    sizes = [1 if axis == known["n"] else laid.size(axis) for axis in tensor.axes]
    parts = [part for axis in tensor.axes for part in axis if axis != known["n"]]
    every = tuple(part for letter in "chw" for part in known.get(letter, ()))
    aligned = [*[1] * (len(tensor.axes) - len(shape)), *shape]
    if len(wanted) != 3 or aligned != sizes or laid.sorted_parts(parts) != every:
        said = f"with constants of shape {shape} for axes {laid.said(tensor.axes)}"
        raise call.refused(f"{said}; read is one for each channel, or each position and channel")
    held = held.reshaped(*(part.size for part in parts))
    ours = [("hwc".index(part.letter), -part.stride) for part in parts]
    held = held.transposed(*sorted(range(len(parts)), key=ours.__getitem__)).reshaped(*wanted)
    return call.pointwise("position_embedding", tensor, {"embedding": held})


# -- entries by themselves ------------------------------------------------------------------------


def clipped(call: Call, tensor: Tensor, low: float | None, high: float | None) -> Tensor:
    """Entries from `low` to `high`; None is no bound."""
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    if (low, high) == (-math.inf, math.inf):
        return tensor
    if (low, high) == (0, 1):
        return call.pointwise("hard_sigmoid", tensor, slope=1.0, offset=0.0)
    layer = call.reader.builder.layers[tensor.place]
    if (low, high) == (-math.inf, 6) and layer.op.name == "relu":
        return call.pointwise("relu6", Tensor(layer.inputs[0], tensor.axes))
    if low != 0 or high not in (6, math.inf):
        said = "read are 0 to 6, 0 to 1, and 0 and above"
        raise call.refused(f"from min={low:g} to max={high:g}; {said}")
    return call.pointwise("relu6" if high == 6 else "relu", tensor)


def leaky(call: Call, tensor: Tensor, slope: float) -> Tensor:
    """A tensor where it is above zero, and else a part of it; of none, `relu`."""
    if slope == 0:
        return call.pointwise("relu", tensor)
    return call.pointwise("leaky_relu", tensor, negative_slope=slope)


def across(call: Call, tensor: Tensor, shape: Shape) -> int | None:
    """The axis along which something of this shape goes with the channels; None: it is one."""
    wide = [k - len(shape) + len(tensor.axes) for k, n in enumerate(shape) if n != 1]
    if not wide and len(shape) <= len(tensor.axes):
        return None
    channels = call.reader.known(tensor.place)["c"]
    if (
        len(wide) != 1
        or len(shape) > len(tensor.axes)
        or laid.sorted_parts(tensor.axes[wide[0]]) != channels
        or math.prod(shape) != call.shape(tensor.place)[-1]
    ):
        said = laid.said(tensor.axes)
        raise call.refused(f"with constants of shape {shape} for axes {said}")
    return wide[0]


def with_constants(
    call: Call, kind: str, tensor: Tensor, array: Array, *, first: bool = False
) -> Tensor:
    """A tensor and constants, which may come `first`: add, subtract, multiply or divide."""
    array = array.astype("float64")
    if kind == "divide" and (first or not array.all()):
        raise call.refused("of constants by a tensor" if first else "by zero")
    scale, offset = {
        "add": (1.0, array),
        "subtract": (-1.0, array) if first else (1.0, -array),
        "multiply": (array, 0.0),
    }.get(kind) or (1 / array, 0.0)
    scale, offset = (_numbers(call, tensor, one) for one in (scale, offset))
    return call.pointwise("rescale", tensor, scale=scale, offset=offset)


def _numbers(call: Call, tensor: Tensor, array: Any) -> Any:
    """One number for all channels, or one for each in our order."""
    if isinstance(array, float):
        return float(array)
    axis = across(call, tensor, array.shape)
    if axis is None:
        return float(array.reshape(()))
    vector = array.ravel()
    if (vector == vector[0]).all():
        return float(vector[0])
    return laid.in_order(Held("", vector.shape), tensor.axes[axis]).seen(vector).tolist()


def merged(call: Call, kind: str, tensors: Sequence[Tensor]) -> Tensor:
    """An op of tensors whose axes mean the same, or are of size 1 in some of them.

    A vector beside images is one of a single pixel.
    """
    if any(len(call.shape(tensor.place)) > 1 for tensor in tensors):
        tensors = [_image(call, tensor) for tensor in tensors]
    rank = max(len(tensor.axes) for tensor in tensors)
    axes = [((),) * (rank - len(tensor.axes)) + tensor.axes for tensor in tensors]
    for largest in axes:
        if all(laid.fits(one, largest) for one in axes):
            return Tensor(call.add(kind, [tensor.place for tensor in tensors]), largest)
    said = " and ".join(dict.fromkeys(map(laid.said, axes)))
    raise call.refused(f"of tensors whose axes do not mean the same: {said}")


def _image(call: Call, tensor: Tensor) -> Tensor:
    if len(call.shape(tensor.place)) > 1:
        return tensor
    return Tensor(call.reader.builder.add(call.name, Pixel(), [tensor.place]), tensor.axes)


# -- pixels, and parts of axes --------------------------------------------------------------------


def pool_all(call: Call, kind: str, tensor: Tensor, axes: Sequence[int], *, kept: bool) -> Tensor:
    """Over all pixels, in whichever axes they are, which are kept as 1 or not."""
    chosen = {call.axis(tensor, axis) for axis in axes}
    gone = laid.sorted_parts([part for axis in chosen for part in tensor.axes[axis]])
    known = call.reader.known(tensor.place)
    if not chosen or gone != (*known.get("h", ()), *known.get("w", ())):
        said = laid.said(tensor.axes)
        raise call.refused(f"over axes {list(axes)} of {said}, not over all pixels")
    place = call.add(kind, [tensor.place], keep_dims=kept) if "h" in known else tensor.place
    left = [() if k in chosen else axis for k, axis in enumerate(tensor.axes)]
    return Tensor(place, tuple(axis for k, axis in enumerate(left) if kept or k not in chosen))


def zero_pad(call: Call, tensor: Tensor, sides: Mapping[int, _Sides]) -> Tensor:
    """Zeros in front of axes and behind them; where a number is below 0, entries go."""
    if any(min(side) < 0 for side in sides.values()):
        lost = {axis: (max(-one, 0), max(-other, 0)) for axis, (one, other) in sides.items()}
        sizes = {axis: laid.size(tensor.axes[axis]) for axis in sides}
        kept = {axis: (low, sizes[axis] - low - high) for axis, (low, high) in lost.items()}
        tensor = cut(call, tensor, {axis: kept[axis] for axis in sides if any(lost[axis])})
        sides = {axis: (max(one, 0), max(other, 0)) for axis, (one, other) in sides.items()}
    around = {"h": (0, 0), "w": (0, 0)}
    if not any(map(any, sides.values())):
        return tensor
    order = call.order(tensor)
    for axis, side in sides.items():
        if any(side):
            if order[axis] not in around:
                raise call.refused("pads an axis that is not one of an image's height and width")
            around[order[axis]] = side
    return call.spatial("zero_pad", tensor, padding=[list(around["h"]), list(around["w"])])


def cut(call: Call, tensor: Tensor, parts: Mapping[int, _Sides]) -> Tensor:
    """Segments of axes, each by its start and size: of channels, or an image without borders.

    Where channels are split, the axis of their outer parts has segments of them.
    """
    axes, cropping = list(tensor.axes), {"h": [0, 0], "w": [0, 0]}
    place = tensor.place
    for axis, (start, count) in parts.items():
        n, known = laid.size(axes[axis]), call.reader.known(place)
        if count == n:
            continue
        (part,) = axes[axis] if len(axes[axis]) == 1 else (Part("x", n),)
        if part.letter == "c" and n * part.stride == call.shape(place)[-1]:
            size = {"start": start * part.stride, "channels": count * part.stride}
            place = call.add("channel_slice", [place], **size)
        elif axes[axis] in (known.get("h"), known.get("w")):
            cropping[part.letter] = [start, n - start - count]
        else:
            said = laid.said(tensor.axes)
            raise call.refused(f"of a part of axis {axis} of {said}, not over the channels")
        axes[axis] = whole(part.letter, count, part.stride)
    if any(map(any, cropping.values())):
        place = call.add("crop", [place], cropping=[cropping["h"], cropping["w"]])
    return Tensor(place, tuple(axes))


def pixel_of_blocks(call: Call, tensor: Tensor, size: int, row: int, column: int) -> Tensor:
    """The pixel in this row and column of each block of an image's pixels."""
    place, channels, builder = tensor.place, call.shape(tensor.place)[-1], call.reader.builder
    order = call.order(tensor)
    made = op("space_to_depth", block=size)
    known = (k for k, one in enumerate(builder.layers) if (one.op, one.inputs) == (made, (place,)))
    blocks = next(known, None)
    if blocks is None:
        blocks = builder.add(call.name, made, [place])
    start = (row * size + column) * channels
    segment = {"start": start, "channels": channels}
    return call.reader.lying(call.add("channel_slice", [blocks], **segment), order)


def entry(call: Call, tensor: Tensor, axis: int, number: int) -> Tensor:
    """One entry of an axis, which is gone: the only one, or a segment of channels."""
    made = cut(call, tensor, {axis: (number, 1)})
    return Tensor(made.place, made.axes[:axis] + made.axes[axis + 1 :])


def split(call: Call, tensor: Tensor, axis: int, sizes: Sequence[int]) -> list[Tensor]:
    """An axis in segments of these sizes."""
    axis = call.axis(tensor, axis)
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return [cut(call, tensor, {axis: one}) for one in zip(starts, sizes, strict=True)]


def concat(call: Call, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Channels of tensors whose other axes mean the same."""
    axis = call.axis(tensors[0], axis)
    others = set()
    for tensor in tensors:
        call.over_channels(tensor, axis, ordered=True)
        others.add((*tensor.axes[:axis], (), *tensor.axes[axis + 1 :]))
    if len(others) > 1:
        said = " and ".join(laid.said(tensor.axes) for tensor in tensors)
        raise call.refused(f"of tensors whose axes do not mean the same: {said}")
    place = call.add("concat", [tensor.place for tensor in tensors])
    axes = list(tensors[0].axes)
    axes[axis] = call.reader.known(place)["c"]
    return Tensor(place, tuple(axes))


def joined(call: Call, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """A concat; of all parts of one tensor, in their order, it is that tensor."""
    axis = call.axis(tensors[0], axis)
    found = [_part(call, tensor, axis) for tensor in tensors]
    parts = [part for part in found if part is not None]
    if len(parts) == len(tensors) > 1:
        whole, at = parts[0][0], 0
        for of, start, count in parts:
            if of != whole or start != at:
                return concat(call, tensors, axis)
            at += count
        if at == laid.size(whole.axes[axis]):
            return whole
    return concat(call, tensors, axis)


def _part(call: Call, tensor: Tensor, axis: int) -> tuple[Tensor, int, int] | None:
    """Of what a tensor is a part along an axis, from where on and how much of it; if it is one."""
    layer, count = call.reader.builder.layers[tensor.place], laid.size(tensor.axes[axis])
    if len(layer.inputs) != 1 or not isinstance(layer.op, ChannelSlice | Crop):
        return None
    (place,) = layer.inputs
    known, cut = call.reader.known(place), call.reader.known(tensor.place)
    if isinstance(layer.op, ChannelSlice):
        letter, start = "c", layer.op.start
    else:
        rows, columns = layer.op.cropping
        if any(rows) and any(columns):
            return None
        letter, start = ("h", rows[0]) if any(rows) else ("w", columns[0])
    if tensor.axes[axis] != cut[letter]:
        return None
    axes = (*tensor.axes[:axis], known[letter], *tensor.axes[axis + 1 :])
    return Tensor(place, axes), start, count


def stacked(call: Call, tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors along a new axis, which becomes the outer part of the channels."""
    first, channels = tensors[0], call.reader.known(tensors[0].place)["c"]
    alike = all(
        one.axes == first.axes and call.shape(one.place) == call.shape(first.place)
        for one in tensors
    )
    if not alike or (channels and channels not in first.axes):
        said = " and ".join(dict.fromkeys(laid.said(one.axes) for one in tensors))
        raise call.refused(f"of tensors of axes {said}; read are those of one shape, over channels")
    count = call.shape(first.place)[-1]
    place = call.add("concat", [one.place for one in tensors])
    axis %= len(first.axes) + 1
    outer = whole("c", len(tensors), count)
    return Tensor(place, (*first.axes[:axis], outer, *first.axes[axis:]))


def entries(call: Call, tensor: Tensor, axis: int) -> list[Tensor]:
    """The entries of an axis that is the outer part of the channels, such as a stack's."""
    axis = call.axis(tensor, axis)
    if any(part.letter != "c" for part in tensor.axes[axis]):
        raise call.refused(f"over axis {axis} of {laid.said(tensor.axes)}, not over paths")
    count = laid.size(tensor.axes[axis])
    if count > _MOST_PATHS:
        raise call.refused(f"over {count} entries; read are {_MOST_PATHS} at most")
    return [entry(call, tensor, axis, k) for k in range(count)]


def summed(call: Call, tensor: Tensor, axis: int) -> Tensor:
    """The sum of such entries."""
    parts = entries(call, tensor, axis)
    return parts[0] if len(parts) == 1 else merged(call, "add", parts)


def log(call: Call, tensor: Tensor) -> Tensor:
    """The logarithm of a softmax."""
    layer = call.reader.builder.layers[tensor.place]
    if layer.op.name != "softmax":
        raise call.refused("of other than a softmax")
    return log_softmax(call, Tensor(layer.inputs[0], tensor.axes))


def log_softmax(call: Call, tensor: Tensor) -> Tensor:
    """The logarithm of a softmax over the channels, with which a network may end."""
    place = call.reader.builder.add(call.name, LogSoftmax(), [tensor.place])
    return Tensor(place, tensor.axes)


def softmax_of_two(call: Call, tensor: Tensor, axis: int) -> Tensor:
    """The softmax of two such entries: of a and b, σ(a − b) and σ(b − a)."""
    axis = call.axis(tensor, axis)
    pair = entries(call, tensor, axis)
    if len(pair) != 2:
        raise call.refused(f"over {len(pair)} entries of {laid.said(tensor.axes)}; read are two")
    gates = [merged(call, "subtract", two) for two in (pair, pair[::-1])]
    return stacked(call, [call.pointwise("sigmoid", gate) for gate in gates], axis)


def resized(call: Call, tensor: Tensor, size: Sequence[int], method: str) -> Tensor:
    """An image of another size, in whichever order its axes are."""
    return call.spatial("resize", tensor, size=list(size), method=method)


def nearest(n: int, m: int) -> list[int]:
    """Which of n pixels `resize` takes for each of m."""
    return [(2 * i + 1) * n // (2 * m) for i in range(m)]
