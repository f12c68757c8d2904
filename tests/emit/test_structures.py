"""Every structure of the language: the generated program is the network that the spec describes.

Weights have the flat graph's names and shapes; outputs are those of an interpreter that walks the
flat graph, in float64, at the size compiled for and at another.
"""

from __future__ import annotations

import pytest
import torch
from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance
from xgraph.backend import Compilation
from xgraph.compile import analyse, compile_spec
from xgraph.diagnostics import SpecError
from xgraph.ir.analysis import Analysis
from xgraph.passes.trained import unreached_nodes
from xgraph.recipe import load_recipe

from ..turns import by_turns
from .structures import SPECS

TORCH = backend.get("torch")


def all_is_reached(analysis: Analysis) -> bool:
    """Whether some output needs every weight."""
    outputs = [output.node for output in analysis.graph.outputs]
    return not unreached_nodes(analysis.graph, analysis.types, outputs)


def program_of(name: str, folder) -> Program:
    path = folder / "spec.yaml"
    path.write_text(SPECS[name])
    return Program(TORCH.emit(Compilation(analyse(str(path)), load_recipe("imagenet"))))


@pytest.mark.parametrize(("name", "target"), by_turns(SPECS, every=2))
def test_structure(name, target, tmp_path):
    chosen = backend.get(target)
    path = tmp_path / "spec.yaml"
    path.write_text(SPECS[name])
    if target == "keras" and not all_is_reached(analyse(str(path))):
        # A Keras model has what its outputs need; `compile` refuses such a spec (XG707).
        with pytest.raises(SpecError):
            compile_spec(str(path), chosen)
        return
    # Flax compiles for a second at each size, and its classes are written as PyTorch's are.
    grow = ((0, 0),) if target == "flax" else ((0, 0), (1, 3))
    conformance.check_spec(SPECS[name], chosen, chosen.load, tmp_path, grow=grow, tolerance=1e-9)


@pytest.mark.parametrize("name", SPECS)
def test_gradient(name, tmp_path):
    """Nothing is overwritten that a gradient needs; every weight that trains gets one."""
    program = program_of(name, tmp_path)
    model = program.model.train()
    images = torch.randn(2, 3, 12, 12, dtype=torch.float64, requires_grad=True)
    before = images.detach().clone()
    outputs = model(images)
    outputs = outputs.values() if isinstance(outputs, dict) else [outputs]
    sum(output.square().sum() for output in outputs).backward()
    assert torch.equal(images.detach(), before)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "name", ["squeeze_excite", "pair_stride_varies", "residual_with_both_paths"]
)
def test_gradient_is_that_of_the_function(name, tmp_path):
    """Central differences, in evaluation and in training mode."""
    model = program_of(name, tmp_path).model
    images = torch.randn(2, 3, 12, 12, dtype=torch.float64, requires_grad=True)
    for mode in (False, True):
        model.train(mode)
        assert torch.autograd.gradcheck(model, (images,), fast_mode=True)
