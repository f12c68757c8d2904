"""Binding given values to the declared attributes of a dataclass (an op, a recipe's optimizer …)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from xgraph.diagnostics import Diagnostic, Span, shown, suggest
from xgraph.ops.kinds import Kind

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Given:
    """A value that a spec gives for an attribute, and where."""

    value: Any
    key_span: Span
    span: Span


def bind(
    cls: type[T],
    title: str,
    given: Mapping[str, Given],
    span: Span,
    problems: list[Diagnostic],
    *,
    codes: tuple[str, str, str] = ("XG401", "XG402", "XG403"),
) -> T | None:
    """An instance of `cls` with the given values checked and normalized by their kinds.

    Args:
        cls: a dataclass whose fields are declared with `xgraph.ops.base.attribute`.
        title: how messages call it, such as "op 'conv'".
        span: where it is used; a missing attribute is reported there.
        problems: receives a diagnostic per unknown, missing or wrong attribute.
        codes: diagnostic codes for unknown, missing and wrong.

    Returns:
        The instance, or None when anything was wrong.
    """
    unknown, missing, wrong = codes
    before = len(problems)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, one in given.items():
        if key not in fields:
            problems.append(
                Diagnostic(
                    unknown,
                    f"{title} has no attribute '{key}'",
                    one.key_span,
                    expected="one of " + ", ".join(fields) if fields else "no attributes",
                    hint=suggest(key, fields),
                )
            )
            continue
        kind: Kind = fields[key].metadata["kind"]
        try:
            values[key] = kind.convert(one.value)
        except ValueError:
            problems.append(
                Diagnostic(
                    wrong,
                    f"{title}: '{key}' cannot take this value",
                    one.span,
                    expected=kind.expected,
                    received=shown(one.value),
                    hint=_hint(kind, one.value),
                )
            )
    for name, field in fields.items():
        if name not in given and field.default is dataclasses.MISSING:
            problems.append(
                Diagnostic(
                    missing,
                    f"{title} needs '{name}'",
                    span,
                    expected=f"{name}: {field.metadata['kind'].expected}",
                    received="nothing",
                    hint=f"'{name}' is the {field.metadata['doc']}",
                )
            )
    return cls(**values) if len(problems) == before else None


def _hint(kind: Kind, value: Any) -> str | None:
    options = (
        getattr(kind, "options", None)
        or getattr(kind, "words", None)
        or getattr(kind, "names", None)
    )
    if isinstance(value, str) and options:
        return suggest(value, options)
    if isinstance(value, float) and value.is_integer() and "integer" in kind.expected:
        return "write it as an integer; in an expression, // divides to an integer"
    return None
