"""Five public networks, each from Keras, from torchvision and from an ONNX file, as specs.

`pytest -m slow -s` prints a line for each: layers, lines, blocks, loops, and how far the programs
of the spec are from the source, with its weights.
"""

from __future__ import annotations

import contextlib
import io
import sys

import pytest
import torch

from xgraph.compile import prepare
from xgraph.importing.recover import recover
from xgraph.importing.sources.keras import KerasModelSource
from xgraph.importing.sources.onnx import OnnxSource
from xgraph.importing.sources.torch import TorchModule
from xgraph.parity.verify import Asked, held_to

from ..parity import published
from ..parity.test_keras_applications import randomize as randomize_torch
from ..parity.test_keras_applications import torch_model

pytestmark = pytest.mark.slow
#: Keras' name, torchvision's, pixels, and the most lines of the spec.
NETWORKS = {
    "resnet50": ("ResNet50", "resnet50", 64, 30),
    "densenet121": ("DenseNet121", "densenet121", 64, 26),
    "mobilenet_v2": ("MobileNetV2", "mobilenet_v2", 64, 36),
    "efficientnet_b0": ("EfficientNetB0", "efficientnet_b0", 64, 48),
    "inception_v3": ("InceptionV3", "inception_v3", 96, 85),
}


def of_keras(name: str, size: int, folder):
    import keras

    keras.backend.clear_session()
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3))
    published.randomize(model, rest=True)
    return KerasModelSource(model, f"keras:{name}")


def of_torchvision(name: str, size: int, folder):
    torch.manual_seed(0)
    model = torch_model("torchvision", name).train(False)
    if getattr(model, "aux_logits", False):  # a tower that trains, and is too high for small images
        model.aux_logits, model.AuxLogits = False, None
    randomize_torch(model)
    return TorchModule(model, f"torchvision:{name}")


def of_onnx(name: str, size: int, folder):
    """A file whose nodes and values have numbers for names."""
    pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")
    model = of_torchvision(name, size, folder).made()
    path = folder / f"{name}.onnx"
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(model, (torch.zeros(2, 3, size, size),), path, dynamo=False,
                          do_constant_folding=False,
                          training=torch.onnx.TrainingMode.PRESERVE)  # fmt: skip
    import onnx

    found = onnx.load(path)
    del found.metadata_props[:]
    for number, node in enumerate(found.graph.node):
        node.name = str(number)
        node.doc_string = ""
    onnx.save(found, path)
    return OnnxSource(path)


SOURCES = {"keras": (0, of_keras), "torchvision": (1, of_torchvision), "onnx": (1, of_onnx)}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("origin", SOURCES)
def test_a_public_network_as_a_spec(origin, network, tmp_path, record_property):
    *names, size, most = NETWORKS[network]
    place, made = SOURCES[origin]
    source = made(names[place], size, tmp_path)
    found_there = source.network((size, size, 3))
    recovered = recover(found_there, network)
    path = tmp_path / f"{network}.yaml"
    path.write_text(recovered.text)
    how = Asked(("torch", "keras", "flax"), own_weights=True)
    report = held_to(prepare(str(path)), source, found_there, how)
    lines = len(recovered.text.splitlines())
    loops = recovered.text.count("repeat:") + recovered.text.count("for:")
    apart = {m.quantity: 0.0 for m in report.measurements}
    for m in report.measurements:
        apart[m.quantity] = max(apart[m.quantity], m.distance)
    told = ", ".join(f"{quantity} {distance:.1e}" for quantity, distance in apart.items())
    print(f"\n{network} of {origin}: {len(found_there.layers) - 1} layers, {lines} lines, "
          f"{len(recovered.blocks)} blocks, {loops} loops; {told}", file=sys.stderr)  # fmt: skip
    record_property("lines", lines)
    assert report.agree_in_numbers, report
    assert apart["evaluation output"] <= 1e-10
    assert lines <= most
