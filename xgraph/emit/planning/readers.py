"""Which of its parameters the code of a block reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from xgraph.emit.codes import names_in
from xgraph.emit.plan import Apply, Assign, BlockPlan, Choose, Invoke, Repeat, walk
from xgraph.emit.symbols import code_of, is_symbolic


class Readers:
    """Remembers what it found: for plans that no longer change.

    What a block passes on counts if the block that is given it reads it.
    """

    def __init__(self) -> None:
        self.known: dict[int, frozenset[str]] = {}

    def root(self, plan: BlockPlan) -> frozenset[str]:
        read = set(self.block(plan))
        for parameter in reversed(plan.parameters):
            if parameter.name in read and parameter.otherwise is not None:
                read |= names_in(parameter.otherwise)
        return frozenset(read)

    def block(self, plan: BlockPlan) -> frozenset[str]:
        found = self.known.get(id(plan))
        if found is None:
            codes = {*self.codes(plan), *plan.numbers.values()}
            found = frozenset().union(*(names_in(code) for code in codes))
            self.known[id(plan)] = found
        return found

    def codes(self, plan: BlockPlan) -> Iterator[str]:
        for statement in walk(plan.body):
            if isinstance(statement, Apply):
                values = [getattr(statement.op, f.name) for f in dataclasses.fields(statement.op)]
                values += [type_.channels for type_ in statement.input_types]
                yield from (code_of(value) for value in values if is_symbolic(value))
            elif isinstance(statement, Invoke):
                read = self.block(statement.callee)
                yield from (code for name, code in statement.arguments.items() if name in read)
            elif isinstance(statement, Assign):
                yield statement.code
            elif isinstance(statement, Repeat):
                yield statement.iterable
            elif isinstance(statement, Choose):
                yield statement.condition
