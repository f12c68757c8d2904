"""Flax' modules as networks of ours: compared are the values that both compute."""

from __future__ import annotations

import json
import textwrap
from collections import namedtuple
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from xgraph import backend, cli
from xgraph.backend import Compilation
from xgraph.compile import analyse
from xgraph.importing import normal, sources
from xgraph.importing.arrays import read_safetensors
from xgraph.importing.authored import remarks
from xgraph.importing.equal import match
from xgraph.importing.network import Network, Refused, of_spec
from xgraph.importing.readers import flax_program
from xgraph.importing.readers.flax import OPS, arrays, read
from xgraph.importing.readers.flax_idioms import IDIOMS
from xgraph.importing.recover import recover
from xgraph.importing.sources.flax import FlaxModule
from xgraph.importing.weights import give, take
from xgraph.programs import import_files
from xgraph.spec import library

from .evaluate import distance, run
from .flax_modules import NETWORKS, SHAPE, BasicBlock, Of, ResNet, ViT

TOLERANCE = 1e-12


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def rngs() -> nnx.Rngs:
    return nnx.Rngs(0)


def randomized(module: nnx.Module) -> nnx.Module:
    """The module in evaluation mode, in float64, no weight at a value that hides a defect."""
    rng = np.random.default_rng(3)
    graph, state = nnx.split(module, graph=True)
    leaves, tree = jax.tree.flatten(state)
    for number, one in enumerate(flax_program.state_of(module)):
        if one.is_weight:
            low, high = (0.5, 1.5) if one.name.endswith("var") else (-0.4, 0.6)
            leaves[number] = jnp.asarray(rng.uniform(low, high, one.leaf.shape))
    made = nnx.merge(graph, jax.tree.unflatten(tree, leaves))
    made.eval()  # as it is read
    return made


def shaped(make) -> nnx.Module:
    """A module without numbers, which are drawn later."""
    return nnx.eval_shape(lambda: make(nnx.Rngs(0)))


def computed(module: nnx.Module, x: np.ndarray) -> list[np.ndarray]:
    def call(x):
        made = module(x)
        made = list(made.values()) if isinstance(made, dict) else made
        return list(made) if isinstance(made, list | tuple) else [made]

    return list(map(np.asarray, (call if isinstance(module, Of) else jax.jit(call))(x)))


def images(shape, count: int = 3) -> np.ndarray:
    return np.random.default_rng(4).uniform(-2, 2, (count, *shape))


def agreed(module: nnx.Module, shape: tuple[int, int, int] = (8, 6, 4)) -> Network:
    """The network of a module, which computes what the module does."""
    module = randomized(module)
    network, x = read(module, shape), images(shape)
    wanted, found = computed(module, jnp.asarray(x)), run(network, arrays(module), x)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert distance(ours, theirs) <= TOLERANCE
    return network


def kinds(network: Network) -> list[str]:
    return [layer.op.name for layer in network.layers[1:]]


def refused(module: nnx.Module, *words: str, shape: tuple[int, int, int] = (8, 6, 4)) -> Refused:
    with pytest.raises(Refused) as caught:
        read(module, shape)
    for word in words:
        assert word in str(caught.value)
    return caught.value


