"""What drops at random is read by what it does, not by what it is called."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn import functional as F

from xgraph.importing.network import Refused
from xgraph.importing.readers.torch import read
from xgraph.importing.recover import recover
from xgraph.importing.runtimes.flax import FlaxRuntime
from xgraph.importing.runtimes.torch import TorchRuntime
from xgraph.importing.sources import of_object

from .test_torch_reader import Of, kinds, refused

SHAPE = (8, 6, 4)


def rows(x: torch.Tensor, p: float) -> torch.Tensor:
    return torch.rand((x.shape[0],) + (1,) * (x.ndim - 1)) < p


class DropPath(nn.Module):
    """Somebody's own, which drops as `how` says."""

    def __init__(self, how="rows", rate=0.25) -> None:
        super().__init__()
        self.how, self.drop_prob = how, rate

    def forward(self, x):
        return HOW[self.how](x, 1 - self.drop_prob, self) if self.training else x


def more_and_more(x, keep, m):
    m.drop_prob = min(1.1 * m.drop_prob, 0.9)
    return x * rows(x, keep) / keep


HOW = {
    "rows": lambda x, keep, m: x * rows(x, keep) / keep,
    "batches": lambda x, keep, m: x * (torch.rand(()) < keep) / keep,
    "unscaled": lambda x, keep, m: x * rows(x, keep),
    "channels": lambda x, keep, m: x * (torch.rand((*x.shape[:2], 1, 1)) < keep) / keep,
    "what it keeps": lambda x, keep, m: x * rows(x, 1 - keep) / (1 - keep),
    "more and more": more_and_more,
    "noise": lambda x, keep, m: x + torch.randn_like(x),
    "never": lambda x, keep, m: x,
}


def dropping(drop, turn=lambda x: x, back=lambda x: x) -> Of:
    return Of(lambda m, x: x + back(m.drop(turn(m.conv(x)))), conv=nn.Conv2d(4, 4, 1), drop=drop)


@pytest.mark.parametrize("rate", [0.25, np.float32(0.25), torch.tensor(0.25)])
def test_what_drops_examples(rate):
    network = read(dropping(DropPath(rate=rate)), SHAPE)
    assert kinds(network) == ["conv", "stochastic_depth", "add"]
    assert network.layers[2].op.rate == 0.25


@pytest.mark.parametrize("how", [how for how in HOW if how != "rows"])
def test_what_is_called_so_and_does_something_else(how):
    refused(dropping(DropPath(how)), "drop: DropPath is called as stochastic depth is")


def test_rows_of_an_image_are_no_examples():
    turned = dropping(
        DropPath(),
        lambda x: x.permute(0, 2, 3, 1).reshape(-1, 6, 4),
        lambda x: x.view(-1, 8, 6, 4).permute(0, 3, 1, 2),
    )
    refused(turned, "drops other than whole examples")


def dropped(run) -> list[tuple[str, float]]:
    """What a module that ends in so many channels drops, as it is run."""
    runtime = TorchRuntime(Of(run))
    runtime.passed(np.ones((2, *SHAPE)), [np.ones((2, 4))], [False])
    return runtime.dropped


#: Of channels of whole images.
CHANNELS = {
    "image": lambda m, x: F.dropout2d(x, 0.3, m.training).mean((2, 3)),
    "volume": lambda m, x: F.dropout3d(x.unsqueeze(2), 0.3, m.training).mean((2, 3, 4)),
    "flat": lambda m, x: F.dropout1d(x.flatten(2), 0.3, m.training).mean(-1),
    "flat_of_two": lambda m, x: F.dropout2d(x.flatten(2), 0.3, m.training).mean(-1),
}


@pytest.mark.parametrize("name", CHANNELS)
@pytest.mark.filterwarnings("ignore:dropout2d")
def test_channels_are_dropped(name):
    assert kinds(read(Of(CHANNELS[name]), SHAPE))[0] == "spatial_dropout"
    assert dropped(CHANNELS[name]) == [("spatial_dropout", 0.3)]


