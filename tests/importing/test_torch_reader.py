"""PyTorch's modules as networks of ours: compared are the values that both compute."""

from __future__ import annotations

import logging
import math
import re
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xgraph.importing import normal
from xgraph.importing.equal import match
from xgraph.importing.network import Network, Pixel, Refused, of_spec
from xgraph.importing.readers.torch import OPS, read
from xgraph.importing.recover import recover

TOLERANCE = 1e-12


class Of(nn.Module):
    """A module of parts by name, and what becomes of x."""

    def __init__(self, run, **parts) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            if isinstance(part, nn.Module | nn.Parameter):
                setattr(self, name, part)
            else:
                self.register_buffer(name, part)

    def forward(self, x):
        return self.run(self, x)


def randomized(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    module.double()
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_floating_point():
            values = torch.rand(tensor.shape, generator=generator, dtype=torch.float64)
            tensor.data.copy_(values + 0.5 if "var" in name else values - 0.4)
    return module.eval()


def computed(network: Network, module: nn.Module, x: np.ndarray) -> list[np.ndarray]:
    """What a network's outputs are by the NumPy references."""
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    values: list[np.ndarray] = []
    for layer, made in zip(network.layers, network.types, strict=True):
        given = [values[place] for place in layer.inputs]
        if not given:
            values.append(x)
        elif isinstance(layer.op, Pixel):
            values.append(given[0][:, None, None])
        else:
            held = {word: one.seen(state[one.name]) for word, one in layer.weights.items()}
            for word, one in layer.weights.items():
                assert one.shape == state[one.name].shape
                assert np.array_equal(one.kept(held[word]), state[one.name])
            values.append(layer.op.reference(given, held))
        assert values[-1].shape == (len(x), *made.shape)
    return [values[place] for _, place in network.outputs]


def agreed(module: nn.Module, shape: tuple[int, int, int] = (8, 6, 4)) -> Network:
    """The network of a module, which computes what the module does."""
    randomized(module)
    network = read(module, shape)
    x = np.random.default_rng(4).uniform(-2, 2, (3, *shape))
    with torch.no_grad():
        wanted = module(torch.from_numpy(x.copy()).permute(0, 3, 1, 2))
    wanted = list(wanted.values()) if isinstance(wanted, dict) else wanted
    wanted = [wanted] if isinstance(wanted, torch.Tensor) else wanted
    found = computed(network, module, x)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        expected = theirs.permute(0, 2, 3, 1).numpy() if theirs.ndim == 4 else theirs.numpy()
        assert ours.shape == expected.shape
        assert np.abs(ours - expected).max() <= TOLERANCE * np.abs(expected).max()
    return network


def kinds(network: Network) -> list[str]:
    return [layer.op.name for layer in network.layers[1:]]


def refused(module: nn.Module, *words: str, shape: tuple[int, int, int] = (8, 6, 4)) -> Refused:
    with pytest.raises(Refused) as caught:
        read(module, shape)
    for word in words:
        assert word in str(caught.value)
    return caught.value


LAYERS = {
    "conv": nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
    "conv_same": nn.Conv2d(4, 6, 4, padding="same", bias=False),
    "conv_valid": nn.Conv2d(4, 6, 3, padding="valid"),
    "conv_groups": nn.Conv2d(4, 6, 3, groups=2),
    "conv_depthwise": nn.Conv2d(4, 8, 3, groups=4),
    "conv_transpose": nn.ConvTranspose2d(4, 3, (3, 2), stride=2, padding=1, output_padding=(1, 0)),
    "conv_transpose_gaps": nn.ConvTranspose2d(4, 3, 1, stride=2, bias=False),
    "batch_norm": nn.BatchNorm2d(4, eps=1e-4, momentum=0.02),
    "batch_norm_plain": nn.BatchNorm2d(4, affine=False),
    "group_norm": nn.GroupNorm(2, 4),
    "group_norm_plain": nn.GroupNorm(2, 4, affine=False),
    "instance_norm": nn.InstanceNorm2d(4, affine=True),
    "local_response_norm": nn.LocalResponseNorm(3, alpha=0.5, beta=0.6, k=2.0),
    "max_pool": nn.MaxPool2d(3, stride=2, padding=1),
    "max_pool_ceil": nn.MaxPool2d((2, 3), stride=2, ceil_mode=True),
    "avg_pool": nn.AvgPool2d(3, stride=2, padding=1),
    "avg_pool_ceil": nn.AvgPool2d(3, stride=3, padding=1, ceil_mode=True),
    "avg_pool_inner": nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    "adaptive_avg_pool": nn.AdaptiveAvgPool2d((3, 4)),
    "adaptive_avg_pool_one": nn.AdaptiveAvgPool2d(1),
    "adaptive_max_pool": nn.AdaptiveMaxPool2d((3, 4)),
    "adaptive_max_pool_one": nn.AdaptiveMaxPool2d(1),
    "relu": nn.ReLU(),
    "relu6": nn.ReLU6(inplace=True),
    "hardtanh": nn.Hardtanh(0.0, 1.0),
    "hardswish": nn.Hardswish(),
    "hardsigmoid": nn.Hardsigmoid(),
    "silu": nn.SiLU(inplace=True),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
    "mish": nn.Mish(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU("tanh"),
    "elu": nn.ELU(0.7),
    "leaky_relu": nn.LeakyReLU(0.2),
    "prelu": nn.PReLU(4),
    "softmax": nn.Softmax(dim=1),
    "dropout": nn.Dropout(0.3),
    "dropout2d": nn.Dropout2d(0.3),
    "zero_pad": nn.ZeroPad2d((1, 2, 0, 3)),
    "nearest": nn.Upsample(scale_factor=2),
    "nearest_exact": nn.Upsample(size=(5, 11), mode="nearest-exact"),
    "bilinear": nn.Upsample(size=(5, 11), mode="bilinear"),
    "bilinear_factor": nn.Upsample(scale_factor=1.5, mode="bilinear"),
    "pixel_shuffle": nn.PixelShuffle(2),
    "pixel_unshuffle": nn.PixelUnshuffle(2),
    "channel_shuffle": nn.ChannelShuffle(2),
    "identity": nn.Identity(),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    agreed(nn.Sequential(LAYERS[name]))


CALLS = {
    "clamp": lambda m, x: x.clamp(0, 6) + x.clamp(min=0) + x.clamp_min(0),
    "constants": lambda m, x: (3 - 2 * x) / 4 - 0.5 + torch.sub(x, 2, alpha=3) - (-x),
    "sum": lambda m, x: x + x.relu() - x.sigmoid() * x,
    "maximum": lambda m, x: torch.maximum(x, x.tanh()),
    "mean": lambda m, x: x.mean((2, 3)),
    "mean_kept": lambda m, x: x.mean((-1, -2), keepdim=True) * x,
    "amax": lambda m, x: x.amax((2, 3)),
    "mean_of_flat": lambda m, x: x.flatten(2).mean(-1),
    "chunk": lambda m, x: torch.cat([part.relu() for part in x.chunk(3, 1)][::-1], 1),
    "split": lambda m, x: torch.cat(x.split([1, 3], dim=1)[::-1] + x.split(3, 1), 1),
    "slice": lambda m, x: torch.cat([x[:, 2:], x[:, :-1], x.narrow(1, 1, 2)], 1),
    "crop": lambda m, x: x[:, :, 1:, :-2],
    "pad": lambda m, x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 2, 3, 0)).permute(0, 3, 1, 2),
    "pad_and_crop": lambda m, x: F.pad(x, (-1, 2, 0, -3)) + F.pad(x, (2, -1, -3, 0)),
    "walled": lambda m, x: F.max_pool2d(F.pad(x, (0, 1, 2, 1), value=-math.inf), 4, 2, padding=1),
    "square": lambda m, x: x.relu() ** 2 + x.square(),
    "stack": lambda m, x: torch.stack([x, x.relu(), x.sigmoid()], 1).sum(1),
    "stack_last": lambda m, x: torch.stack([x.mean((2, 3)), x.amax((2, 3))], -1).sum(-1),
    "sum_of_paths": lambda m, x: x.view(-1, 2, 2, *x.shape[2:]).sum(1),
    "two": lambda m, x: x.view(-1, 2, 2, *x.shape[2:]).softmax(1).sum(1),
    "same": lambda m, x: x.contiguous().clone().detach().to(x.dtype).type_as(x) * 2,
    "select": lambda m, x: F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0],
    "squeeze": lambda m, x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1).softmax(-1),
    "unsqueeze": lambda m, x: x.mean((2, 3)).unsqueeze(-1).unsqueeze(-1).sigmoid(),
    "dropout_of_vector": lambda m, x: F.dropout(x.mean((2, 3)), 0.2, m.training),
    "response": lambda m, x: F.local_response_norm(x.relu(), 5) + 0.1 * x,
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    agreed(Of(CALLS[name]))


