"""Every op's every case against an oracle that nobody here wrote, in float64.

TensorFlow and Keras are the oracle where they can be, as they define SAME padding themselves;
PyTorch is for what is plain arithmetic. Explicit padding is `tf.pad`, then VALID.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import pytest

from xgraph import ops
from xgraph.ir.types import TensorType
from xgraph.ops.base import Case
from xgraph.ops.dropout import Dropout
from xgraph.ops.pointwise import Pointwise

BATCH = 4
CASES = [(name, case) for name in ops.names() for case in ops.get(name).cases()]


def each(cases: list[tuple[str, Case]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("name", "case"), cases, ids=[f"{name}-{case}" for name, case in cases]
    )


each_case = each(CASES)


def draw(op: ops.Op, case: Case, dtype: str = "float64"):
    """Random inputs and weights; variances are positive."""
    rng = np.random.default_rng(7)
    inputs = [3 * rng.standard_normal((BATCH, *shape)).astype(dtype) for shape in case.inputs]
    weights = {}
    if isinstance(op, Dropout):
        weights = {"key": np.array(7), "passes": np.array(0)}
    for weight in op.weights(types(case)):
        values = rng.standard_normal(weight.shape).astype(dtype)
        weights[weight.name] = np.exp(values) if weight.name == "moving_variance" else values
    return inputs, weights


def types(case: Case) -> tuple[TensorType, ...]:
    return tuple(TensorType(shape) for shape in case.inputs)


@each_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shape_and_dtype(make, name, case, dtype):
    op = make(name, **case.attributes)
    inputs, weights = draw(op, case, dtype)
    output = op.infer(types(case))
    for training in (False, True):
        result = op.reference(inputs, weights, training)
        assert result.shape == (BATCH, *output.shape)
        assert result.dtype == dtype
    for key, value in op.updated_weights(inputs, weights).items():
        assert value.shape == weights[key].shape
        assert value.dtype == dtype


@each_case
def test_any_batch_size(make, name, case):
    """An example's output in evaluation does not depend on the others."""
    op = make(name, **case.attributes)
    inputs, weights = draw(op, case)
    whole = op.reference(inputs, weights)
    alone = op.reference([x[:1] for x in inputs], weights)
    np.testing.assert_allclose(alone, whole[:1], rtol=1e-12, atol=1e-12)


@each_case
def test_inputs_are_left_alone(make, name, case):
    op = make(name, **case.attributes)
    inputs, weights = draw(op, case)
    before = [x.copy() for x in (*inputs, *weights.values())]
    op.reference(inputs, weights, training=True)
    op.updated_weights(inputs, weights)
    for old, new in zip(before, (*inputs, *weights.values()), strict=True):
        np.testing.assert_array_equal(old, new)


@each([(name, case) for name, case in CASES if ops.get(name).exact])
def test_what_is_called_exact_does_not_round(make, name, case):
    """In eighths, inputs and weights: products of two are in 64ths, of three in 512ths."""
    op = make(name, **case.attributes)
    inputs, weights = draw(op, case)
    eighths = [np.round(8 * x) / 8 for x in inputs]
    coarse = {weight: np.round(8 * values) / 8 for weight, values in weights.items()}
    for training in (False, True):
        found = 8 ** len(inputs) * 8 * op.reference(eighths, coarse, training)
        np.testing.assert_array_equal(found, np.round(found))


@each([(name, case) for name, case in CASES if ops.get(name).smooth])
def test_what_is_called_smooth_has_one_slope(make, name, case):
    """Where inputs are whole, so zero and equal often, the slopes on both sides are the same."""
    op = make(name, **case.attributes)
    inputs, weights = draw(op, case)
    tied = [np.round(x / 2) for x in inputs]
    towards = [np.random.default_rng(1).standard_normal(x.shape) for x in tied]
    step = 1e-7  # of which a jump is as large; what curvature makes of it is smaller

    def at(distance: float):
        moved = [x + distance * d for x, d in zip(tied, towards, strict=True)]
        return op.reference(moved, weights, training=True)

    jump = (at(step) - 2 * at(0) + at(-step)) / step
    np.testing.assert_allclose(jump, 0, atol=1e-3)


