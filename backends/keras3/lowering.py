# a spelling is called as its op
"""The spelling of every op in Keras 3: one function per op.

A spec means what Keras means (see `docs/semantics.md`), so most are Keras' own layers. What is
bridged here: explicit padding is a layer of its own, and strides that Keras or TensorFlow refuse.
"""

from __future__ import annotations

from collections.abc import Callable

from xgraph.emit.arguments import arguments, by_default, single, unless
from xgraph.emit.functions import Layer
from xgraph.emit.plan import Apply
from xgraph.emit.symbols import SymbolicPair, always, code_of, pairs_of
from xgraph.ops.adaptive_avg_pool import AdaptiveAvgPool
from xgraph.ops.adaptive_max_pool import AdaptiveMaxPool
from xgraph.ops.attention import Attention
from xgraph.ops.avg_pool import AvgPool
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

SPELLINGS: dict[str, Callable[[Apply], Layer]] = {}
#: Merges that can be said of a list that a loop has made, too.
GATHERING = frozenset({"add", "average", "concat"})

#: Layers without attributes.
PLAIN = {
    "relu": "layers.ReLU()",
    "relu6": 'layers.Activation("relu6")',
    "silu": 'layers.Activation("silu")',
    "sigmoid": 'layers.Activation("sigmoid")',
    "tanh": 'layers.Activation("tanh")',
    "hard_swish": 'layers.Activation("hard_swish")',
    "mish": 'layers.Activation("mish")',
    "softmax": "layers.Softmax()",
    "flatten": "layers.Flatten()",
}
#: Layers that do not start from what is usual for the words of their weights, and how they do.
STARTS = {
    "Dropout": 'layer.begin(mask_key(seed, *layer.name.split("-")))',
    "PReLU": "layer.reset()",
    "Scale": "layer.reset()",
}
MERGING = {
    "add": "layers.Add()",
    "average": "layers.Average()",
    "concat": "layers.Concatenate()",
    "multiply": "layers.Multiply()",
    "subtract": "layers.Subtract()",
}


def lower(statement: Apply) -> Layer:
    """The spelling of a statement's op."""
    return SPELLINGS[statement.op.name](statement)


def lower_in_parts(statement: Apply) -> Layer:
    """The same in a program whose processes share a batch; batch norm's statistics are each's."""
    return IN_PARTS.get(statement.op.name, lower)(statement)


def lower_of_whole(statement: Apply) -> Layer:
    """The same, where batch norm's statistics are of the whole batch."""
    return OF_WHOLE.get(statement.op.name, lower)(statement)


def spells(name: str) -> Callable[[Callable[[Apply], Layer]], Callable[[Apply], Layer]]:
    """Register the spelling of the op `name`."""

    def register(function: Callable[[Apply], Layer]) -> Callable[[Apply], Layer]:
        SPELLINGS[name] = function
        return function

    return register


def _plain(made: str) -> Callable[[Apply], Layer]:
    return lambda statement: Layer(made)


def _merging(made: str) -> Callable[[Apply], Layer]:
    def spell(statement: Apply) -> Layer:
        if statement.least is not None:
            return Layer(made, "{0}")
        return Layer(made if len(statement.inputs) > 1 else None, "[{inputs}]")

    return spell


for _name, _made in PLAIN.items():
    SPELLINGS[_name] = _plain(_made)
for _name, _made in MERGING.items():
    SPELLINGS[_name] = _merging(_made)


def _windowed(op: Conv | DepthwiseConv | SeparableConv) -> dict[str, object]:
    stride, dilation = unless(op.stride, (1, 1)), unless(op.dilation, (1, 1))
    return {
        "strides": None if stride is None else single(op.stride),
        "padding": "same" if op.padding == "same" and not always(op.kernel, (1, 1)) else None,
        "dilation_rate": None if dilation is None else single(op.dilation),
    }


def _before(padding: Padding) -> tuple[str, str] | None:
    """The layer that adds explicit padding."""
    if isinstance(padding, str) or always(padding, ((0, 0), (0, 0))):
        return None
    return ("pad", f"layers.ZeroPadding2D({code_of(padding)})")


def _both(stride: Pair, dilation: Pair) -> bool:
    """Whether there may be a stride and a dilation, which Keras refuses together."""
    return not always(stride, (1, 1)) and not always(dilation, (1, 1))


def _unequal(stride: Pair) -> bool:
    """Whether strides may differ, which TensorFlow's depthwise convolution refuses."""
    if isinstance(stride, SymbolicPair) and stride.scalar:  # one number for both, whatever it is
        return False
    pairs = pairs_of(stride)
    return pairs is None or any(rows != columns for rows, columns in pairs)


