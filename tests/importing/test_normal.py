"""The normal form: what is the same network has one, what is another network has another.

That it is sound is shown by numbers: of all cases of all ops, those that have one normal form
compute the same with the same weights.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest

from xgraph import ops
from xgraph.compile import analyse
from xgraph.importing.equal import marks, match
from xgraph.importing.network import Builder, Held, Layer, Network, of_spec, op
from xgraph.importing.normal import normalize
from xgraph.ir.types import TensorType
from xgraph.ops.input import Input
from xgraph.spec import library


def network_of(made, shapes) -> Network:
    """A network of one op, whose weights are called by its words."""
    types = tuple(TensorType(tuple(shape)) for shape in shapes)
    held = {weight.name: Held(weight.name, weight.shape) for weight in made.weights(types)}
    layers = [Layer(f"input{n}", Input(x.shape)) for n, x in enumerate(types)]
    layers.append(Layer("op", made, tuple(range(len(types))), held))
    return Network("one", layers, [*types, made.infer(types)], [("output", len(types))])


def all_cases():
    """Of every op that computes the same each time."""
    for name in ops.names():
        if name in ("dropout", "spatial_dropout", "stochastic_depth"):
            continue  # nothing but the identity in evaluation
        for case in ops.get(name).cases():
            yield name, case, op(name, **case.attributes)


def test_what_has_one_normal_form_computes_the_same():
    buckets = defaultdict(list)
    for name, case, made in all_cases():
        network = network_of(made, case.inputs)
        normal = normalize(network)
        (_, end), *_ = normal.outputs
        buckets[case.inputs, marks(normal)[1][end]].append((name, case, made, network))
    shared = 0
    for bucket in buckets.values():
        for (_, _, one, mine), (name, case, other, yours) in itertools.pairwise(bucket):
            found = match(mine, yours)
            if found.differences or found.notes:  # images that are rescaled are said to be
                continue
            rng = np.random.default_rng(0)
            inputs = [rng.standard_normal((2, *shape)) for shape in case.inputs]
            ours = {
                h.name: rng.uniform(0.5, 1.5, h.shape) for h in mine.layers[-1].weights.values()
            }
            theirs = {b.name: b.kept(a.seen(ours[a.name])) for a, b in found.weights}
            assert theirs.keys() == yours.layers[-1].weights.keys()
            expected = one.reference(inputs, ours)
            if one.name == "softmax":
                continue  # which is left away at the end
            received = other.reference(inputs, theirs)
            where = f"{one} and {other}, a case of {name}"
            np.testing.assert_allclose(
                received.ravel(), expected.ravel(), rtol=1e-12, atol=1e-12, err_msg=where
            )
            shared += 1
    assert shared >= 30


def spec(tmp_path, body: str, shape: str = "[9, 8, 3]", name: str = "one") -> Network:
    path = tmp_path / f"{name}.yaml"
    path.write_text(f"xgraph: 1\nname: {name}\ninput: {{shape: {shape}}}\ngraph: {body}\n")
    return of_spec(analyse(str(path)))


SAME = {
    "an average is a sum by how many there are": (
        "[{branches: [relu, tanh], merge: average}]",
        "[{branches: [relu, tanh], merge: add}, {rescale: {scale: 0.5}}]",
    ),
    "same is explicit padding at this size": (
        "[{conv: {filters: 4, kernel: 3, stride: 2, padding: same}}, global_avg_pool]",
        "[{conv: {filters: 4, kernel: 3, stride: 2, padding: [[1, 1], [0, 1]]}}, global_avg_pool]",
    ),
    "zeros and a convolution without padding": (
        "[{zero_pad: 1}, {conv: {filters: 4, kernel: 3, stride: 2}}, global_avg_pool]",
        "[{conv: {filters: 4, kernel: 3, stride: 2, padding: 1}}, global_avg_pool]",
    ),
    "zeros that no window reaches": (
        "[{conv: {filters: 4, kernel: 2, stride: 2, padding: [[0, 1], [0, 1]]}}, global_avg_pool]",
        "[{conv: {filters: 4, kernel: 2, stride: 2, padding: [[0, 1], [0, 0]]}}, global_avg_pool]",
    ),
    "a separable convolution and its two": (
        "[{separable_conv: {filters: 4, kernel: 3, bias: false}}, global_avg_pool]",
        "[{conv: {filters: 3, kernel: 3, groups: 3, bias: false}}, "
        "{conv: {filters: 4, kernel: 1, bias: false}}, global_avg_pool]",
    ),
    "zeros before a maximum of what is not negative": (
        "[relu, {zero_pad: 1}, {max_pool: {kernel: 3, stride: 2}}, global_avg_pool]",
        "[relu, {max_pool: {kernel: 3, stride: 2, padding: 1}}, global_avg_pool]",
    ),
    "zeros before a mean": (
        "[{zero_pad: 1}, {avg_pool: {kernel: 3, stride: 2}}, global_avg_pool]",
        "[{avg_pool: {kernel: 3, stride: 2, padding: 1, count_include_pad: true}},"
        " global_avg_pool]",
    ),
    "a dense layer on a pixel": (
        "[{global_avg_pool: {keep_dims: true}}, {conv: {filters: 5, kernel: 1}}, flatten]",
        "[global_avg_pool, {dense: 5}]",
    ),
    "a convolution over the whole image": (
        "[{conv: {filters: 5, kernel: [9, 8]}}, flatten]",
        "[flatten, {dense: 5}]",
    ),
    "the mean of the whole image": (
        "[{avg_pool: {kernel: [9, 8]}}, flatten, {dense: 5}]",
        "[{adaptive_avg_pool: 1}, flatten, {dense: 5}]",
    ),
    "x · sigmoid(x)": (
        "[{branches: [identity, sigmoid], merge: multiply}, global_avg_pool]",
        "[silu, global_avg_pool]",
    ),
    "a hard sigmoid by hand": (
        "[{rescale: {offset: 3}}, relu6, {rescale: {scale: 0.16666666666666666}}, global_avg_pool]",
        "[hard_sigmoid, global_avg_pool]",
    ),
    "mean and deviation, factor and offset": (
        "[{normalize: {mean: [1, 2, 3], std: 2}}, global_avg_pool]",
        "[{rescale: {offset: [-1, -2, -3]}}, {rescale: 0.5}, global_avg_pool]",
    ),
    "sums of sums": (
        "[{branches: [[{branches: [relu, tanh], merge: add}], sigmoid], merge: add},"
        " global_avg_pool]",
        "[{branches: [sigmoid, tanh, relu], merge: add}, global_avg_pool]",
    ),
    "dropout and nothing": (
        "[{dropout: 0.5}, {spatial_dropout: 0.1}, identity, relu, global_avg_pool, softmax]",
        "[relu, global_avg_pool]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAME)
def test_the_same_network(case, tmp_path):
    one, other = (spec(tmp_path, body, name=f"s{n}") for n, body in enumerate(SAME[case]))
    assert match(one, other).differences == []
    assert match(other, one).differences == []


OTHER = {
    "same puts the odd pixel at the other side": (
        "[{conv: {filters: 4, kernel: 3, stride: 2, padding: same}}, global_avg_pool]",
        "[{conv: {filters: 4, kernel: 3, stride: 2, padding: 1}}, global_avg_pool]",
    ),
    "zeros before a maximum of any numbers": (
        "[{zero_pad: 1}, {max_pool: {kernel: 3, stride: 2}}, global_avg_pool]",
        "[{max_pool: {kernel: 3, stride: 2, padding: 1}}, global_avg_pool]",
    ),
    "zeros that count and zeros that do not": (
        "[{avg_pool: {kernel: 3, stride: 2, padding: 1}}, global_avg_pool]",
        "[{avg_pool: {kernel: 3, stride: 2, padding: 1, count_include_pad: true}},"
        " global_avg_pool]",
    ),
    "x · hard_sigmoid(x) of another slope": (
        "[{branches: [identity, {hard_sigmoid: 0.2}], merge: multiply}, global_avg_pool]",
        "[hard_swish, global_avg_pool]",
    ),
    "another epsilon": (
        "[{batch_norm: {epsilon: 1.0e-3}}, global_avg_pool]",
        "[{batch_norm: {epsilon: 1.0e-5}}, global_avg_pool]",
    ),
    "concatenated in another order": (
        "[{branches: [relu, tanh], merge: concat}, global_avg_pool, {dense: 2}]",
        "[{branches: [tanh, relu], merge: concat}, global_avg_pool, {dense: 2}]",
    ),
    "taken away the other way round": (
        "[{relu: , name: a}, {tanh: , from: input, name: b}, {subtract: , from: [a, b]},"
        " global_avg_pool]",
        "[{relu: , name: a}, {tanh: , from: input, name: b}, {subtract: , from: [b, a]},"
        " global_avg_pool]",
    ),
    "one layer for two, two layers for one": (
        "[{conv: {filters: 3, kernel: 1}}, {branches: [relu, tanh], merge: add}, global_avg_pool]",
        "[{branches: [[{conv: {filters: 3, kernel: 1}}, relu],"
        " [{conv: {filters: 3, kernel: 1}}, tanh]], merge: add}, global_avg_pool]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHER)
def test_another_network(case, tmp_path):
    one, other = (spec(tmp_path, body, name=f"s{n}") for n, body in enumerate(OTHER[case]))
    assert match(one, other).differences
    assert match(other, one).differences


FULL = (
    "[{conv: {filters: 4, kernel: 3}}, batch_norm, relu, {conv: {filters: 6, kernel: 3}}, tanh,"
    " {residual: [{conv: {filters: 6, kernel: 1}}, elu]}, global_avg_pool, {dense: 5}]"
)
#: What is left out, where it is told, and what of it.
MISSING = {
    "one": ("batch_norm, ", "conv", "batch_norm (batch_norm)"),
    "two": ("batch_norm, relu, ", "conv", "batch_norm (batch_norm), relu (relu)"),
    "one that others are like": (", tanh", "conv_2", "tanh (tanh)"),
    "many": (
        "batch_norm, relu, {conv: {filters: 6, kernel: 3}}, tanh, ",
        "conv",
        "4 layers, batch_norm to tanh",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISSING)
def test_layers_that_one_of_them_has_not(case, tmp_path):
    """They are told by name, and the walk goes on behind them."""
    part, behind, listed = MISSING[case]
    full = FULL if case != "many" else FULL.replace("filters: 4", "filters: 6")
    ours = spec(tmp_path, full, name="full")
    theirs = spec(tmp_path, full.replace(part, ""), name="less")
    (one,) = {*match(ours, theirs).differences}  # both paths of the residual lead there
    assert one.what == f"behind {behind} the source has no {listed}"
    assert one.theirs == ""
    found = match(theirs, ours)
    (other,) = {*found.differences}
    assert (other.ours, other.theirs) == (behind, "")
    assert other.what == f"behind it the source has {listed}, which the spec has not"
    every = [held for layer in theirs.layers for held in layer.weights.values()]
    assert len(found.weights) == len(every)


def test_another_layer_is_not_a_missing_one(tmp_path):
    ours = spec(tmp_path, FULL, name="ours")
    theirs = spec(tmp_path, FULL.replace("tanh", "sigmoid"), name="theirs")
    (one,) = {*match(ours, theirs).differences}
    assert one.what == "tanh here, sigmoid there"


def test_layers_of_a_part_that_is_left_out_are_not_told_of(tmp_path):
    ours = spec(tmp_path, FULL, name="ours")
    theirs = spec(tmp_path, FULL.replace(", global_avg_pool", ", relu, global_avg_pool"), name="t")
    (one,) = match(ours, theirs).differences
    assert "the source has relu (relu_2), which the spec has not" in one.what
    assert (
        match(ours, theirs, lambda name: name == "add").differences[0].what
        == "add here, relu there"
    )


def turned(network: Network) -> Network:
    """The same with the inputs of sums, products and maxima the other way round."""
    layers = [
        Layer(layer.name, layer.op, layer.inputs[::-1], layer.weights)
        if layer.op.name in ("add", "multiply", "maximum", "average")
        else layer
        for layer in network.layers
    ]
    return Network(network.name, layers, network.types, network.outputs)


@pytest.mark.parametrize("name", sorted(path.stem for path in library.all_specs()))
def test_every_spec_is_itself(name):
    """Each weight is paired, with itself where nothing else is like it."""
    network = of_spec(analyse(name))
    every = [held.name for layer in network.layers for held in layer.weights.values()]
    found = match(network, network)
    assert found.differences == []
    assert sorted(ours.name for ours, _ in found.weights) == sorted(every)
    assert all(ours == theirs for ours, theirs in found.weights)
    again = match(network, turned(network))
    assert again.differences == []
    assert sorted(theirs.name for _, theirs in again.weights) == sorted(every)


def test_a_layer_that_does_not_fit_is_refused():
    builder = Builder("broken", (4, 4, 3))
    with pytest.raises(Exception, match="the source none for it"):
        builder.add("c", op("conv", filters=2, kernel=1), [0], {})
    with pytest.raises(Exception, match="does not fit conv"):
        builder.add("c", op("conv", filters=2, kernel=1, bias=False), [0],
                    {"kernel": Held("w", (2, 3, 1, 1))})  # fmt: skip
