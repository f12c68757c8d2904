# a spelling is called as its op
"""The spelling of every op in PyTorch: one function per op.

Every difference between a spec's meaning and PyTorch's is bridged here (see `docs/semantics.md`):
images are NCHW, `same` padding at a stride pads at run time, batch norm keeps biased variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from xgraph.emit.arguments import (
    Code,
    affine,
    arguments,
    by_default,
    channelwise,
    inner,
    segment,
    single,
    unless,
)
from xgraph.emit.layer_weights import LayerWeights
from xgraph.emit.modules import Spelling
from xgraph.emit.plan import Apply
from xgraph.emit.symbols import always, code_of, is_symbolic
from xgraph.ops.adaptive_avg_pool import AdaptiveAvgPool
from xgraph.ops.adaptive_max_pool import AdaptiveMaxPool
from xgraph.ops.attention import Attention
from xgraph.ops.avg_pool import AvgPool
from xgraph.ops.base import Op
from xgraph.ops.batch_norm import BatchNorm
from xgraph.ops.channel_shuffle import ChannelShuffle
from xgraph.ops.channel_slice import ChannelSlice
from xgraph.ops.conv import Conv
from xgraph.ops.conv_transpose import ConvTranspose
from xgraph.ops.crop import Crop
from xgraph.ops.dense import Dense
from xgraph.ops.depth_to_space import DepthToSpace
from xgraph.ops.depthwise_conv import DepthwiseConv
from xgraph.ops.dropout import Dropout
from xgraph.ops.elu import Elu
from xgraph.ops.gelu import Gelu
from xgraph.ops.global_avg_pool import GlobalAvgPool
from xgraph.ops.global_max_pool import GlobalMaxPool
from xgraph.ops.group_norm import GroupNorm
from xgraph.ops.hard_sigmoid import HardSigmoid
from xgraph.ops.kinds import Padding, Pair
from xgraph.ops.layer_norm import LayerNorm
from xgraph.ops.leaky_relu import LeakyRelu
from xgraph.ops.local_response_norm import LocalResponseNorm
from xgraph.ops.max_pool import MaxPool
from xgraph.ops.normalize import Normalize
from xgraph.ops.normalizing import Normalization
from xgraph.ops.pooling import Pool
from xgraph.ops.position_embedding import PositionEmbedding
from xgraph.ops.prelu import Prelu
from xgraph.ops.rescale import Rescale
from xgraph.ops.resize import Resize
from xgraph.ops.rms_norm import RmsNorm
from xgraph.ops.scale import Scale
from xgraph.ops.separable_conv import SeparableConv
from xgraph.ops.space_to_depth import SpaceToDepth
from xgraph.ops.zero_pad import ZeroPad

SPELLINGS: dict[str, Callable[[Apply], Spelling]] = {}
#: Merges that can be said of a list that a loop has made, too.
GATHERING = frozenset({"add", "average", "concat"})

#: Activations without attributes. `{0}` is the input.
ACTIVATIONS = {
    "relu": "F.relu",
    "relu6": "F.relu6",
    "silu": "F.silu",
    "sigmoid": "torch.sigmoid",
    "tanh": "torch.tanh",
    "hard_sigmoid": "hard_sigmoid",
    "hard_swish": "F.hardswish",
    "mish": "F.mish",
    "elu": "F.elu",
}

_BIAS = ("bias", "layer.bias", "layer.bias")
_DEPTHWISE = "depthwise_kernel   (height, width, in, multiplier)"
_ATTENTION = "query_kernel, key_kernel, value_kernel, output_kernel  (in, out)"
_EMBEDDING = "embedding          (height, width, channels)"
_DEPTHWISE_VIEW = '''\
def depthwise_view(layer: nn.Conv2d) -> torch.Tensor:
    """Weight (in * multiplier, 1, height, width) as (height, width, in, multiplier)."""
    return layer.weight.unflatten(0, (layer.in_channels, -1)).squeeze(2).permute(2, 3, 0, 1)


'''

#: Layers with weights: Keras' word, the tensor (or None), and its canonical view; and dropout.
LAYER_WEIGHTS = (
    LayerWeights(
        "SeparableConv2d",
        (
            ("depthwise_kernel", "layer.depthwise.weight", "depthwise_view(layer.depthwise)"),
            (
                "pointwise_kernel",
                "layer.pointwise.weight",
                "layer.pointwise.weight.permute(2, 3, 1, 0)",
            ),
            ("bias", "layer.pointwise.bias", "layer.pointwise.bias"),
        ),
        (_DEPTHWISE, "pointwise_kernel   (1, 1, in * multiplier, out)"),
        _DEPTHWISE_VIEW,
    ),
    LayerWeights(
        "DepthwiseConv2d",
        (("depthwise_kernel", "layer.weight", "depthwise_view(layer)"), _BIAS),
        (_DEPTHWISE,),
        _DEPTHWISE_VIEW,
    ),
    LayerWeights(
        "nn.Conv2d", (("kernel", "layer.weight", "layer.weight.permute(2, 3, 1, 0)"), _BIAS)
    ),
    LayerWeights(
        "nn.ConvTranspose2d",
        (("kernel", "layer.weight", "layer.weight.permute(2, 3, 1, 0)"), _BIAS),
        ("kernel of a transposed convolution  (height, width, out, in)",),
        ops=frozenset({"conv_transpose"}),
    ),
    LayerWeights(
        "Scale",
        (("gamma", "layer.gamma", "layer.gamma"),),
        start="layer.reset_parameters()",
    ),
    LayerWeights(
        "nn.PReLU",
        (("alpha", "layer.weight", "layer.weight"),),
        start="layer.reset_parameters()",
        ops=frozenset({"prelu"}),
    ),
    LayerWeights(
        "nn.RMSNorm", (("gamma", "layer.weight", "layer.weight"),), ops=frozenset({"rms_norm"})
    ),
    LayerWeights(
        "nn.LayerNorm | nn.GroupNorm",
        (("gamma", "layer.weight", "layer.weight"), ("beta", "layer.bias", "layer.bias")),
        ops=frozenset({"layer_norm", "group_norm"}),
    ),
    LayerWeights(
        "Attention",
        (
            ("query_kernel", "layer.query.weight", "layer.query.weight.T"),
            ("query_bias", "layer.query.bias", "layer.query.bias"),
            ("key_kernel", "layer.key.weight", "layer.key.weight.T"),
            ("key_bias", "layer.key.bias", "layer.key.bias"),
            ("value_kernel", "layer.value.weight", "layer.value.weight.T"),
            ("value_bias", "layer.value.bias", "layer.value.bias"),
            ("output_kernel", "layer.output.weight", "layer.output.weight.T"),
            ("output_bias", "layer.output.bias", "layer.output.bias"),
        ),
        (_ATTENTION,),
    ),
    LayerWeights(
        "PositionEmbedding",
        (("embedding", "layer.embedding", "layer.embedding.permute(1, 2, 0)"),),
        (_EMBEDDING,),
    ),
    LayerWeights("Dropout", start='layer.begin(mask_key(seed, *path.split(".")))'),
    LayerWeights("nn.Linear", (("kernel", "layer.weight", "layer.weight.T"), _BIAS)),
    LayerWeights(
        "nn.BatchNorm1d | nn.BatchNorm2d",
        (
            ("gamma", "layer.weight", "layer.weight"),
            ("beta", "layer.bias", "layer.bias"),
            ("moving_mean", "layer.running_mean", "layer.running_mean"),
            ("moving_variance", "layer.running_var", "layer.running_var"),
        ),
    ),
)


#: Ops that make a new tensor and do not need its value for their gradient.
_FRESH = frozenset(
    {"conv", "conv_transpose", "depthwise_conv", "separable_conv", "batch_norm", "dense", "add"}
)


def lower(statement: Apply) -> Spelling:
    """The spelling of a statement's op."""
    name = statement.op.name
    return replace(SPELLINGS[name](statement), fresh=name in _FRESH)