LAYERS = {
    "conv": lambda r: nnx.Conv(4, 6, (3, 2), strides=(2, 1), padding=((1, 0), (0, 2)),
                               kernel_dilation=(1, 2), rngs=r),
    "conv_same": lambda r: nnx.Conv(4, 6, (4, 4), strides=2, use_bias=False, rngs=r),
    "conv_valid": lambda r: nnx.Conv(4, 6, (3, 3), padding="VALID", rngs=r),
    "conv_groups": lambda r: nnx.Conv(4, 6, (3, 3), feature_group_count=2, rngs=r),
    "conv_depthwise": lambda r: nnx.Conv(4, 8, (3, 3), feature_group_count=4, rngs=r),
    "transpose": lambda r: nnx.ConvTranspose(4, 3, (3, 2), strides=(2, 2), rngs=r),
    "transpose_valid": lambda r: nnx.ConvTranspose(4, 3, (3, 3), strides=(2, 1), padding="VALID",
                                                   use_bias=False, rngs=r),
    "transpose_turned": lambda r: nnx.ConvTranspose(4, 3, (4, 4), strides=(2, 2),
                                                    transpose_kernel=True, rngs=r),
    "transpose_gaps": lambda r: nnx.ConvTranspose(4, 3, (1, 1), strides=(2, 2), rngs=r),
    "linear": lambda r: nnx.Linear(4, 3, rngs=r),
    "linear_general": lambda r: nnx.LinearGeneral(4, 3, use_bias=False, rngs=r),
    "einsum": lambda r: nnx.Einsum("nhwc,cd->nhwd", (4, 3), (3,), rngs=r),
    "batch_norm": lambda r: nnx.BatchNorm(4, epsilon=1e-3, momentum=0.9, rngs=r),
    "batch_norm_plain": lambda r: nnx.BatchNorm(4, use_scale=False, use_bias=False, rngs=r),
    "layer_norm": lambda r: nnx.LayerNorm(4, epsilon=1e-5, rngs=r),
    "layer_norm_plain": lambda r: nnx.LayerNorm(4, use_scale=False, use_bias=False, rngs=r),
    "rms_norm": lambda r: nnx.RMSNorm(4, rngs=r),
    "group_norm": lambda r: nnx.GroupNorm(4, num_groups=2, use_bias=False, rngs=r),
    "group_size": lambda r: nnx.GroupNorm(4, num_groups=None, group_size=1, rngs=r),
    "instance_norm": lambda r: nnx.InstanceNorm(4, rngs=r),
    "dropout": lambda r: nnx.Dropout(0.3, rngs=r),
    "dropout_of_channels": lambda r: nnx.Dropout(0.3, broadcast_dims=(1, 2), rngs=r),
    "dropout_of_images": lambda r: nnx.Dropout(0.3, broadcast_dims=(1, 2, 3), rngs=r),
    "dropout_of_nothing": lambda r: nnx.Dropout(0.0, rngs=r),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    module = shaped(lambda r: Of(lambda m, x: m.layer(x) * 2, layer=LAYERS[name](r)))
    network = agreed(module)
    assert {layer.name for layer in network.layers[1:-1]} <= {"layer"}


def test_attributes_that_training_alone_sees():
    def layer(name):
        return read(Of(lambda m, x: m.a(x), a=LAYERS[name](rngs())), (8, 6, 4)).layers[-1].op

    norm = layer("batch_norm")
    assert (norm.momentum, norm.epsilon) == (0.9, 1e-3)
    for name, kind in (("dropout", "dropout"), ("dropout_of_channels", "spatial_dropout"),
                       ("dropout_of_images", "stochastic_depth")):  # fmt: skip
        assert (layer(name).name, layer(name).rate) == (kind, 0.3)


def gelu(x, inner):
    return 0.5 * x * (1 + inner)


WINDOW = ((1, 1, 1, 3), (1, 1, 1, 1), "SAME")
CALLS = {
    "relu": lambda m, x: nnx.relu(x) + jnp.maximum(x, 0) + jnp.where(x > 0, x, 0),
    "relu6": lambda m, x: nnx.relu6(x) + jnp.clip(x, 0, 6) + jnp.maximum(jnp.minimum(x, 1), 0),
    "gelu": lambda m, x: nnx.gelu(x) + nnx.gelu(x, approximate=False),
    "gelu_by_hand": lambda m, x: gelu(x, lax.erf(x / jnp.sqrt(2.0))) + gelu(
        x, jnp.tanh(jnp.sqrt(2 / jnp.pi) * (x + 0.044715 * x**3))),
    "sigmoid": lambda m, x: nnx.sigmoid(x) + nnx.silu(x) + jax.nn.mish(x) + nnx.tanh(x),
    "hard": lambda m, x: nnx.hard_sigmoid(x) + nnx.hard_swish(x) + x * nnx.relu6(x + 3) / 6,
    "elu": lambda m, x: nnx.elu(x) + nnx.elu(x, 0.7) + nnx.leaky_relu(x, 0.2) + nnx.selu(x),
    "leaky_by_hand": lambda m, x: jnp.where(x > 0, x, 0.1 * x),
    "prelu": lambda m, x: jnp.where(x >= 0, x, m.weight[...] * x),
    "softmax": lambda m, x: nnx.softmax(x) + jnp.exp(x) / jnp.exp(x).sum(-1, keepdims=True),
    "log_of_softmax": lambda m, x: jnp.log(nnx.softmax(x)),
    "softmax_first": lambda m, x: nnx.softmax(x.transpose(0, 3, 1, 2), axis=1).mean((2, 3)),
    "constants": lambda m, x: (3 - 2 * x) / 4 - 0.5 + (x - jnp.array([0.1, 0.2, 0.3, 0.4])) / (
        np.array([0.5, 0.6, 0.7, 0.8])) - (-x),
    "sum": lambda m, x: x + nnx.relu(x) - nnx.sigmoid(x) * x,
    "average": lambda m, x: (x + nnx.relu(x) + nnx.tanh(x)) / 3,
    "maximum": lambda m, x: jnp.maximum(x, nnx.tanh(x)),
    "max_pool": lambda m, x: nnx.max_pool(x, (3, 2), (2, 1), "SAME"),
    "avg_pool": lambda m, x: nnx.avg_pool(x, (3, 3), (2, 2), ((1, 1), (1, 0))),
    "avg_pool_inside": lambda m, x: nnx.avg_pool(x, (3, 3), padding="SAME",
                                                 count_include_pad=False),
    "sum_pool": lambda m, x: lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1),
                                               "VALID"),
    "mean": lambda m, x: (x.mean((1, 2)), x.mean((1, 2), keepdims=True) * x, x.sum((1, 2)),
                          x.reshape(x.shape[0], -1, 4).mean(1), x.max((1, 2))),
    "gate": lambda m, x: x.mean((1, 2))[:, None, None, :] * x,
    "spread": lambda m, x: jnp.broadcast_to(x.mean((1, 2), keepdims=True), x.shape) * x,
    "split": lambda m, x: jnp.concatenate(jnp.split(x, [1, 3], axis=-1)[::-1], axis=-1),
    "slice": lambda m, x: jnp.concatenate([x[..., 2:], x[..., :1]], axis=3),
    "crop": lambda m, x: jnp.pad(x[:, 1:-1, :-2], ((0, 0), (1, 0), (2, 0), (0, 0))),
    "pad": lambda m, x: lax.pad(x, 0.0, ((0, 0, 0), (1, -2, 0), (-1, 0, 0), (0, 0, 0))),
    "shuffle": lambda m, x: x.reshape(*x.shape[:3], 2, 2).swapaxes(3, 4).reshape(x.shape),
    "blocks": lambda m, x: x.reshape(-1, 4, 2, 3, 2, 4).transpose(0, 1, 3, 2, 4, 5).reshape(
        -1, 4, 3, 16),
    "repeat": lambda m, x: (x.repeat(2, 1).repeat(3, 2), x.repeat(2, 2)),
    "nearest": lambda m, x: (jax.image.resize(x, (len(x), 16, 12, 4), "nearest"),
                             jax.image.resize(x, (len(x), 8, 18, 4), "nearest")),
    "bilinear": lambda m, x: jax.image.resize(x, (len(x), 16, 9, 4), "bilinear"),
    "bilinear_rows": lambda m, x: jax.image.resize(x, (len(x), 5, 6, 4), "linear",
                                                   antialias=False),
    "take": lambda m, x: x.take(jnp.arange(2, 5), axis=1),
    "flatten": lambda m, x: x.reshape(x.shape[0], -1),
    "flatten_first": lambda m, x: x.transpose(0, 3, 1, 2).reshape(len(x), -1) @ m.kernel[...],
    "squeeze": lambda m, x: nnx.avg_pool(x, x.shape[1:3]).squeeze((1, 2)),
    "response": lambda m, x: x / (2 + 0.3 * lax.reduce_window(x * x, 0.0, lax.add, *WINDOW))**0.75,
    "scale": lambda m, x: x * m.weight[...] + m.weight[...][None, None] * nnx.tanh(x),
    "channels_first": lambda m, x: lax.conv_general_dilated(
        x.transpose(0, 3, 1, 2), m.first[...], (1, 1), "SAME",
        dimension_numbers=("NCHW", "OIHW", "NHWC")),
    "product": lambda m, x: jnp.einsum("cd,nhwc->ndhw", m.square[...], x).transpose(0, 2, 3, 1),
    "stopped": lambda m, x: lax.stop_gradient(x).astype(jnp.float32).astype(jnp.float64) * 2
    if m.weight[...].dtype == jnp.float32 else lax.stop_gradient(x) * 2,
    "platform": lambda m, x: lax.platform_dependent(x, cpu=lambda x: 2 * x,
                                                    default=lambda x: x * 2.0),
    "compiled": lambda m, x: jax.jit(lambda x: nnx.relu(x) * 2)(x),
    "again": lambda m, x: jax.checkpoint(lambda x: nnx.silu(x) * 2)(x),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    shapes = {"weight": (4,), "kernel": (192, 5), "first": (3, 4, 3, 3), "square": (4, 4)}
    agreed(Of(CALLS[name], **{word: nnx.Param(jnp.zeros(one)) for word, one in shapes.items()}))


