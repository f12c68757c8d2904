"""Elaborated program → code plan.

Every use of a block was elaborated separately; here they are read side by side, item by item, and
become one class again. What is the same in all uses is written as a constant, what the author
spelled with a parameter is written with it, and channel counts are carried along symbolically.

Where one class cannot say it, a *decision* is taken and planning starts again: a parameter that
changes the code itself (a word such as `padding`, a folded condition) splits its block into
variants, one class each; a loop whose iterations differ in kind is unrolled; an input whose
channels must equal a parameter takes that parameter's name. Decisions only accumulate, so this
ends; the usual spec needs none.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xgraph.emit.codes import Unknown, names_in, value_of
from xgraph.emit.names import NameTable, class_name, safe_name
from xgraph.emit.plan import (
    Alias,
    Apply,
    Assign,
    BlockPlan,
    Choose,
    Invoke,
    ModelPlan,
    PlanParameter,
    Repeat,
    Statement,
    Unrolled,
)
from xgraph.emit.symbols import (
    SymbolicBool,
    SymbolicFloat,
    SymbolicInt,
    SymbolicPair,
    code_of,
    is_symbolic,
)
from xgraph.ir.elaborated import (
    CallRecord,
    ConditionRecord,
    Elaborated,
    Instance,
    LoopRecord,
    OpRecord,
    Record,
    SplitRecord,
)
from xgraph.ir.structure import Argument, Block, Call, Conditional, Item, Loop, Split, Value, walk
from xgraph.ir.types import TensorType
from xgraph.ops.base import Composite, Op
from xgraph.ops.kinds import is_integer
from xgraph.spec import expressions
from xgraph.spec.expressions import Expression

VariantKey = tuple[Any, ...]

#: Attributes that say whether an op has a weight; every framework takes them as arguments.
_WEIGHT_SWITCHES = frozenset({"bias", "scale", "center"})
#: The variable that flows through a body.
FLOW = "x"


def plan_model(
    elaborated: Elaborated,
    types: list[TensorType],
    reserved: frozenset[str] = frozenset(),
    spelled: frozenset[str] | None = None,
) -> ModelPlan:
    """The code plan of a program.

    Args:
        elaborated: the program and its graph.
        types: output type of every node.
        reserved: names that the backend's code already uses.
        spelled: ops that the backend has a spelling for; a composite op without one becomes a
            class of its steps. None: all ops.
    """
    decisions = _Decisions()
    while True:
        planner = _Planner(elaborated, types, decisions, reserved, spelled)
        try:
            return planner.model()
        except _Restart:
            continue


class _Restart(Exception):  # a signal, not an error
    """A decision was added."""


@dataclass
class _Decisions:
    """What earlier rounds of planning found out; a block is known by name, a loop by identity."""

    specialized: dict[str, set[str]] = field(default_factory=dict)  # parameters, by block
    by_shape: set[str] = field(default_factory=set)  # blocks with a class for each input shape
    unrolled: set[int] = field(default_factory=set)  # loops written out
    carried: set[int] = field(default_factory=set)  # loops that carry their channels in a variable
    input_names: dict[VariantKey, dict[int, str]] = field(default_factory=dict)


@dataclass
class _Variant:
    """Uses of one block that share a class."""

    key: VariantKey
    block: Block
    instances: list[Instance] = field(default_factory=list)
    explicit: set[str] = field(default_factory=set)
    plan: BlockPlan | None = None


@dataclass(frozen=True)
class _Wire:
    """A variable and the symbolic type of what it holds.

    `loop` is one that has ended, when the type is spelled with what only that loop knows.
    """

    variable: str
    type: TensorType
    loop: Loop | None = None


@dataclass
class _Column:
    """One use of the code being planned, or one iteration of one: what its items became there.

    `values` are those of the names that stand in the code.
    """

    records: list[Record]
    values: dict[str, Any]


Columns = list[_Column]


class _Body:
    """State while one class is planned."""

    def __init__(self, variant: _Variant, names: NameTable) -> None:
        self.variant = variant
        self.names = names
        self.spelling: dict[str, str] = {}  # live name → Python source
        self.constants: dict[str, Any] = {}  # value of every other name in sight
        self.loops: list[tuple[Loop, frozenset[str]]] = []  # rolled loops around here
        self.suffix: tuple[int, ...] = ()  # indices of unrolled loops around here
        self.wires: dict[str, _Wire] = {}  # named nodes that are referred to later
        self.referenced: frozenset[str] = frozenset()
        self.live_variables: list[str] = []
        self.splits = 0
        self.external: dict[int, _Wire] = {}  # nodes of other sections that this one reads
        self.carried: dict[str, str] = {}  # variable of a loop → channels after an iteration
        self.columns: Columns = []  # the uses of the code that is being planned


class _Planner:
    def __init__(
        self,
        elaborated: Elaborated,
        types: list[TensorType],
        decisions: _Decisions,
        reserved: frozenset[str],
        spelled: frozenset[str] | None,
    ) -> None:
        self.spelled = spelled
        self.composites: dict[Any, BlockPlan] = {}
        self.elaborated = elaborated
        self.program = elaborated.program
        self.nodes = elaborated.graph.nodes
        self.types = types
        self.decisions = decisions
        self.globals = elaborated.parameters
        self.class_names = NameTable(reserved)
        self.plans: list[BlockPlan] = []
        self.functions: set[str] = set()
        self.calls: dict[int, Call] = {}
        self.outer_nodes = _outer_nodes(elaborated)
        self.variants = self.collect()

    # -- collecting uses --------------------------------------------------------------------------

    def collect(self) -> dict[VariantKey, _Variant]:
        variants: dict[VariantKey, _Variant] = {}
        for section in self.elaborated.sections:
            for record in _calls(section.instance.records):
                instance = record.instance
                key = self.variant_key(instance)
                variant = variants.setdefault(key, _Variant(key, instance.block))
                variant.instances.append(instance)
                variant.explicit |= {str(argument.key) for argument in record.item.arguments}
        return variants

    def variant_key(self, instance: Instance) -> VariantKey:
        block = instance.block
        chosen = self.decisions.specialized.get(block.name, set())
        words = tuple(
            (name, _hashable(value))
            for name, value in instance.arguments.items()
            if name in chosen or not _live_value(value)
        )
        shapes = tuple(self.types[i].shape for i in instance.inputs)
        if block.name in self.decisions.by_shape:
            return (block.name, words, shapes)
        return (block.name, words, tuple(len(shape) for shape in shapes))

    # -- the model --------------------------------------------------------------------------------

    def model(self) -> ModelPlan:
        program = self.program
        title = self.class_names.fresh(class_name(program.name))
        live = [
            name
            for name, value in self.globals.items()
            if _live_value(value) and not isinstance(value, bool)
            and name not in self.decisions.specialized.get("", set())
        ]  # fmt: skip
        first = self.elaborated.sections[0].instance.inputs[0]
        root_block = Block(name="", body=(), span=program.span)
        root = _Body(_Variant(("",), root_block), NameTable())
        root.spelling = {name: safe_name(name) for name in live}
        root.constants = dict(self.globals)
        exports = self.exports()
        body: list[Statement] = []
        current = _Wire(FLOW, self.types[0])
        held: dict[int, _Wire] = {0: current, first: current}
        if self.input_is_kept():
            body.append(Alias("inputs", FLOW))
            held[0] = _Wire("inputs", self.types[0])
        kept = self.kept_sections()
        self.root_spelling = root.spelling
        for record in self.elaborated.sections:
            instance = record.instance
            entry = instance.inputs[0]
            if entry not in held:
                held[entry] = current
            wire = held[entry]
            if not record.section.name:
                root.columns = [_Column(instance.records, self.spelled_values(root))]
                inner = self.section_body(instance, root, exports.get(id(instance), ()))
                inner_body, current, extra = inner
                body += inner_body
                held.update(extra)
                held[instance.output] = current
                continue
            plan, extra_nodes, external = self.section(
                record.section.block, instance, wire, exports, live
            )
            target = safe_name(record.section.name) if instance.output in kept else FLOW
            names = tuple(safe_name(self.export_name(node)) for node in extra_nodes)
            inputs = (wire.variable, *(held[node].variable for node in external))
            arguments = {
                p.name: root.spelling[p.origin] if p.origin else code_of(wire.type.channels)
                for p in plan.parameters
            }
            body.append(
                Invoke(
                    name=record.section.name,
                    callee=plan,
                    arguments=arguments,
                    inputs=inputs,
                    target=target,
                    extra_targets=names,
                )
            )
            shape = self.types[instance.output].shape
            root.columns = [_Column(instance.records, self.spelled_values(root))]
            channels = self.result_channels(plan, arguments, [instance], root)
            current = _Wire(target, TensorType((*shape[:-1], channels)))
            held[instance.output] = current
            for node, name in zip(extra_nodes, names, strict=True):
                held[node] = _Wire(name, self.types[node])
        outputs = self.elaborated.graph.outputs
        results = tuple(held[output.node].variable for output in outputs)
        parameters = tuple(
            PlanParameter(
                root.spelling[name],
                default=code_of(_frozen_list(self.globals[name])),
                annotation=_annotation([self.globals[name]]),
            )
            for name in live
        )
        plan = BlockPlan(
            name=program.name,
            title=title,
            parameters=parameters,
            inputs=(FLOW,),
            body=body,
            results=results,
            input_types=(self.types[0],),
            output_type=self.types[outputs[0].node],
            doc=program.doc,
            source=program.source,
        )
        return ModelPlan(
            plan, self.plans, tuple(output.name for output in outputs), frozenset(self.functions)
        )

    def kept_sections(self) -> set[int]:
        """Outputs of sections that are read by something other than the next section."""
        kept: set[int] = set()
        sections = self.elaborated.sections
        after = {
            record.instance.output: sections[i + 1].instance if i + 1 < len(sections) else None
            for i, record in enumerate(sections)
        }
        flow_end = sections[-1].instance.output
        for record in sections:
            for node in self.reads(record.instance):
                if node in after and after[node] is not record.instance:
                    kept.add(node)
        for output in self.elaborated.graph.outputs:
            if output.node in after and output.node != flow_end:
                kept.add(output.node)
        return kept

    def input_is_kept(self) -> bool:
        """Whether the model's input is read after the first section has made something of it."""
        later = self.elaborated.sections[1:]
        return any(output.node == 0 for output in self.elaborated.graph.outputs) or any(
            0 in self.reads(record.instance) for record in later
        )

    def reads(self, instance: Instance) -> set[int]:
        """Nodes outside a section that it reads."""
        found = set(instance.inputs)
        for node in range(instance.first, instance.last):
            found.update(i for i in self.nodes[node].inputs if i < instance.first)
        return found

    def exports(self) -> dict[int, tuple[int, ...]]:
        """Per section: its inner nodes that other sections or the outputs read."""
        outside: set[int] = {output.node for output in self.elaborated.graph.outputs}
        for record in self.elaborated.sections:
            outside |= self.reads(record.instance)
        result: dict[int, tuple[int, ...]] = {}
        for record in self.elaborated.sections:
            instance = record.instance
            inner = sorted(
                n for n in outside if instance.first <= n < instance.last and n != instance.output
            )
            result[id(instance)] = tuple(inner)
        return result

    def export_name(self, node: int) -> str:
        """The variable for an exported node: its local name, unique in the model."""
        return self.nodes[node].name.replace(".", "_")

    def section(
        self,
        block: Block,
        instance: Instance,
        wire: _Wire,
        exports: dict[int, tuple[int, ...]],
        live: list[str],
    ) -> tuple[BlockPlan, tuple[int, ...], tuple[int, ...]]:
        """The class of a section, the nodes it hands out besides its output, and those it reads."""
        variant = _Variant(("section", block.name), block, [instance])
        extra = exports.get(id(instance), ())
        external = tuple(sorted(self.reads(instance) - set(instance.inputs)))
        plan = self.block_plan(variant, extra=extra, external=external)
        return plan, extra, external

    def section_body(
        self, instance: Instance, root: _Body, extra: tuple[int, ...]
    ) -> tuple[list[Statement], _Wire, dict[int, _Wire]]:
        """A graph without sections is the model's own body."""
        root.referenced = self.references(instance.block, extra, [instance])
        entry = _Wire(FLOW, self.types[instance.inputs[0]])
        root.wires = {"input": entry}
        root.variant = _Variant(("",), instance.block, [instance])
        body, current = self.open_body(root, entry)
        held = {node: root.wires[self.local_name(node, instance)] for node in extra}
        return body, current, held

    # -- one class --------------------------------------------------------------------------------

    def planned(self, variant: _Variant) -> BlockPlan:
        if variant.plan is None:
            variant.plan = self.block_plan(variant)
        return variant.plan

    def block_plan(
        self, variant: _Variant, extra: tuple[int, ...] = (), external: tuple[int, ...] = ()
    ) -> BlockPlan:
        block, instances = variant.block, variant.instances
        live = self.live_parameters(variant)
        names = NameTable()
        body = _Body(variant, names)
        body.constants = {**self.globals, **instances[0].arguments}
        for name in live:
            body.spelling[name] = names.fresh(safe_name(name))
        # Parameters of the spec are visible in every block; they arrive as arguments too.
        own = {parameter.name for parameter in block.parameters}
        global_names = [name for name in self.root_spelling if name not in own]
        for name in global_names:
            body.spelling[name] = names.fresh(self.root_spelling[name])
        renamed = self.decisions.input_names.get(variant.key, {})
        wires, implicit, own_codes = [], [], []
        for position, _ in enumerate(block.inputs):
            shape = self.types[instances[0].inputs[position]].shape
            single = len(block.inputs) == 1
            label = "in_channels" if single else f"{block.inputs[position]}_channels"
            code = names.fresh(label)
            implicit.append(PlanParameter(code, implicit=True))
            code = body.spelling[renamed[position]] if position in renamed else code
            variable = FLOW if single else safe_name(block.inputs[position])
            channels = SymbolicInt(shape[-1], code)
            own_codes.append(code)
            wires.append(_Wire(variable, TensorType((*shape[:-1], channels))))
        body.wires = dict(zip(block.inputs, wires, strict=True))
        body.wires.setdefault("input", wires[0])
        for node in external:
            name = self.export_name(node)
            body.external[node] = _Wire(safe_name(name), self.types[node])
        body.referenced = self.references(block, extra, instances)
        body.columns = [
            _Column(
                instance.records,
                {
                    **self.spelled_values(body, instance),
                    **{
                        code: self.types[node].channels
                        for code, node in zip(own_codes, instance.inputs, strict=True)
                        if code not in body.spelling.values()
                    },
                },
            )
            for instance in instances
        ]
        statements, current = self.open_body(body, wires[0])
        results: tuple[str, ...] = (current.variable,)
        for node in extra:
            wire = body.wires.get(self.local_name(node, instances[0]))
            assert wire is not None, f"{self.nodes[node].name} is not at hand"
            results += (wire.variable,)
        first = instances[0]
        defaults = {p.name: p.default for p in block.parameters}
        parameters = [
            *implicit,
            *(
                PlanParameter(
                    body.spelling[name],
                    default=self.default_code(defaults[name]),
                    annotation=_annotation([i.arguments[name] for i in instances]),
                    keyword=defaults[name] is not None,
                    origin=name,
                )
                for name in live
            ),
            *(
                PlanParameter(
                    body.spelling[name],
                    annotation=_annotation([self.globals[name]]),
                    origin=name,
                )
                for name in global_names
            ),
        ]
        shapes = {tuple(self.types[i].shape for i in instance.inputs) for instance in instances}
        suffix = self.variant_suffix(variant)
        plan = BlockPlan(
            name=block.name,
            title=self.class_names.fresh(class_name(block.name) + suffix),
            parameters=tuple(sorted(parameters, key=lambda p: p.default is not None)),
            inputs=(
                *(wire.variable for wire in wires),
                *(w.variable for w in body.external.values()),
            ),
            body=statements,
            results=results,
            input_types=tuple(wire.type for wire in wires),
            output_type=_with_channels(self.types[first.output], current.type.channels),
            shared=len(shapes) > 1,
            resizes=any(
                self.types[i.inputs[0]].shape[:-1] != self.types[i.output].shape[:-1]
                for i in instances
            ),
            section=block.name not in self.program.blocks,
            doc=block.doc,
            source=block.source,
            uses=len(instances),
        )
        self.plans.append(plan)
        return plan

    def spelled_values(self, body: _Body, instance: Instance | None = None) -> dict[str, Any]:
        """Values of the parameters that stand in the code of a class, in one use of it."""
        arguments = self.globals if instance is None else {**self.globals, **instance.arguments}
        return {code: _frozen_list(arguments[name]) for name, code in body.spelling.items()}

    def open_body(self, body: _Body, entry: _Wire) -> tuple[list[Statement], _Wire]:
        statements: list[Statement] = []
        if "input" in body.referenced and body.variant.block.inputs == ("input",):
            statements.append(Alias("inputs", entry.variable))
            body.wires["input"] = _Wire("inputs", entry.type)
        inner, current = self.items(body.variant.block.body, body.columns, body, entry, FLOW)
        return statements + inner, current

    def live_parameters(self, variant: _Variant) -> list[str]:
        """Parameters that stay arguments of the class."""
        chosen = self.decisions.specialized.get(variant.block.name, set())
        live = []
        for parameter in variant.block.parameters:
            values = [instance.arguments[parameter.name] for instance in variant.instances]
            varies = any(_differ(value, values[0]) for value in values)
            passed = parameter.default is None or parameter.name in variant.explicit
            if parameter.name in chosen or not all(_live_value(value) for value in values):
                continue
            if varies or (passed and not isinstance(values[0], bool)):
                live.append(parameter.name)
        return live

    def variant_suffix(self, variant: _Variant) -> str:
        """What tells this class from the other variants of its block, in its name."""
        others = [v for v in self.variants.values() if v.block is variant.block]
        if len(others) < 2 or variant.key[0] != variant.block.name:
            return ""
        parts = []
        for name, value in variant.key[1]:
            if any(dict(other.key[1]).get(name) != value for other in others):
                default = next(p.default for p in variant.block.parameters if p.name == name)
                if (
                    default is not None
                    and not _mentions(default)
                    and value == _hashable(_constant(default))
                ):
                    continue  # the plain form keeps the plain name
                if value[0] == "str":
                    parts.append(class_name(value[1]))
        return "".join(parts)

    def default_code(self, default: Value | None) -> str | None:
        """A parameter's default in the signature, when it is a constant."""
        if default is None or _mentions(default):
            return None
        return code_of(_frozen_list(_constant(default)))

    def references(
        self, block: Block, extra: tuple[int, ...], instances: list[Instance]
    ) -> frozenset[str]:
        """Local names that something later in the block refers to."""
        found = {ref.path for item in walk(block.body) for ref in item.sources}
        found |= {self.local_name(node, instances[0]) for node in extra}
        prefix = f"{block.name}."
        found |= {path[len(prefix) :] for path in found if path.startswith(prefix)}
        entry = instances[0].inputs[0]
        if block.name not in self.program.blocks and any(
            self.outer_node(path) == entry for path in found
        ):
            found.add("input")
        for path in list(found):
            head, *rest = path.split(".")
            if rest and all(part.isdigit() for part in rest):
                self.unroll_containing(block.body, head)
        return frozenset(found)

    def local_name(self, node: int, instance: Instance) -> str:
        name = self.nodes[node].name
        local = name[len(instance.path) + 1 :] if instance.path else name
        if self.nodes[node].name in {"input"}:
            return "input"
        # The output of a block called here goes by the call's name.
        for record in _flat(instance.records):
            if isinstance(record, CallRecord) and record.instance.output == node:
                path = record.instance.path
                return path[len(instance.path) + 1 :] if instance.path else path
        return local

    def unroll_containing(self, items: tuple[Item, ...], name: str) -> None:
        """An iteration picked out by its index needs its loop written out."""
        for item in walk(items):
            if isinstance(item, Loop) and any(
                isinstance(inner, Call) and inner.name == name for inner in walk(item.body)
            ):
                self.unroll(item)

    def unroll(self, loop: Loop) -> None:
        if id(loop) not in self.decisions.unrolled:
            self.decisions.unrolled.add(id(loop))
            raise _Restart

    # -- items ------------------------------------------------------------------------------------

    def items(
        self, items: tuple[Item, ...], columns: Columns, body: _Body, current: _Wire, flow: str
    ) -> tuple[list[Statement], _Wire]:
        """Statements for a body, given what each use of it elaborated to."""
        statements: list[Statement] = []
        outer, body.columns = body.columns, columns
        for position, item in enumerate(items):
            records = [column.records[position] for column in columns]
            if item.sources and not isinstance(item, Call):
                current = self.source(item.sources[0].path, body)
            if isinstance(item, Call):
                made, current = self.call(item, records, body, (current,), flow)
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

    def source(self, path: str, body: _Body) -> _Wire:
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

    def target(self, item: Call, body: _Body, flow: str) -> str:
        local = ".".join([item.name, *map(str, body.suffix)])
        if local in body.referenced or item.name in body.referenced:
            return safe_name(local.replace(".", "_"))
        return flow

    def arrive(self, item: Call, body: _Body, wire: _Wire) -> None:
        body.wires[item.name] = wire
        if body.suffix:
            body.wires[".".join([item.name, *map(str, body.suffix)])] = wire

    def call(
        self,
        item: Call,
        records: list[Record],
        body: _Body,
        inputs: tuple[_Wire, ...],
        flow: str,
    ) -> tuple[list[Statement], _Wire]:
        if item.sources:
            inputs = tuple(self.source(reference.path, body) for reference in item.sources)
        target = self.target(item, body, flow)
        if isinstance(records[0], OpRecord):
            statement, wire = self.apply(item, [r.node for r in records], body, inputs, target)  # type: ignore[union-attr]
        else:
            instances = [r.instance for r in records]  # type: ignore[union-attr]
            statement, wire = self.invoke(item, instances, body, inputs, target)
        self.arrive(item, body, wire)
        return [statement], wire

    def apply(
        self,
        item: Call,
        nodes: list[int],
        body: _Body,
        inputs: tuple[_Wire, ...],
        target: str,
    ) -> tuple[Statement, _Wire]:
        ops = self.symbolic_ops(item, nodes, body)
        op = ops[id(self.nodes[nodes[0]].op)]
        self.unify(op, inputs, body)
        for position, wire in enumerate(inputs):
            self.prove(wire, [self.nodes[node].inputs[position] for node in nodes], body)
        input_types = tuple(wire.type for wire in inputs)
        output = self.output_type(ops, nodes, inputs, body)
        variables = tuple(wire.variable for wire in inputs)
        return self.spell(item.name, op, variables, input_types, target), _Wire(target, output)

    def spell(
        self,
        name: str,
        op: Op,
        inputs: tuple[str, ...],
        types: tuple[TensorType, ...],
        target: str,
    ) -> Apply | Invoke:
        """An op as the backend says it: by its name, or a composite one as a class of its steps."""
        if not isinstance(op, Composite) or self.spelled is None or op.name in self.spelled:
            return Apply(name, op, inputs, types, target)
        general, arguments = _generalized(op)
        plan = self.composite(general, types)
        arguments |= {
            parameter.name: code_of(type_.channels)
            for parameter, type_ in zip(plan.parameters, types, strict=False)
            if parameter.implicit
        }
        ordered = {p.name: arguments[p.name] for p in plan.parameters if p.name in arguments}
        return Invoke(name, plan, ordered, inputs, target)

    def composite(self, op: Composite, types: tuple[TensorType, ...]) -> BlockPlan:
        """The class of a composite op whose attributes are spelled by their own names."""
        single = len(types) == 1
        inputs = (FLOW,) if single else tuple(f"input_{k}" for k in range(1, len(types) + 1))
        implicit = ("in_channels",) if single else tuple(f"{name}_channels" for name in inputs)
        general = tuple(
            _with_channels(type_, SymbolicInt(type_.channels, code))
            for type_, code in zip(types, implicit, strict=True)
        )
        key = (op.name, tuple(type_.rank for type_ in types), _text_of(op, general))
        if key in self.composites:
            return self.composites[key]
        steps = list(op.resolved(general))
        chain = single and all(step.inputs is None for step, _, _ in steps)
        variables = list(inputs)
        statements: list[Statement] = []
        words: dict[str, str] = {}
        output = general[-1]
        for step, taken, output in steps:  # noqa: B007  # the last one is the composite's
            places = step.inputs or (len(variables) - 1,)
            target = FLOW if chain else safe_name(step.name)
            given = tuple(variables[place] for place in places)
            statements.append(self.spell(step.name, step.op, given, taken, target))
            variables.append(target)
            for weight in step.op.weights(taken):
                words[f"{step.name}.{weight.name}"] = step.weights.get(weight.name, weight.name)
        attributes = {field.name: field for field in dataclasses.fields(op)}
        own = [name for name in attributes if is_symbolic(getattr(op, name))]
        plan = BlockPlan(
            name=op.name,
            title=self.class_names.fresh(class_name(op.name)),
            parameters=(
                *(PlanParameter(code, implicit=True) for code in implicit),
                *(
                    PlanParameter(
                        name,
                        annotation=_annotation([_plain_value(getattr(op, name))]),
                        keyword=attributes[name].default is not dataclasses.MISSING,
                    )
                    for name in own
                ),
            ),
            inputs=inputs,
            body=statements,
            results=(variables[-1],),
            input_types=general,
            output_type=output,
            shared=True,
            resizes=True,
            doc=(type(op).__doc__ or op.name).strip().splitlines()[0],
            weight_names=words,
        )
        self.composites[key] = plan
        self.plans.append(plan)
        return plan

    def output_type(
        self, ops: dict[int, Op], nodes: list[int], inputs: tuple[_Wire, ...], body: _Body
    ) -> TensorType:
        """The symbolic output type; its channels must be spelled alike in every use."""
        spelled: dict[str, TensorType] = {}
        uses = {
            (id(self.nodes[n].op), tuple(self.types[i].shape for i in self.nodes[n].inputs)): None
            for n in nodes
        }
        for own, shapes in uses:
            types = tuple(
                TensorType((*shape[:-1], _with_value(wire.type.channels, shape[-1])))
                for shape, wire in zip(shapes, inputs, strict=True)
            )
            output = ops[own].infer(types)
            spelled.setdefault(code_of(output.channels), output)
        if len(spelled) > 1:
            self.give_up_sharing(body)
        return next(iter(spelled.values()))

    def give_up_sharing(self, body: _Body) -> None:
        """Uses differ in a way that no parameter says: unroll loops, then split by shape."""
        if body.loops:
            self.unroll(body.loops[-1][0])
        name = body.variant.block.name
        if name not in self.decisions.by_shape:
            self.decisions.by_shape.add(name)
            raise _Restart
        self.pin(body.spelling.keys() - self.root_spelling.keys(), body)
        raise AssertionError(f"'{name or self.program.name}' cannot be written as code")

    def prove(self, wire: _Wire, nodes: Iterable[int], body: _Body) -> None:
        """Make sure that a wire's channels are spelled rightly for what it is in every use."""
        if not self.holds(
            code_of(wire.type.channels), (self.types[n].channels for n in nodes), body
        ):
            self.give_up_sharing(body)

    def holds(self, code: str, expected: Iterable[Any], body: _Body) -> bool:
        """Whether `code` has the expected value in every use of what is being planned."""
        try:
            return all(
                value_of(code, column.values) == _frozen_list(value)
                for column, value in zip(body.columns, expected, strict=True)
            )
        except Unknown:
            return False

    def unify(self, op: Op, inputs: tuple[_Wire, ...], body: _Body) -> None:
        """What is added has equal channels, so an input's channels may be a parameter's."""
        if op.name != "add":
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
                        self.decisions.carried.clear()  # some may not need it any more
                        raise _Restart

    def invoke(
        self,
        item: Call,
        instances: list[Instance],
        body: _Body,
        inputs: tuple[_Wire, ...],
        target: str,
    ) -> tuple[Statement, _Wire]:
        keys = {self.variant_key(instance) for instance in instances}
        if len(keys) > 1:
            self.separate(item, instances, body)
        variant = self.variants[keys.pop()]
        plan = self.planned(variant)
        given = {argument.key: argument for argument in item.arguments}
        block = variant.block
        for name in self.decisions.specialized.get(block.name, set()):
            if name in given:  # the class was chosen by this value, so it must not change
                self.pin(_names(given[name].value) & body.spelling.keys(), body)
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
        for origin, name in own.items():  # parameters of the spec pass through
            if origin in outer and origin not in live:
                arguments[name] = outer[origin]
        ordered = {p.name: arguments[p.name] for p in plan.parameters if p.name in arguments}
        channels: int = self.result_channels(plan, arguments, instances, body)
        output = self.types[instances[0].output]
        wire_type = TensorType((*output.shape[:-1], channels))
        statement = Invoke(
            item.name, plan, ordered, tuple(wire.variable for wire in inputs), target
        )
        return statement, _Wire(target, wire_type)

    def result_channels(
        self,
        plan: BlockPlan,
        arguments: dict[str, str],
        instances: list[Instance],
        body: _Body,
    ) -> int:
        """The callee's output channels, spelled in the caller's words."""
        values = [self.types[instance.output].channels for instance in instances]
        channels = plan.output_type.channels
        if isinstance(channels, SymbolicInt):
            defaults = {p.name: p.default for p in plan.parameters if p.default is not None}
            code = _substitute(channels.code, {**defaults, **arguments})
            if code is not None and self.holds(code, values, body):
                return values[0] if code.isdigit() else SymbolicInt(values[0], code)
        if len(set(values)) > 1:  # a count that only a variable of the callee knows
            self.give_up_sharing(body)
        return values[0]

    def separate(self, item: Call, instances: list[Instance], body: _Body) -> None:
        """One call whose uses need different classes: its surroundings must tell them apart."""
        if body.loops:
            self.unroll(body.loops[-1][0])
        names: set[str] = set()
        for argument in item.arguments:
            values = [instance.arguments[str(argument.key)] for instance in instances]
            if any(_differ(value, values[0]) for value in values):
                names |= _names(argument.value) & body.spelling.keys()
        if names:
            self.pin(names, body)
        self.give_up_sharing(body)

    def pin(self, names: Iterable[str], body: _Body) -> None:
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
                raise _Restart

    def conditional(
        self,
        item: Conditional,
        records: list[ConditionRecord],
        body: _Body,
        current: _Wire,
        flow: str,
    ) -> tuple[list[Statement], _Wire]:
        outcomes = {record.taken for record in records}
        live = _names(item.condition) & body.spelling.keys()
        if len(outcomes) == 1:
            self.pin(live, body)  # decided here and now: what decided it may not change later
            taken = outcomes.pop()
            arm = item.then if taken else item.otherwise
            columns = [
                _Column(record.records, column.values)
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
                _Column(record.records, column.values)
                for record, column in zip(records, body.columns, strict=True)
                if record.taken is taken
            ]
            arm = item.then if taken else item.otherwise
            statements, wire = self.items(arm, columns, body, current, flow)
            if wire.variable != flow:
                statements.append(Alias(flow, wire.variable))
                wire = _Wire(flow, wire.type)
            arms.append((statements, wire))
        (then, one), (otherwise, other) = arms
        if current.variable != flow:
            if not otherwise:
                otherwise.append(Alias(flow, current.variable))
            if not then:
                then.append(Alias(flow, current.variable))
        type_ = one.type
        if code_of(one.type.channels) != code_of(other.type.channels):
            carried = body.names.fresh("channels")
            for record, column in zip(records, body.columns, strict=True):
                column.values[carried] = self.types[record.output].channels
            then.append(Assign(carried, code_of(one.type.channels)))
            otherwise.append(Assign(carried, code_of(other.type.channels)))
            type_ = TensorType((*type_.shape[:-1], SymbolicInt(type_.channels, carried)))
        if not then:
            return [Choose(f"not ({condition})", otherwise, [])], _Wire(flow, type_)
        return [Choose(condition, then, otherwise)], _Wire(flow, type_)

    def loop(
        self,
        item: Loop,
        records: list[LoopRecord],
        body: _Body,
        current: _Wire,
        flow: str,
    ) -> tuple[list[Statement], _Wire]:
        if id(item) in self.decisions.unrolled:
            return self.unrolled(item, records, body, current, flow)
        if not any(record.iterations for record in records):
            return [], current
        iterable, variables, loop_names = self.loop_head(item, records, body)
        assert self.holds(iterable, [self.loop_values(item, r) for r in records], body), iterable
        columns = [
            _Column(
                iteration,
                {
                    **column.values,
                    **{loop_names[n]: _frozen_list(v) for n, v in bound.items() if n in loop_names},
                },
            )
            for record, column in zip(records, body.columns, strict=True)
            for bound, iteration in zip(record.values, record.iterations, strict=True)
        ]
        saved, known = dict(body.spelling), dict(body.wires)
        body.spelling |= loop_names
        body.loops.append((item, frozenset(loop_names)))
        statements: list[Statement] = []
        shape = current.type.shape
        carried = ""
        if self.varies(records) or id(item) in self.decisions.carried:
            # The channel count changes with an iteration: a variable carries it.
            carried = body.names.fresh("channels")
            statements.append(Assign(carried, code_of(current.type.channels)))
            self.prove(current, [r.entries[0] if r.entries else r.output for r in records], body)
            entries = [node for record in records for node in record.entries]
            for column, node in zip(columns, entries, strict=True):
                column.values[carried] = self.types[node].channels
            entry = _Wire(flow, TensorType((*shape[:-1], SymbolicInt(shape[-1], carried))))
        else:
            entry = _Wire(flow, current.type)
        if current.variable != flow:
            statements.append(Alias(flow, current.variable))
        inner, after = self.items(item.body, columns, body, entry, flow)
        result = _Wire(flow, after.type)
        if carried:
            inner.append(Assign(carried, code_of(after.type.channels)))
            body.carried[carried] = code_of(after.type.channels)
            for record, column in zip(records, body.columns, strict=True):
                column.values[carried] = self.types[record.output].channels
            channels = SymbolicInt(after.type.channels, carried)
            result = _Wire(flow, TensorType((*after.type.shape[:-1], channels)))
        elif code_of(entry.type.channels) != code_of(after.type.channels) and not self.unchanged(
            records, body
        ):
            self.decisions.carried.add(id(item))
            raise _Restart
        body.loops.pop()
        body.spelling = saved
        outside = body.columns[0].values.keys() - {carried}
        if not carried and names_in(code_of(after.type.channels)) - outside:
            result = _Wire(flow, entry.type)  # they are as many, and this can be said out here
        for name, wire in body.wires.items():  # what the loop alone can spell stays in it
            if wire is not known.get(name) and names_in(code_of(wire.type.channels)) - outside:
                body.wires[name] = dataclasses.replace(wire, loop=item)
        if after.variable != flow:
            inner.append(Alias(flow, after.variable))
        statements.append(Repeat(variables, iterable, inner))
        return statements, result

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

    def unchanged(self, records: list[LoopRecord], body: _Body) -> bool:
        """Whether the channels stay what they were, in code that is used in one place only."""
        if body.variant.block.name in self.program.blocks:
            return False
        nodes = [node for record in records for node in (*record.entries, record.output)]
        return len({self.types[node].channels for node in nodes}) == 1

    def loop_head(
        self, item: Loop, records: list[LoopRecord], body: _Body
    ) -> tuple[str, tuple[str, ...], dict[str, str]]:
        """(iterable, loop variables in code, spec name → code name)."""
        if item.count is not None:
            sample = len(records[0].iterations)
            count = self.code(item.count, body.spelling, sample, body.constants)
            if len({len(r.iterations) for r in records}) > 1 and count.isdigit():
                self.give_up_sharing(body)
            if not item.index:
                return count, (), {}
            variable = self.loop_variable(item.index, body)
            return f"range({count})", (variable,), {item.index: variable}
        codes, names = [], {}
        for name, value in item.variables:
            rows = [[bound[name] for bound in record.values] for record in records]
            live = bool(_names(value) & body.spelling.keys())
            if not live and any(_differ(row, rows[0]) for row in rows):
                self.give_up_sharing(body)
            if any(not _live_value(v) for row in rows for v in row):
                self.unroll(item)  # words choose code
            codes.append(self.code(value, body.spelling, rows[0], body.constants))
            names[name] = self.loop_variable(name, body)
        if len(codes) == 1:
            return codes[0], tuple(names.values()), names
        return f"zip({', '.join(codes)}, strict=True)", tuple(names.values()), names

    def loop_variable(self, name: str, body: _Body) -> str:
        """A variable for a loop's name that no value of the forward pass has."""
        base = safe_name(name)
        flows = {safe_name(label) for label in _labels(body.variant.block)} | body.referenced
        return body.names.fresh(f"{base}_value" if base in flows else base)

    def unrolled(
        self,
        item: Loop,
        records: list[LoopRecord],
        body: _Body,
        current: _Wire,
        flow: str,
    ) -> tuple[list[Statement], _Wire]:
        counts = {len(record.iterations) for record in records}
        if len(counts) > 1:
            self.pin(_loop_names(item) & body.spelling.keys(), body)
            self.give_up_sharing(body)
        if item.count is not None:
            self.pin(_names(item.count) & body.spelling.keys(), body)
        else:
            self.pin(_loop_names(item) & body.spelling.keys(), body)
        bodies: list[list[Statement]] = []
        outer, constants = body.suffix, body.constants
        for index in range(counts.pop()):
            body.suffix = (*outer, index)
            body.constants = {**constants, **records[0].values[index]}
            columns = [
                _Column(record.iterations[index], column.values)
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
        body: _Body,
        current: _Wire,
        flow: str,
    ) -> tuple[list[Statement], _Wire]:
        statements: list[Statement] = []
        ends: list[_Wire] = [current] * len(item.paths)
        body.splits += 1
        taken: list[str] = []
        order = range(len(item.paths))
        if item.residual:  # the shortcut first: the main path then reuses the flow's name
            order = range(len(item.paths) - 1, -1, -1)
        for position in order:
            label = item.labels[position] or f"branch_{position + 1}"
            main = item.residual and position == 0
            variable = flow if main else self.fresh_variable(safe_name(label), body)
            path = item.paths[position]
            columns = [
                _Column(record.paths[position], column.values)
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
                ends[position] = _Wire(variable, current.type)
                continue
            made, ends[position] = self.items(path, columns, body, current, variable)
            statements += made
        for variable in taken:
            body.live_variables.remove(variable)
        body.splits -= 1
        target = self.target(item.merge, body, flow)
        nodes = [record.node for record in records]
        merge, wire = self.apply(item.merge, nodes, body, tuple(ends), target)
        self.arrive(item.merge, body, wire)
        return [*statements, merge], wire

    def fresh_variable(self, base: str, body: _Body) -> str:
        name, number = base, 2
        while name in body.live_variables or name in body.referenced:
            name, number = f"{base}_{number}", number + 1
        return name

    # -- symbolic values --------------------------------------------------------------------------

    def symbolic_ops(self, item: Call, nodes: list[int], body: _Body) -> dict[int, Op]:
        """Every op that the call became, its attributes spelled with parameters where the author
        did; by the identity of the op that they are spelled for.
        """
        distinct = {id(self.nodes[n].op): self.nodes[n].op for n in nodes}
        spelled: dict[str, str] = {}
        for argument in self.arguments(item):
            name = str(argument.key)
            spelling, constants = body.spelling, body.constants
            if argument not in item.arguments:  # a default, in the words of the whole spec
                spelling, constants = self.default_spelling(argument.value, body), self.globals
            live = _names(argument.value) & spelling.keys()
            values = {getattr(op, name) for op in distinct.values()}
            if not live:
                if len(values) > 1:
                    self.separate_attribute(argument, body)
                continue
            if not all(_has_symbol(name, value) for value in values):
                self.pin(live, body)
                continue
            sample = getattr(self.nodes[nodes[0]].op, name)
            spelled[name] = self.code(argument.value, spelling, sample, constants)
        return {
            key: dataclasses.replace(
                op,
                **{
                    name: _symbol(
                        getattr(op, name),
                        code,
                        frozenset(getattr(other, name) for other in distinct.values()),
                    )
                    for name, code in spelled.items()
                },
            )
            for key, op in distinct.items()
        }

    def default_spelling(self, value: Value, body: _Body) -> dict[str, str]:
        """How a class says the spec's parameters, those that a name of its own hides left out."""
        hidden = {parameter.name for parameter in body.variant.block.parameters}
        hidden |= {name for _, variables in body.loops for name in variables}
        if shadowed := _names(value) & self.root_spelling.keys() & hidden:
            self.decisions.specialized.setdefault("", set()).update(shadowed)
            raise _Restart
        return {name: code for name, code in body.spelling.items() if name not in hidden}

    def separate_attribute(self, argument: Argument, body: _Body) -> None:
        """An attribute differs between uses, through names that are constants of the code."""
        self.give_up_sharing(body)

    def arguments(self, item: Call) -> tuple[Argument, ...]:
        given = {argument.key for argument in item.arguments}
        defaults = self.program.defaults.get(item.target, ())
        return (*(a for a in defaults if a.key not in given), *item.arguments)

    def code(
        self, value: Value, spelling: dict[str, str], sample: Any, constants: Mapping[str, Any]
    ) -> str:
        """Python source of a value; names that are not live are written as their values."""
        content = value.content
        if isinstance(content, Expression):
            if not expressions.names(content) & spelling.keys():
                return code_of(_frozen_list(sample))
            self.functions |= expressions.functions(content)
            code = expressions.to_python(
                content, lambda name: spelling.get(name) or code_of(_frozen_list(constants[name]))
            )
            return re.sub(r"'([^'\"]*)'", r'"\1"', code)  # texts have no quotes in them
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
                f"{json.dumps(key)}: {self.code(part, spelling, entries.get(key), constants)}"
                for key, part in content.items()
            )
            return "{" + ", ".join(inner) + "}"
        return code_of(content)


