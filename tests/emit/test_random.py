"""Random specs through the same comparison as `test_structures`."""

from __future__ import annotations

import pytest

from xgraph import backend, conformance
from xgraph.compile import analyse
from xgraph.diagnostics import SpecError
from xgraph.passes.cost import measure, total

from .random_specs import Author
from .test_structures import all_is_reached


def compare(seed: int, folder, name: str = "torch") -> bool:
    """Whether the spec of this seed is legal and small; if so, its program is compared."""
    text = Author(seed).spec()
    path = folder / "candidate.yaml"
    path.write_text(text)
    try:
        analysis = analyse(str(path))
        if total(measure(analysis.graph, analysis.types)).parameters > 200_000:
            return False
        if name == "keras" and not all_is_reached(analysis):
            return False
        target = backend.get(name)
        conformance.check_spec(
            text, target, target.load, folder, grow=((0, 0), (3, 2)), training=False, tolerance=1e-9
        )
    except SpecError:
        return False
    return True


@pytest.mark.parametrize("name", ["torch", pytest.param("keras", marks=pytest.mark.slow)])
def test_a_few_dozen(name, tmp_path):
    """The first of those that `test_many` takes."""
    legal = sum(compare(seed, tmp_path, name) for seed in range(40))
    assert legal >= 20


@pytest.mark.slow
@pytest.mark.parametrize(("name", "last"), [("torch", 1200), ("keras", 600), ("flax", 200)])
def test_many(name, last, tmp_path):
    assert sum(compare(seed, tmp_path, name) for seed in range(last)) >= 0.4 * last
