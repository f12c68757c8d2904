# a spelling is called as its op
"""The spelling of every op in Flax NNX: one function per op.

JAX means most of what a spec means (see `docs/semantics.md`): images are NHWC, `SAME` is
TensorFlow's, padding may differ between sides. What is bridged here: windows are pairs, average
pooling must be told not to count the border, batch norm not to shorten its variance.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

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
from xgraph.emit.symbols import SymbolicPair, always, code_of, is_symbolic
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
from xgraph.ops.kinds import Padding
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

#: Activations without attributes.
ACTIVATIONS = {
    "relu": "nnx.relu",
    "relu6": "nnx.relu6",
    "silu": "nnx.silu",
    "sigmoid": "nnx.sigmoid",
    "tanh": "nnx.tanh",
    "hard_sigmoid": "nnx.hard_sigmoid",
    "hard_swish": "nnx.hard_swish",
    "mish": "jax.nn.mish",
    "elu": "nnx.elu",
}
_PAIR = frozenset({"pair"})
#: Pixels of a window that code of their own each is worth.
_FEW = 25

_BIAS = ("bias", "layer.bias")
_ATTENTION = "query_kernel, key_kernel, value_kernel, output_kernel  (in, out)"
_EMBEDDING = "embedding          (height, width, channels)"
_DEPTHWISE = "depthwise_kernel   (height, width, in, multiplier)"

#: Layers with weights: Keras' word and the variable, or None; and dropout.
LAYER_WEIGHTS = (
    LayerWeights(
        "SeparableConv",
        (
            ("depthwise_kernel", "layer.depthwise.kernel"),
            ("pointwise_kernel", "layer.pointwise.kernel"),
            ("bias", "layer.pointwise.bias"),
        ),
        (_DEPTHWISE, "pointwise_kernel   (1, 1, in * multiplier, out)"),
    ),
    LayerWeights("DepthwiseConv", (("depthwise_kernel", "layer.kernel"), _BIAS), (_DEPTHWISE,)),
    LayerWeights(
        "Scale",
        (("gamma", "layer.gamma"),),
        start="layer.reset()",
    ),
    LayerWeights("PReLU", (("alpha", "layer.alpha"),), start="layer.reset()"),
    LayerWeights("nnx.RMSNorm", (("gamma", "layer.scale"),), ops=frozenset({"rms_norm"})),
    LayerWeights(
        "nnx.LayerNorm | nnx.GroupNorm",
        (("gamma", "layer.scale"), ("beta", "layer.bias")),
        ops=frozenset({"layer_norm", "group_norm"}),
    ),
    LayerWeights(
        "Attention",
        (
            ("query_kernel", "layer.query.kernel"),
            ("query_bias", "layer.query.bias"),
            ("key_kernel", "layer.key.kernel"),
            ("key_bias", "layer.key.bias"),
            ("value_kernel", "layer.value.kernel"),
            ("value_bias", "layer.value.bias"),
            ("output_kernel", "layer.output.kernel"),
            ("output_bias", "layer.output.bias"),
        ),
        (_ATTENTION,),
    ),
    LayerWeights("PositionEmbedding", (("embedding", "layer.embedding"),), (_EMBEDDING,)),
    LayerWeights("Dropout", start="layer.begin(mask_key(seed, *path))"),
    LayerWeights(
        "nnx.ConvTranspose",
        (("kernel", "layer.kernel"), _BIAS),
        ("kernel of a transposed convolution  (height, width, out, in)",),
        ops=frozenset({"conv_transpose"}),
    ),
    LayerWeights("nnx.Conv | nnx.Linear", (("kernel", "layer.kernel"), _BIAS)),
    LayerWeights(
        "nnx.BatchNorm",
        (
            ("gamma", "layer.scale"),
            ("beta", "layer.bias"),
            ("moving_mean", "layer.mean"),
            ("moving_variance", "layer.var"),
        ),
    ),
)


def lower(statement: Apply) -> Spelling:
    """The spelling of a statement's op."""
    return SPELLINGS[statement.op.name](statement)


