"""Keras' models, as their configuration describes them; Keras itself is not needed.

That is the JSON of a `.keras` archive, of an `.h5` file of Keras 2 or 3, or of `model.to_json()`.
A layer's weights come in the order in which Keras makes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.importing.network import Array, Builder, Held, Network, Pixel, Refused, Shape
from xgraph.importing.readers import shared
from xgraph.importing.readers.common import Call, Reader, Table, Tensor, few

#: A layer's path in nested models, "outer/inner", and its weights: each a name and a shape.
Weights = Mapping[str, Sequence[tuple[str, Shape]]]
_Key = tuple[str, int, int]


@dataclass(frozen=True)
class KerasModel:
    """What is known of a Keras model.

    Attributes:
        config: what `model.to_json()` says, parsed.
        weights: names and shapes of the weights of each layer, by its path.
        array: the weight of a name; some are constants of the network.
        version: of the Keras that wrote the configuration, such as "2.13.1".
    """

    config: Mapping[str, Any]
    weights: Weights
    array: Callable[[str], Array]
    version: str = "3"


#: What comes of a configuration that nobody's Keras has written.
_BROKEN = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def read(model: KerasModel, input_shape: Shape) -> Network:
    """The network of a Keras model, for images of this shape (H, W, C).

    Raises:
        Refused: it has layers that no op of ours is, or is no model of images.
    """
    try:
        if not _is_keras(model.config) or model.config["class_name"] not in _MODELS:
            raise Refused(f"no model of Keras' own is a {model.config['class_name']}")
        unknown = sorted(_unknown(model.config, ""))
        if unknown:
            raise Refused(*few(unknown))
        name = str(model.config["config"].get("name", "model"))
        builder = Builder(name, input_shape)
        ends = _Reader(model, builder).model(model.config, "", [0])
        names = _output_names(model.config, len(ends))
    except _BROKEN as error:
        reason = f"{type(error).__name__}: {error}"
        raise Refused(f"this is no configuration of a Keras model: {reason}") from None
    return builder.network(list(zip(names, ends, strict=True)))


def _output_names(config: Mapping[str, Any], count: int) -> list[str]:
    found = config["config"].get("output_layers")
    if isinstance(found, Mapping):
        return [str(name) for name in found]
    if found and isinstance(found[0], str):
        found = [found]
    return [str(one[0]) for one in found] if found else [f"output{n}" for n in range(count)]


def _layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    inside = config.get("config", {})
    layers: list[Mapping[str, Any]] = (
        inside if isinstance(inside, list) else inside.get("layers", [])
    )
    return layers


def _unknown(config: Mapping[str, Any], path: str) -> Iterator[str]:
    """A line for each layer whose class means nothing here."""
    for layer in _layers(config):
        kind, name = layer.get("class_name"), _name(layer)
        if kind in _MODELS:
            yield from _unknown(layer, f"{path}{name}/")
        elif kind != "InputLayer" and (kind not in _LAYERS or not _is_keras(layer)):
            yield f"{path}{name}: no op of ours is {_whose(layer)}{kind}"


#: Where Keras' own classes are: a class of somebody's may have the name of one.
_OWN = ("keras.layers", "keras.models", "keras.src.layers.", "keras.src.models.",
        "keras.src.engine.", "keras.src.applications.", "keras.engine.")  # fmt: skip
#: Of operations that are no layers, those that are read, by where they are.
_OPERATIONS = {
    "keras.src.ops.nn": {"LogSoftmax"},
    "keras.src.ops.numpy": {"Add", "Log", "Multiply"},
}


def _is_keras(layer: Mapping[str, Any]) -> bool:
    """Whether a layer or model is of Keras itself; Keras 2 says no module."""
    module, registered = layer.get("module"), layer.get("registered_name")
    if registered not in (None, layer.get("class_name")):
        return False
    if module in _OPERATIONS:
        return layer.get("class_name") in _OPERATIONS[module]
    return module in (None, "keras") or str(module).startswith(_OWN)


def _whose(layer: Mapping[str, Any]) -> str:
    if _is_keras(layer):
        return "Keras' "
    return f"{layer.get('module')}'s own "


def snake_case(name: str) -> str:
    """A class's name as Keras numbers its layers by: Conv2D → conv2d, ReLU → re_lu."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def _name(layer: Mapping[str, Any]) -> str:
    return str(layer.get("name") or layer.get("config", {}).get("name", ""))


