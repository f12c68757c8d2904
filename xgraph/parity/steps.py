"""What training steps leave, judged: at the end, or step by step where training is chaotic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xgraph.parity.distance import (
    CLOSE,
    MARGIN,
    QUANTITIES,
    TELLING,
    Quantity,
    limits,
    within,
)
from xgraph.parity.locate import owner_of
from xgraph.parity.lockstep import NUDGED, in_lockstep
from xgraph.parity.measuring import Measuring
from xgraph.parity.process import Worker
from xgraph.parity.report import Divergence, Measurement

_AFTER_STEPS = tuple(q for q in QUANTITIES if q.stage == "steps")


@dataclass(frozen=True)
class AfterSteps:
    """What was found.

    Attributes:
        measurements: of every quantity of every pair; without limits where they are not judged.
        divergences: where a pair that differs parts.
        sensitivity: how far the quickest backend is from itself, begun a few roundings off, where
            that was asked.
    """

    measurements: list[Measurement]
    divergences: Sequence[Divergence] = ()
    sensitivity: tuple[Measurement, ...] = ()

    @property
    def chaotic(self) -> bool:
        """Whether roundings have grown until nothing can be told apart; nothing is judged then."""
        return not all(measurement.agree for measurement in self.sensitivity)


def quickest(figures: Mapping[str, Mapping[str, float]]) -> str:
    """The backend whose steps took least."""
    return min(figures, key=lambda name: figures[name]["steps"])


def after_steps(
    measuring: Measuring, pairs: Sequence[tuple[str, str]], again: str, judged: bool
) -> AfterSteps:
    """Judge what steps have left, by what they leave in a backend that begins elsewhere.

    They are not judged where programs are known to differ, and in float32.

    Args:
        measuring: which has taken the steps.
        pairs: what is held to what.
        again: the backend that takes them again, if need be.
        judged: whether programs are alike as far as is known.
    """
    found = {
        (quantity, left, right): each
        for quantity in _AFTER_STEPS
        for left, right in pairs
        if measuring.has(left, quantity) and (each := measuring.apart(quantity, left, right))
    }
    judged = judged and measuring.dtype == "float64"
    reported = [
        measuring.measurement(*key, each, dict.fromkeys(each)) for key, each in found.items()
    ]
    if not judged:
        return AfterSteps(reported)
    own: dict[Quantity, dict[str, float]] = {}
    sensitivity: tuple[Measurement, ...] = ()
    if any(distance > CLOSE for each in found.values() for distance in each.values()):
        own = {q: measuring.own(q, again) for q in {q: None for q, *_ in found}}
        sensitivity = tuple(
            measuring.measurement(q, again, again, e, dict.fromkeys(e, TELLING / MARGIN))
            for q, e in own.items()
        )
        if not all(m.agree for m in sensitivity):
            return AfterSteps(reported, (), sensitivity)
    measured: list[Measurement] = []
    divergences: list[Divergence] = []
    for (quantity, left, right), each in found.items():
        known = [own[quantity]] if own else []
        allowed = limits(quantity, "float64", list(each), known)
        if not within(each, allowed):
            for name in measuring.programs(left, right):
                known += [measuring.own(quantity, name), measuring.in_proportion(quantity, name)]
            allowed = limits(quantity, "float64", list(each), known)
        measured.append(measuring.measurement(quantity, left, right, each, allowed))
        if not measured[-1].agree and not divergences:
            bounds = {name: limit for name, limit in allowed.items() if limit is not None}
            graph = measuring.compilation.analysis.graph
            where = owner_of(graph, each, measured[-1], bounds)
            divergences += [where] if where else []
    return AfterSteps(measured, divergences, sensitivity)


def step_by_step(measuring: Measuring, again: str) -> list[Measurement]:
    """Each step judged alone; the one backend takes each twice."""
    jobs = measuring.jobs(("lockstep",))
    nudged = measuring.jobs(("lockstep",), names=(again,), nudged=True)[again]
    second = Worker(again, device=measuring.device)
    try:
        found = in_lockstep(
            {**measuring.workers, NUDGED: second},
            {**jobs, NUDGED: nudged},
            again,
            measuring.progress,
        )
    finally:
        second.close()
    return [
        Measurement(
            left,
            right,
            quantity.name,
            seen.distance,
            measuring.tensor_name(seen.tensor),
            seen.limit,
            len(seen.untold),
        )
        for (left, right, quantity), seen in found.items()
    ]