def lower_without_gradient(statement: Apply) -> Spelling:
    """The same where inputs of group norms may need no gradient.

    In PyTorch 2.13 the backward pass ends the process then (segmentation fault), for images in
    channels_last memory on a CPU: `native_group_norm_backward` writes a gradient that is not there.
    One channel is in both kinds of memory at once, so that `contiguous` would leave it as it is.
    """
    spelling = lower(statement)
    if isinstance(statement.op, GroupNorm) and statement.input_types[0].rank == 3:
        given = "{0}.clone(memory_format=torch.contiguous_format)"
        return replace(spelling, call=spelling.call.replace("{0}", given))
    return spelling


def spells(name: str) -> Callable[[Callable[[Apply], Spelling]], Callable[[Apply], Spelling]]:
    """Register the spelling of the op `name`."""

    def register(function: Callable[[Apply], Spelling]) -> Callable[[Apply], Spelling]:
        SPELLINGS[name] = function
        return function

    return register


def _activation(call: str) -> Callable[[Apply], Spelling]:
    inplace = f"{call}({{0}}, inplace=True)" if call in ("F.relu", "F.relu6") else None
    return lambda statement: Spelling(
        f"{call}({{0}})", elementwise=True, inplace=inplace, helpers=_own(call)
    )


def _own(call: str) -> frozenset[str]:
    """What the program must import to say an activation."""
    return frozenset() if "." in call else frozenset({call})


