"""The paper's Figures 1 to 4: what is "strictly equivalent" in them is so, gradients included."""

from __future__ import annotations

import numpy as np
import pytest

from xgraph import backend
from xgraph.compile import Compilation, analyse
from xgraph.passes.cost import measure, total

from ..turns import by_turns

NAMES = ("torch", "keras", "flax")
SIZE = "input.shape=[9, 6, 5]"
#: Channels and filters of the three paths, also such as are not of equal size.
PATHS = (((2, 2, 2), (3, 3, 3)), ((2, 5, 3), (3, 1, 4)))


def loaded(name, spec, *settings):
    target = backend.get(name)
    return target.load(target.emit(Compilation(analyse(spec, settings), None)))


def joined(weights, kind):
    """Of the three paths' 1×1 convolutions: kernels and biases side by side."""
    paths = ("first_path", "second_path", "third_path")
    return np.concatenate([weights[f"{path}.conv.{kind}"] for path in paths], axis=-1)


def renamed(weights):
    """Weights of Figure 2, or gradients of them, as Figure 3 has them."""
    kept = {
        name.replace("conv_2", "conv"): value
        for name, value in weights.items()
        if ".conv_2." in name
    }
    return {**kept, "wide.kernel": joined(weights, "kernel"), "wide.bias": joined(weights, "bias")}


def assert_alike(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("channels", "filters", "name"), by_turns(PATHS))
def test_figure_3_is_figure_2(name, channels, filters):
    settings = (SIZE, f"channels={list(channels)}", f"filters={list(filters)}")
    paths, segments = (loaded(name, spec, *settings) for spec in ("figure2", "figure3"))
    draw = np.random.default_rng(0)
    images, along = (draw.standard_normal((3, 9, 6, n)) for n in (5, sum(filters)))
    weights = {key: draw.standard_normal(w.shape) for key, w in paths.weights().items()}
    paths.set_weights(weights)
    segments.set_weights(renamed(weights))
    (one,), (other,) = paths.run(images), segments.run(images)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
    wanted, found = (program.projected(images, [along]) for program in (paths, segments))
    np.testing.assert_allclose(found.images, wanted.images, rtol=0, atol=1e-12)
    assert_alike(found.weights, renamed(wanted.weights))


@pytest.mark.parametrize("name", NAMES)
def test_figure_4_is_a_segment_for_each_channel(name, tmp_path):
    path = tmp_path / "segments.yaml"
    path.write_text(
        "{xgraph: 1, name: segments, input: {shape: [9, 6, 5]}, graph: [{conv: {filters: 4, kernel:"
        " 1}}, {conv: {filters: 4, kernel: 3, padding: same, groups: 4}, name: depthwise_conv}]}"
    )
    extreme = loaded(name, "figure4", SIZE, "filters=4")
    segments = loaded(name, str(path))
    draw = np.random.default_rng(1)
    images, along = (draw.standard_normal((3, 9, 6, n)) for n in (5, 4))
    weights = {key: draw.standard_normal(w.shape) for key, w in extreme.weights().items()}

    def as_segments(weights):
        renamed = {key.replace("depthwise_kernel", "kernel"): w for key, w in weights.items()}
        kernel = renamed["depthwise_conv.kernel"]
        return {**renamed, "depthwise_conv.kernel": kernel.swapaxes(2, 3)}

    extreme.set_weights(weights)
    segments.set_weights(as_segments(weights))
    np.testing.assert_allclose(extreme.run(images)[0], segments.run(images)[0], atol=1e-12)
    wanted, found = (program.projected(images, [along]) for program in (extreme, segments))
    np.testing.assert_allclose(found.images, wanted.images, rtol=0, atol=1e-12)
    assert_alike(found.weights, as_segments(wanted.weights))


#: Parameters and multiply-accumulates by the number of segments.
SPECTRUM = {
    1: (1_297_786, 356_188_800),
    2: (717_178, 193_618_560),
    4: (426_874, 112_333_440),
    12: (233_338, 58_143_360),
    48: (160_762, 37_822_080),
    96: (148_666, 34_435_200),
}


@pytest.mark.parametrize("segments", SPECTRUM)
def test_the_spectrum_is_one_number(segments):
    analysis = analyse("spectrum", [f"segments={segments}"])
    found = total(measure(analysis.graph, analysis.types))
    spatial = sum(9 * channels**2 * times for channels, times in ((96, 2 + 4), (192, 2)))
    rest = found.parameters - spatial // segments
    assert rest == total(measure(*_one_segment())).parameters - spatial
    assert (found.parameters, found.macs) == SPECTRUM[segments]


def _one_segment():
    analysis = analyse("spectrum", ["segments=1"])
    return analysis.graph, analysis.types


BY_A_LOOP = """\
xgraph: 1
name: by_a_loop
params: {segments: 3}
input: {shape: [9, 6, 6]}
graph:
- branches:
    repeat: $segments
    index: i
    body:
    - {channel_slice: {channels: 6 // $segments, start: $i * (6 // $segments)}}
    - {conv: {filters: 12 // $segments, kernel: 3, padding: same}}
  merge: concat
"""
BY_GROUPS = """\
xgraph: 1
name: by_groups
params: {segments: 3}
input: {shape: [9, 6, 6]}
graph: [{conv: {filters: 12, kernel: 3, padding: same, groups: $segments}}]
"""


@pytest.mark.parametrize("segments", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_branches_by_a_loop_are_a_convolution_in_groups(name, segments, tmp_path):
    """What `spectrum` says in a word, said with a branch for each segment."""
    programs = []
    for text in (BY_A_LOOP, BY_GROUPS):
        path = tmp_path / "spec.yaml"
        path.write_text(text)
        programs.append(loaded(name, str(path), f"segments={segments}"))
    loop, groups = programs
    draw = np.random.default_rng(2)
    images, along = (draw.standard_normal((3, 9, 6, n)) for n in (6, 12))
    weights = {key: draw.standard_normal(w.shape) for key, w in loop.weights().items()}

    def as_groups(weights):
        return {
            f"conv.{kind}": np.concatenate(
                [weights[f"conv.{k}.{kind}"] for k in range(segments)], axis=-1
            )
            for kind in ("kernel", "bias")
        }

    assert len(weights) == 2 * segments
    loop.set_weights(weights)
    groups.set_weights(as_groups(weights))
    np.testing.assert_allclose(loop.run(images)[0], groups.run(images)[0], rtol=0, atol=1e-12)
    found, wanted = (program.projected(images, [along]) for program in programs)
    np.testing.assert_allclose(found.images, wanted.images, rtol=0, atol=1e-12)
    assert_alike(as_groups(found.weights), wanted.weights)
