"""Blocks and sections → classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xgraph.emit.codes import names_in
from xgraph.emit.names import Scope, class_name, is_word
from xgraph.emit.plan import (
    Alias,
    Apply,
    Assign,
    BlockPlan,
    Invoke,
    PlanParameter,
    Statement,
    reads,
)
from xgraph.emit.plan import walk as walk_statements
from xgraph.emit.planning.context import Context
from xgraph.emit.planning.items import Items
from xgraph.emit.planning.records import flat
from xgraph.emit.planning.sharing import Sharing
from xgraph.emit.planning.state import FLOW, Body, Column, Variant, Wire
from xgraph.emit.symbols import SymbolicInt, code_of, is_symbolic
from xgraph.emit.values import annotation, constant_of, hashable, mentions, with_channels
from xgraph.ir.elaborated import CallRecord, Instance
from xgraph.ir.structure import Block, Call, Item, Loop, walk
from xgraph.ir.types import TensorType
from xgraph.passes.scope import channels_read
from xgraph.spec.expressions import channels_of


@dataclass(frozen=True)
class _Count:
    """A channel count that a class is told: its name, and what is counted in each use.

    Without nodes the code goes by another name, or says the number itself.
    """

    name: str
    nodes: tuple[int, ...]


class Classes:
    """Plans a class for each variant of a block, and for each section."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.program = context.program
        self.nodes = context.nodes
        self.types = context.types
        self.globals = context.globals
        self.decisions = context.decisions
        self.sharing = Sharing(context)
        self.items = Items(context, self.sharing, self.planned)
        self.speller = self.items.speller

    def planned(self, variant: Variant) -> BlockPlan:
        """The class of a variant, planned when it is first used."""
        if variant.plan is None:
            variant.plan = self.block_plan(variant)
        return variant.plan

    def block_plan(
        self,
        variant: Variant,
        extra: tuple[int, ...] = (),
        external: Mapping[int, Wire] | None = None,
        given: int | None = None,
    ) -> BlockPlan:
        """The class of a block or section.

        Args:
            variant: the uses that share it.
            extra: of a section, the nodes that it hands out besides its output.
            external: of a section, the nodes of others that it reads, as the model holds them.
            given: of a section, the channels that it takes, as the model spells them.
        """
        block, instances = variant.block, variant.instances
        body = self.opened(variant)
        counts = [
            *self.take_inputs(variant, body),
            *(self.take_external(node, wire, body) for node, wire in (external or {}).items()),
        ]
        inputs = [body.wires[name] for name in block.inputs]
        body.input_is_constant = given is not None and not is_symbolic(given)
        body.referenced = self.references(block, extra, instances)
        body.columns = [self.column(instance, counts, body) for instance in instances]
        statements, current = self.open_body(body, inputs[0])
        if self.computes_with(counts[0].name, statements):
            self.sharing.keep_input_literal(body)
        others = [self.handed_out(node, body) for node in extra]
        if block.results:
            current, *others = (self.result(name.path, body) for name in block.results)
            for name, wire in zip(block.results, (current, *others), strict=True):
                nodes = [instance.results[name.path] for instance in instances]
                self.speller.ensure(wire, nodes, body)
        results = [current, *others]
        types = [with_channels(self.types[instances[0].output], current.type.channels)]
        types += [wire.type for wire in others]
        title = class_name(block.name, *self.words_of_variant(variant))
        applied = [*instances, *variant.again]
        shapes = {tuple(self.types[k].shape for k in instance.inputs) for instance in applied}
        plan = BlockPlan(
            name=block.name,
            title=self.context.class_names.fresh(title),
            parameters=self.parameters(variant, counts, body),
            inputs=tuple(wire.variable for wire in (*inputs, *body.external.values())),
            body=statements,
            results=tuple(wire.variable for wire in results),
            input_types=tuple(wire.type for wire in inputs),
            result_types=tuple(types),
            shared=len(shapes) > 1,
            resizes=any(
                self.types[use.inputs[0]].shape[:-1] != self.types[node].shape[:-1]
                for use in applied
                for node in (use.output, *use.results.values())
            ),
            flattens=any(
                self.types[use.output].channels != self.types[use.owner.output].channels
                for use in variant.again
                if use.owner is not None
            ),
            section=not self.program.is_called(block),
            doc=block.doc,
            source=block.source,
            uses=len(applied),
        )
        self.context.plans.append(plan)
        return plan

    def opened(self, variant: Variant) -> Body:
        """The state of a class before its first item: what its parameters are called.

        Parameters of the spec are visible in every block; they arrive as arguments too.
        """
        body = Body(variant, Scope(self.context.reserved))
        body.constants = {**self.globals, **variant.instances[0].arguments}
        hidden = {parameter.name for parameter in variant.block.parameters}
        outer = [name for name in self.context.root_spelling if name not in hidden]
        for name in (*self.sharing.open_parameters(variant), *outer):
            body.spelling[name] = body.names.number(name)
        return body

    def take_inputs(self, variant: Variant, body: Body) -> list[_Count]:
        """Give the inputs their variables and channel counts."""
        block = variant.block
        renamed = self.decisions.input_names.get(variant.key, {})
        literal = variant.key in self.decisions.literal_inputs
        counts = []
        for position, word in enumerate(block.inputs):
            single = len(block.inputs) == 1
            name = body.names.number("in_channels" if single else f"{word}_channels")
            nodes = [instance.inputs[position] for instance in variant.instances]
            *size, channels = self.types[nodes[0]].shape
            counts.append(_Count(name, () if literal or position in renamed else tuple(nodes)))
            if not literal:
                code = body.spelling[renamed[position]] if position in renamed else name
                channels = SymbolicInt(channels, code)
            variable = FLOW if single else body.names.tensor(word)
            body.wires[word] = Wire(variable, TensorType((*size, channels)))
            if word in channels_read(block):
                if is_symbolic(channels):
                    body.spelling[channels_of(word)] = code_of(channels)
                else:
                    body.constants[channels_of(word)] = channels
        body.wires.setdefault("input", body.wires[block.inputs[0]])
        return counts

    def take_external(self, node: int, wire: Wire, body: Body) -> _Count:
        """Give a node of another section its variable and channel count."""
        word = self.export_name(node)
        name = body.names.number(f"{word}_channels".replace(".", "_"))
        *size, channels = self.types[node].shape
        is_open = is_symbolic(wire.type.channels)
        type_ = TensorType((*size, SymbolicInt(channels, name) if is_open else channels))
        body.external[node] = Wire(body.names.tensor(word), type_)
        return _Count(name, (node,) if is_open else ())

    def column(self, instance: Instance, counts: list[_Count], body: Body) -> Column:
        """One use of a class, with the values of its parameters."""
        use = body.variant.instances.index(instance)
        values = self.speller.spelled_values(body, instance)
        for count in counts:
            if count.nodes:
                node = count.nodes[use if len(count.nodes) > 1 else 0]
                values[count.name] = self.types[node].channels
        return Column(instance.records, values)

    def handed_out(self, node: int, body: Body) -> Wire:
        """A node that a section hands out besides its output."""
        return self.result(self.local_name(node, body.variant.instances[0]), body)

    def result(self, name: str, body: Body) -> Wire:
        """What goes by a name in a class, for who uses it."""
        wire = body.wires.get(name)
        assert wire is not None, f"{name} is not at hand"
        if wire.loop is not None:
            self.sharing.unroll(wire.loop)
        return wire

    def parameters(
        self, variant: Variant, counts: list[_Count], body: Body
    ) -> tuple[PlanParameter, ...]:
        """Channel counts, the block's own parameters and the spec's, those with defaults last."""
        block, instances = variant.block, variant.instances
        defaults = {parameter.name: parameter.default for parameter in block.parameters}
        found = [PlanParameter(count.name, implicit=True) for count in counts]
        for name, code in body.own_spelling.items():
            if name in defaults:
                kind = annotation([instance.arguments[name] for instance in instances])
                default = self.speller.default_code(defaults[name])
                keyword = defaults[name] is not None
                found.append(PlanParameter(code, default, False, kind, keyword, name))
            else:
                kind = annotation([self.globals[name]])
                found.append(PlanParameter(code, annotation=kind, origin=name))
        return tuple(sorted(found, key=lambda parameter: parameter.default is not None))

    def computes_with(self, name: str, statements: list[Statement]) -> bool:
        """Whether numbers are computed with a channel count, rather than passed on as they are."""
        codes: set[str] = set()
        for statement in walk_statements(statements):
            if isinstance(statement, Assign):
                codes.add(statement.code)
            elif isinstance(statement, Invoke):
                codes.update(statement.arguments.values())
            elif isinstance(statement, Apply):
                codes.update(code_of(type_.channels) for type_ in statement.input_types)
        return any(code != name and name in names_in(code) for code in codes)

    def open_body(self, body: Body, entry: Wire) -> tuple[list[Statement], Wire]:
        """All items of a class."""
        kept = "input" in body.referenced and body.variant.block.inputs == ("input",)
        if kept:
            body.wires["input"] = Wire("inputs", entry.type)
        inner, current = self.items.plan(body.variant.block.body, body.columns, body, entry, FLOW)
        # What refers to it may have been decided away.
        if kept and "inputs" in {current.variable, *reads(inner)}:
            return [Alias("inputs", entry.variable), *inner], current
        return inner, current

    def words_of_variant(self, variant: Variant) -> list[str]:
        """What tells this class from the other variants of its block, in its name.

        Texts that are no words are left out, so that numbers tell the variants apart.
        """
        others = [v for v in self.sharing.variants.values() if v.block is variant.block]
        if len(others) < 2 or variant.key[0] != variant.block.name:
            return []
        parts: list[str] = []
        for name, value in variant.key[1]:
            if any(dict(other.key[1]).get(name) != value for other in others):
                default = next(p.default for p in variant.block.parameters if p.name == name)
                if (
                    default is not None
                    and not mentions(default)
                    and value == hashable(constant_of(default))
                ):
                    continue  # the plain form keeps the plain name
                if value and value[0] == "str" and is_word(value[1]):
                    parts.append(value[1])
        return parts

    def references(
        self, block: Block, extra: tuple[int, ...], instances: list[Instance]
    ) -> frozenset[str]:
        """Local names that something later in the block refers to."""
        found = {ref.path for item in walk(block.body) for ref in item.sources}
        found |= {result.path for result in block.results}
        found |= {self.local_name(node, instances[0]) for node in extra}
        prefix = f"{block.name}."
        found |= {path[len(prefix) :] for path in found if path.startswith(prefix)}
        entry = instances[0].inputs[0]
        if not self.program.is_called(block) and any(
            self.items.outer_node(path) == entry for path in found
        ):
            found.add("input")
        for path in list(found):
            head, *rest = path.split(".")
            if rest and rest[0].isdigit():
                self.unroll_containing(block.body, head)
        return frozenset(found)

    def local_name(self, node: int, instance: Instance) -> str:
        """What a node is called in the block or section that it is in."""
        name = self.nodes[node].name
        local = name[len(instance.path) + 1 :] if instance.path else name
        if self.nodes[node].name in {"input"}:
            return "input"
        # The output of a block called here goes by the call's name.
        for record in flat(instance.records):
            if not isinstance(record, CallRecord):
                continue
            path = record.instance.path
            called = path[len(instance.path) + 1 :] if instance.path else path
            if record.instance.output == node:
                return called
            for name, result in record.instance.results.items():
                if result == node:
                    return f"{called}.{name}"
        return local

    def unroll_containing(self, items: tuple[Item, ...], name: str) -> None:
        """An iteration picked out by its index needs its loop written out."""
        for item in walk(items):
            if isinstance(item, Loop) and any(
                isinstance(inner, Call) and inner.name == name for inner in walk(item.body)
            ):
                self.sharing.unroll(item)

    def export_name(self, node: int) -> str:
        """The variable for an exported node: the output that it is, or the path of its giver."""
        sections = self.context.elaborated.sections
        names = {record.section.name for record in sections}
        for output in self.context.elaborated.graph.outputs:
            if output.node == node and output.name not in names:
                return output.name
        for record in sections:
            if record.instance.output == node and record.section.name:
                return record.section.name
            if record.instance.first <= node < record.instance.last:
                for inner in flat(record.instance.records):
                    if isinstance(inner, CallRecord) and inner.instance.output == node:
                        return inner.instance.path
        return self.nodes[node].name
