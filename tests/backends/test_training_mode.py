"""What the conformance suite leaves out: statistics far from zero, and of one value."""

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


@pytest.mark.parametrize("graph", ["[batch_norm]", "[global_avg_pool, batch_norm]"])
@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_of_one_value(name, graph, tmp_path):
    """One image of one pixel: the variance is 0, what comes out is beta, whatever went in."""
    analysis, program = built(name, tmp_path, graph)
    images = np.random.default_rng(0).standard_normal((1, 1, 1, 3))
    weights = interpreter.random_weights(analysis.graph, analysis.types)
    program.set_weights(weights)
    along = np.ones((1, 3) if "pool" in graph else (1, 1, 1, 3))
    made = program.projected(images, [along])
    assert np.allclose(made.outputs[0].ravel(), weights[f"{analysis.graph.nodes[-1].name}.beta"])
    assert np.abs(made.images).max() < 1e-10
    values = interpreter.run(analysis.graph, images, weights, training=True)
    expected = interpreter.updated_weights(analysis.graph, values, weights)
    received = program.weights()
    for weight, value in expected.items():
        assert np.abs(received[weight] - value).max() <= 1e-12, weight
