"""Layers as the PyTorch backend emits them, for a model that needs no compiler."""

from torch import nn


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
        old = self.running_var.clone()
        y = super().forward(x)
        n = x.numel() // x.shape[1]
        # `.data`: autograd has saved the buffer, though only evaluation's backward would use it.
        self.running_var.data -= (self.running_var - (1 - self.momentum) * old) / n
        return y
