"""Program → flat graph: blocks expanded, loops unrolled, conditions decided, names resolved."""

from __future__ import annotations

import dataclasses
from typing import Any

from xgraph import ops
from xgraph.diagnostics import Diagnostic, Span, SpecError, printable, shown, suggest
from xgraph.ir.elaborated import (
    CallRecord,
    ConditionRecord,
    Elaborated,
    Instance,
    LoopRecord,
    OpRecord,
    ParallelRecord,
    Record,
    SectionRecord,
    SplitRecord,
)
from xgraph.ir.graph import Graph, Node, Output
from xgraph.ir.structure import (
    Argument,
    Block,
    Call,
    Conditional,
    Item,
    Loop,
    Parallel,
    Parameter,
    Program,
    Reference,
    Share,
    Split,
    Value,
    walk,
)
from xgraph.ir.types import TensorType
from xgraph.ops.base import Op, ShapeProblem
from xgraph.ops.identity import Identity
from xgraph.ops.input import Input
from xgraph.ops.kinds import LARGEST, NUMBER, is_integer
from xgraph.passes.scope import Scope, channels_read, evaluate, frozen, iterations, written
from xgraph.passes.shapes import bounded, infer_shapes
from xgraph.passes.size import EXPANSION_LIMIT, measure, too_large
from xgraph.spec import expressions
from xgraph.spec.binding import Given, bind
from xgraph.spec.expressions import Expression, channels_of

_PROBLEM_LIMIT = 100
_NOTE_LIMIT = 3


def elaborate(program: Program) -> Elaborated:
    """Expand a program.

    Raises:
        SpecError: with every problem found.
    """
    return _Elaborator(program).run()


class _Stop(Exception):  # no error: a way out of the pass
    """Too many problems, or one that everything depends on: no use going on."""


class _Frame:
    """State while the items of one block, section or model are expanded."""

    __slots__ = ("calls", "current", "inputs", "instance", "names", "owner", "prefix")

    def __init__(self, instance: Instance, inputs: dict[str, int], owner: str) -> None:
        self.instance = instance
        self.prefix = f"{instance.path}." if instance.path else ""
        self.owner = f"{owner}." if owner else ""  # what the names of weights begin with
        self.inputs = inputs
        self.names: dict[str, int] = {}
        self.calls: dict[str, _Called] = {}  # those that are shared later, by name
        self.current = next(iter(inputs.values()))


@dataclasses.dataclass(slots=True)
class _Called:
    """A call that is shared: what became of it, and of a block the scope of its body."""

    record: OpRecord | CallRecord
    scope: Scope | None
    owner: str


