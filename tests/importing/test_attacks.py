"""What an attacker found: networks that are another one and passed, files that did what they should
not, and good ones that were refused."""

from __future__ import annotations

import importlib
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from xgraph.cli import main

from .test_keras_reader import vary

CONV = "- {conv: {filters: 4, kernel: 3, padding: same}, name: c}\n"
TAIL = "- global_avg_pool\n- {dense: 3, name: head}\n"


def write(body: str, shape: str = "[6, 6, 4]") -> None:
    """The spec s.yaml."""
    Path("s.yaml").write_text(
        f"xgraph: 1\nname: s\ninput: {{shape: {shape}}}\ngraph:\n{body}", encoding="utf-8"
    )


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def refused(told: list[str], capsys) -> str:
    """What is said; nothing is written, and there is no traceback."""
    capsys.readouterr()
    assert main(["weights", "import", "s.yaml", *told]) == 1
    assert not Path("s.safetensors").exists()
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


# -- PyTorch --------------------------------------------------------------------------------------

MODULE = """\
import torch, torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(s):
        super().__init__()
        s.c, s.h, s.h2 = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3), nn.Linear(4, 3)
        s.register_buffer("k", torch.full((1, 4, 1, 1), 2.0))
    def t(s, x):
        return s.h(x.mean((2, 3)))
    def forward(s, x):
        return {forward}

def build():
    torch.manual_seed(0)
    return Net()
"""


def module(forward: str, name: str = "m") -> None:
    Path(f"{name}.py").write_text(MODULE.replace("{forward}", forward))


def test_a_constant_is_that_of_the_checkpoint(capsys):
    """Not that of the module before it is loaded."""
    module("s.t(s.c(x * s.k))", "m1")
    write("- {rescale: {scale: 2}}\n" + CONV + TAIL)
    assert main(["weights", "import", "s.yaml", "torch:m1:build"]) == 0
    Path("s.safetensors").unlink()
    state = importlib.import_module("m1").build().state_dict()
    state["k"] = torch.full((1, 4, 1, 1), 5.0)
    torch.save(state, "w.pt")
    assert "scale" in refused(["w.pt", "--model", "torch:m1:build"], capsys)


def test_images_that_are_seen_raw_too(capsys):
    module("s.t(s.c(x / 255) + x)", "m2")
    write(CONV + "- {add: , from: [c, input]}\n" + TAIL)
    assert "behind it the source has rescale (div), which the spec has not" in refused(
        ["torch:m2:build"], capsys
    )


def test_dropout_that_is_on_in_evaluation(capsys):
    module("s.t(F.dropout(s.c(x), 0.5))", "m3")
    write(CONV + "- {dropout: 0.5}\n" + TAIL)
    assert "drops in evaluation too" in refused(["torch:m3:build"], capsys)


def test_small_numbers_are_told_apart(capsys):
    module("s.h(F.layer_norm(x.mean((2, 3)) * 1e-5, (4,), eps=1e-12))", "m4")
    norm = "- {layer_norm: {epsilon: 9.0e-10, scale: false, center: false}}\n"
    write("- global_avg_pool\n- {rescale: {scale: 1.0e-5}}\n" + norm + "- {dense: 3}\n")
    assert "epsilon 9e-10 here, 1e-12 there" in refused(["torch:m4:build"], capsys)


def test_outputs_go_together_by_name():
    module('{"aux": s.h2(x.mean((2, 3))), "logits": s.t(x)}', "m5")
    write("- {global_avg_pool: , name: p}\n- {dense: 3, name: h1}\n"
          "- {dense: 3, name: h2, from: p}\n"
          "outputs: {logits: h1, aux: {from: h2, loss_weight: 1}}\n")  # fmt: skip
    assert main(["weights", "import", "s.yaml", "torch:m5:build"]) == 0
    made = importlib.import_module("m5").build()
    found = load_file("s.safetensors")
    np.testing.assert_array_equal(found["h1.bias"], made.h.bias.detach().numpy())
    np.testing.assert_array_equal(found["h2.bias"], made.h2.bias.detach().numpy())


def test_what_a_checkpoint_has_beside_the_model_is_told(capsys):
    module("s.t(s.c(x))", "m6")
    write(CONV + TAIL)
    state = importlib.import_module("m6").build().state_dict()
    torch.save({**state, "extra.weight": torch.ones(3)}, "w.pt")
    assert main(["weights", "import", "s.yaml", "w.pt", "--model", "torch:m6:build"]) == 0
    assert "1 are not the model's: extra.weight" in capsys.readouterr().out
    state["c.bias"] = torch.full((4,), torch.nan)
    torch.save(state, "w.pt")
    assert main(["weights", "import", "s.yaml", "w.pt", "--model", "torch:m6:build"]) == 0
    assert "not all numbers are finite in c.bias" in capsys.readouterr().out


