"""Every op's every case: the generated PyTorch program against the NumPy reference, float64."""

from __future__ import annotations

import dataclasses

import pytest
from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance
from xgraph.ops.base import Case

TORCH = backend.get("torch")


@pytest.mark.parametrize(
    ("op", "case"),
    conformance.cases(),
    ids=[f"{op}-{case}" for op, case in conformance.cases()],
)
def test_case(op, case, tmp_path):
    conformance.check_case(op, case, TORCH, Program, tmp_path)


@pytest.mark.parametrize(
    ("text", "wrong", "case"),
    [
        ("stride=2", "stride=1", Case(((8, 8, 3),), {"filters": 4, "kernel": 3, "stride": 2})),
        ("eps=0.001", "eps=0.002", Case(((4, 4, 3),), {})),
        ("momentum=0.01", "momentum=0.02", Case(((4, 4, 3),), {})),
    ],
    ids=["stride", "epsilon", "momentum"],
)
def test_a_defect_is_found(text, wrong, case, tmp_path):
    """The comparison is not vacuous."""
    op = "conv" if case.attributes else "batch_norm"

    def emit(compilation):
        files = dict(TORCH.emit(compilation))
        assert text in files["model.py"]
        return {**files, "model.py": files["model.py"].replace(text, wrong)}

    broken = dataclasses.replace(TORCH, emit=emit)
    with pytest.raises(conformance.Mismatch):
        conformance.check_case(op, case, broken, Program, tmp_path)
