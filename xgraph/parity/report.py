"""What a comparison found, as data and as text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xgraph.diagnostics import counted
from xgraph.parity.distance import MARGIN, TELLING
from xgraph.report.table import bytes_text, table

#: The graph itself, computed in NumPy, where programs go by the names of their backends.
GRAPH = "the graph"


@dataclass(frozen=True)
class Measurement:
    """How far two backends are apart in one quantity.

    Attributes:
        left, right: the backends; `left` may be `GRAPH`.
        quantity: what was compared, such as "gradients".
        distance: the greatest relative distance among its tensors.
        tensor: the tensor that it, or the worst proportion to its limit, was seen in.
        limit: the greatest distance allowed; None where it is only reported.
        untold: tensors of which nothing can be told, so far is a program from itself in them.
    """

    left: str
    right: str
    quantity: str
    distance: float
    tensor: str
    limit: float | None
    untold: int = 0

    @property
    def agree(self) -> bool:
        """Whether the distance is within the limit; what is not a number is not."""
        return self.limit is None or self.distance <= self.limit


@dataclass(frozen=True)
class Divergence:
    """Where two backends part: the first node, in the order of computing, whose values differ."""

    left: str
    right: str
    quantity: str
    node: str
    op: str
    place: str
    line: str
    distance: float

    def __str__(self) -> str:
        return (
            f"{self.quantity}: {self.left} and {self.right} part at '{self.node}' ({self.op}), "
            f"relative distance {self.distance:.2g}\n  {self.place}: {self.line}"
        )


@dataclass(frozen=True)
class ParityReport:
    """A whole comparison.

    Attributes:
        dtype, device: what the programs compute in and on.
        batch, shape: images in a batch, and (height, width, channels) of one.
        steps, recipe: training steps by this recipe; a model alone has None.
        measurements: of every quantity of every pair.
        divergences: where pairs that differ part.
        figures: seconds by stage, and peak memory in bytes, by backend.
        sensitivity: where steps are not alike to the last digits, how far one backend is from
            itself after the same steps from weights that are off by a few roundings, and up to
            where that lets programs be told apart.
    """

    spec: str
    dtype: str
    device: str
    backends: tuple[str, ...]
    batch: int
    shape: tuple[int, ...]
    steps: int
    recipe: str | None
    measurements: tuple[Measurement, ...]
    divergences: tuple[Divergence, ...] = ()
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sensitivity: tuple[Measurement, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether every quantity of every pair is within its limit."""
        return all(measurement.agree for measurement in self.measurements)

    @property
    def failures(self) -> tuple[Measurement, ...]:
        """The measurements beyond their limits."""
        return tuple(m for m in self.measurements if not m.agree)

    @property
    def chaotic(self) -> bool:
        """Whether roundings at the start grow, in one backend, until nothing can be told apart.

        Then distances after many steps are only reported, and each step is judged alone.
        """
        return not all(measurement.agree for measurement in self.sensitivity)

    @property
    def ill_conditioned(self) -> tuple[Measurement, ...]:
        """What rounding alone makes so different that agreement says little; within its limits."""
        if self.dtype != "float64":
            return ()
        judged = (m for m in self.measurements if m.agree)
        return tuple(m for m in judged if m.untold or (m.limit or 0.0) > TELLING)

    @property
    def reason(self) -> str:
        """Why they are not the same, in one line: the first quantity beyond its limit; else ""."""
        if self.agree:
            return ""
        first = self.failures[0]
        others = len({m.quantity for m in self.failures} - {first.quantity})
        more = f"; so are {others} more" if others > 1 else "; so is one more" if others else ""
        if first.quantity == "initial weights":
            return f"{first.left} and {first.right} begin with other weights: {first.tensor}{more}"
        assert first.limit is not None
        return (
            f"{first.quantity} of {first.left} and {first.right} is {first.distance:.2g} apart at "
            f"{first.tensor or 'the whole'}, beyond {first.limit:.2g}{more}"
        )

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "spec": self.spec,
            "agree": self.agree,
            "reason": self.reason,
            "dtype": self.dtype,
            "device": self.device,
            "backends": list(self.backends),
            "batch": self.batch,
            "input": list(self.shape),
            "steps": self.steps,
            "recipe": self.recipe,
            "measurements": [{**vars(m), "agree": m.agree} for m in self.measurements],
            "divergences": [vars(d) for d in self.divergences],
            "ill_conditioned": [m.quantity for m in self.ill_conditioned],
            "chaotic": self.chaotic,
            "sensitivity": [{**vars(m), "agree": m.agree} for m in self.sensitivity],
            "figures": {name: dict(values) for name, values in self.figures.items()},
        }

    def __str__(self) -> str:
        return _text(self)


