"""Fine-tuning."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from xgraph.ops.base import attribute
from xgraph.recipe.kinds import PART_NAMES, PART_RATES
from xgraph.recipe.part import Part
from xgraph.recipe.prose import number


@dataclass(frozen=True)
class Tune(Part):
    """lr ← r·lr for the weights of a part; those of a frozen part are not trained, w ← w.

    Of parts in each other, the innermost counts. A batch norm in a frozen part is in evaluation
    mode: it uses its moving statistics, and leaves them as they are. Dropout stays in training.
    """

    name: ClassVar[str] = "tune"

    freeze: tuple[str, ...] | None = attribute(
        PART_NAMES, None, doc="parts of the model that are not trained"
    )
    rates: tuple[tuple[str, float], ...] | None = attribute(
        PART_RATES, None, doc="r, which multiplies the learning rate, by part of the model"
    )

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parts that are not trained."""
        return self.freeze or ()

    @property
    def factors(self) -> dict[str, float]:
        """r by part."""
        return dict(self.rates or ())

    @property
    def constants(self) -> dict[str, str]:
        frozen = ", ".join(f'"{part}"' for part in self.frozen)
        rates = ", ".join(f'"{part}": {number(factor)}' for part, factor in self.factors.items())
        found = {"FROZEN": f"[{frozen}]", "RATES": f"{{{rates}}}"}
        return {name: value for name, value in found.items() if value not in ("[]", "{}")}

    @property
    def said(self) -> str:
        return "parts at rates of their own" if self.factors else "parts not trained"

    @property
    def excepts(self) -> bool:
        """Whether a part with a rate is in a frozen one."""
        return any(part_of(part, self.frozen) for part in self.factors)

    def factor(self, name: str) -> float:
        """r of a weight by its name, which is 0 where it is frozen."""
        factors = {**self.factors, **dict.fromkeys(self.frozen, 0.0)}
        return factors.get(part_of(name, factors), 1.0)

    @classmethod
    def cases(cls) -> Iterator[Mapping[str, Any]]:
        yield {"freeze": ["norm"]}
        yield {"freeze": ["hidden"]}
        yield {"rates": {"hidden": 0.25, "logits": 1.5}}
        yield {"freeze": ["norm"], "rates": {"hidden": 0.1}}


def part_of(name: str, parts: Collection[str]) -> str:
    """The longest of these parts that a weight is in, as `head.bias` is in `head`, or nothing."""
    return max((p for p in parts if f"{name}.".startswith(f"{p}.")), key=len, default="")