class SplitAttention(nn.Module):
    """Of paths, one of which each channel takes more of, as ResNeSt and SKNet have it."""

    def __init__(self, paths: int, *, groups: int = 1, stacked: bool = False) -> None:
        super().__init__()
        self.paths, self.groups, self.stacked = paths, groups, stacked
        self.conv = nn.Conv2d(4, 6 * paths, 3)
        self.inner, self.outer = nn.Conv2d(6, 3, 1), nn.Conv2d(3, 6 * paths, 1)

    def forward(self, x):
        n, paths = len(x), self.paths
        x = self.conv(x)
        if self.stacked:
            x = torch.stack(x.split(6, 1), dim=1)
        else:
            x = x.reshape(n, paths, 6, *x.shape[2:])
        gate = self.outer(self.inner(x.sum(1).mean((2, 3), keepdim=True)).relu())
        if self.stacked:
            return (x * gate.view(n, paths, 6, 1, 1).softmax(1)).sum(1)
        gate = gate.view(n, self.groups, paths, -1).transpose(1, 2).softmax(1).reshape(n, -1)
        gate = gate.view(n, -1, 1, 1).reshape(n, paths, 6, 1, 1)
        return (x * gate).sum(1).contiguous()


@pytest.mark.parametrize("stacked", [False, True])
def test_split_attention(stacked):
    found = kinds(agreed(SplitAttention(2, stacked=stacked)))
    assert found.count("sigmoid") == 2  # what a softmax of two is
    assert "softmax" not in found