# -- as text --------------------------------------------------------------------------------------


def _text(report: ParityReport) -> str:
    """A table with a row for each quantity.

    Its columns are the program that is farthest from the graph, and each pair of backends.
    """
    pairs = [(m.left, m.right) for m in report.measurements if m.left != GRAPH]
    pairs = list(dict.fromkeys(pairs))
    quantities = list(dict.fromkeys(m.quantity for m in report.measurements))
    header = ["", GRAPH, *(f"{left} – {right}" for left, right in pairs), "limit"]
    rows = []
    for quantity in quantities:
        held = {(m.left, m.right): m for m in report.measurements if m.quantity == quantity}
        against = [m for (left, _), m in held.items() if left == GRAPH]
        found = [_farthest(against), *(held.get(pair) for pair in pairs)]
        rows.append([quantity, *(_cell(m) for m in found), _limit([*against, *found])])
    lines = [_title(report), "", table(header, rows, "<" + ">" * (len(pairs) + 2))]
    lines += ["", *_figures(report)]
    if len(report.backends) == 1:
        lines += ["", "There is no second backend that gradients and steps could be compared with."]
    for divergence in report.divergences:
        lines += ["", str(divergence)]
    if report.sensitivity:
        lines += ["", _sensitivity(report)]
    if report.ill_conditioned:
        lines += ["", _ill_conditioned(report)]
    lines += ["", _verdict(report)]
    return "\n".join(lines)


def _title(report: ParityReport) -> str:
    size = "×".join(str(n) for n in report.shape)
    steps = (
        f", {counted(report.steps, 'step')} of the recipe {report.recipe}" if report.steps else ""
    )
    where = "" if report.device == "cpu" else f" on {report.device}"
    return (
        f"{report.spec}, {report.dtype}{where}, {counted(report.batch, 'image')} of {size}{steps}"
    )


def _farthest(measurements: Sequence[Measurement]) -> Measurement | None:
    """One that is beyond its limit, if any is; else, or among these, the greatest distance."""
    return max(measurements, key=lambda m: (not m.agree, m.distance), default=None)


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
    text = f"{name} against itself, from weights that are a few roundings off: {found}."
    if report.chaotic:
        text += (
            " This training is chaotic: where it ends says nothing about the programs. So each "
            "step is compared by itself, from a state that all share."
        )
    return textwrap.fill(text, 100)


def _ill_conditioned(report: ParityReport) -> str:
    """What agreement rests on."""
    own: dict[str, float] = {}
    for m in report.ill_conditioned:
        own[m.quantity] = max(own.get(m.quantity, 0.0), (m.limit or 0.0) / MARGIN)
    found = ", ".join(f"{quantity} {distance:.1e}" for quantity, distance in own.items())
    text = (
        "This network is ill-conditioned. A program against itself, from weights that are a few "
        f"roundings off: {found}. Two programs may be {MARGIN:.0f} times as far apart."
    )
    untold = {m.quantity: m.untold for m in report.ill_conditioned if m.untold}
    if untold:
        counts = ", ".join(f"{count} of the {quantity}" for quantity, count in untold.items())
        text += f" Nothing can be told of tensors in which it is farther: {counts}."
    return textwrap.fill(text, 100)


def _verdict(report: ParityReport) -> str:
    names = f"{', '.join(report.backends)} and {GRAPH}"
    if not report.agree:
        return f"not the same: {report.reason}"
    if report.ill_conditioned:
        return f"{names} agree, as far as can be told"
    return f"{names} agree"
