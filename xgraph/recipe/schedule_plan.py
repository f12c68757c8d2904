"""A schedule as the body of `learning_rate(step, plan)`, plain Python in every framework.

`plan` has batch_size, steps_per_epoch and total_steps.
"""

from __future__ import annotations

from xgraph.recipe.kinds import Period
from xgraph.recipe.prose import number
from xgraph.recipe.schedules import Constant, Cosine, Exponential, Schedule


def schedule_lines(schedule: Schedule) -> tuple[str, list[str]]:
    """What the schedule is in words, and the lines of its function."""
    doc, rate, before = _rate(schedule)
    if schedule.warmup is None:
        return f"{doc}.", [*before, f"return {rate}"]
    lines = [*before, f"warmup = {steps(schedule.warmup)}"]
    lines.append(f"return {rate} * min(1.0, (step + 1) / warmup)")
    return f"{doc}, after a linear warm-up over {schedule.warmup}.", lines


def steps(period: Period) -> str:
    """A period in optimizer steps, as a Python expression."""
    if period.unit == "epochs":
        return (
            "plan.steps_per_epoch"
            if period.count == 1
            else f"{period.count} * plan.steps_per_epoch"
        )
    if period.unit == "samples":
        return f"max(1, {period.count:_} // plan.batch_size)"
    return f"{period.count:_}"


def _rate(schedule: Schedule) -> tuple[str, str, list[str]]:
    """In words, as an expression, and the lines that the expression needs."""
    if isinstance(schedule, Constant):
        return f"Always {number(schedule.rate)}", number(schedule.rate), []
    initial = number(schedule.initial)
    if isinstance(schedule, Exponential):
        doc = f"{initial}, times {number(schedule.rate)} every {schedule.every}"
        return doc, f"{initial} * {number(schedule.rate)} ** {_exponent(schedule.every)}", []
    assert isinstance(schedule, Cosine)
    final = number(schedule.final)
    doc = f"Half a cosine from {initial} to {final}"
    wave = "0.5 * (1 + math.cos(math.pi * step / plan.total_steps))"
    if schedule.final == 0:
        return doc, f"{initial} * {wave}", []
    return doc, "rate", [f"rate = {final} + ({initial} - {final}) * {wave}"]


def _exponent(every: Period) -> str:
    if every.unit == "samples":
        return f"(step * plan.batch_size // {every.count:_})"
    period = steps(every)
    return f"(step // ({period}))" if "*" in period else f"(step // {period})"
