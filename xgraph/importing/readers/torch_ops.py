"""What PyTorch's operations mean, each by itself; `torch_steps` has those that are steps."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from xgraph.importing import axes as laid
from xgraph.importing.axes import Axes, Blocks
from xgraph.importing.network import Held
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Tensor
from xgraph.importing.readers.torch_chance import MARK
from xgraph.importing.readers.torch_memory import DROPOUTS
from xgraph.importing.readers.torch_operation import Compared, Meanings, Operation, Strided, Walled
from xgraph.importing.readers.torch_program import Weight, is_learned, key

OPS = Meanings()
#: What has no result, or none that matters.
IGNORED = ("_assert_tensor_metadata", "_assert_async", "_assert_scalar")


def _pair(numbers: Any, default: Any = None) -> list[int]:
    """One number for both axes, or one for each; PyTorch's `[]` says that there is none."""
    given = [numbers] if isinstance(numbers, int) else list(numbers) or list(default)
    return given * 2 if len(given) == 1 else given


def _sides(padding: Any) -> list[list[int]]:
    return [[pixels, pixels] for pixels in _pair(padding)]


# -- the same entries -----------------------------------------------------------------------------

SAME = (
    "_to_copy", "alias", "clone", "contiguous", "detach", "lift_fresh_copy", "positive", "to",
    "type_as",
)  # fmt: skip
VIEWS = (
    "_unsafe_view", "flatten", "reshape", "reshape_as", "squeeze", "unflatten", "unsqueeze", "view",
    "view_as",
)  # fmt: skip
ORDERS = (
    "mT", "movedim", "moveaxis", "numpy_T", "permute", "swapaxes", "swapdims", "t", "transpose",
)  # fmt: skip


#: Types between which a cast changes nothing but how numbers are rounded.
_PRECISE = (torch.float32, torch.float64)


@OPS.of(*SAME)
def _same(call: Operation) -> Any:
    source, made = call.node.all_input_nodes[0].meta["val"].dtype, call.node.meta["val"].dtype
    numbers = (*_PRECISE, torch.bool) if isinstance(call.given["self"], Compared) else _PRECISE
    if source != made and not (source in numbers and made in numbers):
        raise call.refused(f"makes {made} of {source}")
    return call.given["self"]


def _viewed(call: Operation, axes: Axes | None) -> Tensor:
    if axes is None:
        raise call.refused(f"of shape {call.made} cuts across axes {laid.said(call.raw().axes)}")
    return Tensor(call.raw().place, axes)


@OPS.of(*VIEWS)
def _view(call: Operation) -> Tensor:
    return _viewed(call, laid.reshaped(call.raw().axes, call.made))


@OPS.of(*ORDERS)
def _ordered(call: Operation) -> Tensor:
    """Axes in another order: that in which the operation would have axes of other sizes."""
    axes = call.raw().axes
    return _viewed(call, tuple(axes[axis] for axis in order(call, len(axes))))


def order(call: Operation, rank: int) -> list[int]:
    """Which axis becomes which, of so many."""
    target: Any = call.node.target
    told = {word: value for word, value in call.given.items() if word != "self"}
    sizes = target(torch.empty(*range(2, rank + 2), device="meta"), **told).shape
    return [size - 2 for size in sizes]


@OPS.of("expand", "expand_as", "broadcast_to")
def _expand(call: Operation) -> Tensor | Weight:
    weight = call.given["self"]
    if isinstance(weight, Weight) and is_learned(weight):
        return weight  # whatever reads it next repeats it
    return _viewed(call, laid.expanded(call.raw().axes, call.made))


# -- parts and wholes -----------------------------------------------------------------------------


@OPS.of("select")
def _select(call: Operation) -> Tensor:
    value = call.raw()
    axis = call.axis(value, call.given["dim"])
    return shared.entry(call, value, axis, call.given["index"] % laid.size(value.axes[axis]))


@OPS.of("unbind")
def _unbind(call: Operation) -> list[Tensor]:
    value = call.raw()
    axis = call.axis(value, call.given["dim"])
    return [shared.entry(call, value, axis, k) for k in range(laid.size(value.axes[axis]))]


#: Where a slice of all of an axis begins and ends, as PyTorch writes it.
_ALL = [[start, end] for start in (None, 0) for end in (None, sys.maxsize)]