# -- small parts ---------------------------------------------------------------------------------


def _flat(records: list[Record]) -> Iterator[Record]:
    """Records of one body with those inside its loops, conditions and splits, not in blocks."""
    for record in records:
        yield record
        if isinstance(record, ConditionRecord):
            yield from _flat(record.records)
        elif isinstance(record, LoopRecord):
            for iteration in record.iterations:
                yield from _flat(iteration)
        elif isinstance(record, SplitRecord):
            for path in record.paths:
                yield from _flat(path)


def _calls(records: list[Record]) -> Iterator[CallRecord]:
    """Every use of a block, nested ones included."""
    for record in _flat(records):
        if isinstance(record, CallRecord):
            yield record
            yield from _calls(record.instance.records)


def _outer_nodes(elaborated: Elaborated) -> dict[str, int]:
    """What sections may refer to: themselves and what is in them, by path; last in a loop wins."""
    found = {"input": 0}

    def visit(records: list[Record], prefix: str) -> None:
        for record in _flat(records):
            if isinstance(record, OpRecord):
                name, node = record.item.name, record.node
                full = elaborated.graph.nodes[node].name
            elif isinstance(record, CallRecord):
                name, node, full = record.item.name, record.instance.output, record.instance.path
            elif isinstance(record, SplitRecord):
                name, node = record.item.merge.name, record.node
                full = elaborated.graph.nodes[node].name
            else:
                continue
            found[prefix + name] = found[full] = node

    for section in elaborated.sections:
        name = section.section.name
        if name:
            found[name] = section.instance.output
        visit(section.instance.records, f"{name}." if name else "")
    return found


