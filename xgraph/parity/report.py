"""What a comparison found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """How far two backends are apart in one quantity.

    Attributes:
        left, right: the backends.
        quantity: what was compared, such as "gradients".
        distance: the greatest relative distance among its tensors.
        tensor: the tensor that it, or the worst proportion to its limit, was seen in.
        limit: the greatest distance allowed; None where it is only reported.
    """

    left: str
    right: str
    quantity: str
    distance: float
    tensor: str
    limit: float | None

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
        batch, shape: images in a batch, and (height, width, channels) of one.
        steps, recipe: training steps by this recipe.
        measurements: of every quantity of every pair.
        divergences: where pairs that differ part.
        figures: seconds by stage, and peak memory in bytes, by backend.
        sensitivity: where steps differ, how far one backend is from itself after the same steps
            from weights that are off by a few roundings, with the limits of two backends.
    """

    spec: str
    dtype: str
    backends: tuple[str, ...]
    batch: int
    shape: tuple[int, ...]
    steps: int
    recipe: str
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
        """Whether roundings at the start grow, in one backend, beyond what two may be apart.

        Then distances after many steps are only reported, and each step is judged alone.
        """
        return not all(measurement.agree for measurement in self.sensitivity)

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "spec": self.spec,
            "agree": self.agree,
            "dtype": self.dtype,
            "backends": list(self.backends),
            "batch": self.batch,
            "input": list(self.shape),
            "steps": self.steps,
            "recipe": self.recipe,
            "measurements": [{**vars(m), "agree": m.agree} for m in self.measurements],
            "divergences": [vars(d) for d in self.divergences],
            "chaotic": self.chaotic,
            "sensitivity": [{**vars(m), "agree": m.agree} for m in self.sensitivity],
            "figures": {name: dict(values) for name, values in self.figures.items()},
        }

    def __str__(self) -> str:
        from xgraph.report.parity import parity_text

        return parity_text(self)