@OPS.of("slice", "narrow")
def _slice(call: Operation) -> Tensor | Strided:
    before = call.given[call.word]
    if isinstance(before, Strided) and key(call.node) == "slice":
        return _both(call, before)
    value = call.tensor()
    axis = call.axis(value, call.given["dim"])
    n = laid.size(value.axes[axis])
    told = [call.given.get(word) for word in ("start", "end")]
    if told not in _ALL and "n" in {part.letter for part in value.axes[axis]}:
        raise call.refused("of so many images, whatever a batch has")
    if key(call.node) == "narrow":
        return shared.cut(call, value, {axis: (int(call.given["start"]) % n, call.given["length"])})
    start, stop, step = slice(*(call.given[word] for word in ("start", "end", "step"))).indices(n)
    if step != 1:
        return _strided(call, value, axis, n)
    return shared.cut(call, value, {axis: (start, stop - start)})


def _strided(call: Operation, value: Tensor, axis: int, n: int) -> Strided:
    """One row or column of each block of pixels."""
    rows = range(n)[slice(*(call.given[word] for word in ("start", "end", "step")))]
    known, whole = call.reader.known(value.place), value.axes[axis]
    of_image = "h" in known and whole in (known["h"], known["w"])
    if not of_image or n % rows.step or len(rows) * rows.step != n:
        raise call.refused(f"with step {rows.step} along axis {axis} of {laid.said(value.axes)}")
    return Strided(value, axis, rows.start, rows.step)


def _both(call: Operation, one: Strided) -> Tensor:
    """One pixel of each block, where rows were sliced and columns are, or the other way."""
    value = one.tensor
    axis = call.axis(value, call.given["dim"])
    other = _strided(call, value, axis, laid.size(value.axes[axis]))
    if other.axis == one.axis or other.step != one.step:
        raise call.refused(f"with step {other.step} of one with step {one.step}")
    row, column = (k.start for k in sorted((one, other), key=lambda k: _letter(value, k.axis)))
    return shared.pixel_of_blocks(call, value, one.step, row, column)


def _letter(value: Tensor, axis: int) -> str:
    return value.axes[axis][0].letter


@OPS.of("chunk", "hsplit", "split", "split_with_sizes", "tensor_split")
def _split(call: Operation) -> list[Tensor]:
    axis = call.given.get("dim", 1)
    sizes = [int(one.shape[axis]) for one in call.node.meta["val"]]
    value = call.tensor()
    if "n" in {part.letter for part in value.axes[axis]}:
        raise call.refused("of so many images, whatever a batch has")
    return shared.split(call, value, axis, sizes)


@OPS.of("cat", "concat", "concatenate", "hstack")
def _concat(call: Operation) -> Tensor:
    """Parts of one tensor in their order are that tensor again."""
    return shared.joined(call, _tensors(call), call.given.get("dim", 1))


@OPS.of("stack")
def _stack(call: Operation) -> Tensor:
    return shared.stacked(call, _tensors(call), call.given["dim"])


def _tensors(call: Operation) -> list[Tensor]:
    tensors = call.given["tensors"]
    if not all(isinstance(one, Tensor) for one in tensors):
        raise call.refused("of what does not follow from the images")
    return [call.settled(one) for one in tensors]


_BORDERS = (None, 0, -math.inf)


@OPS.of("pad", "constant_pad_nd")
def _pad(call: Operation) -> Tensor | Walled:
    if call.given.get("mode", "constant") != "constant" or call.given["value"] not in _BORDERS:
        mode = call.given.get("mode", "constant")
        told = f"mode {mode}" if mode != "constant" else f"{call.given['value']:g}"
        raise call.refused(f"pads with other than zeros, or −∞ before max pooling: {told}")
    value, pixels = call.tensor(), call.given["pad"]
    pairs = list(zip(pixels[::2], pixels[1::2], strict=True))
    if call.given["value"] == -math.inf and len(pairs) == 2:
        call.first(value)
        return Walled(value, (pairs[1], pairs[0]))
    last = len(value.axes) - 1
    return shared.zero_pad(call, value, {last - k: sides for k, sides in enumerate(pairs)})