def _live_value(value: Any) -> bool:
    """Whether a value can be an argument in generated code: numbers, truth values, their lists."""
    if isinstance(value, list | tuple):
        return all(_live_value(part) for part in value)
    if isinstance(value, dict):
        return all(_live_value(part) for part in value.values())
    return isinstance(value, bool | int | float)


def _annotation(values: list[Any]) -> str:
    """The type of a parameter that takes these values."""
    plain = {SymbolicInt: "int", SymbolicFloat: "float"}
    kinds = {
        "tuple[int, int]" if isinstance(value, list) and len(value) == 2
        and all(is_integer(part) for part in value)
        else "tuple" if isinstance(value, list) else plain.get(type(value), type(value).__name__)
        for value in values
    }  # fmt: skip
    if kinds == {"int", "float"}:
        return "float"
    order = ["bool", "int", "float"]
    return " | ".join(sorted(kinds, key=lambda k: order.index(k) if k in order else len(order)))


def _differ(left: Any, right: Any) -> bool:
    return type(left) is not type(right) or bool(left != right)


def _hashable(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_hashable(part) for part in value)
    if isinstance(value, dict):
        return tuple((key, _hashable(part)) for key, part in value.items())
    return (type(value).__name__, value)


def _frozen_list(value: Any) -> Any:
    return tuple(_frozen_list(part) for part in value) if isinstance(value, list) else value


