"""Networks read of small ONNX models compute what ONNX's reference evaluator does, in float64."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import TensorProto, helper, numpy_helper

from xgraph.importing import equal
from xgraph.importing.network import Builder, Held, Network, Refused, op
from xgraph.importing.readers import onnx as reader
from xgraph.importing.readers import onnx_constants
from xgraph.importing.sources.onnx import OnnxSource

#: Height, width and channels that cannot be taken for one another.
SHAPE = (6, 4, 8)
Attributes = Mapping[str, Any]


class Graph:
    """A model that is written node by node; its weights are drawn, in float64."""

    def __init__(self, shape: Sequence[Any] = ("N", 8, 6, 4), opset: int = 21) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.input = helper.make_tensor_value_info("x", TensorProto.DOUBLE, shape)
        self.opset = opset
        self.rng = np.random.default_rng(7)
        self.last = "x"

    def weight(self, *shape: int, low: float = -1.0) -> str:
        return self.given(self.rng.uniform(low, 1.0, shape))

    def given(self, array: Any) -> str:
        name = f"w{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def constant(self, array: Any) -> str:
        tensor = numpy_helper.from_array(np.asarray(array), "")
        return self.node("Constant", [], value=tensor)

    def node(self, kind: str, inputs: Sequence[str], count: int = 1, **attributes: Any) -> str:
        """The first output of a node; the next ones have a letter behind its name."""
        name = f"v{len(self.nodes)}"
        names = [name, *(f"{name}{'abcdefg'[k]}" for k in range(count - 1))]
        self.nodes.append(
            helper.make_node(kind, list(inputs), names, name=f"n_{name}", **attributes)
        )
        return name

    def then(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """A node of what came before, and other inputs."""
        self.last = self.node(kind, [self.last, *inputs], **attributes)
        return self.last

    def model(self, *outputs: str) -> onnx.ModelProto:
        told = [
            helper.make_tensor_value_info(name, TensorProto.DOUBLE, None)
            for name in outputs or (self.last,)
        ]
        graph = helper.make_graph(self.nodes, "small", [self.input], told, self.initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])


def computed(network: Network, weights: Mapping[str, Any], x: Any) -> list[Any]:
    """What a network makes of images, in NumPy."""
    values: list[Any] = []
    for layer in network.layers:
        if layer.op.name == "input":
            values.append(x)
            continue
        held = {
            word: one.seen(weights[one.name]).astype("float64")
            for word, one in layer.weights.items()
        }
        inputs = [values[place] for place in layer.inputs]
        if layer.op.name == "pixel":
            values.append(inputs[0][:, None, None, :])
        else:
            values.append(layer.op.reference(inputs, held))
    return [values[place] for _, place in network.outputs]


def channels_last(x: Any) -> Any:
    """ONNX's result as ours; one of a single pixel may be a vector there and no vector here."""
    return x.transpose(0, 2, 3, 1) if x.ndim == 4 else x


def check(
    graph: Graph,
    *outputs: str,
    shape: tuple[int, int, int] = SHAPE,
    first: bool = True,
    batch: int = 2,
    tolerance: float = 1e-12,
) -> Network:
    """The network of a model, after its values were compared; `first`: channels in ONNX."""
    model = graph.model(*outputs)
    network = reader.read(model, shape)
    x = np.random.default_rng(3).uniform(-2, 2, (batch, *shape))
    evaluator = onnx.reference.ReferenceEvaluator(model)
    expected = evaluator.run(None, {"x": x.transpose(0, 3, 1, 2) if first else x})
    received = computed(network, reader.arrays(model), x)
    assert len(received) == len(expected)
    for got, wanted in zip(received, expected, strict=True):
        said = channels_last(wanted) if first else wanted
        assert got.reshape(len(got), -1).shape == said.reshape(len(said), -1).shape
        assert math.prod(got.shape) > 1
        limit = tolerance * np.abs(said).max()
        assert np.abs(got.reshape(said.shape) - said).max() <= limit
    for (_, place), got in zip(network.outputs, received, strict=True):
        assert got.shape[1:] == network.types[place].shape
    return network


def kinds(network: Network) -> list[str]:
    return [layer.op.name for layer in network.layers[1:]]


def refused(graph: Graph, *outputs: str, shape: tuple[int, int, int] = SHAPE) -> tuple[str, ...]:
    with pytest.raises(Refused) as caught:
        reader.read(graph.model(*outputs), shape)
    assert all("\n" not in line for line in caught.value.lines)
    return caught.value.lines


# -- windows --------------------------------------------------------------------------------------

WINDOWS: list[Attributes] = [
    {},
    {"strides": [2, 1], "pads": [1, 0, 2, 1]},
    {"dilations": [2, 1], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 3], "auto_pad": "SAME_UPPER"},
    {"strides": [2, 3], "auto_pad": "SAME_LOWER"},
    {"auto_pad": "VALID"},
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_conv(window):
    graph = Graph()
    if "dilations" in window and "auto_pad" in window:  # the evaluator pads these otherwise
        window = {**window, "auto_pad": "NOTSET", "pads": [2, 1, 2, 1]}
    graph.then("Conv", graph.weight(5, 8, 3, 3), graph.weight(5), **window)
    assert kinds(check(graph)) == ["conv"]


