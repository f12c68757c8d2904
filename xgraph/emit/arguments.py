"""Argument lists of generated calls."""

from __future__ import annotations

from xgraph.emit.symbols import always, code_of


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


def unless(value: object, default: object) -> object:
    """`value` as an argument, or None to leave it out because it is always the default."""
    return None if always(value, default) else value


def _source(value: object) -> str:
    return str(value) if isinstance(value, Code) else code_of(value)
