"""A small convolutional net with every kind of weight."""

import torch
from layers import BatchNorm2d, DepthwiseConv2d, Dropout, SeparableConv2d
from torch import nn
from weights import initialize, load_weights, save_weights

__all__ = ["INPUT_SHAPE", "create_model", "load_weights", "save_weights"]

INPUT_SHAPE = (16, 16, 3)
CLASSES = 4


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.sepconv = SeparableConv2d(channels, channels, 3, multiplier=2, bias=True, padding=1)
        self.norm = BatchNorm2d(channels, momentum=0.9, scale=False)

    def forward(self, x):
        return x + self.norm(self.sepconv(torch.relu(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.stem_norm = BatchNorm2d(16, momentum=0.9)
        self.blocks = nn.ModuleList(Block(16) for _ in range(2))
        self.grouped = nn.Conv2d(16, 24, 3, groups=2)
        self.depthwise = DepthwiseConv2d(24, 3)
        self.dropout = Dropout(0.2)
        self.classifier = nn.Linear(24, CLASSES)

    def forward(self, x):
        x = torch.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        x = torch.relu(self.depthwise(torch.relu(self.grouped(x))))
        return self.classifier(self.dropout(x.mean((2, 3))))


def create_model(seed=0):
    model = Net()
    initialize(model, seed)
    return model