def _names(value: Value) -> frozenset[str]:
    """Parameters that a value mentions."""
    content = value.content
    if isinstance(content, Expression):
        return expressions.names(content)
    parts: Iterable[Value] = ()
    if isinstance(content, tuple):
        parts = content
    elif isinstance(content, dict):
        parts = content.values()
    return frozenset().union(*(_names(part) for part in parts))


def _loop_names(item: Loop) -> frozenset[str]:
    return frozenset().union(*(_names(value) for _, value in item.variables))


def _mentions(value: Value) -> bool:
    return bool(_names(value)) or isinstance(value.content, Expression)


def _constant(value: Value) -> Any:
    content = value.content
    if isinstance(content, tuple):
        return [_constant(part) for part in content]
    if isinstance(content, dict):
        return {key: _constant(part) for key, part in content.items()}
    return content


def _has_symbol(attribute: str, value: Any) -> bool:
    """Whether an attribute can be written as an expression: a number, a pair, or a weight or not.

    Other truth values and words choose between spellings, so they must be plain.
    """
    if isinstance(value, tuple):
        return all(is_integer(part) for part in value)
    if isinstance(value, bool):
        return attribute in _WEIGHT_SWITCHES
    return isinstance(value, int | float)


def _symbol(value: Any, code: str, values: frozenset[Any]) -> Any:
    """An attribute with a spelling; `values` are all that it takes."""
    if isinstance(value, tuple):
        return SymbolicPair(value, code, values)
    if isinstance(value, bool):
        return SymbolicBool(value, code)
    return SymbolicInt(value, code) if isinstance(value, int) else SymbolicFloat(value, code)