def lower_in_parts(statement: Apply) -> Spelling:
    """The same where devices share a batch, and batch norm's statistics are of each one's part."""
    return IN_PARTS.get(statement.op.name, lower)(statement)


def spells(name: str) -> Callable[[Callable[[Apply], Spelling]], Callable[[Apply], Spelling]]:
    """Register the spelling of the op `name`."""

    def register(function: Callable[[Apply], Spelling]) -> Callable[[Apply], Spelling]:
        SPELLINGS[name] = function
        return function

    return register


def _activation(call: str) -> Callable[[Apply], Spelling]:
    return lambda statement: Spelling(f"{call}({{0}})", elementwise=True)


for _name, _call in ACTIVATIONS.items():
    SPELLINGS[_name] = _activation(_call)

_RNGS = Code("rngs")


def _window(value: tuple[int, int]) -> tuple[Code, frozenset[str]]:
    """(a pair, which is what JAX's windows must be; helpers that its source needs)."""
    if not isinstance(value, SymbolicPair):
        return Code(code_of(tuple(value))), frozenset()
    if value.scalar and value.code.isidentifier():
        return Code(f"({value.code}, {value.code})"), frozenset()
    return Code(f"pair({value.code})"), _PAIR


def _padding(padding: Padding) -> object:
    return padding.upper() if isinstance(padding, str) else padding


def _windowed(op: Conv | DepthwiseConv | SeparableConv) -> tuple[dict[str, object], frozenset[str]]:
    """(arguments that say how the window moves; helpers that their source needs)."""
    stride, dilation = unless(op.stride, (1, 1)), unless(op.dilation, (1, 1))
    helpers = frozenset[str]()
    if isinstance(op, Conv):  # NNX' own takes one number for both
        strides = None if stride is None else single(op.stride)
        dilations = None if dilation is None else single(op.dilation)
    else:
        strides, more = (None, helpers) if stride is None else _window(op.stride)
        dilations, others = (None, helpers) if dilation is None else _window(op.dilation)
        helpers = more | others
    given = {
        "strides": strides,
        # The default, SAME, goes without saying only where no window reaches over the border.
        "padding": None
        if always(op.kernel, (1, 1)) and op.padding in ("same", "valid")
        else _padding(op.padding),
        "kernel_dilation": dilations,
    }
    return given, helpers


@spells("conv")
def conv(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Conv)
    kernel, helpers = _window(op.kernel)
    windowed, _ = _windowed(op)
    given = arguments(
        statement.input_types[0].channels,
        op.filters,
        kernel,
        **windowed,
        feature_group_count=unless(op.groups, 1),
        use_bias=unless(op.bias, True),
        rngs=_RNGS,
    )
    if is_symbolic(op.kernel) or op.kernel == (1, 1):  # windows of one pixel, or perhaps
        return Spelling("{module}({0})", f"Conv({given})", helpers=helpers | {"Conv"})
    return Spelling("{module}({0})", f"nnx.Conv({given})", helpers=helpers)


@spells("depthwise_conv")
def depthwise_conv(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, DepthwiseConv)
    kernel, helpers = _window(op.kernel)
    windowed, more = _windowed(op)
    given = arguments(
        statement.input_types[0].channels,
        kernel,
        **windowed,
        multiplier=unless(op.multiplier, 1),
        use_bias=unless(op.bias, True),
        rngs=_RNGS,
    )
    helpers |= more | {"DepthwiseConv"}
    return Spelling("{module}({0})", f"DepthwiseConv({given})", helpers=helpers)


@spells("conv_transpose")
def conv_transpose(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ConvTranspose)
    kernel, helpers = _window(op.kernel)
    own = op.output_padding is not None or not isinstance(op.padding, str)
    given: dict[str, object] = {
        "strides": None if always(op.stride, (1, 1)) else single(op.stride),
        "padding": _padding(op.padding),
    }
    if own:
        if op.padding == "valid":
            given["padding"] = None
        if op.output_padding is not None:
            given["output_padding"], more = _window(op.output_padding)
            helpers |= more
        helpers |= {"ConvTranspose"}
    made = arguments(
        statement.input_types[0].channels,
        op.filters,
        kernel,
        **given,
        use_bias=unless(op.bias, True),
        transpose_kernel=None if own else True,
        rngs=_RNGS,
    )
    return Spelling(
        "{module}({0})", f"{'' if own else 'nnx.'}ConvTranspose({made})", helpers=helpers
    )


