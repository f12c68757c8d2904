"""Items of a body → statements: calls of ops and blocks, and splits, all uses side by side."""

from __future__ import annotations

from collections.abc import Callable

from xgraph import ops
from xgraph.emit.codes import names_in
from xgraph.emit.plan import (
    Again,
    Alias,
    Apply,
    BlockPlan,
    Choose,
    Invoke,
    Measure,
    Statement,
    Unrolled,
    walk,
)
from xgraph.emit.planning.composites import Composites
from xgraph.emit.planning.context import Context
from xgraph.emit.planning.control import Control
from xgraph.emit.planning.readers import Readers
from xgraph.emit.planning.sharing import Sharing
from xgraph.emit.planning.sizes import is_of_one_size
from xgraph.emit.planning.spelling import Speller
from xgraph.emit.planning.state import Body, Column, Columns, Restart, Variant, Wire
from xgraph.emit.symbols import SymbolicInt, code_of, is_symbolic, simplified
from xgraph.emit.values import names_of, substitute, with_channels
from xgraph.ir.elaborated import Instance, OpRecord, ParallelRecord, Record, SplitRecord
from xgraph.ir.structure import Call, Conditional, Item, Loop, Parallel, Share, Split, Value
from xgraph.ir.structure import walk as walk_items
from xgraph.ir.types import TensorType
from xgraph.ops.base import Op
from xgraph.spec.expressions import Expression, channels_of