def test_a_part_that_is_called_model():
    Path("m7.py").write_text(
        "from torch import nn\n\n\ndef build():\n    made = nn.Module()\n"
        "    net = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1),"
        " nn.Flatten(), nn.Linear(4, 3))\n    return Outer(net)\n\n\n"
        "class Outer(nn.Module):\n    def __init__(s, net):\n        super().__init__()\n"
        "        s.model = net\n    def forward(s, x):\n        return s.model(x)\n"
    )
    write(CONV + TAIL)
    torch.save(importlib.import_module("m7").build().state_dict(), "w.pt")
    assert main(["weights", "import", "s.yaml", "w.pt", "--model", "torch:m7:build"]) == 0


def test_a_head_that_is_left_out_may_be_another():
    """The walk goes on above it."""
    module("s.h(F.leaky_relu(s.c(x)).mean((2, 3)))", "m8")
    write("  body:\n  " + CONV + "  head: [relu, global_avg_pool, {dense: 3}]\n")
    told = ["weights", "import", "s.yaml", "torch:m8:build"]
    assert main(told) == 1
    assert main([*told, "--leave-out", "head"]) == 0
    assert set(load_file("s.safetensors")) == {"body.c.kernel", "body.c.bias"}


def test_one_pool_or_two():
    """What has no weights is the same wherever it stands."""
    module("s.t(x) + s.h2(x.mean((2, 3)))", "m9")
    write("- {global_avg_pool: , name: p}\n- {dense: 3, name: a}\n"
          "- {dense: 3, name: b, from: p}\n- {add: , from: [a, b]}\n")  # fmt: skip
    assert main(["weights", "import", "s.yaml", "torch:m9:build"]) == 0


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.int8])
def test_numbers_that_numpy_has_not(kind, capsys):
    module("s.t(s.c(x))", "m10")
    write(CONV + TAIL)
    state = importlib.import_module("m10").build().state_dict()
    torch.save({name: tensor.to(kind) for name, tensor in state.items()}, "w.pt")
    refused(["w.pt", "--model", "torch:m10:build"], capsys)


def test_a_function_that_ends_the_process(capsys):
    Path("m11.py").write_text("def build():\n    raise SystemExit(0)\n")
    write(CONV + TAIL)
    assert "SystemExit" in refused(["torch:m11:build"], capsys)


# -- Keras ----------------------------------------------------------------------------------------


def kept(keras, made, name: str = "k.keras") -> str:
    vary(made)
    made.save(name)
    return name


def test_softmax_over_pixels(keras, capsys):
    layers = keras.layers
    for axis in (1, [1, 2]):
        x = images = layers.Input((6, 6, 4))
        x = layers.Softmax(axis=axis)(layers.Conv2D(4, 3, padding="same")(x))
        x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
        write(CONV + "- softmax\n" + TAIL)
        assert "only the last is read" in refused([kept(keras, keras.Model(images, x))], capsys)


def test_a_normalization_of_rows(keras, capsys):
    layers = keras.layers
    images = layers.Input((4, 4, 4))
    x = layers.Normalization(axis=1, mean=[0.0, 1, 2, 3], variance=[1.0, 4, 9, 16])(images)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    write("- {normalize: {mean: [0, 1, 2, 3], std: [1, 2, 3, 4]}}\n" + TAIL, "[4, 4, 4]")
    assert "only the last is read" in refused([kept(keras, keras.Model(images, x))], capsys)


def test_a_class_of_somebody_by_the_name_of_one_of_keras(keras, capsys):
    layers = keras.layers

    @keras.saving.register_keras_serializable("p")
    class ReLU(layers.Layer):
        def call(self, x):
            return keras.ops.tanh(x)

    images = layers.Input((6, 6, 4))
    x = ReLU()(layers.Conv2D(4, 3, padding="same")(images))
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    write(CONV + "- relu\n" + TAIL)
    assert "own ReLU" in refused([kept(keras, keras.Model(images, x))], capsys)

    @keras.saving.register_keras_serializable("p")
    class My(keras.Model):
        def call(self, x):
            return 2 * super().call(x)

    x = layers.Conv2D(4, 3, padding="same")(images)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    write(CONV + TAIL)
    assert "no model of Keras' own" in refused([kept(keras, My(images, x))], capsys)


def test_layers_that_are_called_in_training(keras, capsys):
    layers = keras.layers
    images = layers.Input((6, 6, 4))
    x = layers.Dropout(0.5)(layers.Conv2D(4, 3, padding="same")(images), training=True)
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    write(CONV + "- {dropout: 0.5}\n" + TAIL)
    assert "as in training" in refused([kept(keras, keras.Model(images, x))], capsys)


