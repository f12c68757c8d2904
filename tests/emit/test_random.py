"""Random specs through the same comparison as `test_structures`."""

from __future__ import annotations

import pytest
from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance
from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.passes.cost import measure, total

from .random_specs import Author

TORCH = backend.get("torch")


def compare(seed: int, folder) -> bool:
    """Whether the spec of this seed is legal and small; if so, its program is compared."""
    text = Author(seed).spec()
    path = folder / "candidate.yaml"
    path.write_text(text)
    try:
        analysis = analyse(str(path))
        if total(measure(analysis.graph, analysis.types)).parameters > 200_000:
            return False
        conformance.check_spec(
            text, TORCH, Program, folder, grow=((0, 0), (3, 2)), training=False, tolerance=1e-9
        )
    except SpecError:
        return False
    return True


def test_a_few_dozen(tmp_path):
    legal = sum(compare(seed, tmp_path) for seed in range(80))
    assert legal >= 40


@pytest.mark.slow
def test_many(tmp_path):
    assert sum(compare(seed, tmp_path) for seed in range(80, 1200)) >= 500