_MODELS = ("Functional", "Sequential", "Model")


@dataclass(frozen=True)
class _Layer(Call):
    """A layer that is called, by its path: its configuration and its weights."""

    reader: _Reader
    config: Mapping[str, Any]
    constants: Sequence[Any]
    told: Mapping[str, Any]  # what is not a tensor, by the words of its `call`

    def refused(self, reason: str) -> Refused:
        return Refused(f"{self.name}: {reason}")

    def held(self, *words: str) -> dict[str, Held]:
        """The layer's weights by these words, in order."""
        found = self.reader.source.weights.get(self.name, ())
        if len(found) != len(words):
            raise self.refused(f"expected {', '.join(words)}, received {len(found)} weights")
        return {word: Held(*one) for word, one in zip(words, found, strict=True)}


class _Reader(Reader):
    def __init__(self, source: KerasModel, builder: Builder) -> None:
        super().__init__(builder)
        self.source = source
        self.rows: set[int] = set()  # places whose pixels lie in a row, in one axis

    def model(self, config: Mapping[str, Any], path: str, inputs: Sequence[int]) -> list[int]:
        """The places of a model's outputs, given those of its inputs."""
        inside = config["config"]
        if config["class_name"] == "Sequential":
            value = inputs[0]
            for layer in _layers(config):
                if layer["class_name"] != "InputLayer":
                    (value,) = self.call(layer, path, [value], (), {})
            return [value]
        return self.functional(inside, path, inputs)

    def functional(self, config: Mapping[str, Any], path: str, inputs: Sequence[int]) -> list[int]:
        layers = {_name(layer): layer for layer in config["layers"]}
        values: dict[_Key, int] = {}
        given = _keys(config["input_layers"])
        if len(given) != len(inputs):
            raise Refused(f"{path or 'the model'} takes {len(given)} inputs; read is one of images")
        values |= zip(given, inputs, strict=True)
        ends = _keys(config["output_layers"])
        todo = list(ends)
        begun: set[_Key] = set()
        while todo:  # a layer after all that it reads; models may be deeper than Python's stack
            key = todo[-1]
            if key in values:
                todo.pop()
                continue
            layer = layers[key[0]]
            read, constants, told = _read(layer, key[1])
            missing = [one for one in read if one not in values]
            if missing:
                if key in begun:
                    raise Refused(f"{path}{key[0]}: the model goes in a circle")
                begun.add(key)
                todo += missing
                continue
            made = self.call(layer, path, [values[one] for one in read], constants, told)
            for number, place in enumerate(made):
                values[key[0], key[1], number] = place
            if key not in values:  # or it would be called again, for ever
                raise Refused(f"{path}{key[0]} gives no output {key[2]}")
        return [values[key] for key in ends]

    def call(
        self,
        layer: Mapping[str, Any],
        path: str,
        inputs: Sequence[int],
        constants: Sequence[Any],
        words: Mapping[str, Any],
    ) -> list[int]:
        kind, own = layer["class_name"], f"{path}{_name(layer)}"
        if kind in _MODELS:
            return self.model(layer, f"{own}/", inputs)
        config = layer.get("config", {})
        if config.get("data_format") == "channels_first":
            raise Refused(f"{own}: data_format channels_first; only channels_last is read")
        told = _Layer(self, own, kind, config, constants, words)
        in_rows = not self.rows.isdisjoint(inputs)
        if in_rows and not (kind in _OF_ROWS and self.rows.issuperset(inputs)):
            raise told.refused(f"{kind} of pixels in a row; read are layers of each by itself")
        value = _activated(told, _LAYERS[kind](told, inputs), config.get("activation"))
        if in_rows and kind in _STILL_ROWS:
            self.rows.add(value)
        return [value]


