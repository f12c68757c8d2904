"""Attention and position embeddings as sources write them: values, weights, and what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from xgraph import interpreter
from xgraph.compile import analyse
from xgraph.importing.equal import match
from xgraph.importing.network import Refused, of_spec
from xgraph.importing.readers.keras import KerasModel
from xgraph.importing.readers.keras import read as read_keras
from xgraph.importing.readers.torch import read
from xgraph.importing.readers.torch_program import BATCH
from xgraph.importing.recover import recover
from xgraph.importing.sources import of_object
from xgraph.importing.sources.torch import TorchModule
from xgraph.importing.weights import give, take
from xgraph.interpreter import weight_shapes

from .evaluate import distance, run
from .test_onnx_reader import Graph, check
from .test_onnx_reader import refused as refused_onnx
from .test_torch_reader import Of, agreed, kinds, randomized, refused

HEADS, SIZE = 2, 3


class Attention(nn.Module):
    """As timm writes it; `core` is what becomes of queries, keys and values (N, heads, L, size)."""

    def __init__(self, core, channels: int = 4, bias: bool = True) -> None:
        super().__init__()
        self.core = core
        self.qkv = nn.Linear(channels, 3 * HEADS * SIZE, bias=bias)
        self.proj = nn.Linear(HEADS * SIZE, channels, bias=bias)

    def forward(self, x):
        n, length, _ = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, HEADS, SIZE).permute(2, 0, 3, 1, 4)
        x = self.core(*qkv.unbind(0))
        return self.proj(x.transpose(1, 2).reshape(n, length, HEADS * SIZE))


class Vit(nn.Module):
    """A patch embedding, positions, one attention, and a head."""

    def __init__(self, attention: nn.Module, shape=(1, 12, 4)) -> None:
        super().__init__()
        self.patches = nn.Conv2d(4, 4, 2, stride=2)
        self.positions = nn.Parameter(torch.zeros(shape))
        self.attention = attention
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
        return self.head((x + self.attention(x)).mean(1))


SPEC = """\
xgraph: 1
name: one
input: {shape: [8, 6, 4]}
params: {heads: 2, bias: true}
graph:
- [{conv: {filters: 4, kernel: 2, stride: 2}}, position_embedding]
- {residual: {attention: {heads: $heads, head_size: 3, bias: $bias}}}
- [global_avg_pool, {dense: 5}]
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(SPEC)
    return str(path)


def softmax_by_hand(q, k, v, scale=SIZE**-0.5):
    return (q * scale @ k.transpose(-2, -1)).softmax(-1) @ v


CORES = {
    "one operation": F.scaled_dot_product_attention,
    "queries scaled": softmax_by_hand,
    "keys scaled": lambda q, k, v: (q @ (k / math.sqrt(SIZE)).mT).softmax(-1) @ v,
    "scores scaled": lambda q, k, v: (q @ k.mT / SIZE**0.5).softmax(-1) @ v,
    "both scaled": lambda q, k, v: ((q * SIZE**-0.25) @ (k * SIZE**-0.25).mT).softmax(-1) @ v,
    "scaled twice": lambda q, k, v: F.scaled_dot_product_attention(q / SIZE**0.5, k, v, scale=1.0),
    "with dropout": lambda q, k, v: F.dropout((q @ k.mT * 3**-0.5).softmax(-1), 0.1, False) @ v,
}


@pytest.mark.parametrize("core", CORES)
def test_all_ways_are_the_attention_of_a_spec(core, spec):
    module = Vit(Attention(CORES[core]))
    agreed(module)
    analysis = analyse(spec)
    carried = take(analysis, TorchModule(module))
    assert carried.arrays.keys() == weight_shapes(analysis.graph, analysis.types).keys()
    assert carried.notes == []
    query, key, _ = module.attention.qkv.weight.detach().numpy().reshape(3, 6, 4)
    assert np.array_equal(carried.arrays["attention.query_kernel"], query.T)
    assert np.array_equal(carried.arrays["attention.key_kernel"], key.T)
    embedding = carried.arrays["position_embedding.embedding"]
    assert np.array_equal(embedding.reshape(12, 4), module.positions.detach().numpy()[0])
    back = give(analysis, carried.arrays, TorchModule(module)).arrays
    state = module.state_dict()
    assert back.keys() == state.keys()
    assert all(np.array_equal(back[name], state[name].numpy()) for name in back)