def test_split_attention_of_more_than_two():
    refused(SplitAttention(3), "softmax", "read are two")
    refused(SplitAttention(2, groups=2), "softmax")


def test_paths_are_no_rows_of_an_image():
    refused(Of(lambda m, x: x.sum(2)), "not over paths")
    refused(Of(lambda m, x: x.sum((0, 2, 3))), "not over paths")
    refused(Of(lambda m, x: torch.stack([x, x.transpose(2, 3)], 1)), "stack", shape=(4, 4, 4))
    refused(Of(lambda m, x: x.view(-1, 20, 1, *x.shape[2:]).sum(1)), "16 at most", shape=(4, 4, 20))


def test_a_border_that_no_maximum_takes_is_for_maxima_alone():
    def walled(x, pixels=1):
        return F.pad(x, (pixels,) * 4, value=-math.inf)

    refused(Of(lambda m, x: walled(x).relu()), "a border of −∞")
    refused(Of(lambda m, x: walled(x)), "the output")
    refused(Of(lambda m, x: F.max_pool2d(walled(x, 3), 2)), "max_pool")


class Standardized(nn.Conv2d):
    """A kernel of mean 0 and variance 1, as in timm's NFNets."""

    def forward(self, x):
        rows = self.weight.reshape(1, self.out_channels, -1)
        kernel = F.batch_norm(rows, None, None, training=True, momentum=0.0)
        return F.conv2d(x, kernel.reshape_as(self.weight), self.bias)


def test_weights_that_are_standardized():
    words = "0: aten.conv2d whose kernel is computed of weights alone, as by weight standardization"
    refused(nn.Sequential(Standardized(4, 5, 3)), words)


def test_weights_are_called_as_in_the_state_dict():
    inner = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, momentum=0.02))
    network = agreed(nn.Sequential(inner))
    conv, norm = network.layers[1:]
    assert (conv.name, norm.name) == ("0.0", "0.1")
    assert conv.weights["kernel"].name == "0.0.weight"
    assert conv.weights["kernel"].form == (3, 3, 4, 6)
    assert norm.weights["moving_variance"].name == "0.1.running_var"
    assert norm.op.momentum == 0.98


@pytest.mark.parametrize(
    "last", [nn.Identity(), nn.BatchNorm1d(4 * 8 * 6), nn.LayerNorm(4 * 8 * 6)]
)
def test_rows_of_a_kernel_follow_a_flattened_image(last):
    head = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Dropout(0.2), last, nn.Linear(192, 5))
    assert "flatten" in kinds(agreed(head))


def test_flattened_in_our_order_is_as_it_is():
    agreed(Of(lambda m, x: m.fc(x.permute(0, 2, 3, 1).flatten(1)), fc=nn.Linear(192, 5)))
    agreed(Of(lambda m, x: x.permute(0, 2, 3, 1).flatten(1)))


def test_channels_in_front_of_pixels_are_no_vector_of_ours():
    refused(Of(lambda m, x: x.flatten(1)), "(n, c·c), which are not ours")
    refused(Of(lambda m, x: x.flatten(1).softmax(1)), "softmax")
    refused(
        Of(lambda m, x: torch.cat([x.flatten(1), x.mean((2, 3))], 1)), "cat over axis 1 of (n, c·c)"
    )