def _layer(name: str, given: str, op: Conv | DepthwiseConv | SeparableConv, own: bool) -> Layer:
    """Keras' layer, or where it has to be, the program's own."""
    made = f"{name}({given})" if own else f"layers.{name}({given})"
    helpers = frozenset({name}) if own else frozenset[str]()
    return Layer(made, before=_before(op.padding), helpers=helpers)


@spells("conv")
def conv(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Conv)
    given = arguments(
        op.filters,
        single(op.kernel),
        **_windowed(op),
        groups=unless(op.groups, 1),
        use_bias=unless(op.bias, True),
    )
    if not always(op.groups, 1) and not always(op.dilation, (1, 1)):
        return _layer("GroupedConv2D", given, op, own=True)
    own = _both(op.stride, op.dilation)
    return _layer("SteppedConv2D" if own else "Conv2D", given, op, own)


@spells("depthwise_conv")
def depthwise_conv(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, DepthwiseConv)
    given = arguments(
        single(op.kernel),
        **_windowed(op),
        depth_multiplier=unless(op.multiplier, 1),
        use_bias=unless(op.bias, True),
    )
    own = _both(op.stride, op.dilation) or _unequal(op.stride)
    return _layer("SteppedDepthwiseConv2D" if own else "DepthwiseConv2D", given, op, own)


@spells("conv_transpose")
def conv_transpose(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, ConvTranspose)
    own = not isinstance(op.padding, str) or (op.padding == "same" and _uneven(op))
    around = None if op.padding == "same" else op.padding
    given = arguments(
        op.filters,
        single(op.kernel),
        strides=None if always(op.stride, (1, 1)) else single(op.stride),
        padding="same" if op.padding == "same" and not own else None,
        around=around if own else None,
        output_padding=None if op.output_padding is None else single(op.output_padding),
        use_bias=unless(op.bias, True),
    )
    name = "CroppedConv2DTranspose" if own else "Conv2DTranspose"
    helpers = frozenset({name}) if own else frozenset[str]()
    return Layer(f"{'' if own else 'layers.'}{name}({given})", helpers=helpers)


def _uneven(op: ConvTranspose) -> bool:
    """Whether SAME padding may take another number of pixels from one side than from the other."""
    kernels, strides = pairs_of(op.kernel), pairs_of(op.stride)
    if kernels is None or strides is None:
        return True
    return any(
        k > s and (k - s) % 2
        for kernel in kernels
        for stride in strides
        for k, s in zip(kernel, stride, strict=True)
    )


@spells("separable_conv")
def separable_conv(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, SeparableConv)
    given = arguments(
        op.filters,
        single(op.kernel),
        **_windowed(op),
        depth_multiplier=unless(op.multiplier, 1),
        depthwise_activation=op.depthwise_activation,
        use_bias=unless(op.bias, True),
    )
    own = _both(op.stride, op.dilation) or _unequal(op.stride) or bool(op.depthwise_activation)
    return _layer("SteppedSeparableConv2D" if own else "SeparableConv2D", given, op, own)


@spells("batch_norm")
def batch_norm(statement: Apply) -> Layer:
    return Layer(f"layers.BatchNormalization({_batch_norm(statement)})")


def _batch_norm(statement: Apply) -> str:
    op = statement.op
    assert isinstance(op, BatchNorm)
    return arguments(
        momentum=op.momentum,
        epsilon=op.epsilon,
        center=unless(op.center, True),
        scale=unless(op.scale, True),
    )


def batch_norm_of_whole(statement: Apply) -> Layer:
    made = f"BatchNormalization({_batch_norm(statement)})"
    return Layer(made, helpers=frozenset({"BatchNormalization"}))


@spells("scale")
def scale(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Scale)
    made = f"Scale({arguments(initial=unless(op.initial, 1.0))})"
    return Layer(made, helpers=frozenset({"Scale"}))


def _adjusted(op: Normalization) -> dict[str, object]:
    return {"center": unless(op.center, True), "scale": unless(op.scale, True)}


@spells("layer_norm")
def layer_norm(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, LayerNorm)
    return Layer(f"layers.LayerNormalization({arguments(epsilon=op.epsilon, **_adjusted(op))})")


@spells("group_norm")
def group_norm(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, GroupNorm)
    given = arguments(op.groups, epsilon=op.epsilon, **_adjusted(op))
    return Layer(f"layers.GroupNormalization({given})")


@spells("rms_norm")
def rms_norm(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, RmsNorm)
    made = f"RMSNormalization({arguments(epsilon=op.epsilon, scale=unless(op.scale, True))})"
    return Layer(made, helpers=frozenset({"RMSNormalization"}))


