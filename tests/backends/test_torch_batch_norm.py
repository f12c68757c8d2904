"""Batch norm in PyTorch: exact statistics, PyTorch's own kernel, few calls."""

from __future__ import annotations

import copy
import gc
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from xgraph import backend
from xgraph.compile import Compilation, analyse, compile_spec
from xgraph.programs import import_files
from xgraph.recipe import load_recipe

SPEC = """
xgraph: 1
name: net
input: {shape: [8, 8, 3]}
graph:
  - {conv: {filters: 6, kernel: 3, padding: same, bias: false}}
  - batch_norm
  - relu
  - global_avg_pool
  - {batch_norm: {momentum: 0.9}}
  - {dense: 4}
"""


@pytest.fixture
def program(tmp_path):
    """The modules of a generated program whose layers are `conv`, `batch_norm` … by name."""
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    files = backend.get("torch").emit(Compilation(analyse(str(path)), load_recipe("imagenet")))
    return import_files(files)


@pytest.fixture
def layer(program):
    """Its batch norm of images, in float64 and training mode."""
    layer = program["layers"].BatchNorm2d(5, eps=1e-3, momentum=0.3).double().train()
    with torch.no_grad():
        layer.weight.uniform_(0.5, 2)
        layer.bias.normal_()
        layer.running_var.uniform_(0.5, 2)
    return layer


def biased(before, x, momentum):
    """What a running variance becomes."""
    axes = [0, *range(2, x.ndim)]
    return (1 - momentum) * before + momentum * x.var(axes, unbiased=False)


def test_statistics_and_result(layer):
    x = 3 + 2 * torch.randn(4, 5, 6, 7, dtype=torch.float64)
    before = layer.running_var.clone()
    expected = F.batch_norm(x, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)
    assert torch.equal(layer(x), expected)
    after = biased(before, x, 0.3)
    assert (layer.running_var - after).abs().max() <= 1e-14 * after.max()
    assert torch.allclose(layer.running_mean, 0.3 * x.mean((0, 2, 3)), rtol=1e-14, atol=0)


def test_small_batches_of_vectors(program):
    """With two values the unbiased variance is twice the biased one."""
    layer = program["layers"].BatchNorm1d(4, eps=1e-3, momentum=0.5).double().train()
    x = torch.randn(2, 4, dtype=torch.float64)
    layer(x)
    after = biased(torch.ones(4, dtype=torch.float64), x, 0.5)
    assert torch.allclose(layer.running_var, after, rtol=1e-14, atol=0)


def test_one_value_per_channel(layer):
    """Its mean is the value, its variance 0: the result is beta, and nothing flows back."""
    x = torch.randn(1, 5, 1, 1, dtype=torch.float64, requires_grad=True)
    before = layer.running_var.clone()
    y = layer(x)
    assert torch.allclose(y.flatten(), layer.bias, rtol=0, atol=1e-13)
    assert torch.allclose(layer.running_var, 0.7 * before, rtol=1e-15, atol=0)
    assert torch.allclose(layer.running_mean, 0.3 * x.detach().flatten(), rtol=1e-15, atol=0)
    y.sum().backward()
    assert x.grad.abs().max() <= 1e-14
    assert layer.weight.grad.abs().max() <= 1e-14
    assert torch.equal(layer.bias.grad, torch.ones(5, dtype=torch.float64))


