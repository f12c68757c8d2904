"""One weights file serves all three programs: whoever writes it, the others compute the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from xgraph import backend, interpreter
from xgraph.compile import analyse, compile_spec

NAMES = ("torch", "keras", "flax")
#: Every kind of weight: depthwise with a multiplier, grouped, with and without bias, gamma, beta.
SPEC = """
xgraph: 1
name: weights
input: {shape: [9, 8, 3]}
graph:
  stem:
  - {conv: {filters: 6, kernel: [3, 2], bias: true}}
  - {batch_norm: {center: false}}
  - {depthwise_conv: {kernel: 3, padding: same, multiplier: 2}}
  - {conv: {filters: 4, kernel: 1, groups: 2, bias: false}}
  - {repeat: 2, body: [{separable_conv: {filters: 4, kernel: 3, padding: same}}, relu]}
  head: [batch_norm, global_avg_pool, {batch_norm: {scale: false}}, {dense: 5}]
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "spec.yaml"
    path.write_text(SPEC)
    analysis = analyse(str(path))
    made = {
        name: backend.get(name).load(compile_spec(str(path), backend.get(name))[1])
        for name in NAMES
    }
    return analysis, made


@pytest.mark.parametrize(("writer", "reader"), list(itertools.permutations(NAMES, 2)))
def test_one_writes_the_other_reads(writer, reader, programs, tmp_path):
    analysis, made = programs
    one, other = made[writer], made[reader]
    weights = interpreter.random_weights(analysis.graph, analysis.types, seed=7)
    one.set_weights(weights)
    other.set_weights({name: np.zeros_like(value) for name, value in weights.items()})
    path = tmp_path / "weights.safetensors"
    one.modules["model"].save_weights(one.model, path)
    other.modules["model"].load_weights(other.model, path)
    for name, value in other.weights().items():
        assert np.array_equal(value, weights[name]), name
    images = np.random.default_rng(0).standard_normal((2, 9, 8, 3))
    (expected,), (received,) = one.run(images), other.run(images)
    assert np.abs(received - expected).max() <= 1e-12 * np.abs(expected).max()


def test_they_write_the_same_arrays(programs, tmp_path):
    from safetensors.numpy import load_file

    analysis, made = programs
    weights = interpreter.random_weights(analysis.graph, analysis.types)
    files = {}
    for name, program in made.items():
        program.set_weights(weights)
        program.modules["model"].save_weights(program.model, tmp_path / name)
        files[name] = load_file(tmp_path / name)
    for name in NAMES[1:]:
        assert files[name].keys() == files["torch"].keys()
        for key, value in files[name].items():
            assert value.dtype == files["torch"][key].dtype, key
            assert np.array_equal(value, files["torch"][key]), key


def test_one_seed_starts_all_from_the_same_bits(programs):
    _, made = programs
    starts = {}
    for name, program in made.items():
        program.modules["weights"].initialize(program.model, 3)
        starts[name] = {k: v.astype(np.float32) for k, v in program.weights().items()}
    for name in NAMES[1:]:
        for key, value in starts["torch"].items():
            assert np.array_equal(starts[name][key], value), key