@spells("local_response_norm")
def local_response_norm(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, LocalResponseNorm)
    given = arguments(
        op.size,
        alpha=unless(op.alpha, 1e-4),
        beta=unless(op.beta, 0.75),
        k=unless(op.k, 1.0),
    )
    made = f"LocalResponseNormalization({given})"
    return Layer(made, helpers=frozenset({"LocalResponseNormalization"}))


@spells("prelu")
def prelu(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Prelu)
    made = f"PReLU({arguments(initial=unless(op.initial, 0.25))})"
    return Layer(made, helpers=frozenset({"PReLU"}))


@spells("maximum")
def maximum(statement: Apply) -> Layer:
    return Layer("Maximum()", "[{inputs}]", helpers=frozenset({"Maximum"}))


@spells("channel_slice")
def channel_slice(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, ChannelSlice)
    made = f"ChannelSlice({arguments(op.channels, start=unless(op.start, 0))})"
    return Layer(made, helpers=frozenset({"ChannelSlice"}))


@spells("channel_shuffle")
def channel_shuffle(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, ChannelShuffle)
    return Layer(f"ChannelShuffle({code_of(op.groups)})", helpers=frozenset({"ChannelShuffle"}))


@spells("space_to_depth")
def space_to_depth(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, SpaceToDepth)
    return Layer(f"SpaceToDepth({code_of(op.block)})", helpers=frozenset({"SpaceToDepth"}))


@spells("depth_to_space")
def depth_to_space(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, DepthToSpace)
    return Layer(f"DepthToSpace({code_of(op.block)})", helpers=frozenset({"DepthToSpace"}))


@spells("resize")
def resize(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Resize)
    if op.scale is not None and op.method == "nearest":
        return Layer(f"layers.UpSampling2D({code_of(single(op.scale))})")
    name = "NearestResizing" if op.method == "nearest" else "BilinearResizing"
    if op.scale is not None:
        given = arguments(scale=single(op.scale))
    else:
        assert op.size is not None
        given = arguments(single(op.size))
    return Layer(f"{name}({given})", helpers=frozenset({name}))


@spells("crop")
def crop(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Crop)
    return Layer(f"layers.Cropping2D({code_of(op.cropping)})")


@spells("hard_sigmoid")
def hard_sigmoid(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, HardSigmoid)
    if by_default(op):
        return Layer('layers.Activation("hard_sigmoid")')
    made = f"HardSigmoid({arguments(op.slope, offset=unless(op.offset, 0.5))})"
    return Layer(made, helpers=frozenset({"HardSigmoid"}))


@spells("rescale")
def rescale(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Rescale)
    made = f"Rescaling({arguments(op.scale, offset=unless(op.offset, 0.0))})"
    return Layer(made, helpers=frozenset({"Rescaling"}))


@spells("normalize")
def normalize(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Normalize)
    return Layer(f"Normalize({arguments(op.mean, op.std)})", helpers=frozenset({"Normalize"}))


@spells("leaky_relu")
def leaky_relu(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, LeakyRelu)
    made = f"LeakyReLU({code_of(op.negative_slope)})"
    return Layer(made, helpers=frozenset({"LeakyReLU"}))


@spells("elu")
def elu(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Elu)
    return Layer(f"layers.ELU({'' if always(op.alpha, 1.0) else code_of(op.alpha)})")


@spells("gelu")
def gelu(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Gelu)
    function = "gelu" if op.approximation == "exact" else "gelu_tanh"
    return Layer(f"layers.Activation({function})", helpers=frozenset({function}))


@spells("max_pool")
def max_pool(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, MaxPool)
    if op.reaches_over:
        made = f"CeilMaxPooling2D({_pooled(op)}{_around(op.padding)})"
        return Layer(made, helpers=frozenset({"CeilMaxPooling2D"}))
    if isinstance(op.padding, str) or _before(op.padding) is None:
        return Layer(f"layers.MaxPooling2D({_pooled(op)})")
    made = f"PaddedMaxPooling2D({_pooled(op)}, around={code_of(op.padding)})"
    return Layer(made, helpers=frozenset({"PaddedMaxPooling2D"}))


