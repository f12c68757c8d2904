"""Modules that are read and run stay as somebody has them, whatever they keep or change."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xgraph.importing.network import Refused
from xgraph.importing.readers.torch import read
from xgraph.importing.runtimes.torch import TorchRuntime

from .test_torch_reader import Of, kinds, refused

SHAPE = (6, 5, 3)
IMAGES = np.random.default_rng(2).standard_normal((4, *SHAPE))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.mean = torch.tensor([0.5, 0.25, 0.125]).view(3, 1, 1)
        self.kept: dict[str, torch.Tensor] = {}
        self.calls: list[torch.Tensor] = []
        self.last = None

    def forward(self, x):
        x = self.norm(self.conv(x - self.mean))
        self.last = self.kept["last"] = x
        self.calls.append(x)
        return x.relu()


class Freezing(Net):
    """In training, its batch norm does as in evaluation and learns nothing."""

    def train(self, mode: bool = True):
        super().train(mode)
        self.norm.train(False)
        self.norm.weight.requires_grad_(not mode)
        self.conv.bias.requires_grad_(mode)
        return self


class Merging(Net):
    """In evaluation, a factor is part of the kernel."""

    merged = False

    def train(self, mode: bool = True):
        super().train(mode)
        if self.merged == mode:
            with torch.no_grad():
                self.conv.weight.mul_(0.5 if mode else 2.0)
            self.merged = not mode
        return self


class Drawing(Net):
    def forward(self, x):
        noise = torch.rand(()) + random.random() + float(np.random.rand())
        return super().forward(x + 0 * noise if self.training else x)


def state(module: nn.Module) -> list[object]:
    """All that a module has, and what would be drawn next."""
    held = [
        (path, part.training, sorted(vars(part)), len(getattr(part, "calls", ())))
        for path, part in module.named_modules()
    ]
    numbers = [(name, one.tolist()) for name, one in module.state_dict().items()]
    learned = [
        (name, id(one), one.requires_grad, one.grad) for name, one in module.named_parameters()
    ]
    own = getattr(module, "last", None), dict(getattr(module, "kept", {}))
    drawn = (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state()))
    return [held, numbers, learned, [id(one) for one in (own[0], *own[1].values())], drawn]


@pytest.mark.parametrize("called", [False, True], ids=["new", "called"])
@pytest.mark.parametrize("kind", [Net, Freezing, Merging, Drawing])
def test_a_module_is_left_as_it_was(kind, called):
    module = kind()
    module.norm.train(False)
    if called:
        module(torch.zeros(2, 3, 6, 5))
    before = state(module)
    assert kinds(read(module, SHAPE)) == ["rescale", "conv", "batch_norm", "relu"]
    assert state(module) == before
    runtime = TorchRuntime(module)
    outputs = runtime.run(IMAGES)
    passed = runtime.passed(IMAGES, [np.ones(outputs[0].shape)], [False])
    assert {"conv.weight", "norm.bias"} <= passed.gradients.keys()
    runtime.values(IMAGES, training=True)

    def training(model):
        def step(images, labels):
            model(images).sum().backward()
            torch.rand(3)

        return step

    runtime.train(training, [(IMAGES, np.zeros(4))])
    assert state(module) == before
    assert runtime.drew == (kind is Drawing)


def test_what_cannot_be_copied_is_told_with_its_place():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    module[1].lock = threading.Lock()
    for ask in (lambda: read(module, SHAPE), lambda: TorchRuntime(module)):
        with pytest.raises(Refused) as caught:
            ask()
        assert str(caught.value).startswith("1.lock cannot be copied: TypeError: cannot pickle")
        assert "so that yours stays as it is" in str(caught.value)


def test_tensors_that_no_state_dict_has():
    def attribute(run, tensor):
        module = Of(run)
        module.k = tensor
        return module

    kernel = attribute(lambda m, x: F.conv2d(x, m.k), torch.ones(2, 4, 1, 1))
    refused(kernel, "whose weight is a tensor that no state_dict has", "register_buffer")
    learned = torch.ones(4, 1, 1, requires_grad=True)
    refused(attribute(lambda m, x: x * m.k, learned), "k: a tensor that wants a gradient")
    refused(attribute(lambda m, x: x * m.k, learned * 2), "k: a tensor that wants a gradient")
    assert kinds(read(attribute(lambda m, x: x * m.k, learned.detach()), (5, 5, 4))) == ["rescale"]


# -- batch norm -----------------------------------------------------------------------------------


class Functional(nn.Module):
    """A batch norm by a function, with buffers of one's own."""

    def __init__(self, momentum: float = 0.3) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight, self.bias = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))
        self.register_buffer("average", torch.zeros(3))
        self.register_buffer("variance", torch.ones(3))

    def forward(self, x):
        held = self.average, self.variance, self.weight, self.bias
        return F.batch_norm(x, *held, self.training, self.momentum)


@pytest.mark.parametrize("kind", [Functional, lambda: nn.BatchNorm2d(3, momentum=0.3)])
def test_moving_variance_is_of_all_values_whoever_keeps_it(kind):
    runtime = TorchRuntime(kind())
    runtime.passed(IMAGES, [np.ones(IMAGES.shape)], [False])
    arrays = runtime.arrays()
    (name,) = (name for name in arrays if "var" in name)
    expected = 0.7 + 0.3 * IMAGES.var((0, 1, 2))
    assert np.allclose(arrays[name], expected, rtol=1e-13, atol=0)
    before = runtime.arrays()[name]
    runtime.run(IMAGES)
    assert np.array_equal(runtime.arrays()[name], before)


def test_a_batch_norm_without_momentum_keeps_its_variance():
    runtime = TorchRuntime(Functional(momentum=0.0))
    runtime.passed(IMAGES, [np.ones(IMAGES.shape)], [False])
    assert np.array_equal(runtime.arrays()["variance"], np.ones(3))


# -- casts ----------------------------------------------------------------------------------------

CASTS = {
    "float": lambda m, x: m.c(x.float()),
    "to": lambda m, x: m.c(x.to(torch.float32)),
    "to_a_word": lambda m, x: m.c(x.to(dtype=torch.float32)),
    "type": lambda m, x: m.c(x.type(torch.float32)),
    "type_of_tensor": lambda m, x: m.c(x.type(torch.FloatTensor)),
    "within": lambda m, x: m.c(x).softmax(1, dtype=torch.float32),
    "none": lambda m, x: m.c(x),
    "double": lambda m, x: m.c(x.to(m.c.weight.dtype)),
}


@pytest.mark.parametrize("name", CASTS)
def test_a_cast_to_float32_rounds_nothing(name):
    conv = nn.Conv2d(3, 4, 1)
    runtime = TorchRuntime(Of(CASTS[name], c=conv))
    expected = TorchRuntime(nn.Sequential(conv, nn.Softmax(1)) if name == "within" else conv)
    along = [np.ones((4, 6, 5, 4))]
    for one, other in zip(
        (*runtime.run(IMAGES), runtime.passed(IMAGES, along, [False]).images),
        (*expected.run(IMAGES), expected.passed(IMAGES, along, [False]).images),
        strict=True,
    ):
        assert one.dtype == np.float64
        assert np.array_equal(one, other)
    assert runtime.casts == (name not in ("none", "double"))