class Separate(nn.Module):
    """A layer for each of queries, keys and values, and heads in the axis of the batch."""

    def __init__(self, keys_of=lambda x: x, chunks: bool = False) -> None:
        super().__init__()
        self.keys_of, self.chunks = keys_of, chunks
        self.q, self.k, self.v = (nn.Linear(4, 6) for _ in range(3))
        self.qkv = nn.Linear(4, 18)
        self.proj = nn.Linear(6, 4)

    def forward(self, x):
        n, length, _ = x.shape
        other = self.keys_of(x)
        parts = (
            self.qkv(x).chunk(3, -1) if self.chunks else (self.q(x), self.k(other), self.v(other))
        )
        q, k, v = (
            part.view(n, length, HEADS, SIZE).transpose(1, 2).reshape(n * HEADS, length, SIZE)
            for part in parts
        )
        y = torch.bmm(torch.bmm(q, k.transpose(1, 2)).mul(SIZE**-0.5).softmax(2), v)
        return self.proj(y.reshape(n, HEADS, length, SIZE).transpose(1, 2).reshape(n, length, 6))


@pytest.mark.parametrize("chunks", [False, True])
def test_layers_of_their_own_and_heads_in_the_batch(chunks, spec):
    module = Vit(Separate(chunks=chunks))
    agreed(module)
    assert len(take(analyse(spec), TorchModule(module)).arrays) == 13


def test_pytorchs_own_layer(tmp_path):
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x):
            return self.inner(x, x, x, need_weights=False)[0]

    module = Vit(Own())
    agreed(module)
    path = tmp_path / "own.yaml"
    path.write_text(SPEC.replace("head_size: 3", "head_size: 2"))
    assert len(take(analyse(str(path)), TorchModule(module)).arrays) == 13


def test_a_part_of_what_is_one_weight_is_not_written(spec):
    module = randomized(Vit(Attention(softmax_by_hand)))
    analysis = analyse(spec)
    arrays = take(analysis, TorchModule(module)).arrays
    with pytest.raises(Refused, match=r"only a part of attention\.qkv\.weight"):
        give(analysis, arrays, TorchModule(module), ["attention.query_kernel"])
    left = take(analysis, TorchModule(module), ["attention.query_kernel"])
    assert left.left == ["attention.query_kernel"]


