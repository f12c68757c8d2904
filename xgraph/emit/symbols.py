"""Numbers that remember the code they came from.

Generated code should say `SeparableConv2d(in_channels, filters)`, not `SeparableConv2d(728, 728)`.
So attributes and channel counts travel through the ops' own shape rules as numbers that carry
their Python spelling; arithmetic on them makes new ones.
"""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable
from typing import Any

from xgraph.text import literal

# Binding strength of a spelling, to place parentheses: conditions bind weakest.
_CONDITION, _SUM, _PRODUCT, _ATOM = 0, 1, 2, 3


class SymbolicInt(int):
    """An int with a Python spelling, such as 728 spelled `filters`."""

    code: str
    strength: int

    def __new__(cls, value: int, code: str, strength: int | None = None) -> SymbolicInt:
        self = super().__new__(cls, value)
        self.code = code
        self.strength = _strength(code) if strength is None else strength
        return self

    def __add__(self, other: int) -> int:
        return _combine(self, other, operator.add, "+", _SUM)

    def __radd__(self, other: int) -> int:
        return _combine(other, self, operator.add, "+", _SUM)

    def __sub__(self, other: int) -> int:
        return _combine(self, other, operator.sub, "-", _SUM)

    def __mul__(self, other: int) -> int:
        return _combine(self, other, operator.mul, "*", _PRODUCT)

    def __rmul__(self, other: int) -> int:
        return _combine(other, self, operator.mul, "*", _PRODUCT)

    def __floordiv__(self, other: int) -> int:
        return _combine(self, other, operator.floordiv, "//", _PRODUCT)

    # A symbolic number equals the plain one; the spelling is decoration.
    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return int(self) == other


class SymbolicBool(int):
    """A truth value with a Python spelling; `bool` itself cannot be a base class."""

    code: str

    def __new__(cls, value: bool, code: str) -> SymbolicBool:
        self = super().__new__(cls, value)
        self.code = code
        return self


class SymbolicFloat(float):
    """A float with a Python spelling."""

    code: str

    def __new__(cls, value: float, code: str) -> SymbolicFloat:
        self = super().__new__(cls, value)
        self.code = code
        return self


class SymbolicPair(tuple[int, int]):
    """A (height, width) pair with one Python spelling; `values` are all it takes in the program.

    `scalar` says that what the spelling stands for is always one number for both.
    """

    code: str
    values: frozenset[tuple[int, int]]
    scalar: bool

    def __new__(
        cls,
        pair: tuple[int, int],
        code: str,
        values: frozenset[tuple[int, int]],
        scalar: bool = False,
    ) -> SymbolicPair:
        self = super().__new__(cls, pair)
        self.code = code
        self.values = values
        self.scalar = scalar
        return self


def code_of(value: Any) -> str:
    """Python source of a value: its spelling if it has one, else a literal."""
    if isinstance(value, SymbolicInt | SymbolicBool | SymbolicFloat | SymbolicPair):
        return value.code
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, tuple | list):
        inner = ", ".join(code_of(part) for part in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{literal(key)}: {code_of(part)}" for key, part in value.items()) + "}"
        )
    return repr(value)


def is_symbolic(value: Any) -> bool:
    """Whether the value, or a part of it, carries a spelling."""
    if isinstance(value, SymbolicInt | SymbolicBool | SymbolicFloat | SymbolicPair):
        return True
    return isinstance(value, tuple) and any(is_symbolic(part) for part in value)


def pairs_of(value: tuple[int, int]) -> frozenset[tuple[int, int]] | None:
    """All values that a pair takes in the program; None when that is not known."""
    if isinstance(value, SymbolicPair):
        return value.values
    return None if is_symbolic(value) else frozenset({value})


def always(value: Any, expected: Any) -> bool:
    """Whether an attribute has this value wherever the code runs."""
    if isinstance(value, SymbolicPair):
        return value.values == {expected}
    return bool(value == expected) and not is_symbolic(value)


@functools.lru_cache(maxsize=1024)
def _strength(code: str) -> int:
    """How strongly the parts of a spelling hold together."""
    body = ast.parse(code, mode="eval").body
    if isinstance(body, ast.IfExp | ast.BoolOp | ast.Compare):
        return _CONDITION
    if isinstance(body, ast.BinOp | ast.UnaryOp):
        products = isinstance(body, ast.BinOp) and isinstance(body.op, ast.Mult | ast.FloorDiv)
        return _PRODUCT if products else _SUM
    return _ATOM


def _combine(
    left: int, right: int, compute: Callable[[int, int], int], sign: str, strength: int
) -> int:
    value = compute(int(left), int(right))
    neutral = {"+": 0, "-": 0, "*": 1, "//": 1}[sign]
    if not isinstance(right, SymbolicInt) and right == neutral:
        return left
    if not isinstance(left, SymbolicInt) and left == neutral and sign in "+*":
        return right
    # The right operand of - and // needs parentheses at equal strength.
    needs = strength + (sign in ("-", "//"))
    code = f"{_operand(left, strength)} {sign} {_operand(right, needs)}"
    return SymbolicInt(value, code, strength)


def _operand(value: int, least: int) -> str:
    if not isinstance(value, SymbolicInt):
        return repr(value)
    return value.code if value.strength >= least else f"({value.code})"
