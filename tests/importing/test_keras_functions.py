"""Functions of a user's that return Keras models."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from xgraph import cli
from xgraph.importing import sources
from xgraph.importing.arrays import read_safetensors
from xgraph.importing.network import Refused
from xgraph.importing.sources.keras import KerasModelSource

from .evaluate import distance, run

SHAPE = (8, 6, 3)
MINE = """
    import keras
    from keras import layers

    def graph():
        images = layers.Input((8, 6, 3))
        x = layers.Conv2D(4, 3, padding="same", activation="relu")(images)
        x = layers.Add()([x, layers.BatchNormalization()(x)])
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(images, layers.Dense(2)(x), name="graph")

    def row(built=True):
        first = [layers.Input((8, 6, 3))] if built else []
        parts = [layers.Conv2D(4, 3), layers.ReLU(), layers.Flatten(), layers.Dense(2)]
        return keras.Sequential(first + parts)

    def unbuilt():
        return row(False)

    class Named(keras.Model):
        def __init__(self):
            images = layers.Input((8, 6, 3))
            super().__init__(images, layers.Conv2D(2, 3)(images))

    class Changed(Named):
        def call(self, x):
            return super().call(x) + 1

    class Written(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(2)

        def call(self, x):
            return self.dense(x)

    class Row(keras.Sequential):
        def call(self, x):
            return super().call(x) + 1

    def changed_row():
        return Row([layers.Input((8, 6, 3)), layers.ReLU()])

    def fails():
        raise ValueError("not today")

    def nothing():
        return 3
"""


@pytest.fixture
def mine(keras, tmp_path, monkeypatch):
    """The name of a module in the working folder, which makes models in float64."""
    monkeypatch.chdir(tmp_path)
    name = "mine_" + "".join(c for c in tmp_path.name if c.isalnum())
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(MINE), "utf-8")
    return name


@pytest.mark.parametrize("function", ["graph", "row", "unbuilt", "Named"])
def test_values(mine, function):
    source = sources.find(f"keras:{mine}:{function}")
    assert source.image_shape() == (None if function == "unbuilt" else SHAPE)
    network = source.network(SHAPE)
    images = np.random.default_rng(0).uniform(-1, 1, (2, *SHAPE))
    expected = np.asarray(source.made()(images, training=False))
    (received,) = run(network, source.arrays(), images)
    assert distance(received, expected) < 1e-12
    held = KerasModelSource(source.made())
    assert held.network(SHAPE).layers == network.layers


def test_classes_whose_calls_are_code(mine):
    for function in ("Changed", "Written", "changed_row"):
        source = sources.find(f"keras:{mine}:{function}")
        with pytest.raises(Refused, match=r"keras\.Model\(inputs, outputs\)"):
            source.network(SHAPE)


def test_functions_that_are_none(mine):
    for name, words in (
        ("fails", "ValueError: not today"),
        ("nothing", "gives a int, no keras.Model"),
        ("missing", "has no attribute 'missing'"),
    ):
        with pytest.raises(Refused, match=words):
            sources.find(f"keras:{mine}:{name}").network(SHAPE)
    with pytest.raises(Refused, match="keras:no_such:build needs no_such"):
        sources.find("keras:no_such:build").network(SHAPE)


def test_there_and_back(mine, tmp_path, capsys):
    name = f"keras:{mine}:graph"
    cli.main(["import", name, "-o", "net.yaml", "--weights", "net.safetensors"])
    assert "the network of keras:" in capsys.readouterr().out
    cli.main(["weights", "export", "net.yaml", "net.safetensors", "--model", name, "-o",
              "back.weights.h5"])  # fmt: skip
    cli.main(["weights", "import", "net.yaml", "back.weights.h5", "--model", name, "-o",
              "again.safetensors"])  # fmt: skip
    first, again = (read_safetensors(tmp_path / f"{one}.safetensors") for one in ("net", "again"))
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[word], again[word]) for word in first)
    with pytest.raises(Refused, match=r"named \.keras or \.weights\.h5"):
        sources.find_model(name).with_weights(tmp_path / "net.pt")
