"""Parameters of a generated model: made with other values, it is what `--set` of them compiles to.

Each offered parameter is right for every value that the spec admits; others are not offered.
"""

from __future__ import annotations

import inspect
import json
from typing import Any

import numpy as np
import pytest

from xgraph import backend
from xgraph.compile import Compilation, analyse, compile_spec
from xgraph.emit import planner
from xgraph.emit.plan import Invoke
from xgraph.emit.planner import plan_model
from xgraph.emit.planning.trial import elaborated_with, frozen_parameters, offered
from xgraph.fuzz.generate import random_spec
from xgraph.fuzz.trees import to_yaml
from xgraph.programs import import_files
from xgraph.recipe import load_recipe
from xgraph.spec.calls import MERGES

from ..turns import by_turns
from .instances import BUILT, expected, read, worlds, wrong
from .random_specs import Author
from .structures import SPECS

BACKENDS = ["torch", "keras", "flax"]
BUNDLED = ["xception", "xception_mini", "inception_v3"]

#: Text of a spec, and settings that it admits.
PARAMETERS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "shared_at_sizes_that_follow": (
        """
params: {kernel: 3, around: 1, maps: 4}
blocks:
  step: {params: {kernel, around}, body: [{conv: {filters: 3, kernel: $kernel, padding: $around}}]}
  head: {params: {maps}, body: [{conv: {filters: $maps, kernel: 1}}, flatten]}
graph:
- {step: {kernel: $kernel, around: $around}, name: s}
- {share: s}
- {max_pool: 2, name: coarse}
- {conv: {filters: 3, kernel: 1}, from: coarse, name: top}
- {head: $maps, from: top, name: h}
- {share: h, from: coarse, name: again}
- {concat: , from: [h, again]}
- {dense: 2}
""",
        [{"maps": 3}],
    ),
    "shared_with_other_kernels": (
        """
params: {kernel: 3, around: 1}
blocks:
  step: {params: {kernel, around}, body: [{conv: {filters: 3, kernel: $kernel, padding: $around}}]}
graph:
- {step: {kernel: $kernel, around: $around}, name: s}
- {share: s}
- {repeat: 2, body: {share: s}}
""",
        [{"kernel": 5}, {"around": 2}, {"kernel": 1, "around": 0}],
    ),
    "after_for_over_mappings": (
        """
params: {classes: 10, width: 0.5}
graph:
  stem: [{conv: {filters: make_divisible(16 * $width), kernel: 1}}]
  body:
  - for: {stage: [{filters: 16}, {filters: 32}]}
    body: {conv: {filters: make_divisible($stage.filters * $width), kernel: 1}}
  head: [global_avg_pool, {dense: $classes}]
""",
        [{"width": 1.0}, {"width": 2}, {"classes": 3}],
    ),
    "a_block_has_the_name_too": (
        """
params: {depth: 2, growth: 4}
blocks:
  layer: {params: {width}, body: [{conv: {filters: $width, kernel: 1}}]}
  stage: {params: {depth}, body: [{repeat: $depth, body: [{layer: 3}]}, {layer: $growth}]}
graph: [{stage: $depth}, {conv: {filters: $depth, kernel: 1}}]
""",
        [{"depth": 3}, {"growth": 2, "depth": 1}],
    ),
    "densely_connected": (
        """
params: {growth: 4, depths: [2, 3], compression: 0.5}
blocks:
  layer:
    params: {growth}
    body:
    - branches:
        kept: []
        fresh: [batch_norm, {conv: {filters: $growth, kernel: 3, padding: same}}]
      merge: concat
  dense_block: {params: {depth, growth}, body: [{repeat: $depth, body: [{layer: $growth}]}]}
graph:
  stem: [{conv: {filters: 2 * $growth, kernel: 1}}]
  body:
  - for: {depth: $depths}
    body: [{dense_block: {depth: $depth, growth: $growth}}, batch_norm, {avg_pool: 2}]
  head: [batch_norm, global_avg_pool, {dense: 5}]
""".replace("{filters: 2 * $growth", "{filters: '2 * $growth'"),
        [{"growth": 3}, {"depths": [1, 2, 1]}, {"depths": []}],
    ),
    "parameter_follows_from_another": (
        """
params: {width: 1.0, filters: make_divisible(8 * $width), units: 2 * $filters}
graph: [{conv: {filters: $filters, kernel: 1}}, global_avg_pool, {dense: $units}]
""".replace("make_divisible(8 * $width)", "'make_divisible(8 * $width)'").replace(
            "2 * $filters", "'2 * $filters'"
        ),
        [{"width": 2.0}, {"filters": 3}, {"units": 7}, {"width": 2.0, "units": 7}],
    ),
    "loop_that_runs_once": (
        """
params: {depth: 1, width: 3}
graph: [{repeat: $depth, index: i, body: [{conv: {filters: '$width + $i', kernel: 1}}]},
        global_avg_pool, {dense: 2}]
""",
        [{"depth": 3}, {"width": 5}, {"depth": 0}],
    ),
    "as_many_branches_as_said": (
        """
params: {segments: 3, width: 12, paths: 2, kernels: [1, 3], widths: [2, 4]}
graph:
- {conv: {filters: $width, kernel: 1}}
- branches:
    repeat: $segments
    index: i
    body:
    - {channel_slice: {channels: $width // $segments, start: '$i * ($width // $segments)'}}
    - {conv: {filters: $width // $segments, kernel: 3, padding: same}}
  merge: concat
- {branches: {repeat: $paths, body: [{conv: {filters: $width, kernel: 1}}, relu]}, merge: add}
- {branches: {repeat: $paths, body: [{conv: {filters: 3, kernel: 1}}]}, merge: average}
- branches: {for: {k: $kernels}, body: [{conv: {filters: 3, kernel: $k, padding: same}}]}
  merge: concat
- {branches: {for: {w: $widths}, body: [{conv: {filters: $w, kernel: 1}}]}, merge: concat}
- batch_norm
- {conv: {filters: 2, kernel: 1}}
""",
        [
            {"segments": 2},
            {"segments": 1, "paths": 1},
            {"width": 24, "paths": 4},
            {"kernels": [3], "widths": [1]},
            {"kernels": [1, 3, 3], "widths": [3, 1, 2]},
        ],
    ),
    "defaults_that_follow_from_channels": (
        """
params: {width: 4, factor: 2, depth: 2}
blocks:
  widened:
    params: {filters, inner: $input.channels * $factor, squeezed: 'max($inner // 3, 1)'}
    body:
    - {conv: {filters: $inner, kernel: 1}}
    - {conv: {filters: $squeezed, kernel: 1}}
    - {conv: {filters: $filters, kernel: 1}}
  kept: {params: {filters: $input.channels}, body: [{conv: {filters: $filters, kernel: 1}}]}
  joined:
    inputs: [one, other]
    params: {filters: $one.channels + $other.channels}
    body: [{concat: , from: [one, other]}, {conv: {filters: $filters, kernel: 1}}]
graph:
  a:
  - [kept, {conv: {filters: $width, kernel: 1}}, kept]
  - [{widened: 5}, {widened: {filters: 3, inner: 7}}]
  b: [{repeat: $depth, body: {widened: 3}}, {for: {f: [2, 4]}, body: [{widened: $f}, kept]}]
  c: [{joined: , from: [a, b]}, {conv: {filters: 2, kernel: 1}}]
""",
        [{"width": 6}, {"factor": 3}, {"depth": 3, "factor": 1}],
    ),
    "several_results": (
        """
params: {width: 4, depth: 2, factor: 2}
blocks:
  split:
    params: {filters, other: $filters * $factor}
    results: [one, two]
    body:
    - {conv: {filters: $other, kernel: 1}, name: two}
    - {conv: {filters: $filters, kernel: 1}, name: one}
  outer:
    params: {filters}
    results: [joined, early]
    body:
    - {split: $filters, name: early}
    - {concat: , from: [early.two, early], name: joined}
graph:
  a: [{split: $width, name: s}, {outer: 3}, {concat: , from: [outer, s.two, outer.early]}]
  b:
  - {repeat: $depth, body: [{outer: $width, name: o}]}
  - {concat: , from: [o.early, a.s, o]}
  - {conv: {filters: 2, kernel: 1}}
""",
        [{"width": 6}, {"depth": 1, "factor": 3}, {"width": 3, "depth": 3}],
    ),
    "equal_by_chance": (
        """
params: {width: 4, depth: 2}
graph:
  stem: [{conv: {filters: 4, kernel: 1}}]
  body: [{repeat: $depth, body: [{conv: {filters: $width, kernel: 1}}]}]
  head: [global_avg_pool, {dense: 2}]
""",
        [{"width": 6}, {"depth": 0}, {"width": 2, "depth": 3}],
    ),
    "skip_from_another_section": (
        """
params: {width: 4}
graph:
  down: [{conv: {filters: $width, kernel: 1}, name: kept}, {max_pool: 2}]
  up:
  - {conv: {filters: 3, kernel: 1}, from: down.kept}
  - {concat: {}, from: [down.kept, conv]}
  - batch_norm
  head: [global_avg_pool, {dense: 2}]
""",
        [{"width": 6}],
    ),
    "stride_is_one_at_first": (
        """
params: {stride: 1, kernel: 1, dilation: 1}
graph:
- {conv: {filters: 4, kernel: $kernel, stride: $stride, padding: same}}
- {depthwise_conv: {kernel: 3, stride: $stride, padding: same}}
- {depthwise_conv: {kernel: 2, dilation: $dilation, padding: same}}
- {max_pool: {kernel: 3, stride: $stride}}
- [global_avg_pool, {dense: 2}]
""",
        [{"stride": 2}, {"kernel": 3}, {"stride": 2, "kernel": 2}, {"dilation": 2}],
    ),
    "padding_follows_from_the_kernel": (
        """
params: {kernel: 3}
blocks:
  conv_bn:
    params: {filters, kernel}
    body:
    - conv:
        filters: $filters
        kernel: $kernel
        padding: [[$kernel // 2, $kernel // 2], [$kernel // 2, ($kernel - 1) // 2]]
    - max_pool:
        kernel: $kernel
        stride: 1
        padding: [[$kernel // 2, $kernel // 2], [0, $kernel // 2]]
    - batch_norm
graph: [{conv_bn: {filters: 4, kernel: $kernel}}, {conv_bn: {filters: 3, kernel: 5}},
        {conv_bn: {filters: 3, kernel: 1}}, global_avg_pool, {dense: 2}]
""",
        [{"kernel": 5}, {"kernel": 2}],
    ),
    "names_of_weights_in_loops": (
        """
params: {depth: 2}
graph:
- {conv: {filters: 4, kernel: 1}}
- repeat: $depth
  body:
  - {depthwise_conv: {kernel: 3, padding: same, kernel_initializer: he_normal}}
  - {separable_conv: {filters: 4, kernel: 3, padding: same}}
- [global_avg_pool, {dense: 2}]
""",
        [{"depth": 4}, {"depth": 1}],
    ),
    "channels_of_the_images": (
        """
params: {size: 12, channels: 3}
input: {shape: [$size, 10, $channels]}
graph:
- {depthwise_conv: {kernel: 3}}
- {conv: {filters: $channels, kernel: 1}}
- [batch_norm, global_avg_pool, {dense: 2}]
""",
        [{"channels": 4}, {"size": 14}, {"size": 9, "channels": 1}],
    ),
    "block_default_follows_from_the_spec": (
        """
params: {width: 4, wide: 2}
blocks:
  unit: {params: {filters: $width * 2, biased: $wide > 1}, body: [
    {conv: {filters: $filters, kernel: 1, bias: $biased}}, batch_norm]}
graph: [unit, unit, global_avg_pool, {dense: 2}]
""",
        [{"width": 3}, {"wide": 1}],
    ),
    "channels_divided_by_a_parameter": (
        """
params: {zoom: 2}
graph: [{conv: {filters: 16, kernel: 1}}, {depth_to_space: $zoom}, batch_norm, global_avg_pool]
""",
        [{"zoom": 1}, {"zoom": 4}],
    ),
    "named_like_functions": (
        """
params: {wide: 2, width: 1.5}
blocks:
  unit:
    params: {floor, ceil: 1 + $floor, make_divisible: 2 * $ceil}
    body:
    - {space_to_depth: $floor}
    - {conv: {filters: floor($floor * $width) + ceil($ceil * $width), kernel: 1}}
    - {conv: {filters: "make_divisible($make_divisible, 2)", kernel: 1}}
    - {space_to_depth: $floor}
graph: [{unit: $wide}, batch_norm, global_avg_pool]
""",
        [{"wide": 1}, {"width": 2.5}],
    ),
}


