"""Items of a body → statements: calls, conditions, loops and splits, all uses side by side."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xgraph.emit.codes import Unknown, names_in, value_of
from xgraph.emit.composites import generalized, plain_value, text_of
from xgraph.emit.dependence import Dependence, arguments_of
from xgraph.emit.names import NameTable, Scope, class_name
from xgraph.emit.plan import (
    Alias,
    Apply,
    Assign,
    BlockPlan,
    Choose,
    Invoke,
    Measure,
    PlanParameter,
    Repeat,
    Statement,
    Unrolled,
    walk,
)
from xgraph.emit.records import block_calls, outer_nodes
from xgraph.emit.state import (
    FLOW,
    Body,
    Column,
    Columns,
    Decisions,
    Restart,
    Variant,
    VariantKey,
    Wire,
)
from xgraph.emit.symbols import (
    SymbolicInt,
    code_of,
    increase,
    is_symbolic,
)
from xgraph.emit.values import (
    annotation,
    constant_of,
    differ,
    frozen_list,
    has_symbol,
    hashable,
    is_padding,
    is_sides,
    live_value,
    loop_names,
    mentions,
    names_of,
    substitute,
    symbol_for,
    with_channels,
    with_value,
)
from xgraph.ir.elaborated import (
    ConditionRecord,
    Elaborated,
    Instance,
    LoopRecord,
    OpRecord,
    Record,
    SplitRecord,
)
from xgraph.ir.structure import Call, Conditional, Item, Loop, Split, Value
from xgraph.ir.types import TensorType
from xgraph.ops.base import Composite, Op
from xgraph.ops.kinds import is_integer
from xgraph.spec import expressions
from xgraph.spec.expressions import Expression
from xgraph.text import literal


class ItemPlanner:
    """Plans what stands in a class; `xgraph.emit.planner` plans the classes and the model."""

    def __init__(
        self,
        elaborated: Elaborated,
        types: list[TensorType],
        dependence: Dependence,
        decisions: Decisions,
        reserved: frozenset[str],
        spelled: frozenset[str] | None,
    ) -> None:
        self.spelled = spelled
        self.composites: dict[Any, BlockPlan] = {}
        self.root_spelling: dict[str, str] = {}  # the spec's parameters, in the model's own code
        self.elaborated = elaborated
        self.program = elaborated.program
        self.nodes = elaborated.graph.nodes
        self.types = types
        self.dependence = dependence
        self.decisions = decisions
        self.globals = elaborated.parameters
        self.reserved = reserved
        self.class_names = NameTable(reserved)
        self.plans: list[BlockPlan] = []
        self.functions: set[str] = set()
        self.outer_nodes = outer_nodes(elaborated)
        self.variants = self.collect()

    def collect(self) -> dict[VariantKey, Variant]:
        variants: dict[VariantKey, Variant] = {}
        for section in self.elaborated.sections:
            for record in block_calls(section.instance.records):
                instance = record.instance
                key = self.variant_key(instance)
                variant = variants.setdefault(key, Variant(key, instance.block))
                variant.instances.append(instance)
                variant.explicit |= {str(argument.key) for argument in record.item.arguments}
        return variants

    def variant_key(self, instance: Instance) -> VariantKey:
        block = instance.block
        chosen = self.decisions.specialized.get(block.name, set())
        words = tuple(
            (name, hashable(value))
            for name, value in instance.arguments.items()
            if name in chosen or not live_value(value)
        )
        if block.name in self.decisions.by_use:
            return (block.name, words, instance.path)
        shapes = tuple(self.types[i].shape for i in instance.inputs)
        if block.name in self.decisions.by_shape:
            return (block.name, words, shapes)
        return (block.name, words, tuple(len(shape) for shape in shapes))

    def live_parameters(self, variant: Variant) -> list[str]:
        """Parameters that stay arguments of the class."""
        chosen = self.decisions.specialized.get(variant.block.name, set())
        origins = self.dependence.blocks.get(variant.block.name, {})
        live = []
        for parameter in variant.block.parameters:
            values = [instance.arguments[parameter.name] for instance in variant.instances]
            varies = any(differ(value, values[0]) for value in values)
            passed = parameter.default is None or parameter.name in variant.explicit
            follows = origins.get(parameter.name, frozenset()) & self.root_spelling.keys()
            if parameter.name in chosen or not all(live_value(value) for value in values):
                self.fix(follows)
                continue
            if varies or follows or (passed and not isinstance(values[0], bool)):
                live.append(parameter.name)
        return live

    def fix(self, names: Iterable[str]) -> None:
        """Make parameters of the spec constants of the code, which offers them no more."""
        chosen = self.decisions.specialized.setdefault("", set())
        if not chosen.issuperset(names):
            chosen.update(names)
            raise Restart

    def default_code(self, default: Value | None) -> str | None:
        """A parameter's default in the signature, when it is a constant."""
        if default is None or mentions(default):
            return None
        return code_of(frozen_list(constant_of(default)))

    def unroll(self, loop: Loop) -> None:
        if id(loop) not in self.decisions.unrolled:
            self.decisions.unrolled.add(id(loop))
            raise Restart

    def planned(self, variant: Variant) -> BlockPlan:
        """The class of a variant, planned when it is first used."""
        raise NotImplementedError  # what a class is made of, the subclass knows

    def items(
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
                made, current = self.conditional(item, records, body, current, flow)  # type: ignore[arg-type]
            elif isinstance(item, Loop):
                made, current = self.loop(item, records, body, current, flow)  # type: ignore[arg-type]
            else:
                assert isinstance(item, Split)
                made, current = self.split(item, records, body, current, flow)  # type: ignore[arg-type]
            statements += made
        body.columns = outer
        return statements, current

    def source(self, path: str, body: Body) -> Wire:
        block = body.variant.block.name
        local = path[len(block) + 1 :] if path.startswith(f"{block}.") else path
        for name in (path, local):
            if name in body.wires:
                wire = body.wires[name]
                if wire.loop is not None:
                    self.unroll(wire.loop)
                return wire
        node = self.outer_node(path)
        assert node is not None, f"nothing is called '{path}'"
        if node == body.variant.instances[0].inputs[0]:
            return body.wires["input"]
        return body.external[node]

    def outer_node(self, path: str) -> int | None:
        """The node that a path from the top stands for: a section, a node, or a block's call."""
        return self.outer_nodes.get(path)

    def target(self, item: Call, body: Body, flow: str) -> str:
        local = ".".join([item.name, *map(str, body.suffix)])
        if local in body.referenced or item.name in body.referenced:
            return body.names.tensor(local)
        return flow

    def arrive(self, item: Call, body: Body, wire: Wire) -> None:
        body.wires[item.name] = wire
        if body.suffix:
            body.wires[".".join([item.name, *map(str, body.suffix)])] = wire

    def call(
        self,
        item: Call,
        records: list[Record],
        body: Body,
        inputs: tuple[Wire, ...],
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        if item.sources:
            inputs = tuple(self.source(reference.path, body) for reference in item.sources)
        target = self.target(item, body, flow)
        if isinstance(records[0], OpRecord):  # and so are the others, which types do not say
            statement, wire = self.apply(item, [r.node for r in records], body, inputs, target)  # type: ignore[union-attr]
            statements = [statement]
        else:
            instances = [r.instance for r in records]  # type: ignore[union-attr]
            statements, wire = self.invoke(item, instances, body, inputs, target)
        self.arrive(item, body, wire)
        return statements, wire

    def apply(
        self,
        item: Call,
        nodes: list[int],
        body: Body,
        inputs: tuple[Wire, ...],
        target: str,
    ) -> tuple[Statement, Wire]:
        ops = self.symbolic_ops(item, nodes, body)
        op = ops[id(self.nodes[nodes[0]].op)]
        self.unify(op, inputs, body)
        for position, wire in enumerate(inputs):
            self.prove(wire, [self.nodes[node].inputs[position] for node in nodes], body)
        input_types = tuple(wire.type for wire in inputs)
        output = self.output_type(ops, nodes, inputs, body)
        variables = tuple(wire.variable for wire in inputs)
        return self.spell(item.name, op, variables, input_types, target), Wire(target, output)

    def spell(
        self,
        name: str,
        op: Op,
        inputs: tuple[str, ...],
        types: tuple[TensorType, ...],
        target: str,
    ) -> Apply | Invoke:
        """An op as the backend says it: by its name, or a composite one as a class of its steps."""
        if self.spelled_natively(op):
            return Apply(name, op, inputs, types, target)
        assert isinstance(op, Composite)
        general, arguments = generalized(op)
        plan = self.composite(general, types)
        arguments |= {
            parameter.name: code_of(type_.channels)
            for parameter, type_ in zip(plan.parameters, types, strict=False)
            if parameter.implicit
        }
        ordered = {p.name: arguments[p.name] for p in plan.parameters if p.name in arguments}
        return Invoke(name, plan, ordered, inputs, target, op=op)

    def spelled_natively(self, op: Op) -> bool:
        """Whether the backend has a word for an op; a composite one may be a class of its steps."""
        return not isinstance(op, Composite) or self.spelled is None or op.name in self.spelled

    def composite(self, op: Composite, types: tuple[TensorType, ...]) -> BlockPlan:
        """The class of a composite op whose attributes are spelled by their own names."""
        single = len(types) == 1
        inputs = (FLOW,) if single else tuple(f"input_{k}" for k in range(1, len(types) + 1))
        implicit = ("in_channels",) if single else tuple(f"{name}_channels" for name in inputs)
        general = tuple(
            with_channels(type_, SymbolicInt(type_.channels, code))
            for type_, code in zip(types, implicit, strict=True)
        )
        key = (op.name, tuple(type_.rank for type_ in types), text_of(op, general))
        if key in self.composites:
            return self.composites[key]
        attributes = {field.name: field for field in dataclasses.fields(op)}
        scope = Scope(self.reserved | attributes.keys() | set(implicit))
        steps = list(op.resolved(general))
        chain = single and all(step.inputs is None for step, _, _ in steps)
        variables = list(inputs)
        statements: list[Statement] = []
        words: dict[str, str] = {}
        output = general[-1]
        for step, taken, output in steps:  # noqa: B007  # the last one is the composite's
            places = step.inputs or (len(variables) - 1,)
            target = FLOW if chain else scope.tensor(step.name)
            given = tuple(variables[place] for place in places)
            statements.append(self.spell(step.name, step.op, given, taken, target))
            variables.append(target)
            for weight in step.op.weights(taken):
                words[f"{step.name}.{weight.name}"] = step.weights.get(weight.name, weight.name)
        own = [name for name in attributes if is_symbolic(getattr(op, name))]
        plan = BlockPlan(
            name=op.name,
            title=self.class_names.fresh(class_name(op.name)),
            parameters=(
                *(PlanParameter(code, implicit=True) for code in implicit),
                *(
                    PlanParameter(
                        name,
                        annotation=annotation([plain_value(getattr(op, name))]),
                        keyword=attributes[name].default is not dataclasses.MISSING,
                    )
                    for name in own
                ),
            ),
            inputs=inputs,
            body=statements,
            results=(variables[-1],),
            input_types=general,
            result_types=(output,),
            shared=True,
            resizes=True,
            doc=(type(op).__doc__ or op.name).strip().splitlines()[0],
            weight_names=words,
        )
        self.composites[key] = plan
        self.plans.append(plan)
        return plan

    def output_type(
        self, ops: dict[int, Op], nodes: list[int], inputs: tuple[Wire, ...], body: Body
    ) -> TensorType:
        """The symbolic output type; its channels must be spelled alike in every use."""
        spelled: dict[str, TensorType] = {}
        uses = {
            (id(self.nodes[n].op), tuple(self.types[i].shape for i in self.nodes[n].inputs)): None
            for n in nodes
        }
        for own, shapes in uses:
            types = tuple(
                TensorType((*shape[:-1], with_value(wire.type.channels, shape[-1])))
                for shape, wire in zip(shapes, inputs, strict=True)
            )
            given = ops[own].infer(types)
            # Heights and widths are not followed: convolutions take any.
            output = TensorType((*map(int, given.shape[:-1]), given.channels))
            spelled.setdefault(code_of(output.channels), output)
        if len(spelled) > 1:
            self.give_up_sharing(body)
        return next(iter(spelled.values()))

    def give_up_sharing(self, body: Body) -> None:
        """Uses differ in a way that no parameter says.

        Loops are unrolled, then the class is split by the shape of its input, by its parameters'
        values, and at last each use gets a class of its own.
        """
        if body.loops:
            self.unroll(body.loops[-1][0])
        name = body.variant.block.name
        if name not in self.decisions.by_shape:
            self.decisions.by_shape.add(name)
            raise Restart
        self.pin(body.spelling.keys() - self.root_spelling.keys(), body)
        if name in self.program.blocks and name not in self.decisions.by_use:
            self.decisions.by_use.add(name)
            raise Restart
        raise AssertionError(f"'{name or self.program.name}' cannot be written as code")

    def prove(self, wire: Wire, nodes: Iterable[int], body: Body) -> None:
        """Make sure that a wire's channels are spelled rightly for what it is in every use."""
        if not self.holds(
            code_of(wire.type.channels), (self.types[n].channels for n in nodes), body
        ):
            self.give_up_sharing(body)

    def holds(self, code: str, expected: Iterable[Any], body: Body) -> bool:
        """Whether `code` has the expected value in every use of what is being planned."""
        try:
            return all(
                value_of(code, column.values) == frozen_list(value)
                for column, value in zip(body.columns, expected, strict=True)
            )
        except Unknown:
            return False

    def unify(self, op: Op, inputs: tuple[Wire, ...], body: Body) -> None:
        """What is added has equal channels, so an input's channels may be a parameter's."""
        if op.name != "add" or body.variant.key in self.decisions.own_inputs:
            return
        channels = [wire.type.channels for wire in inputs]
        codes = [body.carried.get(code_of(c), code_of(c)) for c in channels]
        for position, name in enumerate(body.variant.block.inputs):
            own = code_of(body.wires[name].type.channels) if name in body.wires else None
            if own in body.spelling.values() or own not in codes:
                continue
            live = {body.spelling[p.name]: p.name for p in body.variant.block.parameters
                    if p.name in body.spelling}  # fmt: skip
            for code in codes:
                if code in live and all(
                    self.types[i.inputs[position]].channels == i.arguments[live[code]]
                    for i in body.variant.instances
                ):
                    names = self.decisions.input_names.setdefault(body.variant.key, {})
                    if position not in names:
                        names[position] = live[code]
                        if body.perhaps:
                            self.decisions.assumed.add(body.variant.key)
                        self.decisions.carried.clear()  # some may not need it any more
                        raise Restart

    def check_assumed(
        self, variant: Variant, arguments: dict[str, str], inputs: tuple[Wire, ...]
    ) -> None:
        """An input that goes by a parameter's name because of code that may not run.

        It must have as many channels in every use, whatever the spec's parameters are.
        """
        assert variant.plan is not None
        own = {parameter.origin: parameter.name for parameter in variant.plan.parameters}
        defaults = {parameter.name: parameter.default for parameter in variant.plan.parameters}
        for position, origin in self.decisions.input_names[variant.key].items():
            name = own[origin]
            if code_of(inputs[position].type.channels) != arguments.get(name, defaults[name]):
                self.decisions.own_inputs.add(variant.key)
                self.decisions.assumed.discard(variant.key)
                del self.decisions.input_names[variant.key]
                raise Restart

    def invoke(
        self,
        item: Call,
        instances: list[Instance],
        body: Body,
        inputs: tuple[Wire, ...],
        target: str,
    ) -> tuple[list[Statement], Wire]:
        keys = {self.variant_key(instance) for instance in instances}
        if len(keys) > 1:
            self.separate(item, instances, body)
        variant = self.variants[keys.pop()]
        plan = self.planned(variant)
        given = {argument.key: argument for argument in item.arguments}
        block = variant.block
        for name in self.decisions.specialized.get(block.name, set()):
            if name in given:  # the class was chosen by this value, so it must not change
                self.pin(names_of(given[name].value) & body.spelling.keys(), body)
        live = set(self.live_parameters(variant))
        codes: dict[str, str] = {}
        arguments: dict[str, str] = {}
        own = {p.origin: p.name for p in plan.parameters}
        # A default is written in the caller's words: the block's parameters before it, the spec's.
        outer = {name: body.spelling[name] for name in self.root_spelling}
        for parameter in block.parameters:
            name = parameter.name
            value = given[name].value if name in given else parameter.default
            assert value is not None
            spell = body.spelling if name in given else {**outer, **codes}
            sample = instances[0].arguments[name]
            codes[name] = self.code(
                value, spell, sample, body.constants if name in given else self.globals
            )
            if name in live and (name in given or self.default_code(parameter.default) is None):
                arguments[own[name]] = codes[name]
                values = [instance.arguments[name] for instance in instances]
                assert self.holds(codes[name], values, body), f"{item.name}: {name}={codes[name]}"
        implicit = [p.name for p in plan.parameters if p.implicit]
        for position, (name, wire) in enumerate(zip(implicit, inputs, strict=True)):
            arguments[name] = code_of(wire.type.channels)
            self.prove(wire, [instance.inputs[position] for instance in instances], body)
        if variant.key in self.decisions.assumed:
            self.check_assumed(variant, arguments, inputs)
        for origin, name in own.items():  # parameters of the spec pass through
            if origin in outer and origin not in live:
                arguments[name] = outer[origin]
        ordered = {p.name: arguments[p.name] for p in plan.parameters if p.name in arguments}
        statement = Invoke(
            item.name, plan, ordered, tuple(wire.variable for wire in inputs), target
        )
        nodes = [instance.output for instance in instances]
        wire, measures = self.received(statement, 0, nodes, body)
        return [statement, *measures], wire

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
            if code is None and self.is_constant(nodes, body):
                self.keep_input_literal(body)
                code = str(values[0])
            if code is None:
                code = body.names.number("channels")
                number = _kept_number(plan, position, code_of(channels))
                measures.append(Measure(code, call.name, number, variable))
                for column, value in zip(body.columns, values, strict=True):
                    column.values[code] = value
            channels = SymbolicInt(values[0], code) if names_in(code) else values[0]
        wire = Wire(variable, TensorType((*shape[:-1], channels)))
        self.prove(wire, nodes, body)
        return wire, measures

    def is_constant(self, nodes: list[int], body: Body) -> bool:
        """Whether the channels of nodes are always as many, in code that is used in one place."""
        once = body.variant.block.name not in self.program.blocks and body.input_is_constant
        follows = frozenset().union(*(self.dependence.widths[node] for node in nodes))
        return once and not follows & self.root_spelling.keys()

    def separate(self, item: Call, instances: list[Instance], body: Body) -> None:
        """One call whose uses need different classes: its surroundings must tell them apart."""
        if body.loops:
            self.unroll(body.loops[-1][0])
        names: set[str] = set()
        for argument in item.arguments:
            values = [instance.arguments[str(argument.key)] for instance in instances]
            if any(differ(value, values[0]) for value in values):
                names |= names_of(argument.value) & body.spelling.keys()
        if names:
            self.pin(names, body)
        self.give_up_sharing(body)

    def pin(self, names: Iterable[str], body: Body) -> None:
        """Make names constants of the code: the class is split by their values."""
        for name in sorted(names):
            for loop, variables in reversed(body.loops):
                if name in variables:
                    self.unroll(loop)
            owner = body.variant.block.name
            if name not in {p.name for p in body.variant.block.parameters}:
                owner = ""  # a parameter of the spec
            chosen = self.decisions.specialized.setdefault(owner, set())
            if name not in chosen:
                chosen.add(name)
                raise Restart

    def conditional(
        self,
        item: Conditional,
        records: list[ConditionRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        outcomes = {record.taken for record in records}
        live = names_of(item.condition) & body.spelling.keys()
        if len(outcomes) == 1:
            self.pin(live, body)  # decided here and now: what decided it may not change later
            taken = outcomes.pop()
            arm = item.then if taken else item.otherwise
            columns = [
                Column(record.records, column.values)
                for record, column in zip(records, body.columns, strict=True)
            ]
            return self.items(arm, columns, body, current, flow)
        for loop, variables in reversed(body.loops):
            if live & variables:
                self.unroll(loop)
        condition = self.code(item.condition, body.spelling, True, body.constants)
        assert self.holds(condition, [record.taken for record in records], body), condition
        arms = []
        for taken in (True, False):
            columns = [
                Column(record.records, column.values)
                for record, column in zip(records, body.columns, strict=True)
                if record.taken is taken
            ]
            arm = item.then if taken else item.otherwise
            body.perhaps += 1
            statements, wire = self.items(arm, columns, body, current, flow)
            body.perhaps -= 1
            if wire.variable != flow:
                statements.append(Alias(flow, wire.variable))
                wire = Wire(flow, wire.type)
            arms.append((statements, wire))
        (then, one), (otherwise, other) = arms
        if current.variable != flow:
            if not otherwise:
                otherwise.append(Alias(flow, current.variable))
            if not then:
                then.append(Alias(flow, current.variable))
        type_ = one.type
        if code_of(one.type.channels) != code_of(other.type.channels):
            carried = body.names.number("channels")
            for record, column in zip(records, body.columns, strict=True):
                column.values[carried] = self.types[record.output].channels
            then.append(Assign(carried, code_of(one.type.channels)))
            otherwise.append(Assign(carried, code_of(other.type.channels)))
            type_ = TensorType((*type_.shape[:-1], SymbolicInt(type_.channels, carried)))
        if not then:
            return [Choose(f"not ({condition})", otherwise, [])], Wire(flow, type_)
        return [Choose(condition, then, otherwise)], Wire(flow, type_)

    def loop(
        self,
        item: Loop,
        records: list[LoopRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        if id(item) in self.decisions.unrolled:
            return self.unrolled(item, records, body, current, flow)
        if not any(record.iterations for record in records):
            self.pin(self.turns(item) & body.spelling.keys(), body)
            return [], current
        iterable, variables, variable_names = self.loop_head(item, records, body)
        assert self.holds(iterable, [self.loop_values(item, r) for r in records], body), iterable
        columns = [
            Column(
                iteration,
                {
                    **column.values,
                    **{
                        variable_names[name]: frozen_list(value)
                        for name, value in bound.items()
                        if name in variable_names
                    },
                },
            )
            for record, column in zip(records, body.columns, strict=True)
            for bound, iteration in zip(record.values, record.iterations, strict=True)
        ]
        saved, known, listed = dict(body.spelling), dict(body.wires), body.listed
        if item.count is None and not loop_names(item) & body.spelling.keys() - body.listed:
            body.listed = body.listed | variable_names.keys()
        body.spelling |= variable_names
        body.loops.append((item, frozenset(variable_names)))
        statements: list[Statement] = []
        shape = current.type.shape
        carried = ""
        if self.varies(records) or id(item) in self.decisions.carried:
            # The channel count changes with an iteration: a variable carries it.
            carried = body.names.number("channels")
            statements.append(Assign(carried, code_of(current.type.channels)))
            self.prove(current, [r.entries[0] if r.entries else r.output for r in records], body)
            entries = [node for record in records for node in record.entries]
            for column, node in zip(columns, entries, strict=True):
                column.values[carried] = self.types[node].channels
            entry = Wire(flow, TensorType((*shape[:-1], SymbolicInt(shape[-1], carried))))
        else:
            entry = Wire(flow, current.type)
        if current.variable != flow:
            statements.append(Alias(flow, current.variable))
        perhaps = bool(self.turns(item) & body.spelling.keys())
        body.perhaps += perhaps
        inner, after = self.items(item.body, columns, body, entry, flow)
        body.perhaps -= perhaps
        result = Wire(flow, after.type)
        if carried:
            inner.append(Assign(carried, code_of(after.type.channels)))
            body.carried[carried] = code_of(after.type.channels)
            for record, column in zip(records, body.columns, strict=True):
                column.values[carried] = self.types[record.output].channels
            channels = self.grown(item, current.type.channels, carried, after.type.channels, body)
            result = Wire(flow, TensorType((*after.type.shape[:-1], channels)))
        elif code_of(entry.type.channels) != code_of(after.type.channels):
            self.keep_input_literal(body)
            self.decisions.carried.add(id(item))
            raise Restart
        body.loops.pop()
        body.spelling, body.listed = saved, listed
        outside = body.columns[0].values.keys() - {carried}
        for name, wire in body.wires.items():  # what the loop alone can spell stays in it
            if wire is not known.get(name) and names_in(code_of(wire.type.channels)) - outside:
                body.wires[name] = dataclasses.replace(wire, loop=item)
        if after.variable != flow:
            inner.append(Alias(flow, after.variable))
        statements.append(Repeat(variables, iterable, inner))
        return statements, result

    def turns(self, item: Loop) -> frozenset[str]:
        """Names that say how often a loop runs."""
        return loop_names(item) if item.count is None else names_of(item.count)

    def grown(self, item: Loop, before: int, carried: str, after: int, body: Body) -> int:
        """Channels after a loop that adds as many in every turn, or what the variable holds."""
        values = body.columns[0].values
        growth = increase(after, carried)
        if item.count is not None and growth is not None:
            known = values.keys() - {carried}
            count = self.code(item.count, body.spelling, 0, body.constants)
            if names_in(code_of(growth)) <= known and names_in(count) <= known:
                return before + SymbolicInt(value_of(count, values), count) * growth
        return SymbolicInt(values[carried], carried)

    def keep_input_literal(self, body: Body) -> None:
        """A section that is given a constant number of channels may just say the number."""
        name = body.variant.block.name
        if body.input_is_constant and name not in self.decisions.literal_inputs:
            self.decisions.literal_inputs.add(name)
            raise Restart

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

    def loop_head(
        self, item: Loop, records: list[LoopRecord], body: Body
    ) -> tuple[str, tuple[str, ...], dict[str, str]]:
        """(iterable, loop variables in code, spec name → code name)."""
        if item.count is not None:
            sample = len(records[0].iterations)
            count = self.code(item.count, body.spelling, sample, body.constants)
            if len({len(r.iterations) for r in records}) > 1 and count.isdigit():
                self.give_up_sharing(body)
            if not item.index:
                return count, (), {}
            variable = body.names.number(item.index)
            return f"range({count})", (variable,), {item.index: variable}
        codes, names = [], {}
        for name, value in item.variables:
            rows = [[bound[name] for bound in record.values] for record in records]
            live = bool(names_of(value) & body.spelling.keys())
            if not live and any(differ(row, rows[0]) for row in rows):
                self.give_up_sharing(body)
            if any(not live_value(v) for row in rows for v in row):
                self.unroll(item)  # words choose code
            codes.append(self.code(value, body.spelling, rows[0], body.constants))
            names[name] = body.names.number(name)
        if len(codes) == 1:
            return codes[0], tuple(names.values()), names
        return f"zip({', '.join(codes)}, strict=True)", tuple(names.values()), names

    def unrolled(
        self,
        item: Loop,
        records: list[LoopRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        counts = {len(record.iterations) for record in records}
        if len(counts) > 1:
            self.pin(loop_names(item) & body.spelling.keys(), body)
            self.give_up_sharing(body)
        self.pin(self.turns(item) & body.spelling.keys(), body)
        bodies: list[list[Statement]] = []
        outer, constants = body.suffix, body.constants
        for index in range(counts.pop()):
            body.suffix = (*outer, index)
            body.constants = {**constants, **records[0].values[index]}
            columns = [
                Column(record.iterations[index], column.values)
                for record, column in zip(records, body.columns, strict=True)
            ]
            made, current = self.items(item.body, columns, body, current, flow)
            bodies.append(made)
        body.suffix, body.constants = outer, constants
        return [Unrolled(bodies)], current

    def split(
        self,
        item: Split,
        records: list[SplitRecord],
        body: Body,
        current: Wire,
        flow: str,
    ) -> tuple[list[Statement], Wire]:
        statements: list[Statement] = []
        conditions = [condition for condition in item.conditions if condition is not None]
        # What decided which branches there are may not change later: it chooses the class.
        self.pin(set().union(*map(names_of, conditions)) & body.spelling.keys(), body)
        present = {record.present for record in records}
        if len(present) > 1:
            self.give_up_sharing(body)
        order = list(present.pop())
        if not records[0].merged:
            return self.only_path(item, order[0], records, body, current, flow)
        ends: dict[int, Wire] = dict.fromkeys(order, current)
        taken: list[str] = []
        if item.residual:  # the shortcut first: the main path then reuses the flow's name
            order.reverse()
        for position in order:
            label = item.labels[position] or f"branch_{position + 1}"
            main = item.residual and position == 0
            variable = flow if main else self.branch_variable(label, body)
            path = item.paths[position]
            columns = [
                Column(record.paths[position] or [], column.values)
                for record, column in zip(records, body.columns, strict=True)
            ]
            empty = not path or not any(column.records for column in columns)
            if not main:
                taken.append(variable)
                body.live_variables.append(variable)
            if empty and not item.residual:
                continue
            if empty:
                statements.append(Alias(variable, current.variable))
                ends[position] = Wire(variable, current.type)
                continue
            made, ends[position] = self.items(path, columns, body, current, variable)
            statements += made
        for variable in taken:
            body.live_variables.remove(variable)
        target = self.target(item.merge, body, flow)
        nodes = [record.node for record in records]
        merge, wire = self.apply(item.merge, nodes, body, tuple(ends.values()), target)
        self.arrive(item.merge, body, wire)
        return [*statements, merge], wire

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
        statements, wire = self.items(item.paths[position], columns, body, current, target)
        if target not in (wire.variable, flow):  # something refers to it by its name
            statements.append(Alias(target, wire.variable))
            wire = Wire(target, wire.type)
        self.arrive(item.merge, body, wire)
        return statements, wire

    def branch_variable(self, label: str, body: Body) -> str:
        """A variable for a branch, that no tensor has which something still reads."""
        word, number = label, 2
        while word in body.referenced or body.names.tensor(word) in body.live_variables:
            word, number = f"{label}_{number}", number + 1
        return body.names.tensor(word)

    # -- symbolic values --------------------------------------------------------------------------

    def symbolic_ops(self, item: Call, nodes: list[int], body: Body) -> dict[int, Op]:
        """Every op that the call became, its attributes spelled with parameters where the author
        did; by the identity of the op that they are spelled for.
        """
        distinct = {id(self.nodes[n].op): self.nodes[n].op for n in nodes}
        spelled: dict[str, str] = {}
        listed: set[str] = set()  # attributes that run over lists which the code writes out
        sides: dict[str, Callable[[Any], Any]] = {}
        for given, argument in arguments_of(self.program, item):
            name = str(argument.key)
            spelling, constants = body.spelling, body.constants
            if not given:  # a default, in the words of the whole spec
                spelling, constants = self.default_spelling(argument.value, body), self.globals
            live = names_of(argument.value) & spelling.keys()
            values = {getattr(op, name) for op in distinct.values()}
            if not live:
                if len(values) > 1:
                    self.give_up_sharing(body)
                continue
            native = self.spelled_natively(next(iter(distinct.values())))
            if native and is_padding(argument.value) and all(map(is_sides, values)):
                sides[name] = functools.partial(
                    self.padding, argument.value, spelling=spelling, constants=constants
                )
                continue
            if not all(has_symbol(name, value) for value in values):
                self.pin(live, body)
                continue
            if live <= body.listed:
                listed.add(name)
            sample = getattr(self.nodes[nodes[0]].op, name)
            spelled[name] = self.code(argument.value, spelling, sample, constants)
        return {
            key: dataclasses.replace(
                op,
                **{
                    name: symbol_for(
                        getattr(op, name),
                        code,
                        frozenset(getattr(other, name) for other in distinct.values())
                        if name in listed
                        else None,
                        self.is_number(code, body),
                    )
                    for name, code in spelled.items()
                },
                **{name: spell(getattr(op, name)) for name, spell in sides.items()},
            )
            for key, op in distinct.items()
        }

    def padding(
        self,
        value: Value,
        sides: tuple[tuple[int, int], tuple[int, int]],
        spelling: dict[str, str],
        constants: Mapping[str, Any],
    ) -> tuple[tuple[int, int], ...]:
        """Explicit padding, each side spelled as the author did."""
        return tuple(
            tuple(  # type: ignore[misc]  # two sides
                SymbolicInt(side, self.code(part, spelling, side, constants))
                if names_of(part) & spelling.keys()
                else side
                for side, part in zip(axis, parts.content, strict=True)
            )
            for axis, parts in zip(sides, value.content, strict=True)
        )

    def is_number(self, code: str, body: Body) -> bool:
        """Whether `code` is one number, rather than a list, wherever it stands."""
        try:
            return all(is_integer(value_of(code, column.values)) for column in body.columns)
        except Unknown:
            return False

    def default_spelling(self, value: Value, body: Body) -> dict[str, str]:
        """How a class says the spec's parameters, those that a name of its own hides left out."""
        hidden = {parameter.name for parameter in body.variant.block.parameters}
        hidden |= {name for _, variables in body.loops for name in variables}
        if shadowed := names_of(value) & self.root_spelling.keys() & hidden:
            self.decisions.specialized.setdefault("", set()).update(shadowed)
            raise Restart
        return {name: code for name, code in body.spelling.items() if name not in hidden}

    def code(
        self, value: Value, spelling: dict[str, str], sample: Any, constants: Mapping[str, Any]
    ) -> str:
        """Python source of a value; names that are not live are written as their values."""
        content = value.content
        if isinstance(content, Expression):
            if not expressions.names(content) & spelling.keys():
                return code_of(frozen_list(sample))
            self.functions |= expressions.functions(content)
            return expressions.to_python(
                content,
                lambda name: spelling.get(name) or code_of(frozen_list(constants[name])),
                literal,
            )
        if isinstance(content, tuple):
            samples = sample if isinstance(sample, list | tuple) else [None] * len(content)
            parts = [
                self.code(part, spelling, known, constants)
                for part, known in zip(content, samples, strict=True)
            ]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if isinstance(content, dict):
            entries = sample if isinstance(sample, dict) else {}
            inner = (
                f"{literal(key)}: {self.code(part, spelling, entries.get(key), constants)}"
                for key, part in content.items()
            )
            return "{" + ", ".join(inner) + "}"
        return code_of(content)


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
