"""Kinds of value that only recipes use; see `xgraph.ops.kinds` for the contract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from xgraph.ops.kinds import (
    COUNT,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    Kind,
    Real,
    Single,
    in_float32,
    is_integer,
)
from xgraph.recipe.metrics import METRICS as METRICS_BY_NAME
from xgraph.recipe.metrics import Metric
from xgraph.text import Text

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_ ]{0,63}")
_RATES = Single(0, 1e6, open_low=True)


@dataclass(frozen=True)
class Name(Kind):
    """A name that may become part of a path or a title."""

    expected = "a word of lower-case letters, digits and underscores that starts with a letter"

    def convert(self, value: Any) -> str:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            raise ValueError
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_NAME.pattern}$"}


@dataclass(frozen=True)
class Prose(Kind):
    """Text for readers; line breaks do not matter."""

    expected = "a text"

    def convert(self, value: Any) -> Text:
        if not isinstance(value, str):
            raise ValueError
        return Text(" ".join(value.split()))

    def schema(self) -> dict[str, Any]:
        return {"type": "string"}


@dataclass(frozen=True)
class Period:
    """A stretch of training: so many optimizer steps, epochs or samples."""

    unit: str  # "steps", "epochs" or "samples"
    count: int

    def __str__(self) -> str:
        return f"{self.count:,} {self.unit.rstrip('s') if self.count == 1 else self.unit}"

    @property
    def first(self) -> str:
        """As what comes first: "the first epoch", "the first 500 steps"."""
        return f"the first {self}" if self.count > 1 else f"the first {self.unit.rstrip('s')}"


@dataclass(frozen=True)
class PeriodKind(Kind):
    """`{epochs: 2}`, `{steps: 500}` or `{samples: 3000000}`."""

    units: tuple[str, ...] = ("steps", "epochs", "samples")

    @property
    def expected(self) -> str:
        return " or ".join(f"{{{unit}: N}}" for unit in self.units) + ", N a positive integer"

    def convert(self, value: Any) -> Period:
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError
        [(unit, count)] = value.items()
        if unit not in self.units:
            raise ValueError
        return Period(unit, COUNT.convert(count))

    def schema(self) -> dict[str, Any]:
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {unit: COUNT.schema()},
                    "required": [unit],
                    "additionalProperties": False,
                }
                for unit in self.units
            ]
        }


@dataclass(frozen=True)
class PeriodsKind(Kind):
    """A list of periods."""

    one: PeriodKind = PeriodKind()

    @property
    def expected(self) -> str:
        return "a list of " + self.one.expected

    def convert(self, value: Any) -> tuple[Period, ...]:
        if not isinstance(value, list) or not 1 <= len(value) <= 16:
            raise ValueError
        return tuple(map(self.one.convert, value))

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.one.schema(), "minItems": 1, "maxItems": 16}


@dataclass(frozen=True)
class MetricsKind(Kind):
    """`[top1, top5, map100]`: normalized, `top` first, by k."""

    expected = "a list such as [top1, top5] or [map100, recall100]"
    _pattern = f"({'|'.join(METRICS_BY_NAME)})([1-9][0-9]{{0,5}})"

    def convert(self, value: Any) -> tuple[Metric, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError
        found = [re.fullmatch(self._pattern, str(item)) for item in value]
        metrics = {METRICS_BY_NAME[match[1]](int(match[2])) for match in found if match}
        if len(metrics) != len(value):
            raise ValueError
        return tuple(sorted(metrics, key=lambda one: (one.name != "top", one.name, one.k)))

    def schema(self) -> dict[str, Any]:
        item = {"type": "string", "pattern": f"^{self._pattern}$"}
        return {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}


@dataclass(frozen=True)
class Resize:
    """How an image is brought near the model's input size.

    `shorter_side` keeps the aspect ratio: the image just covers `ratio` times the input size.
    `stretch` does not: the image becomes exactly `ratio` times the input size.
    """

    how: str
    ratio: float

    def pixels(self, size: int) -> int:
        """`ratio` times `size`, to the nearest pixel."""
        return int(self.ratio * size + 0.5)


@dataclass(frozen=True)
class ResizeKind(Kind):
    """`{shorter_side: RATIO}` or `{stretch: RATIO}`."""

    expected = "{shorter_side: RATIO} or {stretch: RATIO}, RATIO at least 1 (times the input size)"

    def convert(self, value: Any) -> Resize:
        if not isinstance(value, dict) or list(value) not in (["shorter_side"], ["stretch"]):
            raise ValueError
        [(how, ratio)] = value.items()
        return Resize(how, Real(1, 16).convert(ratio))

    def schema(self) -> dict[str, Any]:
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {how: Real(1, 16).schema()},
                    "required": [how],
                    "additionalProperties": False,
                }
                for how in ("shorter_side", "stretch")
            ]
        }


@dataclass(frozen=True)
class Normalize:
    """x ← (x − mean) / std, x in [0, 1]; one number, or one per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """How many channels the numbers are for; 1 fits any image."""
        return max(len(self.mean), len(self.std))