@pytest.mark.parametrize(("groups", "filters"), [(2, 6), (8, 8), (8, 16)])
def test_conv_in_groups(groups, filters):
    graph = Graph()
    graph.then("Conv", graph.weight(filters, 8 // groups, 3, 2), group=groups, kernel_shape=[3, 2])
    network = check(graph)
    assert kinds(network) == ["conv"]
    assert not network.layers[1].op.bias


@pytest.mark.parametrize(
    "window",
    [
        {},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
        {"strides": [3, 2], "pads": [0, 1, 2, 0]},
    ],
    ids=str,
)
def test_conv_transpose(window):
    graph = Graph()
    graph.then("ConvTranspose", graph.weight(8, 5, 3, 3), graph.weight(5), **window)
    assert kinds(check(graph)) == ["conv_transpose"]


@pytest.mark.parametrize("counted", [0, 1])
@pytest.mark.parametrize(
    "window",
    [
        {"kernel_shape": [2, 2]},
        {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    ],
    ids=str,
)
def test_pools(window, counted):
    graph = Graph()
    if counted:
        graph.then("AveragePool", count_include_pad=1, **window)
    else:
        graph.then("AveragePool" if "ceil_mode" not in window else "MaxPool", **window)
        check(graph)
        graph = Graph()
        graph.then("MaxPool", **window)
    check(graph)


def test_pools_of_the_whole_image():
    for kind in ("GlobalAveragePool", "GlobalMaxPool"):
        graph = Graph()
        graph.then(kind)
        check(graph)
    for kept in (0, 1):
        graph = Graph()
        graph.then("ReduceMean", graph.given(np.array([-1, 2])), keepdims=kept)
        assert kinds(check(graph))[0] == "global_avg_pool"
    graph = Graph(opset=13)
    graph.then("ReduceMean", axes=[2, 3], keepdims=0)
    check(graph)
    graph = Graph()
    graph.then("ReduceMax", graph.given(np.array([2, 3])))
    check(graph)


def test_reduced_are_all_pixels_or_none():
    graph = Graph()
    graph.then("ReduceMean", graph.given(np.array([1])))
    (line,) = refused(graph)
    assert line == "n_v0: ReduceMean over axes [1] of (n, c, h, w), not over all pixels"


def test_pad_and_crop():
    graph = Graph()
    graph.then("Pad", graph.given(np.array([0, 0, 1, 0, 0, 0, 2, 3])))
    graph.then("Slice", *(graph.given(np.array(n)) for n in ([1, 2], [-1, 5], [2, 3])))
    assert kinds(check(graph)) == ["zero_pad", "crop"]
    graph = Graph()
    graph.then("Pad", graph.given(np.array([0, 0, -1, 0, 0, 0, 0, 0])))
    assert "zeros are added" in refused(graph)[0]


def test_resize():
    scales = np.array([1, 1, 2, 3], "float32")
    for mode in ("nearest", "linear"):
        graph = Graph()
        graph.then("Resize", "", graph.given(scales), mode=mode)
        assert kinds(check(graph, tolerance=1e-6)) == ["resize"]
    graph = Graph(("N", 8, 6, 4))
    asked = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    graph.then("Resize", "", graph.given(scales), mode="nearest", **asked)
    check(graph)
    graph = Graph((2, 8, 6, 4))
    sizes = graph.given(np.array([2, 8, 9, 3]))
    graph.then(
        "Resize", "", "", sizes, mode="linear", coordinate_transformation_mode="align_corners"
    )
    assert "align_corners" in refused(graph)[0]


def test_upsample():
    """As exporters wrote it until opset 9."""
    graph = Graph(opset=9)
    graph.then("Upsample", graph.given(np.array([1, 1, 2, 2], "float32")), mode="nearest")
    network = reader.read(graph.model(), SHAPE)
    x = np.random.default_rng(0).normal(size=(1, *SHAPE))
    (received,) = computed(network, {}, x)  # the evaluator has it not
    assert np.array_equal(received, x.repeat(2, 1).repeat(2, 2))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_blocks(mode):
    graph = Graph()
    graph.then("DepthToSpace", blocksize=2, mode=mode)
    check(graph)
    if mode == "DCR":
        graph = Graph()
        graph.then("SpaceToDepth", blocksize=2)
        check(graph)


# -- products with matrices -----------------------------------------------------------------------


def test_entries_of_a_vector_come_in_our_order():
    """The rows of a kernel are in the order (C, H, W) in ONNX, in (H, W, C) here."""
    graph = Graph()
    graph.then("Flatten")
    graph.then("Relu")
    graph.then("Dropout", graph.given(np.float32(0.25)))
    graph.then("Gemm", graph.weight(5, 192), graph.weight(5), transB=1)
    graph.then("Gemm", graph.weight(5, 3))
    network = check(graph)
    assert kinds(network) == ["flatten", "relu", "dropout", "dense", "dense"]
    moves = [type(move).__name__ for move in network.layers[4].weights["kernel"].moves]
    assert moves == ["Transposed", "Reshaped", "Transposed", "Reshaped"]
    assert not network.layers[5].op.bias


def test_a_vector_in_another_order_is_for_layers_that_bring_it_into_ours():
    graph = Graph()
    graph.then("Flatten")
    (line,) = refused(graph)
    assert line == "the output v0 is of axes (n, c·c), which are not ours"
    graph.then("Softmax")
    (line,) = refused(graph)
    assert line == "n_v1: Softmax over axis 1 of (n, c·c), not over the channels"
    graph = Graph()
    graph.then("Flatten")
    graph.then("BatchNormalization", *(graph.weight(192, low=0.5) for _ in range(4)))
    graph.then("Mul", graph.weight(192))
    graph.then("Sub", graph.constant(np.linspace(0, 1, 192)))
    graph.then("PRelu", graph.weight(192))
    (line,) = refused(graph)
    assert line == "the output v5 is of axes (n, c·c), which are not ours"
    graph.then("MatMul", graph.weight(192, 5))
    graph.then("Add", graph.weight(5))
    wanted = ["flatten", "batch_norm", "scale", "rescale", "prelu", "dense"]
    assert kinds(check(graph)) == wanted


def test_a_matrix_over_the_last_axis():
    """As ConvNeXt has it, and as a bias that is added."""
    graph = Graph()
    graph.then("Transpose", perm=[0, 2, 3, 1])
    graph.then("LayerNormalization", graph.weight(8), graph.weight(8), epsilon=1e-6)
    graph.then("MatMul", graph.node("Transpose", [graph.weight(12, 8)], perm=[1, 0]))
    bias = graph.weight(12)
    graph.last = graph.node("Add", [bias, graph.last])
    graph.then("Relu")
    graph.then("Transpose", perm=[0, 3, 1, 2])
    graph.then("Mul", graph.weight(12, 1, 1))
    network = check(graph)
    assert kinds(network) == ["layer_norm", "conv", "relu", "scale"]
    assert network.layers[2].weights["bias"] == Held(bias, (12,))


def test_a_bias_is_of_a_layer_that_nothing_else_reads():
    graph = Graph()
    conv = graph.then("Conv", graph.weight(5, 8, 1, 1))
    graph.then("Add", graph.weight(1, 5, 1, 1))
    graph.then("Add", conv)
    assert kinds(check(graph)) == ["conv", "rescale", "add"]


def test_squeeze_and_excitation():
    """By dense layers, whose vector becomes a pixel."""
    graph = Graph()
    graph.then("GlobalAveragePool")
    graph.then("Flatten")
    graph.then("MatMul", graph.weight(8, 2))
    graph.then("Add", graph.weight(2))
    graph.then("Relu")
    graph.then("Gemm", graph.weight(2, 8), graph.weight(8))
    graph.then("Sigmoid")
    graph.then("Reshape", graph.given(np.array([0, -1, 1, 1])))
    graph.last = graph.node("Mul", ["x", graph.last])
    check(graph)


def test_a_gate_that_is_repeated():
    graph = Graph()
    graph.then("ReduceMean", graph.given(np.array([2, 3])))
    graph.then("Expand", graph.node("Shape", ["x"]))
    graph.last = graph.node("Mul", [graph.last, "x"])
    assert kinds(check(graph)) == ["global_avg_pool", "multiply"]


# -- normalization --------------------------------------------------------------------------------


def test_batch_norm():
    graph = Graph()
    vectors = [graph.weight(8, low=0.5) for _ in range(4)]
    graph.then("BatchNormalization", *vectors, epsilon=1e-3, momentum=0.8)
    made = check(graph).layers[1].op
    assert (made.epsilon, made.momentum) == (pytest.approx(1e-3), pytest.approx(0.8))
    graph = Graph()
    graph.initializers = [numpy_helper.from_array(np.ones(8), name) for name in vectors]
    graph.then("BatchNormalization", *vectors, training_mode=1)
    assert refused(graph) == ("n_v0: BatchNormalization with training_mode=1; read is 0",)


def test_constants_that_do_nothing_are_no_weights():
    """PyTorch writes zeros for a bias that is not there."""
    graph = Graph()
    kernel = graph.weight(5, 8, 1, 1)
    count = graph.node("Shape", [kernel], start=0, end=1)
    zero = graph.node("CastLike", [graph.constant(np.float32(0)), "x"])
    zeros = graph.node("Expand", [zero, count])
    graph.then("Conv", kernel, zeros)
    assert not check(graph, tolerance=1e-6).layers[1].op.bias


def test_rms_norm():
    graph = Graph(opset=23)
    graph.then("Transpose", perm=[0, 2, 3, 1])
    graph.then("RMSNormalization", graph.weight(8), epsilon=1e-3)
    graph.then("Transpose", perm=[0, 3, 1, 2])
    assert kinds(check(graph, tolerance=1e-6)) == ["rms_norm"]


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_group_norm(groups):
    graph = Graph()
    vectors = graph.weight(8), graph.weight(8)
    graph.then("GroupNormalization", *vectors, num_groups=groups, epsilon=1e-3)
    check(graph, tolerance=1e-6)  # the evaluator's epsilon is float32
    graph = Graph()  # as PyTorch writes it for older opsets
    graph.then("Reshape", graph.given(np.array([0, groups, -1])))
    ones, zeros = (graph.given(np.full(groups, n, "float64")) for n in (1, 0))
    graph.then("InstanceNormalization", ones, zeros, epsilon=1e-3)
    graph.then("Reshape", graph.node("Shape", ["x"]))
    graph.then("Mul", graph.weight(8, 1, 1))
    graph.then("Add", graph.weight(8, 1, 1))
    network = check(graph, tolerance=1e-6)
    assert kinds(network) == ["group_norm"]
    assert set(network.layers[1].weights) == {"gamma", "beta"}


def test_instance_norm_and_local_response_norm():
    graph = Graph()
    graph.then("InstanceNormalization", graph.weight(8), graph.weight(8))
    graph.then("LRN", size=3, alpha=0.1, beta=0.5, bias=2.0)
    # The evaluator normalizes as many channels as there are images; its epsilon is float32.
    network = check(graph, batch=8, tolerance=1e-6)
    assert kinds(network) == ["group_norm", "local_response_norm"]


# -- of each number by itself ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "attributes", "name"),
    [
        ("Relu", {}, "relu"),
        ("LeakyRelu", {"alpha": 0.125}, "leaky_relu"),
        ("Elu", {"alpha": 0.5}, "elu"),
        ("Sigmoid", {}, "sigmoid"),
        ("Tanh", {}, "tanh"),
        ("HardSigmoid", {"alpha": 0.25, "beta": 0.375}, "hard_sigmoid"),
        ("HardSwish", {}, "hard_swish"),
        ("Gelu", {}, "gelu"),
        ("Gelu", {"approximate": "tanh"}, "gelu"),
        ("Mish", {}, "mish"),
        ("Softmax", {"axis": 1}, "softmax"),
    ],
)
def test_activations(kind, attributes, name):
    graph = Graph()
    graph.then(kind, **attributes)
    network = check(graph, tolerance=1e-6)  # some of the evaluator's are in float32
    assert kinds(network) == [name]


def test_swish_and_an_old_softmax():
    graph = Graph(opset=24)
    graph.then("Swish")
    assert kinds(check(graph, tolerance=1e-6)) == ["silu"]
    graph = Graph(opset=12)
    graph.then("GlobalAveragePool")
    graph.then("Softmax", axis=1)
    assert kinds(check(graph)) == ["global_avg_pool", "softmax"]
    graph = Graph(opset=12)
    graph.then("Softmax")
    assert "over axes 1 to the last of (n, c, h, w)" in refused(graph)[0]


def test_logarithms_of_probabilities_at_the_end():
    for opset, steps in ((18, ["LogSoftmax"]), (18, ["Softmax", "Log"]), (12, ["LogSoftmax"])):
        graph = Graph(opset=opset)
        graph.then("GlobalAveragePool")
        for step in steps:
            graph.then(step, **({} if step == "Log" else {"axis": 1}))
        network = check(graph, tolerance=1e-6)
        assert network.layers[network.outputs[0][1]].op.name == "log_softmax"
        graph.then("Relu")
        assert "log_softmax before the end" in refused(graph)[0]
    graph = Graph()
    graph.then("LogSoftmax", axis=2)
    assert "not over the channels" in refused(graph)[0]
    graph = Graph()
    graph.then("Relu")
    graph.then("Log")
    assert "of other than a softmax" in refused(graph)[0]


def test_clips():
    for low, high, name in ((0.0, 6.0, "relu6"), (0.0, None, "relu"), (None, None, "identity"),
                            (0.0, 1.0, "hard_sigmoid")):  # fmt: skip
        graph = Graph()
        bounds = ["" if one is None else graph.constant(np.float64(one)) for one in (low, high)]
        graph.then("Clip", *bounds)
        graph.then("Relu")
        assert kinds(check(graph))[0] == ("relu" if name == "identity" else name)
    graph = Graph(opset=10)
    graph.input.type.tensor_type.elem_type = TensorProto.FLOAT
    graph.then("Clip", min=0.0, max=2.0)
    said = "n_v0: Clip from min=0 to max=2; read are 0 to 6, 0 to 1, and 0 and above"
    assert refused(graph) == (said,)


def test_prelu():
    graph = Graph()
    graph.then("PRelu", graph.weight(8, 1, 1))
    check(graph)
    graph = Graph()
    graph.then("PRelu", graph.weight(1))
    assert "one slope for all channels" in refused(graph)[0]


@pytest.mark.parametrize("early", [True, False])
def test_gelu_as_it_is_written_out(early):
    graph = Graph()
    x = graph.then("Relu")
    half = graph.constant(np.float64(0.5))
    erf = graph.node("Erf", [graph.node("Div", [x, graph.constant(math.sqrt(2))])])
    one = graph.node("Add", [erf, graph.constant(np.float64(1))])
    if early:
        graph.last = graph.node("Mul", [graph.node("Mul", [x, half]), one])
    else:
        graph.last = graph.node("Mul", [graph.node("Mul", [x, one]), half])
    assert kinds(check(graph, tolerance=1e-7)) == ["relu", "gelu"]
    graph.then("Add", graph.node("Erf", [x]))
    assert refused(graph) == ("n_v9: Erf of what is not x / √2, as in a GELU",)


def test_mish_as_it_is_written_out():
    graph = Graph()
    graph.last = graph.node("Mul", ["x", graph.node("Tanh", [graph.node("Softplus", ["x"])])])
    assert kinds(check(graph)) == ["mish"]


# -- sums and products ----------------------------------------------------------------------------


def test_tensors_together():
    for kind, name in (("Add", "add"), ("Sum", "add"), ("Max", "maximum"), ("Mean", "average"),
                       ("Mul", "multiply"), ("Sub", "subtract")):  # fmt: skip
        graph = Graph()
        graph.then(kind, graph.node("Relu", ["x"]))
        assert kinds(check(graph)) == ["relu", name]


def test_constants_are_rescale():
    numbers: dict[str, Callable[[Graph], str]] = {
        "one": lambda graph: graph.constant(np.float64(0.75)),
        "each": lambda graph: graph.weight(1, 8, 1, 1, low=0.5),
    }
    for made in numbers.values():
        for kind in ("Add", "Sub", "Mul", "Div"):
            graph = Graph()
            graph.then(kind, made(graph))
            assert kinds(check(graph)) == ["rescale"]
    graph = Graph()
    graph.last = graph.node("Sub", [graph.weight(8, 1, 1), "x"])
    check(graph)
    graph = Graph()
    graph.last = graph.node("Div", [graph.weight(8, 1, 1), "x"])
    assert refused(graph) == ("n_v0: Div of constants by a tensor",)
    graph = Graph()
    graph.then("Add", graph.weight(6, 4))
    assert "constants of shape" in refused(graph)[0]


def test_a_trained_factor_is_scale():
    graph = Graph()
    graph.then("Relu")
    graph.then("Mul", graph.weight(8, 1, 1))
    assert kinds(check(graph)) == ["relu", "scale"]


def test_a_factor_and_a_bias_are_a_convolution_of_single_pixels():
    """As caffe2 writes what a batch norm learns."""
    graph = Graph()
    graph.then("Relu")
    graph.then("Mul", graph.weight(8, 1, 1))
    graph.then("Add", graph.weight(8, 1, 1))
    assert kinds(check(graph)) == ["relu", "depthwise_conv"]
    graph = Graph()
    graph.then("Mul", graph.weight(8, 1, 1))
    scaled = graph.last
    graph.then("Add", graph.weight(8, 1, 1))
    graph.then("Add", scaled)  # which something else reads too
    assert "depthwise_conv" not in kinds(check(graph))
    graph = Graph()
    graph.then("Relu")
    graph.then("ReduceMean", graph.constant(np.array([2, 3])), keepdims=0)
    graph.then("Mul", graph.weight(8))
    graph.then("Add", graph.weight(8))
    assert "depthwise_conv" not in kinds(check(graph))  # of a vector


def filled(graph: Graph, number: float, *sizes: int, held: bool = True) -> str:
    """A weight that one number stands for."""
    shape = graph.given(np.array(sizes)) if held else graph.constant(np.array(sizes))
    return graph.node("ConstantOfShape", [shape], value=numpy_helper.from_array(np.array([number])))


@pytest.mark.parametrize("held", [False, True])
def test_one_number_for_a_weight(held):
    """As in the graphs that the package onnx brings."""
    graph = Graph()
    graph.then("Conv", filled(graph, 0.3, 4, 8, 3, 3, held=held), filled(graph, 0.1, 4, held=held))
    graph.then("Mul", graph.node("Unsqueeze", [filled(graph, 2.0, 4), shape_of(graph, 1, 2)]))
    network = check(graph)
    assert kinds(network) == ["conv", "scale"]
    assert reader.arrays(graph.model())[network.layers[1].weights["kernel"].name].shape == (
        (4, 8, 3, 3)
    )


def test_one_number_elsewhere_is_a_number():
    graph = Graph()
    graph.then("Conv", graph.weight(4, 8, 3, 3))
    graph.then("Mul", filled(graph, 2.0, 4, 1, 1))
    network = check(graph)
    assert kinds(network) == ["conv", "rescale"]
    assert network.layers[2].op.scale == 2


def test_one_number_for_too_many():
    for sizes in ((1 << 15, 1 << 15), (4, -1)):
        graph = Graph()
        graph.then("Conv", filled(graph, 0.3, *sizes, 3, 3))
        assert "ConstantOfShape of shape" in refused(graph)[0]
    graph = Graph()
    graph.then("Conv", filled(graph, 0.3, 4, 8, 3, 3))
    graph.initializers.append(
        numpy_helper.from_array(np.zeros((4, 8, 3, 3)), graph.nodes[0].output[0])
    )
    assert "two values have this name" in refused(graph)[0]


@pytest.mark.parametrize("version", [3, 10])
def test_weights_of_nodes_are_written_as_tensors(version, tmp_path):
    graph = Graph()
    graph.then("Conv", filled(graph, 0.3, 4, 8, 3, 3), graph.constant(graph.rng.uniform(size=4)))
    model = graph.model()
    model.ir_version = version
    onnx.save(model, path := tmp_path / "m.onnx")
    source = OnnxSource(path)
    held = source.network(SHAPE).layers[1].weights.values()
    drawn = {one.name: graph.rng.uniform(size=one.shape) for one in held}
    source.write(path := tmp_path / "written.onnx", drawn)
    written = OnnxSource(path)
    if version == 3:  # then each initializer is an input
        assert {one.name for one in written.model.graph.input} >= {*drawn}
    assert all(np.array_equal(written.arrays()[name], array) for name, array in drawn.items())
    assert {one.name for one in written.network(SHAPE).layers[1].weights.values()} == {*drawn}


# -- channels -------------------------------------------------------------------------------------


def test_split_concat_and_slice():
    graph = Graph()
    graph.node("Split", ["x", graph.given(np.array([2, 3, 3]))], count=3, axis=1)
    cut = [graph.given(np.array(n)) for n in ([3], [2**63 - 1], [1])]
    sliced = graph.node("Slice", ["x", *cut])
    graph.last = graph.node("Concat", ["v0b", "v0", sliced, "v0a"], axis=1)
    check(graph)
    graph = Graph()
    graph.node("Split", ["x"], count=3, axis=1, num_outputs=3)
    check(graph, "v0", "v0a", "v0b")
    graph.node("Split", ["x"], count=2, axis=2, num_outputs=2)
    check(graph, "v1", "v1a")
    graph.node("Split", ["x"], count=2, num_outputs=2)
    assert refused(graph, "v2") == ("n_v2: Split of the batch",)


def test_split_to_sequence():
    """As PyTorch writes `chunk`."""
    graph = Graph()
    parts = graph.node("SplitToSequence", ["x", graph.given(np.array(4))], axis=1)
    first, last = (graph.node("SequenceAt", [parts, graph.given(np.array(k))]) for k in (0, 1))
    graph.last = graph.node("Concat", [last, first], axis=1)
    assert kinds(check(graph)) == ["channel_slice", "channel_slice", "concat"]


def shuffled(graph: Graph, groups: int) -> None:
    """As PyTorch writes a shuffle, its sizes taken of the tensor."""
    shape = graph.node("Shape", [graph.last])

    def size(axis: int) -> str:
        return graph.node("Gather", [shape, graph.constant(np.array(axis))], axis=0)

    def together(*sizes: str) -> str:
        zero = graph.constant(np.array([0]))
        return graph.node("Concat", [graph.node("Unsqueeze", [n, zero]) for n in sizes], axis=0)

    number = graph.constant(np.array(groups))
    each = graph.node("Cast", [graph.node("Div", [size(1), number])], to=TensorProto.INT64)
    graph.then("Reshape", together(size(0), number, each, size(2), size(3)))
    graph.then("Transpose", perm=[0, 2, 1, 3, 4])
    graph.then("Reshape", together(size(0), size(1), size(2), size(3)))


def test_channel_shuffle():
    graph = Graph()
    shuffled(graph, 2)
    network = check(graph)
    assert kinds(network) == ["channel_shuffle"]
    assert network.layers[1].op.groups == 2
    graph = Graph()
    graph.then("Reshape", graph.given(np.array([-1, 2, 4, 6, 4])))
    graph.then("Transpose", perm=[0, 2, 1, 3, 4])
    graph.then("Reshape", graph.given(np.array([-1, 8, 6, 4])))
    check(graph)


@pytest.mark.parametrize("inner", [[0, 1, 4, 2, 5, 3], [0, 3, 4, 1, 5, 2]])
def test_pixels_shuffled_by_axes(inner):
    """PyTorch's order and TensorFlow's, of channels that become pixels."""
    graph = Graph()
    graph.then("Reshape", graph.given(np.array([0, 2, 2, 2, 6, 4])))
    graph.then("Transpose", perm=inner)
    graph.then("Reshape", graph.given(np.array([-1, 2, 12, 8])))
    assert kinds(check(graph))[-1] == "depth_to_space"


@pytest.mark.parametrize("perm", [[0, 1, 3, 5, 2, 4], [0, 3, 5, 1, 2, 4]])
def test_pixels_that_become_channels_by_axes(perm):
    graph = Graph()
    graph.then("Reshape", graph.given(np.array([0, 0, 3, 2, 2, 2])))
    graph.then("Transpose", perm=perm)
    graph.then("Reshape", graph.given(np.array([0, 32, 3, 2])))
    assert kinds(check(graph))[0] == "space_to_depth"


# -- layout ---------------------------------------------------------------------------------------


def test_images_with_channels_last():
    """As TensorFlow's converter writes them: a transpose before all else, and MatMul with Add."""
    graph = Graph(("N", 6, 4, 3))
    graph.then("Mul", graph.constant(np.float64(1 / 255)))
    graph.then("Transpose", perm=[0, 3, 1, 2])
    graph.then("Conv", graph.weight(8, 3, 3, 3), graph.weight(8), auto_pad="SAME_UPPER")
    graph.then("Transpose", perm=[0, 2, 3, 1])
    graph.then("Relu")
    graph.then("Reshape", graph.given(np.array([-1, 192])))
    graph.then("MatMul", graph.weight(192, 5))
    graph.then("Add", graph.weight(5))
    network = check(graph, shape=(6, 4, 3), first=False)
    assert kinds(network) == ["rescale", "conv", "relu", "flatten", "dense"]
    assert not network.layers[-1].weights["kernel"].moves  # rows are in our order already


def test_the_first_convolution_says_where_channels_are():
    """Sizes that fit either way: nothing is guessed from them."""
    for first in (True, False):
        graph = Graph(("N", 4, 4, 4))
        if not first:
            graph.then("Transpose", perm=[0, 3, 1, 2])
        graph.then("Conv", graph.weight(4, 4, 3, 1))
        if not first:
            graph.then("Transpose", perm=[0, 2, 3, 1])
        check(graph, shape=(4, 4, 4), first=first)


def test_declared_shapes_must_agree():
    graph = Graph(("N", 6, 4, 8))
    graph.then("Conv", graph.weight(4, 8, 1, 1))
    assert refused(graph) == ("the input x is of shape (N, 6, 4, 8), not (N, 8, 6, 4)",)


def test_a_batch_of_a_fixed_size():
    graph = Graph((1, 8, 6, 4))
    graph.then("MaxPool", kernel_shape=[6, 4])
    graph.then("Reshape", graph.given(np.array([1, -1])))
    graph.then("Gemm", graph.weight(8, 5))
    network = reader.read(graph.model(), SHAPE)
    assert kinds(network) == ["max_pool", "flatten", "dense"]


def test_squeeze_and_unsqueeze():
    graph = Graph()
    graph.then("GlobalAveragePool")
    graph.then("Squeeze", graph.given(np.array([2, 3])))
    graph.then("Gemm", graph.weight(8, 5))
    graph.then("Unsqueeze", graph.given(np.array([2, 3])))
    graph.then("Conv", graph.weight(3, 5, 1, 1))
    check(graph)


def test_what_changes_nothing():
    graph = Graph()
    graph.then("Identity")
    graph.then("Cast", to=TensorProto.DOUBLE)
    graph.then("Expand", graph.given(np.array([1, 8, 1, 1])))
    graph.then("Relu")
    assert kinds(check(graph)) == ["relu"]


# -- what is refused ------------------------------------------------------------------------------


def test_all_that_means_nothing_is_named_at_once():
    graph = Graph()
    graph.then("Hardmax")
    graph.then("Relu")
    other = graph.node("Clip", ["x", graph.constant(np.float64(-1))])
    graph.last = graph.node("Add", [graph.last, other])
    graph.then("Einsum", equation="nchw->nhwc")
    assert refused(graph) == (
        "n_v0: no op of ours is ONNX' Hardmax",
        "n_v3: Clip from min=-1 to max=inf; read are 0 to 6, 0 to 1, and 0 and above",
        "n_v5: no op of ours is ONNX' Einsum",
    )


def test_what_no_output_needs_is_not_looked_at():
    graph = Graph()
    graph.node("LogSoftmax", ["x"])
    graph.then("Relu")
    check(graph)


def test_other_domains_and_graphs_inside():
    graph = Graph()
    graph.then("Relu", domain="com.example\x1b[2J")
    (line,) = refused(graph)
    assert line == "n_v0: no op of ours is ONNX' Relu of com.example·[2J"
    inside = helper.make_graph([], "inside", [], [])
    graph = Graph()
    graph.last = graph.node("If", ["x"], then_branch=inside, else_branch=inside)
    assert refused(graph) == ("n_v0: no op of ours is ONNX' If",)
    graph = Graph()
    graph.then("Relu", hidden=inside)
    assert refused(graph) == ("n_v0: Relu has a graph inside",)


def broken(change: Callable[[onnx.ModelProto], Any]) -> tuple[str, ...]:
    graph = Graph()
    graph.then("Conv", graph.weight(4, 8, 1, 1))
    graph.then("Relu")
    model = graph.model()
    change(model)
    with pytest.raises(Refused) as caught:
        reader.read(model, SHAPE)
    return caught.value.lines


def test_models_that_are_none():
    assert broken(lambda m: m.ClearField("opset_import"))[0].startswith("the model is of ONNX'")
    assert broken(lambda m: m.graph.ClearField("input"))[0].startswith("the model has the inputs")
    assert broken(lambda m: m.graph.ClearField("initializer")) == (
        "n_v0: no node before it gives w0",
    )
    assert broken(lambda m: m.graph.node[1].ClearField("input")) == (
        "n_v1: Relu of constants alone",
    )
    assert broken(lambda m: m.graph.node[0].ClearField("input")) == (
        "n_v0: Conv of constants alone",
    )
    assert "two values" in broken(lambda m: m.graph.node[1].output.append("v0"))[0]
    assert "no node before it gives" in broken(lambda m: m.graph.node[0].input.append("y"))[0]
    assert "numbers are not those" in broken(lambda m: m.graph.initializer[0].dims.append(2**40))[0]
    assert (
        "numbers are not those"
        in broken(lambda m: m.graph.initializer[0].dims.__setitem__(0, -4))[0]
    )
    assert "opset 1000; onnx" in broken(lambda m: setattr(m.opset_import[0], "version", 1000))[0]
    assert (
        "is nothing that the images say"
        in broken(lambda m: setattr(m.graph.output[0], "name", "w0"))[0]
    )


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_operators_that_a_model_defines_itself(domain):
    """What is called Relu may then be something else."""
    node = onnx.helper.make_node("Sigmoid", ["a"], ["b"])
    opsets = [onnx.helper.make_opsetid("", 17)]
    own = onnx.helper.make_function(domain, "Relu", ["a"], ["b"], [node], opsets)
    (line,) = broken(lambda m: m.functions.append(own))
    assert line == "the model says itself what Relu does; read are ONNX' own operators"


def test_numbers_in_other_files_are_not_read():
    def outside(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")

    (line,) = broken(outside)
    assert line == "w0: its numbers lie in another file; load the model whole"


def test_padding_that_is_computed():
    """As timm has TensorFlow's `same` exported: of the shape, for any size."""
    graph = Graph()
    height = graph.node("Gather", [graph.node("Shape", ["x"]), graph.constant(np.array(2))])
    stride, one = graph.constant(np.array(4)), graph.constant(np.array(1))
    last = graph.node("Div", [graph.node("Sub", [height, one]), stride])
    over = graph.node(
        "Sub", [graph.node("Add", [graph.node("Mul", [last, stride]), stride]), height]
    )
    over = graph.node("Clip", [over, graph.constant(np.array(0))])
    over = graph.node("Unsqueeze", [over, graph.constant(np.array([0]))])
    before = graph.constant(np.zeros(6, "int64"))
    pads = graph.node("Concat", [before, over, graph.constant(np.array([0]))], axis=0)
    graph.then("Pad", pads)
    network = check(graph)
    assert network.layers[1].op.padding == ((0, 2), (0, 0))


def test_little_is_computed():
    graph = Graph()
    shape = graph.constant(np.array([1 << 30, 1 << 30]))
    graph.then("Add", graph.node("ConstantOfShape", [shape]))
    (line,) = refused(graph)
    assert f"computes {1 << 60} constants" in line
    graph = Graph()
    ends = [graph.constant(np.array(n)) for n in (0, 1 << 40, 1)]
    graph.then("Add", graph.node("Range", ends))
    assert "constants" in refused(graph)[0]
    graph = Graph()
    one = graph.constant(np.ones((1, 1)))
    graph.then("Add", graph.node("Expand", [one, shape_of(graph, 1 << 20, 1 << 20)]))
    assert "constants" in refused(graph)[0]
    assert onnx_constants.MOST < 1 << 30


def shape_of(graph: Graph, *sizes: int) -> str:
    return graph.constant(np.array(sizes))


def test_many_lines_are_cut_short():
    graph = Graph()
    made = [graph.node("LogSoftmax", ["x"]) for _ in range(100)]
    graph.last = graph.node("Sum", made)
    lines = refused(graph)
    assert len(lines) == 41
    assert lines[-1] == "and 60 more"


def test_a_weight_that_is_computed_is_none():
    graph = Graph()
    kernel = graph.node("Mul", [graph.weight(4, 8, 1, 1), graph.weight(4, 1, 1, 1)])
    graph.then("Conv", kernel)
    (line,) = refused(graph)
    assert line == "n_v1: Conv whose kernel is computed; no tensor of the model is it"


def many() -> onnx.ModelProto:
    """A model of much that is read."""
    graph = Graph()
    graph.then("Conv", graph.weight(8, 4, 3, 3), group=2, pads=[1, 1, 1, 1])
    graph.then("Add", graph.weight(8, 1, 1))
    shuffled(graph, 2)
    graph.then("BatchNormalization", *(graph.weight(8, low=0.5) for _ in range(4)))
    graph.then("Clip", graph.constant(np.float64(0)), graph.constant(np.float64(6)))
    graph.node("Split", [graph.last], count=2, axis=1, num_outputs=2)
    gate = graph.node("GlobalAveragePool", [graph.last])
    graph.last = graph.node("Mul", [graph.last, graph.node("Sigmoid", [gate])])
    graph.then("Pad", graph.given(np.array([0, 0, 1, 0, 0, 0, 2, 3])))
    graph.then("Resize", "", graph.given(np.array([1, 1, 2, 2], "float32")), mode="linear")
    graph.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    graph.then("Slice", *(graph.given(np.array(n)) for n in ([1], [-1], [2], [1])))
    graph.then("Flatten")
    graph.then("Gemm", graph.weight(5, 392), graph.weight(5), transB=1)
    graph.then("Softmax")
    return graph.model()


def test_a_model_that_is_read_whole():
    network = reader.read(many(), SHAPE)
    assert kinds(network)[-3:] == ["flatten", "dense", "softmax"]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_model_says_it_is_read_or_refused(seed):
    """Numbers, names, inputs, attributes and shapes are changed at random."""
    rng = np.random.default_rng(seed)
    base = many()
    for _ in range(60):
        model = onnx.ModelProto()
        model.CopyFrom(base)
        for _ in range(rng.integers(1, 4)):
            disturb(model.graph, rng)
        with contextlib.suppress(Refused):
            network = reader.read(model, SHAPE)
            assert len(network.layers) == len(network.types)


ODD = [-(2**63), -7, -1, 0, 1, 2, 3, 8, 2**31, 2**62]


def disturb(graph: onnx.GraphProto, rng: np.random.Generator) -> None:
    node = graph.node[rng.integers(len(graph.node))]
    tensors = [
        *graph.initializer,
        *(a.t for n in graph.node for a in n.attribute if a.HasField("t")),
    ]
    tensor = tensors[rng.integers(len(tensors))]
    odd = ODD[rng.integers(len(ODD))]
    match rng.integers(9):
        case 0:
            node.op_type = graph.node[rng.integers(len(graph.node))].op_type
        case 1 if node.input:
            place = rng.integers(len(node.input))
            other = graph.node[rng.integers(len(graph.node))]
            node.input[place] = (*other.input, *other.output, "x", "")[rng.integers(2)]
        case 2 if node.input:
            del node.input[-1]
        case 3:
            node.input.append("x")
        case 4 if node.attribute:
            attribute = node.attribute[rng.integers(len(node.attribute))]
            attribute.i = odd
            if attribute.ints:
                attribute.ints[rng.integers(len(attribute.ints))] = odd
        case 5 if node.attribute:
            node.attribute[0].type = rng.integers(1, 12)
        case 6 if tensor.dims:
            tensor.dims[rng.integers(len(tensor.dims))] = odd
        case 7:
            tensor.data_type = rng.integers(1, 17)
        case 8 if len(tensor.raw_data) in (8, 16, 32, 40, 64):
            tensor.raw_data = np.full(len(tensor.raw_data) // 8, odd).tobytes()


# -- normal form ----------------------------------------------------------------------------------


def test_a_concat_of_one_is_nothing():
    """PyTorch writes one before each block of a DenseNet."""

    def network(*, joined: bool) -> Network:
        builder = Builder("small", SHAPE)
        place = builder.add("relu", op("relu"), [0])
        if joined:
            place = builder.add("concat", op("concat"), [place])
        return builder.network([("y", builder.add("elu", op("elu"), [place]))])

    assert equal.match(network(joined=False), network(joined=True)).differences == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not an ONNX model: there is no graph in it"),
        (b"hello\nworld\n", "is not an ONNX model, or is cut off"),
    ],
)
def test_damaged_files(content, reason, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(Refused, match=f"m.onnx {reason}"):
        OnnxSource(path)


@pytest.mark.parametrize("name", ["doubled", "x"])
def test_names_that_are_no_text(name, tmp_path):
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name="doubled")
    value = onnx.helper.make_tensor_value_info
    ends = [value(one, onnx.TensorProto.FLOAT, [1, 3, 4, 4]) for one in "xy"]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    content = onnx.helper.make_model(graph).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    OnnxSource(path)
    encoded = bytes([len(name)]) + name.encode()
    path.write_bytes(content.replace(encoded, encoded[:-1] + b"\xff"))
    with pytest.raises(Refused, match="it has names that are no UTF-8"):
        OnnxSource(path)