def _generalized(op: Composite) -> tuple[Composite, dict[str, str]]:
    """A composite op with its numbers spelled by their attributes' names, and what those are.

    Words and plain pairs stay as they are: they may choose between spellings of the steps.
    """
    changes: dict[str, Any] = {}
    arguments: dict[str, str] = {}
    for field_ in dataclasses.fields(op):
        value = getattr(op, field_.name)
        if isinstance(value, SymbolicPair):
            changes[field_.name] = SymbolicPair((value[0], value[1]), field_.name, value.values)
        elif isinstance(value, bool | SymbolicBool):
            if field_.name not in _WEIGHT_SWITCHES:
                continue
            changes[field_.name] = SymbolicBool(bool(value), field_.name)
        elif isinstance(value, int):
            changes[field_.name] = SymbolicInt(int(value), field_.name)
        elif isinstance(value, float):
            changes[field_.name] = SymbolicFloat(value, field_.name)
        else:
            continue
        arguments[field_.name] = code_of(value)
    return dataclasses.replace(op, **changes), arguments


def _text_of(op: Composite, types: tuple[TensorType, ...]) -> str:
    """All that tells one class of a composite op's steps from another."""
    return repr(
        [
            (
                step.name,
                step.op.name,
                [
                    (code_of(value), getattr(value, "values", None))
                    for value in (getattr(step.op, f.name) for f in dataclasses.fields(step.op))
                ],
                [code_of(type_.channels) for type_ in taken],
                step.inputs,
            )
            for step, taken, _ in op.resolved(types)
        ]
    )


