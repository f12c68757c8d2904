"""What an update of the PyTorch program does on a GPU, as far as it shows without one.

PyTorch computes shapes, types and places of tensors without values for any device; a small library
in C++ answers for the GPU.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from torch.utils.cpp_extension import include_paths

from xgraph import backend
from xgraph.compile import compile_spec

HERE = Path(__file__).parent / "fake_cuda"
PRECISIONS = ("float32", "bfloat16")
#: What starts no kernel: views, and what PyTorch asks of a tensor.
FREE = ("prim.", "profiler.", "aten.detach.", "aten.t.", "aten.view.", "aten.permute.",
        "aten.empty.", "aten.empty_like.", "aten.expand.", "aten.unsqueeze.", "aten.slice.",
        "aten.promote_types.", "aten.alias.", "aten.squeeze.", "aten.transpose.")  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def guard(tmp_path_factory) -> Path:
    """The folder of the library."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to build the library that answers for the GPU")
    folder = tmp_path_factory.mktemp("guard")
    libraries = Path(torch.__file__).parent / "lib"
    headers = [f"-I{path}" for path in (*include_paths(), sysconfig.get_paths()["include"])]
    command = [compiler, "-shared", "-fPIC", "-std=c++20", "-O0", str(HERE / "guard.cpp")]
    command += [*headers, f"-L{libraries}", "-ltorch_cpu", "-lc10", f"-Wl,-rpath,{libraries}"]
    subprocess.run([*command, "-o", str(folder / "guard.so")], check=True)
    return folder


@pytest.fixture(scope="module", params=PRECISIONS)
def update(request, guard, tmp_path_factory):
    """(precision, the network's ops, operations of an update) of Xception."""
    settings = [] if request.param == "float32" else [f"recipe.precision={request.param}"]
    analysis, files = compile_spec("xception", backend.get("torch"), settings)
    program = tmp_path_factory.mktemp("program")
    for name, text in files.items():
        (program / name).write_text(text, encoding="utf-8")
    command = [sys.executable, str(HERE / "update.py"), str(guard), str(program), "2", "299", "299"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    ops = [node.op.name for node in analysis.graph.nodes]
    return request.param, ops, json.loads(made.stdout.splitlines()[-1])


def named(operations, *names):
    return [
        told for name, told in operations if name.removeprefix("aten.").partition(".")[0] in names
    ]


def test_everything_is_on_the_device(update):
    *_, operations = update
    devices = {device for _, told in operations for _, device, *_ in told}
    assert devices == {"cuda:0"}


def test_the_host_waits_for_nothing(update):
    """A number that Python asks for would make it."""
    *_, operations = update
    waits = ("_local_scalar_dense", "item", "nonzero", "equal", "is_nonzero", "masked_select")
    assert named(operations, *waits) == []


def test_types_are_those_of_the_recipe(update):
    """Convolutions compute in the recipe's type, the loss and statistics in float32."""
    precision, ops, operations = update
    convolutions = named(operations, "convolution", "cudnn_convolution")
    assert len(convolutions) == ops.count("conv") + 2 * ops.count("separable_conv")
    assert {told[0][0] for told in convolutions} == {precision}
    losses = named(operations, "_log_softmax")
    assert [told[0][0] for told in losses] == ["float32"]
    statistics = named(operations, "native_batch_norm", "cudnn_batch_norm")
    assert len(statistics) == ops.count("batch_norm")
    assert {told[1][0] for told in statistics} == {"float32"}
    assert "float64" not in {dtype for _, told in operations for dtype, *_ in told}


def test_channels_come_last_in_memory(update):
    """Of all images, but for the gradient of the mean over them, which is one number a channel."""
    *_, operations = update
    others = {
        name
        for name, told in operations
        for _, _, image, channels_last in told
        if image and not channels_last
    }
    assert others <= {"aten.expand.default", "aten.div.Scalar", "aten.unsqueeze.default"}


#: Kernels that an update of Xception starts. PyTorch joins those of the optimizer and the average
#: (`foreach`) where tensors have values; here each weight's count by themselves.
BUDGET = {"float32": 1006, "bfloat16": 1161}


def test_it_starts_no_more_kernels_than_it_did(update):
    precision, _, operations = update
    started = [name for name, _ in operations if not name.startswith(FREE)]
    assert len(started) <= BUDGET[precision]