for _name, _call in ACTIVATIONS.items():
    SPELLINGS[_name] = _activation(_call)


def _windowed(op: Conv | DepthwiseConv) -> dict[str, object]:
    stride, dilation = unless(op.stride, (1, 1)), unless(op.dilation, (1, 1))
    return {
        "stride": None if stride is None else single(op.stride),
        "dilation": None if dilation is None else single(op.dilation),
        "bias": unless(op.bias, True),
    }


def _symmetric(padding: Padding) -> bool:
    """Whether both sides of each axis are the same number wherever the code runs."""
    return not isinstance(padding, str) and all(code_of(a) == code_of(b) for a, b in padding)


def _unpadded(padding: Padding) -> bool:
    return padding == "valid" or always(padding, ((0, 0), (0, 0)))


def _sides(padding: Padding) -> str:
    """F.pad's argument for [[top, bottom], [left, right]]: last axis first."""
    assert not isinstance(padding, str)
    (top, bottom), (left, right) = padding
    return code_of((left, right, top, bottom))


def _padding(padding: Padding) -> tuple[object, str]:
    """(`padding=` argument or None, expression of the input)."""
    if _unpadded(padding):
        return None, "{0}"
    if padding == "same":
        return "same", "{0}"
    if _symmetric(padding):
        (top, _), (left, _) = padding
        return single((top, left)), "{0}"
    return None, f"F.pad({{0}}, {_sides(padding)})"


@spells("conv")
def conv(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Conv)
    padding, given = _padding(op.padding)
    layer, helpers = "nn.Conv2d", frozenset[str]()
    if padding == "same":
        if always(op.kernel, (1, 1)):
            padding = None  # a 1×1 window never reaches over the border
        elif not always(op.stride, (1, 1)):
            layer, helpers, padding = "Conv2dSame", frozenset({"Conv2dSame"}), None
    made = arguments(
        statement.input_types[0].channels,
        op.filters,
        single(op.kernel),
        padding=padding,
        groups=unless(op.groups, 1),
        **_windowed(op),
    )
    return Spelling(f"{{module}}({given})", f"{layer}({made})", helpers=helpers)


@spells("depthwise_conv")
def depthwise_conv(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, DepthwiseConv)
    padding, given = _padding(op.padding)
    made = arguments(
        statement.input_types[0].channels,
        single(op.kernel),
        multiplier=unless(op.multiplier, 1),
        padding=padding,
        **_windowed(op),
    )
    helpers = frozenset({"DepthwiseConv2d"})
    return Spelling(f"{{module}}({given})", f"DepthwiseConv2d({made})", helpers=helpers)


