"""Program → flat graph: blocks expanded, loops unrolled, conditions decided, names resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xgraph import ops
from xgraph.diagnostics import Diagnostic, Span, SpecError, shown, suggest
from xgraph.ir.elaborated import (
    CallRecord,
    ConditionRecord,
    Elaborated,
    Instance,
    LoopRecord,
    OpRecord,
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
    Parameter,
    Program,
    Reference,
    Split,
    Value,
)
from xgraph.ops.base import Op
from xgraph.ops.input import Input
from xgraph.ops.kinds import LARGEST, NUMBER, is_integer
from xgraph.spec import expressions
from xgraph.spec.binding import Given, bind
from xgraph.spec.expressions import Expression

#: A graph of more nodes than this is refused before it costs memory.
NODE_LIMIT = 2_000_000
_PROBLEM_LIMIT = 100

Environment = Mapping[str, Any]


def elaborate(program: Program) -> Elaborated:
    """Expand a program.

    Raises:
        SpecError: with every problem found.
    """
    return _Elaborator(program).run()


def evaluate(value: Value, environment: Environment) -> Any:
    """The plain value of `value`: constants, lists and dicts with expressions evaluated.

    Raises:
        SpecError: an expression fails.
    """
    content = value.content
    if isinstance(content, Expression):
        return expressions.evaluate(content, environment)
    if isinstance(content, tuple):
        return [evaluate(part, environment) for part in content]
    if isinstance(content, dict):
        return {key: evaluate(part, environment) for key, part in content.items()}
    return content


class _Stop(Exception):
    """Too many problems, or a graph too large: no use going on."""


class _Frame:
    """State while the items of one block, section or model are expanded."""

    __slots__ = ("current", "inputs", "instance", "names", "prefix")

    def __init__(self, instance: Instance, inputs: dict[str, int]) -> None:
        self.instance = instance
        self.prefix = f"{instance.path}." if instance.path else ""
        self.inputs = inputs
        self.names: dict[str, int] = {}
        self.current = next(iter(inputs.values()))


class _Elaborator:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[Node] = []
        self.problems: dict[tuple[str, Span | None, str], Diagnostic] = {}
        self.op_cache: dict[tuple[int, Any], Op | None] = {}
        self.outside: dict[str, int] = {}  # sections and their nodes, visible to other sections
        self.globals: dict[str, Any] = {}

    def run(self) -> Elaborated:
        program = self.program
        sections: list[SectionRecord] = []
        outputs: tuple[Output, ...] = ()
        try:
            self.globals = self.spec_parameters()
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
                frame = self.expand(instance, self.globals)
                current = instance.output
                sections.append(SectionRecord(section, instance))
                if section.name:
                    self.outside[section.name] = current
                dot = f"{section.name}." if section.name else ""
                self.outside.update({dot + name: node for name, node in frame.names.items()})
            outputs = self.outputs(current)
        except _Stop:
            pass
        if not self.problems and len(self.nodes) == 1:
            self.problem(
                "XG505", "the graph has no nodes", program.span,
                hint="every section is empty or switched off by its 'when'",
            )  # fmt: skip
        if self.problems:
            raise SpecError(self.problems.values())
        graph = Graph(program.name, tuple(self.nodes), outputs)
        return Elaborated(program, graph, self.globals, tuple(sections))

    # -- problems and values --------------------------------------------------------------------

    def problem(self, code: str, message: str, span: Span | None, **details: Any) -> None:
        self.report(Diagnostic(code, message, span, **details))

    def report(self, diagnostic: Diagnostic) -> None:
        """Collect a problem once, however many iterations run into it."""
        self.problems.setdefault((diagnostic.code, diagnostic.span, diagnostic.message), diagnostic)
        if len(self.problems) >= _PROBLEM_LIMIT:
            raise _Stop

    def value(self, value: Value, environment: Environment) -> Any:
        """The value, or None after reporting why there is none."""
        try:
            return evaluate(value, environment)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                self.report(diagnostic)
            return None

    def condition(self, value: Value, environment: Environment) -> bool:
        result = self.value(value, environment)
        if not isinstance(result, bool):
            self.problem(
                "XG303", "a condition is true or false", value.span,
                expected="true or false", received=shown(result),
                hint="compare it: $n > 0",
            )  # fmt: skip
            return False
        return result

    def spec_parameters(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for parameter in self.program.parameters:
            if parameter.default is None:
                self.problem(
                    "XG406", f"the parameter '{parameter.name}' has no value", parameter.span,
                    hint=f"give it one in params, or --set {parameter.name}=VALUE",
                )  # fmt: skip
                values[parameter.name] = None
            else:
                values[parameter.name] = self.value(parameter.default, values)
        if self.problems:
            raise _Stop
        return values

    def input_shape(self) -> tuple[int, ...]:
        value = self.program.input_shape
        shape = self.value(value, self.globals)
        if (
            not isinstance(shape, list)
            or len(shape) != 3
            or not all(is_integer(size) and 0 < size <= LARGEST for size in shape)
        ):
            self.problem(
                "XG403", "the input cannot have this shape", value.span,
                expected="[height, width, channels], positive integers", received=shown(shape),
            )  # fmt: skip
            raise _Stop
        return tuple(shape)

    # -- blocks and items ---------------------------------------------------------------------------

    def expand(self, instance: Instance, environment: Environment) -> _Frame:
        inputs = dict(zip(instance.block.inputs, instance.inputs, strict=True))
        frame = _Frame(instance, inputs)
        instance.records = self.items(instance.block.body, frame, environment, "")
        instance.output = frame.current
        instance.last = len(self.nodes)
        return frame

    def items(
        self, items: tuple[Item, ...], frame: _Frame, environment: Environment, suffix: str
    ) -> list[Record]:
        records: list[Record] = []
        for item in items:
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
                record = self.call(item, frame, environment, suffix, None)
                if record is not None:
                    records.append(record)
            elif isinstance(item, Conditional):
                taken = self.condition(item.condition, environment)
                arm = item.then if taken else item.otherwise
                inner = self.items(arm, frame, environment, suffix)
                records.append(ConditionRecord(item, taken, inner, frame.current))
            elif isinstance(item, Loop):
                records.append(self.loop(item, frame, environment, suffix))
            elif isinstance(item, Split):
                split = self.split(item, frame, environment, suffix)
                if split is not None:
                    records.append(split)
        return records

    def loop(self, item: Loop, frame: _Frame, environment: Environment, suffix: str) -> LoopRecord:
        values = self.loop_values(item, environment)
        entries, iterations = [], []
        for index, bound in enumerate(values):
            inner = {**environment, **bound} if bound else environment
            entries.append(frame.current)
            iterations.append(self.items(item.body, frame, inner, f"{suffix}.{index}"))
        return LoopRecord(item, values, entries, iterations, frame.current)

    def loop_values(self, item: Loop, environment: Environment) -> list[dict[str, Any]]:
        if item.count is not None:
            count = self.value(item.count, environment)
            if not is_integer(count) or not 0 <= count <= NODE_LIMIT:
                self.problem(
                    "XG506", "a repeat count cannot be this", item.count.span,
                    expected=f"an integer from 0 to {NODE_LIMIT:,}", received=shown(count),
                )  # fmt: skip
                return []
            return [{item.index: i} if item.index else {} for i in range(count)]
        columns: dict[str, list[Any]] = {}
        for name, value in item.variables:
            column = self.value(value, environment)
            if not isinstance(column, list):
                self.problem(
                    "XG303", f"'{name}' runs over a list", value.span,
                    expected="a list", received=shown(column),
                )  # fmt: skip
                return []
            columns[name] = column
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            self.problem(
                "XG303", "the lists of a for have different lengths", item.span,
                expected="as many values for each variable",
                received=", ".join(f"{name}: {length}" for name, length in lengths.items()),
            )  # fmt: skip
            return []
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def split(
        self, item: Split, frame: _Frame, environment: Environment, suffix: str
    ) -> SplitRecord | None:
        entry = frame.current
        paths, ends = [], []
        for path in item.paths:
            frame.current = entry
            paths.append(self.items(path, frame, environment, suffix))
            ends.append(frame.current)
        record = self.call(item.merge, frame, environment, suffix, tuple(ends))
        if not isinstance(record, OpRecord):
            return None
        return SplitRecord(item, paths, record.node)

    def call(
        self,
        item: Call,
        frame: _Frame,
        environment: Environment,
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
        block = self.program.blocks.get(item.target)
        if block is not None:
            return self.call_block(item, block, frame, environment, local, inputs)
        op = self.op(item, environment)
        if op is None:
            return None
        least, most = op.arity
        if len(inputs) < least or (most is not None and len(inputs) > most):
            self.problem(
                "XG503", f"'{item.target}' takes {_count(least, most)}", item.span,
                received=f"{len(inputs)}",
                hint="name them: {" + item.target + ": , from: [first, second]}" if least > 1 else None,
            )  # fmt: skip
            return None
        if len(self.nodes) > NODE_LIMIT:
            self.problem(
                "XG504", "the graph is too large", item.span,
                expected=f"at most {NODE_LIMIT:,} nodes", hint="lower the repeat counts",
            )  # fmt: skip
            raise _Stop
        index = len(self.nodes)
        self.nodes.append(Node(frame.prefix + local, op, inputs, item.span))
        self.arrive(frame, item.name, local, index)
        return OpRecord(item, index)

    def call_block(
        self,
        item: Call,
        block: Block,
        frame: _Frame,
        environment: Environment,
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
        before = len(self.problems)
        arguments = self.block_arguments(item, block, environment)
        if len(self.problems) > before:
            return None
        path = frame.prefix + local
        instance = Instance(block, path, arguments, inputs, first=len(self.nodes))
        self.expand(instance, {**self.globals, **arguments})
        self.arrive(frame, item.name, local, instance.output)
        return CallRecord(item, instance)

    def arrive(self, frame: _Frame, name: str, local: str, node: int) -> None:
        frame.current = node
        frame.names[name] = node
        if local != name:
            frame.names[local] = node

    def block_arguments(self, item: Call, block: Block, environment: Environment) -> dict[str, Any]:
        given = {argument.key: argument for argument in item.arguments}
        arguments: dict[str, Any] = {}
        for parameter in block.parameters:
            argument = given.get(parameter.name)
            if argument is not None:
                arguments[parameter.name] = self.value(argument.value, environment)
            elif parameter.default is not None:
                arguments[parameter.name] = self.value(
                    parameter.default, {**self.globals, **arguments}
                )
            else:
                self.missing(item, block, parameter)
        return arguments

    def missing(self, item: Call, block: Block, parameter: Parameter) -> None:
        self.problem(
            "XG406", f"block '{block.name}' needs '{parameter.name}'", item.span,
            expected=f"{{{block.name}: {{{parameter.name}: …}}}}", received="nothing",
            notes=(("the parameter is declared here", parameter.span),),
        )  # fmt: skip

    def op(self, item: Call, environment: Environment) -> Op | None:
        """The op with its attributes bound; the same values give the same object."""
        arguments = self.merged_arguments(item)
        before = len(self.problems)
        values = {argument.key: self.value(argument.value, environment) for argument in arguments}
        key = (id(item), _frozen(values))
        if key in self.op_cache and len(self.problems) == before:
            return self.op_cache[key]
        given = {
            str(argument.key): Given(values[argument.key], argument.key_span, argument.value.span)
            for argument in arguments
        }
        found: list[Diagnostic] = []
        op = None
        if len(self.problems) == before:
            op = bind(ops.get(item.target), f"op '{item.target}'", given, item.span, found)
        for diagnostic in found:
            self.report(diagnostic)
        self.op_cache[key] = op
        return op

    def merged_arguments(self, item: Call) -> tuple[Argument, ...]:
        defaults = self.program.defaults.get(item.target)
        if not defaults:
            return item.arguments
        given = {argument.key for argument in item.arguments}
        return (*(a for a in defaults if a.key not in given), *item.arguments)

    # -- wiring -----------------------------------------------------------------------------------------

    def find(self, reference: Reference, frame: _Frame | None) -> int | None:
        path = reference.path
        if frame is not None:
            if path in frame.names:
                return frame.names[path]
            if path in frame.inputs:
                return frame.inputs[path]
        inside_block = frame is not None and frame.instance.block.name in self.program.blocks
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
            f"nothing before this is called '{path[:60]}'",
            reference.span,
            expected="the name of an earlier node or section, or 'input'",
            hint=suggest(path, known)
            or ("it comes later, or is switched off; a graph has no cycles" if later else None),
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
            weight = None if outputs else 1.0
            if spec.loss_weight is not None:
                given = self.value(spec.loss_weight, self.globals)
                try:
                    weight = NUMBER.convert(given)
                except ValueError:
                    self.problem(
                        "XG403", "a loss weight cannot be this", spec.loss_weight.span,
                        expected=NUMBER.expected, received=shown(given),
                    )  # fmt: skip
            if node is not None:
                outputs.append(Output(spec.name, node, weight))
        if not outputs:
            self.problem("XG505", "every output is switched off", self.program.outputs[0].span)
        return tuple(outputs)


def _count(least: int, most: int | None) -> str:
    if most is None:
        return f"at least {least} inputs" if least > 1 else "any number of inputs"
    return f"{least} input{'' if least == 1 else 's'}"


def _frozen(value: Any) -> Any:
    """A hashable stand-in; true and 1 stay different."""
    if isinstance(value, dict):
        return tuple((key, _frozen(part)) for key, part in value.items())
    if isinstance(value, list):
        return tuple(_frozen(part) for part in value)
    return (type(value), value)
