"""Keras' models in each of Keras' formats, read without Keras, against Keras."""

from __future__ import annotations

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

from xgraph.importing import sources
from xgraph.importing.authored import remarks
from xgraph.importing.network import Refused
from xgraph.importing.sources.keras import KerasFile, KerasModelSource

from ..parity import published
from .evaluate import distance, run

SHAPE = (12, 10, 3)


def everything(keras):
    """A model with every layer that is read, but for a nested model's.

    Constants are numbers that float32 has: TensorFlow keeps some in it.
    """
    layers = keras.layers
    x = images = layers.Input(SHAPE)
    x = layers.Rescaling(np.float64(1 / 127.5), offset=-1.0)(x)
    x = layers.Normalization(mean=[0.125, 0.25, 0.5], variance=[1.0, 4.0, 2.25])(x)
    x = layers.ZeroPadding2D(((1, 2), (0, 1)))(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    x = layers.BatchNormalization(scale=False, momentum=0.9, epsilon=1e-5)(x)
    y = layers.SeparableConv2D(8, 3, padding="same", use_bias=False, activation="silu")(x)
    z = layers.DepthwiseConv2D([3, 2], padding="same", activation="hard_sigmoid")(x)
    x = layers.Add()([x, y, z])
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    x = layers.Activation("gelu")(x)
    y = layers.Conv2D(12, 1, groups=4, activation="mish")(x)
    y = layers.GroupNormalization(groups=4)(y)
    y = layers.RMSNormalization(epsilon=1e-5)(y)
    y = layers.PReLU(shared_axes=[1, 2])(y)
    y = layers.Dense(8)(y)
    y = layers.LeakyReLU(negative_slope=0.125)(y)
    x = layers.Maximum()([x, y])
    x = layers.Concatenate()([layers.Subtract()([x, y]), layers.Average()([x, y])])
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Reshape((1, 1, 16))(gate)
    gate = layers.Conv2D(16, 1)(layers.Conv2D(4, 1, activation="tanh")(gate))
    x = layers.Multiply()([x, layers.ReLU(6.0)(gate + 3.0) * (1 / 6)])
    x = layers.Dropout(0.2)(layers.SpatialDropout2D(0.1)(x))
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    x = layers.UpSampling2D(2)(x)
    x = layers.AveragePooling2D(2, strides=1, padding="same")(x)
    x = layers.Cropping2D(((0, 1), (1, 0)))(x)
    x = layers.Conv2DTranspose(5, 3, strides=2, padding="same", activation="elu")(x)
    x = layers.ELU(0.5)(layers.ReLU(negative_slope=0.25)(x))
    x = layers.Concatenate()([layers.Flatten()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(images, layers.Dense(7, activation="softmax")(x), name="everything")


def nested(keras):
    """Models in a model, one of them called twice."""
    layers = keras.layers
    stem = keras.Sequential(
        [layers.Input(SHAPE), layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization()],
        name="stem",
    )
    inner_input = layers.Input((12, 10, 4))
    inner = layers.Conv2D(4, 1, activation="relu")(inner_input)
    inner = layers.Add()([inner, layers.DepthwiseConv2D(3, padding="same")(inner_input)])
    inner = keras.Model(inner_input, inner, name="inner")
    images = layers.Input(SHAPE)
    x = inner(inner(stem(images)))
    return keras.Model(images, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)), name="nested")


def attending(keras):
    """Positions that attend to each other, in an image and in a row."""
    layers = keras.layers
    images = layers.Input(SHAPE)
    x = layers.Conv2D(8, 3, strides=3)(images)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x)])
    y = layers.Reshape((-1, 8))(x)
    for bias in (True, False):
        z = layers.LayerNormalization(epsilon=1e-6)(y)
        z = layers.MultiHeadAttention(3, 2, use_bias=bias)(query=z, key=z, value=z)
        y = layers.Add()([y, layers.Dropout(0.1)(z)])
        z = layers.Dense(8)(layers.Dense(12, activation="tanh")(y))
        y = layers.Add()([y, z])
    x = layers.Reshape((4, 3, 8))(y)
    x = layers.Conv2D(6, 3)(x)
    x = layers.Concatenate()(
        [
            layers.GlobalAveragePooling2D()(x),
            layers.GlobalAveragePooling1D()(y),
            layers.GlobalMaxPooling1D()(y),
            layers.Flatten()(y),
        ]
    )
    return keras.Model(images, layers.Dense(3)(x), name="attending")


