"""ONNX models as the reference implementation computes them, with weights that are given."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from xgraph.importing.runtimes.onnx import OnnxRuntime

RNG = np.random.default_rng(5)


def model(nodes: list[onnx.NodeProto], **held: np.ndarray) -> onnx.ModelProto:
    """Of images (2, 7, 5, 4) in float32, the last node's output."""
    sides = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 7, 5, 4])]
    made = [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)]
    initializers = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "graph", sides, made, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def images() -> np.ndarray:
    return RNG.normal(size=(2, 5, 4, 7))


def first(array: np.ndarray) -> torch.Tensor:
    """Channels first."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm_goes_over_all_channels(size):
    """Of which there are more than images; onnx' own goes over two (onnx #7805)."""
    given = {"alpha": 0.3, "beta": 0.75, "bias": 1.5}
    runtime = OnnxRuntime(model([helper.make_node("LRN", ["x"], ["y"], size=size, **given)]))
    x = images()
    (found,) = runtime.run(x)
    expected = torch.nn.functional.local_response_norm(first(x), size, 0.3, 0.75, 1.5)
    np.testing.assert_allclose(first(found), expected, rtol=0, atol=1e-13)


def test_windows_of_even_size_reach_further_forward():
    """By the formula of the operator's page, from (size - 1) // 2 channels before on."""
    runtime = OnnxRuntime(model([helper.make_node("LRN", ["x"], ["y"], size=4, alpha=0.5)]))
    x = images()
    (found,) = runtime.run(x)
    for c in range(7):
        squares = (x[..., max(0, c - 1) : c + 3] ** 2).sum(-1)
        np.testing.assert_allclose(
            found[..., c], x[..., c] / (1 + 0.5 / 4 * squares) ** 0.75, rtol=0, atol=1e-13
        )


def test_weights_that_a_node_fills_are_given_like_others():
    """As in the graphs that the package onnx brings, where one number fills each."""
    number = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.02])
    nodes = [
        helper.make_node("ConstantOfShape", ["sizes"], ["kernel"], value=number),
        helper.make_node("Conv", ["x", "kernel"], ["y"]),
    ]
    runtime = OnnxRuntime(model(nodes, sizes=np.array([6, 7, 3, 3])))
    assert runtime.arrays()["kernel"].shape == (6, 7, 3, 3)
    kernel, x = RNG.normal(size=(6, 7, 3, 3)), images()
    runtime.set_arrays({"kernel": kernel})
    (found,) = runtime.run(x)
    expected = torch.nn.functional.conv2d(first(x), torch.from_numpy(kernel))
    np.testing.assert_allclose(first(found), expected, rtol=0, atol=1e-12)
