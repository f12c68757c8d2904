"""What PyTorch's operations mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.fx import Node

from xgraph.importing import axes as laid
from xgraph.importing.axes import Axes, Blocks
from xgraph.importing.network import Array, Held, Refused, Shape
from xgraph.importing.readers import attention, shared
from xgraph.importing.readers.attention import Scores
from xgraph.importing.readers.common import Call, Table, Tensor
from xgraph.importing.readers.torch_chance import MARK
from xgraph.importing.readers.torch_memory import DROPOUTS
from xgraph.importing.readers.torch_program import (
    Weight,
    computes_kernel,
    is_learned,
    key,
    path,
    said,
)


@dataclass(frozen=True)
class Walled:
    """An image in a border of −∞, which no maximum takes: only max pooling reads it.

    Attributes:
        sides: pixels before and behind it, of rows and of columns.
    """

    image: Tensor
    sides: tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Operation(Call):
    """An operation of ATen: its node, and what it is given by its own words."""

    node: Node
    given: Mapping[str, Any]

    @property
    def made(self) -> Shape:
        """The shape of what comes out."""
        return tuple(self.node.meta["val"].shape)

    @property
    def word(self) -> str:
        """PyTorch's word for what it is of; of an operation in place it is always `self`."""
        return "input" if "input" in self.given else "self"

    def raw(self) -> Tensor:
        """What follows from the images, with axes as they are."""
        return self.of_images(self.word)

    def of_images(self, word: str) -> Tensor:
        """The same of an argument that is not the first."""
        value = self.given[word]
        if isinstance(value, Scores):
            raise self.refused("of scores of attention, which are multiplied with values alone")
        if isinstance(value, Walled):
            raise self.refused("of an image in a border of −∞, which max pooling alone reads")
        if not isinstance(value, Tensor):
            raise self.refused("of what does not follow from the images")
        return value

    def tensor(self) -> Tensor:
        """The same, an image or a vector as it has four axes or two."""
        return self.settled(self.raw())

    def settled(self, value: Tensor) -> Tensor:
        return self.reader.settled(self.name, value)

    def held(self, word: str) -> Held:
        """A weight as the module has it."""
        weight = self.given[word]
        if not isinstance(weight, Weight) or weight.shape != weight.held.shape:
            raise self.refused(f"whose {word} is no parameter but computed")
        return weight.held

    def maybe(self, word: str) -> Held | None:
        """A weight that may be left out."""
        return None if self.given[word] is None else self.held(word)

    def array(self, constant: Any) -> Array:
        """Numbers that are no weights."""
        constant = constant.tensor if isinstance(constant, Weight) else constant
        if not isinstance(constant, torch.Tensor | float | int):
            raise self.refused("with what is no number")
        array: Array = torch.as_tensor(constant, dtype=torch.float64).detach().numpy()
        return array

    def plain(self, **expected: Any) -> None:
        """Refuse arguments that an op of ours has not."""
        for word, value in expected.items():
            given = self.given[word]
            if any(one != value for one in (given if isinstance(given, list | tuple) else [given])):
                raise self.refused(f"with {word} {given}")

    def reshaped_weight(self) -> Any:
        """A weight with axes of size 1 put in or taken away."""
        weight = self.given.get("self")
        if (conv := computes_kernel(self.node)) is not None:
            raise Refused(
                f"{path(conv)}: {said(conv)} whose kernel is computed of weights alone, as by "
                "weight standardization; read are kernels that are weights themselves"
            )
        if not isinstance(weight, Weight) or key(self.node) not in (*_SAME, *_VIEWS, *_ORDERS):
            raise self.refused("of weights alone; a class token, for one, is no op of ours")
        if key(self.node) in _SAME:
            return _same(self)
        before, after = ([size for size in each if size > 1] for each in (weight.shape, self.made))
        if before != after or (len(after) > 1 and key(self.node) in _ORDERS):
            raise self.refused("of a weight that is more than a vector")
        return replace(weight, shape=self.made)


OPS: Table[Callable[[Operation], Any]] = Table()
#: What has no result, or none that matters.
IGNORED = ("_assert_tensor_metadata", "_assert_async", "_assert_scalar")


def _pair(numbers: Any, default: Any = None) -> list[int]:
    """One number for both axes, or one for each; PyTorch's `[]` says that there is none."""
    given = [numbers] if isinstance(numbers, int) else list(numbers) or list(default)
    return given * 2 if len(given) == 1 else given


def _sides(padding: Any) -> list[list[int]]:
    return [[pixels, pixels] for pixels in _pair(padding)]


# -- the same entries -----------------------------------------------------------------------------

