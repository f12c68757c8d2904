"""Kinds of attribute: how a spec's value is checked, normalized and described.

`convert` takes a plain value from a spec (None, bool, int, float, str, list, dict) and returns the
normalized one, or raises `ValueError` with no text of its own: the caller reports
`Expected {kind.expected}, received {value}`.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Pair = tuple[int, int]
Padding = str | tuple[Pair, Pair]

#: No size in a spec may exceed this, so that no product of sizes can become absurd.
LARGEST = 2**31 - 1


class Kind:
    """A kind of value: `expected` says it in words, `schema` as JSON Schema."""

    @property
    def expected(self) -> str:
        """Which values it takes, as a message says it; a property, for some depend on settings."""
        raise NotImplementedError  # of no kind in particular

    def convert(self, value: Any) -> Any:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        raise NotImplementedError

    def hint(self, value: Any) -> str | None:
        """What helps whoever gave a value that is refused, where `expected` does not say it."""
        return None


def is_integer(value: object) -> bool:
    """Whether `value` is an int but not a bool (bool is an int to Python, not to a spec)."""
    return isinstance(value, int) and not isinstance(value, bool)


@dataclass(frozen=True)
class Integer(Kind):
    """An integer of at least `minimum`; a bool is none."""

    minimum: int = 1

    @property
    def expected(self) -> str:
        return (
            "a positive integer" if self.minimum == 1 else f"an integer of at least {self.minimum}"
        )

    def convert(self, value: Any) -> int:
        if not is_integer(value) or not self.minimum <= value <= LARGEST:
            raise ValueError
        return int(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.minimum}


@dataclass(frozen=True)
class Factor(Integer):
    """An integer by which height and width are multiplied or divided, and perhaps the channels."""


@dataclass(frozen=True)
class Real(Kind):
    """A finite number in [low, high), or (low, high) when `open_low`."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False

    @property
    def expected(self) -> str:
        if self.high < math.inf:
            return f"a number {self._from} {self.low:g} and below {self.high:g}"
        if self.low == -math.inf:
            return "a number"
        return f"a number {self._from} {self.low:g}"

    @property
    def _from(self) -> str:
        return "above" if self.open_low else "of at least"

    def convert(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        try:
            number = float(value)
        except OverflowError:
            raise ValueError from None
        if not math.isfinite(number) or number < self.low or not number < self.high:
            raise ValueError
        if self.open_low and number == self.low:
            raise ValueError
        return number

    def schema(self) -> dict[str, Any]:
        bounds: dict[str, Any] = {"type": "number"}
        if self.low > -math.inf:
            bounds["exclusiveMinimum" if self.open_low else "minimum"] = self.low
        if self.high < math.inf:
            bounds["exclusiveMaximum"] = self.high
        return bounds


#: The least number above 0 that float32 has to full precision; XLA takes smaller ones for 0.
LEAST = 2.0**-126


def in_float32(number: float) -> float:
    """A number as programs have it, which compute in float32: rounded, infinite, or 0."""
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", number))
    except OverflowError:
        return math.copysign(math.inf, number)
    return rounded if abs(rounded) >= LEAST else 0.0


@dataclass(frozen=True)
class Single(Real):
    """A number in [low, high) that is so in float32 too, in which programs compute."""

    def convert(self, value: Any) -> float:
        number = super().convert(value)
        super().convert(in_float32(number))
        return number

    def hint(self, value: Any) -> str | None:
        """What becomes in float32 of a number, or of one in a list, that is refused for that."""
        for number in _numbers(value):
            with contextlib.suppress(ValueError):
                rounded = in_float32(super().convert(number))
                try:
                    super().convert(rounded)
                except ValueError:
                    said = "infinite" if math.isinf(rounded) else f"{rounded:g}"
                    return f"programs compute in float32, where {number!r} is {said}"
        return None


def _numbers(value: Any) -> Iterator[float]:
    """All numbers in a value, at any depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


@dataclass(frozen=True)
class Boolean(Kind):
    """A truth value: `true` or `false` only."""

    expected = "true or false"

    def convert(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words."""

    options: tuple[str, ...]
    optional: bool = False

    @property
    def expected(self) -> str:
        words = ", ".join(self.options)
        return f"one of {words}" + (", or null" if self.optional else "")

    def convert(self, value: Any) -> str | None:
        if value is None and self.optional:
            return None
        if not isinstance(value, str) or value not in self.options:
            raise ValueError
        return value

    def schema(self) -> dict[str, Any]:
        return {"enum": [*self.options, *([None] if self.optional else [])]}


@dataclass(frozen=True)
class IntegerPair(Kind):
    """One integer for both spatial axes, or `[height, width]`; normalized to a pair."""

    minimum: int = 1

    @property
    def expected(self) -> str:
        return f"an integer of at least {self.minimum}, or a pair [height, width] of them"

    def convert(self, value: Any) -> Pair:
        axis = Integer(self.minimum)
        if isinstance(value, list | tuple) and len(value) == 2:
            return axis.convert(value[0]), axis.convert(value[1])
        size = axis.convert(value)
        return size, size

    def schema(self) -> dict[str, Any]:
        axis = {"type": "integer", "minimum": self.minimum}
        return {"oneOf": [axis, {"type": "array", "items": axis, "minItems": 2, "maxItems": 2}]}


@dataclass(frozen=True)
class Nullable(Kind):
    """A value of another kind, or null; null is normalized to None."""

    kind: Kind

    @property
    def expected(self) -> str:
        return f"{self.kind.expected}, or null"

    def convert(self, value: Any) -> Any:
        return None if value is None else self.kind.convert(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.kind.schema(), {"type": "null"}]}


