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

from collections.abc import Mapping
from typing import Any

from xgraph.emit.codes import names_in
from xgraph.emit.dependence import Dependence
from xgraph.emit.item_planner import ItemPlanner
from xgraph.emit.names import Scope, class_name, is_word
from xgraph.emit.plan import (
    Alias,
    Apply,
    Assign,
    BlockPlan,
    Invoke,
    ModelPlan,
    PlanParameter,
    Statement,
)
from xgraph.emit.plan import walk as walk_statements
from xgraph.emit.records import flat
from xgraph.emit.state import FLOW, Body, Column, Decisions, Restart, Variant, Wire
from xgraph.emit.symbols import (
    SymbolicInt,
    code_of,
    is_symbolic,
)
from xgraph.emit.trial import frozen_parameters
from xgraph.emit.values import (
    annotation,
    constant_of,
    frozen_list,
    hashable,
    live_value,
    mentions,
    names_of,
    with_channels,
)
from xgraph.ir.elaborated import (
    CallRecord,
    Elaborated,
    Instance,
)
from xgraph.ir.structure import Block, Call, Item, Loop, walk
from xgraph.ir.types import TensorType


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
        reserved: names that the backend's code already uses: for classes, functions and modules.
        spelled: ops that the backend has a spelling for; a composite op without one becomes a
            class of its steps. None: all ops.
    """
    decisions = Decisions()
    dependence = Dependence(elaborated, types)
    while True:
        planner = _Planner(elaborated, types, dependence, decisions, reserved, spelled)
        try:
            plan = planner.model()
        except Restart:
            continue
        wrong = frozen_parameters(plan, elaborated.program)
        if not wrong:
            return plan
        decisions.specialized.setdefault("", set()).update(wrong)


class _Planner(ItemPlanner):
    # -- the model --------------------------------------------------------------------------------

    def model(self) -> ModelPlan:
        program = self.program
        title = self.class_names.fresh(class_name(program.name))
        live = self.offered()
        first = self.elaborated.sections[0].instance.inputs[0]
        root_block = Block(name="", body=(), span=program.span)
        root = Body(Variant(("",), root_block), Scope(self.reserved))
        root.spelling = {name: root.names.number(name) for name in live}
        self.root_spelling = dict(root.spelling)
        self.check_offered()
        root.constants = dict(self.globals)
        root.input_is_constant = True
        input_codes = self.input_codes(root)
        exports = self.exports()
        body: list[Statement] = []
        current = Wire(FLOW, self.input_type(root))
        held: dict[int, Wire] = {0: current, first: current}
        if self.input_is_kept():
            body.append(Alias("inputs", FLOW))
            held[0] = Wire("inputs", current.type)
        kept = self.kept_sections()
        measured: dict[str, Any] = {}  # channel counts that only a section's own code can say
        for record in self.elaborated.sections:
            instance = record.instance
            entry = instance.inputs[0]
            if entry not in held:
                held[entry] = current
            wire = held[entry]
            if not record.section.name:
                root.columns = [Column(instance.records, self.spelled_values(root))]
                inner = self.section_body(instance, root, exports.get(id(instance), ()))
                inner_body, current, extra = inner
                body += inner_body
                held.update(extra)
                held[instance.output] = current
                continue
            extra_nodes = exports.get(id(instance), ())
            external = {
                node: held[node] for node in sorted(self.reads(instance) - set(instance.inputs))
            }
            variant = Variant(("section", record.section.name), record.section.block, [instance])
            plan = self.block_plan(variant, extra_nodes, external, wire.type.channels)
            target = root.names.tensor(record.section.name) if instance.output in kept else FLOW
            names = tuple(root.names.tensor(self.export_name(node)) for node in extra_nodes)
            given = (wire, *external.values())
            implicit = [p.name for p in plan.parameters if p.implicit]
            arguments = dict(zip(implicit, (code_of(w.type.channels) for w in given), strict=True))
            arguments |= {p.name: root.spelling[p.origin] for p in plan.parameters if p.origin}
            call = Invoke(
                name=record.section.name,
                callee=plan,
                arguments={p.name: arguments[p.name] for p in plan.parameters},
                inputs=tuple(w.variable for w in given),
                target=target,
                extra_targets=names,
            )
            body.append(call)
            root.columns = [Column(instance.records, self.spelled_values(root) | measured)]
            for position, node in enumerate((instance.output, *extra_nodes)):
                held[node], measures = self.received(call, position, [node], root)
                body += measures
            measured |= {n: v for n, v in root.columns[0].values.items() if n not in measured}
            current = held[instance.output]
        outputs = self.elaborated.graph.outputs
        results = tuple(held[output.node].variable for output in outputs)
        parameters = tuple(self.root_parameter(name, root) for name in live)
        plan = BlockPlan(
            name=program.name,
            title=title,
            parameters=parameters,
            inputs=(FLOW,),
            body=body,
            results=results,
            input_types=(self.types[0],),
            result_types=tuple(held[output.node].type for output in outputs),
            doc=program.doc,
            source=program.source,
        )
        return ModelPlan(
            plan,
            self.plans,
            tuple(output.name for output in outputs),
            frozenset(self.functions),
            input_codes,
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
        """The variable for an exported node: the output that it is, or its path."""
        sections = {record.section.name for record in self.elaborated.sections}
        for output in self.elaborated.graph.outputs:
            if output.node == node and output.name not in sections:
                return output.name
        return self.nodes[node].name

    def offered(self) -> list[str]:
        """The spec's parameters that the model takes: numbers and their lists."""
        fixed = self.decisions.specialized.get("", set())
        return [
            name
            for name, value in self.globals.items()
            if live_value(value) and not isinstance(value, bool) and name not in fixed
        ]

    def check_offered(self) -> None:
        """Nothing that the code takes for granted may follow from a parameter that it offers."""
        offered = self.root_spelling.keys()
        for name, origins in self.dependence.spec.items():
            if name not in offered:
                self.fix(origins & offered)
        switches = [section.condition for section in self.program.sections]
        switches += [output.condition for output in self.program.outputs]
        for switch in switches:
            self.fix(self.dependence.of(switch, self.dependence.spec) & offered)
        self.fix(self.dependence.flattened & offered)

    def root_parameter(self, name: str, root: Body) -> PlanParameter:
        """A parameter of the spec, as one of the model.

        Where its value follows from others it does so in the program too, unless it is given.
        """
        value = self.globals[name]
        default = next(p.default for p in self.program.parameters if p.name == name)
        code = code_of(frozen_list(value))
        kind, otherwise = annotation([value]), None
        if default is not None and names_of(default) & root.spelling.keys():
            otherwise = self.code(default, root.spelling, value, self.globals)
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
            self.fix(names)
            return None
        sizes = zip(shape.content, self.types[0].shape, strict=True)
        return tuple(self.code(part, root.spelling, n, self.globals) for part, n in sizes)

    def section_body(
        self, instance: Instance, root: Body, extra: tuple[int, ...]
    ) -> tuple[list[Statement], Wire, dict[int, Wire]]:
        """A graph without sections is the model's own body."""
        root.referenced = self.references(instance.block, extra, [instance])
        entry = Wire(FLOW, self.input_type(root))
        root.wires = {"input": entry}
        root.variant = Variant(("",), instance.block, [instance])
        body, current = self.open_body(root, entry)
        held = {node: root.wires[self.local_name(node, instance)] for node in extra}
        return body, current, held

    # -- one class --------------------------------------------------------------------------------

    def planned(self, variant: Variant) -> BlockPlan:
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
        live = self.live_parameters(variant)
        names = Scope(self.reserved)
        body = Body(variant, names)
        body.constants = {**self.globals, **instances[0].arguments}
        for name in live:
            body.spelling[name] = names.number(name)
        # Parameters of the spec are visible in every block; they arrive as arguments too.
        own = {parameter.name for parameter in block.parameters}
        global_names = [name for name in self.root_spelling if name not in own]
        for name in global_names:
            body.spelling[name] = names.number(name)
        renamed = self.decisions.input_names.get(variant.key, {})
        wires, implicit, own_codes = [], [], dict[str, int]()
        outside: dict[str, int] = {}
        for position, _ in enumerate(block.inputs):
            shape = self.types[instances[0].inputs[position]].shape
            single = len(block.inputs) == 1
            label = "in_channels" if single else f"{block.inputs[position]}_channels"
            code = names.number(label)
            implicit.append(PlanParameter(code, implicit=True))
            variable = FLOW if single else names.tensor(block.inputs[position])
            channels = shape[-1]
            if block.name not in self.decisions.literal_inputs:
                code = body.spelling[renamed[position]] if position in renamed else code
                channels = SymbolicInt(shape[-1], code)
                own_codes[code] = position
            wires.append(Wire(variable, TensorType((*shape[:-1], channels))))
        body.wires = dict(zip(block.inputs, wires, strict=True))
        body.wires.setdefault("input", wires[0])
        for node, wire in (external or {}).items():
            name = self.export_name(node)
            code = names.number(f"{name}_channels".replace(".", "_"))
            implicit.append(PlanParameter(code, implicit=True))
            channels = self.types[node].channels
            if is_symbolic(wire.type.channels):
                channels = SymbolicInt(channels, code)
                outside[code] = int(channels)
            type_ = TensorType((*self.types[node].shape[:-1], channels))
            body.external[node] = Wire(names.tensor(name), type_)
        body.input_is_constant = given is not None and not is_symbolic(given)
        body.referenced = self.references(block, extra, instances)
        body.columns = [
            Column(
                instance.records,
                {
                    **self.spelled_values(body, instance),
                    **{
                        code: self.types[instance.inputs[position]].channels
                        for code, position in own_codes.items()
                        if code not in body.spelling.values()
                    },
                    **outside,
                },
            )
            for instance in instances
        ]
        statements, current = self.open_body(body, wires[0])
        if self.computes_with(implicit[0].name, statements):
            self.keep_input_literal(body)
        results: tuple[str, ...] = (current.variable,)
        result_types = [with_channels(self.types[instances[0].output], current.type.channels)]
        for node in extra:
            handed = body.wires.get(self.local_name(node, instances[0]))
            assert handed is not None, f"{self.nodes[node].name} is not at hand"
            if handed.loop is not None:
                self.unroll(handed.loop)
            results += (handed.variable,)
            result_types.append(handed.type)
        defaults = {p.name: p.default for p in block.parameters}
        parameters = [
            *implicit,
            *(
                PlanParameter(
                    body.spelling[name],
                    default=self.default_code(defaults[name]),
                    annotation=annotation([i.arguments[name] for i in instances]),
                    keyword=defaults[name] is not None,
                    origin=name,
                )
                for name in live
            ),
            *(
                PlanParameter(
                    body.spelling[name],
                    annotation=annotation([self.globals[name]]),
                    origin=name,
                )
                for name in global_names
            ),
        ]
        shapes = {tuple(self.types[i].shape for i in instance.inputs) for instance in instances}
        plan = BlockPlan(
            name=block.name,
            title=self.class_names.fresh(class_name(block.name, *self.words_of_variant(variant))),
            parameters=tuple(sorted(parameters, key=lambda p: p.default is not None)),
            inputs=(
                *(wire.variable for wire in wires),
                *(w.variable for w in body.external.values()),
            ),
            body=statements,
            results=results,
            input_types=tuple(wire.type for wire in wires),
            result_types=tuple(result_types),
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

    def spelled_values(self, body: Body, instance: Instance | None = None) -> dict[str, Any]:
        """Values of the parameters that stand in the code of a class, in one use of it."""
        arguments = self.globals if instance is None else {**self.globals, **instance.arguments}
        return {code: frozen_list(arguments[name]) for name, code in body.spelling.items()}

    def open_body(self, body: Body, entry: Wire) -> tuple[list[Statement], Wire]:
        statements: list[Statement] = []
        if "input" in body.referenced and body.variant.block.inputs == ("input",):
            statements.append(Alias("inputs", entry.variable))
            body.wires["input"] = Wire("inputs", entry.type)
        inner, current = self.items(body.variant.block.body, body.columns, body, entry, FLOW)
        return statements + inner, current

    def words_of_variant(self, variant: Variant) -> list[str]:
        """What tells this class from the other variants of its block, in its name.

        Texts that are no words are left out, so that numbers tell the variants apart.
        """
        others = [v for v in self.variants.values() if v.block is variant.block]
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
                if value[0] == "str" and is_word(value[1]):
                    parts.append(value[1])
        return parts

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
        for record in flat(instance.records):
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

    # -- items ------------------------------------------------------------------------------------
