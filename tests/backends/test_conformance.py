"""Every op's every case: each backend's program against the NumPy reference, and each other."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from xgraph import backend, conformance
from xgraph.ops.base import Case

from ..turns import by_turns

NAMES = ("torch", "keras", "flax")
TORCH = backend.get("torch")
OWN, *LARGER = conformance.SIZES


def numbered():
    """Every case with its number among its op's."""
    for op, cases in itertools.groupby(conformance.cases(), key=lambda one: one[0]):
        for number, (_, case) in enumerate(cases):
            yield number, op, case


NUMBERED = list(numbered())


@pytest.mark.parametrize(
    ("number", "op", "case", "name"),
    by_turns(
        NUMBERED,
        whole=[place for place, (number, *_) in enumerate(NUMBERED) if not number],
        every=2,
    ),
)
def test_case(number, op, case, name, tmp_path):
    """At its own size in both modes, and in evaluation at one that is larger.

    The first case of an op in every backend, the others in PyTorch, each second in Keras or Flax.
    """
    target = backend.get(name)
    sizes = (OWN, LARGER[number % 2])
    conformance.check_case(op, case, target, target.load, tmp_path, grow=sizes, everywhere=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("op", "case"), conformance.cases(), ids=[f"{op}-{case}" for op, case in conformance.cases()]
)
def test_case_at_all_sizes(op, case, name, tmp_path):
    target = backend.get(name)
    conformance.check_case(op, case, target, target.load, tmp_path)


#: Of how many cases of an op the gradients of one are compared by default.
EVERY = {"keras": 5, "flax": 10}


def gradient_cases():
    """Some, for each is compiled; all of them are slow tests."""
    for number, op, case in numbered():
        for name, every in EVERY.items():
            marks = [pytest.mark.slow] if number % every else []
            yield pytest.param(op, case, name, id=f"{op}-{case}-{name}", marks=marks)


@pytest.mark.parametrize(("op", "case", "name"), list(gradient_cases()))
def test_gradients(op, case, name, tmp_path):
    conformance.check_gradients(op, case, [TORCH, backend.get(name)], tmp_path)


@pytest.mark.parametrize(
    ("text", "wrong", "case"),
    [
        ("stride=2", "stride=1", Case(((8, 8, 3),), {"filters": 4, "kernel": 3, "stride": 2})),
        ("eps=0.001", "eps=0.002", Case(((4, 4, 3),), {})),
        ("momentum=0.01", "momentum=0.02", Case(((4, 4, 3),), {})),
    ],
    ids=["stride", "epsilon", "momentum"],
)
def test_a_defect_is_found(text, wrong, case, tmp_path):
    """The comparison is not vacuous."""
    op = "conv" if case.attributes else "batch_norm"

    def emit(compilation):
        files = dict(TORCH.emit(compilation))
        assert text in files["model.py"]
        return {**files, "model.py": files["model.py"].replace(text, wrong)}

    broken = dataclasses.replace(TORCH, emit=emit)
    with pytest.raises(conformance.Mismatch):
        conformance.check_case(op, case, broken, broken.load, tmp_path)