@spells("separable_conv")
def separable_conv(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, SeparableConv)
    kernel, helpers = _window(op.kernel)
    windowed, more = _windowed(op)
    activation = op.depthwise_activation
    given = arguments(
        statement.input_types[0].channels,
        op.filters,
        kernel,
        **windowed,
        multiplier=unless(op.multiplier, 1),
        activation=None if activation is None else Code(ACTIVATIONS[activation]),
        use_bias=unless(op.bias, True),
        rngs=_RNGS,
    )
    helpers |= more | {"SeparableConv"}
    return Spelling("{module}({0})", f"SeparableConv({given})", helpers=helpers)


@spells("batch_norm")
def batch_norm(statement: Apply) -> Spelling:
    return Spelling("{module}({0})", f"nnx.BatchNorm({_batch_norm(statement)})")


def batch_norm_in_parts(statement: Apply) -> Spelling:
    made = f"ReplicaBatchNorm({_batch_norm(statement)})"
    return Spelling("{module}({0})", made, helpers=frozenset({"ReplicaBatchNorm"}))


#: Ops that are spelled otherwise.
IN_PARTS = {"batch_norm": batch_norm_in_parts}


def _batch_norm(statement: Apply) -> str:
    op = statement.op
    assert isinstance(op, BatchNorm)
    return arguments(
        statement.input_types[0].channels,
        momentum=op.momentum,
        epsilon=op.epsilon,
        use_fast_variance=False,  # E[x²] − E[x]² loses digits
        use_scale=unless(op.scale, True),
        use_bias=unless(op.center, True),
        rngs=_RNGS,
    )


def _adjusted(op: Normalization) -> dict[str, object]:
    return {
        "epsilon": op.epsilon,
        "use_fast_variance": False,  # E[x²] − E[x]² loses digits
        "use_scale": unless(op.scale, True),
        "use_bias": unless(op.center, True),
        "rngs": _RNGS,
    }


@spells("layer_norm")
def layer_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, LayerNorm)
    given = arguments(statement.input_types[0].channels, **_adjusted(op))
    return Spelling("{module}({0})", f"nnx.LayerNorm({given})")


@spells("group_norm")
def group_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, GroupNorm)
    given = arguments(
        statement.input_types[0].channels, num_groups=unless(op.groups, 32), **_adjusted(op)
    )
    return Spelling("{module}({0})", f"nnx.GroupNorm({given})")


@spells("rms_norm")
def rms_norm(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, RmsNorm)
    given = arguments(
        statement.input_types[0].channels,
        epsilon=unless(op.epsilon, 1e-6),
        use_scale=unless(op.scale, True),
        rngs=_RNGS,
    )
    return Spelling("{module}({0})", f"nnx.RMSNorm({given})")


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
    return Spelling(
        f"local_response_norm({{0}}, {given})", helpers=frozenset({"local_response_norm"})
    )


@spells("prelu")
def prelu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Prelu)
    made = arguments(statement.input_types[0].channels, initial=unless(op.initial, 0.25))
    return Spelling("{module}({0})", f"PReLU({made})", helpers=frozenset({"PReLU"}))


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
    if by_default(op):
        return Spelling("nnx.hard_sigmoid({0})", elementwise=True)
    call = f"hard_sigmoid({{0}}, {arguments(op.slope, offset=unless(op.offset, 0.5))})"
    return Spelling(call, elementwise=True, helpers=frozenset({"hard_sigmoid"}))


@spells("rescale")
def rescale(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Rescale)
    return Spelling(affine(op.scale, op.offset, _per_channel))


@spells("normalize")
def normalize(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Normalize)
    mean, std = (channelwise(numbers, _per_channel) for numbers in (op.mean, op.std))
    return Spelling(f"({{0}} - {mean}) / {std}")