def traced(module: nnx.Module, shape) -> set[str]:
    """The primitives of a module."""
    return {step.kind for step in flax_program.traced(module, shape).program.steps}


def _with_layer(make, rngs):
    return Of(lambda m, x: m.layer(x), layer=make(rngs))


def test_every_primitive_has_a_case():
    shapes = {"weight": (4,), "kernel": (192, 5), "first": (3, 4, 3, 3), "square": (4, 4)}
    params = {word: nnx.Param(jnp.zeros(one)) for word, one in shapes.items()}
    seen = set().union(*(traced(Of(call, **params), (8, 6, 4)) for call in CALLS.values()))
    for make in LAYERS.values():
        module = shaped(partial(_with_layer, make))
        seen |= traced(module, (8, 6, 4))
    seen |= traced(shaped(partial(ViT, dropout=0.0)), SHAPE)
    only_refused = {"convert_element_type", "rev"}
    assert OPS.keys() - only_refused <= seen


def test_every_idiom_is_found():
    """Each way in which a function may be written, alone."""
    for idiom in IDIOMS:
        numbers = {"low": 0.0, "high": 6.0, "slope": 0.1}
        told = [numbers.get(word, 0.75) for word in idiom.numbers]
        for rank in idiom.ranks:
            if rank == 3:
                continue  # nothing with three axes comes out of a network
            function = partial(_of_rank, idiom, told, rank)
            agreed(Of(function))


