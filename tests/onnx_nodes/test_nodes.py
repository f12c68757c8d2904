"""Specs that say what ONNX's test cases say, compiled, against the outputs that ONNX expects."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx.defs
import pytest

from xgraph import backend, interpreter, ops
from xgraph.backend import Compilation
from xgraph.compile import analyse
from xgraph.diagnostics import fold
from xgraph.ir.analysis import Analysis
from xgraph.ops.base import Array
from xgraph.recipe import load_recipe
from xgraph.spec import words

from ..turns import by_turns
from . import cases, mapping
from .__main__ import report
from .mapping import RULES, Mapped, Unmapped

ROOT = Path(__file__).parents[2]
SUITE = cases.load()
CANDIDATES = mapping.candidates(SUITE)
MAPPED: dict[str, Mapped] = {}
UNMAPPED: dict[str, str] = {}
for _case in CANDIDATES:
    try:
        _made = mapping.translate(_case)
    except Unmapped as why:
        UNMAPPED[str(_case)] = str(why)
    else:
        MAPPED |= {f"{_case}-{one.op}-{k}": one for k, one in enumerate(_made)}

BACKENDS = [name for name in backend.names() if name in backend._BUNDLED]
each_backend = pytest.mark.parametrize("name", BACKENDS)


def _analysis(mapped: Mapped, folder: Path) -> Analysis:
    path = folder / "spec.yaml"
    path.write_text(mapped.spec(), encoding="utf-8")
    return analyse(str(path))


def distances(name: str, mapped: Mapped, folder: Path) -> dict[str, float]:
    """How far a compiled spec is from what is expected, by what was compared."""
    found = backend.get(name)
    # Not by compile_spec: a single op is no network that could be trained.
    compilation = Compilation(_analysis(mapped, folder), load_recipe("imagenet"))
    program = found.load(found.emit(compilation))
    own = {key: value.shape for key, value in program.weights().items()}
    assert own == {key: value.shape for key, value in mapped.weights.items()}
    program.set_weights(_wide(mapped.weights))
    _, value = program.run(mapped.images.astype("float64"), mapped.training)
    return _distances(mapped, value, program.weights())


def _wide(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {key: value.astype("float64") for key, value in arrays.items()}


def _distances(mapped: Mapped, value: Array, after: Mapping[str, Array]) -> dict[str, float]:
    """Distances of the output and of every weight that there is afterwards."""
    expected = mapped.weights | mapped.updated
    return {"output": _distance(value, mapped.expected)} | {
        key: _distance(after[key], expected[key]) for key in expected
    }


def _distance(received: Array, expected: Array) -> float:
    """max|a − b| / max|b|; infinite where shapes differ or a number is not finite."""
    if received.shape != expected.shape:
        return float("inf")
    wanted = expected.astype("float64")
    distance = np.abs(received - wanted).max() / (np.abs(wanted).max() or 1.0)
    return float(distance) if np.isfinite(distance) else float("inf")


def cases_of_backends():
    """All of them in PyTorch; the others, of which Flax compiles each, take turns."""
    for given in by_turns(MAPPED, every=2):
        key, name = given.values
        yield pytest.param(MAPPED[key], name, id=given.id, marks=given.marks)


@pytest.mark.parametrize(("mapped", "name"), list(cases_of_backends()))
def test_case(name, mapped, tmp_path):
    found = distances(name, mapped, tmp_path)
    assert {what: d for what, d in found.items() if d > mapped.tolerance} == {}


@pytest.mark.parametrize("mapped", MAPPED.values(), ids=MAPPED)
def test_reference(mapped, tmp_path):
    """The ops' own definitions, which every backend is compared with elsewhere."""
    graph, weights = _analysis(mapped, tmp_path).graph, _wide(mapped.weights)
    values = interpreter.run(graph, mapped.images.astype("float64"), weights, mapped.training)
    after = dict(weights)
    if mapped.training:
        after |= interpreter.updated_weights(graph, values, weights)
    found = _distances(mapped, values[graph.outputs[1].node], after)
    assert {what: d for what, d in found.items() if d > mapped.tolerance} == {}


