"""Elaborated program → code plan.

Every use of a block was elaborated separately; here they are read side by side, item by item, and
become one class again. What is the same in all uses is written as a constant, what the author
spelled with a parameter is written with it, and channel counts are carried along symbolically.

Where one class cannot say it, a *decision* is taken and planning starts again: a parameter that
changes the code itself (a word such as `padding`, a folded condition) splits its block into
variants, one class each; a loop whose iterations differ in kind is unrolled; an input whose
channels must equal a parameter takes that parameter's name. Decisions only accumulate, so this
ends; the usual spec needs none.
"""

from __future__ import annotations

from collections.abc import Iterator

from xgraph.emit.plan import ModelPlan
from xgraph.emit.planning.context import Context
from xgraph.emit.planning.dependence import Dependence
from xgraph.emit.planning.model import Model
from xgraph.emit.planning.state import Decisions, Restart
from xgraph.emit.planning.trial import frozen_parameters
from xgraph.emit.planning.unfold import differences, unfold
from xgraph.ir.elaborated import Elaborated
from xgraph.ir.types import TensorType
from xgraph.spec.calls import MERGES


class MisplannedError(Exception):
    """A plan is not the network of its spec; a defect of the planner."""


def plan_model(
    elaborated: Elaborated,
    types: list[TensorType],
    reserved: frozenset[str] = frozenset(),
    spelled: frozenset[str] | None = None,
    gathering: frozenset[str] = frozenset(),
) -> ModelPlan:
    """The code plan of a program.

    Args:
        elaborated: the program and its graph.
        types: output type of every node.
        reserved: names that the backend's code already uses: for classes, functions and modules.
        spelled: ops that the backend has a spelling for; a composite op without one becomes a
            class of its steps. None: all ops.
        gathering: merges that the backend can apply to a list that a loop has made
            (`Apply.least`); where others merge, loops of branches are written out.

    Raises:
        MisplannedError: unfolded to a graph again, the plan is another than the elaborated one.
    """
    plans = _plans(elaborated, types, reserved, spelled, gathering)
    *_, (plan, _) = plans
    if found := differences(unfold(plan, {}), elaborated.graph, types):
        raise MisplannedError(f"the plan is not the network of the spec: {found[0]}")
    return plan


def taken_back(elaborated: Elaborated, types: list[TensorType]) -> frozenset[str]:
    """Parameters that a trial takes back from the plan as it is derived: there should be none."""
    _, wrong = next(_plans(elaborated, types, frozenset(), None, frozenset(MERGES)))
    return wrong


def _plans(
    elaborated: Elaborated,
    types: list[TensorType],
    reserved: frozenset[str],
    spelled: frozenset[str] | None,
    gathering: frozenset[str],
) -> Iterator[tuple[ModelPlan, frozenset[str]]]:
    """Plans, and which parameters each offers that are right by chance only; at last, none."""
    decisions = Decisions()
    dependence = Dependence(elaborated, types)
    while True:
        context = Context(elaborated, types, dependence, decisions, reserved, spelled, gathering)
        try:
            plan = Model(context).model()
        except Restart:
            continue
        wrong = frozen_parameters(plan, elaborated.program)
        yield plan, wrong
        if not wrong:
            return
        decisions.specialized.setdefault("", set()).update(wrong)