def _of_rank(idiom, told, rank, module, x):
    x = x if rank == 4 else x.mean((1, 2))
    if idiom.name.endswith("softmax") and dict(idiom.given)["axis"] != rank - 1:
        axis = dict(idiom.given)["axis"]
        if axis == 0:
            return x  # over the batch, which is none
        moved = jnp.moveaxis(x, -1, axis)
        return jnp.moveaxis(idiom.function(moved), axis, -1)
    return idiom.function(*[x, nnx.tanh(x)][: idiom.arrays], *told)


LOGARITHMS = {
    "function": lambda m, x: nnx.log_softmax(m.d(x.mean((1, 2)))),
    "of_a_softmax": lambda m, x: jnp.log(nnx.softmax(m.d(x.mean((1, 2))))),
    "by_hand": lambda m, x: (y := m.d(x.mean((1, 2)))) - nnx.logsumexp(y, -1, keepdims=True),
    "of_an_image": lambda m, x: nnx.log_softmax(m.d(x)),
}


@pytest.mark.parametrize("case", LOGARITHMS)
def test_logarithms_of_probabilities_at_the_end(case):
    network = agreed(Of(LOGARITHMS[case], d=nnx.Linear(4, 5, rngs=rngs())))
    assert network.layers[network.outputs[0][1]].op.name == "log_softmax"
    assert "log_softmax at the end is left out: what comes out are logits" in remarks(network)
    assert recover(network, "again").analysis.graph.nodes[-1].op.name in ("conv", "dense")


def test_logarithms_before_the_end_and_of_other_things_are_refused():
    refused(Of(lambda m, x: nnx.relu(nnx.log_softmax(x))), "log_softmax before the end")
    refused(Of(lambda m, x: nnx.log_softmax(x, 1)), "not over the channels")
    refused(Of(lambda m, x: jnp.log(nnx.relu(x) + 1)), "log of other than a softmax")


def test_functions_are_known_by_what_they_do():
    """A function of somebody's may be called as one of JAX."""

    @jax.jit
    def silu(x):
        return x * nnx.sigmoid(2 * x)

    assert kinds(agreed(Of(lambda m, x: silu(x)))) == ["rescale", "sigmoid", "multiply"]
    found = normal.normalize(agreed(Of(lambda m, x: x * nnx.sigmoid(x)))).units
    assert found[-1].kind == "silu"


def attending(folder):
    """The spec of the network whose positions attend to each other."""
    inner = "{conv: {filters: 16, kernel: 1}}, gelu, {conv: {filters: 8, kernel: 1}}"
    (folder / "net.yaml").write_text(
        f"""
xgraph: 1
name: net
input: {{shape: [16, 12, 3]}}
defaults: {{layer_norm: {{epsilon: 1.0e-6}}}}
graph:
- {{conv: {{filters: 8, kernel: 4, stride: 4}}}}
- position_embedding
- residual: [layer_norm, {{attention: 2}}]
- residual: [layer_norm, {inner}]
- global_avg_pool
- {{dense: 5}}
""",
        encoding="utf-8",
    )
    return analyse(str(folder / "net.yaml"))


@pytest.mark.parametrize("make", NETWORKS)
def test_networks(make, tmp_path):
    """Each as it is, then as a spec with its weights, which is recovered but for attention."""
    module = randomized(shaped(make))
    network = agreed(module, SHAPE)
    spec = attending(tmp_path) if make is ViT else recover(network, "net", "flax").analysis
    carried = take(spec, FlaxModule(module))
    ours, x = of_spec(spec), images(SHAPE)
    for received, expected in zip(
        run(ours, carried.arrays, x), run(network, arrays(module), x), strict=True
    ):
        assert distance(received, expected) <= TOLERANCE
    returned = give(spec, carried.arrays, FlaxModule(module)).arrays
    own = arrays(module)
    assert returned.keys() == own.keys()
    assert all(np.array_equal(returned[name], own[name]) for name in own)