def test_images_of_one_channel_or_one_pixel_are_flattened_as_they_are():
    agreed(nn.Sequential(nn.Conv2d(4, 1, 3), nn.Flatten()))
    agreed(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)))


class Block(nn.Module):
    """As ConvNeXt's: norm and linear layers with the channels last, then a factor for each."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm = nn.LayerNorm(4, eps=1e-6)
        self.wide, self.narrow = nn.Linear(4, 8), nn.Linear(8, 4)
        self.gamma = nn.Parameter(torch.ones(shape))

    def forward(self, x):
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        y = self.narrow(F.gelu(self.wide(y)))
        if self.gamma.ndim == 1:
            return x + (y * self.gamma).permute(0, 3, 1, 2)
        return x + y.permute(0, 3, 1, 2) * self.gamma


@pytest.mark.parametrize("shape", [(4,), (4, 1, 1), (1, 4, 1, 1)])
def test_channels_last_inside(shape):
    found = ["conv", "layer_norm", "conv", "gelu", "conv", "scale", "add"]
    assert kinds(agreed(Block(shape))) == found
    agreed(Block(shape), (4, 4, 4))  # no size says which axis is which


def test_a_factor_with_axes_put_in():
    gamma = nn.Parameter(torch.ones(4))
    network = agreed(Of(lambda m, x: x.mul(m.gamma.reshape(1, -1, 1, 1)), gamma=gamma))
    assert kinds(network) == ["scale"]
    agreed(Of(lambda m, x: m.gamma[None, :, None, None] * x, gamma=nn.Parameter(torch.ones(4))))


def test_axes_that_do_not_mean_the_same_are_refused():
    shape = (4, 4, 4)
    refused(Of(lambda m, x: x + x.permute(0, 2, 3, 1)), "do not mean the same", shape=shape)
    refused(nn.Sequential(nn.Linear(4, 4)), "not over the channels", shape=shape)
    refused(nn.Sequential(nn.LayerNorm(4)), "not over the channels", shape=shape)
    refused(Of(lambda m, x: x.softmax(-1)), "not over the channels", shape=shape)
    refused(Of(lambda m, x: torch.cat([x, x], 2)), "not over the channels", shape=shape)
    refused(Of(lambda m, x: x * m.gamma, gamma=nn.Parameter(torch.ones(4))), "mul", shape=shape)
    refused(Of(lambda m, x: m.conv(x.transpose(1, 2)), conv=nn.Conv2d(4, 4, 1)), "image",
            shape=shape)  # fmt: skip
    refused(Of(lambda m, x: x.transpose(2, 3).reshape(x.shape).view(2, -1, 2)), shape=shape)


def test_a_group_norm_of_rows_is_none_of_images():
    def run(m, x):
        rows = x.permute(0, 2, 1, 3).flatten(0, 1)
        return m.norm(rows).view(-1, 8, 4, 6).permute(0, 2, 1, 3)

    refused(Of(run, norm=nn.GroupNorm(2, 4)), "the first is no batch")


def test_rms_norm():
    for norm in (nn.RMSNorm(4), nn.RMSNorm(4, eps=1e-3, elementwise_affine=False)):
        agreed(Of(lambda m, x: m.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), norm=norm))


def shuffled(x: torch.Tensor, groups: int) -> torch.Tensor:
    n, c, h, w = x.shape
    x = x.view(n, groups, c // groups, h, w).transpose(1, 2).contiguous()
    return x.view(n, -1, h, w)


def test_channel_shuffle_by_views():
    network = agreed(Of(lambda m, x: shuffled(x, 3).relu()), (5, 4, 12))
    assert kinds(network) == ["channel_shuffle", "relu"]
    assert network.layers[1].op.groups == 3
    network = agreed(Of(lambda m, x: shuffled(shuffled(x, 3), 4) * 2), (5, 4, 12))
    assert kinds(network) == ["rescale"]  # there and back


def test_blocks_of_pixels_by_views():
    def apart(m, x):
        n, c, h, w = x.shape
        return x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, -1, 2 * h, 2 * w)

    def together(m, x):
        n, c, h, w = x.shape
        return x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4).flatten(1, 3)

    assert kinds(agreed(Of(apart), (5, 4, 12))) == ["depth_to_space"]
    assert kinds(agreed(Of(together))) == ["space_to_depth", "channel_shuffle"]


def test_one_shuffle_is_one_layer():
    def run(m, x):
        left, right = shuffled(x, 2).chunk(2, 1)
        y = shuffled(torch.cat([left, right.relu()], 1), 2)
        return y.sigmoid() * y

    assert kinds(agreed(Of(run))).count("channel_shuffle") == 2


@pytest.mark.parametrize("expand", [False, True])
def test_squeeze_and_excitation(expand):
    def run(m, x):
        n, c = x.shape[:2]
        gate = F.adaptive_avg_pool2d(x, 1).view(n, c)
        gate = m.up(m.down(gate).relu()).sigmoid().view(n, c, 1, 1)
        return x * (gate.expand_as(x) if expand else gate)

    agreed(Of(run, down=nn.Linear(4, 2), up=nn.Linear(2, 4)))


def test_constants_for_each_channel():
    mean, std = torch.rand(1, 4, 1, 1), torch.rand(4, 1, 1)
    network = agreed(Of(lambda m, x: (x - m.mean) / (m.std + 1) + m.mean.view(-1, 1, 1), mean=mean,
                        std=std))  # fmt: skip
    assert kinds(network) == ["rescale"] * 3
    scaled = Of(lambda m, x: m.fc(x.flatten(1) * m.c), c=torch.rand(192), fc=nn.Linear(192, 2))
    agreed(scaled)


def test_hard_swish_by_hand():
    written = [
        lambda m, x: x * F.relu6(x + 3) / 6,
        lambda m, x: x * (F.relu6(x + 3) / 6),
        lambda m, x: F.relu6(x + 3).mul(x).mul(1 / 6),
        lambda m, x: F.hardswish(x),
    ]
    for run in written:
        units = normal.normalize(agreed(Of(run))).units
        assert units[-1].kind == "hard_swish"
        assert units[-1].inputs == (0,)


def test_products_that_are_nearly_a_hard_swish_are_none():
    written = [
        lambda m, x: x * F.relu6(x + 3) / 5,
        lambda m, x: x * F.relu6(x + 2) / 6,
        lambda m, x: x.sigmoid() * F.relu6(x + 3) / 6,
        lambda m, x: x * F.relu6(x + 3) / 6 + 1,
    ]
    for run in written:
        assert normal.normalize(agreed(Of(run))).units[-1].kind == "rescale"


def test_a_concat_of_one_is_nothing():
    network = agreed(Of(lambda m, x: torch.cat([x.sigmoid()], 1)))
    assert [unit.kind for unit in normal.normalize(network).units] == ["input", "sigmoid"]


def test_in_place():
    def later(m, x):
        y = m.conv(x)
        z = y.sigmoid()
        y.relu_()
        y.add_(z)
        return y * z

    assert kinds(agreed(Of(later, conv=nn.Conv2d(4, 3, 1)))) == [
        "conv", "sigmoid", "relu", "add", "multiply",
    ]  # fmt: skip

    def by_another_name(m, x):
        y = m.conv(x)
        z = F.dropout(y, 0.5, m.training)
        y.relu_()
        return z + y

    agreed(Of(by_another_name, conv=nn.Conv2d(4, 3, 1)))

    def parts(m, x):
        one, other = m.conv(x).chunk(2, 1)
        return torch.cat([one.relu_(), other], 1)

    agreed(Of(parts, conv=nn.Conv2d(4, 6, 1)))


#: Each operation that the reader knows and PyTorch has in place too, by the name of the former.
IN_PLACE = {
    "add": lambda y, x: y.add_(x).add_(2, alpha=3),
    "addcmul": lambda y, x: y.addcmul_(x, x),
    "bitwise_not": lambda y, x: y * (y <= 0).bitwise_not_(),
    "clamp": lambda y, x: y.clamp_(0, 6),
    "clamp_max": lambda y, x: y.relu_().clamp_max_(6),
    "clamp_min": lambda y, x: y.clamp_min_(0),
    "clip": lambda y, x: y.clip_(0, 1),
    "detach": lambda y, x: y.detach_(),
    "div": lambda y, x: y.div_(3),
    "divide": lambda y, x: y.divide_(3),
    "dropout": lambda y, x: F.dropout(y, 0.2, False, inplace=True),
    "elu": lambda y, x: F.elu(y, 0.7, inplace=True),
    "erf": lambda y, x: 0.5 * y * (1 + (y / math.sqrt(2)).erf_()),
    "feature_dropout": lambda y, x: F.dropout2d(y, 0.2, False, inplace=True),
    "ge": lambda y, x: y * y.clone().ge_(0),
    "gelu": lambda y, x: torch.ops.aten.gelu_(y),
    "greater": lambda y, x: y * y.clone().greater_(0),
    "greater_equal": lambda y, x: y * y.clone().greater_equal_(0),
    "gt": lambda y, x: y * y.clone().gt_(0),
    "hardsigmoid": lambda y, x: F.hardsigmoid(y, inplace=True),
    "hardswish": lambda y, x: F.hardswish(y, inplace=True),
    "hardtanh": lambda y, x: F.hardtanh(y, 0, 1, inplace=True),
    "le": lambda y, x: y.masked_fill(y.clone().le_(0).bool(), 0),
    "leaky_relu": lambda y, x: F.leaky_relu(y, 0.2, inplace=True),
    "less": lambda y, x: y.masked_fill(y.clone().less_(0).bool(), 0),
    "less_equal": lambda y, x: y.masked_fill(y.clone().less_equal_(0).bool(), 0),
    "log": lambda y, x: y.softmax(1).log_(),
    "logical_not": lambda y, x: y * (y <= 0).logical_not_(),
    "lt": lambda y, x: y.masked_fill(y.clone().lt_(0).bool(), 0),
    "masked_fill": lambda y, x: y.masked_fill_(y < 0, 0),
    "mish": lambda y, x: F.mish(y, inplace=True),
    "mul": lambda y, x: y.mul_(x).mul_(2),
    "multiply": lambda y, x: y.multiply_(x),
    "neg": lambda y, x: y.neg_(),
    "negative": lambda y, x: y.negative_(),
    "pow": lambda y, x: y.pow_(2),
    "relu": lambda y, x: y.relu_(),
    "relu6": lambda y, x: F.relu6(y, inplace=True),
    "sigmoid": lambda y, x: y.sigmoid_(),
    "silu": lambda y, x: F.silu(y, inplace=True),
    "squeeze": lambda y, x: y.mean((2, 3), keepdim=True).squeeze_(-1).squeeze_(-1),
    "square": lambda y, x: y.square_(),
    "sub": lambda y, x: y.sub_(x),
    "subtract": lambda y, x: y.subtract_(2),
    "swapaxes": lambda y, x: y.swapaxes_(1, 3).swapaxes_(3, 1),
    "swapdims": lambda y, x: y.swapdims_(1, 3).swapdims_(3, 1),
    "t": lambda y, x: y.mean((2, 3)).t_().t_(),
    "tanh": lambda y, x: y.tanh_(),
    "threshold": lambda y, x: F.threshold(y, 0, 0, inplace=True),
    "transpose": lambda y, x: y.transpose_(1, 3).transpose_(3, 1),
    "true_divide": lambda y, x: y.true_divide_(3),
    "unsqueeze": lambda y, x: y.mean((2, 3)).unsqueeze_(-1).unsqueeze_(-1) * x,
}


def test_what_is_known_is_known_in_place():
    known = {name for name in OPS if hasattr(torch.ops.aten, f"{name}_")}
    assert known == {*IN_PLACE, "addmm"}  # which would write into a bias


def test_a_bias_is_not_written_into():
    parts = {"w": nn.Parameter(torch.zeros(4, 4)), "b": nn.Parameter(torch.zeros(2, 4))}
    refused(Of(lambda m, x: m.b.addmm_(x.mean((2, 3)), m.w), **parts))


@pytest.mark.parametrize("name", IN_PLACE)
def test_each_in_place(name):
    agreed(Of(lambda m, x: IN_PLACE[name](m.conv(x), x), conv=nn.Conv2d(4, 4, 1)))


def test_a_head_with_dropout_in_place():
    head = nn.Sequential(nn.Dropout2d(0.1, inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Dropout(0.2, inplace=True), nn.Linear(4, 3))  # fmt: skip
    found = kinds(agreed(nn.Sequential(nn.Conv2d(4, 4, 1), head)))
    assert [kind for kind in found if "dropout" in kind] == ["spatial_dropout", "dropout"]


class DropPath(nn.Module):
    """Stochastic depth as timm and many others write it; in evaluation it leaves no trace."""

    def __init__(self, drop_prob: float = 0.0, scale_by_keep: bool = True) -> None:
        super().__init__()
        self.drop_prob = drop_prob
        self.scale_by_keep = scale_by_keep

    def forward(self, x):
        if self.drop_prob == 0 or not self.training:
            return x
        keep = 1 - self.drop_prob
        return x * x.new_empty(len(x), 1, 1, 1).bernoulli_(keep) / keep


class StochasticDepth(nn.Module):
    """As torchvision's."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p, self.mode = p, mode

    def forward(self, x):
        return DropPath(self.p).train(self.training)(x)