#: Layers that take pixels in a row, (N, H · W, C), and those that leave them so.
_STILL_ROWS = frozenset({"Activation", "Add", "Dense", "Dropout", "ELU", "Identity",
                         "LayerNormalization", "LayerScale", "LeakyReLU", "MultiHeadAttention",
                         "Multiply", "RMSNormalization", "ReLU", "StochasticDepth"})  # fmt: skip
_OF_ROWS = _STILL_ROWS | {"Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Reshape"}


def _keys(found: Any) -> list[_Key]:
    """Tensors: one `[layer, node, tensor]`, or a list of these."""
    if isinstance(found, Mapping):
        found = list(found.values())
    if found and isinstance(found[0], str):
        found = [found]
    return [(str(name), int(node), int(tensor)) for name, node, tensor, *_ in found]


def _read(layer: Mapping[str, Any], node: int) -> tuple[list[_Key], list[Any], Mapping[str, Any]]:
    """The tensors that a call of a layer reads, and what else it is given, also by its words."""
    called = layer["inbound_nodes"][node]
    tensors: list[_Key] = []
    constants: list[Any] = []
    if isinstance(called, Mapping):  # Keras 3
        todo = list(called["args"])
        while todo:
            one = todo.pop(0)
            if isinstance(one, Mapping) and one.get("class_name") == "__keras_tensor__":
                tensors += _keys([one["config"]["keras_history"]])
            elif isinstance(one, list):
                todo = one + todo
            else:
                constants.append(one)
        words = called.get("kwargs", {})
        for word, value in words.items():
            _not_in_training(layer, word, value)
            if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
                tensors += _keys([value["config"]["keras_history"]])
            elif word in ("x2", "y") and value is not None:
                constants.append(value)
        return tensors, constants, words
    words = {}
    if called and isinstance(called[0], str):  # Keras 2, of an operation
        called = [called]
    for name, number, tensor, *rest in called:
        tensors.append((str(name), int(number), int(tensor)))
        for word, value in (rest[0] if rest else {}).items():
            _not_in_training(layer, word, value)
            words[word] = value
            if word in ("key", "value", "y") and isinstance(value, list):
                tensors += _keys([value])
            elif word == "y" and value is not None:
                constants.append(value)
    return tensors, constants, words


def _not_in_training(layer: Mapping[str, Any], word: str, value: Any) -> None:
    if word == "training" and value is True:
        raise Refused(f"{_name(layer)}: is called as in training, in evaluation too")


# -- activations ----------------------------------------------------------------------------------

_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "elu": ("elu", {}),
    "gelu": ("gelu", {}),
    "hard_silu": ("hard_swish", {}),
    "hard_swish": ("hard_swish", {}),
    "leaky_relu": ("leaky_relu", {"negative_slope": 0.2}),
    "mish": ("mish", {}),
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "sigmoid": ("sigmoid", {}),
    "silu": ("silu", {}),
    "softmax": ("softmax", {}),
    "swish": ("silu", {}),
    "tanh": ("tanh", {}),
}


def _activated(layer: _Layer, value: int, activation: Any) -> int:
    """What an activation that is fused into a layer makes of its result."""
    if isinstance(activation, Mapping):  # a function, or an object such as a layer
        inside = activation.get("config")
        activation = inside if isinstance(inside, str) else activation.get("class_name")
    if activation in (None, "linear"):
        return value
    if activation == "hard_sigmoid":
        old = {"slope": 0.2} if layer.reader.source.version.startswith("2") else {}
        return layer.add("hard_sigmoid", [value], **old)
    if activation == "log_softmax":
        return shared.log_softmax(layer, Tensor(value, ())).place
    if activation not in _ACTIVATIONS:
        raise layer.refused(f"no op of ours is Keras' activation {activation!r}")
    name, attributes = _ACTIVATIONS[activation]
    return layer.add(name, [value], **attributes)


# -- layers ---------------------------------------------------------------------------------------

_LAYERS: Table[Callable[[_Layer, Sequence[int]], int]] = Table()


def _window(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kernel": config["kernel_size"],
        "stride": config["strides"],
        "padding": config["padding"],
        "dilation": config.get("dilation_rate", 1),
        "bias": config["use_bias"],
    }


