"""Code plan → functions, for frameworks whose networks are built by calling layers on tensors.

A block is a function that makes its layers and applies them at once. Every layer is named by the
path of its node: a block is told its own (`name`), a section knows it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from xgraph.emit.names import NameTable, class_name, safe_name
from xgraph.emit.naming import name_repeated
from xgraph.emit.plan import (
    Again,
    Alias,
    Append,
    Apply,
    Assign,
    BlockPlan,
    Choose,
    Gather,
    Invoke,
    Measure,
    ModelPlan,
    PlanParameter,
    Repeat,
    Statement,
    Unrolled,
)
from xgraph.emit.source import (
    Shapes,
    assigned_numbers,
    call_lines,
    declared,
    defaults,
    docstring,
    filled,
    formatted,
    idle,
    indented,
    loop_variables,
    read_parameters,
    renamed,
    returned,
    signature,
    split_arguments,
    table,
    targets,
    words,
)
from xgraph.wrapping import INDENT, LINE, fitted


@dataclass(frozen=True)
class Layer:
    """How a framework says an op as a layer.

    `made` is the constructor's call, to which the writer adds the layer's name; None: there is no
    layer, the result is the input. `takes` is what the layer is called on: `{0}` is the first
    input, `{inputs}` are all of them. `before` is the constructor of a layer that the input goes
    through first, and the word for it (`pad`).
    """

    made: str | None
    takes: str = "{0}"
    before: tuple[str, str] | None = None
    helpers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class FunctionDialect:
    """The words of a framework with functions.

    `tensor` is the type of its tensors, `shapes` how their shapes look, `channels` asks a tensor
    for its channels; `dot` is what stands in the name of a layer for the dots of its node's path.
    `shared` makes a model of its own of a block, which keeps its weights when it is called again.
    """

    tensor: str
    channels: str
    shapes: Shapes
    dot: str
    shared: str


@dataclass
class FunctionText:
    """One written function; of the model itself the body, whose frame is a template's.

    `parameters` are those that the model's body reads.
    """

    name: str
    lines: list[str]
    helpers: set[str] = field(default_factory=set)
    parameters: tuple[PlanParameter, ...] = ()


Lower = Callable[[Apply], Layer]
#: Names that every function may have for its own purposes.
_OWN = frozenset({"name", "x", "inputs", "input_shape", "i", "j", "k"})


def write_functions(
    model: ModelPlan, dialect: FunctionDialect, lower: Lower, reserved: frozenset[str]
) -> tuple[list[FunctionText], FunctionText]:
    """Every block's and section's function, callees first, and the model's own statements.

    The model's text is the body of a function from `inputs` to its results; it holds no `return`.
    """

    def written() -> tuple[list[FunctionText], FunctionText]:
        writer = _Writer(model, dialect, lower, reserved)
        texts = [writer.function(plan) for plan in model.blocks]
        return texts, writer.body_of_model(model.root, model.input_codes or ())

    texts, root = written()
    named = name_repeated(model, [text.lines for text in (*texts, root)], reserved)
    return written() if named else (texts, root)


@dataclass(frozen=True)
class _Place:
    """Where statements stand: what begins their names, and the loops around them.

    `prefix` is literal text, or None in a block, which is told its `name`. `depth` counts the
    loops and conditions around.
    """

    prefix: str | None
    dot: str
    indices: tuple[str, ...] = ()
    depth: int = 0

    @property
    def room(self) -> int:
        """Columns left for a statement in a function."""
        return LINE - len(INDENT) * (1 + self.depth)

    def inside(self, *index: str, deeper: int = 1) -> _Place:
        """In a loop or condition that stands here."""
        return _Place(self.prefix, self.dot, (*self.indices, *index), self.depth + deeper)

    def named(self, name: str, suffix: str = "") -> str:
        """The source of a layer's full name."""
        path = name + "".join(
            f"{self.dot}{index}" if index.isdigit() else f"{self.dot}{{{index}}}"
            for index in self.indices
        )
        path += suffix
        full = f"{{name}}{self.dot}{path}" if self.prefix is None else f"{self.prefix}{path}"
        return f'f"{full}"' if "{" in full else f'"{full}"'