@pytest.mark.parametrize("drop", [DropPath(0.25), StochasticDepth(0.25, "row")])
def test_stochastic_depth(drop):
    module = Of(lambda m, x: x + m.drop(m.conv(x)), conv=nn.Conv2d(4, 4, 1), drop=drop)
    network = agreed(module)
    (found,) = (layer.op for layer in network.layers if layer.op.name == "stochastic_depth")
    assert found.rate == 0.25
    assert not module.drop._forward_hooks


def test_stochastic_depth_of_no_rate_is_nothing():
    network = agreed(Of(lambda m, x: m.drop(m.conv(x)), conv=nn.Conv2d(4, 4, 1), drop=DropPath()))
    assert "stochastic_depth" not in kinds(network)


@pytest.mark.parametrize(
    ("drop", "what"),
    [
        (DropPath(0.25, scale_by_keep=False), "drop: DropPath does not scale what it keeps"),
        (StochasticDepth(0.25, "batch"), "drop: StochasticDepth drops whole batches"),
    ],
)
def test_stochastic_depth_of_another_kind_is_refused(drop, what):
    with pytest.raises(Refused, match=what):
        read(Of(lambda m, x: m.drop(x), drop=drop), (5, 5, 4))


def test_a_view_of_what_was_changed_is_refused():
    def run(m, x):
        y = m.conv(x)
        z = y.permute(0, 2, 3, 1)
        y.relu_()
        return m.norm(z)

    parts = {"conv": nn.Conv2d(4, 3, 1), "norm": nn.LayerNorm(3)}
    refused(Of(run, **parts), "changes in place")

    def copied(m, x):
        y = m.conv(x)
        z = y.permute(0, 2, 3, 1).contiguous()
        y.relu_()
        return m.norm(z).permute(0, 3, 1, 2)

    refused(Of(copied, **parts), "changes in place")  # a view, where channels are last already

    def slice_of_it(m, x):
        y = m.conv(x)
        y[:, :1].relu_()
        return y

    refused(Of(slice_of_it, **parts), "changes in place")