def test_names():
    network = read(shaped(ResNet), SHAPE)
    named = {layer.name: layer for layer in network.layers}
    assert {"stem.layers.0", "stem.relu", "stem.max_pool", "stages.0.1.conv2", "stages.1.0.add",
            "stages.1.0.downsample.layers.0", "stages.1.1.relu", "stages.1.1.relu_1", "dropout",
            "head"} <= named.keys()  # fmt: skip
    norm = named["stages.0.0.bn1"]
    assert {word: held.name for word, held in norm.weights.items()} == {
        "gamma": "stages.0.0.bn1.scale", "beta": "stages.0.0.bn1.bias",
        "moving_mean": "stages.0.0.bn1.mean", "moving_variance": "stages.0.0.bn1.var",
    }  # fmt: skip


def test_padding_that_can_hardly_be_pixels():
    """Is `same`; else it is pixels, even where these are as many."""

    def padding(*given, shape=(9, 8, 3)):
        def make(r):
            convs = nnx.List([nnx.Conv(3, 3, (3, 3), strides=2, padding=one, rngs=r)
                              for one in given])  # fmt: skip
            return Of(lambda m, x: m.b[1](m.b[0](x)), b=convs)

        return [layer.op.padding for layer in agreed(shaped(make), shape).layers[1:]]

    one = ((1, 1), (1, 1))
    assert padding("SAME", "SAME") == ["same", "same"]
    assert padding(1, 1, shape=(9, 9, 3)) == [one, one]
    assert padding(1, 1) == [one, one]
    assert padding("SAME", "VALID") == ["same", ((0, 0), (0, 0))]


def test_attention_that_jax_computes_at_once_is_the_same():
    """In float32 by itself, so that values are not compared."""
    networks = [read(shaped(partial(ViT, dropout=rate)), SHAPE) for rate in (0.1, 0.0)]
    assert match(*networks).differences == []
    attend = jax.nn.dot_product_attention
    module = Of(lambda m, x: attend(*(x.reshape(len(x), -1, 2, 2),) * 3).reshape(x.shape))
    refused(module, "no op of ours is JAX's")
    assert jax.nn.dot_product_attention is attend


def test_a_module_that_is_called_twice():
    def make(r):
        conv = nnx.Conv(4, 4, (3, 3), rngs=r)
        return Of(lambda m, x: m.one(nnx.relu(m.two(x))), one=conv, two=conv)

    network = agreed(shaped(make))
    first, _, second = network.layers[1:]
    assert first.weights == second.weights
    assert first.weights["kernel"].name == "one.kernel"


Pair = namedtuple("Pair", ["logits", "features"])


def test_outputs():
    def named(run):
        return [name for name, _ in agreed(Of(run)).outputs]

    assert named(lambda m, x: x * 2) == ["output0"]
    assert named(lambda m, x: (x * 2, x.mean((1, 2)))) == ["output0", "output1"]
    assert named(lambda m, x: {"b": x * 2, "a": x * 3}) == ["b", "a"]
    assert named(lambda m, x: Pair(x.mean((1, 2)), x * 2)) == ["logits", "features"]
    network = read(Of(lambda m, x: {"out": [x * 2, None]}), (4, 4, 3))
    assert [name for name, _ in network.outputs] == ["out"]
    refused(Of(lambda m, x: {"out": "x"}), "gives a str; read are arrays")


class Odd(nnx.Module):
    def __call__(self, x):
        return nnx.softplus(jnp.cumsum(x, axis=1))


def test_all_unknown_operations_are_said_at_once():
    module = nnx.Sequential(nnx.relu, Odd(), nnx.Sequential(jnp.sin, Odd()))
    lines = refused(module).lines
    assert lines[0] == "layers.1: no op of ours is JAX's cumsum"
    assert "layers.2: no op of ours is JAX's sin" in lines
    assert "layers.2.layers.1: no op of ours is JAX's log1p" in lines


class BatchNorm(nnx.Module):
    """By hand, of a module's own."""

    def __init__(self, channels, kind) -> None:
        self.mean, self.var = kind(jnp.zeros(channels)), kind(jnp.ones(channels))
        self.scale, self.bias = nnx.Param(jnp.ones(channels)), nnx.Param(jnp.zeros(channels))

    def __call__(self, x):
        x = (x - self.mean[...]) * lax.rsqrt(self.var[...] + 1e-5)
        return x * self.scale[...] + self.bias[...]


def test_batch_norm_by_hand():
    for kind in (nnx.BatchStat, nnx.Variable, nnx.Param):
        refused(Of(lambda m, x: m.bn(x), bn=BatchNorm(4, kind)), "bn: no op of ours is JAX's rsqrt")
    only_mean = Of(lambda m, x: x - m.mean[...], mean=nnx.BatchStat(jnp.zeros(4)))
    refused(only_mean, "of a variable", "nnx.BatchNorm")


