"""The table of ops in docs/spec-language.md, from what the ops say of themselves."""

from __future__ import annotations

import dataclasses
from itertools import groupby

from xgraph import ops


def op_row(name: str) -> str:
    parts = []
    for field in dataclasses.fields(ops.get(name)):
        if field.default is dataclasses.MISSING:
            parts.append(f"**{field.name}**")
        else:
            parts.append(f"{field.name} `{_shown(field.default)}`")
    first = (ops.get(name).__doc__ or "").strip().splitlines()[0].rstrip(".").replace("|", "\\|")
    return f"| `{name}` | {', '.join(parts) or 'none'} | {first} |"


def _shown(value: object) -> str:
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def with_op_table(text: str) -> str:
    """The document with its rows of ops made anew.

    Raises:
        ValueError: it does not have one table of ops.
    """
    parts = [(is_row, list(lines)) for is_row, lines in groupby(text.splitlines(), _is_op_row)]
    (old,) = [lines for is_row, lines in parts if is_row]
    old[:] = map(op_row, ops.names())
    return "".join(f"{line}\n" for _, lines in parts for line in lines)


def _is_op_row(line: str) -> bool:
    return line.startswith("| `") and line.split("`")[1] in ops.names()