class _Elaborator:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[Node] = []
        self.problems: dict[tuple[str, Span | None, str], Diagnostic] = {}
        self.failures = 0  # problems met so far, those that were met before included
        self.op_cache: dict[tuple[int, Any], Op] = {}
        self.outside: dict[str, int] = {}  # sections and their nodes, visible to other sections
        self.globals = Scope({}, {})
        self.types: list[TensorType] = []  # of the first nodes, as far as somebody asked
        self.reads: dict[int, tuple[str, ...]] = {}  # inputs whose channels a block mentions
        self.shared: dict[int, frozenset[str]] = {}  # by block, the calls in it that are shared
        self.expanded = 0

    def run(self) -> Elaborated:
        program = self.program
        sections: list[SectionRecord] = []
        outputs: tuple[Output, ...] = ()
        try:
            self.globals = self.spec_parameters()
            measure(program, self.globals)
            self.nodes.append(
                Node("input", Input(self.input_shape()), (), program.input_shape.span)
            )
            current = 0
            for section in program.sections:
                if section.condition is not None and not self.condition(
                    section.condition, self.globals
                ):
                    continue
                sources = [self.find(ref, None) for ref in section.sources]
                found = [node for node in sources if node is not None]
                if len(found) > 1:
                    self.problem(
                        "XG503", f"section '{section.name}' takes one input",
                        section.sources[1].span, received=f"{len(found)} sources",
                        hint="merge them in the section with {concat: , from: [...]}",
                    )  # fmt: skip
                entry = found[0] if found else current
                instance = Instance(
                    section.block, section.name, {}, (entry,), first=len(self.nodes)
                )
                scope = self.counted(section.block, (entry,), self.globals)
                frame = self.expand(instance, scope)
                current = instance.output
                sections.append(SectionRecord(section, instance))
                if section.name:
                    self.outside[section.name] = current
                dot = f"{section.name}." if section.name else ""
                self.outside.update({dot + name: node for name, node in frame.names.items()})
            outputs = self.outputs(current)
        except _Stop:
            pass
        except SpecError as error:  # too large
            raise SpecError([*self.problems.values(), *error.diagnostics]) from None
        if not self.problems and len(self.nodes) == 1:
            self.problem(
                "XG505", "the graph has no nodes", program.sections[0].block.span,
                hint="every section is empty or switched off by its 'when'",
            )  # fmt: skip
        if self.problems:
            raise SpecError(self.problems.values())
        graph = Graph(program.name, tuple(self.nodes), outputs)
        return Elaborated(program, graph, self.globals.own, tuple(sections))

    # -- problems and values --------------------------------------------------------------------

    def problem(self, code: str, message: str, span: Span | None, **details: Any) -> None:
        self.report(Diagnostic(code, message, span, **details))

    def report(self, diagnostic: Diagnostic) -> None:
        """Collect a problem once, however many iterations run into it."""
        self.failures += 1
        self.problems.setdefault((diagnostic.code, diagnostic.span, diagnostic.message), diagnostic)
        if len(self.problems) >= _PROBLEM_LIMIT:
            raise _Stop

    def value(self, value: Value, scope: Scope) -> Any:
        """The value, or None after reporting why there is none."""
        try:
            return evaluate(value, scope)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                notes = self.notes(value, scope, diagnostic.span)
                self.report(dataclasses.replace(diagnostic, notes=notes))
            return None

    def notes(
        self, value: Value, scope: Scope, where: Span | None
    ) -> tuple[tuple[str, Span | None], ...]:
        """What the parameters mentioned in a value are worth, and where that was written."""
        content = value.content
        if isinstance(content, tuple | dict):
            parts = content.values() if isinstance(content, dict) else content
            return tuple(note for part in parts for note in self.notes(part, scope, where))
        if not isinstance(content, Expression) or (where and not _within(where, value.span)):
            return ()
        found = []
        for name, span in expressions.mentions(content).items():
            origin = scope.origin(name) if where is None or _within(span, where) else None
            if origin is not None and origin.span != span:
                found.append((f"'{name}' is {shown(scope[name])} here", origin.span))
        return tuple(found[:_NOTE_LIMIT])

    def blame(self, value: Value, scope: Scope) -> dict[str, Any]:
        """The span and notes of a diagnostic about a value.

        Where `$name` alone is at fault, the place to mend is where its value was written.
        """
        origin = written(value, scope).span
        if origin != value.span:
            return {"span": origin, "notes": (("it is used here", value.span),)}
        return {"span": origin, "notes": self.notes(value, scope, None)}

    def condition(self, value: Value, scope: Scope) -> bool:
        failures = self.failures
        result = self.value(value, scope)
        if self.failures == failures and not isinstance(result, bool):
            self.problem(
                "XG303", "a condition is true or false", **self.blame(value, scope),
                expected="true or false", received=shown(result),
                hint=expressions.comparison(_text(value), result),
            )  # fmt: skip
        return result is True

    def spec_parameters(self) -> Scope:
        values: dict[str, Any] = {}
        origins: dict[str, Value] = {}
        scope = Scope(values, origins)
        for parameter in self.program.parameters:
            if parameter.default is None:
                self.problem(
                    "XG406", f"the parameter '{parameter.name}' has no value", parameter.span,
                    hint=f"give it one in params, or --set {parameter.name}=VALUE",
                )  # fmt: skip
                values[parameter.name] = None
            else:
                values[parameter.name] = self.value(parameter.default, scope)
                origins[parameter.name] = written(parameter.default, scope)
        if self.problems:
            raise _Stop
        return scope

    def input_shape(self) -> tuple[int, ...]:
        value = self.program.input_shape
        failures = self.failures
        shape = self.value(value, self.globals)
        if self.failures > failures:
            raise _Stop
        expected = "[height, width, channels], positive integers"
        if not isinstance(shape, list) or len(shape) != 3:
            self.problem(
                "XG403", "the input cannot have this shape", **self.blame(value, self.globals),
                expected=expected, received=shown(shape),
                hint="the batch is not part of it" if _is_batched(shape) else None,
            )  # fmt: skip
            raise _Stop
        for position, size in enumerate(shape):
            if is_integer(size) and 0 < size <= LARGEST:
                continue
            part = value.content[position] if isinstance(value.content, tuple) else value
            self.problem(
                "XG403", "the input cannot have this size", **self.blame(part, self.globals),
                expected=expected, received=shown(size),
            )  # fmt: skip
        if self.problems:
            raise _Stop
        return tuple(shape)

    # -- blocks and items -----------------------------------------------------------------------

    def expand(self, instance: Instance, scope: Scope, owner: str = "") -> _Frame:
        inputs = dict(zip(instance.block.inputs, instance.inputs, strict=True))
        frame = _Frame(instance, inputs, owner or instance.path)
        instance.records = self.items(instance.block.body, frame, scope, "")
        for result in instance.block.results:
            node = self.find(result, frame)
            if node is not None:
                instance.results[result.path] = node
        instance.output = next(iter(instance.results.values()), frame.current)
        instance.last = len(self.nodes)
        return frame

    def counted(self, block: Block, inputs: tuple[int, ...], scope: Scope) -> Scope:
        """The scope around, with the channels of a block's inputs as far as it mentions them."""
        if id(block) not in self.reads:
            self.reads[id(block)] = channels_read(block)
        if not (read := self.reads[id(block)]):
            return scope
        nodes = dict(zip(block.inputs, inputs, strict=True))
        counts = {channels_of(name): self.channels(nodes[name]) for name in read}
        return Scope(counts, dict.fromkeys(counts, Value(None, block.span)), scope)

    def channels(self, node: int) -> int:
        """The channels of a node that is there already."""
        return self.type(node).channels

    def type(self, node: int) -> TensorType:
        """The type of a node that is there already."""
        while len(self.types) <= node:
            made = self.nodes[len(self.types)]
            try:
                self.types.append(bounded(made.op.infer(tuple(self.types[i] for i in made.inputs))))
            except ShapeProblem:
                try:
                    infer_shapes(Graph(self.program.name, tuple(self.nodes), ()))
                except SpecError as error:
                    for diagnostic in error.diagnostics:
                        self.report(diagnostic)
                raise _Stop from None
        return self.types[node]

    def spend(self, span: Span) -> None:
        """Count what is expanded, for a count that follows from channels is not measured before."""
        self.expanded += 1
        if self.expanded > EXPANSION_LIMIT:
            raise SpecError(too_large(self.expanded, span))

    def items(
        self, items: tuple[Item, ...], frame: _Frame, scope: Scope, suffix: str
    ) -> list[Record]:
        records: list[Record] = []
        for item in items:
            self.spend(item.span)
            if item.sources and not isinstance(item, Call):
                found = [self.find(reference, frame) for reference in item.sources]
                if len(found) > 1:
                    self.problem(
                        "XG503", "this takes one input", item.sources[1].span,
                        received=f"{len(found)} sources",
                    )  # fmt: skip
                if found[0] is not None:
                    frame.current = found[0]
            if isinstance(item, Call):
                record = self.call(item, frame, scope, suffix, None)
                if record is not None:
                    records.append(record)
            elif isinstance(item, Conditional):
                taken = self.condition(item.condition, scope)
                arm = item.then if taken else item.otherwise
                inner = self.items(arm, frame, scope, suffix)
                records.append(ConditionRecord(item, taken, inner, frame.current))
            elif isinstance(item, Loop):
                records.append(self.loop(item, frame, scope, suffix))
            elif isinstance(item, Split):
                split = self.split(item, frame, scope, suffix)
                if split is not None:
                    records.append(split)
            elif isinstance(item, Parallel):
                parallel = self.parallel(item, frame, scope, suffix)
                if parallel is not None:
                    records.append(parallel)
        return records

    def loop(self, item: Loop, frame: _Frame, scope: Scope, suffix: str) -> LoopRecord:
        values, entries, records = [], [], []
        columns = self.loop_columns(item, scope)
        for index, (bound, inner) in enumerate(iterations(item, columns, scope)):
            self.spend(item.span)
            values.append(bound)
            entries.append(frame.current)
            records.append(self.items(item.body, frame, inner, f"{suffix}.{index}"))
        return LoopRecord(item, values, entries, records, frame.current)

    def loop_columns(self, item: Loop, scope: Scope) -> dict[str, list[Any]] | int:
        """The count of a repeat, or the list of each variable of a for; 0 when it is wrong."""
        failures = self.failures
        if item.count is not None:
            count = self.value(item.count, scope)
            if self.failures > failures:
                return 0
            if is_integer(count) and 0 <= count <= EXPANSION_LIMIT:
                return int(count)
            self.problem(
                "XG506", "a repeat count cannot be this", **self.blame(item.count, scope),
                expected=f"an integer from 0 to {EXPANSION_LIMIT:,}", received=shown(count),
                hint=expressions.INTEGERS if isinstance(count, float) else None,
            )  # fmt: skip
            return 0
        columns: dict[str, list[Any]] = {}
        for name, value in item.variables:
            column = self.value(value, scope)
            if self.failures == failures and not isinstance(column, list):
                self.problem(
                    "XG303", f"'{name}' runs over a list", **self.blame(value, scope),
                    expected="a list", received=shown(column),
                    hint="use repeat for a count" if is_integer(column) else None,
                )  # fmt: skip
            columns[name] = column
        if self.failures > failures:
            return 0
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            self.problem(
                "XG303", "the lists of a for have different lengths", item.span,
                expected="as many values for each variable",
                received=", ".join(f"{name}: {length}" for name, length in lengths.items()),
            )  # fmt: skip
            return 0
        return columns

    def split(self, item: Split, frame: _Frame, scope: Scope, suffix: str) -> SplitRecord | None:
        entry = frame.current
        paths: list[list[Record] | None] = []
        ends = []
        for path, condition in zip(item.paths, item.conditions, strict=True):
            if condition is not None and not self.condition(condition, scope):
                paths.append(None)
                continue
            frame.current = entry
            paths.append(self.items(path, frame, scope, suffix))
            ends.append(frame.current)
        if not ends:
            self.problem(
                "XG508", "every branch is switched off", item.span,
                expected="at least one branch that is there",
                hint="to leave all of them out, put 'when' beside 'branches'",
            )  # fmt: skip
            return None
        if len(ends) == 1 and len(paths) > 1:  # one branch that is left needs no merge
            self.arrive(frame, item.merge.name, item.merge.name + suffix, ends[0])
            return SplitRecord(item, paths, ends[0], merged=False)
        record = self.call(item.merge, frame, scope, suffix, tuple(ends))
        if not isinstance(record, OpRecord):
            return None
        return SplitRecord(item, paths, record.node)

    def parallel(
        self, item: Parallel, frame: _Frame, scope: Scope, suffix: str
    ) -> ParallelRecord | None:
        """A branch for each turn of a loop, all from what flows in."""
        entry, failures = frame.current, self.failures
        turns = LoopRecord(item.loop, [], [], [], entry)
        ends = []
        columns = self.loop_columns(item.loop, scope)
        for index, (bound, inner) in enumerate(iterations(item.loop, columns, scope)):
            self.spend(item.span)
            frame.current = entry
            turns.values.append(bound)
            turns.entries.append(entry)
            turns.iterations.append(self.items(item.loop.body, frame, inner, f"{suffix}.{index}"))
            ends.append(frame.current)
        if not ends and self.failures == failures:
            self.problem(
                "XG508", "there is no branch, for the loop of them does not turn", item.loop.span,
                expected="at least one branch that is there",
                hint="to leave all of them out, put 'when' beside 'branches'",
            )  # fmt: skip
        if self.failures > failures:
            return None
        op = Identity() if len(ends) == 1 else self.op(item.merge, scope)
        if op is None:
            return None
        record = self.node(item.merge, op, tuple(ends), frame, item.merge.name + suffix)
        return ParallelRecord(item, turns, ends, record.node)

    def call(
        self,
        item: Call,
        frame: _Frame,
        scope: Scope,
        suffix: str,
        inputs: tuple[int, ...] | None,
    ) -> OpRecord | CallRecord | None:
        if inputs is None:
            if item.sources:
                found = [self.find(reference, frame) for reference in item.sources]
                inputs = tuple(node for node in found if node is not None)
                if len(inputs) < len(found):
                    return None
            else:
                inputs = (frame.current,)
        local = item.name + suffix
        if isinstance(item, Share):
            return self.share(item, frame, local, inputs)
        block = self.program.blocks.get(item.target)
        if block is not None:
            return self.call_block(item, block, frame, scope, local, inputs)
        op = self.op(item, scope)
        if op is None:
            return None
        least, most = op.arity
        if len(inputs) < least or (most is not None and len(inputs) > most):
            self.problem(
                "XG503",
                f"'{item.target}' takes {_count(least, most)}",
                item.span,
                received=f"{len(inputs)}",
                hint=f"name them: {{{item.target}: , from: [first, second]}}"
                if least > 1
                else "merge them first, with add or concat",
            )
            return None
        record = self.node(item, op, inputs, frame, local)
        self.remember(item, record, None, frame, local)
        return record

    def node(
        self,
        item: Call,
        op: Op,
        inputs: tuple[int, ...],
        frame: _Frame,
        local: str,
        shares: str | None = None,
    ) -> OpRecord:
        """Another node of the graph; `shares` is whose weights it has, if they are another's."""
        index, path = len(self.nodes), frame.prefix + local
        if shares is None and frame.owner != frame.prefix:
            shares = frame.owner + local
        self.nodes.append(Node(path, op, inputs, item.span, shares))
        self.arrive(frame, item.name, local, index)
        return OpRecord(item, index)

    def remember(
        self,
        item: Call,
        record: OpRecord | CallRecord,
        scope: Scope | None,
        frame: _Frame,
        local: str,
    ) -> None:
        """Keep what became of a call that is shared later in the same body."""
        block = frame.instance.block
        if id(block) not in self.shared:
            shares = (one.first for one in walk(block.body) if isinstance(one, Share))
            self.shared[id(block)] = frozenset(shares)
        if item.name in self.shared[id(block)]:
            frame.calls[item.name] = _Called(record, scope, frame.owner + local)

    def share(
        self, item: Share, frame: _Frame, local: str, inputs: tuple[int, ...]
    ) -> OpRecord | CallRecord | None:
        """An earlier call once more, with its weights."""
        called = frame.calls.get(item.first)
        if called is None:  # which has been reported, for what is shared is there where this is
            assert self.failures, item.first
            return None
        record, notes = called.record, (("it is applied first here", called.record.item.span),)
        first = (
            self.nodes[record.node].inputs
            if isinstance(record, OpRecord)
            else record.instance.inputs
        )
        if len(inputs) != len(first):
            self.problem(
                "XG503", f"'{item.first}' takes {_count(len(first), len(first))}", item.span,
                received=f"{len(inputs)}",
                notes=notes,
            )  # fmt: skip
            return None
        for before, now in zip(map(self.type, first), map(self.type, inputs), strict=True):
            if (before.rank, before.channels) != (now.rank, now.channels):
                self.problem(
                    "XG509", f"'{item.first}' cannot be applied to this too", item.span,
                    expected=f"{_kind(before)}, as where it is applied first",
                    received=_kind(now),
                    notes=notes,
                )  # fmt: skip
                return None
        if isinstance(record, OpRecord):
            return self.node(item, self.nodes[record.node].op, inputs, frame, local, called.owner)
        assert called.scope is not None
        owner = record.instance
        instance = Instance(
            owner.block,
            frame.prefix + local,
            owner.arguments,
            inputs,
            first=len(self.nodes),
            owner=owner,
        )
        failures = self.failures
        made = self.expanded_call(item, instance, called.scope, frame, local, called.owner)
        if self.failures == failures and not self.alike(owner, instance):
            self.problem(
                "XG509", f"'{item.first}' would be made of other ops here", item.span,
                expected="the ops that it is made of where it is applied first",
                hint="what is in it follows from how many channels a flattened image has",
                notes=notes,
            )  # fmt: skip
            return None
        return made

    def alike(self, one: Instance, other: Instance) -> bool:
        """Whether two uses of a block are of the same ops, wired in the same way."""
        if one.last - one.first != other.last - other.first:
            return False
        pairs = zip(
            self.nodes[one.first : one.last], self.nodes[other.first : other.last], strict=True
        )
        given = {*zip(one.inputs, other.inputs, strict=True)}
        return all(
            (a.op is b.op or a.op == b.op)
            and len(a.inputs) == len(b.inputs)
            and all(
                i - one.first == j - other.first if i >= one.first else (i, j) in given
                for i, j in zip(a.inputs, b.inputs, strict=True)
            )
            for a, b in pairs
        )

    def call_block(
        self,
        item: Call,
        block: Block,
        frame: _Frame,
        scope: Scope,
        local: str,
        inputs: tuple[int, ...],
    ) -> CallRecord | None:
        if len(inputs) != len(block.inputs):
            wanted = len(block.inputs)
            self.problem(
                "XG503",
                f"block '{block.name}' takes {_count(wanted, wanted)}",
                item.span,
                received=f"{len(inputs)}",
                notes=(("the block is defined here", block.span),),
            )
            return None
        failures = self.failures
        around = self.counted(block, inputs, self.globals)
        arguments = self.block_arguments(item, block, scope, around)
        if self.failures > failures:
            return None
        path = frame.prefix + local
        instance = Instance(block, path, arguments.own, inputs, first=len(self.nodes))
        record = self.expanded_call(item, instance, arguments, frame, local, frame.owner + local)
        self.remember(item, record, arguments, frame, local)
        return record

    def expanded_call(
        self,
        item: Call,
        instance: Instance,
        arguments: Scope,
        frame: _Frame,
        local: str,
        owner: str,
    ) -> CallRecord:
        """A block that is applied; its weights are named below `owner`."""
        self.expand(instance, arguments, owner)
        for name, node in instance.results.items():
            self.arrive(frame, f"{item.name}.{name}", f"{local}.{name}", node)
        self.arrive(frame, item.name, local, instance.output)
        return CallRecord(item, instance)

    def arrive(self, frame: _Frame, name: str, local: str, node: int) -> None:
        frame.current = node
        frame.names[name] = node
        if local != name:
            frame.names[local] = node

    def block_arguments(self, item: Call, block: Block, scope: Scope, around: Scope) -> Scope:
        """The scope of the block's body; `around` is what it sees besides its parameters."""
        given = {argument.key: argument for argument in item.arguments}
        arguments: dict[str, Any] = {}
        origins: dict[str, Value] = {}
        inner = Scope(arguments, origins, around)
        for parameter in block.parameters:
            name, argument = parameter.name, given.get(parameter.name)
            if argument is not None:
                arguments[name] = self.value(argument.value, scope)
                origins[name] = written(argument.value, scope)
            elif parameter.default is not None:
                # The parameter itself is not yet there: its default may mean the spec's.
                arguments[name] = self.value(parameter.default, inner)
                origins[name] = written(parameter.default, inner)
            else:
                self.missing(item, block, parameter)
        return inner

    def missing(self, item: Call, block: Block, parameter: Parameter) -> None:
        self.problem(
            "XG406", f"block '{block.name}' needs '{parameter.name}'", item.span,
            expected=f"{{{block.name}: {{{parameter.name}: …}}}}", received="nothing",
            notes=(("the parameter is declared here", parameter.span),),
        )  # fmt: skip

    def op(self, item: Call, scope: Scope) -> Op | None:
        """The op with its attributes bound; the same values give the same object."""
        arguments = self.merged_arguments(item)
        failures = self.failures
        # A default is the spec's: a block's parameter of the same name does not reach it.
        own = {id(argument) for argument in item.arguments}
        values = {
            argument.key: self.value(argument.value, scope if id(argument) in own else self.globals)
            for argument in arguments
        }
        if self.failures > failures:
            return None
        key = (id(item), frozen(values))
        op = self.op_cache.get(key)
        if op is not None:
            return op
        places = {argument.key: self.blame(argument.value, scope) for argument in arguments}
        given = {
            str(argument.key): Given(
                values[argument.key], argument.key_span, places[argument.key]["span"]
            )
            for argument in arguments
        }
        found: list[Diagnostic] = []
        op = bind(ops.get(item.target), f"op '{item.target}'", given, item.span, found)
        notes = {place["span"]: place["notes"] for place in places.values()}
        for diagnostic in found:
            added = notes.get(diagnostic.span, ()) if diagnostic.span else ()
            self.report(dataclasses.replace(diagnostic, notes=added))
        if op is not None:
            self.op_cache[key] = op
        return op

    def merged_arguments(self, item: Call) -> tuple[Argument, ...]:
        defaults = self.program.defaults.get(item.target)
        if not defaults:
            return item.arguments
        given = {argument.key for argument in item.arguments}
        return (*(a for a in defaults if a.key not in given), *item.arguments)

    # -- wiring ---------------------------------------------------------------------------------

    def find(self, reference: Reference, frame: _Frame | None) -> int | None:
        path = reference.path
        if frame is not None:
            if path in frame.names:
                return frame.names[path]
            if path in frame.inputs:
                return frame.inputs[path]
        inside_block = frame is not None and self.program.is_called(frame.instance.block)
        if not inside_block:
            if path in self.outside:
                return self.outside[path]
            if path == "input":
                return 0
        known = [*(frame.names if frame else ()), *(() if inside_block else self.outside)]
        later = not inside_block and any(
            s.name == path.split(".")[0] for s in self.program.sections
        )
        self.problem(
            "XG211",
            f"nothing before this is called '{printable(path)}'",
            reference.span,
            expected="the name of an earlier node or section, or 'input'",
            hint=_by_section(path, known)
            or (_left_out(path, frame.instance.block) if frame else None)
            or suggest(path, known)
            or ("it comes later, or is switched off; a graph has no cycles" if later else None)
            or _inside(path, known),
        )
        return None

    def outputs(self, last: int) -> tuple[Output, ...]:
        if not self.program.outputs:
            return (Output("logits", last, 1.0),)
        outputs: list[Output] = []
        for spec in self.program.outputs:
            if spec.condition is not None and not self.condition(spec.condition, self.globals):
                continue
            node = self.find(spec.source, None)
            if node == 0:
                self.problem(
                    "XG505", f"the output '{spec.name}' is the input itself", spec.source.span,
                    hint="name a node or section that computes something",
                )  # fmt: skip
            weight = None if outputs else 1.0
            if spec.loss_weight is not None:
                given = self.value(spec.loss_weight, self.globals)
                try:
                    weight = NUMBER.convert(given)
                except ValueError:
                    self.problem(
                        "XG403", "a loss weight cannot be this",
                        **self.blame(spec.loss_weight, self.globals),
                        expected=NUMBER.expected, received=shown(given),
                    )  # fmt: skip
            if node is not None:
                outputs.append(Output(spec.name, node, weight))
        if not outputs and not self.problems:
            self.problem("XG505", "every output is switched off", self.program.outputs[0].span)
        return tuple(outputs)


