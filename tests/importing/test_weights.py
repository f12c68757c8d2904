"""`xgraph weights`: weights carried over and back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from xgraph import backend, interpreter
from xgraph.cli import main
from xgraph.compile import analyse, compile_spec
from xgraph.importing.arrays import read_safetensors
from xgraph.importing.network import Refused
from xgraph.interpreter import random_weights, weight_shapes

from .test_keras_reader import row, vary

ROW = """\
xgraph: 1
name: row
input: {shape: [12, 10, 3]}
params: {classes: 2}
graph:
- {conv: {filters: 4, kernel: 3}, name: first}
- relu
- flatten
- {dense: $classes, name: last}
"""


@pytest.fixture
def spec(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "row.yaml"
    path.write_text(ROW)
    return path


@pytest.fixture
def saved(keras, spec, tmp_path):
    """(file of a Keras model, images, what it makes of them)."""
    model = row(keras)
    vary(model)
    model.save(tmp_path / "row.keras")
    images = np.random.default_rng(1).uniform(-1, 1, (2, 12, 10, 3))
    return "row.keras", images, np.asarray(model(images, training=False))


def test_import(saved, spec, capsys):
    path, images, expected = saved
    assert main(["weights", "import", "row.yaml", path]) == 0
    out = capsys.readouterr().out
    assert out == "row.safetensors: 4 weights, 754 numbers; row.keras is the network of row\n"
    _, files = compile_spec("row.yaml", backend.get("torch"))
    program = backend.get("torch").load(dict(files), "float64")
    program.modules["model"].load_weights(program.model, "row.safetensors")
    np.testing.assert_allclose(program.run(images)[0], expected, rtol=1e-12, atol=1e-12)


def test_another_head(saved, spec, capsys):
    path, *_ = saved
    told = ["weights", "import", "row.yaml", path, "--set", "classes=5"]
    assert main(told) == 1
    err = capsys.readouterr().err
    assert "xgraph: last is not dense: units 5 here, 2 there\n" in err
    assert not Path("row.safetensors").exists()
    assert main([*told, "--leave-out", "last", "--json", "-o", "most.safetensors"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["left_out"] == ["last.kernel", "last.bias"]
    assert list(load_file("most.safetensors")) == ["first.bias", "first.kernel"]


def test_there_and_back(saved, spec, capsys):
    path, *_ = saved
    assert main(["weights", "import", "row.yaml", path]) == 0
    weights = load_file("row.safetensors")
    save_file({name: array + 1 for name, array in weights.items()}, "more.safetensors")
    for ending in ("keras", "h5"):
        told = ["weights", "export", "row.yaml", "more.safetensors", "--model", path]
        assert main([*told, "-o", f"back.{ending}"]) == 0
        assert main(["weights", "import", "row.yaml", f"back.{ending}", "-o", "b.safetensors"]) == 0
        back = load_file("b.safetensors")
        assert back.keys() == weights.keys()
        for name, array in weights.items():
            np.testing.assert_array_equal(back[name], array + 1)


def test_between_two_texts_of_one_network(spec):
    """Weights outlive a spec that is written anew."""
    other = Path("blocks.yaml")
    other.write_text(
        "xgraph: 1\nname: blocks\ninput: {shape: [12, 10, 3]}\n"
        "blocks: {stem: {body: [{conv: {filters: 4, kernel: 3}}, relu]}}\n"
        "graph: [stem, {dropout: 0.5}, flatten, {dense: {units: 2}, name: head}]\n"
    )
    analysis = analyse("row.yaml")
    weights = random_weights(analysis.graph, analysis.types)
    save_file({k: np.ascontiguousarray(v) for k, v in weights.items()}, "row.safetensors")
    told = ["weights", "import", "blocks.yaml", "row.safetensors", "--model", "xgraph:row.yaml"]
    assert main(told) == 0
    found = load_file("blocks.safetensors")
    np.testing.assert_array_equal(found["stem.conv.kernel"], weights["first.kernel"])
    np.testing.assert_array_equal(found["head.bias"], weights["last.bias"])


def test_a_convolution_of_one_pixel_is_a_dense_layer(tmp_path, monkeypatch):
    """As in squeeze-and-excitation; each has its kernel as it is shaped there."""
    monkeypatch.chdir(tmp_path)
    head = "xgraph: 1\ninput: {shape: [6, 6, 4]}\ngraph:\n"
    Path("pixel.yaml").write_text(
        head
        + "- [{global_avg_pool: {keep_dims: true}}, {conv: {filters: 3, kernel: 1}}, flatten]\n"
        "name: pixel\n"
    )
    Path("vector.yaml").write_text(head + "- [global_avg_pool, {dense: 3}]\nname: vector\n")
    kernels = {}
    for spec, other, layer in (("pixel", "vector", "conv"), ("vector", "pixel", "dense")):
        analysis = analyse(f"{spec}.yaml")
        weights = random_weights(analysis.graph, analysis.types)
        save_file({k: np.ascontiguousarray(v) for k, v in weights.items()}, "own.safetensors")
        model = ["--model", f"xgraph:{other}.yaml"]
        told = [f"{spec}.yaml", "own.safetensors", *model, "-o", f"{other}.safetensors"]
        assert main(["weights", "export", *told]) == 0
        told = [f"{spec}.yaml", f"{other}.safetensors", *model, "-o", "back.safetensors"]
        assert main(["weights", "import", *told]) == 0
        kernels[spec] = weights[f"{layer}.kernel"], load_file("back.safetensors")[f"{layer}.kernel"]
    assert {spec: one.shape for spec, (one, _) in kernels.items()} == {
        "pixel": (1, 1, 4, 3),
        "vector": (4, 3),
    }
    for given, back in kernels.values():
        np.testing.assert_array_equal(back, given)


def test_one_layer_that_two_specs_say_otherwise(spec):
    """Weights come in the shape that their own spec has for them."""
    texts = {
        "groups": "[{conv: {filters: 6, kernel: 3, groups: 3}}, global_avg_pool, {dense: 4}]",
        "channels": "[{depthwise_conv: {kernel: 3, multiplier: 2}}, {global_avg_pool: {keep_dims: "
        "true}}, {conv: {filters: 4, kernel: 1}}, flatten]",
    }
    for name, graph in texts.items():
        text = f"xgraph: 1\nname: {name}\ninput: {{shape: [12, 10, 3]}}\ngraph: {graph}\n"
        Path(f"{name}.yaml").write_text(text)
    images = np.random.default_rng(1).uniform(-1, 1, (2, 12, 10, 3))
    for name, other in (("groups", "channels"), ("channels", "groups")):
        analysis = analyse(f"{name}.yaml")
        weights = random_weights(analysis.graph, analysis.types)
        save_file({k: np.ascontiguousarray(v) for k, v in weights.items()}, "w.safetensors")
        told = ["w.safetensors", "--model", f"xgraph:{name}.yaml"]
        assert main(["weights", "import", f"{other}.yaml", *told]) == 0
        target = analyse(f"{other}.yaml")
        found = load_file(f"{other}.safetensors")
        shapes = weight_shapes(target.graph, target.types)
        assert {key: array.shape for key, array in found.items()} == shapes
        expected = interpreter.run(analysis.graph, images, weights)[-1]
        received = interpreter.run(target.graph, images, found)[-1]
        np.testing.assert_allclose(received, expected, rtol=1e-12, atol=1e-12)
        back = ["weights", "export", f"{other}.yaml", f"{other}.safetensors"]
        assert main([*back, "--model", f"xgraph:{name}.yaml", "-o", "back.safetensors"]) == 0
        back = load_file("back.safetensors")
        assert back.keys() == weights.keys()
        assert all(np.array_equal(back[key], weights[key]) for key in back)


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (["nothing.h5"], "there is no file nothing.h5"),
        (["keras:NoSuchNet"], "keras.applications has no model NoSuchNet"),
        (["keras:applications"], "keras.applications has no model applications"),
        (["xgraph:row.yaml"], "xgraph:row.yaml has no weights"),
        (["row.yaml"], "a file of a kind that is not read"),
        (["w.safetensors"], "holds names and numbers alone"),
        (["w.safetensors", "--model", "nowhere"], "no model is called nowhere"),
        (["w.safetensors", "--model", "xgraph:"], "no model is called xgraph:"),
        (["w.safetensors", "--model", "keras:VGG16"], "weights of keras:VGG16 are in a file named"),
        (["xgraph:row.yaml", "--model", "xgraph:row.yaml"], "--model is for a file of weights"),
        (["w.safetensors", "--model", "xgraph:row.yaml"], "there is no weight last.kernel"),
        (["row.yaml", "-o", "w.bin"], "w.bin: weights of a spec are in a file named .safetensors"),
        (["w.safetensors", "--model", "xgraph:row.yaml", "--leave-out", "nobody"],
         "the spec has no weights in 'nobody'"),
        (["torn.safetensors", "--model", "xgraph:row.yaml"], "torn.safetensors is not a"),
        (["w.pt", "--model", "torch:nowhere:make"], "torch:nowhere:make needs nowhere"),
    ],
)  # fmt: skip
def test_refused(told, reason, spec, capsys):
    save_file({"a": np.zeros(3)}, "w.safetensors")
    Path("torn.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    Path("w.pt").write_bytes(b"")
    assert main(["weights", "import", "row.yaml", *told]) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert "Traceback" not in err
    assert not Path("row.safetensors").exists()


def test_bfloat16_is_widened(tmp_path):
    import torch
    from safetensors.torch import save_file as save_torch

    exact = torch.tensor([[1.5, -2.0], [0.15625, 1e30]], dtype=torch.bfloat16)
    path = tmp_path / "b.safetensors"
    save_torch({"w": exact, "v": torch.ones(2, dtype=torch.float16)}, path)
    found = read_safetensors(path)
    np.testing.assert_array_equal(found["w"], exact.float().numpy())
    assert found["v"].dtype == np.float16


@pytest.mark.parametrize(
    "spoiled",
    [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{",
     b'\x3b\0\0\0\0\0\0\0{"a":{"dtype":"BF16","shape":[9],"data_offsets":[0,2]}}    00',
     b'\x3b\0\0\0\0\0\0\0{"a":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}}  0'],
)  # fmt: skip
def test_what_is_no_safetensors_file(spoiled, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(spoiled)
    with pytest.raises(Refused):
        read_safetensors(path)


def test_a_layer_that_is_called_twice_is_told(keras, spec, capsys):
    """Two layers of a spec begin alike, and training parts them."""
    layers = keras.layers
    images = layers.Input((12, 10, 3))
    conv = layers.Conv2D(3, 1, name="again")
    x = layers.GlobalAveragePooling2D()(conv(layers.ReLU()(conv(images))))
    model = keras.Model(images, x)
    vary(model)
    model.save("twice.keras")
    Path("twice.yaml").write_text(
        "xgraph: 1\nname: twice\ninput: {shape: [12, 10, 3]}\n"
        "graph: [{conv: {filters: 3, kernel: 1}}, relu, {conv: {filters: 3, kernel: 1}},"
        " global_avg_pool]\n"
    )
    assert main(["weights", "import", "twice.yaml", "twice.keras"]) == 0
    out = capsys.readouterr().out
    assert "note: the source has again/0 once, the spec in conv_2.kernel and conv.kernel" in out
    found = load_file("twice.safetensors")
    found["conv.kernel"] = found["conv.kernel"] + 1
    save_file(found, "other.safetensors")
    told = ["weights", "export", "twice.yaml", "other.safetensors", "--model", "twice.keras"]
    assert main([*told, "-o", "back.keras"]) == 1
    assert "two layers of twice.keras share again/0" in capsys.readouterr().err


def test_a_layer_that_the_spec_shares_is_told(keras, spec, capsys):
    """The other way round: what is one in the spec is written twice, and read if both are equal."""
    layers = keras.layers
    images = layers.Input((12, 10, 3))
    x = layers.Conv2D(3, 1, name="one")(images)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="two")(layers.ReLU()(x)))
    model = keras.Model(images, x)
    vary(model)
    model.save("parted.keras")
    Path("once.yaml").write_text(
        "xgraph: 1\nname: once\ninput: {shape: [12, 10, 3]}\n"
        "graph: [{conv: {filters: 3, kernel: 1}, name: conv}, relu, {share: conv},"
        " global_avg_pool]\n"
    )
    assert main(["weights", "import", "once.yaml", "parted.keras"]) == 1
    assert "the spec shares conv.kernel between layers" in capsys.readouterr().err
    model.get_layer("two").set_weights(model.get_layer("one").get_weights())
    model.save("parted.keras")
    assert main(["weights", "import", "once.yaml", "parted.keras"]) == 0
    out = capsys.readouterr().out
    assert "note: the spec has conv.kernel once, the source in two/0 and one/0: training" in out
    told = ["weights", "export", "once.yaml", "once.safetensors", "--model", "parted.keras"]
    assert main([*told, "-o", "back.keras"]) == 0
    assert "note: the spec has conv.kernel once" in capsys.readouterr().out