# --------------------------------------------------------------------- the comparison is no sham
@each_backend
@pytest.mark.parametrize(
    ("case", "attribute", "wrong", "seen"),
    [
        ("node-conv_with_autopad_same-conv-0", "stride", [1, 1], "output"),
        ("node-conv_with_strides_padding-conv-0", "padding", "valid", "output"),
        ("node-conv_with_strides_and_asymmetric_padding-conv-0", "padding", [[0, 2], [0, 0]],
         "output"),
        ("node-averagepool_2d_same_lower-avg_pool-0", "padding", "same", "output"),
        ("node-averagepool_2d_pads-avg_pool-0", "count_include_pad", True, "output"),
        ("node-maxpool_2d_same_lower-max_pool-0", "padding", "same", "output"),
        ("node-batchnorm_example-batch_norm-0", "epsilon", 1.1e-5, "output"),
        ("node-batchnorm_epsilon_training_mode-batch_norm-0", "momentum", 0.9001,
         "op.moving_mean"),
        ("node-batchnorm_epsilon_training_mode-batch_norm-0", "momentum", 0.9001,
         "op.moving_variance"),
        ("node-leakyrelu_default-leaky_relu-0", "negative_slope", 0.0101, "output"),
        ("node-elu-elu-0", "alpha", 2.0001, "output"),
        ("node-gelu_default_2-gelu-0", "approximation", "tanh", "output"),
        ("pytorch-converted-Conv2d_dilated-conv-0", "dilation", [1, 1], "output"),
        ("node-averagepool_2d_ceil-avg_pool-0", "ceil_mode", False, "output"),
        ("node-convtranspose_pad-conv_transpose-0", "output_padding", [0, 1], "output"),
        ("pytorch-converted-ConvTranspose2d-conv_transpose-0", "padding", [[0, 2], [1, 1]],
         "output"),
        ("node-lrn-local_response_norm-0", "alpha", 0.0006, "output"),
        ("node-resize_upsample_scales_linear-resize-0", "method", "nearest", "output"),
    ],
)  # fmt: skip
def test_a_wrong_attribute_is_found(name, case, attribute, wrong, seen, tmp_path):
    mapped = MAPPED[case]
    body = [dict(item) for item in mapped.body]
    (node,) = (item for item in body if item["name"] == "op")
    assert node[mapped.op][attribute] != wrong
    node[mapped.op] = {**node[mapped.op], attribute: wrong}
    found = distances(name, dataclasses.replace(mapped, body=body), tmp_path)
    assert found[seen] > 2 * mapped.tolerance


@each_backend
@pytest.mark.parametrize(
    "case",
    [
        "pytorch-converted-Conv2d-conv-0",
        "node-gemm_all_attributes-dense-0",
        "pytorch-converted-Conv2d_groups-conv-0",
        "pytorch-converted-Conv2d_depthwise_with_multiplier-depthwise_conv-1",
        "pytorch-converted-Conv2d_depthwise_with_multiplier-separable_conv-2",
        "node-batchnorm_epsilon-batch_norm-0",
        "pytorch-converted-ConvTranspose2d-conv_transpose-0",
    ],
)
def test_weights_in_another_order_are_found(name, case, tmp_path):
    mapped = MAPPED[case]
    for key, weight in mapped.weights.items():
        wrong = {**mapped.weights, key: np.roll(weight, 1)}
        found = distances(name, dataclasses.replace(mapped, weights=wrong), tmp_path)
        assert found["output"] > 2 * mapped.tolerance, key


# ------------------------------------------------------------------------------------ the totals
def test_every_candidate_is_mapped_or_has_a_reason():
    mapped = {key.rsplit("-", 2)[0] for key in MAPPED}
    assert len({str(case) for case in CANDIDATES}) == len(CANDIDATES)
    assert not mapped & UNMAPPED.keys()
    assert mapped | UNMAPPED.keys() == {str(case) for case in CANDIDATES}
    assert all(reason.strip() for reason in UNMAPPED.values())


def test_totals():
    """Lower bounds, since each release of ONNX adds cases."""
    single = Counter(case.kind for case in SUITE.cases)
    totals = {kind: single[kind] + SUITE.several[kind] for kind in cases.KINDS}
    assert totals["node"] >= 1800
    assert totals["pytorch-converted"] >= 80
    assert totals["pytorch-operator"] >= 30
    of_kind = Counter(case.kind for case in CANDIDATES)
    assert of_kind["node"] >= 300
    assert len(CANDIDATES) >= 380
    assert len(CANDIDATES) - len(UNMAPPED) >= 260
    # No reason is a lumber room.
    assert all(count <= 25 for count in Counter(UNMAPPED.values()).values())


def test_every_rule_has_a_case():
    assert {case.op_type for case in CANDIDATES} == RULES.keys()


def shared() -> dict[str, str]:
    """Ops that ONNX has too, by name or a synonym: the op's name → the operator's."""
    taken = {fold(name): name for name in ops.names()}
    found = {}
    for operator in (schema.name for schema in onnx.defs.get_all_schemas()):
        op = taken.get(fold(operator)) or words.SYNONYMS.get(fold(operator))
        if op in ops.names():
            found[op] = operator
    return found


SHARED = shared()
BY_ATTRIBUTES = {"depthwise_conv": "Conv", "separable_conv": "Conv", "relu6": "Clip"}


def test_many_ops_are_shared():
    assert len(SHARED) >= 24


@pytest.mark.parametrize("op", sorted(SHARED | BY_ATTRIBUTES))
def test_every_op_that_onnx_has_too_has_a_case(op):
    """A new op that ONNX does not have needs nothing here."""
    operator = (SHARED | BY_ATTRIBUTES)[op]
    assert op in {made.op for made in MAPPED.values()}, f"mapping.py has no rule for {operator}"


def test_most_cases_apply_the_op_to_the_input():
    """Layers before and after the op are for what has no other way."""
    bodies = [[item["name"] for item in made.body] for made in MAPPED.values()]
    bare = [names for names in bodies if names in (["op"], ["vector", "op"])]
    assert len(bare) >= 0.6 * len(MAPPED)


def test_report():
    text = report()
    for case in CANDIDATES:
        assert f"`{case.name.removeprefix('test_')}`" in text
    for reason in UNMAPPED.values():
        assert reason in text


@pytest.mark.slow  # it reads all of ONNX's cases once more
def test_command():
    run = subprocess.run(
        [sys.executable, "-m", "tests.onnx_nodes"], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == report()
