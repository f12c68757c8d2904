"""How much a program expands to, found without expanding it.

A dozen lines of YAML can ask for 10**12 nodes. This pass counts them by multiplication, so that
such a spec is refused before it costs time or memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xgraph.diagnostics import Diagnostic, Span, SpecError
from xgraph.ir.structure import Call, Conditional, Item, Loop, Parallel, Program, Split, Value
from xgraph.ops.kinds import is_integer
from xgraph.passes.scope import Scope, evaluate, frozen, mentioned, written

#: Ops, blocks and iterations that a spec may expand to, each counted as often as it occurs.
EXPANSION_LIMIT = 2_000_000
#: Iterations whose sizes differ, so that each must be looked at by itself.
DIFFERENT_LIMIT = 250_000


def measure(program: Program, scope: Scope) -> int:
    """The number of ops, blocks and iterations that a program expands to.

    What cannot be evaluated counts as elaboration treats it: nothing is repeated, nothing holds.

    Raises:
        SpecError: XG504, at what carries the number over the limit.
    """
    return _Measure(program, scope).program_size()


class _Measure:
    def __init__(self, program: Program, scope: Scope) -> None:
        self.program = program
        self.globals = scope
        self.blocks: dict[Any, int] = {}
        self.deciding: dict[int, frozenset[str]] = {}
        self.different = 0

    def program_size(self) -> int:
        total = 0
        for section in self.program.sections:
            if section.condition is None or self.holds(section.condition, self.globals):
                size = self.items(section.block.body, self.globals)
                total = self.checked(total + size, section.block.span)
        return total

    def items(self, items: tuple[Item, ...], scope: Scope) -> int:
        total = 0
        for item in items:
            total += 1
            if isinstance(item, Call):
                if item.target in self.program.blocks:
                    total += self.block(item, scope)
            elif isinstance(item, Conditional):
                arm = item.then if self.holds(item.condition, scope) else item.otherwise
                total += self.items(arm, scope)
            elif isinstance(item, Loop):
                total += self.loop(item, scope)
            elif isinstance(item, Split):
                total += sum(
                    self.items(path, scope)
                    for path, condition in zip(item.paths, item.conditions, strict=True)
                    if condition is None or self.holds(condition, scope)
                )
            elif isinstance(item, Parallel):
                total += self.loop(item.loop, scope)
            self.checked(total, item.span)
        return total

    def block(self, item: Call, scope: Scope) -> int:
        block = self.program.blocks[item.target]
        given = {argument.key: argument.value for argument in item.arguments}
        arguments: dict[str, Any] = {}
        inner = Scope(arguments, {}, self.globals)
        for parameter in block.parameters:
            value = given.get(parameter.name)
            if value is not None:
                arguments[parameter.name] = self.value(value, scope)
            elif parameter.default is not None:
                arguments[parameter.name] = self.value(parameter.default, inner)
        key = (item.target, frozen(arguments))
        if key not in self.blocks:
            self.blocks[key] = self.items(block.body, inner)
        return self.blocks[key]

    def loop(self, item: Loop, scope: Scope) -> int:
        columns: dict[str, list[Any]] | int
        if item.count is not None:
            count = self.value(item.count, scope)
            columns = count if is_integer(count) and 0 <= count <= EXPANSION_LIMIT else 0
            length, span = columns, written(item.count, scope).span
        else:
            columns = {name: self.value(value, scope) for name, value in item.variables}
            if not all(isinstance(column, list) for column in columns.values()):
                return 0
            lengths = {len(column) for column in columns.values()}
            length, span = (lengths.pop() if len(lengths) == 1 else 0), item.span
        if not length:
            return 0
        bound = {item.index} if item.index else {name for name, _ in item.variables}
        if bound.isdisjoint(self.decides(item)):  # every iteration is as large as the first
            inner = next(_scopes(item, columns, scope))
            return self.checked(length * (1 + self.items(item.body, inner)), span)
        total = 0
        for inner in _scopes(item, columns, scope):
            self.different += 1
            if self.different > DIFFERENT_LIMIT:
                raise SpecError(
                    Diagnostic(
                        "XG504",
                        "the graph is too large",
                        span,
                        expected=f"at most {DIFFERENT_LIMIT:,} iterations that differ in size",
                        received="more than that up to here",
                        hint="lower the repeat counts",
                    )
                )
            total = self.checked(total + 1 + self.items(item.body, inner), span)
        return total

    def decides(self, loop: Loop) -> frozenset[str]:
        """The parameters that the size of a loop's body may depend on."""
        found = self.deciding.get(id(loop))
        if found is None:
            found = self.deciding[id(loop)] = frozenset(_deciding(self.program, loop.body))
        return found

    def value(self, value: Value, scope: Scope) -> Any:
        try:
            return evaluate(value, scope)
        except SpecError:
            return None

    def holds(self, condition: Value, scope: Scope) -> bool:
        return self.value(condition, scope) is True

    def checked(self, total: int, span: Span) -> int:
        if total > EXPANSION_LIMIT:
            raise SpecError(too_large(total, span))
        return total


def too_large(total: int, span: Span) -> Diagnostic:
    """What is said where so much has been expanded."""
    return Diagnostic(
        "XG504",
        "the graph is too large",
        span,
        expected=f"at most {EXPANSION_LIMIT:,} ops, blocks and iterations",
        received=f"{total:,} up to here",
        hint="lower the repeat counts",
    )


def _scopes(loop: Loop, columns: dict[str, list[Any]] | int, scope: Scope) -> Iterator[Scope]:
    """The scope of each iteration, without where its values were written."""
    nowhere: dict[str, Value] = {}
    if isinstance(columns, int):
        for index in range(columns):
            yield Scope({loop.index: index}, nowhere, scope) if loop.index else scope
        return
    for row in zip(*columns.values(), strict=True):
        yield Scope(dict(zip(columns, row, strict=True)), nowhere, scope)


def _deciding(program: Program, items: tuple[Item, ...]) -> set[str]:
    names: set[str] = set()
    for item in items:
        if isinstance(item, Call):
            if item.target in program.blocks:
                for argument in item.arguments:
                    names |= mentioned(argument.value)
        elif isinstance(item, Conditional):
            names |= mentioned(item.condition)
            names |= _deciding(program, item.then) | _deciding(program, item.otherwise)
        elif isinstance(item, Loop):
            if item.count is not None:
                names |= mentioned(item.count)
            for _, value in item.variables:
                names |= mentioned(value)
            names |= _deciding(program, item.body)
        elif isinstance(item, Split):
            for path, condition in zip(item.paths, item.conditions, strict=True):
                names |= _deciding(program, path)
                if condition is not None:
                    names |= mentioned(condition)
        elif isinstance(item, Parallel):
            names |= _deciding(program, (item.loop,))
    return names
