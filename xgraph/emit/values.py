"""Values of specs as they stand in generated code: what may be an argument, and its spelling."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from typing import Any

from xgraph.emit.symbols import (
    SymbolicBool,
    SymbolicFloat,
    SymbolicInt,
    SymbolicPair,
    is_atom,
)
from xgraph.ir.structure import Loop, Value
from xgraph.ir.types import TensorType
from xgraph.ops.kinds import is_integer
from xgraph.spec import expressions
from xgraph.spec.expressions import Expression

#: What spellings consist of. A word that is called is a function; a variable may be `floor`, too.
_TOKEN = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\bmath\.\w+|[A-Za-z_]\w*""")
#: Attributes that say whether an op has a weight; every framework takes them as arguments.
WEIGHT_SWITCHES = frozenset({"bias", "scale", "center"})


def may_be_argument(value: Any) -> bool:
    """Whether a value can be an argument in generated code: numbers, truth values, their lists."""
    if isinstance(value, list | tuple):
        return all(may_be_argument(part) for part in value)
    if isinstance(value, dict):
        return all(may_be_argument(part) for part in value.values())
    return isinstance(value, bool | int | float)


def annotation(values: list[Any]) -> str:
    """The type of a parameter that takes these values."""
    kinds = {_kind(value) for value in values}
    if kinds == {"int", "float"}:
        return "float"
    if kinds == {_PAIR, _INTEGERS}:
        return _INTEGERS
    order = ["bool", "int", "float"]
    return " | ".join(sorted(kinds, key=lambda k: order.index(k) if k in order else len(order)))


_PAIR, _INTEGERS, _NUMBERS = "tuple[int, int]", "tuple[int, ...]", "tuple[float, ...]"


def _kind(value: Any) -> str:
    """The type of one value."""
    if not isinstance(value, list):
        plain = {SymbolicInt: "int", SymbolicFloat: "float"}
        return plain.get(type(value), type(value).__name__)
    if value and all(map(is_integer, value)):
        return _PAIR if len(value) == 2 else _INTEGERS
    numbers = all(is_integer(part) or isinstance(part, float) for part in value)
    return _NUMBERS if value and numbers else "tuple"


def differ(left: Any, right: Any) -> bool:
    """Whether values differ; true and 1 do."""
    return type(left) is not type(right) or bool(left != right)


def hashable(value: Any) -> Any:
    """A stand-in for a value as part of a key; true and 1 stay different."""
    if isinstance(value, list | tuple):
        return tuple(hashable(part) for part in value)
    if isinstance(value, dict):
        return tuple((key, hashable(part)) for key, part in value.items())
    return (type(value).__name__, value)


def frozen_list(value: Any) -> Any:
    """Lists as tuples, which is how generated code writes them, in mappings too."""
    if isinstance(value, dict):
        return {key: frozen_list(part) for key, part in value.items()}
    return tuple(frozen_list(part) for part in value) if isinstance(value, list) else value


def names_of(value: Value) -> frozenset[str]:
    """Parameters that a value mentions."""
    content = value.content
    if isinstance(content, Expression):
        return expressions.names(content)
    parts: Iterable[Value] = ()
    if isinstance(content, tuple):
        parts = content
    elif isinstance(content, dict):
        parts = content.values()
    return frozenset().union(*(names_of(part) for part in parts))


def loop_names(item: Loop) -> frozenset[str]:
    """Parameters that the lists of a for mention."""
    return frozenset().union(*(names_of(value) for _, value in item.variables))


def mentions(value: Value) -> bool:
    """Whether a value is, or holds, an expression."""
    return bool(names_of(value)) or isinstance(value.content, Expression)


def constant_of(value: Value) -> Any:
    """The plain value of a value without expressions."""
    content = value.content
    if isinstance(content, tuple):
        return [constant_of(part) for part in content]
    if isinstance(content, dict):
        return {key: constant_of(part) for key, part in content.items()}
    return content


def has_symbol(attribute: str, value: Any) -> bool:
    """Whether an attribute can be written as an expression: a number, a pair, or a weight or not.

    Other truth values and words choose between spellings, so they must be plain. Padding is
    written side by side, each with an expression of its own.
    """
    if isinstance(value, tuple):
        return all(is_integer(part) for part in value)
    if isinstance(value, bool):
        return attribute in WEIGHT_SWITCHES
    return isinstance(value, int | float)


def is_sides(value: Any) -> bool:
    """Whether an attribute is ((top, bottom), (left, right))."""
    return isinstance(value, tuple) and all(isinstance(part, tuple) for part in value)


def sides(value: Value) -> tuple[tuple[Value, Value], ...]:
    """Padding as it is written, side by side; one number stands for both sides, or for all four."""
    content = value.content
    axes = content if isinstance(content, tuple) else (value, value)
    return tuple(axis.content if isinstance(axis.content, tuple) else (axis, axis) for axis in axes)


def symbol_for(value: Any, code: str, values: frozenset[Any] | None, scalar: bool) -> Any:
    """An attribute with a spelling.

    `values` are all that it can take, None if any; `scalar` says that the spelling is of one
    number for a pair.
    """
    if isinstance(value, tuple):
        return SymbolicPair(value, code, values, scalar)
    if isinstance(value, bool):
        return SymbolicBool(value, code)
    return SymbolicInt(value, code) if isinstance(value, int) else SymbolicFloat(value, code)


def with_channels(type_: TensorType, channels: int) -> TensorType:
    """`type_` with its channels spelled as these are."""
    return TensorType((*type_.shape[:-1], with_value(channels, type_.channels)))


def with_value(channels: int, value: int) -> int:
    """A plain or symbolic count with another value and the same spelling."""
    if isinstance(channels, SymbolicInt):
        return SymbolicInt(value, channels.code, channels.strength)
    return value


def substitute(code: str, arguments: dict[str, str]) -> str | None:
    """`code` with names replaced by arguments; None when a name has none."""
    if code in arguments:
        return arguments[code]
    known = True

    def replaced(match: re.Match[str]) -> str:
        nonlocal known
        name = match.group()
        called = "." in name or code.startswith("(", match.end())
        if name[0] in "'\"" or called or keyword.iskeyword(name):
            return name
        if name not in arguments:
            known = False
            return name
        argument = arguments[name]
        return argument if is_atom(argument) else f"({argument})"

    result = _TOKEN.sub(replaced, code)
    return result if known else None