@OPS.of("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: Operation) -> Tensor:
    return call.image("channel_shuffle", call.tensor(), groups=call.given["groups"])


@OPS.of("pixel_shuffle", "pixel_unshuffle")
def _pixel_shuffle(call: Operation) -> Tensor:
    value, apart = call.tensor(), key(call.node) == "pixel_shuffle"
    call.first(value)
    block = call.given["upscale_factor" if apart else "downscale_factor"]
    return call.reader.blocks(call.name, value.place, Blocks(block, apart, crd=True))


# -- layers with weights --------------------------------------------------------------------------


@OPS.of("conv2d")
def _conv(call: Operation) -> Tensor:
    given, kernel, padding = call.given, call.held("weight"), call.given["padding"]
    window = {
        "stride": _pair(given["stride"]),
        "padding": padding if isinstance(padding, str) else _sides(padding),
        "dilation": _pair(given["dilation"]),
    }
    told = {"filters": kernel.form[0], "groups": given["groups"]}
    return shared.conv(call, "conv", call.tensor(), kernel, call.maybe("bias"), **told, **window)


@OPS.of("conv_transpose2d")
def _conv_transpose(call: Operation) -> Tensor:
    call.plain(groups=1, dilation=1)
    given, kernel = call.given, call.held("weight")
    window: dict[str, Any] = {
        "stride": _pair(given["stride"]),
        "padding": _sides(given["padding"]),
        "output_padding": _pair(given["output_padding"]),
    }
    window["filters"] = kernel.form[1]
    bias = call.maybe("bias")
    return shared.conv(call, "conv_transpose", call.tensor(), kernel, bias, **window)


@OPS.of("linear")
def _linear(call: Operation) -> Tensor:
    kernel = call.held("weight").transposed(1, 0)
    return shared.linear(call, call.tensor(), kernel, call.maybe("bias"))


@OPS.of("matmul", "bmm", "mm")
def _matmul(call: Operation) -> Any:
    """With a weight, or of two tensors, as in attention."""
    one, word = call.given["self"], "other" if "other" in call.given else "mat2"
    if is_learned(call.given[word]):
        return shared.linear(call, call.tensor(), matrix(call, word))
    if is_learned(one):  # (W x)ᵀ = xᵀ Wᵀ
        made = shared.linear(
            call, last_two(call.of_images(word)), matrix(call, "self").transposed(1, 0)
        )
        return last_two(made)
    return attention.matmul(
        call, one if isinstance(one, Scores) else call.raw(), call.of_images(word)
    )


def matrix(call: Operation, word: str) -> Held:
    """A weight of two axes."""
    held = call.held(word)
    if len(held.form) != 2:
        raise call.refused(f"with a weight of shape {held.form}; read are those of two axes")
    return held


def last_two(tensor: Tensor) -> Tensor:
    """A tensor with its last two axes the other way round."""
    *outer, rows, columns = tensor.axes
    return Tensor(tensor.place, (*outer, columns, rows))


@OPS.of("addmm")
def _addmm(call: Operation) -> Tensor:
    call.plain(alpha=1, beta=1)
    bias = call.held("self")
    value, kernel = call.settled(call.of_images("mat1")), matrix(call, "mat2")
    if bias.form != kernel.form[1:]:
        raise call.refused(f"with a bias of shape {bias.form}; read is one for each unit")
    return shared.linear(call, value, kernel, bias)


@OPS.of("scaled_dot_product_attention")
def _attention(call: Operation) -> Tensor:
    if call.given["attn_mask"] is not None:
        raise call.refused("with a mask")
    call.plain(is_causal=False, enable_gqa=False)
    if call.given["dropout_p"]:
        raise call.refused("that drops in evaluation too")
    query, keys, values = (call.of_images(word) for word in ("query", "key", "value"))
    scale = call.given["scale"]
    scale = laid.size(query.axes[-1]) ** -0.5 if scale is None else scale
    return attention.attended(call, query, keys, values, scale)


def _norm(call: Operation, kind: str, axis: int, words: Mapping[str, str], **told: Any) -> Tensor:
    vectors = {ours: call.maybe(word) for ours, word in words.items()}
    return shared.norm(call, kind, call.tensor(), axis, vectors, **told)


_LEARNED = {"gamma": "weight", "beta": "bias"}


@OPS.of("batch_norm")
def _batch_norm(call: Operation) -> Tensor:
    given = call.given
    if given["training"] or given["running_mean"] is None:
        raise call.refused("by the batch's own statistics, in evaluation too")
    if not given["momentum"]:
        raise call.refused("without momentum, whose statistics move otherwise or never")
    words = {**_LEARNED, "moving_mean": "running_mean", "moving_variance": "running_var"}
    momentum = round(1 - given["momentum"], 12)
    return _norm(call, "batch_norm", 1, words, epsilon=given["eps"], momentum=momentum)


@OPS.of("layer_norm", "rms_norm")
def _layer_norm(call: Operation) -> Tensor:
    kind, epsilon = key(call.node), call.given["eps"]
    if len(call.given["normalized_shape"]) != 1:
        raise call.refused("over more than the last axis")
    if epsilon is None:
        epsilon = torch.finfo(call.node.meta["val"].dtype).eps
    words = _LEARNED if kind == "layer_norm" else {"gamma": "weight"}
    return _norm(call, kind, -1, words, epsilon=epsilon)


@OPS.of("group_norm", "instance_norm")
def _group_norm(call: Operation) -> Tensor:
    """Of an instance each channel is a group."""
    if not call.given.get("use_input_stats", True):
        raise call.refused("by moving statistics")
    value = call.tensor()
    call.over_channels(value, 1, ordered=True)
    groups = call.given.get("num_groups", call.shape(value.place)[-1])
    return _norm(call, "group_norm", 1, _LEARNED, epsilon=call.given["eps"], groups=groups)


@OPS.of("prelu")
def _prelu(call: Operation) -> Tensor:
    value, held = call.tensor(), call.held("weight")
    shape = (*held.form, *(1 for _ in value.axes[2:]))
    return shared.learned(call, "prelu", value, shape, "alpha", held, "slope")


# -- pooling --------------------------------------------------------------------------------------


def _pool(call: Operation, kind: str, tensor: Tensor, padding: Any, **told: Any) -> Tensor:
    kernel = _pair(call.given["kernel_size"])
    stride = _pair(call.given["stride"], kernel)
    window = {"kernel": kernel, "stride": stride, "padding": padding}
    return call.image(kind, tensor, **window, ceil_mode=call.given["ceil_mode"], **told)


@OPS.of("max_pool2d_with_indices")
def _max_pool_and_places(call: Operation) -> list[Any]:
    return [_max_pool(call), None]


@OPS.of("max_pool2d")
def _max_pool(call: Operation) -> Tensor:
    call.plain(dilation=1)
    padding, value = _sides(call.given["padding"]), call.given["self"]
    if not isinstance(value, Walled):
        return _pool(call, "max_pool", call.tensor(), padding)
    both = zip(padding, value.sides, strict=True)
    padding = [[own + wall for own, wall in zip(*pair, strict=True)] for pair in both]
    return _pool(call, "max_pool", value.image, padding)


@OPS.of("avg_pool2d")
def _avg_pool(call: Operation) -> Tensor:
    call.plain(divisor_override=None)
    told = {"count_include_pad": call.given["count_include_pad"]}
    return _pool(call, "avg_pool", call.tensor(), _sides(call.given["padding"]), **told)


@OPS.of("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _to_size(call: Operation) -> Any:
    """The second result for maxima says where they are."""
    kind, size = key(call.node).removesuffix("2d"), _pair(call.given["output_size"])
    if size == [1, 1]:
        whole = kind.replace("adaptive", "global")
        made = call.image(whole, call.tensor(), keep_dims=True)
    else:
        made = call.image(kind, call.tensor(), size=size)
    return [made, None] if "max" in kind else made


@OPS.of("upsample_nearest2d", "_upsample_nearest_exact2d")
def _nearest(call: Operation) -> Tensor:
    sizes = call.node.all_input_nodes[0].meta["val"].shape[2:]
    exact = "exact" in key(call.node)
    for n, m in zip(sizes, call.made[2:], strict=True):
        if not exact and shared.nearest(n, m) != [i * n // m for i in range(m)]:
            raise call.refused(f"of {n} pixels to {m}; nearest-exact is read at all sizes")
    return _resized(call, "nearest")


@OPS.of("upsample_bilinear2d")
def _bilinear(call: Operation) -> Tensor:
    call.plain(align_corners=False)
    return _resized(call, "bilinear")


def _resized(call: Operation, method: str) -> Tensor:
    words = ("scales_h", "scales_w")
    factors = call.given.get("scale_factors") or [
        call.given[word] for word in words if call.given.get(word) is not None
    ]
    sizes = call.node.all_input_nodes[0].meta["val"].shape[2:]
    for factor, n, m in zip(factors, sizes, call.made[2:], strict=False):
        if not math.isclose(n * factor, m, rel_tol=1e-9):
            raise call.refused(f"of {n} pixels times {factor:g}, which is not whole")
    value = call.tensor()
    call.first(value)
    return shared.resized(call, value, call.made[2:], method)


# -- entries by themselves ------------------------------------------------------------------------

#: Ops of ours whose attributes, if they have any, are called as theirs.
_POINTWISE: dict[str, tuple[str, Sequence[str]]] = {
    "hardsigmoid": ("hard_sigmoid", ()),
    "hardswish": ("hard_swish", ()),
    "mish": ("mish", ()),
    "relu": ("relu", ()),
    "relu6": ("relu6", ()),
    "sigmoid": ("sigmoid", ()),
    "special_expit": ("sigmoid", ()),
    "silu": ("silu", ()),
}


@OPS.of(*_POINTWISE)
def _pointwise(call: Operation) -> Tensor:
    kind, words = _POINTWISE[key(call.node)]
    return call.pointwise(kind, call.tensor(), **{word: call.given[word] for word in words})


@OPS.of("leaky_relu")
def _leaky_relu(call: Operation) -> Tensor:
    return shared.leaky(call, call.tensor(), call.given["negative_slope"])


@OPS.of("elu")
def _elu(call: Operation) -> Tensor:
    call.plain(scale=1, input_scale=1)
    return call.pointwise("elu", call.tensor(), alpha=call.given["alpha"])


@OPS.of("gelu")
def _gelu(call: Operation) -> Tensor:
    approximation = "tanh" if call.given["approximate"] == "tanh" else "exact"
    return call.pointwise("gelu", call.tensor(), approximation=approximation)


@OPS.of("hardtanh")
def _hardtanh(call: Operation) -> Tensor:
    return shared.clipped(call, call.tensor(), call.given["min_val"], call.given["max_val"])


@OPS.of("clamp", "clip", "clamp_min", "clamp_max")
def _clamp(call: Operation) -> Tensor:
    low, high = (call.bound(call.given.get(word)) for word in ("min", "max"))
    return shared.clipped(call, call.tensor(), low, high)


@OPS.of("threshold")
def _threshold(call: Operation) -> Tensor:
    """x where it is above the threshold, else a value."""
    call.plain(threshold=0, value=0)
    return call.pointwise("relu", call.tensor())


@OPS.of("softmax", "_softmax")
def _softmax(call: Operation) -> Any:
    scores = call.given["self"]
    if isinstance(scores, Scores):
        return attention.normalized(call, scores, call.given["dim"])
    value = call.tensor()
    axis = call.axis(value, call.given["dim"])
    paths = value.axes[axis]
    if len(paths) == 1 and paths[0].letter == "c" and paths[0].stride > 1:
        return shared.softmax_of_two(call, value, axis)
    call.over_channels(value, axis, ordered=True)
    return call.pointwise("softmax", value)


@OPS.of(*DROPOUTS)
def _dropout(call: Operation) -> Any:
    scores, rate = call.given[call.word], call.given["p"]
    if rate and call.given["train"]:
        raise call.refused("that drops in evaluation too")
    if isinstance(scores, Scores):
        return scores
    value = call.tensor()
    if rate == 0:
        return value
    whole = key(call.node) == "feature_dropout" and len(value.axes) > 2
    known = call.reader.known(value.place)
    if whole and value.axes[:2] != (known["n"], known["c"]):
        raise call.refused(f"of axes {laid.said(value.axes)}, which drops other than channels")
    return call.pointwise("spatial_dropout" if whole else "dropout", value, rate=rate)


@OPS.of(MARK)
def _stochastic_depth(call: Operation) -> Any:
    value = call.tensor()
    if value.axes[0] != call.reader.known(value.place)["n"]:
        raise call.refused(
            f"of axes {laid.said(value.axes)}, which drops other than whole examples"
        )
    return call.pointwise("stochastic_depth", value, rate=call.given["rate"])
