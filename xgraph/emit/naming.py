"""Numbers that code would compute again and again get a name.

Which spellings stand in a program, and how often, only its text says: a framework may need none of
the channel counts that another is told. So a plan is written, its text is searched for what is
repeated, and the plan says it once, as a number with a name.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable
from typing import Any

from xgraph.emit.codes import names_in
from xgraph.emit.names import NameTable
from xgraph.emit.plan import (
    Again,
    Alias,
    Apply,
    Assign,
    BlockPlan,
    Choose,
    Invoke,
    Measure,
    ModelPlan,
    Repeat,
    Statement,
    Unrolled,
    walk,
)
from xgraph.emit.symbols import SymbolicInt, is_atom
from xgraph.ir.types import TensorType

#: How often a spelling may stand in a class: one with a call in it, and plain arithmetic.
_CALLS, _ARITHMETIC = 1, 2


def name_repeated(
    model: ModelPlan, texts: Iterable[Iterable[str]], reserved: frozenset[str]
) -> bool:
    """Give names to numbers that a program's text computes repeatedly; whether there were any.

    Args:
        model: the plan, which is changed.
        texts: the lines that were written of each block, the root last.
        reserved: names that the program has for its own purposes.
    """
    changed = False
    for plan, lines in zip((*model.blocks, model.root), texts, strict=True):
        text = "\n".join(lines)
        taken = _names(plan, reserved)
        for code in _candidates(plan):
            often = text.count(code)
            if often > (_CALLS if "(" in code else _ARITHMETIC):
                changed = _name(plan, code, taken) or changed
    return changed


def _candidates(plan: BlockPlan) -> list[str]:
    """Spellings of counts that compute something, the longest first."""
    found: dict[str, None] = {}
    for statement in walk(plan.body):
        for code, _ in _codes(statement):
            if isinstance(ast.parse(code, mode="eval").body, ast.BinOp | ast.Call):
                found[code] = None
    return sorted(found, key=len, reverse=True)


def _codes(statement: Statement) -> Iterable[tuple[str, str]]:
    """Spellings of whole numbers in a statement, each with a word for what it says."""
    if isinstance(statement, Apply):
        for field in dataclasses.fields(statement.op):
            value = getattr(statement.op, field.name)
            if isinstance(value, SymbolicInt):
                yield value.code, field.name
        for type_ in statement.input_types:
            if isinstance(type_.channels, SymbolicInt):
                yield type_.channels.code, "channels"
    elif isinstance(statement, Invoke):
        for name, code in statement.arguments.items():
            yield code, name
    elif isinstance(statement, Assign):
        yield statement.code, "channels"


def _name(plan: BlockPlan, code: str, taken: NameTable) -> bool:
    """Say a number once, before its first use; false where it has no one place to be said in."""
    place = _place(plan.body, code)
    if place is None:
        return False
    statements, position = place
    within = [inner for s in statements[position:] for inner in walk([s])]
    words = [word for s in within for own, word in _codes(s) if own == code]
    word = next((word for word in (*words, "channels") if word not in taken.taken), "channels")
    name = taken.fresh(word)
    for statement in within:
        _replace(statement, code, name)
    statements.insert(position, Assign(name, code))
    return True


def _place(body: list[Statement], code: str) -> tuple[list[Statement], int] | None:
    """The innermost statements that hold all uses of a spelling, and the position of the first."""
    changing = {s.name for s in walk(body) if isinstance(s, Assign | Measure)}
    if names_in(code) & changing:
        return None
    statements = body
    while True:
        using = [k for k, s in enumerate(statements) if _uses(s, code)]
        if not using:
            return None
        only = statements[using[0]]
        inner = _inside(only) if len(using) == 1 else []
        holding = [part for part in inner if any(_uses(s, code) for s in part)]
        if len(holding) != 1:
            return statements, using[0]
        statements = holding[0]


def _inside(statement: Statement) -> list[list[Statement]]:
    if isinstance(statement, Repeat):
        return [statement.body]
    if isinstance(statement, Unrolled):
        return statement.bodies
    return [statement.then, statement.otherwise] if isinstance(statement, Choose) else []


def _uses(statement: Statement, code: str) -> bool:
    return any(_holds(own, code) for inner in walk([statement]) for own, _ in _codes(inner))


def _holds(code: str, part: str) -> bool:
    """Whether a spelling is another one, or has it as an operand: a call can stand anywhere."""
    return code == part or (is_atom(part) and part in code)


def _replace(statement: Statement, code: str, name: str) -> None:
    """Write a name where a spelling stands."""

    def renamed(value: Any) -> Any:
        if isinstance(value, SymbolicInt) and _holds(value.code, code):
            return SymbolicInt(value, value.code.replace(code, name))
        return value

    if isinstance(statement, Apply):
        own = {f.name: getattr(statement.op, f.name) for f in dataclasses.fields(statement.op)}
        changes = {key: renamed(v) for key, v in own.items() if renamed(v) is not v}
        statement.op = dataclasses.replace(statement.op, **changes)
        statement.input_types = tuple(
            TensorType((*type_.shape[:-1], renamed(type_.channels)))
            for type_ in statement.input_types
        )
    elif isinstance(statement, Invoke):
        for key, own_code in statement.arguments.items():
            if _holds(own_code, code):
                statement.arguments[key] = own_code.replace(code, name)
    elif isinstance(statement, Assign) and _holds(statement.code, code):
        statement.code = statement.code.replace(code, name)


def _names(plan: BlockPlan, reserved: frozenset[str]) -> NameTable:
    """Names that a block's code has already."""
    found = {*reserved, *plan.inputs, *plan.results, *(p.name for p in plan.parameters)}
    for statement in walk(plan.body):
        if isinstance(statement, Apply | Invoke | Again):
            found |= {statement.name, statement.target}
        elif isinstance(statement, Alias):
            found.add(statement.target)
        elif isinstance(statement, Assign | Measure):
            found.add(statement.name)
        elif isinstance(statement, Repeat):
            found.update(statement.variables)
        if isinstance(statement, Invoke | Again):
            found.update(statement.extra_targets)
        if isinstance(statement, Apply | Invoke) and statement.kept is not None:
            found.add(statement.kept)
    return NameTable(found)
