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
        return _sum(int(self) + int(other), self, other)

    def __radd__(self, other: int) -> int:
        return _sum(int(other) + int(self), other, self)

    def __sub__(self, other: int) -> int:
        return _combine(self, other, operator.sub, "-", _SUM)

    def __rsub__(self, other: int) -> int:
        return _combine(other, self, operator.sub, "-", _SUM)

    def __neg__(self) -> int:
        return 0 - self

    def __mul__(self, other: int) -> int:
        return _combine(self, other, operator.mul, "*", _PRODUCT)

    def __rmul__(self, other: int) -> int:
        return _combine(other, self, operator.mul, "*", _PRODUCT)

    def __floordiv__(self, other: int) -> int:
        return _combine(self, other, operator.floordiv, "//", _PRODUCT)

    def __rfloordiv__(self, other: int) -> int:
        return _combine(other, self, operator.floordiv, "//", _PRODUCT)

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
    """A (height, width) pair with one Python spelling.

    `values` are all that it can take, where it runs over a list that the code writes out; None
    where it follows from a parameter, which may have any. `scalar` says that what the spelling
    stands for is always one number for both.
    """

    code: str
    values: frozenset[tuple[int, int]] | None
    scalar: bool

    def __new__(
        cls,
        pair: tuple[int, int],
        code: str,
        values: frozenset[tuple[int, int]] | None,
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
    """All values that a pair can take; None when that is not known."""
    if isinstance(value, SymbolicPair):
        return value.values
    return None if is_symbolic(value) else frozenset({value})


def alike(one: Any, other: Any) -> bool:
    """Whether two attributes have the same value wherever the code runs."""
    return code_of(one) == code_of(other)


def always(value: Any, expected: Any) -> bool:
    """Whether an attribute has this value wherever the code runs."""
    if isinstance(value, SymbolicPair):
        return value.values == frozenset((expected,))
    return bool(value == expected) and not is_symbolic(value)


def is_atom(code: str) -> bool:
    """Whether a spelling needs no parentheses wherever it stands."""
    return _strength(code) == _ATOM


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


def increase(number: int, name: str) -> int | None:
    """What is added to the variable `name` to give this number; None where it is not a sum."""
    if not isinstance(number, SymbolicInt):
        return None
    terms = dict(_terms(number.code))
    if terms.pop(name, 0) != 1 or any(name in _names(term) for term in terms):
        return None
    code = _spelled(terms)
    return SymbolicInt(0, code) if set(terms) - {""} else terms.get("", 0)


def simplified(code: str) -> str:
    """A spelling with the equal terms of a sum taken together."""
    sums = isinstance(ast.parse(code, mode="eval").body, ast.BinOp) and len(_terms(code)) > 1
    return _spelled(dict(_terms(code))) if sums else code


def _sum(value: int, *parts: int) -> int:
    """A sum in which equal terms, and the constants, are taken together."""
    terms: dict[str, int] = {}
    for part in parts:
        for term, factor in _terms(part.code) if isinstance(part, SymbolicInt) else (("", part),):
            terms[term] = terms.get(term, 0) + factor
    terms = {term: factor for term, factor in terms.items() if factor}
    return SymbolicInt(value, _spelled(terms)) if set(terms) - {""} else value


@functools.lru_cache(maxsize=4096)
def _terms(code: str) -> tuple[tuple[str, int], ...]:
    """A spelling as a sum: factors by what they multiply, the constant under an empty text."""
    found: dict[str, int] = {}

    def add(node: ast.expr, factor: int) -> None:
        match node:
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                add(left, factor)
                add(right, factor)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                add(left, factor)
                add(right, -factor)
            case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=int(number))):
                add(left, factor * number)
            case ast.BinOp(left=ast.Constant(value=int(number)), op=ast.Mult(), right=right):
                add(right, factor * number)
            case ast.Constant(value=int(number)):
                found[""] = found.get("", 0) + factor * number
            case _:
                term = ast.get_source_segment(code, node) or code
                found[term] = found.get(term, 0) + factor

    add(ast.parse(code, mode="eval").body, 1)
    return tuple(found.items())


def _spelled(terms: dict[str, int]) -> str:
    """Python source of a sum."""
    text = ""
    for term, factor in terms.items():
        part = str(abs(factor))
        if term:
            enough = _strength(term) >= (_PRODUCT if abs(factor) != 1 else _SUM)
            part = term if enough else f"({term})"
            part += f" * {abs(factor)}" if abs(factor) != 1 else ""
        sign = "-" if factor < 0 else "+"
        text += f" {sign} {part}" if text else part if factor > 0 else f"-{part}"
    return text or "0"


def _names(code: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def _combine(
    left: int, right: int, compute: Callable[[int, int], int], sign: str, strength: int
) -> int:
    value = compute(int(left), int(right))
    neutral = {"-": 0, "*": 1, "//": 1}[sign]
    if not isinstance(right, SymbolicInt) and right == neutral:
        return left
    if not isinstance(left, SymbolicInt) and left == neutral and sign == "*":
        return right
    # The right operand of - and // needs parentheses at equal strength; a quotient always does.
    quotient = isinstance(right, SymbolicInt) and "//" in right.code
    needs = strength + (sign in ("-", "//") or quotient)
    code = f"{_operand(left, strength)} {sign} {_operand(right, needs)}"
    return SymbolicInt(value, code, strength)


def _operand(value: int, least: int) -> str:
    if not isinstance(value, SymbolicInt):
        return repr(value)
    return value.code if value.strength >= least else f"({value.code})"