def row(keras):
    layers = keras.layers
    return keras.Sequential(
        [layers.Input(SHAPE), layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(2)]
    )


def vary(model):
    """Weights none of which is at a value that hides a defect."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype.startswith("float"):
            low, high = (0.5, 1.5) if "variance" in weight.name else (-0.5, 0.5)
            weight.assign(rng.uniform(low, high, weight.shape))


@pytest.mark.parametrize("ending", ["keras", "h5", "weights.h5"])
@pytest.mark.parametrize("make", [everything, nested, row, attending])
def test_values(make, ending, keras, tmp_path):
    model = make(keras)
    vary(model)
    path = tmp_path / f"model.{ending}"
    model.save_weights(path) if ending == "weights.h5" else model.save(path)
    source = KerasFile(path)
    if ending == "weights.h5":
        said = json.loads(model.to_json())
        source.config = lambda: said
    published.exact_gelu(model)
    images = np.random.default_rng(1).uniform(0, 255, (2, *SHAPE))
    expected = np.asarray(model(images, training=False))
    (received,) = run(source.network(SHAPE), source.arrays(), images)
    assert distance(received, expected) < 1e-12


LOGARITHMS = {
    "fused": lambda keras, x: keras.layers.Dense(5, activation="log_softmax")(x),
    "activation": lambda keras, x: keras.layers.Activation(keras.activations.log_softmax)(x),
    "operation": lambda keras, x: keras.ops.log_softmax(x),
    "of_a_softmax": lambda keras, x: keras.ops.log(keras.layers.Softmax()(x)),
}


@pytest.mark.parametrize("case", LOGARITHMS)
def test_logarithms_of_probabilities_at_the_end(case, keras):
    images = keras.layers.Input(SHAPE)
    x = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(images))
    model = keras.Model(images, LOGARITHMS[case](keras, x))
    source = KerasModelSource(model)
    network = source.network(SHAPE)
    given = np.random.default_rng(1).uniform(-2, 2, (2, *SHAPE))
    (received,) = run(network, source.arrays(), given)
    assert distance(received, np.asarray(model(given))) < 1e-12
    assert network.layers[network.outputs[0][1]].op.name == "log_softmax"
    assert "log_softmax at the end is left out: what comes out are logits" in remarks(network)
    more = keras.Model(images, keras.layers.ReLU()(model.output))
    with pytest.raises(Refused, match="log_softmax before the end"):
        KerasModelSource(more).network(SHAPE)


def test_logarithms_of_other_things_are_refused(keras):
    images = keras.layers.Input(SHAPE)
    model = keras.Model(images, keras.ops.log(keras.layers.ReLU()(images)))
    with pytest.raises(Refused, match="of other than a softmax"):
        KerasModelSource(model).network(SHAPE)


def test_every_layer_has_a_case(keras):
    """All that are read, but for other names of the same, of old Keras and of Keras' own models."""
    from xgraph.importing.readers.keras import _LAYERS

    seen = {
        type(layer).__name__
        for make in (everything, nested, row, attending)
        for layer in make(keras).layers
    }
    other = {"ActivityRegularization", "AvgPool2D", "Convolution2D", "Convolution2DTranspose",
             "CustomScaleLayer", "GaussianDropout", "GaussianNoise", "Identity", "LayerScale",
             "Log", "LogSoftmax", "MaxPool2D", "SeparableConvolution2D", "Softmax",
             "StochasticDepth", "TFOpLambda"}  # fmt: skip
    assert _LAYERS.keys() - other <= seen | {"Add", "Multiply"}


def test_layers_without_meaning_are_told_all_at_once(keras, tmp_path):
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input(SHAPE), layers.Permute((2, 1, 3)), layers.UnitNormalization(),
         layers.GlobalAveragePooling2D()]
    )  # fmt: skip
    path = tmp_path / "model.keras"
    model.save(path)
    with pytest.raises(Refused) as refused:
        KerasFile(path).network(SHAPE)
    assert [line.partition(": ")[2] for line in refused.value.lines] == [
        "no op of ours is Keras' Permute",
        "no op of ours is Keras' UnitNormalization",
    ]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"data_format": "channels_first"}, "data_format channels_first"),
        ({"activation": "softsign"}, "no op of ours is Keras' activation 'softsign'"),
        ({"filters": -3}, "filters of conv: expected a positive integer"),
        ({"filters": 5}, "does not fit conv"),
        ({"padding": "causal"}, "padding of conv"),
        ({"use_bias": False}, "expected kernel, received 2 weights"),
    ],
)
def test_attributes_without_meaning(keras, attributes, reason, tmp_path):
    model = row(keras)
    path = tmp_path / "model.keras"
    model.save(path)
    source = KerasFile(path)
    config = json.loads(json.dumps(source.config()))
    config["config"]["layers"][1]["config"] |= attributes
    source.config = lambda: config
    with pytest.raises(Refused, match=reason):
        source.network(SHAPE)