@spells("avg_pool")
def avg_pool(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, AvgPool)
    if op.reaches_over:
        padded = _around(op.padding)
        counted = ", counted=True" if padded and always(op.count_include_pad, True) else ""
        made = f"CeilAveragePooling2D({_pooled(op)}{padded}{counted})"
        return Layer(made, helpers=frozenset({"CeilAveragePooling2D"}))
    if always(op.count_include_pad, True):
        if op.padding != "same":
            return Layer(f"layers.AveragePooling2D({_pooled(op)})", before=_before(op.padding))
        made = f"CountingAveragePooling2D({_pooled(op, same=False)})"
        return Layer(made, helpers=frozenset({"CountingAveragePooling2D"}))
    if op.padding == "same" and _large(op.kernel):
        made = f"LargeAveragePooling2D({_pooled(op, same=False)})"
        return Layer(made, helpers=frozenset({"LargeAveragePooling2D"}))
    if isinstance(op.padding, str) or _before(op.padding) is None:
        return Layer(f"layers.AveragePooling2D({_pooled(op)})")
    made = f"PaddedAveragePooling2D({_pooled(op)}, around={code_of(op.padding)})"
    return Layer(made, helpers=frozenset({"PaddedAveragePooling2D"}))


def _around(padding: Padding) -> str:
    """The argument for explicit padding of a pooling that pads itself."""
    return "" if _before(padding) is None else f", around={code_of(padding)}"


def _large(kernel: Pair) -> bool:
    """Whether a window may be one whose gradient TensorFlow gets wrong at the border.

    It does where a window of 5 pixels or more is larger than the image.
    """
    pairs = pairs_of(kernel)
    return pairs is None or any(max(pair) >= 5 for pair in pairs)


def _pooled(op: Pool, same: bool = True) -> str:
    kernel, step = single(op.kernel), single(op.step)
    return arguments(
        kernel,
        strides=None if code_of(step) == code_of(kernel) else step,
        padding="same" if same and op.padding == "same" else None,
    )


@spells("adaptive_avg_pool")
def adaptive_avg_pool(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, AdaptiveAvgPool)
    made = f"AdaptiveAveragePooling2D({code_of(single(op.size))})"
    return Layer(made, helpers=frozenset({"AdaptiveAveragePooling2D"}))


@spells("adaptive_max_pool")
def adaptive_max_pool(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, AdaptiveMaxPool)
    made = f"AdaptiveMaxPooling2D({code_of(single(op.size))})"
    return Layer(made, helpers=frozenset({"AdaptiveMaxPooling2D"}))


@spells("global_avg_pool")
def global_avg_pool(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, GlobalAvgPool)
    return Layer(f"layers.GlobalAveragePooling2D({'keepdims=True' if op.keep_dims else ''})")


@spells("global_max_pool")
def global_max_pool(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, GlobalMaxPool)
    made = f"GlobalMaxPooling2D({'keepdims=True' if op.keep_dims else ''})"
    return Layer(made, helpers=frozenset({"GlobalMaxPooling2D"}))


@spells("dense")
def dense(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Dense)
    return Layer(f"layers.Dense({arguments(op.units, use_bias=unless(op.bias, True))})")


@spells("attention")
def attention(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, Attention)
    given = arguments(op.heads, head_size=op.head_size, use_bias=unless(op.bias, True))
    return Layer(f"Attention({given})", helpers=frozenset({"Attention"}))


@spells("position_embedding")
def position_embedding(statement: Apply) -> Layer:
    assert isinstance(statement.op, PositionEmbedding)
    return Layer("PositionEmbedding()", helpers=frozenset({"PositionEmbedding"}))


@spells("dropout")
@spells("spatial_dropout")
@spells("stochastic_depth")
def dropout(statement: Apply) -> Layer:
    return Layer(f"Dropout({_dropout(statement)})", helpers=frozenset({"Dropout"}))


def _dropout(statement: Apply) -> str:
    op, (x,) = statement.op, statement.input_types
    assert isinstance(op, Dropout)
    shape = op.drawn((0, *(2 for _ in x.shape)))  # of a batch of any, where all others are not 1
    noise_shape = None if 1 not in shape else tuple(1 if n == 1 else None for n in shape)
    return arguments(op.rate, noise_shape=noise_shape)


def dropout_in_parts(statement: Apply) -> Layer:
    made = f"Dropout({_dropout(statement)}, before=images_before)"
    return Layer(made, helpers=frozenset({"Dropout", "images_before"}))


#: Ops that are spelled otherwise where processes share a batch.
IN_PARTS = dict.fromkeys(("dropout", "spatial_dropout", "stochastic_depth"), dropout_in_parts)
OF_WHOLE = {**IN_PARTS, "batch_norm": batch_norm_of_whole}


@spells("zero_pad")
def zero_pad(statement: Apply) -> Layer:
    op = statement.op
    assert isinstance(op, ZeroPad)
    return Layer(f"layers.ZeroPadding2D({code_of(op.padding)})")


@spells("identity")
def identity(statement: Apply) -> Layer:
    return Layer("layers.Identity()")
