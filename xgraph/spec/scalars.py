"""What an unquoted YAML scalar means: the core schema of YAML 1.2, and nothing else."""

from __future__ import annotations

import math
import re

from xgraph.diagnostics import Diagnostic, Span, SpecError, shown

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INFINITY = (".inf", ".Inf", ".INF")
_NAN = (".nan", ".NaN", ".NAN")
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# Integers have at most 18 digits: they fit 64 bits, and Python's limit on reading them is far.
INTEGER_DIGITS = 18


def resolve(text: str, quoted: bool, span: Span | None = None) -> bool | int | float | str | None:
    """The value of a scalar. Quoted text is a string; so are `yes`, `no`, `1_000` and `12:30`.

    Raises:
        SpecError: XG112 at `span` for an integer of more than 18 digits and for a number that
            overflows to infinity.
    """
    if quoted:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text, span)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if math.isinf(value):
            raise _too_large(text, span, "a number of at most about 1.7e308")
        return value
    unsigned = text[1:] if text[0] in "+-" else text
    if unsigned in _INFINITY:
        return -math.inf if text[0] == "-" else math.inf
    return math.nan if text in _NAN else text


def _integer(text: str, span: Span | None) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    digits = text.lstrip("+-") if base == 10 else text[2:]
    digits = digits.lstrip("0") or "0"
    # No base needs more digits than octal does for the largest 18-digit number: 20.
    value = int(digits, base) if len(digits) <= 20 else None
    if value is None or value >= 10**INTEGER_DIGITS:
        raise _too_large(text, span, f"an integer of at most {INTEGER_DIGITS} digits")
    return -value if text[0] == "-" else value


def _too_large(text: str, span: Span | None, expected: str) -> SpecError:
    return SpecError(
        Diagnostic(
            "XG112",
            "this number is too large",
            span,
            expected=expected,
            received=shown(text),
            hint="quote it if it is a text",
        )
    )