@pytest.mark.parametrize(
    "run",
    [
        lambda m, x: F.dropout2d(x.permute(0, 2, 3, 1), 0.3, m.training),
        lambda m, x: F.dropout1d(x.flatten(2).transpose(1, 2), 0.3, m.training),
        lambda m, x: F.dropout1d(x.mean((2, 3)), 0.3, m.training),
    ],
    ids=["rows", "positions", "examples"],
)
def test_other_than_channels_are_dropped(run):
    refused(Of(run), "drops other than channels")


@pytest.mark.parametrize(
    "run",
    [lambda m, x: x[:3], lambda m, x: x[:64], lambda m, x: x.split(4)[0], lambda m, x: x[-8:]],
    ids=["as_many", "more", "split", "last"],
)
def test_a_part_of_the_batch(run):
    refused(Of(run), "of so many images, whatever a batch has")


def test_all_of_the_batch():
    assert kinds(read(Of(lambda m, x: x[:, 1:][:].relu()), SHAPE)) == ["channel_slice", "relu"]


def test_numbers_of_other_types():
    refused(Of(lambda m, x: x.sum((2, 3), dtype=torch.int64) / 3), "makes torch.int64")
    refused(Of(lambda m, x: x.softmax(1, dtype=torch.float16) * 2), "makes torch.float16")


#: The shape of the numbers that Keras' Dropout draws for images of `SHAPE`, and what it is then.
DRAWN = {
    None: "dropout",
    (None, None, None, None): "dropout",
    (None, *SHAPE): "dropout",
    (None, 1, 1, 4): "spatial_dropout",
    (None, 1, 1, None): "spatial_dropout",
    (None, 1, 1, 1): "stochastic_depth",
    (1, 1, 1, 1): "",
    (1, 1, 1, 4): "",
    (None, 8, 1, 1): "",
    (None, 8, 6, 1): "",
    (None, 1, 6, 4): "",
}


@pytest.mark.parametrize("drawn", DRAWN)
def test_dropout_of_keras_draws_numbers_of_a_shape(drawn, keras):
    images = keras.Input(SHAPE)
    made = keras.layers.Dropout(0.3, noise_shape=drawn)(images)
    source = of_object(keras.Model(images, keras.layers.ReLU()(made)))
    if DRAWN[drawn]:
        assert kinds(source.network(SHAPE)) == [DRAWN[drawn], "relu"]
    else:
        with pytest.raises(Refused, match="noise_shape"):
            source.network(SHAPE)


#: What is the same for which axes of Flax' images, and what it is.
SHARED = {
    (): "dropout",
    (1, 2): "spatial_dropout",
    (-3, -2): "spatial_dropout",
    (1, 2, 3): "stochastic_depth",
}


@pytest.mark.parametrize("axes", SHARED)
def test_dropout_of_flax_is_told_as_it_is_read(axes):
    module = nnx.Dropout(0.25, broadcast_dims=axes, rngs=nnx.Rngs(0))
    runtime = FlaxRuntime(module)
    runtime.passed(np.ones((2, *SHAPE)), [np.ones((2, *SHAPE))], [False])
    assert runtime.dropped == [(SHARED[axes], 0.25)]
    module.eval()  # the mode, in which it is read
    assert kinds(of_object(module).network(SHAPE)) == [SHARED[axes]]


def test_an_image_that_lies_on_its_side_is_no_output():
    refused(Of(lambda m, x: x.relu().transpose(2, 3)), "axes (n, c, w, h), which are not ours")
    assert kinds(read(Of(lambda m, x: x.relu().permute(0, 2, 3, 1)), SHAPE)) == ["relu"]


@pytest.mark.parametrize("last", [F.softmax, F.log_softmax])
def test_a_softmax_of_a_softmax_is_no_answer(last):
    network = read(Of(lambda m, x: last(x.mean((2, 3)).softmax(1), 1)), SHAPE)
    with pytest.raises(Refused, match="softmax of a softmax at the end"):
        recover(network, "twice")