@spells("conv_transpose")
def conv_transpose(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ConvTranspose)
    padding: object = None if op.padding == "valid" else op.padding
    more = None if op.output_padding is None else single(op.output_padding)
    own = True
    if not any(map(is_symbolic, (op.kernel, op.stride, op.padding, op.output_padding))):
        lows, highs = (cast(Pair, sides) for sides in zip(*op.taken(), strict=True))
        extra = (lows[0] - highs[0], lows[1] - highs[1])
        own = not all(0 <= n < stride for n, stride in zip(extra, op.stride, strict=True))
        if not own:
            padding, more = unless(single(lows), 0), unless(single(extra), 0)
    made = arguments(
        statement.input_types[0].channels,
        op.filters,
        single(op.kernel),
        stride=None if always(op.stride, (1, 1)) else single(op.stride),
        padding=padding,
        output_padding=more,
        bias=unless(op.bias, True),
    )
    helpers = frozenset({"ConvTranspose2d"}) if own else frozenset[str]()
    return Spelling(
        "{module}({0})", f"{'' if own else 'nn.'}ConvTranspose2d({made})", helpers=helpers
    )


@spells("separable_conv")
def separable_conv(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, SeparableConv)
    padding, given = _padding(op.padding)
    stride, dilation = unless(op.stride, (1, 1)), unless(op.dilation, (1, 1))
    activation = None
    if op.depthwise_activation is not None:
        activation = Code(ACTIVATIONS[op.depthwise_activation])
    made = arguments(
        statement.input_types[0].channels,
        op.filters,
        single(op.kernel),
        stride=None if stride is None else single(op.stride),
        padding=padding,
        dilation=None if dilation is None else single(op.dilation),
        multiplier=unless(op.multiplier, 1),
        activation=activation,
        bias=unless(op.bias, True),
    )
    helpers = frozenset({"SeparableConv2d"}) | (_own(activation) if activation else frozenset())
    return Spelling(f"{{module}}({given})", f"SeparableConv2d({made})", helpers=helpers)


@spells("batch_norm")
def batch_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, BatchNorm)
    layer = "BatchNorm2d" if statement.input_types[0].rank == 3 else "BatchNorm1d"
    if hasattr(op.momentum, "code"):
        momentum: object = Code(f"1 - {code_of(op.momentum)}")
    else:
        momentum = round(1 - op.momentum, 12)  # PyTorch weighs the new statistic
    made = arguments(
        statement.input_types[0].channels,
        eps=op.epsilon,
        momentum=momentum,
        scale=unless(op.scale, True),
        center=unless(op.center, True),
    )
    return Spelling("{module}({0})", f"{layer}({made})", helpers=frozenset({layer}))


@spells("layer_norm")
def layer_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, LayerNorm)
    made = arguments(statement.input_types[0].channels, eps=op.epsilon, **_adjusted(op))
    return Spelling("{module}({0})", f"LayerNorm({made})", helpers=frozenset({"LayerNorm"}))


@spells("group_norm")
def group_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, GroupNorm)
    adjusted = _adjusted(op)
    own = any(given is not None for given in adjusted.values())
    made = arguments(op.groups, statement.input_types[0].channels, eps=op.epsilon, **adjusted)
    helpers = frozenset({"GroupNorm"}) if own else frozenset[str]()
    return Spelling("{module}({0})", f"{'' if own else 'nn.'}GroupNorm({made})", helpers=helpers)


def _adjusted(op: Normalization) -> dict[str, object]:
    return {"scale": unless(op.scale, True), "center": unless(op.center, True)}


@spells("rms_norm")
def rms_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, RmsNorm)
    channels = statement.input_types[0].channels
    made = arguments(channels, eps=op.epsilon, scale=unless(op.scale, True))
    return Spelling("{module}({0})", f"RMSNorm({made})", helpers=frozenset({"RMSNorm"}))


