"""What was found when a network from elsewhere was held to a spec, as data and as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xgraph.diagnostics import counted, printable
from xgraph.parity.report import Measurement
from xgraph.report.table import table

#: Differences that are shown; a wrong network has hundreds.
_SHOWN = 10


@dataclass(frozen=True)
class Place:
    """Where a source is not as the spec.

    Attributes:
        node, op: of the spec.
        theirs: what the source calls it; "" where it has none.
        what: is different.
        place, line: the file and line of the spec, and its text.
    """

    node: str
    op: str
    theirs: str
    what: str
    place: str = ""
    line: str = ""

    def __str__(self) -> str:
        theirs = f" is not {self.theirs}" if self.theirs else ""
        head = f"{self.node} ({self.op}){theirs}: {self.what}" if self.node else self.what
        below = f"\n  {self.place}: {self.line}" if self.place else ""
        return printable(head, 400) + below


@dataclass(frozen=True)
class Verification:
    """Whether a network from elsewhere is a spec's.

    Attributes:
        spec, source: what was compared.
        layers: how many of them are one and the same.
        differences: of the two networks, in the spec's order.
        in_training: of what training alone sees.
        notes: what is different and is the same network nevertheless.
        of_numbers: what to know of how numbers were compared.
        dtype: what programs compute in; the source in float64.
        backends: whose programs were measured; none where the networks differ, or the source cannot
            be run.
        measurements: of every quantity, of the source and each program.
        divergences: where numbers part.
        sensitivity: see `xgraph.parity.ParityReport`.
        steps: updates that were made.
    """

    spec: str
    source: str
    layers: int
    differences: Sequence[Place]
    in_training: Sequence[Place]
    notes: Sequence[str]
    dtype: str
    of_numbers: Sequence[str] = ()
    backends: Sequence[str] = ()
    measurements: Sequence[Measurement] = ()
    divergences: Sequence[Place] = ()
    sensitivity: Sequence[Measurement] = ()
    steps: int = 0

    @property
    def agree(self) -> bool:
        """Whether it is the same network, trained alike, as far as that was asked."""
        alike = not self.differences and not self.in_training
        return alike and all(m.agree for m in self.measurements) and not self.chaotic

    @property
    def agree_in_numbers(self) -> bool:
        """Whether it is the same network, and so are its numbers; training alone may see more."""
        return not self.differences and all(m.agree for m in self.measurements)

    def told(self) -> str:
        """How far the programs are from the source, in a line."""
        found = (
            (quantity, max(m.distance for m in self.measurements if m.quantity == quantity))
            for quantity in dict.fromkeys(m.quantity for m in self.measurements)
        )
        apart = ", ".join(f"{quantity} {distance:.1e}" for quantity, distance in found)
        return f"{', '.join(self.backends)} compute what it does, in {self.dtype}: {apart} apart"

    @property
    def chaotic(self) -> bool:
        """Whether roundings grow in these steps until nothing can be told."""
        return not all(m.agree for m in self.sensitivity)

    @property
    def first(self) -> Place | None:
        """The first place, in the spec's order, that is not the same."""
        return next(iter((*self.differences, *self.in_training, *self.divergences)), None)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "spec": self.spec,
            "source": self.source,
            "agree": self.agree,
            "layers": self.layers,
            "differences": [vars(one) for one in self.differences],
            "in_training": [vars(one) for one in self.in_training],
            "notes": [*self.notes, *self.of_numbers],
            "dtype": self.dtype,
            "backends": list(self.backends),
            "steps": self.steps,
            "measurements": [{**vars(m), "agree": m.agree} for m in self.measurements],
            "divergences": [vars(one) for one in self.divergences],
            "chaotic": self.chaotic,
        }

    def __str__(self) -> str:
        lines: list[str] = []
        if self.differences:
            lines += [*_places(self.differences), ""]
        elif self.in_training:
            lines += ["in training:", *_places(self.in_training), ""]
        if self.measurements:
            lines += [_table(self), ""]
        if self.divergences:
            lines += [*_places(self.divergences), ""]
        lines += [f"note: {printable(note, 300)}" for note in (*self.notes, *self.of_numbers)]
        return "\n".join([*lines, _verdict(self)])


def _places(found: Sequence[Place]) -> list[str]:
    more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return [*map(str, found[:_SHOWN]), *more]


def _table(report: Verification) -> str:
    """A row for each quantity: how far each program is from the source."""
    rows = []
    for quantity in dict.fromkeys(m.quantity for m in report.measurements):
        held = {m.right: m for m in report.measurements if m.quantity == quantity}
        limits = [m.limit for m in held.values() if m.limit is not None]
        cells = (
            ("" if m.agree else "✗ ") + (f"{m.distance:.1e}" if m.distance else "0")
            for m in (held[name] for name in report.backends)
        )
        rows.append([quantity, *cells, f"{max(limits):.0e}" if limits else "reported"])
    header = [f"{report.dtype}, from {printable(report.source, 80)}", *report.backends, "limit"]
    return table(header, rows, "<" + ">" * (len(report.backends) + 1))


def _verdict(report: Verification) -> str:
    source, spec = printable(report.source, 200), report.spec
    if report.differences:
        return f"{source} is not the network of {spec}: {counted(len(report.differences), 'place')}"
    same = f"{source} is the network of {spec}, layer by layer ({counted(report.layers, 'layer')})"
    if report.in_training:
        return f"{same}, but is not trained alike"
    wrong = [m for m in report.measurements if not m.agree]
    if wrong:
        worst = wrong[0]
        return (
            f"{same}, but its numbers are others: {worst.quantity} is {worst.distance:.2g} from "
            f"{worst.right}'s at {worst.tensor or 'the whole'}, beyond {worst.limit:.2g}"
        )
    if report.chaotic:
        return f"{same}; after so many steps nothing can be told of training: ask for fewer"
    if not report.measurements:
        return same
    trained = f", also after {counted(report.steps, 'step')}" if report.steps else ""
    return f"{same}, and in numbers{trained}"
