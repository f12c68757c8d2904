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

from typing import Any

from xgraph.emit.item_planner import ItemPlanner
from xgraph.emit.names import Scope, class_name, is_word
from xgraph.emit.plan import (
    Alias,
    BlockPlan,
    Invoke,
    ModelPlan,
    PlanParameter,
    Statement,
)
from xgraph.emit.records import flat
from xgraph.emit.state import FLOW, Body, Column, Decisions, Restart, Variant, Wire
from xgraph.emit.symbols import (
    SymbolicInt,
    code_of,
)
from xgraph.emit.values import (
    annotation,
    constant_of,
    frozen_list,
    hashable,
    live_value,
    mentions,
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
    while True:
        planner = _Planner(elaborated, types, decisions, reserved, spelled)
        try:
            return planner.model()
        except Restart:
            continue


class _Planner(ItemPlanner):
    # -- the model --------------------------------------------------------------------------------

    def model(self) -> ModelPlan:
        program = self.program
        title = self.class_names.fresh(class_name(program.name))
        live = [
            name
            for name, value in self.globals.items()
            if live_value(value) and not isinstance(value, bool)
            and name not in self.decisions.specialized.get("", set())
        ]  # fmt: skip
        first = self.elaborated.sections[0].instance.inputs[0]
        root_block = Block(name="", body=(), span=program.span)
        root = Body(Variant(("",), root_block), Scope(self.reserved))
        root.spelling = {name: root.names.number(name) for name in live}
        root.constants = dict(self.globals)
        exports = self.exports()
        body: list[Statement] = []
        current = Wire(FLOW, self.types[0])
        held: dict[int, Wire] = {0: current, first: current}
        if self.input_is_kept():
            body.append(Alias("inputs", FLOW))
            held[0] = Wire("inputs", self.types[0])
        kept = self.kept_sections()
        self.root_spelling = dict(root.spelling)  # loops in a graph without sections add names
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
            plan, extra_nodes, external = self.section(
                record.section.block, instance, wire, exports, live
            )
            target = root.names.tensor(record.section.name) if instance.output in kept else FLOW
            names = tuple(root.names.tensor(self.export_name(node)) for node in extra_nodes)
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
            root.columns = [Column(instance.records, self.spelled_values(root))]
            channels = self.result_channels(plan, arguments, [instance], root)
            current = Wire(target, TensorType((*shape[:-1], channels)))
            held[instance.output] = current
            for node, name in zip(extra_nodes, names, strict=True):
                held[node] = Wire(name, self.types[node])
        outputs = self.elaborated.graph.outputs
        results = tuple(held[output.node].variable for output in outputs)
        parameters = tuple(
            PlanParameter(
                root.spelling[name],
                default=code_of(frozen_list(self.globals[name])),
                annotation=annotation([self.globals[name]]),
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
        """The variable for an exported node: the output that it is, or its path."""
        sections = {record.section.name for record in self.elaborated.sections}
        for output in self.elaborated.graph.outputs:
            if output.node == node and output.name not in sections:
                return output.name
        return self.nodes[node].name

    def section(
        self,
        block: Block,
        instance: Instance,
        wire: Wire,
        exports: dict[int, tuple[int, ...]],
        live: list[str],
    ) -> tuple[BlockPlan, tuple[int, ...], tuple[int, ...]]:
        """The class of a section, the nodes it hands out besides its output, and those it reads."""
        variant = Variant(("section", block.name), block, [instance])
        extra = exports.get(id(instance), ())
        external = tuple(sorted(self.reads(instance) - set(instance.inputs)))
        plan = self.block_plan(variant, extra=extra, external=external)
        return plan, extra, external

    def section_body(
        self, instance: Instance, root: Body, extra: tuple[int, ...]
    ) -> tuple[list[Statement], Wire, dict[int, Wire]]:
        """A graph without sections is the model's own body."""
        root.referenced = self.references(instance.block, extra, [instance])
        entry = Wire(FLOW, self.types[instance.inputs[0]])
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
        self, variant: Variant, extra: tuple[int, ...] = (), external: tuple[int, ...] = ()
    ) -> BlockPlan:
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
        wires, implicit, own_codes = [], [], []
        for position, _ in enumerate(block.inputs):
            shape = self.types[instances[0].inputs[position]].shape
            single = len(block.inputs) == 1
            label = "in_channels" if single else f"{block.inputs[position]}_channels"
            code = names.number(label)
            implicit.append(PlanParameter(code, implicit=True))
            code = body.spelling[renamed[position]] if position in renamed else code
            variable = FLOW if single else names.tensor(block.inputs[position])
            channels = SymbolicInt(shape[-1], code)
            own_codes.append(code)
            wires.append(Wire(variable, TensorType((*shape[:-1], channels))))
        body.wires = dict(zip(block.inputs, wires, strict=True))
        body.wires.setdefault("input", wires[0])
        for node in external:
            name = self.export_name(node)
            body.external[node] = Wire(names.tensor(name), self.types[node])
        body.referenced = self.references(block, extra, instances)
        body.columns = [
            Column(
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
            output_type=with_channels(self.types[first.output], current.type.channels),
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