def test_inputs_and_outputs_by_name_and_a_model_of_ones_own(keras, capsys):
    """And weights alone, whose model is a file too."""
    layers = keras.layers
    images = layers.Input((6, 6, 4), name="a")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same")(images))
    model = keras.Model({"a": images}, {"logits": layers.Dense(3)(x)})
    write(CONV + TAIL)
    assert main(["weights", "import", "s.yaml", kept(keras, model)]) == 0
    wanted = load_file("s.safetensors")
    model.save_weights("k.weights.h5")
    told = ["k.weights.h5", "--model", "k.keras", "-o", "again.safetensors"]
    assert main(["weights", "import", "s.yaml", *told]) == 0
    found = load_file("again.safetensors")
    assert all(np.array_equal(found[name], array) for name, array in wanted.items())
    Path("s.safetensors").unlink()
    other = layers.Input((6, 6, 4))
    both = keras.Model([images, other], layers.Add()([x, layers.GlobalAveragePooling2D()(other)]))
    assert "takes 2 inputs" in refused([kept(keras, both, "two.keras")], capsys)


@pytest.fixture
def saved(keras):
    """k.h5, of the spec s.yaml."""
    layers = keras.layers
    images = layers.Input((6, 6, 4))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, padding="same", name="c")(images))
    write(CONV + TAIL)
    return kept(keras, keras.Model(images, layers.Dense(3, name="h")(x)), "k.h5")


def test_files_beside_are_not_read(saved, capsys):
    Path("secret").write_bytes(b"root:x:0:0" * 20)
    with h5py.File(saved, "a") as file:
        group = file["model_weights/c"]
        name = next(n for n in group.attrs["weight_names"] if "bias" in str(n))
        name = name.decode() if isinstance(name, bytes) else str(name)
        del group[name]
        group.create_dataset(name, (4,), "f4", external=[("secret", 0, 16)])
    assert "another file" in refused([saved], capsys)
    with h5py.File("other.h5", "w") as file:
        file["v"] = np.zeros(4, "f4")
    with h5py.File(saved, "a") as file:
        group = file["model_weights/c"]
        del group[name]
        group[name] = h5py.ExternalLink("other.h5", "v")
    assert "another file" in refused([saved], capsys)


def test_what_grows_without_measure(saved, capsys):
    with h5py.File(saved, "a") as file:
        group = file["model_weights/c"]
        (name, *_) = (str(n.decode() if isinstance(n, bytes) else n)
                      for n in group.attrs["weight_names"])  # fmt: skip
        del group[name]
        group.create_dataset(name, (1 << 36,), "f4", chunks=(1 << 20,))
    assert "grow without measure" in refused([saved], capsys)


CONFIGURATIONS = ("[", "[]", "3", "null", '"x"', "[" * 50_000,
                  '{"class_name": "Functional", "config": 3}',
                  '{"class_name": "Functional", "config": {"layers": [1, 2]}}')  # fmt: skip


@pytest.mark.parametrize("config", CONFIGURATIONS, ids=lambda text: text[:40])
def test_configurations(config, saved, capsys):
    with h5py.File(saved, "a") as file:
        file.attrs["model_config"] = config
    refused([saved], capsys)
    with zipfile.ZipFile("k.keras", "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("metadata.json", "{}")
        archive.write(saved, "model.weights.h5")
    refused(["k.keras"], capsys)


# -- what is written ------------------------------------------------------------------------------


def test_where_it_cannot_go(capsys):
    module("s.t(s.c(x))", "m12")
    write(CONV + TAIL)
    assert main(["weights", "import", "s.yaml", "torch:m12:build", "-o", "w.safetensors"]) == 0
    Path("d.pt").mkdir()
    Path("target.pt").write_text("kept")
    Path("link.pt").symlink_to("target.pt")
    told = ["weights", "export", "s.yaml", "w.safetensors", "--model", "torch:m12:build", "-o"]
    for place in ("d.pt", "none/x.pt", "/proc/x.pt", "/proc/x.safetensors", ""):
        capsys.readouterr()
        assert main([*told, place]) == 1, place
        assert "Traceback" not in capsys.readouterr().err
    assert main([*told, "x.SAFETENSORS"]) == 0
    assert load_file("x.SAFETENSORS")
    assert main([*told, "link.pt"]) == 0
    assert Path("target.pt").read_text() == "kept"
    assert not [path for path in Path().iterdir() if path.name.startswith(".")]
    assert main(["weights", "import", "s.yaml", "torch:m12:build", "--leave-out", "c", "head"]) == 1
    assert "all weights of the spec are left out" in capsys.readouterr().err