def spec_of(name: str) -> str:
    text = PARAMETERS[name][0]
    shape = "" if "input:" in text else "input: {shape: [12, 12, 3]}\n"
    return f"xgraph: 1\nname: {name}\n{shape}{text.lstrip()}"


def texts() -> dict[str, str]:
    """Specs of all kinds by name: written, drawn, and drawn to be strange."""
    found = {name: spec_of(name) for name in PARAMETERS} | SPECS
    seeds = [*range(40), 7668, 8187]  # and two that were found
    found |= {f"fuzz {seed}": to_yaml(random_spec(seed)) for seed in seeds}
    return found | {f"author {seed}": Author(seed).spec() for seed in range(40)}


def planned(analysis):
    """The plan for a backend that says all that it may say."""
    return plan_model(analysis.elaborated, analysis.types, gathering=frozenset(MERGES))


@pytest.fixture
def untried(monkeypatch):
    """Plans as they are derived, none of their parameters taken back for a trial."""
    monkeypatch.setattr(planner, "frozen_parameters", lambda plan, program: frozenset())


@pytest.mark.usefixtures("untried")
def test_plans_are_right_for_other_values(tmp_path):
    tried = 0
    for name, text in texts().items():
        analysis = read(text, tmp_path)
        if analysis is None:
            continue
        plan = planned(analysis)
        for world in worlds(analysis, plan, seed=1, count=6):
            tried += 1
            assert not wrong(plan, world), (name, world[0], wrong(plan, world)[:3])
    assert tried > 250


