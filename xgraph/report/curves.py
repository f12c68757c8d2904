"""What a figure of runs shows, as numbers: a curve for each run, metric and split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from xgraph.diagnostics import closest, one_of, printable
from xgraph.report import metrics
from xgraph.report.metrics import Metric
from xgraph.report.runs import Entry, Run, RunError

#: Where an entry stands on the horizontal axis, None where it does not say.
Place = Callable[[Entry], float | None]
AXES: Final = ("steps", "epochs", "time")
#: Units of time, in seconds, each with the longest time that is still told in it.
_UNITS = (("seconds", 1, 180), ("minutes", 60, 180 * 60), ("hours", 3600, 72 * 3600))
_DAYS = ("days", 86400)


@dataclass(frozen=True)
class Curve:
    """The values of one kind of one run; `average` is of training values, where one is asked for.

    `x` and `y` are in the units of the axes. `run` is the place of the run in its picture, `split`
    what was evaluated, None for training. `band` holds the least and the greatest value at each
    place, where the curve is the mean of several runs.
    """

    run: int
    split: str | None
    x: tuple[float, ...]
    y: tuple[float, ...]
    average: tuple[float, ...] | None = None
    band: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True)
class Panel:
    """One metric of all runs."""

    metric: Metric
    logarithmic: bool
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Picture:
    """All that a figure shows. `runs` are names; `smooth` is the weight of averages, 0 for none.

    `axis` is one of `AXES`, and `x_label` says it with its unit.
    """

    runs: tuple[str, ...]
    axis: str
    x_label: str
    panels: tuple[Panel, ...]
    smooth: float
    remarks: tuple[str, ...]

    @property
    def drawn(self) -> tuple[int, ...]:
        """The places of the runs that have a curve."""
        return tuple(sorted({curve.run for panel in self.panels for curve in panel.curves}))

    @property
    def splits(self) -> tuple[str | None, ...]:
        """What its curves are of: training first, then splits in the order in which they come."""
        splits = dict.fromkeys(curve.split for panel in self.panels for curve in panel.curves)
        return tuple(sorted(splits, key=lambda split: split is not None))


def picture(
    runs: Sequence[Run],
    names: Sequence[str] = (),
    *,
    axis: str = "steps",
    smooth: float = 0.0,
    logarithmic: bool = False,
) -> Picture:
    """The curves of some metrics, by default the loss and the main metric of evaluations.

    On a logarithmic axis are all metrics but accuracies.

    Args:
        runs: the runs, one colour each.
        names: metrics as the logs call them.
        axis: one of `AXES`.
        smooth: the weight in [0, 1) of what came before, in averages of training values.
        logarithmic: whether to take logarithms.

    Raises:
        RunError: nothing is logged, or no run logs what is asked for.
    """
    wanted = _wanted(runs, names)
    place, x_label, remarks = _x_axis(runs, axis)
    remarks += [f"{run.name}: nothing is logged yet" for run in runs if not run.entries]
    panels = []
    for name in dict.fromkeys(wanted):
        metric = metrics.metric(name)
        log = logarithmic and not metric.is_accuracy
        curves: list[Curve] = []
        for index, run in enumerate(runs):
            curves += _curves(index, run, metric, place, smooth)
        without = [run.name for run in runs if run.entries and not _logs(run, name)]
        if without:
            remarks.append(f"{metric.title}: not in the log of {', '.join(without)}")
        if log:
            curves, lost = _positive(curves)
            if lost:
                remarks.append(
                    f"{metric.title}: no logarithm of {lost:,} values that are not above 0"
                )
        if not curves:
            remarks.append(f"{metric.title}: nothing of it can be drawn over {axis}")
        else:
            panels.append(Panel(metric, log, tuple(curves)))
    if not panels:
        raise RunError(*remarks)
    shown = tuple(run.name for run in runs)
    return Picture(shown, axis, x_label, tuple(panels), smooth, tuple(remarks))


def grouped(picture: Picture, names: Sequence[str]) -> Picture:
    """The runs of one name as one: the mean, and of evaluations the least and the greatest value.

    Of several runs, only places are shown that all have which log the metric at all.

    Args:
        picture: curves of single runs.
        names: what group each of its runs is of.

    Raises:
        RunError: no group has a place in common.
    """
    groups = list(dict.fromkeys(names))
    remarks = list(picture.remarks)
    panels = []
    for panel in picture.panels:
        together: dict[tuple[int, str | None], list[Curve]] = {}
        for curve in panel.curves:
            group = groups.index(names[curve.run])
            together.setdefault((group, curve.split), []).append(curve)
        curves, lost = [], [0] * len(groups)
        for (group, split), members in sorted(together.items(), key=lambda item: item[0][0]):
            curve, missing = _mean(group, split, members)
            lost[group] += missing
            curves += [curve] if curve.x else []
        for name, count in zip(groups, lost, strict=True):
            places = "1 place is" if count == 1 else f"{count:,} places are"
            if count:
                remarks.append(f"{panel.metric.title} of {name}: {places} not in all its runs")
        if curves:
            panels.append(replace(panel, curves=tuple(curves)))
    if not panels:
        raise RunError(*remarks)
    return replace(picture, runs=tuple(groups), panels=tuple(panels), remarks=tuple(remarks))


def _mean(group: int, split: str | None, members: Sequence[Curve]) -> tuple[Curve, int]:
    """The mean of some curves where all of them have a value, and how many places that leaves out.

    The average of means is the mean of averages, for both are linear.
    """
    values = [dict(zip(curve.x, curve.y, strict=True)) for curve in members]
    everywhere = set(values[0]).intersection(*values)
    x = tuple(sorted(everywhere))
    columns = [[table[place] for table in values] for place in x]
    y = tuple(map(fmean, columns))
    smoothed = [
        dict(zip(curve.x, curve.average, strict=True)) for curve in members if curve.average
    ]
    averages = tuple(fmean(table[place] for table in smoothed) for place in x) if smoothed else None
    several = split is not None and len(members) > 1
    band = tuple((min(column), max(column)) for column in columns) if several else None
    missing = len(set().union(*values)) - len(everywhere)
    return Curve(group, split, x, y, averages, band), missing


def average(values: Sequence[float], weight: float) -> tuple[float, ...]:
    """Exponential averages: (1 − w) Σ wⁱ y₍ₜ₋ᵢ₎ / (1 − wᵗ⁺¹), t from 0, i from 0 to t.

    The divisor takes away the pull towards 0 at the beginning, as in Adam (Kingma & Ba 2015,
    section 3). The weight is of logged values, not of steps.
    """
    total, share, averages = 0.0, 0.0, []
    for value in values:
        total = weight * total + (1 - weight) * value
        share = weight * share + (1 - weight)
        averages.append(total / share)
    return tuple(averages)


def _wanted(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """The metrics to draw, all of which some run logs."""
    known = metrics.logged(runs)
    if not known:
        raise RunError("there is nothing to draw yet: no run has logged a value")
    if not names:
        main = metrics.main_metric(runs)
        return [name for name in ("loss", main) if name in known] or known[:1]
    for name in names:
        if name not in known:
            close = closest(name, known)
            logged = one_of([printable(one) for one in known])
            hint = f"did you mean '{printable(close)}'?" if close else f"expected {logged}"
            raise RunError(f"no run logs '{printable(name)}'; {hint}")
    return list(names)


def _x_axis(runs: Sequence[Run], axis: str) -> tuple[Place, str, list[str]]:
    """Where an entry stands on the axis, the label, and what has no place there."""
    if axis == "steps":
        return (lambda entry: entry.step), "training steps", []
    if axis == "epochs":
        return (lambda entry: entry.epoch), "epochs", _without(runs, "epoch", axis)
    times = [entry.seconds or 0.0 for run in runs for entry in run.entries]
    unit, size = next(((name, size) for name, size, limit in _UNITS if max(times) <= limit), _DAYS)

    def place(entry: Entry) -> float | None:
        return None if entry.seconds is None else entry.seconds / size

    return place, f"training time ({unit})", _without(runs, "seconds", axis)


def _without(runs: Sequence[Run], field: str, axis: str) -> list[str]:
    """A line for each run some of whose entries do not say where they stand on an axis."""
    remarks = []
    for run in runs:
        count = sum(getattr(entry, field) is None for entry in run.entries)
        if count:
            lines = "its log has" if count == len(run.entries) else f"{count:,} lines have"
            remarks.append(f"{run.name}: {lines} no '{field}', and so no place over {axis}")
    return remarks


def _logs(run: Run, name: str) -> bool:
    return any(name in entry.values for entry in run.entries)


def _curves(
    index: int,
    run: Run,
    metric: Metric,
    place: Place,
    smooth: float,
) -> list[Curve]:
    """The curves of a metric of a run: of training, and of each split."""
    splits: dict[str | None, list[tuple[float, float]]] = {}
    for entry in run.entries:
        x = place(entry)
        if x is not None and metric.name in entry.values:
            points = splits.setdefault(entry.split, [])
            points.append((x, entry.values[metric.name] * metric.scale))
    curves = []
    for split, points in splits.items():
        x_values, y_values = zip(*points, strict=True)
        smoothed = average(y_values, smooth) if smooth and split is None else None
        curves.append(Curve(index, split, x_values, y_values, smoothed))
    return curves


def _positive(curves: Sequence[Curve]) -> tuple[list[Curve], int]:
    """The curves without what has no logarithm, and how many values that was.

    An average stays beside its value: it takes all values into account.
    """
    kept, lost = [], 0
    for curve in curves:
        smoothed = curve.average or curve.y
        points = [
            point for point in zip(curve.x, curve.y, smoothed, strict=True) if min(point[1:]) > 0
        ]
        lost += len(curve.y) - len(points)
        if points:
            x, y, smooth = zip(*points, strict=True)
            kept.append(replace(curve, x=x, y=y, average=curve.average and smooth))
    return kept, lost