def _words(layer: _Layer, *words: str) -> list[str]:
    return [*words, *(["bias"] if layer.config["use_bias"] else [])]


@_LAYERS.of("Conv2D", "Convolution2D")
def _conv(layer: _Layer, inputs: Sequence[int]) -> int:
    given = {"filters": layer.config["filters"], "groups": layer.config.get("groups", 1)}
    held = layer.held(*_words(layer, "kernel"))
    return layer.add("conv", inputs, held, **given, **_window(layer.config))


@_LAYERS.of("DepthwiseConv2D")
def _depthwise(layer: _Layer, inputs: Sequence[int]) -> int:
    given = {"multiplier": layer.config["depth_multiplier"]}
    held = layer.held(*_words(layer, "depthwise_kernel"))
    return layer.add("depthwise_conv", inputs, held, **given, **_window(layer.config))


@_LAYERS.of("SeparableConv2D", "SeparableConvolution2D")
def _separable(layer: _Layer, inputs: Sequence[int]) -> int:
    given = {"filters": layer.config["filters"], "multiplier": layer.config["depth_multiplier"]}
    held = layer.held(*_words(layer, "depthwise_kernel", "pointwise_kernel"))
    return layer.add("separable_conv", inputs, held, **given, **_window(layer.config))


@_LAYERS.of("Conv2DTranspose", "Convolution2DTranspose")
def _transposed(layer: _Layer, inputs: Sequence[int]) -> int:
    config = layer.config
    if config.get("dilation_rate", [1, 1]) not in (1, [1, 1]):
        raise layer.refused("a transposed convolution with dilation")
    given = {key: value for key, value in _window(config).items() if key != "dilation"}
    held = layer.held(*_words(layer, "kernel"))
    more = {"output_padding": config.get("output_padding")}
    return layer.add("conv_transpose", inputs, held, filters=config["filters"], **given, **more)


@_LAYERS.of("Dense")
def _dense(layer: _Layer, inputs: Sequence[int]) -> int:
    units, bias = layer.config["units"], layer.config["use_bias"]
    held = layer.held(*_words(layer, "kernel"))
    shape = layer.shape(inputs[0])
    if len(shape) == 1:
        return layer.add("dense", inputs, held, units=units, bias=bias)
    held["kernel"] = held["kernel"].reshaped(1, 1, shape[-1], units)
    return layer.add("conv", inputs, held, filters=units, kernel=1, bias=bias)


def _last_axis(layer: _Layer, place: int) -> None:
    """A normalization, or a softmax, must be over channels."""
    axis = layer.config.get("axis", -1)
    axes = axis if isinstance(axis, list) else [axis]
    if axes not in ([-1], [len(layer.shape(place))]):
        raise layer.refused(f"normalizes axis {axis}; only the last is read")


def _affine(layer: _Layer) -> tuple[dict[str, Any], list[str]]:
    """Attributes that normalizations share, and words of their vectors."""
    config = layer.config
    given = {key: config[key] for key in ("epsilon", "scale", "center")}
    words = [word for word, key in (("gamma", "scale"), ("beta", "center")) if config[key]]
    return given, words


@_LAYERS.of("BatchNormalization")
def _batch_norm(layer: _Layer, inputs: Sequence[int]) -> int:
    _last_axis(layer, inputs[0])
    given, words = _affine(layer)
    held = layer.held(*words, "moving_mean", "moving_variance")
    return layer.add("batch_norm", inputs, held, momentum=layer.config["momentum"], **given)


@_LAYERS.of("LayerNormalization")
def _layer_norm(layer: _Layer, inputs: Sequence[int]) -> int:
    _last_axis(layer, inputs[0])
    given, words = _affine(layer)
    return layer.add("layer_norm", inputs, layer.held(*words), **given)


@_LAYERS.of("GroupNormalization")
def _group_norm(layer: _Layer, inputs: Sequence[int]) -> int:
    _last_axis(layer, inputs[0])
    given, words = _affine(layer)
    groups = layer.config["groups"]
    groups = layer.shape(inputs[0])[-1] if groups == -1 else groups
    return layer.add("group_norm", inputs, layer.held(*words), groups=groups, **given)


