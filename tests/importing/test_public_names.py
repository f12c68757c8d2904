"""Weights by their names alone: of published forms that are known, all of them, or none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from xgraph.cli import main
from xgraph.compile import analyse
from xgraph.importing import sources
from xgraph.importing.network import Refused
from xgraph.importing.sources.names import NamedWeights, _theirs, expanded, published
from xgraph.importing.sources.torch import TorchModule
from xgraph.importing.weights import take
from xgraph.interpreter import weight_shapes

from ..parity.test_keras_applications import randomize, torch_model
from . import public_names

KNOWN = json.loads(public_names.PATH.read_text(encoding="utf-8"))


def test_the_same_names_are_known_that_are_compared():
    assert KNOWN.keys() == public_names.SPECS.keys()
    for spec, (library, name, *_) in public_names.SPECS.items():
        assert published(spec).model == f"{library}:{name}"


def test_patterns():
    names = ["a.0.w", "a.1.w", "b.w", "b.v", "c", "a.0.x"]
    assert expanded(public_names.pattern(names)) == names
    assert public_names.pattern(names) == "{a.{0,1}.w,b.{w,v},c,a.0.x}"
    assert expanded("a") == ["a"]
    assert expanded("{a,b.{c,d}}.{e,f}")[:3] == ["a.e", "a.f", "b.c.e"]


def shapes(spec: str) -> dict[str, tuple[int, ...]]:
    """What a published form has by its names."""
    known = published(spec)
    analysis = analyse(spec, known.settings)
    source = iter(known.names)
    made = {}
    for node in analysis.graph.nodes:
        if node.inputs and node.owner == node.name:  # who shares another's weights has none
            taken = tuple(analysis.types[place] for place in node.inputs)
            for weight in node.op.weights(taken):
                name, _, part = next(source).partition("/")
                made[name] = _theirs(node.op, weight.shape, 3 if part else 1)[0]
    return made


@pytest.mark.parametrize("spec", KNOWN)
def test_there_is_a_name_for_each_weight(spec):
    known, found = published(spec), shapes(spec)
    assert public_names.pattern(known.names) == KNOWN[spec]["names"]
    assert len(known.names) == len({*known.names})
    assert found.keys() == {name.partition("/")[0] for name in known.names}
    source = NamedWeights(spec, known, Path("given.pth"))
    source.read = {name: np.broadcast_to(np.float32(0), shape) for name, shape in found.items()}
    layers = source.network(analyse(spec, known.settings).types[0].shape).layers
    assert found.keys() == {held.name for layer in layers for held in layer.weights.values()}


def state(spec: str) -> dict[str, np.ndarray]:
    """Numbers by the names of a published form."""
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(shape).astype("float32") for name, shape in shapes(spec).items()
    }


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_import(ending, capsys):
    given = state("squeezenet1_1")
    if ending == "pth":
        wrapped = {f"module.{name}": torch.from_numpy(array) for name, array in given.items()}
        torch.save({"state_dict": wrapped}, "given.pth")
    else:
        save_file(given, "given.safetensors")
    told = [
        "weights",
        "import",
        "squeezenet1_1",
        f"given.{ending}",
        "-o",
        "w.safetensors",
        "--json",
    ]
    assert main(told) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["weights"] == 52
    assert any(
        "--model torchvision:squeezenet1_1 walks that network" in one for one in found["notes"]
    )
    made = load_file("w.safetensors")
    analysis = analyse("squeezenet1_1")
    assert {name: array.shape for name, array in made.items()} == weight_shapes(
        analysis.graph, analysis.types
    )
    first = next(name for name in weight_shapes(analysis.graph, analysis.types))
    wanted = given["features.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(made[first], wanted)


def test_three_in_one_and_positions():
    given = state("vit_tiny")
    save_file(given, "given.safetensors")
    made = take(analyse("vit_tiny"), sources.find("given.safetensors", None, "vit_tiny")).arrays
    third = given["blocks.5.attn.qkv.weight"][192:384]
    assert any(np.array_equal(array, third.T) for name, array in made.items() if "key" in name)
    positions = next(array for name, array in made.items() if name.endswith("embedding"))
    np.testing.assert_array_equal(positions.reshape(1, 196, 192), given["pos_embed"])


def refused(given, spec: str = "squeezenet1_1", settings=(), leave_out=()) -> str:
    save_file(given, "given.safetensors")
    with pytest.raises(Refused) as caught:
        take(analyse(spec, settings), sources.find("given.safetensors", None, spec), leave_out)
    return str(caught.value)


def test_what_is_not_all_of_it_is_refused():
    given = state("squeezenet1_1")
    first, *_ = given
    hint = "need --model, which says what network they are of, for example --model torchvision:squ"
    said = refused({name: array for name, array in given.items() if name != first})
    assert f"1 are not in it: {first}" in said
    assert hint in said
    said = refused({**given, "more.weight": given[first]})
    assert "1 are not of it: more.weight" in said
    assert hint in said
    said = refused({**given, first: given[first][:, :, :, :2]})
    assert f"{first}: expected shape (64, 3, 3, 3), received (64, 3, 3, 2)" in said
    assert hint in said
    flat = given[first].reshape(64, 27)  # as many numbers, and who knows in which order
    assert "received (64, 27)" in refused({**given, first: flat})
    turned = np.ascontiguousarray(given[first].transpose(2, 3, 1, 0))
    assert "received (3, 3, 3, 64)" in refused({**given, first: turned})
    integers = {**given, first: given[first].astype("int32")}
    assert "no floating-point numbers" in refused(integers)
    assert "are not in it" in refused({})


def test_batches_that_were_counted_and_towers_for_training_are_left():
    given = state("googlenet")
    more = {"conv1.bn.num_batches_tracked": np.array(3), "aux1.fc1.weight": np.zeros(3)}
    save_file({**given, **more}, "given.safetensors")
    carried = take(analyse("googlenet"), sources.find("given.safetensors", None, "googlenet"))
    assert len(carried.arrays) == len(given)
    assert "1 are not of it: auxiliary" in refused({**given, "auxiliary": np.zeros(3)}, "googlenet")


def test_settings_that_make_another_network_are_seen():
    given = state("squeezenet1_1")
    assert "1000 there" in refused(given, settings=["classes=7"])
    given = state("darknet53")
    assert "negative_slope 0.1 here, 0.01 there" in refused(given, "darknet53")
    save_file(given, "given.safetensors")
    source = sources.find("given.safetensors", None, "darknet53")
    assert len(take(analyse("darknet53", ["slope=0.01"]), source).arrays) == len(given)


def test_another_head():
    given = state("squeezenet1_1")
    save_file(given, "given.safetensors")
    told = ["weights", "import", "squeezenet1_1", "given.safetensors", "--set", "classes=7"]
    assert main([*told, "-o", "w.safetensors", "--leave-out", "head"]) == 0
    assert len(load_file("w.safetensors")) == 50


def test_specs_of_others_are_nothing_published(capsys):
    """Not even one by the name of a bundled one."""
    text = "xgraph: 1\nname: a\ninput: {shape: [4, 4, 3]}\ngraph: [relu]\n"
    Path("squeezenet1_1.yaml").write_text(text)
    save_file(state("squeezenet1_1"), "given.safetensors")
    assert published("squeezenet1_1.yaml") is None
    assert main(["weights", "import", "squeezenet1_1.yaml", "given.safetensors"]) == 1
    assert "holds names and numbers alone" in capsys.readouterr().err
    assert published("xception") is None


@pytest.mark.slow
@pytest.mark.parametrize("spec", KNOWN)
def test_names_and_axes_are_those_of_the_walk(spec, tmp_path):
    library, name, size, *settings = public_names.SPECS[spec]
    torch.manual_seed(0)
    model = torch_model(library, name).eval()
    randomize(model)
    assert public_names.entry(spec) == KNOWN[spec]
    torch.save(model.state_dict(), path := tmp_path / "model.pth")
    analysis = analyse(spec, [*settings, f"input.shape=[{size}, {size}, 3]"])
    received = take(analysis, NamedWeights(spec, published(spec), path)).arrays
    expected = take(analysis, TorchModule(model)).arrays
    assert received.keys() == expected.keys()
    assert all(np.array_equal(received[key], expected[key]) for key in expected)
