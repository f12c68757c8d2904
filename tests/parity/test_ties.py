"""Images and weights with ties: exact where they can be, drawn where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from xgraph import interpreter
from xgraph.compile import analyse
from xgraph.parity.ties import can_be_exact, can_be_flat, with_ties

SPEC = """\
xgraph: 1
name: tied
input: {{shape: [8, 6, 3]}}
defaults: {{conv: {{filters: 2, kernel: 1}}}}
graph: [{items}]
"""
#: Behind gelu and behind dropout, sums with coarse weights were zero but for rounding, where relu6
#: and relu have a jump: gradients were 0.1 apart in a program that LLVM had not optimized.
ROUNDED = (
    "gelu, {separable_conv: {filters: 1, kernel: 3, depthwise_activation: relu6}}, flatten",
    "conv, {dropout: 0.1}, {avg_pool: {kernel: 3}}, relu",
    "conv, batch_norm, {max_pool: 2}",
    "conv, tanh, conv, relu",
    "conv, global_avg_pool, hard_sigmoid",
)
EXACT = (
    "conv, relu, {conv: {filters: 3, kernel: 3}}, {max_pool: 2}, batch_norm, gelu",
    "{separable_conv: {filters: 1, kernel: 3, depthwise_activation: relu6}}, flatten",
    "relu, global_max_pool, {dense: 3}, tanh",
)


#: Means of equal values, over 4 pixels at the border and over 6, were not equal; the gradient of a
#: maximum over both was 0.28 apart. Nor are rows of a convolution that see equal values, or exp of
#: them: it was 0.92 apart. What is taken from each other may leave nothing but rounding.
UNEVEN = (
    "{conv: {filters: 2, kernel: 1}}, {avg_pool: {kernel: 3, padding: same, stride: 1}},"
    " {max_pool: 2}",
    "sigmoid, {separable_conv: {filters: 12, kernel: 1}}, global_max_pool",
    "conv, conv, gelu, {max_pool: 2}",
    "conv, tanh, global_max_pool",
    "conv, batch_norm, {group_norm: {groups: 2, center: false}}, relu",
    "conv, {scale: , name: a}, {avg_pool: {kernel: 2, stride: 1}},"
    " {resize: {size: [8, 6]}, name: b}, {subtract: , from: [a, b]}, relu",
    "conv, {scale: , name: a}, {average: , from: [a, a, a]}, {maximum: , from: [a, average]}, relu",
)


def drawn(items, tmp_path):
    path = tmp_path / "tied.yaml"
    path.write_text(SPEC.format(items=items))
    analysis = analyse(str(path))
    weights = interpreter.random_weights(analysis.graph, analysis.types)
    images = np.random.default_rng(0).standard_normal((1, 2, 8, 6, 3))
    return analysis.graph, weights, images, *with_ties(analysis.graph, weights, images)


def is_coarse(values):
    return np.array_equal(8 * values, np.round(8 * values))


@pytest.mark.parametrize("items", EXACT)
def test_what_slopes_jump_for_is_exact(items, tmp_path):
    graph, _, images, weights, tied = drawn(items, tmp_path)
    assert can_be_exact(graph)
    assert all(is_coarse(weight) and weight.all() for weight in weights.values())
    assert is_coarse(tied[:, 0])
    assert np.array_equal(tied[:, 1], images[:, 1])


@pytest.mark.parametrize("items", ROUNDED)
def test_what_is_rounded_has_no_ties_but_of_zeros(items, tmp_path):
    graph, before, images, weights, tied = drawn(items, tmp_path)
    assert not can_be_exact(graph)
    assert weights == before
    assert np.array_equal(tied[:, 0, :4], images[:, 0, :4])
    assert not tied[:, 0, 4:].any()


@pytest.mark.parametrize("items", UNEVEN)
def test_what_is_not_computed_alike_has_no_ties(items, tmp_path):
    graph, before, images, weights, tied = drawn(items, tmp_path)
    assert not can_be_exact(graph)
    assert not can_be_flat(graph)
    assert weights == before
    assert tied is images


def test_what_may_follow_a_flat_image(tmp_path):
    """Smooth ends, slopes that jump at zero, and maxima of what is computed alike."""
    for items in (
        ROUNDED[1],
        "{avg_pool: {kernel: 3, padding: same}}",
        "relu, {zero_pad: 1}, conv, batch_norm, relu, {avg_pool: 2}, global_max_pool",
        "conv, gelu, conv, batch_norm, relu, global_avg_pool, {dense: 4}, relu6",
    ):
        graph, *_ = drawn(items, tmp_path)
        assert can_be_flat(graph)