@pytest.mark.slow
@pytest.mark.usefixtures("untried")
def test_many_plans_are_right_for_other_values(tmp_path):
    for seed in range(3000):
        text = to_yaml(random_spec(seed)) if seed % 2 else Author(seed).spec()
        analysis = read(text, tmp_path)
        if analysis is None:
            continue
        plan = planned(analysis)
        for world in worlds(analysis, plan, seed, count=9):
            assert not wrong(plan, world), (seed, world[0], wrong(plan, world)[:3])


@pytest.mark.parametrize("name", PARAMETERS)
def test_all_that_a_spec_declares_is_offered(name, tmp_path):
    analysis = read(spec_of(name), tmp_path)
    plan = planned(analysis)
    assert set(offered(plan)) >= {key for one in PARAMETERS[name][1] for key in one}


@pytest.mark.parametrize("spec", BUNDLED)
def test_bundled_specs_offer_what_they_declare(spec):
    analysis = analyse(spec)
    declared = {p.name: analysis.elaborated.parameters[p.name]
                for p in analysis.elaborated.program.parameters}  # fmt: skip
    numbers = {name for name, value in declared.items() if not isinstance(value, bool)}
    assert offered(planned(analysis)).keys() == numbers


def test_a_trial_blames_what_is_right_by_chance_only(tmp_path):
    """A channel count that was made a literal by mistake."""
    analysis = read(spec_of("equal_by_chance"), tmp_path)
    plan = planned(analysis)
    assert not frozen_parameters(plan, analysis.elaborated.program)
    head = next(s for s in plan.root.body if isinstance(s, Invoke) and s.name == "head")
    head.arguments["in_channels"] = "4"
    assert frozen_parameters(plan, analysis.elaborated.program) == {"width"}


