"""What the conformance suite leaves out: dropout, and statistics far from zero."""

from __future__ import annotations

import numpy as np
import pytest

from xgraph import backend, interpreter
from xgraph.backend import Compilation
from xgraph.compile import analyse
from xgraph.recipe import load_recipe

NAMES = ("torch", "keras", "flax")


def built(name, folder, graph):
    path = folder / "spec.yaml"
    path.write_text(f"xgraph: 1\nname: net\ninput: {{shape: [20, 20, 3]}}\ngraph: {graph}\n")
    analysis = analyse(str(path))
    target = backend.get(name)
    return analysis, target.load(target.emit(Compilation(analysis, load_recipe("imagenet"))))


def forward(name, program, images, training):
    """The program's own model, its dropout as training has it; channels last."""
    model = program.modules["model"].create_model()
    if name == "torch":
        import torch

        torch.manual_seed(0)
        given = torch.from_numpy(images).permute(0, 3, 1, 2)
        return model.train(training)(given).detach().permute(0, 2, 3, 1).numpy()
    if name == "keras":
        return np.array(model(images, training=training))
    set_mode = model.train if training else model.eval
    set_mode()
    return np.array(model(images))


@pytest.mark.parametrize("name", NAMES)
def test_dropout(name, tmp_path):
    """A share `rate` becomes zero, the rest is scaled; in evaluation nothing happens."""
    _, program = built(name, tmp_path, "[{dropout: 0.3}]")
    images = np.ones((16, 20, 20, 3), np.float32)
    assert np.array_equal(forward(name, program, images, training=False), images)
    dropped = forward(name, program, images, training=True)
    assert np.allclose(np.unique(dropped), [0, 1 / 0.7], atol=1e-6)
    share = float((dropped == 0).mean())
    assert abs(share - 0.3) < 5 * np.sqrt(0.3 * 0.7 / images.size)


@pytest.mark.parametrize("name", NAMES)
def test_statistics_far_from_zero(name, tmp_path):
    """E[x²] − E[x]² would lose nine digits here."""
    analysis, program = built(name, tmp_path, "[batch_norm]")
    images = 1e4 + np.random.default_rng(0).standard_normal((4, 20, 20, 3))
    weights = interpreter.random_weights(analysis.graph, analysis.types)
    program.set_weights(weights)
    (received,) = program.run(images, training=True)
    expected = interpreter.run(analysis.graph, images, weights, training=True)[-1]
    assert np.abs(received - expected).max() <= 1e-10 * np.abs(expected).max()
