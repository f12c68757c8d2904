"""Published models as oracles: their weights by our canonical names.

Weights are matched by layer names where the author gave them, else by the order in which layers
were made, which in each of these models is the order of our flat graph; shapes must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from xgraph.ir.analysis import Analysis

Weights = dict[str, np.ndarray]
#: Keras' word for each weight of a layer, in the order of `layer.weights`.
_WORDS = {
    "Conv2D": ["kernel"],
    "SeparableConv2D": ["depthwise_kernel", "pointwise_kernel"],
    "Dense": ["kernel", "bias"],
}


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


def keras_layer_weights(layer: Any) -> Weights:
    """A Keras layer's weights by Keras' words."""
    words = _WORDS.get(type(layer).__name__) or [w.name for w in layer.weights]
    return dict(zip(words, layer.get_weights(), strict=True))


def _number(name: str) -> int:
    """The place of an automatic name: conv2d, conv2d_1, conv2d_2 …"""
    found = re.search(r"_(\d+)$", name)
    return int(found[1]) if found else 0


def xception_weights(model: Any) -> Weights:
    """Weights of keras.applications.Xception by our canonical names."""
    weights: Weights = {}

    def take(path: str, layer: Any) -> None:
        weights.update({f"{path}.{k}": v for k, v in keras_layer_weights(layer).items()})

    anonymous: dict[str, list[Any]] = {"Conv2D": [], "BatchNormalization": []}
    for layer in model.layers:
        if not layer.weights:
            continue
        found = re.match(r"block(\d+)_(sepconv|conv)(\d)(_bn)?$", layer.name)
        if found is None:
            if layer.name == "predictions":
                take("head.classifier", layer)
            else:
                anonymous[type(layer).__name__].append(layer)
            continue
        block, kind, place = int(found[1]), found[2], int(found[3])
        number = "" if place == 1 else f"_{place}"
        if block == 1:
            path = f"entry_flow.conv_bn{number}"
        elif block <= 4:
            path = f"entry_flow.module{block}.sepconv_bn{number}"
        elif block <= 12:
            path = f"middle_flow.middle.{block - 5}.sepconv_bn.{place - 1}"
        elif block == 13:
            path = f"exit_flow.module13.sepconv_bn{number}"
        else:
            path = f"exit_flow.sepconv_bn{number}"
        op = "batch_norm" if found[4] else {"sepconv": "separable_conv", "conv": "conv"}[kind]
        take(f"{path}.{op}", layer)
    places = [
        "entry_flow.module2",
        "entry_flow.module3",
        "entry_flow.module4",
        "exit_flow.module13",
    ]
    for kind, op in (("Conv2D", "conv"), ("BatchNormalization", "batch_norm")):
        layers = sorted(anonymous[kind], key=lambda layer: _number(layer.name))
        for place, layer in zip(places, layers, strict=True):
            take(f"{place}.shortcut.{op}", layer)
    return weights


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


def inception_weights(model: Any, analysis: Analysis) -> Weights:
    """Weights of keras.applications.InceptionV3 by our canonical names."""
    kinds = {"Conv2D": "conv", "BatchNormalization": "batch_norm", "Dense": "dense"}
    layers: dict[str, list[Weights]] = {op: [] for op in kinds.values()}
    for layer in sorted(model.layers, key=lambda layer: _number(layer.name)):
        if type(layer).__name__ in kinds:
            layers[kinds[type(layer).__name__]].append(keras_layer_weights(layer))
    return in_order(analysis, layers)


def keras_weights(model: Any, analysis: Analysis) -> Weights:
    """Weights of most models of keras.applications by our canonical names."""
    kinds = {"Conv2D": "conv", "DepthwiseConv2D": "depthwise_conv", "Dense": "dense",
             "BatchNormalization": "batch_norm", "LayerNormalization": "layer_norm",
             "LayerScale": "scale", "SeparableConv2D": "separable_conv"}  # fmt: skip
    graph = {node.op.name for node in analysis.graph.nodes}
    layers: dict[str, list[Weights]] = {}

    def place(layer: Any) -> tuple[int, ...]:
        """When the author called it; a ResNet's shortcut comes after the convolutions it goes by.

        Keras numbers tensors as they are made, and the layers of a shortcut 0.
        """
        called = _number(layer.output.name)
        found = re.match(r"conv(\d)_block(\d+)_(\w+?)_", layer.name)
        if not model.name.startswith("resnet") or found is None:
            return (called,)
        block = [_number(other.output.name) for other in model.layers
                 if other.name.startswith(f"conv{found[1]}_block{found[2]}_")]  # fmt: skip
        return (max(block), called) if found[3] == "0" else (called,)

    for layer in (part for one in sorted(model.layers, key=place) for part in keras_parts(one)):
        if type(layer).__name__ in kinds:
            op = kinds[type(layer).__name__]
            words = [weight.name for weight in layer.weights]
            if op == "separable_conv":
                words = _WORDS["SeparableConv2D"]
            held = dict(zip(words, layer.get_weights(), strict=True))
            if op == "conv" and layer.groups > 1:  # ConvNeXt's, whose groups are the channels
                op, held["kernel"] = "depthwise_conv", held["kernel"].swapaxes(2, 3)
            if op == "dense" and len(layer.input.shape) == 4:  # on an image: a 1×1 convolution
                op, held["kernel"] = "conv", held["kernel"][None, None]
            if op == "depthwise_conv":
                held["depthwise_kernel"] = held.pop("kernel")
            if op == "scale":
                held = {"gamma": layer.get_weights()[0]}
            if op == "conv" and layer.name in ("conv_preds", "conv_2", "logits"):
                # MobileNets end in 1×1 convolutions of one pixel, which are dense layers.
                op, held["kernel"] = "dense", held["kernel"][0, 0]
            layers.setdefault(op, []).append(held)
    assert layers.keys() <= graph
    return in_order(analysis, layers)


def torch_weights(model: Any, analysis: Analysis) -> Weights:
    """Weights of models of torchvision and timm by our canonical names.

    Modules come in the order in which they were made, the shortcut of a block and an auxiliary
    tower last.
    """
    import torch

    def walk(module: Any) -> Iterator[Any]:
        yield module
        late = ("AuxLogits", "downsample", "proj", "shortcut")
        for _, child in sorted(module.named_children(), key=lambda pair: pair[0] in late):
            yield from walk(child)

    layers: dict[str, list[Weights]] = {}
    for module in walk(model):
        held = {k: v.detach().numpy() for k, v in module.state_dict().items()}
        if isinstance(module, torch.nn.Conv2d):
            kernel = held["weight"].transpose(2, 3, 1, 0)
            bias = {"bias": held["bias"]} if "bias" in held else {}
            if type(model).__name__ == "GhostNet" and module is model.conv_head:  # of one pixel
                layers.setdefault("dense", []).append({"kernel": kernel[0, 0], **bias})
            elif module.groups == module.in_channels > 1:
                kernel = kernel.reshape(*kernel.shape[:2], module.in_channels, -1)
                layers.setdefault("depthwise_conv", []).append({"depthwise_kernel": kernel, **bias})
            else:
                layers.setdefault("conv", []).append({"kernel": kernel, **bias})
        elif isinstance(module, torch.nn.BatchNorm2d):
            words = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
                     "running_var": "moving_variance"}  # fmt: skip
            given = {ours: held[theirs] for theirs, ours in words.items()}
            layers.setdefault("batch_norm", []).append(given)
        elif isinstance(module, torch.nn.Linear):
            given = {"kernel": held["weight"].T, "bias": held["bias"]}
            layers.setdefault("dense", []).append(given)
    return in_order(analysis, layers)


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
