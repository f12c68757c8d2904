"""What the parameters are worth at a place, and where each value was written."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from xgraph.ir.structure import Block, Loop, Value, values
from xgraph.spec import expressions
from xgraph.spec.expressions import Expression, channels_of


class Scope(Mapping[str, Any]):
    """Values by parameter, those of outer scopes included.

    Scopes are linked rather than copied: a loop makes one for each iteration, and a spec may have
    thousands of parameters.
    """

    __slots__ = ("origins", "outer", "own")

    def __init__(
        self, own: dict[str, Any], origins: Mapping[str, Value], outer: Scope | None = None
    ) -> None:
        self.own = own
        self.origins = origins
        self.outer = outer

    def __getitem__(self, name: str) -> Any:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.own:
                return scope.own[name]
            scope = scope.outer
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = dict(self.own)
        scope = self.outer
        while scope is not None:
            names.update(scope.own)
            scope = scope.outer
        return iter(names)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def origin(self, name: str) -> Value | None:
        """The value of a parameter as it was written, such as in the options of a command."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.own:
                return scope.origins.get(name)
            scope = scope.outer
        return None


def evaluate(value: Value, environment: Mapping[str, Any]) -> Any:
    """The plain value of `value`: constants, lists and dicts with expressions evaluated.

    Raises:
        SpecError: an expression fails.
    """
    content = value.content
    if isinstance(content, Expression):
        return expressions.evaluate(content, environment)
    if isinstance(content, tuple):
        return [evaluate(part, environment) for part in content]
    if isinstance(content, dict):
        return {key: evaluate(part, environment) for key, part in content.items()}
    return content


def mentioned(value: Value | None) -> frozenset[str]:
    """The names that the expressions of a value mention."""
    if value is None:
        return frozenset()
    content = value.content
    if isinstance(content, Expression):
        return expressions.names(content)
    if isinstance(content, dict):
        content = tuple(content.values())
    if not isinstance(content, tuple):
        return frozenset()
    return frozenset().union(*(mentioned(part) for part in content))


def channels_read(block: Block) -> tuple[str, ...]:
    """The inputs of which a block mentions the channels, in its body or a parameter's default."""
    defaults = (mentioned(parameter.default) for parameter in block.parameters)
    mentions = frozenset().union(*(mentioned(value) for value in values(block.body)), *defaults)
    return tuple(name for name in block.inputs if channels_of(name) in mentions)


def written(value: Value, scope: Scope) -> Value:
    """A value as it was written: what stands there, or what `$name` alone got as its value."""
    content = value.content
    if isinstance(content, Expression) and isinstance(content.tree, ast.Name):
        return scope.origin(content.tree.id[1:]) or value
    return value


def _entry(value: Value, index: int, scope: Scope) -> Value:
    """An entry of a list as it was written, or the list where that is computed."""
    whole = written(value, scope)
    if not isinstance(whole.content, tuple):
        return whole
    entry: Value = whole.content[index]
    return written(entry, scope) if whole is value else entry  # elsewhere, names mean others


def iterations(
    loop: Loop, columns: dict[str, list[Any]] | int, scope: Scope
) -> Iterator[tuple[dict[str, Any], Scope]]:
    """Each iteration's own values, and the scope of its body.

    `columns` are the lists that a `for` runs over, or the count of a repeat.
    """
    if isinstance(columns, int):
        for index in range(columns):
            bound = {loop.index: index} if loop.index else {}
            yield bound, Scope(bound, {}, scope) if bound else scope
        return
    for index, row in enumerate(zip(*columns.values(), strict=True)):
        bound = dict(zip(columns, row, strict=True))
        origins = {name: _entry(value, index, scope) for name, value in loop.variables}
        yield bound, Scope(bound, origins, scope)


def frozen(value: Any) -> Any:
    """A hashable stand-in for a plain value; true and 1 stay different."""
    if isinstance(value, dict):
        return tuple((key, frozen(part)) for key, part in value.items())
    if isinstance(value, list):
        return tuple(frozen(part) for part in value)
    return (type(value), value)
