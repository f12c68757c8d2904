"""Binding given values to the declared attributes of a dataclass (an op, an optimizer …)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from xgraph.diagnostics import (
    Diagnostic,
    Source,
    Span,
    SpecError,
    one_of,
    printable,
    shown,
    suggest,
)
from xgraph.ops.kinds import LARGEST, Kind, is_integer
from xgraph.spec import expressions
from xgraph.spec.expressions import INTEGERS
from xgraph.spec.words import value_hint

T = TypeVar("T")

#: Numbers and what computes with them.
_ARITHMETIC = re.compile(r"[-(\d.][-+*/().\d\se]*[-+*/][-+*/().\d\se]*")
_NUMBER = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?")
#: Words of YAML 1.1 that are texts in YAML 1.2.
_TRUTHS = {
    **dict.fromkeys(("yes", "y", "on"), "write true"),
    **dict.fromkeys(("no", "n", "off"), "write false"),
}


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
                    f"{title} has no attribute '{printable(key)}'",
                    one.key_span,
                    expected=one_of(fields, "no attributes"),
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
                    hint=f"'{name}' means {field.metadata['doc']}",
                )
            )
    return cls(**values) if len(problems) == before else None


def _hint(kind: Kind, value: Any) -> str | None:
    if own := kind.hint(value):
        return own
    options = (
        getattr(kind, "options", None)
        or getattr(kind, "words", None)
        or getattr(kind, "names", None)
    )
    if isinstance(value, str) and options:
        return value_hint(value, options)
    if isinstance(value, float) and "integer" in kind.expected:
        return f"write it as an integer; in an expression, {INTEGERS}"
    if is_integer(value) and value > LARGEST:
        return f"no size is above {LARGEST:,}"
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return "this is a text; a number stands without quotes"
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, str) and (number := _computed(one)) is not None:
            return f"an expression has a parameter in it, and this has none: write {shown(number)}"
    if isinstance(value, str) and "true or false" in kind.expected:
        return suggest(value, ("true", "false")) or _TRUTHS.get(value.lower())
    return None


def _computed(text: str) -> int | float | None:
    """What a text that computes with numbers alone is worth."""
    if not _ARITHMETIC.fullmatch(text):
        return None
    span = Span(Source("a value", text), 1, 1)
    try:
        number = expressions.evaluate(expressions.parse(text, span), {})
    except SpecError:
        return None
    return number if isinstance(number, int | float) else None