def causal(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def masked(q, k, v):
    mask = torch.ones(12, 12, dtype=torch.bool).tril()
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def normed(q, k, v):
    return softmax_by_hand(F.layer_norm(q, (SIZE,)), F.layer_norm(k, (SIZE,)), v)


REFUSED = {
    "causal": (causal, "is_causal True"),
    "a mask": (masked, "with a mask"),
    "a mask by hand": (
        lambda q, k, v: (q @ k.mT / 2).masked_fill(torch.ones(12, 12).triu() > 0, -9.0).softmax(-1)
        @ v,
        "masked_fill",
    ),
    "a mask that is added": (
        lambda q, k, v: (q @ k.mT / 2 + torch.ones(12, 12).triu()).softmax(-1) @ v,
        "changes scores of attention",
    ),
    "dropout in evaluation": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.1),
        "drops in evaluation too",
    ),
    "dropout in evaluation by hand": (
        lambda q, k, v: F.dropout((q @ k.mT / 2).softmax(-1), 0.1, True) @ v,
        "drops in evaluation too",
    ),
    "norms of queries and keys": (normed, "layer_norm"),
    "no softmax": (lambda q, k, v: q @ k.mT @ v, "of scores without softmax"),
    "two of them": (
        lambda q, k, v: (q @ k.mT).softmax(-1).softmax(-1) @ v,
        "softmax.int over axis -1 of scores of attention",
    ),
    "over queries": (lambda q, k, v: (q @ k.mT).softmax(-2) @ v, "over axis -2 of scores"),
    "shares are changed": (lambda q, k, v: ((q @ k.mT).softmax(-1) * 2) @ v, "changes scores"),
    "sigmoid": (lambda q, k, v: (q @ k.mT).sigmoid() @ v, "of scores of attention"),
    "over channels": (lambda q, k, v: ((q.mT @ k).softmax(-1) @ v.mT).mT, "read are heads"),
    "over heads": (
        lambda q, k, v: softmax_by_hand(*(x.transpose(1, 2) for x in (q, k, v))).transpose(1, 2),
        "read are heads of one size",
    ),
    "keys that are queries' transposes": (lambda q, k, v: (q @ k).softmax(-1) @ v, "export"),
    "one key for all heads": (lambda q, k, v: softmax_by_hand(q, k[:, :1], v), "read are heads"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    core, words = REFUSED[case]
    refused(Vit(Attention(core)), words)


def test_another_scale_is_a_difference(spec):
    module = Vit(Attention(lambda q, k, v: softmax_by_hand(q, k, v, 0.5)))
    agreed(module)
    with pytest.raises(Refused, match=r"scale 0\.57735 here, 0\.5 there"):
        take(analyse(spec), TorchModule(module))


@pytest.mark.parametrize(
    ("setting", "reason"), [("heads=3", "heads 3 here, 2 there"), ("bias=false", "bias false here")]
)
def test_other_heads_are_a_difference(setting, reason, spec):
    module = randomized(Vit(Attention(softmax_by_hand)))
    with pytest.raises(Refused, match=reason):
        take(analyse(spec, [setting]), TorchModule(module))


def test_attention_to_another_tensor_is_a_difference(spec):
    module = Vit(Separate(keys_of=torch.tanh))
    agreed(module)
    with pytest.raises(Refused, match="behind it the source has tanh"):
        take(analyse(spec), TorchModule(module))


def test_queries_keys_and_values_in_another_order_are_no_secret(spec):
    """What is what is said by the operations, not by places in a weight."""
    module = Vit(Attention(lambda v, k, q: softmax_by_hand(q, k, v)))
    agreed(module)
    arrays = take(analyse(spec), TorchModule(module)).arrays
    third = module.attention.qkv.weight.detach().numpy()[12:]
    assert np.array_equal(arrays["attention.query_kernel"], third.T)


def test_a_segment_of_a_grouped_convolution_stays_one():
    grouped = nn.Conv2d(4, 18, 1, groups=2)
    core = Attention(softmax_by_hand)
    core.qkv = nn.Identity()

    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.core = grouped, core

        def forward(self, x):
            return self.core(self.conv(x).flatten(2).transpose(1, 2)).mean(1)

    network = agreed(Grouped())
    assert "heads_attention" in kinds(network)
    found = match(network, network)
    assert found.differences == []


# -- as a spec says it ----------------------------------------------------------------------------


def as_spec(module, shape=(8, 6, 4)):
    """The text of a module's spec, which computes what the module does, with its weights."""
    network = agreed(module, shape)
    found = recover(network, "again")
    assert match(of_spec(found.analysis), network).differences == []
    arrays = take(found.analysis, TorchModule(module)).arrays
    images = np.random.default_rng(5).uniform(-2, 2, (2, *shape))
    graph = found.analysis.graph
    made = interpreter.run(graph, images, arrays)[graph.outputs[0].node]
    with torch.no_grad():
        wanted = module(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    assert np.abs(made - wanted).max() <= 1e-12 * np.abs(wanted).max()
    return found.text


SMALL = """\
graph:
- [{conv: {filters: 4, kernel: 2, stride: 2}}, position_embedding]
- {residual: {attention: {heads: 2, head_size: 3}}}
- [global_avg_pool, {dense: $classes, name: classifier}]
"""


@pytest.mark.parametrize("core", CORES)
def test_all_ways_are_put_together_again(core):
    assert as_spec(Vit(Attention(CORES[core]))).endswith(SMALL)


@pytest.mark.parametrize("chunks", [False, True])
def test_layers_of_their_own_are_put_together_again(chunks):
    assert as_spec(Vit(Separate(chunks=chunks))).endswith(SMALL)


def test_without_biases():
    module = Attention(softmax_by_hand, bias=False)
    module.proj = nn.Linear(HEADS * SIZE, 4, bias=False)
    assert "{attention: {heads: 2, head_size: 3, bias: false}}" in as_spec(Vit(module))


class Encoder(nn.Module):
    """As torchvision writes it: PyTorch's own attention, and two layers."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


def test_encoders_are_a_loop():
    class Encoders(Vit):
        def forward(self, x):
            x = self.patches(x).flatten(2).transpose(1, 2) + self.positions
            return self.head(self.attention(x).mean(1))

    text = as_spec(Encoders(nn.Sequential(*(Encoder(4, 2) for _ in range(3)))))
    assert text.endswith(
        "defaults: {conv: {kernel: 1}, layer_norm: {epsilon: 1.0e-5}}\n"
        "graph:\n"
        "- [{conv: {filters: 4, kernel: 2, stride: 2}}, position_embedding]\n"
        "- repeat: 3\n"
        "  body:\n"
        "  - {residual: [layer_norm, {attention: 2}]}\n"
        "  - {residual: [layer_norm, {conv: 16}, gelu, {conv: 4}]}\n"
        "- [global_avg_pool, {dense: $classes, name: classifier}]\n"
    )


def test_one_encoder_twice_is_shared():
    one = Encoder(4, 2)
    text = as_spec(Vit(nn.Sequential(one, one)))
    assert text.count("{attention: 2, name: ") == 1
    assert text.count("{share: ") == 5


def test_pytorchs_own_encoder():
    layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True, norm_first=True)
    text = as_spec(Vit(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)))
    assert "{residual: [layer_norm, {attention: 2}]}" in text


def test_dropout_of_shares_is_nothing_in_evaluation():
    layer = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
    module = Of(lambda m, x: m.a(*(x.flatten(2).mT,) * 3)[0].mean(1), a=layer).train(False)
    assert as_spec(module).endswith("- {attention: 2}\n- global_avg_pool\n")


class Loose(Separate):
    """Layers for queries, keys and values that may be anything."""

    def __init__(self, change) -> None:
        super().__init__()
        change(self)


def one_for_two(module):
    module.k = module.q


def tied(module):
    module.k.weight = module.q.weight


def without_bias(module):
    module.q, module.v = (nn.Linear(4, 6, bias=False) for _ in range(2))


def activated(word):
    def change(module):
        setattr(module, word, nn.Sequential(getattr(module, word), nn.ReLU()))

    return change


def grouped(module):
    module.v = Of(lambda m, x: m.conv(x.mT.unflatten(2, (4, 3))).flatten(2).mT,
                  conv=nn.Conv2d(4, 6, 1, groups=2))  # fmt: skip


UNSAYABLE = {
    "one for two": (one_for_two, "queries and keys have weights in common"),
    "tied": (tied, "queries and keys have weights in common"),
    "some biases": (
        without_bias,
        "keys and the output with a bias, queries and values without one; specs say attention "
        "with all four or with none",
    ),
    "queries behind an activation": (activated("q"), "queries are of relu; in specs they are of"),
    "values behind one": (activated("v"), "values are of relu"),
    "an output behind one": (
        lambda module: setattr(module, "proj", nn.Sequential(nn.ReLU(), module.proj)),
        "what heads give does not go through one convolution of single pixels",
    ),
    "groups": (grouped, "values are of conv"),
}


@pytest.mark.parametrize("case", UNSAYABLE)
def test_what_specs_cannot_say_is_refused(case):
    change, reason = UNSAYABLE[case]
    unsayable(Vit(Loose(change)), reason)


def unsayable(module, *reasons):
    network = agreed(module)
    with pytest.raises(Refused) as caught:
        recover(network, "again")
    assert len(caught.value.lines) == len(reasons)
    for line, reason in zip(caught.value.lines, reasons, strict=True):
        assert line.startswith("attention")
        assert reason in line


def test_other_keys_scales_and_channels_are_refused():
    unsayable(Vit(Separate(keys_of=torch.tanh)), "are of several tensors; specs say it of one")
    other = Attention(lambda q, k, v: softmax_by_hand(q, k, v, 0.5))
    unsayable(Vit(other), "scores are scaled by 0.5; specs say 1/√3 = 0.57735")
    wide = Separate()
    wide.proj = nn.Linear(6, 8)
    network = agreed(Of(lambda m, x: m.a(x.flatten(2).mT).mean(1), a=wide))
    with pytest.raises(Refused, match="4 channels go in and 8 come out"):
        recover(network, "again")


class Twice(nn.Module):
    """Queries, or what heads give, that something else reads too."""

    def __init__(self, queries: bool) -> None:
        super().__init__()
        self.queries = queries
        self.q, self.k, self.v = (nn.Linear(4, 6) for _ in range(3))
        self.proj, self.other = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, x):
        query = self.q(x)
        y = F.scaled_dot_product_attention(
            *(
                part.unflatten(2, (HEADS, SIZE)).transpose(1, 2)
                for part in (query, self.k(x), self.v(x))
            )
        )
        y = y.transpose(1, 2).flatten(2)
        return self.proj(y) + self.other(query if self.queries else y)


def test_what_others_read_too_is_refused():
    unsayable(Vit(Twice(queries=True)), "queries are read by other layers too")
    unsayable(Vit(Twice(queries=False)), "does not go through one convolution")


def test_some_weights_of_another_layer_are_refused():
    one, other = (Attention(softmax_by_hand) for _ in range(2))
    other.proj = one.proj
    unsayable(Vit(nn.Sequential(one, other)), "some of its weights, not all, are those of")


def test_several_places_are_refused_at_once():
    core = Attention(lambda q, k, v: softmax_by_hand(q, k, v, 0.5))
    again = Attention(lambda q, k, v: softmax_by_hand(q, k, v, 0.25))
    unsayable(Vit(nn.Sequential(core, again)), "scaled by 0.5;", "scaled by 0.25;")


# -- position embeddings --------------------------------------------------------------------------

POSITIONS = {
    "channels first": ((1, 4, 8, 6), lambda m, x: x + m.p),
    "without a batch": ((4, 8, 6), lambda m, x: m.p + x),
    "channels last": ((8, 6, 4), lambda m, x: (x.permute(0, 2, 3, 1) + m.p).permute(0, 3, 1, 2)),
    "in a row": ((1, 48, 4), lambda m, x: (x.flatten(2).mT + m.p).mT.unflatten(2, (8, 6))),
    "an axis put in": ((48, 4), lambda m, x: (x.flatten(2).mT + m.p[None]).mean(1)),
    "columns first": (
        (1, 48, 4),
        lambda m, x: (x.permute(0, 3, 2, 1).flatten(1, 2) + m.p).mean(1),
    ),
}


@pytest.mark.parametrize("case", POSITIONS)
def test_position_embeddings(case):
    shape, run = POSITIONS[case]
    network = agreed(Of(run, p=nn.Parameter(torch.zeros(shape))))
    assert network.layers[1].op.name == "position_embedding"
    assert network.layers[1].weights["embedding"].form == (8, 6, 4)


def test_a_position_embedding_that_is_not_trained():
    network = agreed(Of(lambda m, x: x + m.p, p=torch.zeros(1, 4, 8, 6)))
    assert kinds(network) == ["position_embedding"]


def test_what_is_no_position_embedding():
    for shape in ((1, 4, 8, 1), (4, 1, 1), (BATCH, 4, 8, 6)):
        given = nn.Parameter(torch.zeros(shape))
        refused(Of(lambda m, x: x + m.p, p=given), "add")
    given = nn.Parameter(torch.zeros(1, 4, 8, 6))
    refused(Of(lambda m, x: x - m.p, p=given), "sub")
    token = nn.Parameter(torch.zeros(1, 1, 4))

    def with_token(m, x):
        return torch.cat([m.p.expand(len(x), -1, -1), x.flatten(2).mT], 1).mean(1)

    refused(Of(with_token, p=token), "a class token, for one, is no op of ours")


# -- entries of an axis ---------------------------------------------------------------------------


def test_entries_of_an_axis_that_channels_are_split_in():
    def entries(m, x):
        parts = x.unflatten(1, (3, 4))
        return parts[:, 2] * 2 + parts.select(1, -3) + parts.unbind(1)[1]

    network = agreed(Of(entries), (4, 5, 12))
    starts = [layer.op.start for layer in network.layers if layer.op.name == "channel_slice"]
    assert {*starts} == {0, 4, 8}
    refused(Of(lambda m, x: x.unflatten(1, (3, 4))[:, :, 1]), "of a part", shape=(4, 5, 12))
    refused(Of(lambda m, x: x[1]), "of a part of axis 0")


# -- ONNX -----------------------------------------------------------------------------------------


def onnx_attention(scale: str, mask: bool = False) -> Graph:
    graph = Graph()
    graph.then("Reshape", graph.given(np.array([0, 8, 24])))
    graph.then("Transpose", perm=[0, 2, 1])
    graph.then("Add", graph.weight(1, 24, 8))
    graph.then("MatMul", graph.weight(8, 18))
    graph.then("Add", graph.weight(18))
    graph.then("Reshape", graph.given(np.array([0, 24, 3, 2, 3])))
    row = graph.then("Transpose", perm=[2, 0, 3, 1, 4])
    if scale == "queries":
        parts = [graph.node("Gather", [row, graph.given(np.array(k))], axis=0) for k in range(3)]
    else:
        first = graph.node("Split", [row, graph.given(np.array([1, 1, 1]))], count=3, axis=0)
        zero = graph.given(np.array([0]))
        parts = [graph.node("Squeeze", [part, zero]) for part in (first, f"{first}a", f"{first}b")]
    query, key, value = parts
    number = graph.given(np.array(3**-0.5))
    if scale == "queries":
        query = graph.node("Mul", [query, number])
    key = graph.node("Transpose", [key], perm=[0, 1, 3, 2])
    graph.last = graph.node("MatMul", [query, key])
    if scale == "scores":
        graph.last = graph.node("Mul", [number, graph.last])
    if mask:
        graph.then("Add", graph.given(np.triu(np.ones((24, 24)))))
    graph.then("Softmax", axis=-1 if scale == "scores" else 3)
    graph.then("Dropout")
    graph.then("MatMul", value)
    graph.then("Transpose", perm=[0, 2, 1, 3])
    graph.then("Reshape", graph.given(np.array([0, 24, 6])))
    graph.then("MatMul", graph.weight(6, 8))
    graph.then("Transpose", perm=[0, 2, 1])
    graph.then("Reshape", graph.given(np.array([0, 8, 6, 4])))
    return graph


@pytest.mark.parametrize("scale", ["queries", "scores"])
def test_onnx(scale):
    network = check(onnx_attention(scale))
    assert kinds(network).count("heads_attention") == 1
    assert kinds(network).count("position_embedding") == 1


def test_onnx_queries_that_get_a_bias_later_are_those_without():
    graph = Graph()
    graph.then("Reshape", graph.given(np.array([0, 8, 24])))
    graph.then("Transpose", perm=[0, 2, 1])
    query = graph.then("MatMul", graph.weight(8, 8))
    scores = graph.node("MatMul", [query, graph.node("Transpose", [query], perm=[0, 2, 1])])
    other = graph.node("Add", [query, graph.weight(8)])
    graph.last = graph.node("MatMul", [graph.node("Softmax", [scores]), other])
    graph.then("Transpose", perm=[0, 2, 1])
    graph.then("Reshape", graph.given(np.array([0, 8, 6, 4])))
    assert kinds(check(graph)) == ["conv", "rescale", "heads_attention"]


def test_onnx_heads_in_a_batch_of_fixed_size():
    """As PyTorch's newer exporter turns keys, three axes at a time."""
    for fixed in (1, 2):
        graph = Graph(shape=(fixed, 8, 6, 4))
        graph.then("Reshape", graph.given(np.array([fixed, 2, 4, 24])))
        row = graph.then("Transpose", perm=[0, 1, 3, 2])
        graph.then("Reshape", graph.given(np.array([-1 if fixed == 1 else 4, 24, 4])))
        graph.then("Transpose", perm=[0, 2, 1])
        keys = graph.then("Reshape", graph.given(np.array([fixed, 2, 4, 24])))
        scores = graph.node("Softmax", [graph.node("MatMul", [row, keys])])
        graph.last = graph.node("MatMul", [scores, row])
        graph.then("Transpose", perm=[0, 1, 3, 2])
        graph.then("Reshape", graph.given(np.array([fixed, 8, 6, 4])))
        assert kinds(check(graph, batch=fixed)) == ["heads_attention"]
    graph = Graph(shape=(2, 8, 6, 4))
    graph.then("Reshape", graph.given(np.array([3, 16, 8])))
    assert "Reshape of axes" in refused_onnx(graph)[0]


def test_onnx_refuses_masks_and_what_is_no_entry():
    (line,) = refused_onnx(onnx_attention("queries", mask=True))
    assert "changes scores of attention" in line
    graph = Graph()
    graph.then("Gather", graph.given(np.array([0, 1])), axis=1)
    assert refused_onnx(graph) == ("n_v0: Gather of other than one entry of an axis",)
    graph = Graph()
    graph.then("Gather", graph.given(np.array(9)), axis=1)
    assert "other than one entry" in refused_onnx(graph)[0]
    graph = Graph()
    graph.last = graph.node("MatMul", ["x", "x"])
    assert "the output v0" in refused_onnx(graph)[0]


# -- Keras ----------------------------------------------------------------------------------------


def keras_model(keras, call=lambda layer, x: layer(x, x), **settings):
    layers = keras.layers
    images = layers.Input((6, 4, 8))
    x = layers.Reshape((24, 8))(images)
    x = call(layers.MultiHeadAttention(2, 3, **settings), x)
    return keras.Model(images, layers.GlobalAveragePooling1D()(x))


def keras_network(model):
    from xgraph.importing.sources.keras import KerasModelSource

    return KerasModelSource(model).network((6, 4, 8))


def test_keras_is_the_attention_of_a_spec(keras, tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(
        "xgraph: 1\nname: one\ninput: {shape: [6, 4, 8]}\n"
        "graph: [{attention: {heads: 2, head_size: 3}}, global_avg_pool]\n"
    )
    found = match(of_spec(analyse(str(path))), keras_network(keras_model(keras)))
    assert found.differences == []
    pairs = {ours.name: theirs.name for ours, theirs in found.weights}
    assert len(pairs) == 8
    assert pairs["attention.value_bias"] == "multi_head_attention/5"


KERAS_REFUSED = {
    "causal": (lambda layer, x: layer(x, x, use_causal_mask=True), {}, "use_causal_mask"),
    "scores": (lambda layer, x: layer(x, x, return_attention_scores=True)[0], {}, "scores"),
    "other keys": (lambda layer, x: layer(x, x * 2.0), {}, "to another tensor"),
    "other values": (lambda layer, x: layer(query=x, value=x * 2.0, key=x), {}, "another tensor"),
    "a mask": (lambda layer, x: layer(x, x, attention_mask=x), {}, "attention_mask"),
    "other sizes": (lambda layer, x: layer(x, x), {"value_dim": 5}, "values of 5 channels"),
    "another output": (lambda layer, x: layer(x, x), {"output_shape": 7}, "an output of shape"),
    "a gate": (lambda layer, x: layer(x, x), {"use_gate": True}, "gate"),
    "a window": (lambda layer, x: layer(x, x), {"sliding_window": 3}, "window"),
}


@pytest.mark.parametrize("case", KERAS_REFUSED)
def test_keras_refuses(case, keras):
    call, settings, reason = KERAS_REFUSED[case]
    with pytest.raises(Refused, match=reason):
        keras_network(keras_model(keras, call, **settings))


def test_keras_attention_along_rows_alone_is_refused(keras):
    layers = keras.layers
    images = layers.Input((6, 4, 8))
    x = layers.MultiHeadAttention(2, 3, attention_axes=(1,))(images, images)
    with pytest.raises(Refused, match=r"attention over axes \[1\]"):
        keras_network(keras.Model(images, layers.GlobalAveragePooling2D()(x)))


def test_pixels_in_a_row_are_no_image(keras):
    """A configuration that Keras would not make."""
    model = keras_model(keras)
    config = json.loads(model.to_json())
    for layer in config["config"]["layers"]:
        if layer["class_name"] == "GlobalAveragePooling1D":
            layer["class_name"] = "GlobalAveragePooling2D"
    held = {"multi_head_attention": [
        (f"{n}", tuple(w.shape)) for n, w in enumerate(model.layers[2].weights)
    ]}  # fmt: skip
    with pytest.raises(Refused, match="of pixels in a row"):
        read_keras(KerasModel(config, held, lambda name: np.zeros(1)), (6, 4, 8))


@pytest.mark.parametrize("wrong", [None, 0, -2, 10**9, "2", [], [2], {"a": 1}, 1.5])
def test_nonsense_in_a_configuration_is_refused(keras, wrong):
    model = keras_model(keras)
    held = {"multi_head_attention": [
        (f"{n}", tuple(w.shape)) for n, w in enumerate(model.layers[2].weights)
    ]}  # fmt: skip
    for word in ("num_heads", "key_dim", "value_dim", "output_shape", "attention_axes"):
        config = json.loads(model.to_json())
        (layer,) = (
            one for one in config["config"]["layers"] if one["class_name"] == "MultiHeadAttention"
        )
        layer["config"][word] = wrong
        if wrong is None and word not in ("num_heads", "key_dim"):
            continue  # by default
        with pytest.raises(Refused):
            read_keras(KerasModel(config, held, lambda name: np.zeros(1)), (6, 4, 8))


def test_modules_that_attend_to_one_pixel():
    module = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(2))
    attention = Attention(softmax_by_hand)
    agreed(Of(lambda m, x: m.a(m.pool(x).mT).mean(1), pool=module, a=attention))
    read(Of(lambda m, x: m.a(m.pool(x).mT).mean(1), pool=module, a=attention), (8, 6, 4))


def test_keras_scales_by_all_digits_in_float64(keras):
    """Its factor for heads of three channels has those of float32 on the way."""
    images = keras.Input((4, 5, 6))
    rows = keras.layers.Reshape((20, 6))(images)
    made = keras.layers.MultiHeadAttention(2, 3)(rows, rows)
    source = of_object(keras.Model(images, keras.layers.Reshape((4, 5, 6))(made)))
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 6))
    (expected,) = source.runtime("float64", (4, 5, 6)).run(x)
    (received,) = run(source.network((4, 5, 6)), source.arrays(), x)
    assert distance(received, expected) <= 1e-14