Pair = namedtuple("Pair", ["logits", "features"])


def test_outputs():
    def named(module):
        return [name for name, _ in agreed(module).outputs]

    assert named(Of(lambda m, x: x * 2)) == ["output0"]
    assert named(Of(lambda m, x: (x * 2, x.mean((2, 3))))) == ["output0", "output1"]
    assert named(Of(lambda m, x: {"b": x * 2, "a": x * 3})) == ["b", "a"]
    assert named(Of(lambda m, x: Pair(x.mean((2, 3)), x))) == ["logits", "features"]
    network = read(Of(lambda m, x: {"out": [x * 2, None]}), (4, 4, 3))
    assert [name for name, _ in network.outputs] == ["out"]


def test_all_unknown_operations_are_said_at_once():
    class Odd(nn.Module):
        def forward(self, x):
            return x.cumsum(1)

    module = nn.Sequential(nn.ReLU(), Odd(), nn.Sequential(nn.CELU()), nn.SELU())
    lines = refused(module).lines
    assert lines == (
        "1: no op of ours is PyTorch's aten.cumsum",
        "2.0: no op of ours is PyTorch's aten.celu",
        "3: no op of ours is PyTorch's aten.selu",
    )


REFUSED = {
    "statistics": (nn.BatchNorm2d(4, track_running_stats=False), "statistics"),
    "momentum": (nn.BatchNorm2d(4, momentum=None), "without momentum"),
    "divisor": (nn.AvgPool2d(2, divisor_override=3), "divisor_override 3"),
    "dilated_pool": (nn.MaxPool2d(2, dilation=2), "dilation"),
    "reflection": (nn.ReflectionPad2d(1), "before max pooling: mode reflect"),
    "ones": (nn.ConstantPad2d(1, 1.0), "other than zeros, or −∞ before max pooling: 1"),
    "corners": (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), "align_corners"),
    "nearest": (nn.Upsample(size=(5, 5)), "nearest"),
    "part_of_a_pixel": (nn.Upsample(scale_factor=1.3, mode="bilinear"), "1.3"),
    "one_slope": (nn.PReLU(), "prelu"),
    "even": (nn.LocalResponseNorm(4), "odd"),
    "grouped_transpose": (nn.ConvTranspose2d(4, 4, 3, groups=2), "groups"),
    "clip": (nn.Hardtanh(-1, 1), "hardtanh"),
    "channels_padded": (Of(lambda m, x: F.pad(x, (0, 0, 0, 0, 0, 2))), "pads an axis"),
    "half_mean": (Of(lambda m, x: x.mean(2)), "all pixels"),
    "half": (Of(lambda m, x: x.half() * 2), "float16"),
    "computed": (
        Of(lambda m, x: F.conv2d(x, m.w * 2), w=nn.Parameter(torch.ones(2, 4, 1, 1))),
        "weights alone",
    ),
    "one_factor": (Of(lambda m, x: x * m.g, g=nn.Parameter(torch.ones(1))), "one learned factor"),
    "learned_sum": (Of(lambda m, x: x + m.g, g=nn.Parameter(torch.ones(4, 1, 1))), "learned"),
    "ratio": (Of(lambda m, x: x / x), "other than a constant"),
    "cube": (Of(lambda m, x: x**3), "read is a square"),
    "every_other": (Of(lambda m, x: x[:, :, ::2]), "step 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    module, words = REFUSED[name]
    refused(module, words)


def test_what_cannot_be_exported_is_one_line(capfd):
    def branches(m, x):
        return x if x.sum() > 0 else -x

    refusal = refused(Of(branches), "cannot be exported")
    assert re.match(r"Of cannot be exported: \w+: .", refusal.lines[0])
    assert len(refusal.lines) == 1
    assert "\n" not in refusal.lines[0]
    refused(nn.Sequential(nn.Conv2d(3, 2, 1)), "cannot be exported")  # for images of 4 channels
    assert capfd.readouterr() == ("", "")  # PyTorch would print its graph and warnings
    assert logging.root.manager.disable == logging.NOTSET


def test_modes_of_the_module_stay():
    module = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(4).eval())
    read(module, (4, 4, 4))
    assert [part.training for part in module.modules()] == [True, True, False]