@spells("local_response_norm")
def local_response_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, LocalResponseNorm)
    given = arguments(
        op.size,
        alpha=unless(op.alpha, 1e-4),
        beta=unless(op.beta, 0.75),
        k=unless(op.k, 1.0),
    )
    return Spelling(f"F.local_response_norm({{0}}, {given})")


@spells("prelu")
def prelu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Prelu)
    made = arguments(statement.input_types[0].channels, init=unless(op.initial, 0.25))
    return Spelling("{module}({0})", f"nn.PReLU({made})")


@spells("scale")
def scale(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Scale)
    made = arguments(statement.input_types[0].channels, initial=unless(op.initial, 1.0))
    return Spelling("{module}({0})", f"Scale({made})", helpers=frozenset({"Scale"}))


@spells("hard_sigmoid")
def hard_sigmoid(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, HardSigmoid)
    given = "" if by_default(op) else f", {arguments(op.slope, offset=unless(op.offset, 0.5))}"
    call = f"hard_sigmoid({{0}}{given})"
    return Spelling(call, elementwise=True, helpers=frozenset({"hard_sigmoid"}))


@spells("rescale")
def rescale(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Rescale)
    return _channelwise(affine(op.scale, op.offset, _per_channel))


@spells("normalize")
def normalize(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Normalize)
    mean, std = (channelwise(numbers, _per_channel) for numbers in (op.mean, op.std))
    return _channelwise(f"({{0}} - {mean}) / {std}")


def _per_channel(values: str) -> str:
    return f"per_channel({values}, {{0}})"


def _channelwise(call: str) -> Spelling:
    return Spelling(call, helpers=frozenset({"per_channel"} if "per_channel(" in call else ()))


@spells("leaky_relu")
def leaky_relu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, LeakyRelu)
    return Spelling(f"F.leaky_relu({{0}}, {code_of(op.negative_slope)})", elementwise=True)


@spells("elu")
def elu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Elu)
    alpha = "" if always(op.alpha, 1.0) else f", {code_of(op.alpha)}"
    return Spelling(f"F.elu({{0}}{alpha})", elementwise=True)


@spells("gelu")
def gelu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Gelu)
    approximate = "" if op.approximation == "exact" else ', approximate="tanh"'
    return Spelling(f"F.gelu({{0}}{approximate})", elementwise=True)


@spells("softmax")
def softmax(statement: Apply) -> Spelling:
    return Spelling("F.softmax({0}, dim=1)", elementwise=True)


@spells("max_pool")
def max_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, MaxPool)
    return _pool(op, "max_pool2d", [], fits=True, fill=', value=float("-inf")')


@spells("avg_pool")
def avg_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, AvgPool)
    counted = always(op.count_include_pad, True)
    extra = [] if counted or op.padding == "valid" else ["count_include_pad=False"]
    return _pool(op, "avg_pool2d", extra, fits=False, fill="" if counted else None)