@_LAYERS.of("RMSNormalization")
def _rms_norm(layer: _Layer, inputs: Sequence[int]) -> int:
    _last_axis(layer, inputs[0])
    epsilon = layer.config["epsilon"]
    return layer.add("rms_norm", inputs, layer.held("gamma"), epsilon=epsilon)


#: Words of a call of attention that change nothing.
_TOLD = frozenset({"key", "query", "training", "value"})


@_LAYERS.of("MultiHeadAttention")
def _attention(layer: _Layer, inputs: Sequence[int]) -> int:
    """Of queries, keys and values that are one tensor, over all of its positions."""
    config, shape = layer.config, layer.shape(inputs[0])
    told = [word for word, value in layer.told.items() if value and word not in _TOLD]
    if told or any(layer.constants):
        said = ", ".join(map(str, told)) or "more than tensors"
        raise layer.refused(f"attention that is called with {said}; read is one without a mask")
    if len(inputs) not in (2, 3) or len({*inputs}) > 1:
        raise layer.refused("attention to another tensor; read is that of one to itself")
    if config.get("use_gate") or config.get("sliding_window"):
        raise layer.refused("attention with a gate, or within a window")
    heads, size, bias = config["num_heads"], config["key_dim"], config["use_bias"]
    if config.get("value_dim") not in (None, size):
        raise layer.refused(f"values of {config['value_dim']} channels, keys of {size}")
    if config.get("output_shape") not in (None, [shape[-1]]):
        raise layer.refused(f"an output of shape {config['output_shape']} for {shape[-1]} channels")
    axes = config.get("attention_axes")
    row = inputs[0] in layer.reader.rows or shape[1] == 1
    if axes not in (None, [1, 2]) and not (row and axes == [1]):
        raise layer.refused(f"attention over axes {axes}; read is one over all positions")
    words = [f"{word}_{kind}" for word in ("query", "key", "value", "output")
             for kind in ("kernel", "bias")[: 1 + bias]]  # fmt: skip
    held = layer.held(*words)
    for word, one in held.items():
        kernel = word.endswith("kernel")
        outer, inner = (
            (heads * size, shape[-1]) if word.startswith("output") else (shape[-1], heads * size)
        )
        held[word] = one.reshaped(*((outer, inner) if kernel else (inner,)))
    return layer.add("attention", inputs[:1], held, heads=heads, head_size=size, bias=bias)


@_LAYERS.of("PReLU")
def _prelu(layer: _Layer, inputs: Sequence[int]) -> int:
    held = layer.held("alpha")
    channels = layer.shape(inputs[0])[-1]
    if held["alpha"].shape not in ((channels,), (1, 1, channels)):
        raise layer.refused("a slope for each pixel; shared_axes=[1, 2] gives one a channel")
    held["alpha"] = held["alpha"].reshaped(channels)
    return layer.add("prelu", inputs, held)


@_LAYERS.of("LayerScale")
def _layer_scale(layer: _Layer, inputs: Sequence[int]) -> int:
    return layer.add("scale", inputs, layer.held("gamma"))


@_LAYERS.of("Activation", "ActivityRegularization", "GaussianDropout", "GaussianNoise", "Identity")
def _same(layer: _Layer, inputs: Sequence[int]) -> int:
    """An activation comes after it; noise is for training, and no op of ours."""
    return inputs[0]


@_LAYERS.of("Dropout", "SpatialDropout2D")
def _dropout(layer: _Layer, inputs: Sequence[int]) -> int:
    drawn = layer.config.get("noise_shape")
    name = "spatial_dropout" if layer.said == "SpatialDropout2D" else "dropout"
    if drawn:
        name = _drawn(layer, drawn, layer.shape(inputs[0]))
    return layer.add(name, inputs, rate=layer.config["rate"])


