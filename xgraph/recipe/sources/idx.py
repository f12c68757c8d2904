"""IDX files, the form of MNIST, Fashion-MNIST, KMNIST and EMNIST."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.recipe.sources.base import DataSource


@dataclass(frozen=True)
class Idx(DataSource):
    """Files of MNIST and its kin, packed with gzip or not."""

    name = "idx"
    opener = "open_idx"
    title = "IDX files"
    layout = ("DIR/train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-…, or with .gz",)
    expected = "train-images-idx3-ubyte, train-labels-idx1-ubyte and t10k-… of the MNIST family"