@each_case
def test_what_is_called_uniform_gives_equal_numbers_of_equal_ones(make, name, case):
    """Of inputs of one color: what differs within a channel does so by more than rounding."""
    op = make(name, **case.attributes)
    inputs, weights = draw(op, case)
    flat = [x[:, :1, :1] * np.ones_like(x) if x.ndim == 4 else x for x in inputs]
    y = op.reference(flat, weights)
    if y.ndim == 2:
        return  # a number for each channel
    different = np.abs(y - y[:, y.shape[1] // 2, y.shape[2] // 2][:, None, None])
    rounding = (different > 0) & (different < 1e-12 * np.abs(y).max())
    assert not (op.uniform and rounding.any())


def test_a_mean_of_fewer_is_seen(make, monkeypatch):
    cls = ops.get("avg_pool")
    monkeypatch.setattr(cls, "uniform", True)
    case = Case(((7, 7, 2),), {"kernel": 3, "padding": "same", "stride": 1})
    with pytest.raises(AssertionError):
        test_what_is_called_uniform_gives_equal_numbers_of_equal_ones(make, "avg_pool", case)


@pytest.mark.parametrize("name", ["relu", "max_pool", "hard_sigmoid", "leaky_relu"])
def test_a_jump_of_the_slope_is_seen(make, name, monkeypatch):
    cls = ops.get(name)
    monkeypatch.setattr(cls, "smooth", True)
    with pytest.raises(AssertionError, match="Mismatched elements"):
        test_what_is_called_smooth_has_one_slope(make, name, next(iter(cls.cases())))


# ---------------------------------------------------------------------------------- oracles
def tf_window(op, x, fill=0.0):
    """The input and padding word for a TensorFlow window op: explicit padding is added here."""
    import tensorflow as tf

    if isinstance(op.padding, str):
        return tf.constant(x), op.padding.upper()
    return tf.pad(x, [(0, 0), *op.padding, (0, 0)], constant_values=fill), "VALID"


def tf_bias(op, y, weights):
    return y + weights["bias"] if op.bias else y


def conv(op, inputs, weights):
    import tensorflow as tf

    x, padding = tf_window(op, inputs[0])
    y = tf.nn.conv2d(x, weights["kernel"], op.stride, padding, dilations=op.dilation)
    return tf_bias(op, y, weights)


def conv_transpose(op, inputs, weights):
    import keras
    import torch

    if isinstance(op.padding, str):
        layer = keras.layers.Conv2DTranspose(
            op.filters,
            op.kernel,
            op.stride,
            op.padding,
            output_padding=op.output_padding,
            use_bias=op.bias,
            dtype="float64",
        )
        layer.build(inputs[0].shape)
        assert [w.name for w in layer.weights] == list(weights)  # canonical order is Keras'
        layer.set_weights(list(weights.values()))
        return layer(inputs[0])
    x, kernel = torch.from_numpy(inputs[0]), torch.from_numpy(weights["kernel"])
    more = op.output_padding or (0, 0)
    y = torch.nn.functional.conv_transpose2d(
        x.movedim(-1, 1), kernel.permute(3, 2, 0, 1), stride=op.stride, output_padding=more
    ).movedim(1, -1)
    (top, bottom), (left, right) = op.padding
    y = y[:, top : y.shape[1] - bottom, left : y.shape[2] - right].numpy()
    return tf_bias(op, y, weights)


def depthwise(op, inputs, weights):
    import tensorflow as tf

    x, padding = tf_window(op, inputs[0])
    kernel = weights["depthwise_kernel"]
    if op.stride[0] == op.stride[1] and (op.stride == (1, 1) or op.dilation == (1, 1)):
        return tf.nn.depthwise_conv2d(x, kernel, (1, *op.stride, 1), padding, dilations=op.dilation)
    # what depthwise_conv2d refuses: the same filters, one group per channel
    kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    return tf.nn.conv2d(x, kernel, op.stride, padding, dilations=op.dilation)


def depthwise_conv(op, inputs, weights):
    return tf_bias(op, depthwise(op, inputs, weights), weights)


def separable_conv(op, inputs, weights):
    import tensorflow as tf

    y = depthwise(op, inputs, weights)
    if op.depthwise_activation:
        y = oracle(op.depthwise_activation)(ops.get(op.depthwise_activation)(), [y.numpy()], {})
    y = tf.nn.conv2d(y, weights["pointwise_kernel"], 1, "VALID")
    return tf_bias(op, y, weights)


def ceil_pool(function, op, x, fill, **more):
    """A pooling of PyTorch's in `ceil_mode`; of padding that it cannot say, padded before.

    It may then begin a window behind the image; those are cut off.
    """
    import torch

    height, width, _ = op.infer((TensorType(x.shape[1:]),)).shape
    (top, bottom), (left, right) = op.explicit
    x = torch.from_numpy(x).movedim(-1, 1)
    if (top, left) == (bottom, right) and 2 * top <= op.kernel[0] and 2 * left <= op.kernel[1]:
        more["padding"] = (top, left)
    else:
        x = torch.nn.functional.pad(x, (left, right, top, bottom), value=fill)
    y = function(x, op.kernel, op.step, ceil_mode=True, **more)
    return y.movedim(1, -1)[:, :height, :width].numpy()


def max_pool(op, inputs, weights):
    import tensorflow as tf
    import torch

    if op.reaches_over:
        return ceil_pool(torch.nn.functional.max_pool2d, op, inputs[0], -math.inf)
    x, padding = tf_window(op, inputs[0], -math.inf)
    return tf.nn.max_pool2d(x, op.kernel, op.stride or op.kernel, padding)


def avg_pool(op, inputs, weights):
    import tensorflow as tf
    import torch

    if op.reaches_over:
        (x,), function = inputs, torch.nn.functional.avg_pool2d
        count = {"count_include_pad": op.count_include_pad}
        y = ceil_pool(function, op, x, 0.0, **count)
        if not op.count_include_pad:
            return y / ceil_pool(function, op, np.ones_like(x), 0.0, **count)
        return y

    def mean(values):
        values, padding = tf_window(op, values)
        return tf.nn.avg_pool2d(values, op.kernel, op.stride or op.kernel, padding)

    (x,) = inputs
    if not op.count_include_pad:  # SAME counts no padding; explicit padding is zeros to VALID
        return mean(x) / mean(np.ones_like(x))
    if op.padding != "same":
        return mean(x)
    # a box filter: a convolution counts padding as zeros
    box = np.full((*op.kernel, 1, x.shape[-1]), 1 / math.prod(op.kernel))
    return tf.nn.conv2d(x, box, op.stride or op.kernel, "SAME")


def concat(op, inputs, weights):
    import tensorflow as tf

    return tf.concat(inputs, axis=-1)


def keras_layer(build: Callable) -> Callable:
    """The oracle that is a Keras layer without weights: `build(keras.layers, op)`."""

    def oracle(op, inputs, weights):
        import keras

        return build(keras.layers, op)(inputs[0])

    return oracle


def batch_norm_layer(op, inputs, weights):
    import keras

    layer = keras.layers.BatchNormalization(
        momentum=op.momentum,
        epsilon=op.epsilon,
        scale=op.scale,
        center=op.center,
        dtype="float64",
    )
    layer.build(inputs[0].shape)
    assert [w.name for w in layer.weights] == list(weights)  # canonical order is Keras'
    layer.set_weights(list(weights.values()))
    return layer


def batch_norm(op, inputs, weights):
    return batch_norm_layer(op, inputs, weights)(inputs[0], training=False)


def norm(layer_of: Callable) -> Callable:
    """The oracle that is a layer of Keras with our weights: `layer_of(keras.layers, op)`."""

    def oracle(op, inputs, weights):
        import keras

        layer = layer_of(keras.layers, op)
        layer.build(inputs[0].shape)
        assert [w.name for w in layer.weights] == list(weights)  # canonical order is Keras'
        layer.set_weights(list(weights.values()))
        return layer(inputs[0])

    return oracle


def adjusted(op) -> dict[str, object]:
    return {"epsilon": op.epsilon, "scale": op.scale, "center": op.center, "dtype": "float64"}


def rms_norm(F, op, x, gamma=None):  # as PyTorch's users call it
    return F.rms_norm(x, x.shape[-1:], gamma, op.epsilon)


def channel_shuffle(F, op, x):
    columns = x.movedim(-1, 1).unsqueeze(-1)  # it wants more than two axes
    return F.channel_shuffle(columns, op.groups).squeeze(-1).movedim(1, -1)


def tf_function(build: Callable) -> Callable:
    """The oracle that is a function of TensorFlow: `build(tensorflow, op, x)`."""

    def oracle(op, inputs, weights):
        import tensorflow as tf

        return build(tf, op, inputs[0])

    return oracle


def depth_to_space(tf, op, x):
    return tf.nn.depth_to_space(x, op.block) if op.block > 1 else tf.identity(x)


def space_to_depth(tf, op, x):
    return tf.nn.space_to_depth(x, op.block) if op.block > 1 else tf.identity(x)


def resize(F, op, x):
    """`nearest-exact` by PyTorch in float64, which rounds no centre of the cases onto a border."""
    size = op.infer((TensorType(tuple(x.shape[1:])),)).shape[:2]
    mode = {"mode": "nearest-exact"}
    if op.method == "bilinear":
        mode = {"mode": "bilinear", "align_corners": False}
    return F.interpolate(x.movedim(-1, 1), size, **mode).movedim(1, -1)


def local_response_norm(F, op, x):
    y = F.local_response_norm(x.movedim(-1, 1), op.size, op.alpha, op.beta, op.k)
    return y.movedim(1, -1)


def adaptive_avg_pool(F, op, x):
    return F.adaptive_avg_pool2d(x.movedim(-1, 1), op.size).movedim(1, -1)


def adaptive_max_pool(F, op, x):
    return F.adaptive_max_pool2d(x.movedim(-1, 1), op.size).movedim(1, -1)


def prelu(F, op, x, alpha):
    return F.prelu(x.movedim(-1, 1), alpha).movedim(1, -1)


def torch_op(build: Callable) -> Callable:
    """The oracle that is PyTorch arithmetic: `build(torch, torch.nn.functional, op, *inputs)`."""

    def oracle(op, inputs, weights):
        import torch

        tensors = [torch.from_numpy(x) for x in inputs]
        given = {key: torch.from_numpy(value) for key, value in weights.items()}
        return build(torch.nn.functional, op, *tensors, **given).numpy()

    return oracle


def attention(F, op, x, **weights):
    """`MultiheadAttention`; where heads together are not as wide as x, between linear layers."""
    import torch

    positions = x.flatten(1, 2)
    width, channels = weights["output_kernel"].shape
    layer = torch.nn.MultiheadAttention(width, op.heads, batch_first=True, dtype=x.dtype)
    zeros = x.new_zeros
    inner = {"in_proj_weight": [], "in_proj_bias": []}
    given = []
    for name in ("query", "key", "value"):
        kernel, bias = weights[f"{name}_kernel"], weights.get(f"{name}_bias", zeros(width))
        if width == channels:
            given.append(positions)
            inner["in_proj_weight"].append(kernel.T)
            inner["in_proj_bias"].append(bias)
        else:
            given.append(F.linear(positions, kernel.T, bias))
            inner["in_proj_weight"].append(torch.eye(width, dtype=x.dtype))
            inner["in_proj_bias"].append(zeros(width))
    kernel, bias = weights["output_kernel"], weights.get("output_bias", zeros(channels))
    outer = (torch.eye(width, dtype=x.dtype), zeros(width))
    if width == channels:
        outer = (kernel.T, bias)
    layer.load_state_dict(
        {name: torch.cat(parts) for name, parts in inner.items()}
        | {"out_proj.weight": outer[0], "out_proj.bias": outer[1]}
    )
    y, _ = layer.eval()(*given, need_weights=False)
    y = y if width == channels else F.linear(y, kernel.T, bias)
    return y.detach().view_as(x)


ORACLES: dict[str, Callable] = {
    "adaptive_avg_pool": torch_op(adaptive_avg_pool),
    "adaptive_max_pool": torch_op(adaptive_max_pool),
    "add": torch_op(lambda F, op, *xs: sum(xs)),
    "average": torch_op(lambda F, op, *xs: sum(xs) / len(xs)),
    "attention": torch_op(attention),
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "channel_shuffle": torch_op(channel_shuffle),
    "channel_slice": torch_op(lambda F, op, x: x.narrow(-1, op.start, op.channels)),
    "concat": concat,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "crop": keras_layer(lambda layers, op: layers.Cropping2D(op.cropping, dtype="float64")),
    "dense": torch_op(lambda F, op, x, kernel, bias=None: F.linear(x, kernel.T, bias)),
    "depth_to_space": tf_function(depth_to_space),
    "depthwise_conv": depthwise_conv,
    "dropout": torch_op(lambda F, op, x, **state: F.dropout(x, op.rate, training=False)),
    "elu": torch_op(lambda F, op, x: F.elu(x, op.alpha)),
    "flatten": keras_layer(lambda layers, op: layers.Flatten(dtype="float64")),
    "gelu": torch_op(
        lambda F, op, x: F.gelu(x, approximate={"exact": "none"}.get(op.approximation, "tanh"))
    ),
    "global_avg_pool": keras_layer(
        lambda layers, op: layers.GlobalAveragePooling2D(keepdims=op.keep_dims, dtype="float64")
    ),
    "global_max_pool": keras_layer(
        lambda layers, op: layers.GlobalMaxPooling2D(keepdims=op.keep_dims, dtype="float64")
    ),
    "group_norm": norm(lambda layers, op: layers.GroupNormalization(op.groups, **adjusted(op))),
    "hard_sigmoid": torch_op(
        lambda F, op, x: (
            F.hardtanh(x * op.slope + op.offset, 0, 1) if op.slope != 1 / 6 else F.hardsigmoid(x)
        )
    ),
    "hard_swish": torch_op(lambda F, op, x: F.hardswish(x)),
    "identity": keras_layer(lambda layers, op: layers.Identity(dtype="float64")),
    "layer_norm": norm(lambda layers, op: layers.LayerNormalization(**adjusted(op))),
    "leaky_relu": torch_op(lambda F, op, x: F.leaky_relu(x, op.negative_slope)),
    "local_response_norm": torch_op(local_response_norm),
    "max_pool": max_pool,
    "maximum": torch_op(lambda F, op, *xs: functools.reduce(lambda x, y: x.maximum(y), xs)),
    "multiply": torch_op(lambda F, op, x, *rest: math.prod(rest, start=x)),
    "normalize": torch_op(lambda F, op, x: (x - x.new_tensor(op.mean)) / x.new_tensor(op.std)),
    "position_embedding": torch_op(lambda F, op, x, embedding: x.add(embedding)),
    "prelu": torch_op(prelu),
    "rescale": torch_op(lambda F, op, x: x * x.new_tensor(op.scale) + x.new_tensor(op.offset)),
    "resize": torch_op(resize),
    "rms_norm": torch_op(rms_norm),
    "separable_conv": separable_conv,
    "softmax": torch_op(lambda F, op, x: F.softmax(x, dim=-1)),
    "space_to_depth": tf_function(space_to_depth),
    "spatial_dropout": torch_op(lambda F, op, x, **state: F.dropout2d(x, op.rate, training=False)),
    "stochastic_depth": torch_op(lambda F, op, x, **state: F.dropout(x, op.rate, training=False)),
    "subtract": torch_op(lambda F, op, x, y: x - y),
    "zero_pad": keras_layer(lambda layers, op: layers.ZeroPadding2D(op.padding, dtype="float64")),
}


def oracle(name: str) -> Callable | None:
    """What judges an op: one of the above, or PyTorch's function of its name.

    None where there is neither: such an op is a product or a sum that each backend writes out, and
    `tests/backends` compares it with them.
    """
    import torch.nn.functional

    if name in ORACLES or dataclasses.fields(ops.get(name)):
        return ORACLES.get(name)
    function = getattr(torch.nn.functional, name, None)
    return function and torch_op(lambda F, op, x: function(x))


def test_there_are_oracles():
    assert set(ORACLES) <= set(ops.names())
    assert sum(oracle(name) is not None for name in ops.names()) > 25


def close(ours, theirs):
    theirs = np.asarray(theirs)
    assert theirs.dtype == np.float64
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10 * max(1, np.abs(theirs).max()))


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}-{case}") for name, case in CASES if oracle(name)],
)
def test_values(make, name, case):
    op = make(name, **case.attributes)
    inputs, weights = draw(op, case)
    close(op.reference(inputs, weights), oracle(name)(op, inputs, weights))