@dataclass(frozen=True)
class NormalizeKind(Kind):
    """`unit` ([0, 1]), `symmetric` ([-1, 1]), or `{mean: [...], std: [...]}`."""

    expected = "unit ([0, 1]), symmetric ([-1, 1]), or {mean: [...], std: [...]}, one per channel"
    options = ("unit", "symmetric")

    def convert(self, value: Any) -> Normalize:
        if value == "unit":
            return Normalize((0.0,), (1.0,))
        if value == "symmetric":
            return Normalize((0.5,), (0.5,))
        if not isinstance(value, dict) or sorted(value) != ["mean", "std"]:
            raise ValueError
        mean, std = value["mean"], value["std"]
        if not isinstance(mean, list) or not isinstance(std, list) or len(mean) != len(std):
            raise ValueError
        if not 1 <= len(mean) <= 4:
            raise ValueError
        return Normalize(tuple(map(NUMBER.convert, mean)), tuple(map(POSITIVE.convert, std)))

    def hint(self, value: Any) -> str | None:
        if not isinstance(value, dict):
            return None
        return NUMBER.hint(value.get("mean")) or POSITIVE.hint(value.get("std"))

    def schema(self) -> dict[str, Any]:
        numbers = {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 4}
        given = {
            "type": "object",
            "properties": {"mean": numbers, "std": numbers},
            "required": ["mean", "std"],
            "additionalProperties": False,
        }
        return {"oneOf": [{"enum": list(self.options)}, given]}


@dataclass(frozen=True)
class Column(Kind):
    """The name of a table's column."""

    expected = "letters, digits, spaces and underscores, at most 64, not a digit first"

    def convert(self, value: Any) -> str:
        if not isinstance(value, str) or not _COLUMN.fullmatch(value):
            raise ValueError
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_COLUMN.pattern}$"}


@dataclass(frozen=True)
class Amount(Kind):
    """A number of images, or a share of them; an int or a float accordingly."""

    expected = "a positive integer, or a share above 0 and below 1"

    def convert(self, value: Any) -> int | float:
        return COUNT.convert(value) if is_integer(value) else _SHARE.convert(value)

    def schema(self) -> dict[str, Any]:
        return {"oneOf": [COUNT.schema(), _SHARE.schema()]}


@dataclass(frozen=True)
class Color(Kind):
    """A byte for every channel, or one for each of red, green and blue."""

    expected = "a number from 0 to 255, or three of them"

    def convert(self, value: Any) -> tuple[int, ...]:
        values = value if isinstance(value, list) else [value]
        if len(values) not in (1, 3) or (isinstance(value, list) and len(values) == 1):
            raise ValueError
        if not all(is_integer(byte) and 0 <= byte <= 255 for byte in values):
            raise ValueError
        return tuple(values)

    def schema(self) -> dict[str, Any]:
        byte = {"type": "integer", "minimum": 0, "maximum": 255}
        three = {"type": "array", "items": byte, "minItems": 3, "maxItems": 3}
        return {"oneOf": [byte, three]}


@dataclass(frozen=True)
class Probability(Kind):
    """How often something is done; `true` is every other time, `false` never."""

    expected = "true (every other image), false, or a number of at least 0 and at most 1"

    def convert(self, value: Any) -> float:
        if isinstance(value, bool):
            return 0.5 if value else 0.0
        return 1.0 if value == 1 else Real(0, 1).convert(value)

    def schema(self) -> dict[str, Any]:
        return {"oneOf": [{"type": "boolean"}, {"type": "number", "minimum": 0, "maximum": 1}]}


