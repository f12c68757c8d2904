"""Composite ops without a native spelling: one class serves all that differ in numbers only."""

from __future__ import annotations

import dataclasses
from typing import Any

from xgraph.emit.symbols import SymbolicBool, SymbolicFloat, SymbolicInt, SymbolicPair, code_of
from xgraph.emit.values import WEIGHT_SWITCHES
from xgraph.ir.types import TensorType
from xgraph.ops.base import Composite


def generalized(op: Composite) -> tuple[Composite, dict[str, str]]:
    """A composite op with its numbers spelled by their attributes' names, and what those are.

    Words and plain pairs stay as they are: they may choose between spellings of the steps.
    """
    changes: dict[str, Any] = {}
    arguments: dict[str, str] = {}
    for field_ in dataclasses.fields(op):
        value = getattr(op, field_.name)
        if isinstance(value, SymbolicPair):
            changes[field_.name] = SymbolicPair(
                (value[0], value[1]), field_.name, value.values, value.scalar
            )
        elif isinstance(value, bool | SymbolicBool):
            if field_.name not in WEIGHT_SWITCHES:
                continue
            changes[field_.name] = SymbolicBool(bool(value), field_.name)
        elif isinstance(value, int):
            changes[field_.name] = SymbolicInt(int(value), field_.name)
        elif isinstance(value, float):
            changes[field_.name] = SymbolicFloat(value, field_.name)
        else:
            continue
        arguments[field_.name] = code_of(value)
    return dataclasses.replace(op, **changes), arguments


def text_of(op: Composite, types: tuple[TensorType, ...]) -> str:
    """All that tells one class of a composite op's steps from another."""
    return repr(
        [
            (
                step.name,
                step.op.name,
                [
                    (code_of(value), getattr(value, "values", None))
                    for value in (getattr(step.op, f.name) for f in dataclasses.fields(step.op))
                ],
                [code_of(type_.channels) for type_ in taken],
                step.inputs,
            )
            for step, taken, _ in op.resolved(types)
        ]
    )


def plain_value(value: Any) -> Any:
    """A value without its spelling."""
    if isinstance(value, SymbolicBool):
        return bool(value)
    return list(value) if isinstance(value, tuple) else value
