"""Parameters and variables while a spec is written: a drawn value becomes `$name`, or a formula.

Items are drawn with plain numbers, which can be checked. Then some of the numbers are said by the
parameters that are seen there. A parameter that does not exist yet is made, with the number as its
value; what other values it may take, in other calls or iterations, follows from the attribute that
it was made for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from xgraph.fuzz.attributes import Field, draw
from xgraph.fuzz.trees import evaluated, fresh, mentioned
from xgraph.ir.types import TensorType
from xgraph.ops.kinds import BOOLEAN, COUNT, is_integer

#: A truth value that conditions ask for.
FLAG = Field("identity", "flag", BOOLEAN, required=True)
#: How often something is repeated.
TIMES = Field("identity", "times", COUNT, required=True)


@dataclass
class Parameter:
    """What a parameter is worth where the items were drawn, and how to draw another value."""

    value: Any
    field: Field | None
    given: TensorType


@dataclass
class Names:
    """The names of one scope: the spec's, a block's or a loop's.

    Names are written with a mark of their scope. A loop's variable may not be called like a
    parameter that is seen there, not even like one that is made when the loop is long written.
    """

    outer: Names | None = None
    own: dict[str, Parameter] = field(default_factory=dict)
    #: how readily a value becomes a parameter here
    eager: float = 0.1
    mark: str = ""
    #: whether new parameters belong to the scope around this one, as those in a repeat do
    closed: bool = False
    #: channels of a block's inputs
    counts: dict[str, int] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """What each name that is seen here is worth."""
        outer = self.outer.values() if self.outer else {}
        return {
            **outer,
            **self.counts,
            **{name: parameter.value for name, parameter in self.own.items()},
        }

    def forget(self, *users: Any) -> None:
        """Drop own names that nothing mentions: the items that they were for were not taken."""
        used = set(mentioned(list(users)))
        self.own = {name: kept for name, kept in self.own.items() if name in used}

    def add(self, name: str, value: Any, field: Field | None, given: TensorType) -> str:
        """A new name, distinct from all that are seen."""
        if self.closed and self.outer:
            return self.outer.add(name, value, field, given)
        name = fresh(name + self.mark, self.values())
        self.own[name] = Parameter(value, field, given)
        return name

    def said(self, random: Random, value: Any, field: Field, given: TensorType) -> Any:
        """A value, or an expression that is worth it here."""
        if random.random() >= self.eager:
            return value
        choice = random.random()
        if choice < 0.45:
            formula = self.formula(random, value, field.name)
            if formula is not None:
                return formula
        if isinstance(value, list) and choice < 0.55 and all(map(is_integer, value)):
            axis = random.choice([0, 1])
            part = Field(field.op, f"{field.name}_{'hw'[axis]}", COUNT, required=True)
            said = f"${self.add(part.name, value[axis], part, given)}"
            return [said if k == axis else size for k, size in enumerate(value)]
        return f"${self.add(field.name, value, field, given)}"

    def formula(self, random: Random, value: Any, name: str) -> str | None:
        """An expression over the names that are seen, worth `value`, or None."""
        seen = self.values()
        equal = [n for n, v in seen.items() if type(v) is type(value) and v == value]
        related = [n for n in equal if n.startswith(name.partition("_")[0])]
        if related and random.random() < 0.6:
            return f"${random.choice(related)}"
        numbers = [n for n, v in seen.items() if is_integer(v)]
        if not is_integer(value) or not numbers:
            return None
        one = random.choice(numbers)
        known = seen[one]
        texts = [f"${one} + {value - known}" if value >= known else f"${one} - {known - value}"]
        texts.append(f"max(${one}, {value})" if known <= value else f"min(${one}, {value})")
        texts.append(f"({value} if ${one} == {known} else {value + 1})")
        if known:
            texts.append(f"{value} * ${one} // {known}")
            if value % known == 0:
                texts.append(f"${one} * {value // known}")
            texts.append(f"ceil(${one} * {value / known!r})")
            texts.append(f"round(${one} * {value / known!r})")
        texts = [text for text in texts if evaluated(text, seen) == value]
        return random.choice(texts) if texts else None

    def condition(self, random: Random, wanted: bool, given: TensorType) -> str | bool:
        """A condition that is `wanted` here."""
        seen = self.values()
        numbers = [name for name, value in seen.items() if is_integer(value)]
        choice = random.random()
        if choice < 0.15:
            return wanted
        if numbers and choice < 0.6:
            one = random.choice(numbers)
            known = seen[one]
            texts = [f"${one} > {known - 1 if wanted else known}", f"${one} % 2 == {known % 2}",
                     f"${one} in [{known}, {known + 3}]", f"0 <= ${one} <= {known}"]  # fmt: skip
            texts += [f"not ${one} == {known}", f"${one} < {known}", f"${one} % 2 != {known % 2}"]
            return random.choice([text for text in texts if evaluated(text, seen) is wanted])
        value = random.random() < 0.5
        name = self.formula(random, value, "flag") or f"${self.add('flag', value, FLAG, given)}"
        return name if value is wanted else f"not {name}"

    def another(self, random: Random, name: str) -> Any:
        """Another value for an own name, as a call or an iteration may give it."""
        parameter = self.own[name]
        if parameter.field is None:
            return parameter.value
        return draw(random, parameter.field, parameter.given, calm=True)