@dataclass(frozen=True)
class Range(Kind):
    """`[low, high]`, both above 0 and at most `highest`."""

    highest: float

    @property
    def expected(self) -> str:
        return f"[low, high], numbers above 0 and at most {self.highest:g}"

    def convert(self, value: Any) -> tuple[float, float]:
        if not isinstance(value, list) or len(value) != 2:
            raise ValueError
        low, high = (Real(0, open_low=True).convert(number) for number in value)
        if not low <= high <= self.highest:
            raise ValueError
        return low, high

    def schema(self) -> dict[str, Any]:
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": self.highest}
        return {"type": "array", "items": number, "minItems": 2, "maxItems": 2}


@dataclass(frozen=True)
class PartNames(Kind):
    """Parts of a model by name, `[entry_flow, middle_flow.middle.0]`, sorted."""

    expected = "a list of different parts of the model, such as [entry_flow, middle_flow.middle.0]"

    def convert(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(map(_is_part, value)):
            raise ValueError
        if len(set(value)) != len(value):
            raise ValueError
        return tuple(sorted(value))

    def schema(self) -> dict[str, Any]:
        item = {"type": "string", "pattern": f"^{_PART.pattern}$"}
        return {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}


@dataclass(frozen=True)
class PartRates(Kind):
    """A number above 0 for parts of a model, `{middle_flow: 0.1}`, by name."""

    one: Single = _RATES

    @property
    def expected(self) -> str:
        high = f"{self.one.high:,.0f}"
        return f"numbers above 0 and below {high} by parts of the model, as in {{middle_flow: 0.1}}"

    def convert(self, value: Any) -> tuple[tuple[str, float], ...]:
        if not isinstance(value, dict) or not value or not all(map(_is_part, value)):
            raise ValueError
        return tuple(sorted((part, self.one.convert(rate)) for part, rate in value.items()))

    def hint(self, value: Any) -> str | None:
        return self.one.hint(value)

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "patternProperties": {f"^{_PART.pattern}$": self.one.schema()},
            "additionalProperties": False,
            "minProperties": 1,
        }


def _is_part(value: Any) -> bool:
    """Whether a value may name a part of a model; what there is, only a graph knows."""
    return isinstance(value, str) and len(value) <= 400 and bool(_PART.fullmatch(value))


class Share(Kind):
    """A part of a whole, or all of it."""

    expected = "a number above 0 and at most 1"

    def convert(self, value: Any) -> float:
        return 1.0 if value == 1 and value is not True else _SHARE.convert(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "exclusiveMinimum": 0, "maximum": 1}


@dataclass(frozen=True)
class ClassWeights(Kind):
    """The word `balanced`, or a tuple of numbers by class, some of which is above 0."""

    expected = "balanced, or a list of numbers of at least 0 for the classes, not all 0"

    def convert(self, value: Any) -> str | tuple[float, ...]:
        if value == "balanced":
            return "balanced"
        if not isinstance(value, list):
            raise ValueError
        weights = tuple(map(NOT_NEGATIVE.convert, value))
        if not any(map(in_float32, weights)):
            raise ValueError
        return weights

    def hint(self, value: Any) -> str | None:
        return POSITIVE.hint(value)

    def schema(self) -> dict[str, Any]:
        numbers = {"type": "array", "items": NOT_NEGATIVE.schema(), "minItems": 1}
        return {"oneOf": [{"const": "balanced"}, numbers]}


_SHARE = Real(0, 1, open_low=True)

#: What is kept of a mean that is corrected for its beginning: divided by 1 minus a power of it.
KEPT = Single(0, 1)
#: Learning rates, and those that a schedule ends with. What an optimizer makes of them, times the
#: rate of a part, stays within float32; PyTorch ends with an exception where a number does not.
LEARNING_RATE = Single(0, 1e20, open_low=True)
LAST_RATE = Single(0, 1e20)

NAME = Name()
COLUMN = Column()
AMOUNT = Amount()
COLOR = Color()
PROBABILITY = Probability()
CLASS_WEIGHTS = ClassWeights()
SHARE = Share()
ALPHA = Real(0.001, 1000)
TEXT = Prose()
PERIOD = PeriodKind()
PERIODS = PeriodsKind()
PART_NAMES = PartNames()
PART_RATES = PartRates()
CADENCE = PeriodKind(("steps", "epochs"))
METRICS = MetricsKind()
RESIZE = ResizeKind()
NORMALIZE = NormalizeKind()