def on(run, **parts):
    """A module of parts that are made of random numbers, or are there."""
    return lambda r: Of(run, **{word: one(r) if callable(one) else one
                                for word, one in parts.items()})  # fmt: skip


def layer(kind, *given, **told):
    return lambda r: kind(*given, rngs=r, **told)


def param(*shape):
    return lambda r: nnx.Param(jnp.ones(shape))


REFUSED = {
    "training": (on(lambda m, x: m.a(x, use_running_average=False), a=layer(nnx.BatchNorm, 4)),
                 "called as in training"),
    "training_told": (on(lambda m, x: m.a(x, False), a=layer(nnx.BatchNorm, 4)),
                      "called as in training"),
    "drops": (on(lambda m, x: m.a(x, deterministic=False), a=layer(nnx.Dropout, 0.1)),
              "called as in training"),
    "drops_rows": (layer(nnx.Dropout, 0.1, broadcast_dims=(1,)), "broadcast_dims"),
    "masked": (on(lambda m, x: m.a(x, mask=x > 0), a=layer(nnx.LayerNorm, 4)), "called with mask"),
    "devices": (layer(nnx.BatchNorm, 4, axis_name="i"), "axis_name"),
    "axes": (layer(nnx.LayerNorm, 4, reduction_axes=(1, 2)), "over other than the last axis"),
    "group_axes": (layer(nnx.GroupNorm, 4, num_groups=2, reduction_axes=(1, -1)), "of one's own"),
    "group_rows": (on(lambda m, x: m.a(x.reshape(-1, 6, 4)).reshape(x.shape),
                      a=layer(nnx.GroupNorm, 4, num_groups=2)), "the first is no batch"),
    "half": (layer(nnx.LayerNorm, 4, dtype=jnp.bfloat16), "computes in bfloat16"),
    "half_conv": (layer(nnx.Conv, 4, 3, (1, 1), dtype=jnp.bfloat16), "makes bfloat16"),
    "integers": (on(lambda m, x: x.astype(jnp.int32)), "makes int32"),
    "batch_size": (on(lambda m, x: nnx.relu(x) / x.shape[0]), "the number of images"),
    "all_entries": (on(lambda m, x: x.sum((1, 2)) / x.size), "the number of images"),
    "channels_of_images": (on(lambda m, x: m.a(jnp.concatenate([x] * len(x), -1)[..., :8]),
                              a=layer(nnx.Conv, 8, 3, (1, 1))), "the number of images"),
    "masked_conv": (layer(nnx.Conv, 4, 3, (1, 1), mask=np.ones((1, 1, 4, 3))),
                    "of weights alone"),
    "circular": (layer(nnx.Conv, 4, 3, (3, 3), padding="CIRCULAR"), "concatenate"),
    "one_slope": (lambda r: nnx.PReLU(), "one slope"),
    "ones": (on(lambda m, x: jnp.pad(x, 1, constant_values=1.0)), "other than zeros"),
    "channels_padded": (on(lambda m, x: jnp.pad(x, ((0, 0),) * 3 + ((0, 2),))), "pads an axis"),
    "between": (on(lambda m, x: lax.pad(x, 0.0, ((0, 0, 0), (0, 0, 1), (0, 0, 0), (0, 0, 0)))),
                "between pixels"),
    "every_other": (on(lambda m, x: x[:, ::2]), "with steps"),
    "half_mean": (on(lambda m, x: x.mean(1)), "over all pixels"),
    "channel_mean": (on(lambda m, x: x.mean(-1)), "over all pixels"),
    "ratio": (on(lambda m, x: x / x), "of two tensors"),
    "minimum": (on(lambda m, x: jnp.minimum(x, -x)), "of two tensors"),
    "capped": (on(lambda m, x: jnp.minimum(x, 3.0)), "from min="),
    "rows": (on(lambda m, x: x[:, jnp.array([0, 3, 1])]), "neither side by side"),
    "antialias": (on(lambda m, x: jax.image.resize(x, (len(x), 4, 3, 4), "bilinear")),
                  "no bilinear"),
    "turned": (on(lambda m, x: x[:, ::-1]), "of what follows from the images"),
    "over_channels": (on(lambda m, x: lax.reduce_window(
        x, -jnp.inf, lax.max, (1, 1, 1, 2), (1, 1, 1, 1), "VALID")), "over other axes"),
    "learned_sum": (on(lambda m, x: x + m.w[...], w=param(4)), "of a variable"),
    "learned_kernel": (on(lambda m, x: x @ (2 * m.w[...]), w=param(4, 3)),
                       "of weights alone"),
    "constant_kernel": (on(lambda m, x: x @ np.full((4, 3), 0.5)), "no bilinear resize"),
    "part": (on(lambda m, x: x @ m.w[...][:4], w=param(5, 3)), "a part of weights"),
    "tokens": (on(lambda m, x: jnp.concatenate([x, jnp.broadcast_to(m.w[...], x.shape)], -1),
                  w=param(4)), "of what does not follow from the images"),
    "constant": (on(lambda m, x: jnp.ones(4)), "nothing that the images say"),
    "window": (on(lambda m, x: x / (1 + 0.1 * lax.reduce_window(
        x * x, 0.0, lax.add, (1, 1, 1, 4), (1, 1, 1, 1), "SAME")) ** 0.5), "odd number"),
    "causal": (on(lambda m, x: nnx.dot_product_attention(
        *(x.reshape(len(x), -1, 2, 2),) * 3, is_causal=True).reshape(x.shape)), "with is_causal"),
    "drawn": (on(lambda m, x: x * jax.random.uniform(m.rngs(), x.shape), rngs=lambda r: r),
              "JAX's random_bits"),
    "loop": (on(lambda m, x: lax.while_loop(lambda x: x.sum() > 0, lambda x: x - 1, x)),
             "no op of ours is JAX's while"),
    "branches": (on(lambda m, x: x if x.sum() > 0 else -x), "cannot be traced"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    make, words = REFUSED[name]
    refused(shaped(make), words)


def test_weights_that_are_normalized():
    r = rngs()
    module = nnx.WeightNorm(nnx.Linear(4, 3, rngs=r), rngs=r)
    refused(Of(lambda m, x: m.a(x), a=module), "a: no op of ours is JAX's")


def test_numbers_are_those_that_are_written():
    """Though modules compute in float32, unless all of JAX is told otherwise."""
    with jax.enable_x64(False):
        module = Of(lambda m, x: m.a(nnx.leaky_relu(x, 0.2) * 0.1), a=nnx.Linear(4, 3, rngs=rngs()))
        leaky, scaled, _ = read(module, (8, 6, 4)).layers[1:]
        assert module(jnp.ones((1, 8, 6, 4))).dtype == jnp.float32
    assert (leaky.op.negative_slope, scaled.op.scale) == (0.2, 0.1)


def test_constants_of_a_module():
    """Arrays that are no variables."""
    mean = jnp.array([0.5, 0.25, 0.75, 0.125])
    network = agreed(Of(lambda m, x: (x - m.mean) / m.std, mean=mean, std=np.float64(0.5)))
    assert kinds(network) == ["rescale", "rescale"]
    assert network.layers[1].op.offset == (-0.5, -0.25, -0.75, -0.125)


def test_what_cannot_be_traced_is_one_line():
    class Trained(nnx.Module):
        def __call__(self, x, train):
            return x

    refusal = refused(Trained(), "cannot be traced", "called with images (N, H, W, C) alone")
    assert len(refusal.lines) == 1
    assert "\n" not in refusal.lines[0]
    refused(nnx.Conv(3, 2, (1, 1), rngs=rngs()), "cannot be traced")  # for images of 4 channels


def test_the_module_stays_as_it_is():
    """Its mode and numbers, its classes, and what JAX has compiled of it."""

    @jax.jit
    def kept(x):
        return norm(x)

    norm = nnx.BatchNorm(4, use_running_average=True, rngs=rngs())
    module = Of(lambda m, x: m.b(m.a(kept(x))), a=nnx.Dropout(0.5, rngs=rngs()),
                b=BasicBlock(4, 4, 1, rngs()))  # fmt: skip
    before, call = arrays(module), nnx.BatchNorm.__call__
    refused(module, "weights that are no variables")  # of a module that is no part of it
    read(module.b, (8, 6, 4))
    assert nnx.BatchNorm.__call__ is call
    assert module.a.deterministic is False
    assert module.b.bn1.use_running_average is False
    assert all(np.array_equal(before[name], array) for name, array in arrays(module).items())
    x = jnp.ones((1, 8, 6, 4), "float32")
    assert kept(x).shape == module.b(x).shape == x.shape


def test_layers_that_are_recomputed_for_gradients():
    remat = nnx.remat(lambda block, x: block(x))
    module = randomized(shaped(lambda r: Of(lambda m, x: remat(m.block, x) * 2,
                                            block=BasicBlock(4, 6, 2, r))))  # fmt: skip
    network = agreed(module)
    assert kinds(network).count("batch_norm") == 3
    assert module(jnp.ones((1, 8, 6, 4))).shape == (1, 4, 3, 6)


class Compiled(nnx.Module):
    def __init__(self, rngs) -> None:
        self.conv, self.norm = nnx.Conv(4, 4, (1, 1), rngs=rngs), nnx.BatchNorm(4, rngs=rngs)

    @nnx.jit
    def __call__(self, x):
        return nnx.relu(self.norm(self.conv(x)))


def test_modules_that_are_compiled():
    """Each by its own weights, though JAX takes both for one."""
    module = shaped(lambda r: Of(lambda m, x: m.two(m.one(x)), one=Compiled(r), two=Compiled(r)))
    network = agreed(module)
    assert [layer.name for layer in network.layers[1:]] == [
        "one.conv", "one.norm", "one.relu", "two.conv", "two.norm", "two.relu",
    ]  # fmt: skip


def test_numbers_of_few_digits_are_widened():
    module = nnx.Linear(4, 3, param_dtype=jnp.bfloat16, rngs=rngs())
    found = arrays(Of(lambda m, x: m.a(x), a=module))
    assert found["a.kernel"].dtype == np.float32
    assert np.array_equal(found["a.kernel"], np.asarray(module.kernel[...].astype(jnp.float32)))


# -- what users name ------------------------------------------------------------------------------

BUILD = """
    from flax import nnx

    def build():
        r = nnx.Rngs(0)
        return nnx.Sequential(nnx.Conv(3, 4, (3, 3), rngs=r), nnx.relu, nnx.BatchNorm(4, rngs=r),
                              lambda x: x.mean((1, 2)), nnx.Linear(4, 2, rngs=r))

    def shapes():
        return nnx.eval_shape(build)

    def fails():
        raise ValueError("not today")

    def nothing():
        return 3
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The name of a module in the working folder, which makes networks."""
    monkeypatch.chdir(tmp_path)
    name = "mine_" + "".join(c for c in tmp_path.name if c.isalnum())
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(BUILD), "utf-8")
    return name


def test_a_function_that_is_named(mine, tmp_path, capsys):
    name = f"flax:{mine}:build"
    shape = ",".join(map(str, SHAPE))
    cli.main(["import", name, "-o", "net.yaml", "--input", shape, "--weights", "net.safetensors"])
    assert "the network of flax:" in capsys.readouterr().out
    cli.main(["weights", "export", "net.yaml", "net.safetensors", "--model", name, "-o",
              "back.safetensors", "--json"])  # fmt: skip
    assert json.loads(capsys.readouterr().out)["ok"]
    cli.main(["weights", "import", "net.yaml", "back.safetensors", "--model", name, "-o",
              "again.safetensors"])  # fmt: skip
    first, again = (read_safetensors(tmp_path / f"{one}.safetensors") for one in ("net", "again"))
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[word], again[word]) for word in first)
    (tmp_path / "less.safetensors").write_bytes((tmp_path / "net.safetensors").read_bytes())
    with pytest.raises(Refused, match="weights of the model are not in it"):
        sources.find("less.safetensors", name).arrays()
    with pytest.raises(Refused, match=r"named \.safetensors"):
        sources.find_model(name).with_weights(tmp_path / "net.h5")