_SAME = (
    "_to_copy", "alias", "clone", "contiguous", "detach", "lift_fresh_copy", "positive", "to",
    "type_as",
)  # fmt: skip
_VIEWS = (
    "_unsafe_view", "flatten", "reshape", "reshape_as", "squeeze", "unflatten", "unsqueeze", "view",
    "view_as",
)  # fmt: skip
_ORDERS = ("mT", "permute", "transpose", "swapaxes", "swapdims")


@OPS.of(*_SAME)
def _same(call: Operation) -> Any:
    source, made = call.node.all_input_nodes[0].meta["val"].dtype, call.node.meta["val"].dtype
    if source != made:
        raise call.refused(f"makes {made} of {source}")
    return call.given["self"]


def _viewed(call: Operation, axes: Axes | None) -> Tensor:
    if axes is None:
        raise call.refused(f"of shape {call.made} cuts across axes {laid.said(call.raw().axes)}")
    return Tensor(call.raw().place, axes)


@OPS.of(*_VIEWS)
def _view(call: Operation) -> Tensor:
    return _viewed(call, laid.reshaped(call.raw().axes, call.made))


@OPS.of("permute")
def _permute(call: Operation) -> Tensor:
    return _viewed(call, tuple(call.raw().axes[axis] for axis in call.given["dims"]))


@OPS.of("mT")
def _last_two(call: Operation) -> Tensor:
    *outer, rows, columns = call.raw().axes
    return _viewed(call, (*outer, columns, rows))


@OPS.of(*_ORDERS[2:])
def _transpose(call: Operation) -> Tensor:
    one, other = (int(place) for word, place in call.given.items() if word != "self")
    axes = list(call.raw().axes)
    axes[one], axes[other] = axes[other], axes[one]
    return _viewed(call, tuple(axes))


@OPS.of("expand", "expand_as", "broadcast_to")
def _expand(call: Operation) -> Tensor:
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


@OPS.of("slice", "narrow")
def _slice(call: Operation) -> Tensor:
    value = call.tensor()
    axis = call.axis(value, call.given["dim"])
    n = laid.size(value.axes[axis])
    if key(call.node) == "narrow":
        return shared.cut(call, value, {axis: (int(call.given["start"]) % n, call.given["length"])})
    start, stop, step = slice(*(call.given[word] for word in ("start", "end", "step"))).indices(n)
    if step != 1:
        raise call.refused(f"with step {step}")
    return shared.cut(call, value, {axis: (start, stop - start)})


@OPS.of("chunk", "split", "split_with_sizes")
def _split(call: Operation) -> list[Tensor]:
    axis = call.given["dim"]
    sizes = [int(one.shape[axis]) for one in call.node.meta["val"]]
    return shared.split(call, call.tensor(), axis, sizes)


@OPS.of("cat", "concat")
def _concat(call: Operation) -> Tensor:
    return shared.concat(call, _tensors(call), call.given["dim"])


@OPS.of("stack")
def _stack(call: Operation) -> Tensor:
    return shared.stacked(call, _tensors(call), call.given["dim"])


def _tensors(call: Operation) -> list[Tensor]:
    tensors = call.given["tensors"]
    if not all(isinstance(one, Tensor) for one in tensors):
        raise call.refused("of what does not follow from the images")
    return [call.settled(one) for one in tensors]


@OPS.of("sum")
def _sum(call: Operation) -> Tensor:
    """Over paths, as in split attention."""
    axes = call.given.get("dim") or []
    if len(axes) != 1 or call.given.get("keepdim"):
        raise call.refused(f"over axes {list(axes)}; read is a sum over one axis of paths")
    return shared.summed(call, call.raw(), axes[0])


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
    told = {"filters": kernel.shape[0], "groups": given["groups"]}
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
    window["filters"] = kernel.shape[1]
    bias = call.maybe("bias")
    return shared.conv(call, "conv_transpose", call.tensor(), kernel, bias, **window)


@OPS.of("linear")
def _linear(call: Operation) -> Tensor:
    kernel = call.held("weight").transposed(1, 0)
    return shared.linear(call, call.tensor(), kernel, call.maybe("bias"))


@OPS.of("matmul", "bmm")
def _matmul(call: Operation) -> Any:
    """With a weight, or of two tensors, as in attention."""
    one, word = call.given["self"], "other" if "other" in call.given else "mat2"
    if is_learned(call.given[word]):
        return shared.linear(call, call.tensor(), call.held(word))
    return attention.matmul(
        call, one if isinstance(one, Scores) else call.raw(), call.of_images(word)
    )


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
    shape = (*held.shape, *(1 for _ in value.axes[2:]))
    return shared.learned(call, "prelu", value, shape, "alpha", held, "slope")


# -- pooling --------------------------------------------------------------------------------------