def test_gradients(layer):
    x = torch.randn(3, 5, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_a_layer_that_is_used_twice(layer):
    """The second use moves the statistics further, and gradients still flow through both."""
    x = torch.randn(4, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    before = layer.running_var.clone()
    y = layer(x)
    z = layer(torch.tanh(y))
    z.square().sum().backward()
    once = biased(before, x.detach(), 0.3)
    twice = biased(once, torch.tanh(y).detach(), 0.3)
    assert torch.allclose(layer.running_var, twice, rtol=1e-13, atol=0)
    assert torch.isfinite(x.grad).all()


def test_it_does_not_drift(program):
    """In float32, over many steps of a slow average, no further than rounding takes it.

    Near its limit each of an update's roundings shifts the average by up to half a unit in the last
    place, divided by the momentum. There are four, of which two, of a product and a sum in float32,
    are PyTorch's own; they seldom all go one way. These images take it 1.7 such halves.
    """
    torch.manual_seed(0)
    layer = program["layers"].BatchNorm2d(1, eps=1e-3, momentum=0.0003).train()
    x = torch.randn(4, 1, 25, 25)
    for _ in range(20000):
        with torch.no_grad():
            layer(x)
    expected = x.double().var(unbiased=False) * (1 - 0.9997**20000) + 0.9997**20000
    assert abs(layer.running_var.item() - expected) <= 3 * 2**-24 / 0.0003 * expected


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_bfloat16_autocast(program, layout):
    """Activations are bfloat16, statistics and parameters float32 and as exact as that."""
    layer = program["layers"].BatchNorm2d(5, eps=1e-3, momentum=0.3).train()
    layer = layer.to(memory_format=layout)
    x = torch.randn(4, 5, 6, 6).to(memory_format=layout).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        given = x.to(torch.bfloat16)
        y = layer(given)
    y.float().square().sum().backward()
    assert y.dtype is torch.bfloat16
    assert y.is_contiguous(memory_format=layout)
    assert layer.running_var.dtype is torch.float32
    after = biased(torch.ones(5), given.detach().float(), 0.3)
    assert torch.allclose(layer.running_var, after, rtol=1e-5, atol=0)
    assert torch.isfinite(layer.weight.grad).all()


def test_compiled(program, monkeypatch, compiled_apart):
    """Under `torch.compile`, traced whole, a step is the same step."""
    monkeypatch.setitem(sys.modules, "layers", program["layers"])
    monkeypatch.setitem(sys.modules, "model", program["model"])
    model = program["model"].create_model().double().train()
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager", fullgraph=True)
    for batch in (4, 6, 7):
        x = torch.randn(batch, 3, 8, 8, dtype=torch.float64)
        for given in (model, compiled):
            given.zero_grad()
            given(x).square().sum().backward()
        for (name, ours), theirs in zip(
            model.named_parameters(), compiled.parameters(), strict=True
        ):
            assert torch.allclose(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12), name
        for (name, ours), theirs in zip(model.named_buffers(), compiled.buffers(), strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-13, atol=0), name


class Calls(TorchDispatchMode):
    """Counts the operators that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def calls(model) -> int:
    images = torch.randn(2, 3, 96, 96)
    with Calls() as seen:
        model(images)
    return seen.count


def test_operator_calls_of_xception():
    """At most 330 where the same model with PyTorch's own batch norm and dropout calls 287."""
    _, files = compile_spec("xception", backend.get("torch"))
    model = import_files(files)["model"].create_model().train()
    (path,) = (name for name, child in model.named_modules() if isinstance(child, nn.Dropout))
    model.set_submodule(path, nn.Dropout(0.5))  # the mask of the program's own takes 37 calls
    ours = calls(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.BatchNorm2d(child.num_features, child.eps))
    assert calls(model.train()) == 287
    assert ours <= 330


def test_pytorchs_own_conversion_is_noticed(program):
    """`convert_sync_batchnorm` puts PyTorch's unbiased variance in: such a model is refused."""
    model = nn.SyncBatchNorm.convert_sync_batchnorm(program["model"].create_model())
    with pytest.raises(TypeError, match="SyncBatchNorm has no canonical weights"):
        program["weights"].canonical_weights(model)


def shard(rank: int, folder: str, files: dict[str, str]) -> None:
    """One of two processes: its part of a batch through the model, in a loop that is not ours."""
    import torch.distributed as dist

    torch.set_num_threads(1)
    modules = import_files(files)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    model = modules["model"].create_model(0).double().train()
    assert len(modules["weights"].canonical_weights(model)) == 11
    model = nn.parallel.DistributedDataParallel(model)
    data = np.load(f"{folder}/images.npy")
    x = torch.from_numpy(data[:3] if rank == 0 else data[3:])
    y = model(x)
    (y.square().sum() * 2).backward()  # DDP takes the mean over two processes
    state = {name: value.detach().numpy() for name, value in model.module.state_dict().items()}
    state |= {f"{name} gradient": p.grad.numpy() for name, p in model.module.named_parameters()}
    np.savez(f"{folder}/{rank}.npz", output=y.detach().numpy(), **state)
    dist.barrier()  # who leaves first would cut the other's connection
    del model, y
    gc.collect()
    dist.destroy_process_group()
    threads = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]
    assert not [name for name in threads if name.startswith(("gloo", "pt_"))]  # as documented


def test_two_processes(program, tmp_path):
    """With `devices: global`, batch norm over two processes is that of the whole batch in one."""
    (tmp_path / "spec.yaml").write_text(SPEC)
    analysis = analyse(str(tmp_path / "spec.yaml"))
    recipe = load_recipe("imagenet", settings=["recipe.devices=global"])
    files = dict(backend.get("torch").emit(Compilation(analysis, recipe)))
    images = np.random.default_rng(0).standard_normal((8, 3, 8, 8))  # 3 and 5: uneven parts
    np.save(tmp_path / "images.npy", images)
    torch.multiprocessing.spawn(shard, (str(tmp_path), files), nprocs=2)
    model = program["model"].create_model(0).double().train()
    y = model(torch.from_numpy(images))
    y.square().sum().backward()
    parts = [np.load(tmp_path / f"{rank}.npz") for rank in range(2)]
    output = np.concatenate([part["output"] for part in parts])
    assert np.abs(output - y.detach().numpy()).max() <= 1e-12
    for name, value in model.state_dict().items():
        for part in parts:
            assert np.abs(part[name] - value.numpy()).max() <= 1e-13, name
    for name, parameter in model.named_parameters():
        for part in parts:
            expected = parameter.grad.numpy()
            apart = np.abs(part[f"{name} gradient"] - expected).max()
            assert apart <= 1e-11 * max(1, np.abs(expected).max()), name
