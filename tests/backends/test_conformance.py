"""Every op's every case: the generated PyTorch program against the NumPy reference, float64."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance

TORCH = backend.get("torch")


@pytest.mark.parametrize(
    ("op", "case"),
    conformance.cases(),
    ids=[f"{op}-{case}" for op, case in conformance.cases()],
)
def test_case(op, case, tmp_path):
    conformance.check_case(op, case, TORCH, Program, tmp_path)