# -- one pixel of each block ----------------------------------------------------------------------


def blocks(x, order, step=2):
    return torch.cat([x[..., i::step, j::step] for i, j in order], 1)


FOCUS = [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_pixels_of_blocks_one_after_the_other():
    """As YOLO's first layer has them, in an order that is not ours."""
    network = agreed(Of(lambda m, x: m.c(blocks(x, FOCUS)), c=nn.Conv2d(16, 3, 1)))
    assert kinds(network).count("space_to_depth") == 1
    starts = [layer.op.start for layer in network.layers if layer.op.name == "channel_slice"]
    assert starts == [0, 8, 4, 12]
    found = recover(network, "focus")
    assert found.text.count("space_to_depth") == 1
    assert not match(of_spec(found.analysis), network).differences


def test_pixels_of_blocks_in_our_order_are_one_op():
    ours = [(0, 0), (0, 1), (1, 0), (1, 1)]
    network = agreed(Of(lambda m, x: blocks(x, ours)))
    assert recover(network, "ours").text.endswith("graph:\n- {space_to_depth: 2}\n")
    thirds = agreed(Of(lambda m, x: x[:, :, 2::3, 1::3].relu()), (9, 6, 4))
    assert kinds(thirds) == ["space_to_depth", "channel_slice", "relu"]
    columns_first = agreed(Of(lambda m, x: x[..., 1::2][..., ::2, :]))
    assert columns_first.layers[-1].op.start == 4


STRIDED = {
    "rows alone": (lambda m, x: x[..., ::2, :], "the output output0 is of a slice with step 2"),
    "rows alone, used": (lambda m, x: x[..., ::2, :].relu(), "of a slice with step 2"),
    "two steps": (lambda m, x: x[..., ::2, ::3].relu(), "with step 3 of one with step 2"),
    "rows twice": (lambda m, x: x[..., ::2, :][..., ::2, :].relu(), "slice"),
    "channels": (lambda m, x: x[:, ::2].relu(), "with step 2 along axis 1"),
    "no whole blocks": (lambda m, x: x[..., ::5, ::5].relu(), "with step 5 along axis 2"),
    "not to the end": (lambda m, x: x[..., :4:2, ::2].relu(), "with step 2 along axis 2"),
    "narrowed": (lambda m, x: x[..., ::2, :].narrow(3, 0, 2).relu(), "of a slice with step 2"),
}


@pytest.mark.parametrize("case", STRIDED)
def test_other_steps_are_refused(case):
    run, words = STRIDED[case]
    refused(Of(run), words)


def test_writing_into_pixels_of_blocks_is_not_forgotten():
    def written(m, x):
        y = x * 2
        y[..., ::2, ::2] += 1
        return y

    def written_before(m, x):
        y = x * 2
        part = y[..., ::2, ::2]
        y.mul_(3)
        return part.relu()

    refused(Of(written), "")
    refused(Of(written_before), "")