def _per_channel(values: str) -> str:
    return f"jnp.array({values}, {{0}}.dtype)"


@spells("leaky_relu")
def leaky_relu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, LeakyRelu)
    call = f"leaky_relu({{0}}, {code_of(op.negative_slope)})"
    return Spelling(call, elementwise=True, helpers=frozenset({"leaky_relu"}))


@spells("elu")
def elu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Elu)
    alpha = "" if always(op.alpha, 1.0) else f", {code_of(op.alpha)}"
    return Spelling(f"nnx.elu({{0}}{alpha})", elementwise=True)


@spells("gelu")
def gelu(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Gelu)
    approximate = op.approximation == "tanh"
    return Spelling(f"nnx.gelu({{0}}, approximate={approximate})", elementwise=True)


@spells("softmax")
def softmax(statement: Apply) -> Spelling:
    return Spelling("nnx.softmax({0})", elementwise=True)


@spells("max_pool")
def max_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, MaxPool)
    if is_symbolic(op.kernel) or math.prod(op.kernel) <= _FEW:
        made = _pool(op, "max_pool", "")
        return dataclasses.replace(made, helpers=made.helpers | {"max_pool"})
    return _pool(op, "nnx.max_pool", "")


@spells("avg_pool")
def avg_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, AvgPool)
    counted = always(op.count_include_pad, True) or op.padding == "valid"
    if op.reaches_over:
        if not counted or op.padding == "valid":
            return _pool(op, "nnx.avg_pool", ", count_include_pad=False")
        kernel, helpers = _window(op.kernel)
        step, more = _window(op.step)
        call = f"avg_pool_ceil({{0}}, {kernel}, {step}, {code_of(op.padding)})"
        return Spelling(call, helpers=helpers | more | {"avg_pool_ceil"})
    return _pool(op, "nnx.avg_pool", "" if counted else ", count_include_pad=False")


def _pool(op: Pool, function: str, extra: str) -> Spelling:
    kernel, helpers = _window(op.kernel)
    step, more = _window(op.step)
    strides = "" if always(op.step, (1, 1)) else f", strides={step}"
    padding = _padding(op.padding)
    padded = "" if padding == "VALID" else f", padding={code_of(padding)}"
    helpers |= more if strides or op.reaches_over else frozenset()
    if op.reaches_over:
        own = "" if padding == "VALID" else f", {code_of(padding)}"
        padded = f", padding=ceil_padding({{0}}, {kernel}, {step}{own})"
        helpers |= {"ceil_padding"}
    return Spelling(f"{function}({{0}}, {kernel}{strides}{padded}{extra})", helpers=helpers)


@spells("adaptive_avg_pool")
def adaptive_avg_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, AdaptiveAvgPool)
    call = f"adaptive_pool(nnx.avg_pool, {{0}}, {code_of(single(op.size))})"
    return Spelling(call, helpers=frozenset({"adaptive_pool"}))


@spells("adaptive_max_pool")
def adaptive_max_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, AdaptiveMaxPool)
    call = f"adaptive_pool(nnx.max_pool, {{0}}, {code_of(single(op.size))})"
    return Spelling(call, helpers=frozenset({"adaptive_pool"}))


@spells("global_avg_pool")
def global_avg_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, GlobalAvgPool)
    return Spelling("{0}.mean(axis=(1, 2)" + (", keepdims=True)" if op.keep_dims else ")"))


@spells("global_max_pool")
def global_max_pool(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, GlobalMaxPool)
    # The gradient of x.max() looks for what equals the maximum, and is shared where there is more
    # than one. XLA may compute x a second time for that, rounded otherwise, and then finds nothing.
    pooled = "nnx.max_pool({0}, {0}.shape[1:3])"
    return Spelling(pooled if op.keep_dims else f"{pooled}.squeeze((1, 2))")


@spells("dense")
def dense(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Dense)
    given = arguments(
        statement.input_types[0].channels, op.units, use_bias=unless(op.bias, True), rngs=_RNGS
    )
    return Spelling("{module}({0})", f"nnx.Linear({given})")


