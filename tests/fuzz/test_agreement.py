"""Random specs, compiled and compared with the interpreter."""

from __future__ import annotations

import pytest
from xgraph_backends.pytorch.program import Program

from xgraph import backend, conformance
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.trees import to_yaml


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("seed", range(15))
def test_pytorch_agrees(seed, tmp_path):
    text = to_yaml(random_spec(seed))
    conformance.check_spec(text, backend.get("torch"), Program, tmp_path, grow=((0, 0), (2, 1)))
