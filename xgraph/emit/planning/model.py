"""The model: its sections one after the other, and what it takes and gives."""

from __future__ import annotations

from xgraph.emit.names import Scope, class_name, sentence
from xgraph.emit.plan import Alias, Assign, BlockPlan, Invoke, ModelPlan, PlanParameter, Statement
from xgraph.emit.planning.classes import Classes
from xgraph.emit.planning.context import Context
from xgraph.emit.planning.state import FLOW, Body, Column, RestartSection, Variant, Wire
from xgraph.emit.symbols import SymbolicInt, code_of
from xgraph.emit.values import annotation, frozen_list, may_be_argument, names_of
from xgraph.ir.elaborated import Instance, SectionRecord
from xgraph.ir.structure import Block
from xgraph.ir.types import TensorType
from xgraph.passes.scope import channels_read
from xgraph.spec.expressions import channels_of


class Model:
    """Plans the root, which takes the spec's parameters and uses every section once."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.program = context.program
        self.nodes = context.nodes
        self.types = context.types
        self.globals = context.globals
        self.decisions = context.decisions
        self.dependence = context.dependence
        self.classes = Classes(context)
        self.sharing = self.classes.sharing
        self.items = self.classes.items
        self.speller = self.items.speller

    def model(self) -> ModelPlan:
        """The root's plan, and with it those of all classes."""
        program, outputs = self.program, self.context.elaborated.graph.outputs
        title = self.context.class_names.fresh(class_name(program.name))
        root = self.opened()
        statements, held = self.sections(root)
        plan = BlockPlan(
            name=program.name,
            title=title,
            parameters=tuple(self.root_parameter(name, root) for name in self.offered()),
            inputs=(FLOW,),
            body=statements,
            results=tuple(held[output.node].variable for output in outputs),
            input_types=(self.types[0],),
            result_types=tuple(held[output.node].type for output in outputs),
            doc=program.doc or sentence(program.name),
            source=program.source,
        )
        return ModelPlan(
            plan,
            self.context.plans,
            tuple(output.name for output in outputs),
            frozenset(self.context.functions),
            self.input_codes(root),
        )

    def opened(self) -> Body:
        """The state of the root before its first section."""
        block = Block(name="", body=(), span=self.program.span)
        root = Body(Variant(("",), block), Scope(self.context.reserved))
        root.spelling = {name: root.names.number(name) for name in self.offered()}
        root.constants = dict(self.globals)
        root.input_is_constant = True
        self.context.root_spelling = dict(root.spelling)
        self.fix_what_is_assumed()
        return root

    def sections(self, root: Body) -> tuple[list[Statement], dict[int, Wire]]:
        """The model's statements, and the wires of all nodes that it holds."""
        sections = self.context.elaborated.sections
        current = Wire(FLOW, self.input_type(root))
        held = {0: current, sections[0].instance.inputs[0]: current}
        statements: list[Statement] = []
        if self.input_is_kept():
            statements.append(Alias("inputs", FLOW))
            held[0] = Wire("inputs", current.type)
        exports, kept = self.exports(), self.kept_sections()
        for record in sections:
            instance = record.instance
            held.setdefault(instance.inputs[0], current)
            extra = exports[id(instance)]
            if record.section.name:
                statements += self.section(record, extra, kept, held, root)
            else:
                statements += self.bare_graph(instance, extra, held, root)
            current = held[instance.output]
        return statements, held

    def section(
        self,
        record: SectionRecord,
        extra: tuple[int, ...],
        kept: set[int],
        held: dict[int, Wire],
        root: Body,
    ) -> list[Statement]:
        """The use of a section's class; its results go to `held`.

        Args:
            record: the section.
            extra: nodes that it hands out besides its output.
            kept: outputs of sections that need a variable of their own.
            held: what the model holds before it.
            root: the model.
        """
        name, instance = record.section.name, record.instance
        outside = sorted(self.reads(instance) - set(instance.inputs))
        external = {node: held[node] for node in outside}
        given = (held[instance.inputs[0]], *external.values())
        variant = Variant(("section", name), record.section.block, [instance])
        try:
            plan = self.classes.block_plan(variant, extra, external, given[0].type.channels)
        except RestartSection:
            plan = self.classes.block_plan(variant, extra, external, given[0].type.channels)
        counts = [parameter.name for parameter in plan.parameters if parameter.implicit]
        arguments = {n: code_of(w.type.channels) for n, w in zip(counts, given, strict=True)}
        arguments |= {p.name: root.spelling[p.origin] for p in plan.parameters if p.origin}
        call = Invoke(
            name=name,
            callee=plan,
            arguments={parameter.name: arguments[parameter.name] for parameter in plan.parameters},
            inputs=tuple(wire.variable for wire in given),
            target=root.names.tensor(name) if instance.output in kept else FLOW,
            extra_targets=tuple(
                root.names.tensor(self.classes.export_name(node)) for node in extra
            ),
        )
        known = root.columns[0].values if root.columns else {}  # numbers that were measured
        values = {**known, **self.speller.spelled_values(root)}
        root.columns = [Column(instance.records, values)]
        statements: list[Statement] = [call]
        for position, node in enumerate((instance.output, *extra)):
            held[node], measures = self.items.received(call, position, [node], root)
            statements += measures
        return statements

    def count_input(self, instance: Instance, root: Body) -> list[Statement]:
        """Give the channels of the input a name, for a graph that computes with them."""
        wire, name = root.wires["input"], root.names.number("in_channels")
        *size, channels = wire.type.shape
        type_ = TensorType((*size, SymbolicInt(channels, name)))
        root.wires["input"] = Wire(wire.variable, type_)
        root.spelling[channels_of("input")] = name
        for column in root.columns:
            column.values[name] = int(channels)
        return [Assign(name, code_of(channels), tensor=wire.variable)]

    def bare_graph(
        self, instance: Instance, extra: tuple[int, ...], held: dict[int, Wire], root: Body
    ) -> list[Statement]:
        """A graph without sections is the model's own body."""
        root.referenced = self.classes.references(instance.block, extra, [instance])
        root.wires = {"input": Wire(FLOW, self.input_type(root))}
        root.variant = Variant(("",), instance.block, [instance])
        root.columns = [Column(instance.records, self.speller.spelled_values(root))]
        counted = self.count_input(instance, root) if channels_read(instance.block) else []
        statements, held[instance.output] = self.classes.open_body(root, root.wires["input"])
        statements = [*counted, *statements]
        held |= {node: root.wires[self.classes.local_name(node, instance)] for node in extra}
        return statements

    def kept_sections(self) -> set[int]:
        """Outputs of sections that are read by something other than the next section."""
        kept: set[int] = set()
        sections = self.context.elaborated.sections
        after = {
            record.instance.output: sections[i + 1].instance if i + 1 < len(sections) else None
            for i, record in enumerate(sections)
        }
        flow_end = sections[-1].instance.output
        for record in sections:
            for node in self.reads(record.instance):
                if node in after and after[node] is not record.instance:
                    kept.add(node)
        for output in self.context.elaborated.graph.outputs:
            if output.node in after and output.node != flow_end:
                kept.add(output.node)
        return kept

    def input_is_kept(self) -> bool:
        """Whether the model's input is read after the first section has made something of it."""
        later = self.context.elaborated.sections[1:]
        return any(output.node == 0 for output in self.context.elaborated.graph.outputs) or any(
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
        outside: set[int] = {output.node for output in self.context.elaborated.graph.outputs}
        for record in self.context.elaborated.sections:
            outside |= self.reads(record.instance)
        result: dict[int, tuple[int, ...]] = {}
        for record in self.context.elaborated.sections:
            instance = record.instance
            inner = sorted(
                n for n in outside if instance.first <= n < instance.last and n != instance.output
            )
            result[id(instance)] = tuple(inner)
        return result

    def offered(self) -> list[str]:
        """The spec's parameters that the model takes: numbers and their lists."""
        fixed = self.decisions.specialized.get("", set())
        return [
            name
            for name, value in self.globals.items()
            if may_be_argument(value) and not isinstance(value, bool) and name not in fixed
        ]

    def fix_what_is_assumed(self) -> None:
        """Nothing that the code takes for granted may follow from a parameter that it offers."""
        offered = self.context.root_spelling.keys()
        for name, origins in self.dependence.spec.items():
            if name not in offered:
                self.sharing.fix(origins & offered)
        switches = [section.condition for section in self.program.sections]
        switches += [output.condition for output in self.program.outputs]
        for switch in switches:
            self.sharing.fix(self.dependence.of(switch, self.dependence.spec) & offered)
        self.sharing.fix(self.dependence.fixed & offered)

    def root_parameter(self, name: str, root: Body) -> PlanParameter:
        """A parameter of the spec, as one of the model.

        Where its value follows from others it does so in the program too, unless it is given.
        """
        value = self.globals[name]
        default = next(p.default for p in self.program.parameters if p.name == name)
        code = code_of(frozen_list(value))
        kind, otherwise = annotation([value]), None
        if default is not None and names_of(default) & root.spelling.keys():
            otherwise = self.speller.code(default, root.spelling, value, self.globals)
            code, kind = "None", f"{kind} | None"
        return PlanParameter(
            root.spelling[name],
            default=code,
            annotation=kind,
            origin=name,
            otherwise=otherwise,
            value=value,
        )

    def input_type(self, root: Body) -> TensorType:
        """The type of the images, their channels spelled where they follow from a parameter."""
        *size, channels = self.types[0].shape
        codes = self.input_codes(root)
        if codes is not None and not codes[-1].isdigit():
            channels = SymbolicInt(channels, codes[-1])
        return TensorType((*size, channels))

    def input_codes(self, root: Body) -> tuple[str, ...] | None:
        """Source of the images' height, width and channels, if a parameter says one of them."""
        shape = self.program.input_shape
        names = names_of(shape) & root.spelling.keys()
        if not names:
            return None
        if not isinstance(shape.content, tuple):
            self.sharing.fix(names)
            return None
        sizes = zip(shape.content, self.types[0].shape, strict=True)
        return tuple(self.speller.code(part, root.spelling, n, self.globals) for part, n in sizes)