def _pool(call: Operation, kind: str, tensor: Tensor, padding: Any, **told: Any) -> Tensor:
    kernel = _pair(call.given["kernel_size"])
    stride = _pair(call.given["stride"], kernel)
    window = {"kernel": kernel, "stride": stride, "padding": padding}
    return call.image(kind, tensor, **window, ceil_mode=call.given["ceil_mode"], **told)


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


@OPS.of("mean", "amax")
def _pool_all(call: Operation) -> Tensor:
    kind = "global_max_pool" if key(call.node) == "amax" else "global_avg_pool"
    axes = call.given.get("dim") or []  # none are all
    return shared.pool_all(call, kind, call.tensor(), axes, kept=call.given.get("keepdim", False))


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
    "leaky_relu": ("leaky_relu", ("negative_slope",)),
    "mish": ("mish", ()),
    "relu": ("relu", ()),
    "relu6": ("relu6", ()),
    "sigmoid": ("sigmoid", ()),
    "silu": ("silu", ()),
    "tanh": ("tanh", ()),
}


@OPS.of(*_POINTWISE)
def _pointwise(call: Operation) -> Tensor:
    kind, words = _POINTWISE[key(call.node)]
    return call.pointwise(kind, call.tensor(), **{word: call.given[word] for word in words})


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


@OPS.of("clamp", "clip", "clamp_min")
def _clamp(call: Operation) -> Tensor:
    return shared.clipped(call, call.tensor(), call.given["min"], call.given.get("max"))


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
    whole = key(call.node) == "feature_dropout" and len(value.axes) == 4
    return call.pointwise("spatial_dropout" if whole else "dropout", value, rate=rate)


@OPS.of(MARK)
def _stochastic_depth(call: Operation) -> Any:
    return call.pointwise("stochastic_depth", call.tensor(), rate=call.given["rate"])


# -- two tensors, or one and a constant -----------------------------------------------------------

_KINDS = {
    "add": "add", "sub": "subtract", "subtract": "subtract", "rsub": "subtract",
    "mul": "multiply", "multiply": "multiply", "maximum": "maximum",
    "div": "divide", "divide": "divide", "true_divide": "divide",
}  # fmt: skip


@OPS.of(*_KINDS)
def _two(call: Operation) -> Any:
    """self ± alpha · other, and products; `rsub` takes them the other way round."""
    kind, pair = _KINDS[key(call.node)], [call.given["self"], call.given["other"]]
    factor = float(call.given.get("alpha", 1))
    backwards = key(call.node) == "rsub"
    pair = [call.settled(one) if isinstance(one, Tensor) else one for one in pair]
    if factor != 1 and (backwards or isinstance(pair[1], Tensor)):
        raise call.refused(f"with alpha {factor:g}")
    if call.given.get("rounding_mode") is not None:
        raise call.refused("that rounds")
    pair = pair[::-1] if backwards else pair
    if any(isinstance(one, Scores) for one in pair):
        return _scaled(call, kind, pair)
    first = not isinstance(pair[0], Tensor)
    value, other = pair[::-1] if first else pair
    if kind in ("divide", "maximum") and isinstance(other, Tensor) == (kind == "divide"):
        raise call.refused("of other than a constant" if kind == "divide" else "of a constant")
    if isinstance(other, Tensor):
        return shared.merged(call, kind, pair)
    if is_learned(other) and kind == "multiply":
        said = "learned factor"
        return shared.learned(call, "scale", value, other.shape, "gamma", other.held, said)
    if kind == "add" and isinstance(other, Weight) and sum(size > 1 for size in other.shape) > 1:
        return shared.embedded(call, value, other.shape, other.held)
    if is_learned(other):
        raise call.refused("of a learned tensor")
    return shared.with_constants(call, kind, value, call.array(other) * factor, first=first)


def _scaled(call: Operation, kind: str, pair: Sequence[Any]) -> Scores:
    """Scores of attention, and a factor."""
    scores, other = pair[::-1] if kind == "multiply" and isinstance(pair[1], Scores) else pair
    plain = not isinstance(other, Tensor | Scores) and not is_learned(other)
    array = call.array(other) if plain else None
    number = float(array.reshape(())) if array is not None and array.size == 1 else None
    return attention.scaled(call, kind, scores, number)


@OPS.of("pow", "square")
def _power(call: Operation) -> Tensor:
    power = call.given.get("exponent", 2)
    if power != 2:
        raise call.refused(f"to the power {power}; read is a square")
    value = call.tensor()
    return shared.merged(call, "multiply", [value, value])


@OPS.of("neg", "negative")
def _negated(call: Operation) -> Tensor:
    return call.pointwise("rescale", call.tensor(), scale=-1.0)