def _pool(op: Pool, function: str, extra: list[str], *, fits: bool, fill: str | None) -> Spelling:
    """A pooling call. `fill` pads for it by hand where PyTorch cannot; None: only a helper can."""
    kernel, step = single(op.kernel), single(op.step)
    parts = [code_of(kernel)]
    same_step = code_of(step) == code_of(kernel)
    if not same_step:
        parts.append(f"stride={code_of(step)}")
    if op.padding == "same":
        odd = not hasattr(op.kernel, "code") and all(size % 2 for size in op.kernel)
        if not (always(op.step, (1, 1)) and odd):
            helper = f"{function}_same"
            if not fits and not extra:
                parts.append("count_include_pad=True")
            return Spelling(f"{helper}({{0}}, {', '.join(parts)})", helpers=frozenset({helper}))
        amount = single((op.kernel[0] // 2, op.kernel[1] // 2))
        if not always(amount, 0):
            parts.append(f"padding={code_of(amount)}")
    elif not _unpadded(op.padding):
        padding = op.padding
        assert not isinstance(padding, str)
        small = not is_symbolic((op.kernel, padding)) and all(
            2 * low <= size for (low, _), size in zip(padding, op.kernel, strict=True)
        )
        if _symmetric(padding) and small:
            parts.append(f"padding={code_of(single((padding[0][0], padding[1][0])))}")
        elif op.reaches_over:
            parts.insert(1, f"padding={_sides(padding)}")
            if not fits and not extra:
                parts.append("count_include_pad=True")
            helper = f"{function}_ceil"
            return Spelling(f"{helper}({{0}}, {', '.join(parts)})", helpers=frozenset({helper}))
        elif fill is None:
            parts.append(f"padding={_sides(padding)}")
            helper = "avg_pool2d_padded"
            return Spelling(f"{helper}({{0}}, {', '.join(parts)})", helpers=frozenset({helper}))
        else:
            call = f"F.{function}(F.pad({{0}}, {_sides(padding)}{fill}), {', '.join(parts)})"
            return Spelling(call)
    else:
        extra = []
    if op.reaches_over:
        parts.append("ceil_mode=True")
    return Spelling(f"F.{function}({{0}}, {', '.join([*parts, *extra])})")


@spells("adaptive_avg_pool")
def adaptive_avg_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, AdaptiveAvgPool)
    return Spelling(f"F.adaptive_avg_pool2d({{0}}, {code_of(single(op.size))})")


@spells("adaptive_max_pool")
def adaptive_max_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, AdaptiveMaxPool)
    return Spelling(f"F.adaptive_max_pool2d({{0}}, {code_of(single(op.size))})")


@spells("global_avg_pool")
def global_avg_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, GlobalAvgPool)
    return Spelling("{0}.mean(dim=(2, 3)" + (", keepdim=True)" if op.keep_dims else ")"))


@spells("global_max_pool")
def global_max_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, GlobalMaxPool)
    # Unlike amax, which shares the gradient between equal maxima, this gives it to the first.
    pooled = "{0}.flatten(2).max(dim=2).values"
    return Spelling(f"{pooled}[:, :, None, None]" if op.keep_dims else pooled)


@spells("dense")
def dense(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Dense)
    made = arguments(statement.input_types[0].channels, op.units, bias=unless(op.bias, True))
    return Spelling("{module}({0})", f"nn.Linear({made})")


@spells("attention")
def attention(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Attention)
    channels, bias = statement.input_types[0].channels, unless(op.bias, True)
    made = arguments(channels, op.heads, head_size=op.head_size, bias=bias)
    return Spelling("{module}({0})", f"Attention({made})", helpers=frozenset({"Attention"}))


@spells("position_embedding")
def position_embedding(statement: Apply) -> Spelling:
    assert isinstance(statement.op, PositionEmbedding)
    height, width, channels = statement.input_types[0].shape
    made = f"PositionEmbedding({arguments(channels, height, width)})"
    return Spelling("{module}({0})", made, helpers=frozenset({"PositionEmbedding"}))


@spells("flatten")
def flatten(statement: Apply) -> Spelling:
    if statement.input_types[0].rank == 1:
        return Spelling("{0}")
    return Spelling(
        "{0}.permute(0, 2, 3, 1).flatten(1)"
    )  # a spec's order is height, width, channel


def _dropout(per: str | None = None) -> Callable[[Apply], Spelling]:
    def spelling(statement: Apply) -> Spelling:
        assert isinstance(statement.op, Dropout)
        made = f"Dropout({arguments(statement.op.rate, per=per)})"
        return Spelling("{module}({0})", made, helpers=frozenset({"Dropout"}))

    return spelling


SPELLINGS["dropout"] = _dropout()
SPELLINGS["spatial_dropout"] = _dropout("channel")
SPELLINGS["stochastic_depth"] = _dropout("example")


def _infix(sign: str) -> Callable[[Apply], Spelling]:
    def spell(statement: Apply) -> Spelling:
        places = (f"{{{position}}}" for position in range(len(statement.inputs)))
        return Spelling(f" {sign} ".join(places))

    return spell


