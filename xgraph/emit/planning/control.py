"""Loops and conditions of a body: rolled or written out, folded or left to the program."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from xgraph.emit.codes import names_in, value_of
from xgraph.emit.plan import Alias, Append, Assign, Choose, Gather, Repeat, Statement, Unrolled
from xgraph.emit.planning.context import Context
from xgraph.emit.planning.sharing import Sharing
from xgraph.emit.planning.spelling import Speller
from xgraph.emit.planning.state import Body, Column, Columns, PlanItems, Restart, Wire
from xgraph.emit.symbols import SymbolicInt, code_of, increase
from xgraph.emit.values import differ, frozen_list, loop_names, may_be_argument, names_of
from xgraph.ir.elaborated import ConditionRecord, LoopRecord, ParallelRecord, SplitRecord
from xgraph.ir.structure import Conditional, Item, Loop, Parallel, Value
from xgraph.ir.types import TensorType


class Control:
    """Plans loops and conditions; `plan_items` plans what is in them."""

    def __init__(
        self, context: Context, sharing: Sharing, speller: Speller, plan_items: PlanItems
    ) -> None:
        self.context = context
        self.types = context.types
        self.decisions = context.decisions
        self.sharing = sharing
        self.speller = speller
        self.plan_items = plan_items

    def conditional(
        self,
        item: Conditional,
        records: list[ConditionRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """A condition: decided here where all uses agree, else an `if` of the program."""
        outcomes = {record.taken for record in records}
        names = names_of(item.condition) & body.spelling.keys()
        if len(outcomes) == 1:
            self.sharing.settle(names, body)  # what has decided it may not change later
            arm, columns = self.arm(item, outcomes.pop(), records, body)
            return self.plan_items(arm, columns, body, current, flow)
        condition = self.decided_there(item.condition, [record.taken for record in records], body)
        then, one = self.perhaps(item, True, records, body, current, flow)
        otherwise, other = self.perhaps(item, False, records, body, current, flow)
        choice, wire = self.chosen(condition, (then, one), (otherwise, other), records, body)
        return [choice], wire

    def chosen(
        self,
        condition: str,
        one: tuple[list[Statement], Wire],
        other: tuple[list[Statement], Wire],
        records: Sequence[ConditionRecord | SplitRecord],
        body: Body,
    ) -> tuple[Choose, Wire]:
        """An `if` whose arms end in one variable, and what flows on.

        Where the arms give other channels, each says how many.
        """
        (then, wire), (otherwise, alternative) = one, other
        channels = wire.type.channels
        if code_of(channels) != code_of(alternative.type.channels):
            number = body.names.number("channels")
            for record, column in zip(records, body.columns, strict=True):
                node = record.output if isinstance(record, ConditionRecord) else record.node
                column.values[number] = self.types[node].channels
            then.append(Assign(number, code_of(channels)))
            otherwise.append(Assign(number, code_of(alternative.type.channels)))
            channels = SymbolicInt(channels, number)
        wire = Wire(wire.variable, TensorType((*wire.type.shape[:-1], channels)))
        if not then:
            return Choose(f"not ({condition})", otherwise, []), wire
        return Choose(condition, then, otherwise), wire

    def decided_there(self, value: Value, outcomes: list[bool], body: Body) -> str:
        """The code of a condition that the program itself decides, as it came out in each use."""
        names = names_of(value) & body.spelling.keys()
        for loop, variables in reversed(body.loops):
            if names & variables:
                self.sharing.unroll(loop)
        condition = self.speller.code(value, body.spelling, True, body.constants)
        assert self.speller.holds(condition, outcomes, body), condition
        return condition

    def arm(
        self, item: Conditional, taken: bool, records: list[ConditionRecord], body: Body
    ) -> tuple[tuple[Item, ...], Columns]:
        """The items of one outcome of a condition, and the uses that had it."""
        columns = [
            Column(record.records, column.values)
            for record, column in zip(records, body.columns, strict=True)
            if record.taken is taken
        ]
        return item.then if taken else item.otherwise, columns

    def perhaps(
        self,
        item: Conditional,
        taken: bool,
        records: list[ConditionRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """One arm of an `if`; whichever is taken, the variable that flows on has the result."""
        arm, columns = self.arm(item, taken, records, body)
        body.perhaps += 1
        statements, wire = self.plan_items(arm, columns, body, current, flow)
        body.perhaps -= 1
        if wire.variable != flow:
            statements.append(Alias(flow, wire.variable))
        return statements, Wire(flow, wire.type)

    def loop(
        self,
        item: Loop,
        records: list[LoopRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """A loop: rolled where one body says all iterations, else written out."""
        if id(item) in self.decisions.unrolled:
            return self.unrolled(item, records, body, current, flow)
        if not any(record.iterations for record in records):
            # There is no iteration to make a body of, so a parameter may not ask for any.
            self.sharing.pin(self.turns(item) & body.spelling.keys(), body)
            return [], current
        return self.rolled(item, records, body, current, flow)

    def rolled(
        self,
        item: Loop,
        records: list[LoopRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """A loop of the program.

        Channels that are not the same before and after an iteration are carried by a variable. They
        may be as many by chance, so it is their spelling that must be the same.
        """
        iterable, names = self.head(item, records, body)
        columns = self.iterations(records, names, body)
        statements: list[Statement] = []
        entry, carried = Wire(flow, current.type), ""
        if self.varies(records) or id(item) in self.decisions.carried:
            carried = body.names.number("channels")
            statements.append(Assign(carried, code_of(current.type.channels)))
            entry = self.carried_in(carried, records, columns, body, current, flow)
        if current.variable != flow:
            statements.append(Alias(flow, current.variable))
        known = dict(body.wires)
        with self.inside(item, names, body):
            inner, after = self.plan_items(item.body, columns, body, entry, flow)
        channels = after.type.channels
        if carried:
            inner.append(Assign(carried, code_of(channels)))
            body.carried[carried] = code_of(channels)
            for record, column in zip(records, body.columns, strict=True):
                column.values[carried] = self.types[record.output].channels
            channels = self.grown(item, records, current.type.channels, carried, channels, body)
        elif code_of(entry.type.channels) != code_of(channels):
            self.sharing.keep_input_literal(body)
            self.decisions.carried.add(id(item))
            raise Restart
        self.close(item, known, body, carried)
        if after.variable != flow:
            inner.append(Alias(flow, after.variable))
        statements.append(Repeat(tuple(names.values()), iterable, inner))
        return statements, Wire(flow, TensorType((*after.type.shape[:-1], channels)))

    def close(self, item: Loop, known: dict[str, Wire], body: Body, carried: str = "") -> None:
        """What a rolled loop alone can spell stays in it; `known` are the wires before it."""
        outside = body.columns[0].values.keys() - {carried}
        for name, wire in body.wires.items():
            if wire is not known.get(name) and names_in(code_of(wire.type.channels)) - outside:
                body.wires[name] = dataclasses.replace(wire, loop=item)

    def gathered(
        self,
        item: Parallel,
        records: list[ParallelRecord],
        body: Body,
        current: Wire,
        variables: tuple[str, str],
    ) -> tuple[list[Statement], Wire, int]:
        """Branches by a loop of the program, which appends what each turn gives to a list.

        `variables` are for what a turn gives, and for the list.

        Returns:
            The statements, what a turn gives, and the channels of all of them together.
        """
        flow, gathered = variables
        loop, turns = item.loop, [record.turns for record in records]
        iterable, names = self.head(loop, turns, body)
        columns, known = self.iterations(turns, names, body), dict(body.wires)
        with self.inside(loop, names, body):
            inner, after = self.plan_items(loop.body, columns, body, current, flow)
        self.close(loop, known, body)
        if after.variable != flow:
            inner.append(Alias(flow, after.variable))
        channels = after.type.channels
        inner.append(Append(gathered, flow, channels))
        statements: list[Statement] = [Gather(gathered)]
        if names_in(code_of(channels)) <= body.columns[0].values.keys():
            together = self.times(loop, turns, body) * channels
        else:  # a variable adds them up
            number = body.names.number("channels")
            sums = [sum(self.types[end].channels for end in record.ends) for record in records]
            for column, value in zip(body.columns, sums, strict=True):
                column.values[number] = value
            together = SymbolicInt(sums[0], number)
            statements.append(Assign(number, "0"))
            inner.append(Assign(number, code_of(together + channels)))
        statements.append(Repeat(tuple(names.values()), iterable, inner))
        return statements, Wire(flow, after.type), together

    def times(self, item: Loop, records: list[LoopRecord], body: Body) -> int:
        """How often a loop turns, in the words of the code around it."""
        count = len(records[0].iterations)
        if not self.turns(item) & body.spelling.keys():
            return count
        if item.count is not None:
            return SymbolicInt(
                count, self.speller.code(item.count, body.spelling, count, body.constants)
            )
        name, value = item.variables[0]
        column = [bound[name] for bound in records[0].values]
        code = self.speller.code(value, body.spelling, column, body.constants)
        return SymbolicInt(count, f"len({code})")

    @contextlib.contextmanager
    def inside(self, item: Loop, names: dict[str, str], body: Body) -> Iterator[None]:
        """While the body of a rolled loop is planned: its variables are names like others."""
        spelling, listed = dict(body.spelling), body.listed
        perhaps = bool(self.turns(item) & spelling.keys())
        if item.count is None and not loop_names(item) & spelling.keys() - listed:
            body.listed = listed | names.keys()
        body.spelling |= names
        body.loops.append((item, frozenset(names)))
        body.perhaps += perhaps
        yield
        body.perhaps -= perhaps
        body.loops.pop()
        body.spelling, body.listed = spelling, listed

    def iterations(self, records: list[LoopRecord], names: dict[str, str], body: Body) -> Columns:
        """All iterations in all uses, side by side, with the values of the loop's variables."""
        return [
            Column(
                iteration,
                column.values | {names[n]: frozen_list(v) for n, v in bound.items() if n in names},
            )
            for record, column in zip(records, body.columns, strict=True)
            for bound, iteration in zip(record.values, record.iterations, strict=True)
        ]

    def carried_in(
        self,
        carried: str,
        records: list[LoopRecord],
        columns: Columns,
        body: Body,
        current: Wire,
        flow: str,
    ) -> Wire:
        """What flows into an iteration whose channels a variable carries."""
        before = [r.entries[0] if r.entries else r.output for r in records]
        self.speller.ensure(current, before, body)
        entries = [node for record in records for node in record.entries]
        for column, node in zip(columns, entries, strict=True):
            column.values[carried] = self.types[node].channels
        *size, channels = current.type.shape
        return Wire(flow, TensorType((*size, SymbolicInt(channels, carried))))

    def turns(self, item: Loop) -> frozenset[str]:
        """Names that say how often a loop runs."""
        return loop_names(item) if item.count is None else names_of(item.count)

    def grown(
        self,
        item: Loop,
        records: list[LoopRecord],
        before: int,
        carried: str,
        after: int,
        body: Body,
    ) -> int:
        """Channels after a loop that adds as many in every turn, or what the variable holds."""
        values = body.columns[0].values
        growth = increase(after, carried)
        if item.count is not None and growth is not None:
            known = values.keys() - {carried}
            turns = len(records[0].iterations)
            count = self.speller.code(item.count, body.spelling, turns, body.constants)
            if names_in(code_of(growth)) <= known and names_in(count) <= known:
                return before + SymbolicInt(value_of(count, values), count) * growth
        return SymbolicInt(values[carried], carried)

    def varies(self, records: list[LoopRecord]) -> bool:
        """Whether the channels that flow in differ between iterations."""
        return any(
            len({self.types[node].channels for node in record.entries}) > 1 for record in records
        )

    def loop_values(self, item: Loop, record: LoopRecord) -> Any:
        """What the code that a loop runs over must give."""
        if item.count is not None:
            count = len(record.iterations)
            return list(range(count)) if item.index else count
        names = [name for name, _ in item.variables]
        rows = [[bound[name] for name in names] for bound in record.values]
        return [row[0] for row in rows] if len(names) == 1 else rows

    def head(self, item: Loop, records: list[LoopRecord], body: Body) -> tuple[str, dict[str, str]]:
        """What a rolled loop runs over, and its variables: name in the spec → in code."""
        if item.count is not None:
            sample = len(records[0].iterations)
            code = self.speller.code(item.count, body.spelling, sample, body.constants)
            if len({len(r.iterations) for r in records}) > 1 and code.isdigit():
                self.sharing.give_up(body)
            code = f"range({code})" if item.index else code
            names = {item.index: body.names.number(item.index)} if item.index else {}
        else:
            codes = [self.list_code(n, value, item, records, body) for n, value in item.variables]
            code = codes[0] if len(codes) == 1 else f"zip({', '.join(codes)}, strict=True)"
            names = {name: body.names.number(name) for name, _ in item.variables}
        assert self.speller.holds(code, [self.loop_values(item, r) for r in records], body), code
        return code, names

    def list_code(
        self, name: str, value: Value, item: Loop, records: list[LoopRecord], body: Body
    ) -> str:
        """The list that a variable of a loop runs over."""
        rows = [[bound[name] for bound in record.values] for record in records]
        is_open = bool(names_of(value) & body.spelling.keys())
        if not is_open and any(differ(row, rows[0]) for row in rows):
            self.sharing.give_up(body)
        if any(not may_be_argument(v) for row in rows for v in row):
            self.sharing.unroll(item)  # words choose code
        return self.speller.code(value, body.spelling, rows[0], body.constants)

    def unrolled(
        self,
        item: Loop,
        records: list[LoopRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """A loop written out: every iteration has a body of its own."""
        bodies: list[list[Statement]] = []
        for columns in self.apart(item, records, body):
            made, current = self.plan_items(item.body, columns, body, current, flow)
            bodies.append(made)
        return [Unrolled(bodies)], current

    def apart(self, item: Loop, records: list[LoopRecord], body: Body) -> Iterator[Columns]:
        """The turns of a loop that is written out, one by one, each in all uses side by side."""
        counts = {len(record.iterations) for record in records}
        if len(counts) > 1:
            self.sharing.pin(loop_names(item) & body.spelling.keys(), body)
            self.sharing.give_up(body)
        self.sharing.pin(self.turns(item) & body.spelling.keys(), body)
        outer, constants = body.suffix, body.constants
        for index in range(counts.pop()):
            body.suffix = (*outer, index)
            body.constants = {**constants, **records[0].values[index]}
            yield [
                Column(record.iterations[index], column.values)
                for record, column in zip(records, body.columns, strict=True)
            ]
        body.suffix, body.constants = outer, constants