def _drawn(layer: _Layer, drawn: Sequence[Any], shape: Shape) -> str:
    """The op that draws numbers of this shape, of which 1 is one number for all of an axis."""
    batch, *sizes = drawn
    whole = [size is None for size in sizes[:-1]] + [sizes[-1:] in ([None], [shape[-1]])]
    if len(sizes) == len(shape):
        whole = [size in (None, n) for size, n in zip(sizes, shape, strict=True)]
    one = [size == 1 for size in sizes]
    if batch is None and sizes:
        if all(one):  # for an image
            return "stochastic_depth"
        if all(whole):
            return "dropout"
        if all(one[:-1]) and whole[-1]:
            return "spatial_dropout"
    raise layer.refused(f"noise_shape {list(drawn)}; read are entries, channels or examples")


@_LAYERS.of("StochasticDepth")
def _stochastic_depth(layer: _Layer, inputs: Sequence[int]) -> int:
    rate = layer.config.get("drop_path_rate", layer.config.get("rate", 0.0))
    return layer.add("stochastic_depth", inputs, rate=rate)


@_LAYERS.of("ReLU")
def _relu(layer: _Layer, inputs: Sequence[int]) -> int:
    config = layer.config
    most, slope = config.get("max_value"), config.get("negative_slope") or 0.0
    slope = slope[0] if isinstance(slope, list) else slope
    if config.get("threshold") or (most not in (None, 6, 6.0)) or (most and slope):
        raise layer.refused("a ReLU with threshold, or with a maximum that is not 6")
    if slope:
        return layer.add("leaky_relu", inputs, negative_slope=slope)
    return layer.add("relu6" if most else "relu", inputs)


@_LAYERS.of("LeakyReLU")
def _leaky_relu(layer: _Layer, inputs: Sequence[int]) -> int:
    slope = layer.config.get("negative_slope", layer.config.get("alpha", 0.3))
    return layer.add("leaky_relu", inputs, negative_slope=slope)


@_LAYERS.of("ELU")
def _elu(layer: _Layer, inputs: Sequence[int]) -> int:
    return layer.add("elu", inputs, alpha=layer.config.get("alpha", 1.0))


@_LAYERS.of("Softmax")
def _softmax(layer: _Layer, inputs: Sequence[int]) -> int:
    _last_axis(layer, inputs[0])
    return layer.add("softmax", inputs)


@_LAYERS.of("LogSoftmax")
def _log_softmax(layer: _Layer, inputs: Sequence[int]) -> int:
    _last_axis(layer, inputs[0])
    return shared.log_softmax(layer, Tensor(inputs[0], ())).place


@_LAYERS.of("Log")
def _log(layer: _Layer, inputs: Sequence[int]) -> int:
    return shared.log(layer, Tensor(inputs[0], ())).place


@_LAYERS.of("ZeroPadding2D")
def _zero_pad(layer: _Layer, inputs: Sequence[int]) -> int:
    return layer.add("zero_pad", inputs, padding=layer.config["padding"])


@_LAYERS.of("Cropping2D")
def _crop(layer: _Layer, inputs: Sequence[int]) -> int:
    return layer.add("crop", inputs, cropping=layer.config["cropping"])


@_LAYERS.of("MaxPooling2D", "MaxPool2D", "AveragePooling2D", "AvgPool2D")
def _pool(layer: _Layer, inputs: Sequence[int]) -> int:
    config = layer.config
    name = "max_pool" if layer.said.startswith("Max") else "avg_pool"
    window = {"kernel": config["pool_size"], "stride": config["strides"]}
    return layer.add(name, inputs, **window, padding=config["padding"])


@_LAYERS.of(
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"
)
def _global_pool(layer: _Layer, inputs: Sequence[int]) -> int:
    name = "global_max_pool" if "Max" in layer.said else "global_avg_pool"
    return layer.add(name, inputs, keep_dims=layer.config.get("keepdims", False))


@_LAYERS.of("Concatenate")
def _concat(layer: _Layer, inputs: Sequence[int]) -> int:
    axis = layer.config.get("axis", -1)
    if axis not in (-1, len(layer.shape(inputs[0]))):
        raise layer.refused(f"joins axis {axis}; only channels are joined")
    return layer.add("concat", inputs)


