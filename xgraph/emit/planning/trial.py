"""A plan on trial: is it the spec's network for other values of the parameters that it offers?

Plans are made so that it is. This holds each against the spec with values drawn for all of its
parameters, before anything is written: what slipped through is made a constant instead of a
parameter that is right by chance. It costs an elaboration or two, and no framework.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from xgraph.diagnostics import SpecError
from xgraph.emit.codes import Unknown, names_in
from xgraph.emit.plan import (
    ModelPlan,
)
from xgraph.emit.planning.readers import Readers
from xgraph.emit.planning.unfold import differences, unfold
from xgraph.emit.values import frozen_list
from xgraph.ir.graph import Graph
from xgraph.ir.structure import Program, Value
from xgraph.ir.types import TensorType
from xgraph.passes.elaborate import elaborate
from xgraph.passes.shapes import infer_shapes

#: Draws of all parameters at once, and where too few are legal, of each alone.
TOGETHER, ALONE = 3, 2
#: Legal draws that are enough, for a graph of so many nodes.
ENOUGH, FOR_LARGE, LARGE = 2, 1, 120


def frozen_parameters(plan: ModelPlan, program: Program) -> frozenset[str]:
    """The spec's parameters, of those that the model takes, that are right by chance only."""
    random = Random(program.name)
    for settings, (graph, types) in _worlds(plan, program, random):
        if not _wrong(plan, settings, graph, types):
            continue
        blamed = dict(settings)
        for name in settings:  # what can be left as it is, is not to blame
            fewer = {key: value for key, value in blamed.items() if key != name}
            world = elaborated_with(program, fewer)
            if fewer and world is not None and _wrong(plan, fewer, *world):
                blamed = fewer
        return frozenset(blamed)
    return frozenset()


def drawn(random: Random, value: Any) -> Any:
    """Another value of the same kind as a parameter's; it need not be one that the spec admits."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return random.choice((value + 1, value + 2, value * 2, max(value - 1, 0)))
    if isinstance(value, float):
        return random.choice((value / 2, value * 0.75, value * 1.5, value + 1.0))
    if isinstance(value, list | tuple):
        parts = [drawn(random, part) for part in value]
        if parts and random.random() < 0.3:
            parts = [*parts, drawn(random, value[-1])] if random.random() < 0.5 else parts[:-1]
        return parts
    if isinstance(value, dict):
        return {key: drawn(random, part) for key, part in value.items()}
    return value


def elaborated_with(
    program: Program, settings: Mapping[str, Any]
) -> tuple[Graph, list[TensorType]] | None:
    """The graph of a program with parameters set, and its types; None if the spec refuses them."""
    changed = tuple(
        dataclasses.replace(p, default=_written(settings[p.name], p.default))
        if p.name in settings and p.default is not None
        else p
        for p in program.parameters
    )
    try:
        graph = elaborate(dataclasses.replace(program, parameters=changed)).graph
        return graph, infer_shapes(graph)
    except SpecError:
        return None


def offered(plan: ModelPlan) -> dict[str, str]:
    """The parameters that a model's code reads: their names in code by those in the spec."""
    read = Readers().root(plan.root)
    read |= frozenset().union(*(names_in(code) for code in plan.input_codes or ()))
    return {str(p.origin): p.name for p in plan.root.parameters if p.name in read}


def _worlds(
    plan: ModelPlan, program: Program, random: Random
) -> Iterator[tuple[dict[str, Any], tuple[Graph, list[TensorType]]]]:
    """Legal draws: settings, and what the spec is with them."""
    names = offered(plan)
    given = {str(p.origin): p.value for p in plan.root.parameters if p.origin in names}
    found, enough = 0, ENOUGH
    for attempt in range(TOGETHER if given else 0):
        # What follows from others is left to do so in every second draw.
        own = [p for p in plan.root.parameters if p.origin in given]
        settings = {
            str(p.origin): drawn(random, p.value) for p in own if p.otherwise is None or attempt % 2
        }
        world = elaborated_with(program, settings)
        if world is not None:
            yield settings, world
            found += 1
            enough = FOR_LARGE if len(world[1]) > LARGE else ENOUGH
        if found == enough:
            return
    for name, value in given.items():
        for _ in range(ALONE):
            settings = {name: drawn(random, value)}
            world = elaborated_with(program, settings)
            if world is not None:
                yield settings, world
                break


def _wrong(
    plan: ModelPlan, settings: Mapping[str, Any], graph: Graph, types: list[TensorType]
) -> bool:
    names = offered(plan)
    given = {names[name]: frozen_list(value) for name, value in settings.items()}
    try:
        return bool(differences(unfold(plan, given), graph, types))
    except (Unknown, ArithmeticError, LookupError, TypeError, ValueError):
        return True  # the code cannot be run with these


def _written(value: Any, before: Value) -> Value:
    """A plain value in place of another."""
    if isinstance(value, list | tuple):
        return Value(tuple(_written(part, before) for part in value), before.span)
    if isinstance(value, dict):
        return Value({key: _written(part, before) for key, part in value.items()}, before.span)
    return Value(value, before.span)
