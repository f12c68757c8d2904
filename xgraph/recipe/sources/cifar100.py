"""CIFAR-100's files."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.recipe.sources.base import DataSource


@dataclass(frozen=True)
class Cifar100(DataSource):
    """CIFAR-100's official files, binary or Python version, with the 100 fine labels."""

    name = "cifar100"
    opener = "open_cifar100"
    title = "CIFAR-100's files"
    layout = ("DIR/train and test of CIFAR-100, with or without .bin",)
    expected = "CIFAR-100's train and test"