@dataclass(frozen=True)
class PaddingKind(Kind):
    """`same`, `valid`, or pixels: all around, [height, width], or [[top, bottom], [left, right]].

    Pixels are normalized to the last form. Without `words` there is no other.
    """

    words: tuple[str, ...] = ("same", "valid")

    @property
    def expected(self) -> str:
        pixels = "an integer, [height, width] or [[top, bottom], [left, right]]"
        return f"{', '.join(self.words)}, {pixels}" if self.words else pixels

    def convert(self, value: Any) -> Padding:
        if isinstance(value, str) and value in self.words:
            return value
        both = value if isinstance(value, list | tuple) else [value, value]
        if len(both) != 2:
            raise ValueError
        height, width = (self._sides(axis) for axis in both)
        return height, width

    def hint(self, value: Any) -> str | None:
        if any(number < 0 for number in _numbers(value)):
            return "no padding is negative; 'crop' takes pixels away"
        return None

    @staticmethod
    def _sides(axis: Any) -> Pair:
        """The pixels on both sides of an axis, of one number or of two."""
        sides = axis if isinstance(axis, list | tuple) else [axis, axis]
        if len(sides) != 2:
            raise ValueError
        low, high = (Integer(0).convert(side) for side in sides)
        return low, high

    def schema(self) -> dict[str, Any]:
        side = {"type": "integer", "minimum": 0}
        pair = {"type": "array", "items": side, "minItems": 2, "maxItems": 2}
        axis = {"oneOf": [side, pair]}
        both = {"type": "array", "items": axis, "minItems": 2, "maxItems": 2}
        words = [{"enum": list(self.words)}] if self.words else []
        return {"oneOf": [*words, side, both]}


@dataclass(frozen=True)
class InitializerKind(Kind):
    """The name of an initializer, `{truncated_normal: STDDEV}` or `{constant: NUMBER}`.

    Normalized to a text: "glorot_uniform", …, "truncated_normal(0.01)" or "constant(0.1)".
    """

    names: tuple[str, ...] = (
        "glorot_uniform",
        "glorot_normal",
        "he_uniform",
        "he_normal",
        "he_uniform_fan_out",
        "he_normal_fan_out",
        "lecun_uniform",
        "lecun_normal",
        "zeros",
        "ones",
    )

    @property
    def expected(self) -> str:
        names = ", ".join(self.names)
        return f"one of {names}, {{truncated_normal: STDDEV}} or {{constant: NUMBER}}"

    def convert(self, value: Any) -> str:
        if isinstance(value, str) and value in self.names:
            return value
        if isinstance(value, dict) and list(value) == ["truncated_normal"]:
            deviation = POSITIVE.convert(value["truncated_normal"])
            return f"truncated_normal({deviation!r})"
        if isinstance(value, dict) and list(value) == ["constant"]:
            return f"constant({NUMBER.convert(value['constant'])!r})"
        raise ValueError

    def hint(self, value: Any) -> str | None:
        return POSITIVE.hint(value)

    def schema(self) -> dict[str, Any]:
        normal = {
            "type": "object",
            "properties": {"truncated_normal": {"type": "number", "exclusiveMinimum": 0}},
            "required": ["truncated_normal"],
            "additionalProperties": False,
        }
        constant = {
            "type": "object",
            "properties": {"constant": {"type": "number"}},
            "required": ["constant"],
            "additionalProperties": False,
        }
        return {"oneOf": [{"enum": list(self.names)}, normal, constant]}


@dataclass(frozen=True)
class PerChannel(Kind):
    """One number for all channels, or a list with one for each; a list is normalized to a tuple."""

    each: Kind

    @property
    def expected(self) -> str:
        return f"{self.each.expected}, or a list with one for each channel"

    def convert(self, value: Any) -> float | tuple[float, ...]:
        if not isinstance(value, list | tuple):
            number: float = self.each.convert(value)
            return number
        if not value:
            raise ValueError
        return tuple(self.each.convert(one) for one in value)

    def hint(self, value: Any) -> str | None:
        return self.each.hint(value)

    def schema(self) -> dict[str, Any]:
        each = self.each.schema()
        return {"oneOf": [each, {"type": "array", "items": each, "minItems": 1}]}


COUNT = Integer(1)
FACTOR = Factor(1)
OPTIONAL_COUNT = Nullable(COUNT)
PAIR = IntegerPair(1)
OPTIONAL_PAIR = Nullable(PAIR)
BOOLEAN = Boolean()
RATE = Real(0, 1)
#: What programs compute with.
POSITIVE = Single(0, open_low=True)
NOT_NEGATIVE = Single(0)
NUMBER = Single()
NUMBERS = PerChannel(NUMBER)
POSITIVES = PerChannel(POSITIVE)
PADDING = PaddingKind()
EXPLICIT_PADDING = PaddingKind(words=())
INITIALIZER = InitializerKind()
