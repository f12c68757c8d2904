"""Ordinary ways to write an op in PyTorch, and which op of ours each is."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xgraph.importing.authored import remarks
from xgraph.importing.network import Refused
from xgraph.importing.normal import normalize
from xgraph.importing.readers.torch import read

from .test_torch_reader import Of, agreed, kinds, refused

ROWS, COLUMNS, CHANNELS, UNITS = 8, 6, 4, 5  # of the images, and of a layer
PIXELS = ROWS * COLUMNS


def weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


def mean(x: torch.Tensor) -> torch.Tensor:
    return x.mean((2, 3))


def shared(m, x):
    """A mean that two read, once where it is whole and once times how many there are."""
    total = x.sum((2, 3))
    return total / PIXELS + total


#: Of the whole image, by the op that they are.
POOLED = {
    "global_avg_pool": {
        "in_turn": lambda m, x: x.mean(-1).mean(-1),
        "rows_first": lambda m, x: x.mean(2).mean(2),
        "columns_first": lambda m, x: x.mean(3).mean(2),
        "kept": lambda m, x: x.mean(2, keepdim=True).mean(3, keepdim=True),
        "kept_once": lambda m, x: x.mean(3, keepdim=True).mean((2, 3)),
        "from_behind": lambda m, x: torch.mean(x, dim=[-2, -1]),
        "flat": lambda m, x: x.view(x.size(0), x.size(1), -1).mean(-1),
        "sum": lambda m, x: x.sum((2, 3)) / (x.shape[2] * x.shape[3]),
        "sum_kept": lambda m, x: x.sum(dim=(-1, -2), keepdim=True) / PIXELS,
        "sum_in_turn": lambda m, x: x.sum(3).sum(2).div(PIXELS),
        "sum_and_mean": lambda m, x: x.sum(3).mean(2) / COLUMNS,
        "sum_divided_on_the_way": lambda m, x: (x.sum(3) / COLUMNS).sum(2) / ROWS,
        "sum_times_a_part": lambda m, x: x.sum((2, 3)) * (1 / PIXELS),
        "sum_in_place": lambda m, x: x.sum((2, 3)).div_(PIXELS),
        "einsum": lambda m, x: torch.einsum("nchw->nc", x) / PIXELS,
        "window": lambda m, x: F.avg_pool2d(x, x.size()[2:]).view(x.size(0), -1),
        "entry": lambda m, x: F.adaptive_avg_pool2d(x, (1, 1))[:, :, 0, 0],
        "entry_behind": lambda m, x: F.adaptive_avg_pool2d(x, 1)[..., 0, 0],
        "squeezed": lambda m, x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1),
        "squeezed_all": lambda m, x: F.adaptive_avg_pool2d(x, 1).squeeze(),
        "flattened": lambda m, x: torch.flatten(F.adaptive_avg_pool2d(x, 1), 1),
        "reshaped": lambda m, x: F.adaptive_avg_pool2d(x, 1).reshape(x.shape[0], -1),
    },
    "global_max_pool": {
        "in_turn": lambda m, x: x.max(3)[0].max(2)[0],
        "values": lambda m, x: x.max(-1).values.max(-1).values,
        "flat": lambda m, x: x.flatten(2).max(-1)[0],
        "amax": lambda m, x: x.amax((2, 3)),
        "amax_in_turn": lambda m, x: x.amax(2).amax(2),
        "window": lambda m, x: F.max_pool2d(x, x.shape[2:]).flatten(1),
    },
}
WHOLE = [(op, name) for op, found in POOLED.items() for name in found]


def steps(network) -> list[str]:
    """The ops of a network in normal form, as far as its output needs them."""
    normal = normalize(network)
    todo, seen = [end for _, end in normal.outputs], set()
    while todo:
        place = todo.pop()
        if place not in seen:
            seen.add(place)
            todo += normal.units[place].inputs
    return [normal.units[place].kind for place in sorted(seen - {0})]


@pytest.mark.parametrize(("op", "name"), WHOLE, ids="-".join)
def test_pooled_over_the_whole_image(op, name):
    assert steps(agreed(Of(POOLED[op][name]))) == [op]


def test_a_sum_over_all_pixels_is_a_mean_times_how_many_there_are():
    assert kinds(agreed(Of(lambda m, x: x.sum((2, 3))))) == ["global_avg_pool", "rescale"]
    assert kinds(agreed(Of(shared))).count("rescale") == 1


PARTLY = {
    "mean": lambda m, x: x.mean(-1),
    "mean_kept": lambda m, x: x.mean(2, keepdim=True) + x,
    "sum": lambda m, x: x.sum(3) / COLUMNS,
    "max": lambda m, x: x.max(2)[0],
    "maximum_of_means": lambda m, x: x.mean(3).amax(2),
    "mean_of_maxima": lambda m, x: x.amax(3).mean(2),
    "mean_of_channels": lambda m, x: x.mean(1, keepdim=True) * x,
    "mean_of_halves": lambda m, x: x[..., :3].mean(-1) + x[..., 3:].mean(-1),
    "mean_of_all": lambda m, x: x.mean(),
}


@pytest.mark.parametrize("name", PARTLY)
def test_a_mean_over_one_axis_is_none_over_the_image(name):
    refused(Of(PARTLY[name]))


#: A dense layer with weights of one's own, and what they are.
DENSE = {
    "transposed": (lambda m, x: mean(x) @ m.w.T + m.b, (UNITS, CHANNELS)),
    "t": (lambda m, x: mean(x).matmul(m.w.t()) + m.b, (UNITS, CHANNELS)),
    "plain": (lambda m, x: mean(x) @ m.w + m.b, (CHANNELS, UNITS)),
    "bias_first": (lambda m, x: m.b + torch.mm(mean(x), m.w), (CHANNELS, UNITS)),
    "bias_in_place": (lambda m, x: (mean(x) @ m.w).add_(m.b), (CHANNELS, UNITS)),
    "bias_of_a_row": (lambda m, x: mean(x) @ m.w + m.b[None], (CHANNELS, UNITS)),
    "addmm": (lambda m, x: torch.addmm(m.b, mean(x), m.w), (CHANNELS, UNITS)),
    "addmm_t": (lambda m, x: torch.addmm(m.b, mean(x), m.w.t()), (UNITS, CHANNELS)),
    "linear": (lambda m, x: F.linear(mean(x), m.w, m.b), (UNITS, CHANNELS)),
    "linear_t": (lambda m, x: F.linear(mean(x), m.w.mT, m.b), (CHANNELS, UNITS)),
    "linear_of_pixels": (
        lambda m, x: F.linear(mean(x), m.w.squeeze(-1).squeeze(-1), m.b),
        (UNITS, CHANNELS, 1, 1),
    ),
    "linear_of_entries": (
        lambda m, x: F.linear(mean(x), m.w[:, :, 0, 0], m.b),
        (UNITS, CHANNELS, 1, 1),
    ),
    "linear_of_flat": (
        lambda m, x: F.linear(x.flatten(1), m.w.flatten(1), m.b),
        (UNITS, CHANNELS, ROWS, COLUMNS),
    ),
    "einsum": (lambda m, x: torch.einsum("bi,oi->bo", mean(x), m.w) + m.b, (UNITS, CHANNELS)),
    "einsum_first": (
        lambda m, x: torch.einsum("io, ...i -> ...o", m.w, mean(x)) + m.b,
        (CHANNELS, UNITS),
    ),
    "einsum_by_itself": (lambda m, x: torch.einsum("bi,io", mean(x), m.w) + m.b, (CHANNELS, UNITS)),
}


@pytest.mark.parametrize("name", DENSE)
def test_a_dense_layer(name):
    run, shape = DENSE[name]
    found = steps(agreed(Of(run, w=weight(*shape), b=weight(UNITS))))
    assert found[-1] == "dense"
    assert set(found[:-1]) <= {"global_avg_pool", "flatten"}


#: A 1×1 convolution, likewise.
POINTWISE = {
    "einsum": (
        lambda m, x: torch.einsum("bchw,oc->bohw", x, m.w) + m.b[:, None, None],
        (UNITS, CHANNELS),
    ),
    "einsum_first": (
        lambda m, x: torch.einsum("co,bchw->bohw", m.w, x) + m.b.view(1, -1, 1, 1),
        (CHANNELS, UNITS),
    ),
    "einsum_last": (
        lambda m, x: (torch.einsum("bchw,oc->bhwo", x, m.w) + m.b).permute(0, 3, 1, 2),
        (UNITS, CHANNELS),
    ),
    "pixels": (
        lambda m, x: (
            (x.flatten(2).transpose(1, 2) @ m.w.T + m.b).transpose(1, 2).reshape(-1, UNITS, 8, 6)
        ),
        (UNITS, CHANNELS),
    ),
    "channels_first": (
        lambda m, x: (m.w @ x.flatten(2) + m.b[:, None]).view(-1, UNITS, ROWS, COLUMNS),
        (UNITS, CHANNELS),
    ),
    "conv": (lambda m, x: F.conv2d(x, m.w[:, :, None, None], m.b), (UNITS, CHANNELS)),
    "conv_viewed": (
        lambda m, x: F.conv2d(x, m.w.view(UNITS, CHANNELS, 1, 1), m.b),
        (UNITS, CHANNELS),
    ),
    "conv_and_bias": (
        lambda m, x: F.conv2d(x, m.w) + m.b.reshape(1, UNITS, 1, 1),
        (UNITS, CHANNELS, 1, 1),
    ),
    "moved": (
        lambda m, x: F.linear(x.movedim(1, -1), m.w, m.b).movedim(-1, 1),
        (UNITS, CHANNELS),
    ),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_a_convolution_of_single_pixels(name):
    run, shape = POINTWISE[name]
    module = Of(run, w=weight(*shape), b=weight(UNITS))
    assert steps(agreed(module)) == ["conv"]


def bias_of_what_is_read(m, x):
    y = F.conv2d(x, m.w)
    return (y + m.b[:, None, None]) * y


def test_a_bias_is_one_where_nothing_else_reads_what_it_is_added_to():
    parts = {"w": weight(UNITS, CHANNELS, 1, 1), "b": weight(UNITS)}
    refused(Of(bias_of_what_is_read, **parts), "learned tensor")
    refused(Of(lambda m, x: F.conv2d(x, m.w).relu() + m.b[:, None, None], **parts), "learned")
    refused(Of(lambda m, x: [F.conv2d(x, m.w), F.conv2d(x, m.w) + m.b.sum()], **parts))


ENTRIES = {
    "relu": {
        "maximum": lambda m, x: torch.maximum(x, torch.tensor(0.0, dtype=x.dtype)),
        "maximum_first": lambda m, x: torch.maximum(torch.zeros_like(x), x),
        "max": lambda m, x: torch.max(x, torch.zeros_like(x)),
        "max_of_new": lambda m, x: torch.max(x, x.new_zeros(1)),
        "fmax": lambda m, x: torch.fmax(x, torch.zeros_like(x)),
        "clamp": lambda m, x: torch.clamp(x, min=0),
        "clamp_in_place": lambda m, x: x.clone().clamp_(min=0.0),
        "clamp_tensor": lambda m, x: torch.clamp(x, min=torch.zeros((), dtype=x.dtype)),
        "clip": lambda m, x: x.clip(0),
        "clamp_min": lambda m, x: x.clamp_min(0),
        "leaky": lambda m, x: F.leaky_relu(x, 0.0),
        "relu_in_place": lambda m, x: torch.relu_(x.clone()),
        "threshold": lambda m, x: F.threshold(x, 0, 0),
        "where": lambda m, x: torch.where(x > 0, x, 0),
        "where_zeros": lambda m, x: torch.where(x >= 0, x, torch.zeros_like(x)),
        "where_below": lambda m, x: torch.where(x < 0, torch.zeros_like(x), x),
        "where_not": lambda m, x: torch.where(~(x <= 0), x, 0.0),
        "where_backwards": lambda m, x: x.where(x > 0, 0.0),
        "times": lambda m, x: x * (x > 0),
        "times_numbers": lambda m, x: (x > 0).to(x.dtype) * x,
        "masked": lambda m, x: x.masked_fill(x < 0, 0),
        "masked_not": lambda m, x: x.masked_fill(~(x > 0), 0.0),
    },
    "relu6": {
        "clamp": lambda m, x: x.clamp(0, 6),
        "clamp_in_turn": lambda m, x: torch.clamp_max(torch.clamp_min(x, 0), 6.0),
        "relu_clamped": lambda m, x: F.relu(x).clamp(max=6),
        "minimum": lambda m, x: torch.minimum(F.relu(x), torch.tensor(6.0, dtype=x.dtype)),
        "hardtanh": lambda m, x: F.hardtanh(x, 0, 6),
    },
    "leaky_relu": {
        "where": lambda m, x: torch.where(x > 0, x, 0.1 * x),
        "where_below": lambda m, x: torch.where(x < 0, x * 0.1, x),
    },
    "silu": {
        "product": lambda m, x: x * torch.sigmoid(x),
        "product_first": lambda m, x: x.sigmoid() * x,
        "product_in_place": lambda m, x: x.clone().mul_(x.sigmoid()),
        "expit": lambda m, x: x * torch.special.expit(x),
    },
    "mish": {
        "product": lambda m, x: x * torch.tanh(F.softplus(x)),
        "product_in_place": lambda m, x: x.clone().mul_(F.softplus(x).tanh()),
    },
    "gelu": {
        "half_first": lambda m, x: 0.5 * x * (1 + torch.erf(x / math.sqrt(2))),
        "half_behind": lambda m, x: x * 0.5 * (1.0 + torch.erf(x / 2**0.5)),
        "half_last": lambda m, x: x * (1 + torch.erf(x * 0.5**0.5)) / 2,
        "half_of_probability": lambda m, x: x * (0.5 * (torch.erf(x / math.sqrt(2)) + 1)),
    },
    "hard_swish": {
        "relu6": lambda m, x: x * F.relu6(x + 3) / 6,
        "clamp": lambda m, x: x * (x + 3).clamp(0, 6) / 6,
    },
}
EACH = [(op, name) for op, found in ENTRIES.items() for name in found]


@pytest.mark.parametrize(("op", "name"), EACH, ids="-".join)
def test_entries_by_themselves(op, name):
    assert steps(agreed(Of(ENTRIES[op][name]))) == [op]


OTHERS = {
    "another_number": lambda m, x: torch.maximum(x, torch.ones_like(x)),
    "another_threshold": lambda m, x: F.threshold(x, 0.1, 0.0),
    "another_value": lambda m, x: torch.where(x > 0, x, 1.0),
    "above_one": lambda m, x: torch.where(x > 1, x, 0.0),
    "of_another": lambda m, x: torch.where(x.tanh() > 0, x, 0.0),
    "turned_round": lambda m, x: torch.where(x > 0, 0.0, x),
    "masked_above": lambda m, x: x.masked_fill(x > 0, 0),
    "times_below": lambda m, x: x * (x < 0),
    "times_another": lambda m, x: x.tanh() * (x > 0),
    "a_part_of_another": lambda m, x: torch.where(x > 0, x, 0.1 * x.tanh()),
    "steps": lambda m, x: (x > 0).to(x.dtype),
    "minimum_of_two": lambda m, x: torch.minimum(x, x.tanh()),
    "several_numbers": lambda m, x: torch.maximum(x, torch.arange(6.0, dtype=x.dtype)),
    "below_six": lambda m, x: x.clamp(max=6),
    "softplus": lambda m, x: F.softplus(x),
    "mish_of_another": lambda m, x: x.tanh() * torch.tanh(F.softplus(x)),
    "sharper_mish": lambda m, x: x * torch.tanh(F.softplus(x, beta=2)),
    "half_of_erf": lambda m, x: 0.5 * (1 + torch.erf(x / math.sqrt(2))),
    "whole_gelu": lambda m, x: x * (1 + torch.erf(x / math.sqrt(2))),
    "gelu_of_two": lambda m, x: 0.5 * x * (2 + torch.erf(x / math.sqrt(2))),
    "nearly_gelu": lambda m, x: 0.5 * x * (1 + torch.erf(x / 1.4142)),
    "gelu_of_another": lambda m, x: 0.5 * x.tanh() * (1 + torch.erf(x / math.sqrt(2))),
    "two_by_gelu": lambda m, x: 0.5 / (1 + torch.erf(x / math.sqrt(2))) * x,
    "counted": lambda m, x: x / torch.ones_like(x).cumsum(1),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_nearly_an_op_of_entries_is_none(name):
    refused(Of(OTHERS[name]))


#: Parts of a tensor, in their order again.
SAME = {
    "chunks": lambda m, x: torch.cat(torch.chunk(x, 2, 1), 1),
    "split": lambda m, x: torch.cat(torch.split(x, [1, 3], dim=1), dim=-3),
    "split_evenly": lambda m, x: torch.cat(x.split(1, 1), 1),
    "slices": lambda m, x: torch.cat([x[:, :1], x[:, 1:3], x[:, 3:]], 1),
    "rows": lambda m, x: torch.cat(x.split([3, 5], 2), 2),
    "columns": lambda m, x: torch.cat(x.chunk(3, -1), -1),
    "tensor_split": lambda m, x: torch.cat(torch.tensor_split(x, 2, dim=1), 1),
    "hsplit": lambda m, x: torch.hstack(torch.hsplit(x, 2)),
    "narrow": lambda m, x: torch.cat([x.narrow(1, 0, 2), x.narrow(1, 2, 2)], 1),
    "moved": lambda m, x: torch.cat(x.permute(0, 2, 3, 1).chunk(2, 3), 3).permute(0, 3, 1, 2),
}


@pytest.mark.parametrize("name", SAME)
def test_parts_in_their_order_are_the_whole(name):
    network = agreed(Of(SAME[name]))
    assert network.outputs[0][1] == 0
    assert steps(network) == []


def rows_as_columns(m, x):
    """Rows side by side, where there is but one column."""
    return torch.cat(x[..., :1].split(1, 2), 3)


PARTS = {
    "turned": lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "twice": lambda m, x: torch.cat([*x.chunk(2, 1), *x.chunk(2, 1)], 1),
    "one": lambda m, x: torch.cat([x[:, :2], x[:, 2:3]], 1),
    "of_two": lambda m, x: torch.cat([x[:, :2], x.tanh()[:, 2:]], 1),
    "not_all": lambda m, x: torch.cat([x[:, 1:2], x[:, 2:]], 1),
    "glu": lambda m, x: F.glu(x, 1),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_in_another_order_are_not(name):
    network = agreed(Of(PARTS[name]))
    assert "channel_slice" in steps(network)


def test_rows_in_another_order_are_refused():
    refused(Of(lambda m, x: torch.cat(x.chunk(2, 2)[::-1], 2)), "not over the channels")
    refused(Of(lambda m, x: torch.cat([x[:, :, :3], x[:, :, 4:]], 2)), "not over the channels")


def test_rows_side_by_side_are_columns():
    """Which an output may not be, but what is between."""
    refused(Of(rows_as_columns), "axes (n, c, 1, h), which are not ours")
    pooled = Of(lambda m, x: rows_as_columns(m, x).amax((2, 3)))
    network = read(pooled, (ROWS, COLUMNS, CHANNELS))
    assert kinds(network)[-2:] == ["crop", "global_max_pool"]


FLAT = {
    "flatten": lambda m, x: m.l(x.flatten(1)),
    "view": lambda m, x: m.l(x.view(x.size(0), -1)),
    "reshape": lambda m, x: m.l(x.reshape(x.shape[0], -1)),
    "view_of_all": lambda m, x: m.l(x.view(-1, CHANNELS * PIXELS)),
    "contiguous": lambda m, x: m.l(x.contiguous().view(len(x), -1)),
    "by_an_entry": lambda m, x: m.l(x.view(x.size(0), x[0].numel())),
    "torch_flatten": lambda m, x: m.l(torch.flatten(x, start_dim=1, end_dim=-1)),
}


@pytest.mark.parametrize("name", FLAT)
def test_flattened(name):
    module = Of(lambda m, x: FLAT[name](m, x.contiguous()), l=nn.Linear(CHANNELS * PIXELS, 3))
    assert kinds(agreed(module)) == ["flatten", "dense"]


TWO = {
    "add": {
        "alpha": lambda m, x: torch.add(x.relu(), x, alpha=0.5),
        "sum": lambda m, x: sum([x, x.relu()]),
        "in_place": lambda m, x: x.relu().add_(x),
        "addcmul": lambda m, x: torch.addcmul(x, x.relu(), x.tanh()),
        "stack": lambda m, x: torch.stack([x, x.relu()]).sum(0),
    },
    "average": {"stack": lambda m, x: torch.stack([x, x.relu()]).mean(0)},
    "maximum": {
        "max": lambda m, x: torch.max(x, x.tanh()),
        "stack": lambda m, x: torch.stack([x, x.tanh()]).max(0)[0],
        "stack_amax": lambda m, x: torch.stack([x, x.tanh()], 1).amax(1),
    },
}


@pytest.mark.parametrize(
    ("op", "name"), [(op, name) for op, found in TWO.items() for name in found], ids="-".join
)
def test_of_two(op, name):
    assert kinds(agreed(Of(TWO[op][name])))[-1] == op


def test_factors_and_biases_of_ones_own():
    parts = {"g": weight(CHANNELS), "b": weight(CHANNELS)}

    def affine(m, x):
        return x * m.g.view(1, -1, 1, 1) + m.b[None, :, None, None]

    assert kinds(agreed(Of(affine, **parts))) == ["depthwise_conv"]
    expanded = Of(lambda m, x: x * m.g[:, None, None].expand_as(x), **parts)
    assert kinds(read(expanded, (ROWS, COLUMNS, CHANNELS))) == ["scale"]
    inner = {"g": weight(CHANNELS, 1, 1), "b": weight(CHANNELS, 1, 1)}
    assert kinds(agreed(Of(lambda m, x: torch.addcmul(m.b, x, m.g), **inner)))[-1] != "scale"


# -- logarithms of probabilities -------------------------------------------------------------------

LOGARITHMS = {
    "function": lambda m, x: F.log_softmax(m.l(mean(x)), dim=1),
    "method": lambda m, x: m.l(mean(x)).log_softmax(-1),
    "of_a_softmax": lambda m, x: torch.log(F.softmax(m.l(mean(x)), 1)),
}


@pytest.mark.parametrize("name", LOGARITHMS)
def test_a_network_that_ends_in_logarithms_of_probabilities(name):
    network = agreed(Of(LOGARITHMS[name], l=nn.Linear(CHANNELS, UNITS)))
    assert steps(network) == ["global_avg_pool", "dense"]
    assert "log_softmax at the end is left out: what comes out are logits" in remarks(network)


def test_logarithms_elsewhere_are_refused():
    refused(Of(lambda m, x: F.log_softmax(x, 1).relu()), "log_softmax before the end")
    refused(Of(lambda m, x: F.log_softmax(x, 2)), "not over the channels")
    refused(Of(lambda m, x: x.relu().log()), "of other than a softmax")


# -- casts ----------------------------------------------------------------------------------------


def test_casts_between_precise_numbers_are_nothing():
    for cast in (lambda m, x: m.c(x.float()), lambda m, x: m.c(x.to(torch.float32)).double()):
        assert kinds(read(Of(cast, c=nn.Conv2d(4, 3, 1)), (8, 6, 4))) == ["conv"]
    with pytest.raises(Refused, match="float16"):
        read(Of(lambda m, x: x.half().float()), (8, 6, 4))
    with pytest.raises(Refused, match="int64"):
        read(Of(lambda m, x: x.long().float()), (8, 6, 4))


# -- attention ------------------------------------------------------------------------------------


class ByLetters(nn.Module):
    """Attention as it is written with `einsum`."""

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.heads, self.qkv = heads, nn.Linear(CHANNELS, 3 * CHANNELS)

    def forward(self, x):
        n, c, h, w = x.shape
        parts = self.qkv(x.flatten(2).transpose(1, 2)).chunk(3, dim=-1)
        q, k, v = (one.reshape(n, h * w, self.heads, -1) for one in parts)
        scores = torch.einsum("bihd,bjhd->bhij", q, k) * (c // self.heads) ** -0.5
        made = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v)
        return made.reshape(n, h * w, c).transpose(1, 2).reshape(n, c, h, w)


def test_attention_by_letters():
    assert "heads_attention" in kinds(agreed(ByLetters()))
