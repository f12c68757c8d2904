"""Values of the short Python expressions that the planner writes.

The planner proves each spelling it chooses: in every use of the code it must give the number that
it stands for. This evaluator covers exactly what the planner writes; nothing is executed.
"""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from xgraph.spec.expressions import make_divisible

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "min": min,
    "max": max,
    "round": round,
    "abs": abs,
    "len": len,
    "ceil": math.ceil,
    "floor": math.floor,
    "make_divisible": make_divisible,
    "range": lambda count: tuple(range(count)),
    "zip": lambda *columns, strict: tuple(zip(*columns, strict=strict)),
}


class Unknown(Exception):  # an answer, not an error
    """The code mentions a name that has no value."""


def value_of(code: str, names: Mapping[str, Any]) -> Any:
    """The value of `code` where names have these values; lists are tuples.

    Raises:
        Unknown: it mentions another name.
    """
    return _plain(_value(_parse(code), names))


def names_in(code: str) -> frozenset[str]:
    """Variables that `code` mentions; functions are none."""
    tree = _parse(code)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    modules = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return frozenset(
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and id(node) not in called | modules
    )


@functools.lru_cache(maxsize=4096)
def _parse(code: str) -> ast.expr:
    return ast.parse(code, mode="eval").body


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return tuple(_plain(part) for part in value) if isinstance(value, list | tuple) else value


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            if name not in names:
                raise Unknown(name)
            return names[name]
        case ast.Tuple(elts=parts):
            return tuple(_value(part, names) for part in parts)
        case ast.List(elts=parts):  # no tuple equals it, as in the program
            return [_value(part, names) for part in parts]
        case ast.Dict(keys=keys, values=values):
            return {
                _value(key, names): _value(value, names)
                for key, value in zip(keys, values, strict=True)
                if key is not None
            }
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, names)
        case ast.BinOp(left=left, op=sign, right=right):
            return _BINARY[type(sign)](_value(left, names), _value(right, names))
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_value(value, names) for value in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_value(value, names) for value in values)
        case ast.Compare(left=left, ops=signs, comparators=others):
            one = _value(left, names)
            for how, part in zip(signs, others, strict=True):
                other = _value(part, names)  # if the comparison before it holds
                if not _BINARY[type(how)](one, other):
                    return False
                one = other
            return True
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, names) else orelse, names)
        case ast.Subscript(value=value, slice=index):
            return _value(value, names)[_value(index, names)]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=arguments):
            keywords = {str(k.arg): _value(k.value, names) for k in node.keywords}
            return _FUNCTIONS[name](*(_value(a, names) for a in arguments), **keywords)
    raise AssertionError(f"the planner does not write {ast.unparse(node)}")