def test_functions_that_are_none(mine, tmp_path):
    for name, words in (
        ("fails", "ValueError: not today"),
        ("nothing", "gives a int, no nnx.Module"),
        ("missing", "has no attribute 'missing'"),
    ):
        with pytest.raises(Refused, match=words):
            sources.find(f"flax:{mine}:{name}").network(SHAPE)
    with pytest.raises(Refused, match="expected flax:MODULE:FUNCTION"):
        sources.find(f"flax:{mine}").network(SHAPE)
    with pytest.raises(Refused, match="flax:no_such:build needs no_such"):
        sources.find("flax:no_such:build").network(SHAPE)


def test_a_module_without_numbers(mine):
    source = sources.find(f"flax:{mine}:shapes")
    network = sources.find(f"flax:{mine}:build").network(SHAPE)
    assert match(source.network(SHAPE), network).differences == []
    with pytest.raises(Refused, match="has shapes and no numbers"):
        source.arrays()


# -- programs of ours -----------------------------------------------------------------------------


def same(spec: str, *settings: str) -> None:
    """The generated program of a spec is the spec's network."""
    analysis = analyse(spec, settings)
    files = backend.get("flax").emit(Compilation(analysis, None))
    module = import_files(files)["model"].create_model()
    network = read(module, tuple(analysis.types[0].shape))
    assert match(of_spec(analysis), network).differences == []


@pytest.mark.parametrize("spec", ["convnext_tiny", "inception_v3", "mobilenet_v2", "vit_tiny",
                                  "xception"])  # fmt: skip
def test_programs_of_ours(spec):
    same(spec)


@pytest.mark.slow
@pytest.mark.parametrize("spec", sorted(path.stem for path in library.specs_directory().rglob(
    "*.yaml") if path.parent.name != "recipes"))  # fmt: skip
def test_programs_of_all_specs(spec):
    same(spec)
