"""Argument lists of generated calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from xgraph.emit.symbols import always, code_of, is_atom, is_symbolic
from xgraph.ops.base import Op


class Code(str):
    """Source text, as opposed to a string value."""

    __slots__ = ()


def arguments(*positional: object, **named: object) -> str:
    """Source of an argument list; named arguments that are None are left out."""
    parts = [_source(value) for value in positional]
    parts += [f"{name}={_source(value)}" for name, value in named.items() if value is not None]
    return ", ".join(parts)


def single(value: tuple[int, int]) -> object:
    """A pair as one writes it: one number when both are the same."""
    if hasattr(value, "code"):
        return value
    return value[0] if code_of(value[0]) == code_of(value[1]) else tuple(value)


def segment(start: int, count: int) -> str:
    """A slice of `count` entries from `start`."""
    return _slice("" if always(start, 0) else code_of(start), code_of(start + count))


def inner(size: str, low: int, high: int) -> str:
    """A slice of all but the first `low` and the last `high` of `size` entries."""
    start = "" if always(low, 0) else code_of(low)
    if always(high, 0):
        return _slice(start, "")
    return _slice(start, f"{size} - {code_of(high)}" if is_symbolic(high) else f"-{high}")


def affine(scale: object, offset: object, listed: Callable[[str], str]) -> str:
    """`scale * {0} + offset`, without what changes nothing.

    Args:
        scale: a number, or one for each channel.
        offset: likewise.
        listed: how numbers for each channel are said, of their source.
    """
    product = "{0}" if always(scale, 1.0) else f"{channelwise(scale, listed)} * {{0}}"
    if always(offset, 0.0):
        return product
    if isinstance(offset, float) and not is_symbolic(offset) and offset < 0:
        return f"{product} - {code_of(-offset)}"
    return f"{product} + {channelwise(offset, listed)}"


def channelwise(value: object, listed: Callable[[str], str]) -> str:
    """A number, or one for each channel, as a part of a sum or product; see `affine`."""
    code = code_of(value)
    if isinstance(value, tuple):
        return listed(code)
    return code if is_atom(code) else f"({code})"


def _slice(start: str, stop: str) -> str:
    """As formatters write it: apart where an end is more than a name or a number."""
    plain = all(end.lstrip("-").isalnum() or not end for end in (start, stop))
    return f"{start}:{stop}" if plain else f"{start} : {stop}".strip()


def unless(value: object, default: object) -> object:
    """`value` as an argument, or None to leave it out because it is always the default."""
    return None if always(value, default) else value


def by_default(op: Op) -> bool:
    """Whether all attributes of an op are always their defaults."""
    return all(always(getattr(op, field.name), field.default) for field in fields(op))


def _source(value: object) -> str:
    return str(value) if isinstance(value, Code) else code_of(value)
