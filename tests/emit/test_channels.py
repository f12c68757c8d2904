"""How many channels an op gives, spelled with whichever of its numbers a parameter sets."""

from __future__ import annotations

import dataclasses

import pytest

from xgraph import conformance
from xgraph.emit.codes import value_of
from xgraph.emit.symbols import SymbolicInt, code_of
from xgraph.ir.types import TensorType
from xgraph.ops.base import ShapeProblem
from xgraph.ops.kinds import Factor, Integer, is_integer

CASES = [(name, case) for name, case in conformance.cases() if case.inputs]


def numbers(op):
    """The attributes that are one number."""
    for field in dataclasses.fields(op):
        value = getattr(op, field.name)
        if isinstance(field.metadata["kind"], Integer | Factor) and is_integer(value):
            yield field.name, value


@pytest.mark.parametrize("channels", [False, True], ids=["literal", "spelled"])
def test_what_an_op_gives_follows_its_numbers(channels):
    """For other values, the spelling gives what the op's own rule does."""
    tried = set()
    for name, case in CASES:
        op = conformance._bind(name, case)
        first = case.inputs[0][-1]
        for attribute, value in numbers(op):
            spelled = dataclasses.replace(op, **{attribute: SymbolicInt(value, "n")})
            inputs = [
                TensorType(
                    (*s[:-1], SymbolicInt(s[-1], "c") if channels and s[-1] == first else s[-1])
                )
                for s in case.inputs
            ]
            code = code_of(spelled.infer(tuple(inputs)).channels)
            others = {value + 1, 2 * value, max(value // 2, 1)}
            for other, count in [*((n, first) for n in sorted(others)), (value, 2 * first)]:
                if count != first and not channels:
                    continue
                changed = dataclasses.replace(op, **{attribute: other})
                shapes = [(*s[:-1], count if s[-1] == first else s[-1]) for s in case.inputs]
                try:
                    wanted = changed.infer(tuple(map(TensorType, shapes))).channels
                except ShapeProblem:
                    continue
                tried.add((name, attribute))
                assert value_of(code, {"n": other, "c": count}) == wanted, (name, attribute, code)
    assert {("depth_to_space", "block"), ("space_to_depth", "block"), ("conv", "filters"),
            ("depthwise_conv", "multiplier"), ("channel_slice", "channels")} <= tried  # fmt: skip


def test_a_number_may_be_on_the_right():
    n = SymbolicInt(2, "n")
    assert [code_of(x) for x in (8 // n, 8 - n, -n, 8 // (n * n), 8 - (n - 1))] == [
        "8 // n",
        "8 - n",
        "0 - n",
        "8 // (n * n)",
        "8 - (n - 1)",
    ]
