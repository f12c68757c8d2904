"""Composite ops without a native spelling: one class serves all that differ in numbers only."""

from __future__ import annotations

import dataclasses
from typing import Any

from xgraph.emit.names import Scope, class_name
from xgraph.emit.plan import Apply, BlockPlan, Invoke, PlanParameter, Statement
from xgraph.emit.planning.context import Context
from xgraph.emit.planning.state import FLOW
from xgraph.emit.symbols import (
    SymbolicBool,
    SymbolicFloat,
    SymbolicInt,
    SymbolicPair,
    code_of,
    is_symbolic,
)
from xgraph.emit.values import WEIGHT_SWITCHES, annotation, with_channels
from xgraph.ir.types import TensorType
from xgraph.ops.base import Composite, Op


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


class Composites:
    """Says ops as the backend does; those that it has no word for become classes of their steps."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.composites: dict[Any, BlockPlan] = {}  # by what tells one from another

    def spell(
        self,
        name: str,
        op: Op,
        inputs: tuple[str, ...],
        types: tuple[TensorType, ...],
        target: str,
    ) -> Apply | Invoke:
        """An op as the backend says it: by its name, or a composite one as a class of its steps."""
        if self.spelled_natively(op):
            return Apply(name, op, inputs, types, target)
        assert isinstance(op, Composite)
        general, arguments = generalized(op)
        plan = self.composite(general, types)
        arguments |= {
            parameter.name: code_of(type_.channels)
            for parameter, type_ in zip(plan.parameters, types, strict=False)
            if parameter.implicit
        }
        ordered = {p.name: arguments[p.name] for p in plan.parameters if p.name in arguments}
        return Invoke(name, plan, ordered, inputs, target, op=op)

    def spelled_natively(self, op: Op) -> bool:
        """Whether the backend has a word for an op; a composite one may be a class of its steps."""
        return (
            not isinstance(op, Composite)
            or self.context.spelled is None
            or op.name in self.context.spelled
        )

    def composite(self, op: Composite, types: tuple[TensorType, ...]) -> BlockPlan:
        """The class of a composite op whose attributes are spelled by their own names."""
        single = len(types) == 1
        inputs = (FLOW,) if single else tuple(f"input_{k}" for k in range(1, len(types) + 1))
        implicit = ("in_channels",) if single else tuple(f"{name}_channels" for name in inputs)
        general = tuple(
            with_channels(type_, SymbolicInt(type_.channels, code))
            for type_, code in zip(types, implicit, strict=True)
        )
        key = (op.name, tuple(type_.rank for type_ in types), text_of(op, general))
        if key in self.composites:
            return self.composites[key]
        attributes = {field.name: field for field in dataclasses.fields(op)}
        scope = Scope(self.context.reserved | attributes.keys() | set(implicit))
        steps = list(op.resolved(general))
        chain = single and all(step.inputs is None for step, _, _ in steps)
        variables = list(inputs)
        statements: list[Statement] = []
        words: dict[str, str] = {}
        output = general[-1]
        for step, taken, output in steps:  # noqa: B007  # the last one is the composite's
            places = step.inputs or (len(variables) - 1,)
            target = FLOW if chain else scope.tensor(step.name)
            given = tuple(variables[place] for place in places)
            statements.append(self.spell(step.name, step.op, given, taken, target))
            variables.append(target)
            for weight in step.op.weights(taken):
                words[f"{step.name}.{weight.name}"] = step.weights.get(weight.name, weight.name)
        own = [name for name in attributes if is_symbolic(getattr(op, name))]
        plan = BlockPlan(
            name=op.name,
            title=self.context.class_names.fresh(class_name(op.name)),
            parameters=(
                *(PlanParameter(code, implicit=True) for code in implicit),
                *(
                    PlanParameter(
                        name,
                        annotation=annotation([plain_value(getattr(op, name))]),
                        keyword=attributes[name].default is not dataclasses.MISSING,
                    )
                    for name in own
                ),
            ),
            inputs=inputs,
            body=statements,
            results=(variables[-1],),
            input_types=general,
            result_types=(output,),
            shared=True,
            resizes=True,
            doc=(type(op).__doc__ or op.name).strip().splitlines()[0],
            weight_names=words,
        )
        self.composites[key] = plan
        self.context.plans.append(plan)
        return plan
