"""An op may call a weight by any word: what does not end in `kernel` is not drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from xgraph import backend, conformance
from xgraph.backend import Backend, Compilation
from xgraph.compile import analyse
from xgraph.ir.types import Weight
from xgraph.ops.base import Case
from xgraph.ops.scale import Scale
from xgraph.recipe import load_recipe

NAMES = ("torch", "keras", "flax")
#: Lines of weights.py by which the factors start elsewhere than at 0.
STARTS = {
    "torch": "layer.reset_parameters()",
    "keras": "layer.reset()",
    "flax": "layer.reset()",
}


@pytest.fixture
def factors_called_alpha(monkeypatch):
    """`scale` as an op of its own, whose weight has a word that nothing else knows."""

    def weights(self, inputs):
        return (Weight("alpha", (inputs[0].channels,), f"constant({float(self.initial)!r})"),)

    def reference(self, inputs, weights, training=False):
        return inputs[0] * weights["alpha"]

    monkeypatch.setattr(Scale, "weights", weights)
    monkeypatch.setattr(Scale, "reference", reference)


def renamed(target: Backend, start: bool = True) -> Backend:
    """The backend whose layer `Scale` calls its weight so, and its start or none."""

    def emit(compilation):
        files = dict(target.emit(compilation))
        files["layers.py"] = files["layers.py"].replace("gamma", "alpha")
        lines = files["weights.py"].replace("layer.gamma", "layer.alpha")
        lines = lines.replace('yield "gamma", layer.alpha', 'yield "alpha", layer.alpha')
        line = STARTS[target.name]
        assert line in lines
        files["weights.py"] = lines if start else lines.replace(line, "pass")
        return files

    return dataclasses.replace(target, emit=emit)


@pytest.mark.usefixtures("factors_called_alpha")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(3, 4, 5), (6,)], ids=str)
def test_a_weight_by_another_word_starts_where_it_says(name, shape, tmp_path):
    target = renamed(backend.get(name))
    case = Case((shape,), {"initial": 0.25})
    conformance.check_case("scale", case, target, target.load, tmp_path)


@pytest.mark.usefixtures("factors_called_alpha")
@pytest.mark.parametrize("name", NAMES)
def test_without_a_word_on_its_start_it_is_0(name, tmp_path):
    path = tmp_path / "spec.yaml"
    case = Case(((3, 4, 5),), {"initial": 0.25})
    path.write_text(conformance.spec_of("scale", case), encoding="utf-8")
    target = renamed(backend.get(name), start=False)
    program = target.load(target.emit(Compilation(analyse(str(path)), load_recipe("imagenet"))))
    np.testing.assert_array_equal(program.weights()["op.alpha"], np.zeros(5))