@spells("add")
def add(statement: Apply) -> Spelling:
    if statement.least is not None:
        return Spelling("sum({0})")
    return _infix("+")(statement)


SPELLINGS["subtract"] = _infix("-")
SPELLINGS["multiply"] = _infix("*")


@spells("average")
def average(statement: Apply) -> Spelling:
    if statement.least is not None:
        return Spelling("sum({0}) / len({0})")
    return Spelling(f"({_infix('+')(statement).call}) / {len(statement.inputs)}")


@spells("maximum")
def maximum(statement: Apply) -> Spelling:
    call = "{0}"
    for position in range(1, len(statement.inputs)):
        call = f"torch.maximum({call}, {{{position}}})"
    return Spelling(call)


@spells("concat")
def concat(statement: Apply) -> Spelling:
    if statement.least is not None:
        return Spelling("torch.cat({0}, dim=1)")
    if len(statement.inputs) == 1:
        return Spelling("{0}")
    return Spelling("torch.cat(({inputs}), dim=1)")


@spells("channel_slice")
def channel_slice(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ChannelSlice)
    if is_symbolic(op.start) or is_symbolic(op.channels):  # numbers that `__init__` knows
        made = f"ChannelSlice({arguments(op.channels, start=unless(op.start, 0))})"
        return Spelling("{module}({0})", made, helpers=frozenset({"ChannelSlice"}))
    return Spelling(f"{{0}}[:, {segment(op.start, op.channels)}]")


@spells("channel_shuffle")
def channel_shuffle(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ChannelShuffle)
    if is_symbolic(op.groups):
        made = f"ChannelShuffle({code_of(op.groups)})"
        return Spelling("{module}({0})", made, helpers=frozenset({"ChannelShuffle"}))
    grouped = f"{{0}}.unflatten(1, ({code_of(op.groups)}, -1))"
    return Spelling(f"{grouped}.transpose(1, 2).flatten(1, 2)")


@spells("space_to_depth")
def space_to_depth(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, SpaceToDepth)
    call = f"space_to_depth({{0}}, {code_of(op.block)})"
    return Spelling(call, helpers=frozenset({"space_to_depth"}))


@spells("depth_to_space")
def depth_to_space(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, DepthToSpace)
    call = f"depth_to_space({{0}}, {code_of(op.block)})"
    return Spelling(call, helpers=frozenset({"depth_to_space"}))


@spells("resize")
def resize(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Resize)
    if op.scale is None and op.method == "nearest":
        call = f"resize_nearest({{0}}, {code_of(single(_given(op.size)))})"
        return Spelling(call, helpers=frozenset({"resize_nearest"}))
    if op.scale is None:
        given = f"size={code_of(single(_given(op.size)))}"
    else:
        given = f"scale_factor={code_of(single(op.scale))}"
    # The plain "nearest" reads at i · (1 / scale), which may be rounded below a whole number.
    mode = 'mode="nearest-exact"'
    if op.method == "bilinear":
        mode = 'mode="bilinear", align_corners=False'
    return Spelling(f"F.interpolate({{0}}, {given}, {mode})")


def _given(size: Pair | None) -> Pair:
    assert size is not None
    return size


@spells("crop")
def crop(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Crop)
    rows, columns = (
        inner(f"{{0}}.shape[{axis}]", *sides) for axis, sides in enumerate(op.cropping, start=2)
    )
    return Spelling(f"{{0}}[:, :, {rows}, {columns}]")


@spells("zero_pad")
def zero_pad(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ZeroPad)
    return Spelling(f"F.pad({{0}}, {_sides(op.padding)})")


@spells("identity")
def identity(statement: Apply) -> Spelling:
    return Spelling("{0}")


def missing(ops: set[type[Op]]) -> set[str]:
    """Names of ops without a spelling."""
    return {op.name for op in ops} - SPELLINGS.keys()
