"""A comparison of backends as text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from xgraph.parity.report import Measurement, ParityReport
from xgraph.report.table import bytes_text, table


def parity_text(report: ParityReport) -> str:
    """A table with a row for each quantity and a column for each pair of backends."""
    pairs = list(dict.fromkeys((m.left, m.right) for m in report.measurements))
    quantities = list(dict.fromkeys(m.quantity for m in report.measurements))
    held = {(m.quantity, m.left, m.right): m for m in report.measurements}
    header = ["", *(f"{left} – {right}" for left, right in pairs), "limit"]
    rows = []
    for quantity in quantities:
        found = [held.get((quantity, *pair)) for pair in pairs]
        rows.append([quantity, *(_cell(m) for m in found), _limit(found)])
    lines = [_title(report), "", table(header, rows, "<" + ">" * (len(pairs) + 1))]
    lines += ["", *_figures(report)]
    for divergence in report.divergences:
        lines += ["", str(divergence)]
    if report.sensitivity:
        lines += ["", _sensitivity(report)]
    lines += ["", _verdict(report)]
    return "\n".join(lines)


def _title(report: ParityReport) -> str:
    size = "×".join(str(n) for n in report.shape)
    steps = f", {report.steps} steps of the recipe {report.recipe}" if report.steps else ""
    return f"{report.spec}, {report.dtype}, {report.batch} images of {size}{steps}"


def _cell(measurement: Measurement | None) -> str:
    if measurement is None:
        return ""
    if measurement.quantity == "initial weights":
        return "same bits" if measurement.agree else "✗ differ"
    text = f"{measurement.distance:.1e}" if measurement.distance else "0"
    return text if measurement.agree else f"✗ {text}"


def _limit(found: Sequence[Measurement | None]) -> str:
    limits = {m.limit for m in found if m is not None}
    if limits == {None}:
        return "reported"
    numbers = [limit for limit in limits if limit is not None]
    if numbers == [0.0]:
        return ""
    return f"{min(numbers):.0e}" if len(numbers) == 1 else f"{min(numbers):.0e} and up"


def _figures(report: ParityReport) -> list[str]:
    lines = []
    for name, figures in report.figures.items():
        seconds = {key: value for key, value in figures.items() if key != "peak_memory"}
        spent = ", ".join(f"{key} {value:.1f} s" for key, value in seconds.items())
        memory = bytes_text(int(figures["peak_memory"]))
        lines.append(f"{name}: {sum(seconds.values()):.1f} s ({spent}), {memory} at most")
    return lines


def _sensitivity(report: ParityReport) -> str:
    """What rounding does to training, and what follows for the comparison."""
    found = ", ".join(f"{m.quantity} {m.distance:.1e}" for m in report.sensitivity)
    name = report.sensitivity[0].left
    text = f"{name} against itself, from weights that are a few roundings off: {found}. "
    if report.chaotic:
        text += (
            "This training is chaotic: where it ends says nothing about the programs. So each step "
            "is compared by itself, from a state that all share."
        )
    else:
        text += "So rounding does not explain what differs after the steps."
    return textwrap.fill(text, 100)


def _verdict(report: ParityReport) -> str:
    if report.agree:
        return f"{', '.join(report.backends)} agree"
    worst = [
        f"{m.quantity} of {m.left} and {m.right}: {m.distance:.2g} at "
        f"{m.tensor or 'the whole'}, limit {m.limit:.2g}"
        for m in report.failures
    ]
    return "not the same:\n" + "\n".join(f"  {line}" for line in worst)
