"""Every structure of the language: the generated program is the network that the spec describes.

Weights have the flat graph's names and shapes; outputs are those of an interpreter that walks the
flat graph, in float64, at the size compiled for and at another.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance

from .structures import SPECS

TORCH = backend.get("torch")


@pytest.mark.parametrize("name", SPECS)
def test_structure(name, tmp_path):
    conformance.check_spec(
        SPECS[name], TORCH, Program, tmp_path, grow=((0, 0), (1, 3)), tolerance=1e-9
    )
