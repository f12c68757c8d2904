"""The update of the Flax program, compiled by XLA for an H100: memory, kernels, types.

It needs JAX's plugin for CUDA, of JAX's own version, and no GPU:

    pip install --no-deps --target DIR jax-cuda12-plugin==VERSION jax-cuda12-pjrt==VERSION
    XGRAPH_JAX_CUDA=DIR pytest -m slow tests/training/test_compiled_for_h100.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from xgraph import backend
from xgraph.compile import compile_spec

SCRIPT = Path(__file__).parent / "h100" / "compile_update.py"
PLUGIN = os.environ.get("XGRAPH_JAX_CUDA", "")
#: Of Xception, 32 images of 299×299: bytes of temporary memory and fusions, at most.
BUDGET = {"bfloat16": (3_820_000_000, 883), "float32": (7_730_000_000, 900)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PLUGIN, reason="XGRAPH_JAX_CUDA does not say where JAX's plugin is"),
]


@pytest.fixture(scope="module", params=BUDGET)
def compiled(request, tmp_path_factory):
    """(precision, the network's ops, what the compiled update is)."""
    precision = request.param
    settings = [] if precision == "float32" else [f"recipe.precision={precision}"]
    analysis, files = compile_spec("xception", backend.get("flax"), settings)
    folder = tmp_path_factory.mktemp("program")
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    # Without a device nothing can be timed, so that the kernels are those that are usual.
    surroundings = {
        "PYTHONPATH": PLUGIN,
        "JAX_PLATFORMS": "cpu",
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
        "XLA_FLAGS": "--xla_gpu_autotune_level=0",
    }
    command = [sys.executable, str(SCRIPT), str(folder), "32", "299", "299", precision]
    made = subprocess.run(
        command, env={**os.environ, **surroundings}, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-2000:]
    return precision, [node.op.name for node in analysis.graph.nodes], json.loads(made.stdout)


def test_memory(compiled):
    """What an update needs besides weights, memories and averages, which are written in place."""
    precision, _, found = compiled
    assert found["temporary"] <= BUDGET[precision][0]
    assert found["reused"] >= 0.99 * found["state"]


def test_kernels(compiled):
    """Of a convolution cuDNN's, forward and for both gradients, but for the images'."""
    precision, ops, found = compiled
    convolutions = ops.count("conv") + 2 * ops.count("separable_conv")
    assert found["cudnn"] == 3 * convolutions - 1
    assert found["fusions"] <= BUDGET[precision][1]
    assert not found["float64"]