class _Writer:
    def __init__(
        self, model: ModelPlan, dialect: FunctionDialect, lower: Lower, reserved: frozenset[str]
    ) -> None:
        self.dialect = dialect
        self.lower = lower
        self.signatures: dict[int, tuple[PlanParameter, ...]] = {}
        self.takes_name: dict[int, bool] = {}
        self.reserved = reserved
        self.functions = _function_names(model, reserved)

    def function(self, plan: BlockPlan) -> FunctionText:
        self.helpers: set[str] = set()
        place = _Place(f"{plan.name}{self.dialect.dot}" if plan.section else None, self.dialect.dot)
        body = self.body(plan, place)
        results = plan.results
        body = _returning(body, results)
        mentioned = set().union(*(_read(line) for line in body))
        read = read_parameters(plan.parameters, mentioned)
        body = [*self.counts(plan, read), *body]
        own = tuple(parameter for parameter in read if not parameter.implicit)
        self.signatures[id(plan)] = own
        named = not plan.section
        self.takes_name[id(plan)] = named
        tensor = self.dialect.tensor
        result = returned(tensor, len(results))
        arguments = [f"{name}: {tensor}" for name in plan.inputs] + [declared(p) for p in own]
        arguments += ["*", "name: str"] if named else []
        name = self.functions[id(plan)]
        lines = signature(name, arguments, result)
        lines += docstring(plan, self.dialect.shapes, None)
        return FunctionText(name, fitted([*lines, *indented(body)]), self.helpers)

    def number(self, statement: Assign) -> str:
        """The code of a number; the channels of the input are asked of it."""
        if statement.tensor is None:
            return statement.code
        return self.dialect.channels.format(statement.tensor)

    def counts(self, plan: BlockPlan, read: tuple[PlanParameter, ...]) -> list[str]:
        """Lines that ask the inputs for the channel counts that are read; tensors know theirs."""
        implicit = [parameter for parameter in plan.parameters if parameter.implicit]
        pairs = zip(implicit, plan.inputs, strict=True)
        return [f"{p.name} = {self.dialect.channels.format(x)}" for p, x in pairs if p in read]

    def body_of_model(self, plan: BlockPlan, shape: tuple[str, ...]) -> FunctionText:
        """The statements of the model, its input called `inputs`; `shape` is read before them."""
        self.helpers = set()
        lines = _started(self.body(plan, _Place("", self.dialect.dot)), plan.results)
        own = read_parameters(plan.parameters, set().union(*map(_read, (*lines, *shape))))
        lines = [*defaults(own), *lines]
        return FunctionText(
            self.functions[id(plan)], fitted(lines, LINE - len(INDENT)), self.helpers, own
        )

    def body(self, plan: BlockPlan, place: _Place) -> list[str]:
        taken = NameTable({*plan.inputs, *(p.name for p in plan.parameters)})
        taken.taken |= targets(plan.body) | loop_variables(plan.body) | assigned_numbers(plan.body)
        self.unread: set[str] = set()
        lines = self.statements(plan.body, place, taken)
        self.unread = idle(lines, assigned_numbers(plan.body), _read)
        return self.statements(plan.body, place, taken)

    def statements(self, statements: list[Statement], place: _Place, taken: NameTable) -> list[str]:
        lines: list[str] = []
        for statement in statements:
            if isinstance(statement, Apply):
                lines += self.apply(statement, place)
            elif isinstance(statement, Invoke):
                lines += self.invoke(statement, place)
            elif isinstance(statement, Again):
                lines += self.again(statement, place)
            elif isinstance(statement, Alias):
                if statement.target != statement.value:
                    lines.append(f"{statement.target} = {statement.value}")
            elif isinstance(statement, Gather):
                lines.append(f"{statement.target} = []")
            elif isinstance(statement, Append):
                lines.append(f"{statement.target}.append({statement.value})")
            elif isinstance(statement, Assign):
                if statement.name not in self.unread:
                    lines.append(f"{statement.name} = {self.number(statement)}")
            elif isinstance(statement, Measure):
                if statement.name not in self.unread:
                    lines.append(f"{statement.name} = {statement.target}.shape[-1]")
            elif isinstance(statement, Choose):
                lines += self.choice(statement, place, taken)
            elif isinstance(statement, Repeat):
                lines += self.loop(statement, place, taken)
            elif isinstance(statement, Unrolled):
                for index, body in enumerate(statement.bodies):
                    inner = place.inside(str(index), deeper=0)
                    lines += self.statements(body, inner, taken)
        return lines

    def apply(self, statement: Apply, place: _Place) -> list[str]:
        layer = self.lower(statement)
        self.helpers |= layer.helpers
        inputs = list(statement.inputs)
        if statement.least == 1:  # a merge of Keras takes two or more
            gathered = inputs[0]
            name = place.named(statement.name)
            room = place.inside().room
            merge = _layer_lines(statement.target, str(layer.made), name, gathered, room)
            one = f"{statement.target} = {gathered}[0]"
            return [one, f"if len({gathered}) > 1:", *indented(merge)]
        if layer.made is None:
            same = inputs[0] == statement.target
            return [] if same else [f"{statement.target} = {inputs[0]}"]
        lines, inputs = self.padded(statement, layer, place)
        given = filled(layer.takes, inputs)
        if statement.kept is not None:
            lines += _layer_lines(statement.kept, layer.made, place.named(statement.name), None,
                                  place.room)  # fmt: skip
            return [*lines, f"{statement.target} = {statement.kept}({given})"]
        return lines + _layer_lines(
            statement.target, layer.made, place.named(statement.name), given, place.room
        )

    def padded(
        self, statement: Apply | Again, layer: Layer, place: _Place
    ) -> tuple[list[str], list[str]]:
        """(lines, what an op is called on after them): the layer that comes first, if there is one.

        It has no weights: an op that is applied again has another one.
        """
        inputs = list(statement.inputs)
        if layer.before is None:
            return [], inputs
        word, made = layer.before
        name = place.named(statement.name, f"_{word}")
        lines = _layer_lines(statement.target, made, name, inputs[0], place.room)
        inputs[0] = statement.target
        return lines, inputs

    def again(self, statement: Again, place: _Place) -> list[str]:
        """A layer, or the model that a block has become, called once more."""
        first = statement.first
        inputs = list(statement.inputs)
        target = ", ".join((statement.target, *statement.extra_targets))
        if isinstance(first, Invoke):
            return [f"{target} = {first.kept}({_together(inputs)})"]
        layer = self.lower(statement.applied)
        if layer.made is None:
            same = inputs[0] == statement.target
            return [] if same else [f"{statement.target} = {inputs[0]}"]
        lines, inputs = self.padded(statement, layer, place)
        return [*lines, f"{target} = {first.kept}({filled(layer.takes, inputs)})"]

    def invoke(self, statement: Invoke, place: _Place) -> list[str]:
        callee = statement.callee
        parts = list(statement.inputs)
        if statement.kept is not None:
            parts = [self.functions[id(callee)], _together(parts)]
        named = False
        for parameter in self.signatures[id(callee)]:
            code = statement.arguments.get(parameter.name)
            if code is None or code == parameter.default:
                continue
            named = named or parameter.default is not None or parameter.keyword
            parts.append(f"{parameter.name}={code}" if named else code)
        if self.takes_name[id(callee)]:
            parts.append(f"name={place.named(statement.name)}")
        target = ", ".join((statement.target, *statement.extra_targets))
        if statement.kept is None:
            call = f"{self.functions[id(callee)]}({', '.join(parts)})"
            return call_lines(f"{target} = ", call, "", place.room)
        if not statement.any_size:
            parts.append("one_size=True")
        self.helpers.add(self.dialect.shared)
        made = f"{self.dialect.shared}({', '.join(parts)})"
        lines = call_lines(f"{statement.kept} = ", made, "", place.room)
        return [*lines, f"{target} = {statement.kept}({_together(statement.inputs)})"]

    def choice(self, statement: Choose, place: _Place, taken: NameTable) -> list[str]:
        then = self.statements(statement.then, place.inside(), taken)
        otherwise = self.statements(statement.otherwise, place.inside(), taken)
        if then == otherwise:
            return then
        if then:
            lines = [f"if {statement.condition}:", *indented(then)]
            return [*lines, "else:", *indented(otherwise)] if otherwise else lines
        if otherwise:
            return [f"if not ({statement.condition}):", *indented(otherwise)]
        return []

    def loop(self, statement: Repeat, place: _Place, taken: NameTable) -> list[str]:
        """A loop that counts, since the layers in it are told apart by its index."""
        variables, iterable = statement.variables, statement.iterable
        counts = len(variables) == 1 and iterable.startswith("range(")
        index = variables[0] if counts else next(n for n in _indices() if n not in taken.taken)
        outside = set(taken.taken)
        taken.taken.add(index)
        inner = place.inside(index)
        body = self.statements(statement.body, inner, taken)
        taken.taken = outside
        if not body:
            return []
        read = set().union(*(_read(line) for line in body))
        room = place.room - 24 - sum(map(len, variables))
        before, iterable = table(
            iterable, variables, taken.taken | {*self.functions.values()} | self.reserved, room
        )
        if counts or (not variables and index in read):
            head = f"for {index} in {iterable if counts else f'range({iterable})'}:"
        elif not variables:
            head = f"for _ in range({iterable}):"
        else:
            names = ", ".join(variables)
            if index in read:
                names = f"({names})" if len(variables) > 1 else names
                head = f"for {index}, {names} in enumerate({iterable}):"
            else:
                head = f"for {names} in {iterable}:"
        return [*before, head, *indented(body)]