class Items:
    """Plans what stands in a class; `planned` gives the class of a block's variant."""

    def __init__(
        self, context: Context, sharing: Sharing, planned: Callable[[Variant], BlockPlan]
    ) -> None:
        self.context = context
        self.nodes = context.nodes
        self.types = context.types
        self.globals = context.globals
        self.decisions = context.decisions
        self.sharing = sharing
        self.planned = planned
        self.composites = Composites(context)
        self.speller = Speller(context, sharing, self.composites)
        self.control = Control(context, sharing, self.speller, self.plan)

    def plan(
        self, items: tuple[Item, ...], columns: Columns, body: Body, current: Wire, flow: str
    ) -> tuple[list[Statement], Wire]:
        """Statements for a body, given what each use of it elaborated to."""
        statements: list[Statement] = []
        outer, body.columns = body.columns, columns
        for position, item in enumerate(items):
            records = [column.records[position] for column in columns]
            if item.sources and not isinstance(item, Call):
                current = self.source(item.sources[0].path, body)
            if isinstance(item, Call):
                made, current = self.call(item, records, body, (current,), flow)
            # The records of an item are of the item's kind, which their type does not say.
            elif isinstance(item, Conditional):
                made, current = self.control.conditional(item, records, body, current, flow)  # type: ignore[arg-type]
            elif isinstance(item, Loop):
                made, current = self.control.loop(item, records, body, current, flow)  # type: ignore[arg-type]
            elif isinstance(item, Parallel):
                made, current = self.parallel(item, records, body, current, flow)  # type: ignore[arg-type]
            else:
                assert isinstance(item, Split)
                made, current = self.split(item, records, body, current, flow)  # type: ignore[arg-type]
            statements += made
        body.columns = outer
        return statements, current

    def source(self, path: str, body: Body) -> Wire:
        """The wire that a `from` names: of this class, or of another section."""
        block = body.variant.block.name
        local = path[len(block) + 1 :] if path.startswith(f"{block}.") else path
        for name in (path, local):
            if name in body.wires:
                wire = body.wires[name]
                if wire.loop is not None:
                    self.sharing.unroll(wire.loop)
                return wire
        node = self.outer_node(path)
        assert node is not None, f"nothing is called '{path}'"
        if node == body.variant.instances[0].inputs[0]:
            return body.wires["input"]
        return body.external[node]

    def outer_node(self, path: str) -> int | None:
        """The node that a path from the top stands for: a section, a node, or a block's call."""
        return self.context.outer_nodes.get(path)

    def target(self, item: Call, body: Body, flow: str) -> str:
        """The variable for a result: one of its own if something refers to it, else the flow's."""
        local = self.local(item, body)
        block = self.context.program.blocks.get(item.target)
        names = {local, item.name}
        if block is not None and block.results:
            names |= {f"{name}.{block.results[0].path}" for name in names}
        return body.names.tensor(local) if names & body.referenced else flow

    def remember(self, item: Call, body: Body, wire: Wire, result: str = "") -> None:
        """Keep a value under its name, for what refers to it later; of several, under each."""
        for name in {item.name, self.local(item, body)}:
            body.wires[f"{name}.{result}" if result else name] = wire

    def local(self, item: Call, body: Body) -> str:
        """The name of an item in a class, with its turns in loops that are written out."""
        return ".".join([item.name, *map(str, body.suffix)])

    def call(
        self,
        item: Call,
        records: list[Record],
        body: Body,
        inputs: tuple[Wire, ...],
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """A call of an op or a block."""
        if item.sources:
            inputs = tuple(self.source(reference.path, body) for reference in item.sources)
        target = self.target(item, body, flow)
        if isinstance(item, Share):
            return self.again(item, records, body, inputs, target)
        if isinstance(records[0], OpRecord):  # and so are the others, which types do not say
            statement, wire = self.apply(item, [r.node for r in records], body, inputs, target)  # type: ignore[union-attr]
            statements = [statement]
        else:
            instances = [r.instance for r in records]  # type: ignore[union-attr]
            statements, wire = self.invoke(item, instances, body, inputs, target)
        self.remember(item, body, wire)
        block = self.context.program.blocks.get(item.target)
        results = block.results[1:] if block is not None else ()
        others = (body.wires[f"{item.name}.{result.path}"] for result in results)
        call = statements[0]
        assert isinstance(call, Apply | Invoke)
        body.calls[item.name] = (call, (wire, *others))
        return statements, wire

    def again(
        self,
        item: Share,
        records: list[Record],
        body: Body,
        inputs: tuple[Wire, ...],
        target: str,
    ) -> tuple[list[Statement], Wire]:
        """An earlier call applied to other inputs, of as many channels."""
        first, before = body.calls[item.first]
        results: tuple[str, ...] = ()
        instances: list[Instance] = []
        # The records of an item are of one kind, which their type does not say.
        if isinstance(records[0], OpRecord):
            nodes = [[r.node for r in records]]  # type: ignore[union-attr]
        else:
            instances = [r.instance for r in records]  # type: ignore[union-attr]
            results = tuple(name.path for name in instances[0].block.results)
            nodes = [[instance.output for instance in instances]]
            nodes += [[one.results[name] for one in instances] for name in results[1:]]
        is_first = first.kept is None
        if first.kept is None:
            word = "layer" if isinstance(first, Apply) else "block"
            first.kept = body.names.number(f"{item.first}_{word}")
        local = self.local(item, body)
        variables = (target, *(body.names.tensor(f"{local}.{name}") for name in results[1:]))
        wires = []
        for variable, same, places in zip(variables, before, nodes, strict=True):
            made = self.made_again(first, same, inputs, places, body)
            wires.append(Wire(variable, made))
            self.speller.ensure(wires[-1], places, body)
        self.remember(item, body, wires[0])
        for name, wire in zip(results, wires, strict=bool(results)):
            self.remember(item, body, wire, name)
        given = tuple(wire.variable for wire in inputs)
        types = tuple(wire.type for wire in inputs)
        if isinstance(first, Invoke) and not first.any_size:
            first.any_size = any(self.is_for_any_size(one, is_first) for one in instances)
        return [Again(item.name, first, given, types, target, variables[1:])], wires[0]

    def made_again(
        self,
        first: Apply | Invoke,
        same: Wire,
        inputs: tuple[Wire, ...],
        nodes: list[int],
        body: Body,
    ) -> TensorType:
        """The symbolic type of what an earlier call gives on other inputs: `nodes`, by use.

        It has as many channels as before, but where an image of another size is flattened.
        """
        channels = [self.types[node].channels for node in nodes]
        if self.speller.holds(code_of(same.type.channels), channels, body):
            return with_channels(self.types[nodes[0]], same.type.channels)
        if isinstance(first, Apply):
            return first.op.infer(tuple(wire.type for wire in inputs))
        follows = frozenset().union(*(self.context.dependence.widths[node] for node in nodes))
        self.sharing.fix(follows & self.context.root_spelling.keys())
        return TensorType((*self.types[nodes[0]].shape[:-1], channels[0]))

    def is_for_any_size(self, instance: Instance, is_first: bool) -> bool:
        """Whether what a block keeps is for images of other heights and widths.

        That it could be is found out with the first of the uses that share it.
        """
        owner = instance.owner or instance
        pairs = zip(instance.inputs, owner.inputs, strict=True)
        if any(self.types[a].shape != self.types[b].shape for a, b in pairs):
            return True
        return is_first and not is_of_one_size(self.nodes, self.types, owner)

    def apply(
        self,
        item: Call,
        nodes: list[int],
        body: Body,
        inputs: tuple[Wire, ...],
        target: str,
    ) -> tuple[Statement, Wire]:
        """An op, which is one node in every use."""
        ops = self.speller.spelled_ops(item, nodes, body)
        op = ops[id(self.nodes[nodes[0]].op)]
        self.unify(op, inputs, body)
        for position, wire in enumerate(inputs):
            self.speller.ensure(wire, [self.nodes[node].inputs[position] for node in nodes], body)
        input_types = tuple(wire.type for wire in inputs)
        output = self.speller.output_type(ops, nodes, inputs, body)
        variables = tuple(wire.variable for wire in inputs)
        made = self.composites.spell(item.name, op, variables, input_types, target)
        return made, Wire(target, output)

    def unify(self, op: Op, inputs: tuple[Wire, ...], body: Body) -> None:
        """What is added has equal channels, so an input's channels may be a parameter's."""
        if op.name != "add" or body.variant.key in self.decisions.own_inputs:
            return
        channels = [wire.type.channels for wire in inputs]
        codes = [body.carried.get(code_of(c), code_of(c)) for c in channels]
        for position, name in enumerate(body.variant.block.inputs):
            own = code_of(body.wires[name].type.channels) if name in body.wires else None
            if own in body.own_spelling.values() or own not in codes:
                continue
            open_names = {body.spelling[p.name]: p.name for p in body.variant.block.parameters
                    if p.name in body.spelling}  # fmt: skip
            for code in codes:
                if code in open_names and all(
                    self.types[i.inputs[position]].channels == i.arguments[open_names[code]]
                    for i in body.variant.instances
                ):
                    names = self.decisions.input_names.setdefault(body.variant.key, {})
                    if position not in names:
                        names[position] = open_names[code]
                        if body.perhaps:
                            self.decisions.assumed.add(body.variant.key)
                        self.decisions.carried.clear()  # some may not need it any more
                        raise Restart

    def invoke(
        self,
        item: Call,
        instances: list[Instance],
        body: Body,
        inputs: tuple[Wire, ...],
        target: str,
    ) -> tuple[list[Statement], Wire]:
        """A block, whose class is that of a variant."""
        keys = {self.sharing.variant_key(instance) for instance in instances}
        if len(keys) > 1:
            self.sharing.separate(item, instances, body)
        variant = self.sharing.variants[keys.pop()]
        plan = self.planned(variant)
        given = {argument.key: argument for argument in item.arguments}
        for name in self.decisions.specialized.get(variant.block.name, set()):
            if name in given:  # the class was chosen by this value, so it must not change
                self.sharing.pin(names_of(given[name].value) & body.spelling.keys(), body)
        arguments = self.arguments(item, variant, plan, instances, body, inputs)
        implicit = [p.name for p in plan.parameters if p.implicit]
        for position, (name, wire) in enumerate(zip(implicit, inputs, strict=True)):
            arguments[name] = code_of(wire.type.channels)
            self.speller.ensure(wire, [instance.inputs[position] for instance in instances], body)
        if variant.key in self.decisions.assumed:
            self.sharing.check_assumed(variant, arguments, inputs)
        ordered = {p.name: arguments[p.name] for p in plan.parameters if p.name in arguments}
        variables = tuple(wire.variable for wire in inputs)
        results = [name.path for name in variant.block.results]
        local = self.local(item, body)
        others = tuple(body.names.tensor(f"{local}.{name}") for name in results[1:])
        statement = Invoke(item.name, plan, ordered, variables, target, others)
        nodes = [instance.output for instance in instances]
        wire, measures = self.received(statement, 0, nodes, body)
        for position, name in enumerate(results):
            one = wire
            if position:
                nodes = [instance.results[name] for instance in instances]
                one, more = self.received(statement, position, nodes, body)
                measures += more
            self.remember(item, body, one, name)
        return [statement, *measures], wire

    def arguments(
        self,
        item: Call,
        variant: Variant,
        plan: BlockPlan,
        instances: list[Instance],
        body: Body,
        inputs: tuple[Wire, ...],
    ) -> dict[str, str]:
        """What a block's class is given for its parameters, as code of the caller.

        A default is written in the caller's words: the block's parameters before it, the spec's,
        and the channels of what the caller gives.
        """
        given = {argument.key: argument.value for argument in item.arguments}
        open_names = self.sharing.open_parameters(variant)
        own = {p.origin: p.name for p in plan.parameters}
        passed = {name for name in own if name is not None} - set(open_names)
        if passed & self.speller.hidden(body):  # what its code does not read is not passed on
            read = Readers().block(plan)
            passed = {name for name in passed if own[name] in read}
        defaults = [p.default for p in variant.block.parameters if p.name not in given]
        mentioned = [name for value in defaults if value is not None for name in names_of(value)]
        before = {parameter.name for parameter in variant.block.parameters}
        outer = self.speller.outer_spelling({*passed, *mentioned} - before, body)
        # Parameters of the spec pass through.
        arguments = {own[n]: code for n, code in outer.items() if n in own and n not in open_names}
        counts = dict(zip(map(channels_of, variant.block.inputs), inputs, strict=True))
        constants = self.globals | {n: w.type.channels for n, w in counts.items()}
        codes = {n: code_of(w.type.channels) for n, w in counts.items()
                 if is_symbolic(w.type.channels)}  # fmt: skip
        for parameter in variant.block.parameters:
            name, sample = parameter.name, instances[0].arguments[parameter.name]
            if name in given:
                codes[name] = self.speller.code(given[name], body.spelling, sample, body.constants)
            else:
                assert parameter.default is not None
                spelling = {**outer, **codes}
                codes[name] = self.speller.code(parameter.default, spelling, sample, constants)
            constant = name not in given and self.speller.default_code(parameter.default)
            if name in open_names and not constant:
                arguments[own[name]] = codes[name]
                values = [instance.arguments[name] for instance in instances]
                assert self.speller.holds(codes[name], values, body), f"{name}={codes[name]}"
        return arguments

    def received(
        self, call: Invoke, position: int, nodes: list[int], body: Body
    ) -> tuple[Wire, list[Measure]]:
        """A result of a block in the caller's words.

        Its channels are spelled with what the block is given, or if only its own code can say how
        many they are, measured when it is made.

        Args:
            call: the block's use.
            position: the place among its results.
            nodes: what the result is in each use of the caller.
            body: the caller.
        """
        plan = call.callee
        variable = (call.target, *call.extra_targets)[position]
        shape = self.types[nodes[0]].shape
        values = [self.types[node].channels for node in nodes]
        channels = plan.result_types[position].channels
        measures: list[Measure] = []
        if is_symbolic(channels):
            defaults = {p.name: p.default for p in plan.parameters if p.default is not None}
            code = substitute(code_of(channels), {**defaults, **call.arguments})
            if code is None and self.sharing.is_constant(nodes, body):
                self.sharing.keep_input_literal(body)
                code = str(values[0])
            if code is None:
                code = body.names.number("channels")
                number = _kept_number(plan, position, code_of(channels))
                measures.append(Measure(code, call.name, number, variable))
                for column, value in zip(body.columns, values, strict=True):
                    column.values[code] = value
            channels = SymbolicInt(values[0], simplified(code)) if names_in(code) else values[0]
        wire = Wire(variable, TensorType((*shape[:-1], channels)))
        self.speller.ensure(wire, nodes, body)
        return wire, measures

    def split(
        self,
        item: Split,
        records: list[SplitRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """Parallel paths, each in a variable of its own, and their merge."""
        statements: list[Statement] = []
        conditions = [condition for condition in item.conditions if condition is not None]
        # What decided which branches there are may not change later: it chooses the class.
        names = set().union(*map(names_of, conditions)) & body.spelling.keys()
        present = {record.present for record in records}
        if len(present) > 1 and item.residual:
            return self.perhaps_skipped(item, records, body, current, flow)
        if len(present) > 1 and (switch := _one_condition(item, records)) is not None:
            return self.perhaps_parallel(item, switch, records, body, current, flow)
        self.sharing.settle(names, body)
        if len(present) > 1:
            self.sharing.give_up(body)
        order = list(present.pop())
        if not records[0].merged:
            return self.only_path(item, order[0], records, body, current, flow)
        ends: dict[int, Wire] = dict.fromkeys(order, current)
        taken: list[str] = []
        entries: dict[int, Wire] = {}
        if item.residual and _shares_main_path(item):
            variable = self.branch_variable("shortcut", body)
            body.branch_variables.append(variable)
            taken.append(variable)
            statements.append(Alias(variable, current.variable))
            entries[1] = Wire(variable, current.type)
        elif item.residual:  # the shortcut first: the main path then reuses the flow's name
            order.reverse()
        for position in order:
            label = item.labels[position] or f"branch_{position + 1}"
            main = item.residual and position == 0
            variable = flow if main else self.branch_variable(label, body)
            if position in entries:
                variable = entries[position].variable
            path = item.paths[position]
            columns = [
                Column(record.paths[position] or [], column.values)
                for record, column in zip(records, body.columns, strict=True)
            ]
            empty = not path or not any(column.records for column in columns)
            if not main and position not in entries:
                taken.append(variable)
                body.branch_variables.append(variable)
            if empty and not item.residual:
                continue
            if empty:
                statements.append(Alias(variable, current.variable))
                ends[position] = Wire(variable, current.type)
                continue
            entry = entries.get(position, current)
            made, ends[position] = self.plan(path, columns, body, entry, variable)
            statements += made
            if not main and item.residual and ends[position].variable == current.variable:
                # No item of it is there in any use; the main path goes on in this variable.
                statements.append(Alias(variable, current.variable))
                ends[position] = Wire(variable, current.type)
        for variable in taken:
            body.branch_variables.remove(variable)
        target = self.target(item.merge, body, flow)
        nodes = [record.node for record in records]
        merge, wire = self.apply(item.merge, nodes, body, tuple(ends.values()), target)
        self.remember(item.merge, body, wire)
        return [*statements, merge], wire

    def perhaps_parallel(
        self,
        item: Split,
        switch: Value,
        records: list[SplitRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """Paths of which some are there in some uses only: an `if` around them and the merge."""
        pairs = list(zip(records, body.columns, strict=True))
        present = [set(record.present) for record in records]
        shared = sorted(set.intersection(*present))
        others = sorted(set.union(*present).difference(shared))
        for position, given in enumerate(item.conditions):
            if given is not None and position not in others:  # it is there in all uses, or in none
                self.sharing.settle(names_of(given) & body.spelling.keys(), body)
        full = [others[0] in record.present for record in records]
        condition = self.control.decided_there(switch, full, body)
        ends: dict[int, Wire] = {}
        taken: list[str] = []

        def path(position: int, within: list[tuple[SplitRecord, Column]]) -> list[Statement]:
            ends[position] = current
            columns = [Column(r.paths[position] or [], column.values) for r, column in within]
            if not any(column.records for column in columns):
                return []
            label = item.labels[position] or f"branch_{position + 1}"
            variable = self.branch_variable(label, body)
            taken.append(variable)
            body.branch_variables.append(variable)
            made, ends[position] = self.plan(item.paths[position], columns, body, current, variable)
            return made

        def merged(within: list[tuple[SplitRecord, Column]]) -> tuple[list[Statement], Wire]:
            wires = [ends[position] for position in sorted(ends)]
            if len(wires) == 1:
                return [Alias(target, wires[0].variable)], Wire(target, wires[0].type)
            outer, body.columns = body.columns, [column for _, column in within]
            nodes = [record.node for record, _ in within]
            merge, wire = self.apply(item.merge, nodes, body, tuple(wires), target)
            body.columns = outer
            return [merge], wire

        statements = [made for position in shared for made in path(position, pairs)]
        target = self.target(item.merge, body, flow)
        body.perhaps += 1
        fewer = [pair for pair, is_full in zip(pairs, full, strict=True) if not is_full]
        otherwise, other = merged(fewer)
        more = [pair for pair, is_full in zip(pairs, full, strict=True) if is_full]
        then = [made for position in others for made in path(position, more)]
        last, one = merged(more)
        body.perhaps -= 1
        # What is added has as many channels as the path that is always there.
        kept = code_of(ends[shared[0]].type.channels)
        if self.speller.holds(kept, (self.types[r.node].channels for r in records), body):
            one = other = Wire(target, ends[shared[0]].type)
        for variable in taken:
            body.branch_variables.remove(variable)
        choice, wire = self.control.chosen(
            condition, ([*then, *last], one), (otherwise, other), records, body
        )
        self.remember(item.merge, body, wire)
        return [*statements, choice], wire

    def perhaps_skipped(
        self,
        item: Split,
        records: list[SplitRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """A residual that has its shortcut in some uses only: an `if` around the merge."""
        given = item.conditions[1]
        assert given is not None
        skips = [1 in record.present for record in records]
        condition = self.control.decided_there(given, skips, body)
        variable = self.branch_variable("shortcut", body)
        body.branch_variables.append(variable)
        columns = list(zip(records, body.columns, strict=True))
        shortcut: list[Statement] = [Alias(variable, current.variable)]
        end = Wire(variable, current.type)
        main = [Column(record.paths[0] or [], column.values) for record, column in columns]
        statements: list[Statement] = []
        kept: Wire | None = None
        if _shares_main_path(item):
            statements, kept = self.plan(item.paths[0], main, body, current, flow)
            shortcut += statements
            statements = []
        if item.paths[1]:
            there = [Column(r.paths[1] or [], c.values) for r, c in columns if 1 in r.present]
            body.perhaps += 1
            made, end = self.plan(item.paths[1], there, body, end, variable)
            body.perhaps -= 1
            shortcut.append(Choose(condition, made, []))
        if kept is None:
            statements, kept = self.plan(item.paths[0], main, body, current, flow)
        body.branch_variables.remove(variable)
        target = self.target(item.merge, body, flow)
        outer = body.columns
        body.columns = [column for record, column in columns if 1 in record.present]
        nodes = [record.node for record in records if 1 in record.present]
        body.perhaps += 1
        merge, wire = self.apply(item.merge, nodes, body, (kept, end), target)
        body.perhaps -= 1
        body.columns = outer
        if code_of(wire.type.channels) != code_of(kept.type.channels):
            self.sharing.give_up(body)
        otherwise: list[Statement] = []
        if kept.variable != target:
            otherwise.append(Alias(target, kept.variable))
        self.remember(item.merge, body, wire)
        return [*shortcut, *statements, Choose(condition, [merge], otherwise)], wire

    def only_path(
        self,
        item: Split,
        position: int,
        records: list[SplitRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """The one path that is left of a split, which needs no merge: items in a row."""
        columns = [
            Column(record.paths[position] or [], column.values)
            for record, column in zip(records, body.columns, strict=True)
        ]
        target = self.target(item.merge, body, flow)
        statements, wire = self.plan(item.paths[position], columns, body, current, target)
        if target not in (wire.variable, flow):  # something refers to it by its name
            statements.append(Alias(target, wire.variable))
            wire = Wire(target, wire.type)
        self.remember(item.merge, body, wire)
        return statements, wire

    def parallel(
        self,
        item: Parallel,
        records: list[ParallelRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """Branches by a loop: its turns gathered in a list, or each written out."""
        loop, op = item.loop, ops.get(item.merge.target)()
        is_open = bool(self.control.turns(loop) & body.spelling.keys())
        if not is_open and all(len(record.ends) == 1 for record in records):
            self.sharing.unroll(loop)
        if id(loop) in self.decisions.unrolled:
            return self.parallel_apart(item, records, body, current, flow)
        if op.name not in self.context.gathering:
            self.sharing.unroll(loop)
        names = ("branch", "branches")
        variables = [self.branch_variable(name, body) for name in names]
        body.branch_variables += variables
        statements, end, together = self.control.gathered(
            item, records, body, current, (variables[0], variables[1])
        )
        for variable in variables:
            body.branch_variables.remove(variable)
        *size, channels = end.type.shape
        if op.infer((end.type, end.type)).channels != channels:  # each adds its own
            channels = together
        elif names_in(code_of(channels)) - body.columns[0].values.keys():
            self.sharing.unroll(loop)
        target = self.target(item.merge, body, flow)
        type_ = TensorType((*size, channels))
        wire = Wire(target, type_)
        self.speller.ensure(wire, [record.node for record in records], body)
        least = 1 if is_open else len(records[0].ends)
        merge = Apply(item.merge.name, op, (variables[1],), (type_,), target, least)
        self.remember(item.merge, body, wire)
        return [*statements, merge], wire

    def parallel_apart(
        self,
        item: Parallel,
        records: list[ParallelRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        """Branches by a loop that is written out: each in a variable of its own."""
        bodies: list[list[Statement]] = []
        ends: list[Wire] = []
        taken: list[str] = []
        turns = [record.turns for record in records]
        target = self.target(item.merge, body, flow)
        for columns in self.control.apart(item.loop, turns, body):
            variable = self.branch_variable(f"branch_{len(bodies) + 1}", body)
            taken.append(variable)
            body.branch_variables.append(variable)
            made, end = self.plan(item.loop.body, columns, body, current, variable)
            bodies.append(made)
            ends.append(end)
        for variable in taken:
            body.branch_variables.remove(variable)
        nodes = [record.node for record in records]
        merge, wire = self.apply(item.merge, nodes, body, tuple(ends), target)
        self.remember(item.merge, body, wire)
        return [Unrolled(bodies), merge], wire

    def branch_variable(self, label: str, body: Body) -> str:
        """A variable for a branch, that no tensor has which something still reads."""
        word, number = label, 2
        while word in body.referenced or body.names.tensor(word) in body.branch_variables:
            word, number = f"{label}_{number}", number + 1
        return body.names.tensor(word)


def _shares_main_path(item: Split) -> bool:
    """Whether a shortcut applies again what stands in the main path of its residual."""
    main = {one.name for one in walk_items(item.paths[0]) if isinstance(one, Call)}
    shares = (one for one in walk_items(item.paths[1]) if isinstance(one, Share))
    return any(one.first in main for one in shares)


def _one_condition(item: Split, records: list[SplitRecord]) -> Value | None:
    """The condition of all paths that are there in some uses only, if it is one and others stay."""
    present = [set(record.present) for record in records]
    always = set.intersection(*present)
    given = [item.conditions[position] for position in sorted(set.union(*present) - always)]
    texts = {value.content.text for value in given
             if value is not None and isinstance(value.content, Expression)}  # fmt: skip
    return given[0] if always and len(texts) == 1 else None


def _kept_number(plan: BlockPlan, position: int, code: str) -> str:
    """The name under which a block keeps the channels of a result for its user."""
    result = "out" if position == 0 else plan.results[position]
    taken = {s.name for s in walk(plan.body) if isinstance(s, Apply | Invoke)}
    taken |= {parameter.name for parameter in plan.parameters}
    name = f"{result}_channels"
    while name in taken or plan.numbers.get(name, code) != code:
        name += "_"
    plan.numbers[name] = code
    return name