def _plain_value(value: Any) -> Any:
    """A value without its spelling."""
    if isinstance(value, SymbolicBool):
        return bool(value)
    return list(value) if isinstance(value, tuple) else value


def _labels(block: Block) -> set[str]:
    """Names that the paths of splits may give to variables."""
    found = {FLOW, "inputs"}
    for item in walk(block.body):
        if isinstance(item, Split):
            found |= {label or f"branch_{k}" for k, label in enumerate(item.labels, 1)}
    return found


def _with_channels(type_: TensorType, channels: int) -> TensorType:
    """`type_` with its channels spelled as these are."""
    return TensorType((*type_.shape[:-1], _with_value(channels, type_.channels)))


def _with_value(channels: int, value: int) -> int:
    """A plain or symbolic count with another value and the same spelling."""
    if isinstance(channels, SymbolicInt):
        return SymbolicInt(value, channels.code, channels.strength)
    return value


def _substitute(code: str, arguments: dict[str, str]) -> str | None:
    """`code` with names replaced by arguments; None when a name has none."""
    if code in arguments:
        return arguments[code]
    known = True

    def replaced(match: re.Match[str]) -> str:
        nonlocal known
        name = match.group()
        if name in ("max", "min", "round", "abs", "len", "math", "ceil", "floor", "make_divisible"):
            return name
        if name not in arguments:
            known = False
            return name
        argument = arguments[name]
        return argument if argument.isidentifier() or argument.isdigit() else f"({argument})"

    result = re.sub(r"[A-Za-z_]\w*", replaced, code)
    return result if known else None
