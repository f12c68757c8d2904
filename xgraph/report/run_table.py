"""Runs in numbers, a row each: accuracy, parameters, accuracy per million parameters, time."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.report import metrics
from xgraph.report.metrics import Metric
from xgraph.report.runs import Entry, Run
from xgraph.report.table import table

#: The metrics that have a column; JSON has them all.
_MAX_METRICS = 5
NOTE = (
    "Accuracy is of the last evaluation; per million is the first metric by million parameters.\n"
    "Time is of training with its evaluations, over all resumes; images/s is the median of the log."
)


@dataclass(frozen=True)
class Row:
    """What a run came to; None is what its folder does not say.

    `evaluation` is the last one, `speed` the median of the images per second that were logged,
    `per_million` the main metric, in percent for an accuracy, by million parameters.
    """

    run: Run
    epochs: float | None
    seconds: float | None
    speed: float | None
    evaluation: Entry | None
    per_million: float | None


def rows(runs: Sequence[Run]) -> list[Row]:
    """A row for each run, in their order."""
    main = metrics.main_metric(runs)
    return [_row(run, metrics.metric(main) if main else None) for run in runs]


def missing(found: Sequence[Row]) -> list[str]:
    """A line for each run whose folder does not say all that a table shows."""
    lines = []
    for row in found:
        gaps = []
        if not row.run.entries:
            gaps.append("nothing is logged yet")
        elif row.seconds is None:
            gaps.append("its log has no 'seconds', so its time is not known")
        if row.run.entries and row.evaluation is None:
            gaps.append("it was not evaluated yet")
        if row.run.about is None:
            gaps.append("without a run.json, its network and parameters are not known")
        if gaps:
            lines.append(f"{row.run.name}: {'; '.join(gaps)}")
    return lines


def rows_json(found: Sequence[Row]) -> list[dict[str, Any]]:
    """The same as plain data; metrics are as logged, accuracies from 0 to 1."""
    return [
        {
            "name": row.run.name,
            "path": row.run.path,
            "run": None if row.run.about is None else dataclasses.asdict(row.run.about),
            "step": row.run.entries[-1].step if row.run.entries else None,
            "epoch": row.epochs,
            "seconds": row.seconds,
            "images_per_second": row.speed,
            "evaluation": None
            if row.evaluation is None
            else {
                "step": row.evaluation.step,
                "epoch": row.evaluation.epoch,
                "split": row.evaluation.split,
                "metrics": dict(row.evaluation.values),
            },
            "per_million_parameters": row.per_million,
            "remarks": list(row.run.remarks),
        }
        for row in found
    ]


def rows_text(found: Sequence[Row]) -> str:
    """A table for people, with what its columns mean below."""
    header, cells, align = _columns(found)
    return f"{table(header, cells, align)}\n{NOTE}"


def rows_markdown(found: Sequence[Row]) -> str:
    """A table in Markdown; no name in it is read as Markdown."""
    header, cells, align = _columns(found)
    rule = ["---" if side == "<" else "---:" for side in align]
    lines = [header, rule, *([_escaped(cell) for cell in row] for row in cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(run: Run, main: Metric | None) -> Row:
    epochs = [entry.epoch for entry in run.entries if entry.epoch is not None]
    seconds = [entry.seconds for entry in run.entries if entry.seconds is not None]
    name = "images_per_second"
    speeds = [entry.values[name] for entry in run.training if name in entry.values]
    evaluation = run.evaluations[-1] if run.evaluations else None
    value = evaluation.values.get(main.name) if evaluation and main else None
    parameters = run.about.parameters if run.about else None
    per_million = None
    if main is not None and value is not None and parameters:
        per_million = value * main.scale / (parameters / 1e6)
    return Row(
        run,
        max(epochs, default=None),
        max(seconds, default=None),
        statistics.median(speeds) if speeds else None,
        evaluation,
        per_million,
    )


# -- columns --------------------------------------------------------------------------------------


def _columns(found: Sequence[Row]) -> tuple[list[str], list[list[str]], str]:
    """Header, cells and alignment, without the columns that no run has anything for."""
    runs = [row.run for row in found]
    about = [run.about for run in runs]
    shown = metrics.evaluated(runs)
    main = metrics.main_metric(runs)
    if main is not None:
        shown = [main, *(name for name in shown if name != main)][:_MAX_METRICS]
    columns: list[tuple[str, str, list[str]]] = [
        ("run", "<", [run.name for run in runs]),
        ("network", "<", [(a and a.spec) or "" for a in about]),
        ("framework", "<", [(a and a.framework) or "" for a in about]),
        ("parameters", ">", [_number(a.parameters if a else None) for a in about]),
        ("evaluated on", "<", [(row.evaluation and row.evaluation.split) or "" for row in found]),
    ]
    for place, metric in enumerate(map(metrics.metric, shown)):
        columns.append((metric.title, ">", [_value(row.evaluation, metric) for row in found]))
        if place == 0:
            unit = f" {metric.unit}" if metric.unit else ""
            ratios = [
                "" if row.per_million is None else f"{row.per_million:.3g}{unit}" for row in found
            ]
            columns.append(("per million", ">", ratios))
    columns += [
        ("epochs", ">", ["" if row.epochs is None else f"{row.epochs:g}" for row in found]),
        ("time", ">", [_time(row.seconds) for row in found]),
        ("images/s", ">", ["" if row.speed is None else f"{row.speed:,.0f}" for row in found]),
    ]
    kept = [column for column in columns if column[0] == "run" or any(column[2])]
    cells = [[cell or "–" for cell in row] for row in zip(*(c[2] for c in kept), strict=True)]
    return [column[0] for column in kept], cells, "".join(column[1] for column in kept)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _value(evaluation: Entry | None, metric: Metric) -> str:
    """A value of an evaluation, in percent with two digits as the paper's figures are read."""
    if evaluation is None or metric.name not in evaluation.values:
        return ""
    value = evaluation.values[metric.name] * metric.scale
    return f"{value:.2f} %" if metric.is_accuracy else f"{value:.4g}"


def _time(seconds: float | None) -> str:
    """ "1:04:09", or "48.3 s" below two minutes."""
    if seconds is None:
        return ""
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02}"


#: What Markdown, or a site that shows it, reads as more than itself. An underscore between letters
#: is none.
_MARKUP = re.compile(
    r"[\\`*\[\]<>|~#&$!@]|:(?=//)|(?<![^\W_])_|_(?![^\W_])|(?<=www)\.", re.IGNORECASE
)


def _escaped(cell: str) -> str:
    return _MARKUP.sub(lambda found: f"\\{found[0]}", cell)
