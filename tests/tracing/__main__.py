"""ONNX export and torchvision's feature extraction of every generated PyTorch model.

    python -m venv other && other/bin/pip install -e '.[interop]'
    other/bin/python -m tests.tracing [NAME …]

It is a command, not a test: its packages want a PyTorch of their own choosing. It exits with 1 if
any model fails.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import onnxruntime
import torch
from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

from .models import SMALL, Traced, bundled, texts, traced, values


def check_features(given: Traced) -> None:
    """The value of every step, in evaluation mode and by name, comes out as the model has it."""
    trained, evaluated = get_graph_node_names(given.model)
    assert trained
    steps = [name for name in evaluated[1:] if "same_padding" not in name and "getitem" not in name]
    wanted = sorted({steps[0], steps[len(steps) // 2], steps[-1]})
    extractor = create_feature_extractor(given.model, return_nodes=wanted).eval()
    for images in (given.example, *given.others):
        features = extractor(images)
        expected = values(given.model(images))[-1]
        assert set(features) == set(wanted)
        if steps[-1] == wanted[-1] and isinstance(given.model(images), torch.Tensor):
            found = [one for one in features.values() if isinstance(one, torch.Tensor)]  # no pair
            assert any(torch.equal(expected, feature) for feature in found)


def check_onnx(given: Traced) -> None:
    """ONNX Runtime computes what the model does, at any batch and size."""
    sides = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC} if given.any_size else {}
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "model.onnx"
        model = given.model.float()
        torch.onnx.export(
            model,
            (given.example.float(),),
            path,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC, **sides},),
        )
        session = onnxruntime.InferenceSession(path)
        (taken,) = session.get_inputs()
        for images in (given.example, *given.others):
            received = session.run(None, {taken.name: images.float().numpy()})
            expected = values(model(images.float()))
            for ours, theirs in zip(expected, received, strict=True):
                apart = (ours.detach() - torch.from_numpy(theirs)).abs().max()
                assert float(apart) <= 1e-4 * (1 + float(ours.detach().abs().max())), images.shape


def main() -> int:
    """Check the models of these names, or all; returns how many have failed."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    specs = {name: (path, SMALL) for name, path in bundled().items()}
    specs |= {name: (text, None) for name, text in texts().items()}
    failed, names = 0, sys.argv[1:] or list(specs)
    for name in names:
        for check in (check_features, check_onnx):
            try:
                check(traced(name, *specs[name]))
            except Exception:  # whatever it is, the others are tried
                failed += 1
                print(f"{name}: {check.__name__}\n{traceback.format_exc(limit=-3)}", flush=True)
    print(f"{len(names)} models, {failed} failures")
    return failed


if __name__ == "__main__":
    sys.exit(main() > 0)
