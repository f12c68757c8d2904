"""A schedule as the function `learning_rate(step, plan)`, plain Python in every framework.

`plan` has batch_size, steps_per_epoch and total_steps.
"""

from __future__ import annotations

from xgraph.recipe.kinds import Period
from xgraph.recipe.prose import number
from xgraph.recipe.schedules import Constant, Exponential, Schedule


def schedule_function(schedule: Schedule) -> list[str]:
    """The function, line by line."""
    words, rate = _rate(schedule)
    head = ["def learning_rate(step: int, plan: Plan) -> float:"]
    doc = f'    """Rate of update `step`, from 0: {words}.'
    if schedule.warmup is None:
        return [*head, f'{doc}"""', f"    return {rate}"]
    return [
        *head,
        doc,
        "",
        f"    It is approached in a straight line from 0 over the first {schedule.warmup}.",
        '    """',
        f"    rate = {rate}",
        f"    warmup = {steps(schedule.warmup)}",
        "    return rate * min(1.0, (step + 1) / warmup)",
    ]


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


def _rate(schedule: Schedule) -> tuple[str, str]:
    """The rate without warm-up, in words and as an expression."""
    if isinstance(schedule, Constant):
        return "always the same", number(schedule.rate)
    initial = number(schedule.initial)
    if isinstance(schedule, Exponential):
        factor = number(schedule.rate)
        words = f"{initial}, times {factor} every {schedule.every}"
        return words, f"{initial} * {factor} ** {_exponent(schedule.every)}"
    final = number(schedule.final)
    words = f"half a cosine from {initial} to {final}"
    wave = "0.5 * (1 + math.cos(math.pi * step / plan.total_steps))"
    if schedule.final == 0:
        return words, f"{initial} * {wave}"
    return words, f"{final} + ({initial} - {final}) * {wave}"


def _exponent(every: Period) -> str:
    if every.unit == "samples":
        return f"(step * plan.batch_size // {every.count:_})"
    period = steps(every)
    return f"(step // ({period}))" if "*" in period else f"(step // {period})"
