"""CIFAR-10's files."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.recipe.sources.base import DataSource


@dataclass(frozen=True)
class Cifar10(DataSource):
    """CIFAR-10's official files, binary or Python version."""

    name = "cifar10"
    opener = "open_cifar10"
    title = "CIFAR-10's files"
    layout = ("DIR/data_batch_1 … data_batch_5, test_batch, with or without .bin",)
    expected = "CIFAR-10's data_batch_1 to data_batch_5 and test_batch"