@pytest.mark.parametrize("item", [
    "{sigmoid: , when: $input.channels >= 10}",
    "{residual: sigmoid, skip: $input.channels >= 10}",
    "{inner: $input.channels}",
    "told",
])  # fmt: skip
def test_how_often_channels_grow_is_not_offered(item, tmp_path):
    """A condition on channels that holds in no turn that there is, and would in a later one."""
    for name in "abcdefgh":  # values are drawn by the name
        text = f"""
xgraph: 1
name: {name}
params: {{n: 1, w: 3}}
input: {{shape: [8, 8, 8]}}
blocks:
  inner: {{params: {{c}}, body: [{{sigmoid: , when: $c >= 10}}]}}
  told: {{params: {{c: $input.channels}}, body: [{{sigmoid: , when: $c >= 10}}]}}
  unit: {{body: [{{conv: {{filters: $input.channels + 1, kernel: 1}}}}, {item}]}}
graph: {{s: [{{repeat: $n, body: unit}}], h: [{{conv: {{filters: $w, kernel: 1}}}}]}}
"""
        analysis = read(text, tmp_path)
        assert offered(planned(analysis)).keys() == {"w"}


@pytest.mark.parametrize(("name", "target"), by_turns(PARAMETERS, every=2))
def test_made_with_settings(name, target, tmp_path):
    """The weights of `compile --set`, to the bit, and its outputs."""
    path = tmp_path / "spec.yaml"
    path.write_text(spec_of(name))
    chosen = backend.get(target)
    recipe = load_recipe("imagenet")
    modules = import_files(chosen.emit(Compilation(analyse(str(path)), recipe)), training=False)
    given = PARAMETERS[name][1]
    for settings in given if target == "torch" else given[:2]:
        analysis = analyse(str(path), [f"{n}={json.dumps(v)}" for n, v in settings.items()])
        names = inspect.signature(modules["model"].create_model).parameters
        values = {n: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}
        # The size of images is fixed by Keras alone.
        values = {n: v for n, v in values.items() if n in names or n != "size"}
        other = import_files(chosen.emit(Compilation(analysis, recipe)), training=False)
        made = modules["model"].create_model(1, **values)
        wanted = other["model"].create_model(1)
        assert values_of(target, modules, made) == values_of(target, other, wanted)
        built = BUILT[target](modules, analysis.types[0].shape, values)
        assert built == expected(analysis.graph, analysis.types)
        images = np.random.default_rng(0).standard_normal((2, *analysis.types[0].shape))
        np.testing.assert_array_equal(run(target, made, images), run(target, wanted, images))


