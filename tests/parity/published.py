"""Published models as oracles: their weights by our canonical names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from xgraph.importing.sources.keras import KerasModelSource
from xgraph.importing.weights import take
from xgraph.ir.analysis import Analysis

Weights = dict[str, np.ndarray]


@contextmanager
def keras_precision(dtype: str) -> Iterator[Any]:
    """Keras, whose new layers compute in `dtype`."""
    import keras

    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield keras
    finally:
        keras.config.set_floatx(before)
        keras.config.set_dtype_policy(policy)


def randomize(model: Any, seed: int = 0, rest: bool = False) -> None:
    """Give batch norm of a Keras model statistics, scales and offsets that differ.

    With `rest`, biases, layer norms and layer scales too, which start alike or next to nothing.

    A layer that normalizes images, which without weights changes nothing, gets ImageNet's mean and
    variance. `Rescaling` gets its factor as an array: a Python number would go through float32.
    """
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if type(layer).__name__ == "Rescaling":
            layer.scale = np.array(layer.scale)
        if type(layer).__name__ == "Normalization":
            mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
            layer.set_weights([mean, std**2, np.array(1)])
            layer.finalize_state()
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, w.shape)
                    if w.name in ("gamma", "moving_variance")
                    else rng.uniform(-0.5, 0.5, w.shape)
                    for w in layer.weights
                ]
            )
        for part in keras_parts(layer) if rest else ():
            for weight in part.weights:
                if weight.name == "bias" or type(part).__name__ == "LayerNormalization":
                    weight.assign(weight + rng.uniform(-0.5, 0.5, weight.shape))
                elif type(part).__name__ == "LayerScale":
                    weight.assign(rng.uniform(0.5, 1.5, weight.shape))


def exact_gelu(model: Any) -> None:
    """A Keras model's GELU computed in its own type: TensorFlow keeps √2 in float32."""
    import keras

    for layer in model.layers:
        if getattr(layer, "activation", None) is keras.activations.gelu:
            layer.activation = lambda x: x * (1 + keras.ops.erf(x / 2**0.5)) / 2


def keras_parts(layer: Any) -> list[Any]:
    """The layers of a Keras layer that is a model itself, else the layer."""
    return list(getattr(layer, "layers", [layer]))


def in_order(analysis: Analysis, layers: dict[str, list[Weights]]) -> Weights:
    """Weights of layers by op, in order, under the names of the flat graph's nodes."""
    weights: Weights = {}
    left = {op: list(found) for op, found in layers.items()}
    for node in analysis.graph.nodes:
        types = tuple(analysis.types[i] for i in node.inputs)
        shapes = {w.name: w.shape for w in node.op.weights(types)} if node.inputs else {}
        if not shapes:
            continue
        given = left[node.op.name].pop(0)
        assert {k: v.shape for k, v in given.items()} == shapes, node.name
        weights.update({f"{node.name}.{word}": value for word, value in given.items()})
    assert not any(left.values())
    return weights


def keras_weights(model: Any, analysis: Analysis) -> Weights:
    """Weights of a Keras model by our canonical names."""
    return take(analysis, KerasModelSource(model)).arrays


def torch_weights(model: Any, analysis: Analysis) -> Weights:
    """Weights of torchvision's Inception V3 with its tower, by our canonical names.

    What it computes in evaluation, which is what is walked, has no tower. Modules come in the order
    in which they were made, the tower last.
    """
    import torch

    def walk(module: Any) -> Iterator[Any]:
        yield module
        for _, child in sorted(module.named_children(), key=lambda pair: pair[0] == "AuxLogits"):
            yield from walk(child)

    layers: dict[str, list[Weights]] = {}
    for module in walk(model):
        held = {k: v.detach().numpy() for k, v in module.state_dict().items()}
        if isinstance(module, torch.nn.Conv2d):
            kernel = held["weight"].transpose(2, 3, 1, 0)
            layers.setdefault("conv", []).append({"kernel": kernel})
        elif isinstance(module, torch.nn.BatchNorm2d):
            words = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
                     "running_var": "moving_variance"}  # fmt: skip
            given = {ours: held[theirs] for theirs, ours in words.items()}
            layers.setdefault("batch_norm", []).append(given)
        elif isinstance(module, torch.nn.Linear):
            given = {"kernel": held["weight"].T, "bias": held["bias"]}
            layers.setdefault("dense", []).append(given)
    return in_order(analysis, layers)


def maps(detector: Any) -> Any:
    """Of torchvision's RetinaNet, the maps of classes and boxes of each level, before anchors."""
    from torch import nn

    class Levels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = detector.backbone, detector.head

        def forward(self, x: Any) -> tuple[Any, ...]:
            classes, boxes = self.head.classification_head, self.head.regression_head
            levels = self.backbone(x).values()
            pairs = ((classes.cls_logits(classes.conv(y)), boxes.bbox_reg(boxes.conv(y)))
                     for y in levels)  # fmt: skip
            return tuple(one for pair in pairs for one in pair)

    return Levels()


#: Operators that torchvision registers shapes for while it is imported.
_OPERATORS = (
    "nms", "qnms", "roi_align", "_roi_align_backward", "qroi_align", "ps_roi_align",
    "_ps_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_pool",
    "_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward",
)  # fmt: skip
_LIBRARIES: list[Any] = []  # a library's schemas go when it does


def import_torchvision() -> Any:
    """torchvision's models.

    Its wheel brings compiled operators that do not load beside CPU PyTorch. No model here needs
    them, but the package registers shapes for them while it is imported: empty schemas stand in.
    """
    import importlib.util

    import pytest
    import torch

    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            library.define(f"{name}(Tensor input) -> Tensor")
        _LIBRARIES.append(library)
    import torchvision

    return torchvision.models
