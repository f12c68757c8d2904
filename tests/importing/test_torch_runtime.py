"""Modules of PyTorch as they are computed themselves, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xgraph.importing.runtimes.torch import TorchRuntime


class Gated(nn.Module):
    """A convolution and an activation."""

    def __init__(self, activation) -> None:
        super().__init__()
        self.conv, self.activation = nn.Conv2d(3, 4, 1), activation

    def forward(self, x):
        return self.activation(2 * self.conv(x))


@pytest.mark.parametrize(
    "activation",
    [nn.Hardsigmoid(), nn.Hardsigmoid(inplace=True), F.hardsigmoid, torch._C._nn.hardsigmoid],
    ids=["module", "in place", "function", "built in"],
)
def test_a_hard_sigmoid_has_an_exact_gradient(activation):
    """PyTorch's own keeps a sixth in float32, also of a model in float64."""
    runtime = TorchRuntime(Gated(activation))
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3))
    along = np.random.default_rng(1).normal(size=(2, 5, 4, 4))
    found = runtime.passed(x, [along], [False])
    arrays = runtime.arrays()
    before = 2 * (x @ arrays["conv.weight"][:, :, 0, 0].T + arrays["conv.bias"])
    np.testing.assert_allclose(
        found.outputs[0], np.clip(before / 6 + 0.5, 0, 1), rtol=0, atol=1e-13
    )
    slope = np.where(abs(before) < 3, along * 2 / 6, 0.0)
    np.testing.assert_allclose(
        found.gradients["conv.bias"], slope.sum((0, 1, 2)), rtol=0, atol=1e-12
    )