def values_of(target, modules, model) -> dict[str, bytes]:
    weights = modules["weights"].canonical_weights(model)
    if target == "torch":
        return {w.name: (tuple(w.view.shape), w.view.numpy().tobytes()) for w in weights}
    return {n: (tuple(v.shape), np.asarray(v[...] if target == "flax" else v.value).tobytes())
            for n, v in weights.items()}  # fmt: skip


def run(target, model, images):
    if target == "torch":
        import torch

        with torch.no_grad():
            given = model.eval()(torch.from_numpy(images).float().permute(0, 3, 1, 2))
        return given.numpy()
    images = images.astype("float32")
    if target == "keras":
        return np.asarray(model(images, training=False))
    from flax import nnx

    model.eval()
    return np.asarray(nnx.jit(lambda model, images: model(images))(model, images))


@pytest.mark.parametrize("target", BACKENDS)
def test_create_model_takes_what_the_model_takes(target):
    chosen = backend.get(target)
    files = chosen.emit(Compilation(analyse("xception_mini"), load_recipe("imagenet")))
    create = import_files(files, training=False)["model"].create_model
    found = inspect.signature(create).parameters
    named = {n: p.default for n, p in found.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert named == {"classes": 10, "middle_repeat": 2, "dropout": 0.2}


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 1000, 250))
def test_many_models_made_with_other_values(first, tmp_path):
    """Names and shapes of all weights, shapes of outputs, in three frameworks."""
    recipe = load_recipe("imagenet")
    tried = 0
    for seed in range(first, first + 250):
        analysis = read(to_yaml(random_spec(seed)), tmp_path)
        assert analysis is not None
        compilation = Compilation(analysis, recipe)
        plan = planned(analysis)
        drawn = next(worlds(analysis, plan, seed, count=6), ({}, analysis.graph, analysis.types))
        for target in BACKENDS:
            files = backend.get(target).emit(compilation)
            modules = import_files(files, training=False)
            names = inspect.signature(modules["model"].create_model).parameters
            # A word that the program has for itself has an underscore after it there. What a
            # framework needs no code for, such as a loop of identities, it does not take.
            words = {
                name: word
                for name in drawn[0]
                for word in (offered(plan)[name], f"{name}_")  # the latter, if both are there
                if word in names
            }
            settings = {name: drawn[0][name] for name in words}
            world = elaborated_with(analysis.elaborated.program, settings)
            if world is None:
                continue
            taken = {words[n]: tuple(v) if isinstance(v, list) else v for n, v in settings.items()}
            built = BUILT[target](modules, world[1][0].shape, taken)
            assert built == expected(*world), (seed, target, settings)
            tried += bool(settings)
    assert tried > 250


@pytest.mark.parametrize("target", backend.names())
def test_heads_that_do_not_divide_the_channels(target, tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(
        "xgraph: 1\nname: attentive\nparams: {heads: 4}\ninput: {shape: [4, 4, 8]}\n"
        "graph: [{attention: $heads}]\n"
    )
    chosen = backend.get(target)
    _, files = compile_spec(str(path), chosen)
    create_model = chosen.load(files).modules["model"].create_model
    create_model(heads=2)
    with pytest.raises(ValueError, match="3 heads do not divide 8 channels"):
        create_model(heads=3)