@_LAYERS.of("Subtract", "Average", "Maximum")
def _merge(layer: _Layer, inputs: Sequence[int]) -> int:
    return layer.add(layer.said.lower(), inputs)


@_LAYERS.of("Add", "Multiply", "TFOpLambda")
def _sum_or_product(layer: _Layer, inputs: Sequence[int]) -> int:
    """Of tensors, or with a number."""
    kind = str(layer.config.get("function", layer.said)).rpartition(".")[2].lower()
    if kind not in ("add", "multiply", "__add__", "__mul__"):
        raise layer.refused(f"no op of ours is TensorFlow's {kind}")
    adds = kind.strip("_") == "add"
    numbers = [one for one in layer.constants if isinstance(one, int | float)]
    if not numbers:
        return layer.add("add" if adds else "multiply", inputs)
    (number,) = numbers
    return layer.add("rescale", inputs, **({"offset": number} if adds else {"scale": number}))


@_LAYERS.of("CustomScaleLayer")
def _scaled_sum(layer: _Layer, inputs: Sequence[int]) -> int:
    """Inception-ResNet's: the first input, and the second times a number."""
    scaled = layer.add("rescale", inputs[1:], scale=layer.config["scale"])
    return layer.add("add", [inputs[0], scaled])


@_LAYERS.of("Rescaling")
def _rescale(layer: _Layer, inputs: Sequence[int]) -> int:
    scale, offset = (_plain(layer.config[word]) for word in ("scale", "offset"))
    return layer.add("rescale", inputs, scale=scale, offset=offset)


def _plain(value: Any) -> Any:
    """A number or a list, which Keras may have written as an array of NumPy."""
    if isinstance(value, Mapping) and value.get("class_name") == "__numpy__":
        return value["config"]["value"]
    return value


@_LAYERS.of("Normalization")
def _normalize(layer: _Layer, inputs: Sequence[int]) -> int:
    """Its mean and variance are given, or counted from images and kept as weights."""
    if layer.config.get("invert"):
        raise layer.refused("an inverted normalization")
    _last_axis(layer, inputs[0])
    mean, variance = layer.config.get("mean"), layer.config.get("variance")
    if mean is None:
        found = layer.reader.source.weights.get(layer.name, ())
        if len(found) < 2:
            raise layer.refused("its mean and variance are not there")
        mean, variance = (layer.reader.source.array(name).ravel().tolist() for name, _ in found[:2])
    deviations = _roots(variance)
    return layer.add("normalize", inputs, mean=mean, std=deviations)


def _roots(variance: Any) -> Any:
    """Deviations, as Keras takes them: none below its epsilon."""
    if isinstance(variance, list):
        return [_roots(one) for one in variance]
    return max(float(variance) ** 0.5, 1e-7)


@_LAYERS.of("UpSampling2D")
def _upsample(layer: _Layer, inputs: Sequence[int]) -> int:
    config = layer.config
    method = config.get("interpolation", "nearest")
    return layer.add("resize", inputs, scale=config["size"], method=method)


@_LAYERS.of("Reshape")
def _reshape(layer: _Layer, inputs: Sequence[int]) -> int:
    """Between a vector and an image of one pixel; an image's pixels in a row, and back."""
    shape, (place,) = layer.shape(inputs[0]), inputs
    target = list(layer.config["target_shape"])
    if target.count(-1) == 1:
        target[target.index(-1)] = -(math.prod(shape) // math.prod(target))
    rows = layer.reader.rows
    if tuple(target) == shape and place not in rows:
        return place
    if len(shape) == 3 and target == [math.prod(shape[:2]), shape[2]]:
        rows.add(place := layer.add("identity", inputs))
        return place
    if tuple(target) == shape:
        return layer.add("identity", inputs)
    if len(target) == 1:
        return layer.add("flatten", inputs)
    if len(shape) == 1 and target[:-1] == [1, 1]:
        return layer.reader.builder.add(layer.name, Pixel(), inputs)
    raise layer.refused(f"a reshape of {shape} to {tuple(target)}")


@_LAYERS.of("Flatten")
def _flatten(layer: _Layer, inputs: Sequence[int]) -> int:
    return layer.add("flatten", inputs)
