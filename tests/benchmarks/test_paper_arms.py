"""The networks of the experiments: their budgets, and that they differ in one thing."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from benchmarks.paper.experiments import ARMS, EXPERIMENTS, HERE
from xgraph.compile import analyse
from xgraph.passes import cost
from xgraph.passes.differ import difference
from xgraph.recipe.library import load_recipe

WHOLE = """
xgraph: 1
extends: inception_v3.yaml
name: whole
params: {width: 16, classes: 1000, dropout: 0.5, bn_scale: false}
input: {shape: [299, 299, 3]}
defaults: {batch_norm: {momentum: 0.99}}
graph:
  stem:
  - conv_bn: {filters: 32, kernel: 3, stride: 2, padding: valid}
  - conv_bn: {filters: 32, kernel: 3, padding: valid}
  - [{conv_bn: {filters: 64, kernel: 3}}, max_pool]
  - [{conv_bn: {filters: 80, padding: valid}}, {conv_bn: {filters: 192, kernel: 3, padding: valid}}]
  - max_pool
  mixed_35:
  - {for: {pool_filters: [32, 64, 64]}, body: [{inception_a: $pool_filters}]}
  mixed_17:
  - reduction_a
  - {for: {filters: [128, 160, 160, 192]}, body: [{inception_b: $filters}]}
  mixed_8: [reduction_b, {repeat: 2, body: [inception_c]}]
"""


def analysed(arm: str):
    return analyse(ARMS[arm].path, ARMS[arm].settings)


def apart(one: str, other: str):
    return difference(analysed(one), analysed(other))


def total(analysis):
    """Its cost as a whole."""
    return cost.total(cost.measure(analysis.graph, analysis.types))


def kinds(found):
    """In what two networks differ."""
    names = ("added", "removed", "replaced", "changed", "rewired", "resized")
    return {name for name in names if getattr(found, name)}


def ops(groups):
    return {group.op: len(group.nodes) for group in groups}


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda each: each.name)
def test_arms_of_an_experiment_are_of_nearly_one_size(experiment):
    sizes = [total(analysed(arm)).trainable for arm in experiment.arms]
    if experiment.budget is not None:
        for size in sizes[1:]:
            assert abs(size - sizes[0]) <= experiment.budget * sizes[0]


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda each: each.name)
def test_arms_of_an_experiment_are_trained_alike(experiment):
    arms = [ARMS[name] for name in experiment.arms]
    assert len({arm.recipe for arm in arms}) == 1
    inputs, dropouts, momenta = set(), set(), set()
    for arm in experiment.arms:
        nodes = analysed(arm).graph.nodes
        inputs.add(nodes[0].op)
        dropouts.add(tuple({node.op.rate for node in nodes if node.op.name == "dropout"}))
        momenta.update(node.op.momentum for node in nodes if node.op.name == "batch_norm")
    assert len(inputs) == 1
    assert len(dropouts) == 1
    assert momenta == {0.9}


def test_every_arm_is_used():
    used = {arm for experiment in EXPERIMENTS.values() for arm in experiment.arms}
    assert used == ARMS.keys()
    assert {ARMS[arm].name for arm in used} == used


@pytest.mark.parametrize("other", ["relu", "elu"])
def test_figure10_is_about_the_activation_in_between(other):
    found = apart("xception", other)
    [changed] = found.changed
    assert changed.changes == {"depthwise_activation": (None, other)}
    assert len(changed.nodes) == 14
    assert kinds(found) == {"changed"}
    assert ARMS[f"{other}_adam"].settings == ARMS[other].settings


def test_figure9_is_about_shortcuts():
    found = apart("xception", "no_residual")
    assert ops(found.removed) == {"add": 5, "conv": 3, "batch_norm": 3}
    assert all(".shortcut." in node for group in found.removed for node in group.nodes
               if group.op != "add")  # fmt: skip
    assert kinds(found) == {"removed", "rewired"}


def test_the_order_is_of_the_two_halves():
    found = apart("xception", "pointwise_first")
    assert ops(found.removed) == {"separable_conv": 14}
    assert ops(found.added) == {"conv": 14, "depthwise_conv": 14}
    assert kinds(found) == {"added", "removed"}


def test_the_spectrum_is_of_segments_and_ends_at_the_depthwise_convolution():
    arms = EXPERIMENTS["spectrum"].arms
    segments = [arm for arm in arms if ARMS[arm].spec == "segments"]
    assert [*arms] == ["pointwise_first", *segments]
    for arm in segments:
        groups = {node.op.groups for node in analysed(arm).graph.nodes if node.op.name == "conv"}
        assert groups == {1, int(arm.removeprefix("segments_"))}
    whole = analyse(ARMS["segments_4"].path, ["width=1"])  # no channel more or less
    found = difference(whole, analysed("pointwise_first"))
    assert ops(found.replaced) == {"conv": 14}
    assert kinds(found) == {"replaced"}


@pytest.mark.parametrize("network", ["xception", "inception_v3"])
def test_fully_connected_layers_are_all_that_they_add(network):
    found = apart(f"{network}_rmsprop", f"{network}_fc")
    assert ops(found.added) == {"dense": 2, "relu": 2}
    assert kinds(found) == {"added"}
    assert sum(group.parameters for group in found.added) == 2 * (256 * 256 + 256)


def test_the_slides_tower_is_a_sixth_more():
    found = apart("inception_v3", "inception_v3_tower")
    assert all(name.startswith("auxiliary.") for group in found.added for name in group.nodes)
    assert kinds(found) == {"added"}
    tower, xception = (total(analysed(arm)).trainable
                       for arm in ("inception_v3_tower", "xception_adam"))  # fmt: skip
    assert 1.15 < tower / xception < 1.25  # of the slides, 1.17


def test_the_small_xception_is_the_bundled_one_in_gray():
    found = difference(analyse("xception_mini"), analysed("xception"))
    assert [group.op for group in found.changed] == ["input"]
    assert kinds(found) == {"changed", "resized"}


def test_the_blocks_of_the_small_inception_are_the_bundled_ones(tmp_path):
    """With Inception V3's width, depths and stem, what differs is padding where images halve."""
    shutil.copy(HERE / "specs" / "inception_v3.yaml", tmp_path)
    (tmp_path / "whole.yaml").write_text(WHOLE, encoding="utf-8")
    whole, bundled = analyse(str(tmp_path / "whole.yaml")), analyse("inception_v3")
    assert total(whole).parameters == total(bundled).parameters == 23_851_784
    found = difference(bundled, whole)
    padded = {name for group in found.changed for name in group.nodes}
    assert all(group.changes.keys() == {"padding"} for group in found.changed)
    assert all(".reduction_" in name or "max_pool" in name for name in padded), padded
    assert kinds(found) == {"changed", "resized"}


def test_recipes_differ_in_the_optimizer_and_its_rate():
    base = load_recipe(str(HERE / "recipes" / "sgd.yaml"))
    settings = {field.name for field in dataclasses.fields(base) if field.repr}
    for name in ("rmsprop", "adam"):
        other = load_recipe(str(HERE / "recipes" / f"{name}.yaml"))
        different = {each for each in settings if getattr(base, each) != getattr(other, each)}
        assert different - {"source"} == {"name", "doc", "optimizer", "schedule"}
        schedule = dataclasses.replace(other.schedule, initial=base.schedule.initial)
        assert schedule == base.schedule
    assert {arm.recipe for arm in ARMS.values()} == {"sgd", "rmsprop", "adam"}
