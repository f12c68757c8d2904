"""Layers as the PyTorch backend emits them, for a model that needs no compiler."""

import torch
from torch import nn
from torch.nn import functional as F


class DepthwiseConv2d(nn.Conv2d):
    def __init__(self, channels, kernel, multiplier=1, **options):
        super().__init__(channels, channels * multiplier, kernel, groups=channels, **options)


class SeparableConv2d(nn.Module):
    def __init__(self, channels, filters, kernel, multiplier=1, bias=False, **options):
        super().__init__()
        self.depthwise = DepthwiseConv2d(channels, kernel, multiplier, bias=False, **options)
        self.pointwise = nn.Conv2d(channels * multiplier, filters, 1, bias=bias)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class BatchNorm2d(nn.BatchNorm2d):
    def __init__(self, channels, momentum=0.99, epsilon=1e-3, scale=True, center=True):
        super().__init__(channels, epsilon, 1 - momentum)
        if not scale:
            self.weight = None
        if not center:
            self.bias = None

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        mean, var = self.running_mean.clone(), self.running_var.clone()
        y = F.batch_norm(x, mean, var, self.weight, self.bias, True, self.momentum, self.eps)
        n = x.numel() // x.shape[1]
        with torch.no_grad():
            self.running_mean.copy_(mean)
            self.running_var.copy_(var - (var - (1 - self.momentum) * self.running_var) / n)
        return y
