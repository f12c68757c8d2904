"""Images and weights with ties: exact where they can be, drawn where they cannot."""

from __future__ import annotations

import numpy as np
import pytest

from xgraph import interpreter
from xgraph.compile import analyse
from xgraph.parity.ties import exact_nodes, with_ties

SPEC = """\
xgraph: 1
name: tied
input: {{shape: [8, 6, 3]}}
defaults: {{conv: {{kernel: 1}}}}
graph: [{items}]
"""
#: Behind gelu, sums with coarse weights were zero but for rounding, where relu6 has a jump: its
#: gradients were 0.07 apart in a program that LLVM had not optimized.
ROUNDED = "gelu, {separable_conv: {filters: 1, kernel: 3, depthwise_activation: relu6}}, flatten"


def drawn(items, tmp_path):
    path = tmp_path / "tied.yaml"
    path.write_text(SPEC.format(items=items))
    analysis = analyse(str(path))
    weights = interpreter.random_weights(analysis.graph, analysis.types)
    images = np.random.default_rng(0).standard_normal((1, 2, 8, 6, 3))
    return analysis.graph, weights, images, *with_ties(analysis.graph, weights, images)


def is_coarse(values):
    return np.array_equal(8 * values, np.round(8 * values))


@pytest.mark.parametrize(
    ("items", "coarse"),
    [
        ("{conv: {filters: 2, kernel: 3}}, relu, {conv: 2}, {max_pool: 2}", {"conv", "conv_2"}),
        ("{conv: 2}, gelu, {conv: 2}, relu", {"conv"}),
        ("{conv: 2}, batch_norm, relu, {depthwise_conv: 3}", {"conv"}),
        (ROUNDED, set()),
    ],
)
def test_weights_are_coarse_where_values_are_exact(items, coarse, tmp_path):
    _, _, images, weights, tied = drawn(items, tmp_path)
    found = {name.rpartition(".")[0] for name, weight in weights.items() if is_coarse(weight)}
    assert found == coarse
    assert all(weight.all() for name, weight in weights.items() if name.startswith("conv"))
    assert is_coarse(tied[:, 0])
    assert np.array_equal(tied[:, 1], images[:, 1])


def test_maxima_of_rounded_values_have_no_ties_but_of_zeros(tmp_path):
    graph, before, images, weights, tied = drawn("{conv: 2}, tanh, {max_pool: 2}", tmp_path)
    assert exact_nodes(graph) == [True, True, False, False]
    assert weights == before
    assert np.array_equal(tied[:, 0, :4], images[:, 0, :4])
    assert not tied[:, 0, 4:].any()