@pytest.mark.parametrize(
    "spoiled",
    [b"", b"not a file of Keras", b"PK\x03\x04 torn", b"\x89HDF\r\n\x1a\n torn"],
)
def test_what_is_no_file_of_keras(spoiled, tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(spoiled)
    with pytest.raises(Refused, match=r"model\.keras"):
        sources.find(str(path)).network(SHAPE)


@pytest.mark.parametrize(
    "config",
    [
        "[]", "{", '{"class_name": "Functional"}', '{"class_name": "Sequential", "config": []}',
        '{"class_name": "Functional", "config": {"layers": [{"class_name": "Conv2D"}]}}',
        '{"class_name": "Functional", "config": {"layers": [], "input_layers": [["a", 0, 0]],'
        ' "output_layers": [["b", 0, 0]]}}',
        '{"class_name": "Functional", "config": {"input_layers": [["i", 0, 0]],'
        ' "output_layers": [["r", 0, 0]], "layers": [{"class_name": "ReLU", "name": "r",'
        ' "config": {}, "inbound_nodes": [[["r", 0, 0, {}]]]}]}}',
    ],
)  # fmt: skip
def test_configurations_that_are_none(config, tmp_path):
    path = tmp_path / "model.keras"
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_group("layers")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", weights.getvalue())
    with pytest.raises(Refused):
        sources.find(str(path)).network(SHAPE)


def test_an_archive_that_grows_without_measure(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", " " * 10_000_000)
    with pytest.raises(Refused, match="grow without measure"):
        sources.find(str(path)).network(SHAPE)


def test_keras_2(tmp_path):
    """As Keras 2.13 wrote it, by hand: inbound nodes as lists, weights by layer and name."""
    rng = np.random.default_rng(0)
    kernel, bias = rng.standard_normal((3, 3, 3, 4)), rng.standard_normal(4)
    window = {"kernel_size": [3, 3], "strides": [1, 1], "padding": "same", "use_bias": True}
    layers = [
        {"class_name": "InputLayer", "config": {"name": "i"}, "name": "i", "inbound_nodes": []},
        {"class_name": "Conv2D", "name": "c", "inbound_nodes": [[["i", 0, 0, {}]]],
         "config": {"name": "c", "filters": 4, "activation": "hard_sigmoid", **window}},
        {"class_name": "TFOpLambda", "name": "tf.math.multiply", "config": {
            "name": "tf.math.multiply", "function": "math.multiply"},
         "inbound_nodes": [["c", 0, 0, {"y": 0.5, "name": None}]]},
        {"class_name": "Add", "name": "a", "config": {"name": "a"},
         "inbound_nodes": [[["c", 0, 0, {}], ["tf.math.multiply", 0, 0, {}]]]},
    ]  # fmt: skip
    inside = {"name": "old", "layers": layers, "input_layers": [["i", 0, 0]],
              "output_layers": [["a", 0, 0]]}  # fmt: skip
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.13.1"
        file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": inside})
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [b"i", b"c"]
        own = group.create_group("c")
        own.attrs["weight_names"] = [b"c/kernel:0", b"c/bias:0"]
        own["c/kernel:0"], own["c/bias:0"] = kernel, bias
    source = sources.find(str(path))
    images = rng.standard_normal((2, *SHAPE))
    (received,) = run(source.network(SHAPE), source.arrays(), images)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    convolved = np.einsum("nhwckl,klcf->nhwf", windows, kernel) + bias
    expected = 1.5 * np.clip(0.2 * convolved + 0.5, 0, 1)
    assert distance(received, expected) < 1e-12


@pytest.mark.parametrize("number", [1, 10**30])
def test_an_output_that_no_layer_gives(keras, number, tmp_path):
    images = keras.layers.Input(SHAPE)
    model = keras.Model(images, keras.layers.ReLU(name="last")(images))
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(held["config.json"])
    config["config"]["output_layers"] = [["last", 0, number]]
    held["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name, data in held.items():
            archive.writestr(name, data)
    with pytest.raises(Refused, match=f"last gives no output {number}"):
        KerasFile(tmp_path / "model.keras").network(SHAPE)