@pytest.mark.parametrize("case", list(ops.get("batch_norm").cases()), ids=str)
def test_batch_norm_in_training(make, case):
    op = make("batch_norm", **case.attributes)
    inputs, weights = draw(op, case)
    layer = batch_norm_layer(op, inputs, weights)
    close(op.reference(inputs, weights, training=True), layer(inputs[0], training=True))
    after = {variable.name: variable.numpy() for variable in layer.non_trainable_variables}
    updated = op.updated_weights(inputs, weights)
    assert list(updated) == list(after) == ["moving_mean", "moving_variance"]
    for key, value in updated.items():
        close(value, after[key])


@pytest.mark.parametrize("case", list(ops.get("separable_conv").cases())[:9], ids=str)
def test_separable_conv_is_keras(make, case):
    """The composed oracle above is also Keras' own layer, weight names and order included."""
    import keras

    op = make("separable_conv", **case.attributes)
    inputs, weights = draw(op, case)
    x, padding = tf_window(op, inputs[0])
    layer = keras.layers.SeparableConv2D(
        op.filters, op.kernel, op.stride, padding.lower(), dtype="float64"
    )
    layer.build(x.shape)
    assert [w.name for w in layer.weights] == list(weights)
    layer.set_weights(list(weights.values()))
    close(op.reference(inputs, weights), layer(x))


# ------------------------------------------------------------------------- far from the origin
def activations():
    """Ops that need no attribute and have no weights, and whose output is a function of each x."""
    for name in ops.names():
        cls = ops.get(name)
        required = [f for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
        if issubclass(cls, Pointwise) and not required and not cls().weights((TensorType((8,)),)):
            yield name


@pytest.mark.parametrize("name", sorted(activations()))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_do_not_overflow(make, name, dtype):
    x = np.array([[-1e4, -100, -30, -0.0, 0.0, 30, 100, 1e4]], dtype)
    with np.errstate(over="raise", invalid="raise"):
        ours = make(name).reference([x], {})
    theirs = oracle(name)(make(name), [x.astype("float64")], {})
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-30)


def test_softmax_does_not_overflow(make):
    with np.errstate(over="raise", invalid="raise"):
        y = make("softmax").reference([np.array([[1e4, 0.0, 1e4]])], {})
    np.testing.assert_array_equal(y, [[0.5, 0.0, 0.5]])
