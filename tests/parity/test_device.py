"""Comparisons on a GPU, and that those on a CPU are on a CPU.

Where there is a GPU: `pytest -m slow tests/parity/test_device.py`.
"""

import os
from dataclasses import dataclass

import pytest

from xgraph import backend, conformance
from xgraph.backend import Backend
from xgraph.compile import compile_spec
from xgraph.parity import compare
from xgraph.parity.process import Worker
from xgraph.programs import Refused

from ..turns import first_of_each

NAMES = ("torch", "keras", "flax")
SPEC = """\
xgraph: 1
name: small
recipe: imagenet
input: {shape: [6, 6, 3]}
graph: [{conv: {filters: 4, kernel: 3}}, batch_norm, relu, global_avg_pool, {dense: 5}]
"""


def has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.mark.skipif("has_cuda()", reason="there is a GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_program_says_that_there_is_no_gpu(name, tmp_path):
    (tmp_path / "small.yaml").write_text(SPEC)
    chosen = backend.get(name)
    _, files = compile_spec(str(tmp_path / "small.yaml"), chosen)
    with pytest.raises(Refused, match="finds no CUDA device here"):
        chosen.load(files, "float64", "cuda")


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}),
        ("cuda", {"CUDA_VISIBLE_DEVICES": "3", "NVIDIA_TF32_OVERRIDE": "0"}),
    ],
)
def test_what_a_process_sees_of_a_gpu(device, expected, monkeypatch):
    """A cluster's own setting shows the CPU's comparison no GPU, and is heeded on one."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    seen = {}
    monkeypatch.setattr("subprocess.Popen", lambda *_, env, **__: seen.update(env))
    Worker("torch", {}, device).errors.close()
    assert {name: seen[name] for name in expected} == expected
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"


# Machines that run the tests have none; docs/equality.md says what was seen where there was one.
needs_gpu = pytest.mark.skipif("not has_cuda()", reason="there is no GPU")
CASES = conformance.cases()
#: XLA compiles each program.
FIRST = [CASES[number] for number in first_of_each(op for op, _ in CASES)]


@dataclass(frozen=True)
class OnGpu(Backend):
    """A backend whose programs compute on a GPU."""

    def load(self, files, dtype="float64", device="cuda"):
        """A program there."""
        return super().load(files, dtype, device)


TORCH = backend.get("torch")
TORCH_GPU, FLAX_GPU = (OnGpu(**vars(backend.get(name))) for name in ("torch", "flax"))


@pytest.mark.slow
@needs_gpu
@pytest.mark.parametrize(("op", "case"), CASES, ids=[f"{op}-{case}" for op, case in CASES])
def test_pytorch_on_a_gpu(op, case, tmp_path):
    """Against NumPy in both modes, and gradients against those of the CPU."""
    conformance.check_case(op, case, TORCH_GPU, TORCH_GPU.load, tmp_path)
    conformance.check_gradients(op, case, [TORCH, TORCH_GPU], tmp_path)


@pytest.mark.slow
@needs_gpu
@pytest.mark.parametrize(("op", "case"), FIRST, ids=[op for op, _ in FIRST])
def test_flax_on_a_gpu(op, case, tmp_path):
    sizes = conformance.SIZES[:1]
    conformance.check_case(op, case, FLAX_GPU, FLAX_GPU.load, tmp_path, grow=sizes)
    conformance.check_gradients(op, case, [TORCH, FLAX_GPU], tmp_path)


@pytest.mark.slow
@needs_gpu
@pytest.mark.parametrize("spec", ["xception_mini", "inception_v3"])
def test_programs_agree_on_a_gpu(spec):
    report = compare(spec, backends=("torch", "flax"), device="cuda", steps=3, size=(96, 96))
    assert report.agree, report.reason
