"""A network ported to PyTorch by hand, right and with faults, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

SPEC = """\
xgraph: 1
name: port
input: {shape: [16, 16, 3]}
defaults:
  conv: {kernel: 3, padding: [[1, 1], [1, 1]], bias: false}
  batch_norm: {epsilon: 0.001, momentum: 0.9}
graph:
  stem: [{conv: 8}, batch_norm, relu]
  stage:
  - residual: [{conv: {filters: 8, groups: 2}}, batch_norm, relu, {conv: 8}, batch_norm]
  - relu
  - residual:
    - [{conv: {filters: 12, kernel: 1, padding: valid}}, batch_norm, relu]
    - [{conv: {filters: 12, stride: 2}}, batch_norm]
    shortcut: [{conv: {filters: 12, kernel: 1, stride: 2, padding: valid}}, batch_norm]
  - relu
  - branches:
    - [{conv: {filters: 6, kernel: 1, padding: valid}}, relu]
    - - {avg_pool: {kernel: 3, stride: 1, padding: [[1, 1], [1, 1]]}}
      - {conv: {filters: 6, kernel: 1, padding: valid}}
    merge: concat
  head: [global_avg_pool, {dropout: 0.2}, {dense: 5, name: classifier}]
"""
RECIPE = """\
xgraph_recipe: 1
name: plain
epochs: 10
batch_size: 4
optimizer: {sgd: {momentum: 0.9}}
schedule: {constant: 0.1}
loss: softmax_cross_entropy
images: {normalize: symmetric}
"""


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class Unit(nn.Module):
    """A residual, as most people write it."""

    def __init__(self, groups: int = 2) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, 3, 1, 1, bias=False, groups=groups)
        self.bn1 = norm(8)
        self.conv2 = nn.Conv2d(8, 8, 3, 1, 1, bias=False)
        self.bn2 = norm(8)
        self.act1 = nn.ReLU()
        self.act2 = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
        return self.act2(y + x)


class Down(nn.Module):
    def __init__(self, strides: tuple[int, int] = (1, 2)) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(8, 12, 1, strides[0], bias=False)
        self.bn1 = norm(12)
        self.conv = nn.Conv2d(12, 12, 3, strides[1], 1, bias=False)
        self.bn2 = norm(12)
        self.shortcut = nn.Sequential(nn.Conv2d(8, 12, 1, 2, bias=False), norm(12))
        self.detached = self.scaled = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv(F.relu(self.bn1(self.reduce(x)))))
        if self.scaled and self.training:
            y = 0.9 * y
        x = self.shortcut(x.detach() if self.detached else x)
        return F.relu(y + x)


class Port(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), norm(8), nn.ReLU())
        self.unit = Unit()
        self.down = Down()
        self.left = nn.Conv2d(12, 6, 1, bias=False)
        self.pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.right = nn.Conv2d(12, 6, 1, bias=False)
        self.drop = nn.Dropout(0.2)
        self.classifier = nn.Linear(12, 5)
        self.swapped = self.draws = self.drops = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down(self.unit(self.stem(x)))
        if self.drops and self.training:
            x = F.dropout(x, 0.4)
        if self.draws and self.training:
            x = x * torch.rand(len(x), 1, 1, 1)
        both = [F.relu(self.left(x)), self.right(self.pool(x))]
        x = torch.cat(both[::-1] if self.swapped else both, 1)
        return self.classifier(self.drop(x.mean((2, 3))))


def port() -> Port:
    torch.manual_seed(0)
    return Port()


def changed(**parts: object) -> Callable[[], Port]:
    """The port with other parts, by their paths with underscores between."""

    def made() -> Port:
        model = port()
        for path, part in parts.items():
            *above, last = path.split("__")
            holder = model.get_submodule(".".join(above)) if above else model
            setattr(holder, last, part)
        return model

    return made


def frozen() -> Port:
    model = port()
    model.unit.conv2.weight.requires_grad_(False)
    return model


def hooked() -> Port:
    model = port()
    model.unit.conv1.weight.register_hook(lambda gradient: 0.5 * gradient)
    return model


def tied() -> Port:
    model = port()
    model.right.weight = model.left.weight
    return model


#: What is wrong in the port; the node of the spec and the port's name that are told first, and what
#: is said of them.
FAULTS = {
    "stride": (changed(down=Down((2, 1))), "stage.conv_3", "down.reduce", "stride (1, 1) here"),
    "groups": (changed(unit=Unit(groups=4)), "stage.conv", "unit.conv1", "groups 2 here, 4 there"),
    "dilation": (changed(unit__conv2=nn.Conv2d(8, 8, 3, 1, 2, 2, bias=False)),
                 "stage.conv_2", "unit.conv2", "dilation (1, 1) here, (2, 2) there"),
    "epsilon": (changed(down__bn1=nn.BatchNorm2d(12)),
                "stage.batch_norm_3", "down.bn1", "epsilon 0.001 here, 1e-05 there"),
    "no relu": (changed(unit__act1=nn.Identity()),
                "stage.relu", "", "the source has no relu (stage.relu)"),
    "gelu": (changed(stem=nn.Sequential(*[*port().stem][:2], nn.GELU())),
             "stem.relu", "stem.2", "relu here, gelu there"),
    "counts": (changed(pool=nn.AvgPool2d(3, 1, 1)), "stage.avg_pool", "pool", "counted"),
    "bias": (changed(left=nn.Conv2d(12, 6, 1)),
             "stage.conv_6", "left", "bias false here, true there"),
    "order": (changed(swapped=True), "stage.relu_5", "right", "relu here, conv there"),
    "momentum": (changed(down__shortcut=nn.Sequential(*[*Down().shortcut][:1],
                                                      nn.BatchNorm2d(12, 1e-3, 0.01))),
                 "stage.batch_norm_5", "down.shortcut.1", "momentum 0.9 here, 0.99 there"),
    "no dropout": (changed(drop=nn.Identity()), "head.dropout", "", "the source has no dropout"),
    "rate": (changed(drop=nn.Dropout(0.5)), "head.dropout", "drop", "rate 0.2 here, 0.5 there"),
    "tied": (tied, "", "", "right.weight once, the spec in stage.conv_7.kernel and stage.conv_6"),
    "dropout in training": (
        changed(drops=True),
        "",
        "",
        "what it drops in training is dropout 0.2, dropout 0.4, and was read as dropout 0.2",
    ),
    "hooked": (hooked, "stage.conv", "unit.conv1", "gradients of weights"),
    "draws": (changed(draws=True), "", "", "the source gives something else each time"),
    "detached": (changed(down__detached=True),
                 "stage.batch_norm_2", "unit.bn2", "gradients of weights"),
    "in training": (changed(down__scaled=True), "stage.conv_6", "left", "training output"),
    "frozen": (frozen, "stage.conv_2", "unit.conv2", "no gradient reaches it"),
}  # fmt: skip


def sgd(**settings):
    """A training as people write it."""

    def training(model: nn.Module) -> Callable[[torch.Tensor, torch.Tensor], None]:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **settings)

        def step(images: torch.Tensor, labels: torch.Tensor) -> None:
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step

    return training