def _left_out(path: str, block: Block) -> str | None:
    """That something of this name is in a loop or condition, which has left it out."""
    name = path.partition(".")[0]
    inner = (
        items
        for item in walk(block.body)
        for items in (
            (item.body,) if isinstance(item, Loop)
            else (item.then, item.otherwise) if isinstance(item, Conditional) else ()
        )
    )  # fmt: skip
    for items in inner:
        for item in walk(items):
            merge = item.merge if isinstance(item, Split | Parallel) else item
            if isinstance(merge, Call) and merge.name == name:
                return "a loop or condition leaves it out here, or it comes later"
    return None


def _inside(path: str, known: list[str]) -> str | None:
    """That what is inside of a block is not seen from outside, where this may be meant."""
    call, dot, name = path.rpartition(".")
    if not dot or call not in known or name.isdigit():
        return None
    return f"inside of a block, only its results are seen: results: […, {printable(name)}] there"


def _by_section(path: str, known: list[str]) -> str | None:
    """A hint at the nodes of other sections that are called so there."""
    full = [name for name in known if name.endswith(f".{path}")]
    names = " or ".join(f"'{name}'" for name in full[:_NOTE_LIMIT])
    return f"a node of another section goes by its section too: {names}" if full else None


def _text(value: Value) -> str:
    """What a value says; for an expression, its text."""
    content = value.content
    return content.text.strip() if isinstance(content, Expression) else ""


def _kind(type_: TensorType) -> str:
    """What a type says of the weights that it is given to."""
    what = "an image" if type_.rank == 3 else "a vector"
    return f"{what} of {type_.channels:,} channels"


def _count(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} inputs" if least > 1 else "any number of inputs"
    return f"{least} input{'' if least == 1 else 's'}"


def _is_batched(shape: Any) -> bool:
    return isinstance(shape, list) and len(shape) == 4


def _within(inner: Span, outer: Span) -> bool:
    """Whether one span lies in another, on the same line of the same text."""
    return (
        inner.source is outer.source
        and inner.line == outer.line
        and outer.column <= inner.column < outer.column + max(1, outer.length)
    )
