"""Long lines of generated code, broken where a formatter would break them."""

from __future__ import annotations

import re
from collections.abc import Iterator

LINE = 100
INDENT = "    "

#: Operators by strength: a long expression is broken at the weakest that it has.
_OPERATORS = (" if ", " else "), (" or ",), (" and ",), (" + ", " - "), (" * ", " // ", " / ")
#: A statement that ends in an expression: what stands before it, the expression, what follows.
_STATEMENT = re.compile(
    r"(?P<before>(?:return |if |elif |for [\w, ()]+? in |[\w.]+ = ))(?P<code>.*?)(?P<after>:?)"
)


def fitted(lines: list[str], width: int = LINE) -> list[str]:
    """Statements with every line of more than so many columns broken; strings stay whole."""
    return [part for line in lines for part in broken(line, width)]


def broken(line: str, width: int = LINE) -> list[str]:
    """One line of code on several, which mean the same.

    The last bracket of the line is opened, its entries a line each. An expression that has none is
    put in parentheses, and broken at its weakest operators. A line that is a part of a broken
    statement stays as it is.
    """
    if len(line) <= width or not _is_whole(line):
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    text = line[len(indent) :]
    group = _last_group(text)
    if group is not None:
        start, end = group
        if len(indent) + max(start + 1, len(text) - end) <= width:
            content = text[start + 1 : end]
            fits = len(indent) + len(INDENT) + len(content) <= width
            entries = [content] if fits else _entries(content)
            inner = [p for entry in entries for p in broken(f"{indent}{INDENT}{entry}", width)]
            return [f"{indent}{text[: start + 1]}", *inner, f"{indent}{text[end:]}"]
    statement = _STATEMENT.fullmatch(text)
    if statement is None:  # what stands between brackets: arguments, or one expression
        parts = _entries(text)
        if len(parts) > 1 and parts[0].endswith(","):
            return [part for one in parts for part in broken(f"{indent}{one}", width)]
        return [f"{indent}{part}" for part in _operands(text)]
    head, code, tail = statement["before"], statement["code"], statement["after"]
    several = [part.strip() for part in _split(code, (",",))]
    parts = [f"{part}," for part in several] if len(several) > 1 else _operands(code)
    inner = [part for one in parts for part in broken(f"{indent}{INDENT}{one}", width)]
    opening = [f"{indent}{head}("]
    if head.startswith("for ") and len(opening[0]) > width:  # so many targets
        rows = _entries(head[len("for ") : -len(" in ")])
        targets = [part for row in rows for part in broken(f"{indent}{INDENT}{row}", width)]
        opening = [f"{indent}for (", *targets, f"{indent}) in ("]
    return [*opening, *inner, f"{indent}){tail}"]


def _is_whole(line: str) -> bool:
    """Whether every bracket that a line opens is closed in it, and none that another one opened."""
    depths = [depth for _, _, depth in _code(line)]
    return not depths or (depths[-1] == 0 and min(depths) >= 0)


def _last_group(text: str) -> tuple[int, int] | None:
    """The last pair of brackets that nothing but `:`, `)` or `,` follows, if it holds anything."""
    stack: list[int] = []
    found = None
    for position, character, depth in _code(text):
        if character in "([{":
            stack.append(position)
        elif character in ")]}" and stack:
            start = stack.pop()
            if depth == 0:
                found = (start, position)
    if found is None or text[found[1] + 1 :] not in ("", ":", ","):
        return None
    return found if text[found[0] + 1 : found[1]].strip() else None


def _entries(text: str) -> list[str]:
    """What stands between brackets, an entry a line, with its comma."""
    clauses = _split(text, (" for ", " if "), keep=True)
    if len(clauses) > 1 and any(clause.startswith("for ") for clause in clauses):
        return clauses  # a comprehension
    parts = [part.strip() for part in _split(text, (",",)) if part.strip()]
    if len(parts) > 1 or text.rstrip().endswith(","):
        return [f"{part}," for part in parts]
    return _operands(text)


def _operands(text: str) -> list[str]:
    """An expression at its weakest operators, each operator at the beginning of a line."""
    for operators in _OPERATORS:
        parts = _split(text, operators, keep=True)
        if len(parts) > 1:
            return parts
    return [text]


def _split(text: str, separators: tuple[str, ...], keep: bool = False) -> list[str]:
    """`text` at separators outside of brackets and strings; `keep` puts each before its part."""
    parts, start, skip = [], 0, 0
    for position, _, depth in _code(text):
        if depth or position < skip:
            continue
        found = next((one for one in separators if text.startswith(one, position)), None)
        if found is not None and position > start:
            parts.append(text[start:position])
            start = position + (1 if keep else len(found))
            skip = position + len(found)
    return [*parts, text[start:]]


def _code(text: str) -> Iterator[tuple[int, str, int]]:
    """(position, character, depth of brackets after it) of all that stands in no string."""
    depth, quote, position = 0, "", 0
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "([{") - (character in ")]}")
            yield position, character, depth
        position += 1