@spells("attention")
def attention(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Attention)
    given = arguments(
        statement.input_types[0].channels,
        op.heads,
        head_size=op.head_size,
        use_bias=unless(op.bias, True),
        rngs=_RNGS,
    )
    return Spelling("{module}({0})", f"Attention({given})", helpers=frozenset({"Attention"}))


@spells("position_embedding")
def position_embedding(statement: Apply) -> Spelling:
    assert isinstance(statement.op, PositionEmbedding)
    made = f"PositionEmbedding({arguments(*statement.input_types[0].shape)})"
    return Spelling("{module}({0})", made, helpers=frozenset({"PositionEmbedding"}))


@spells("flatten")
def flatten(statement: Apply) -> Spelling:
    if statement.input_types[0].rank == 1:
        return Spelling("{0}")
    return Spelling("{0}.reshape({0}.shape[0], -1)")


@spells("dropout")
@spells("spatial_dropout")
@spells("stochastic_depth")
def dropout(statement: Apply) -> Spelling:
    op, (x,) = statement.op, statement.input_types
    assert isinstance(op, Dropout)
    drawn = op.drawn((0, *(2 for _ in x.shape)))  # of a batch of any, where all others are not 1
    shared = tuple(axis for axis, n in enumerate(drawn) if n == 1)
    made = f"Dropout({arguments(op.rate, broadcast_dims=shared or None)})"
    return Spelling("{module}({0})", made, helpers=frozenset({"Dropout"}))


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
        call = f"maximum({call}, {{{position}}})"
    return Spelling(call, helpers=frozenset({"maximum"}))


@spells("concat")
def concat(statement: Apply) -> Spelling:
    if statement.least is not None:
        return Spelling("jnp.concatenate({0}, axis=-1)")
    if len(statement.inputs) == 1:
        return Spelling("{0}")
    return Spelling("jnp.concatenate(({inputs}), axis=-1)")


@spells("channel_slice")
def channel_slice(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ChannelSlice)
    if is_symbolic(op.start) or is_symbolic(op.channels):  # numbers that `__init__` knows
        made = f"ChannelSlice({arguments(op.channels, start=unless(op.start, 0))})"
        return Spelling("{module}({0})", made, helpers=frozenset({"ChannelSlice"}))
    return Spelling(f"{{0}}[..., {segment(op.start, op.channels)}]")


@spells("channel_shuffle")
def channel_shuffle(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ChannelShuffle)
    if is_symbolic(op.groups):
        made = f"ChannelShuffle({code_of(op.groups)})"
        return Spelling("{module}({0})", made, helpers=frozenset({"ChannelShuffle"}))
    grouped = f"{{0}}.reshape(*{{0}}.shape[:-1], {code_of(op.groups)}, -1)"
    return Spelling(f"{grouped}.swapaxes(-1, -2).reshape({{0}}.shape)")


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
    if op.scale is not None:
        name, given = "upsample", code_of(single(op.scale))
        if op.method == "bilinear":
            name, given = "resize_bilinear", f"scale={given}"
    else:
        assert op.size is not None
        name, given = f"resize_{op.method}", code_of(single(op.size))
    return Spelling(f"{name}({{0}}, {given})", helpers=frozenset({name}))


@spells("crop")
def crop(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, Crop)
    rows, columns = (
        inner(f"{{0}}.shape[{axis}]", *sides) for axis, sides in enumerate(op.cropping, start=1)
    )
    return Spelling(f"{{0}}[:, {rows}, {columns}]")


@spells("zero_pad")
def zero_pad(statement: Apply) -> Spelling:
    op = statement.op
    assert isinstance(op, ZeroPad)
    assert not isinstance(op.padding, str)
    rows, columns = (code_of(tuple(sides)) for sides in op.padding)
    return Spelling(f"jnp.pad({{0}}, ((0, 0), {rows}, {columns}, (0, 0)))")


@spells("identity")
def identity(statement: Apply) -> Spelling:
    return Spelling("{0}")