def _together(inputs: Sequence[str]) -> str:
    """The inputs of a model: one, or a list of them."""
    return inputs[0] if len(inputs) == 1 else f"[{', '.join(inputs)}]"


def _indices() -> list[str]:
    return ["i", "j", "k", *(f"index_{number}" for number in range(1, 100))]


def _layer_lines(target: str, made: str, name: str, given: str | None, room: int) -> list[str]:
    """`target = Layer(…, name=…)(given)`, the constructor's arguments on their own line if long.

    Without what is `given` it is the layer itself.
    """
    head, _, rest = made.partition("(")
    arguments = ", ".join(filter(None, (rest[:-1], f"name={name}")))
    called = "" if given is None else f"({given})"
    line = f"{target} = {head}({arguments}){called}"
    if len(line) <= room:
        return [line]
    rows = [arguments]
    if len(arguments) > room - 4:
        rows = [f"{part}," for part in split_arguments(arguments)]
    return [f"{target} = {head}(", *indented(rows), f"){called}"]


def _function_names(model: ModelPlan, reserved: frozenset[str]) -> dict[int, str]:
    """A function's name is its block's; where variables have that name, it says what it is."""
    variables = set(_OWN) | reserved
    for plan in (*model.blocks, model.root):
        variables |= {*plan.inputs, *(p.name for p in plan.parameters), *targets(plan.body)}
        variables |= loop_variables(plan.body) | assigned_numbers(plan.body)
    table = NameTable(variables)
    names = {}
    for plan in (model.root, *model.blocks):
        variant = plan.title.removeprefix(class_name(plan.name))  # `Valid`, `ReluFirst`, `2`
        base = "_".join([plan.name, *re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", variant)]).lower()
        base = safe_name(re.sub(r"\W", "_", base))
        if base in variables:
            kind = "model" if plan is model.root else "section" if plan.section else "block"
            base = f"{base.rstrip('_')}_{kind}"
        names[id(plan)] = table.fresh(base)
    return names


def _returning(body: list[str], results: tuple[str, ...]) -> list[str]:
    """A body with its return; the last assignment becomes it where that says the same."""
    starts = [n for n, line in enumerate(body) if not line.startswith((" ", ")"))]
    if len(results) == 1 and starts:
        last = starts[-1]
        assigned = f"{results[0]} = "
        if body[last].startswith(assigned):
            value, more = body[last].removeprefix(assigned), body[last + 1 :]
            made, called, given = value.rpartition(")(")
            if called and not more:  # `return ` is longer than what it stands for
                return [*body[:last], *call_lines("return ", f"{made})", f"({given}", LINE - 4)]
            return [*body[:last], f"return {value}", *more]
    return [*body, f"return {', '.join(results)}"]


def _started(body: list[str], results: tuple[str, ...]) -> list[str]:
    """The model's statements, whose first `x` is `inputs`."""
    body = [line for line in body if line != "inputs = x"]
    if body and body[0].startswith("x = ") and not body[0].endswith("("):
        first = body[0].removeprefix("x = ")
        return ["x = " + renamed(first, {"x": "inputs"}.get), *body[1:]]
    read_first = any("x" in _read(line) for line in body)
    return ["x = inputs", *body] if read_first or "x" in results else body


def _read(line: str) -> set[str]:
    """Names that a line reads, in the braces of an f-string too, in other text not."""
    text = re.sub(r"^\s*[A-Za-z_]\w* = ", "", line)
    return words(text) | formatted(text)
