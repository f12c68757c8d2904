"""Code plan → classes, for frameworks whose networks are classes: `__init__` and a forward method.

The framework's words come from a `Dialect`; the spelling of each op from its lowering.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from xgraph.emit.names import safe_name
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
from xgraph.emit.symbols import code_of
from xgraph.ir.types import TensorType

LINE = 100
_INDENT = "    "


@dataclass(frozen=True)
class Spelling:
    """How a framework says an op.

    `module` is the constructor of a layer that is kept as an attribute, or None for a plain
    function. `call` is the forward expression: `{0}`, `{1}` … are the inputs, `{inputs}` all of
    them, `{module}` the layer. `elementwise` says that the call may be wrapped around the line
    before it. `helpers` are names that the program must import from its own files.

    `fresh` says that the result is a new tensor whose value its own gradient does not need, and
    `inplace` is the call that may overwrite such an input.
    """

    call: str
    module: str | None = None
    elementwise: bool = False
    helpers: frozenset[str] = frozenset()
    fresh: bool = False
    inplace: str | None = None


@dataclass(frozen=True)
class Dialect:
    """The words of a framework with classes."""

    base: str
    forward: str
    tensor: str
    module_list: str
    identity: str
    #: attribute names that the base class has already
    attributes: frozenset[str]
    #: the shape of a tensor as the framework shows it, batch axis first
    shape: Callable[[TensorType], str]
    #: the same with its channels spelled and its spatial sizes open
    general_shape: Callable[[TensorType, str], str]


@dataclass
class ClassText:
    """One written class."""

    lines: list[str]
    helpers: set[str] = field(default_factory=set)


Lower = Callable[[Apply], Spelling]


def write_classes(model: ModelPlan, dialect: Dialect, lower: Lower) -> list[ClassText]:
    """Every class of the model, callees first, the model itself last."""
    writer = _Writer(dialect, lower)
    texts = [writer.write(plan, plan.results) for plan in model.blocks]
    outputs = None if len(model.outputs) == 1 else model.outputs
    texts.append(writer.write(model.root, model.root.results, outputs))
    return texts


@dataclass
class _Line:
    """A forward statement `target = expression`, or other text when target is None."""

    target: str | None
    text: str
    elementwise: bool = False
    source: str | None = None
    depth: int = 0
    fresh: bool = False
    inplace: str | None = None


class _Writer:
    def __init__(self, dialect: Dialect, lower: Lower) -> None:
        self.dialect = dialect
        self.lower = lower
        self.signatures: dict[int, tuple[PlanParameter, ...]] = {}
        self.fresh: dict[int, bool] = {}  # whether what a class returns is fresh

    def write(
        self, plan: BlockPlan, results: tuple[str, ...], outputs: tuple[str, ...] | None = None
    ) -> ClassText:
        self.helpers: set[str] = set()
        self.parameters = {p.name for p in plan.parameters}
        self.spelled: dict[int, Spelling] = {}
        self.kept: set[str] = set()
        self.layer_names = {self.attribute(name) for name in self.layers(plan.body)}
        self.unread: set[str] = set()
        self.unread = _unread(self.init(plan.body, 0, {}))
        init = self.init(plan.body, 0, {})
        forward = self.forward(plan.body, 0, {}, {FLOW_VARIABLE, *plan.inputs})
        made = [line for line in forward if line.target == results[0]]
        self.fresh[id(plan)] = (
            bool(made) and made[-1] is forward[-1] and made[-1].fresh and made[-1].depth == 0
        )
        if outputs is not None:
            pairs = [f'"{n}": {v}' for n, v in zip(outputs, results, strict=True)]
            texts = [f"return {{{', '.join(pairs)}}}"]
            if len(texts[0]) > LINE - 8:
                texts = ["return {", *(f"{_INDENT}{pair}," for pair in pairs), "}"]
            forward += [_Line(None, text) for text in texts]
        elif len(results) == 1:
            forward.append(_Line(None, f"return {results[0]}", source=results[0]))
        else:
            forward.append(_Line(None, f"return {', '.join(results)}"))
        kept = self.kept
        mentioned = set().union(*(_words(line) for line in init), kept)
        signature = tuple(p for p in plan.parameters if p.name in mentioned)
        # A parameter without a default may not follow one with a default.
        signature = tuple(sorted(signature, key=lambda p: p.default is not None))
        self.signatures[id(plan)] = signature
        lines = [f"class {plan.title}({self.dialect.base}):"]
        lines += self.docstring(plan, outputs)
        if plan.weight_names:
            lines += ["", *_constant("weight_names", plan.weight_names)]
        arguments = ["self", *(_declared(p) for p in signature)]
        lines += ["", *_signature("__init__", arguments, "None")]
        lines.append(f"{_INDENT * 2}super().__init__()")
        lines += [
            f"{_INDENT * 2}self.{self.kept_name(p.name)} = {p.name}"
            for p in plan.parameters
            if p.name in kept
        ]
        lines += [_INDENT * 2 + line for line in init]
        tensor = self.dialect.tensor
        result = f"dict[str, {tensor}]" if outputs is not None else tensor
        if outputs is None and len(results) > 1:
            result = f"tuple[{', '.join([tensor] * len(results))}]"
        inputs = ["self", *(f"{name}: {tensor}" for name in plan.inputs)]
        lines += ["", *_signature(self.dialect.forward, inputs, result)]
        lines += [_INDENT * 2 + line for line in self.finish(forward)]
        return ClassText(lines, self.helpers)

    def docstring(self, plan: BlockPlan, outputs: tuple[str, ...] | None) -> list[str]:
        text = _plain(plan.doc or self.described(plan))
        if not text.endswith((".", "!", "?")):
            text += "."
        shape = self.dialect.shape
        arrow = f"{', '.join(shape(t) for t in plan.input_types)} -> {shape(plan.output_type)}"
        if plan.shared:
            arrow = self.general_shapes(plan)
        if outputs is not None:
            arrow = f"{shape(plan.input_types[0])} -> {{{', '.join(outputs)}}}"
        details = [arrow] if arrow else []
        if plan.source:
            details.append(f"Source: {_plain(plan.source)}")
        one_line = f'{_INDENT}"""{text}{" " + arrow if arrow else ""}"""'
        if len(one_line) <= LINE and not plan.source:
            return [one_line]
        wrapped = textwrap.wrap(text, LINE - 7)
        lines = [f'{_INDENT}"""{wrapped[0]}', *(_INDENT + line for line in wrapped[1:])]
        for detail in details:
            lines += ["", *(_INDENT + line for line in textwrap.wrap(detail, LINE - 4))]
        return [*lines, f'{_INDENT}"""']

    def described(self, plan: BlockPlan) -> str:
        """What to say of a block without a `doc`: its title for a section, else its steps."""
        steps = [s.op.name if isinstance(s, Apply) else s.name for s in plan.body
                 if isinstance(s, Apply | Invoke)]  # fmt: skip
        if plan.section or len(steps) < len(plan.body) or len(steps) > 5:
            return plan.name.replace("_", " ").capitalize()
        return ", ".join(steps).replace("_", " ").capitalize()

    def general_shapes(self, plan: BlockPlan) -> str:
        """Shapes of a class that is used at several, in the words of its parameters."""
        names = {p.name for p in plan.parameters}
        parts = []
        for type_ in (*plan.input_types, plan.output_type):
            channels = code_of(type_.channels)
            if not set(re.findall(r"[A-Za-z_]\w*", channels)) <= names:
                return ""
            parts.append(self.dialect.general_shape(type_, channels))
        if plan.resizes:
            parts[-1] = parts[-1].replace("H, W", "H', W'")
        return f"{', '.join(parts[:-1])} -> {parts[-1]}"

    # -- __init__ ---------------------------------------------------------------------------------

    def spelling(self, statement: Apply) -> Spelling:
        found = self.spelled.get(id(statement))
        if found is None:
            found = self.spelled[id(statement)] = self.lower(statement)
            self.helpers |= found.helpers
        return found

    def constructor(self, statement: Apply | Invoke) -> str | None:
        """The expression that makes the layer, or None when there is none to keep."""
        if isinstance(statement, Apply):
            return self.spelling(statement).module
        parts: list[str] = []
        named = False
        for parameter in self.signatures[id(statement.callee)]:
            code = statement.arguments.get(parameter.name)
            if code is None or code == parameter.default:
                continue
            named = named or parameter.default is not None or parameter.keyword
            parts.append(f"{parameter.name}={code}" if named else code)
        return f"{statement.callee.title}({', '.join(parts)})"

    def attribute(self, name: str) -> str:
        name = safe_name(name)
        return f"{name}_" if name in self.dialect.attributes else name

    def init(
        self, statements: list[Statement], depth: int, containers: dict[str, str]
    ) -> list[str]:
        """Lines of `__init__`; inside loops, layers are appended to `containers[name]`."""
        lines: list[str] = []
        for statement in statements:
            if isinstance(statement, Apply | Invoke):
                made = self.constructor(statement)
                if made is None:
                    continue
                attribute = self.attribute(statement.name)
                if statement.name in containers:
                    lines += _append_lines(containers[statement.name], made)
                else:
                    lines += _call_lines(f"self.{attribute} = ", made, "")
            elif isinstance(statement, Assign):
                if statement.name not in self.unread:
                    lines.append(f"{statement.name} = {statement.code}")
            elif isinstance(statement, Choose):
                lines += self.init_choice(statement, depth, containers)
            elif isinstance(statement, Repeat):
                lines += self.init_loop(statement, depth, containers)
            elif isinstance(statement, Unrolled):
                lines += self.init_unrolled(statement, depth, containers)
        return lines

    def init_choice(self, statement: Choose, depth: int, containers: dict[str, str]) -> list[str]:
        then = self.init(statement.then, depth, containers)
        otherwise = self.init(statement.otherwise, depth, containers)
        names = self.layers([statement])
        then += self.stand_ins(names, statement.then, containers)
        otherwise += self.stand_ins(names, statement.otherwise, containers)
        if then:
            lines = [f"if {statement.condition}:", *_indented(then)]
            return [*lines, "else:", *_indented(otherwise)] if otherwise else lines
        if otherwise:
            return [f"if not ({statement.condition}):", *_indented(otherwise)]
        return []

    def open_containers(
        self, names: Iterable[str], depth: int, containers: dict[str, str]
    ) -> tuple[list[str], dict[str, str], list[str]]:
        """(lines that make the lists of a loop, the lists by name, lines that hand them on)."""
        opening, closing, inner = [], [], dict(containers)
        for name in names:
            attribute = self.attribute(name)
            container = f"{attribute}_{depth}" if name in containers else f"self.{attribute}"
            opening.append(f"{container} = {self.dialect.module_list}()")
            if name in containers:
                closing.append(f"{containers[name]}.append({container})")
            inner[name] = container
        return opening, inner, closing

    def init_loop(self, statement: Repeat, depth: int, containers: dict[str, str]) -> list[str]:
        names = self.layers(statement.body)
        opening, inner, closing = self.open_containers(names, depth, containers)
        body = self.init(statement.body, depth + 1, inner)
        header = self.header(statement)
        if not names:  # numbers alone
            return [header, *_indented(body)] if body else []
        append = f"{inner[names[0]]}.append("
        if len(body) == 1 and body[0].startswith(append) and body[0].endswith(")"):
            made = body[0][len(append) : -1]
            target = opening[0].removesuffix("()")
            comprehension = f"{target}({made} {header.removesuffix(':')})"
            if len(comprehension) <= LINE - 8 - 4 * depth:
                return [comprehension, *closing]
            parts = [f"{made} {header.removesuffix(':')}"]
            if len(parts[0]) > LINE - 12 - 4 * depth:
                parts = [made, header.removesuffix(":")]
            return [f"{target}(", *_indented(parts), ")", *closing]
        return [*opening, header, *_indented(body), *closing]

    def init_unrolled(
        self, statement: Unrolled, depth: int, containers: dict[str, str]
    ) -> list[str]:
        names = list(dict.fromkeys(n for body in statement.bodies for n in self.layers(body)))
        if not names:
            return [
                line for body in statement.bodies for line in self.init(body, depth, containers)
            ]
        opening, inner, closing = self.open_containers(names, depth, containers)
        lines = opening
        for body in statement.bodies:
            lines += self.init(body, depth + 1, inner)
            lines += self.stand_ins(names, body, inner)
        return [*lines, *closing]

    def stand_ins(
        self, names: list[str], body: list[Statement], containers: dict[str, str]
    ) -> list[str]:
        """Lines that keep lists of layers aligned where an iteration lacks a layer."""
        present = set(self.layers(body))
        return [
            f"{containers[name]}.append({self.dialect.identity})"
            for name in names
            if name in containers and name not in present
        ]

    def header(self, statement: Repeat) -> str:
        if not statement.variables:
            return f"for _ in range({statement.iterable}):"
        return f"for {', '.join(statement.variables)} in {statement.iterable}:"

    def layers(self, statements: list[Statement]) -> list[str]:
        """Names of the layers that statements keep, in order, without repetition."""
        names: list[str] = []
        for statement in statements:
            if isinstance(statement, Invoke) or (
                isinstance(statement, Apply) and self.spelling(statement).module is not None
            ):
                names.append(statement.name)
            elif isinstance(statement, Repeat):
                names += self.layers(statement.body)
            elif isinstance(statement, Choose):
                names += self.layers(statement.then) + self.layers(statement.otherwise)
            elif isinstance(statement, Unrolled):
                for body in statement.bodies:
                    names += self.layers(body)
        return list(dict.fromkeys(names))

    # -- forward ----------------------------------------------------------------------------------

    def forward(
        self, statements: list[Statement], depth: int, places: dict[str, str], variables: set[str]
    ) -> list[_Line]:
        """Lines of the forward method; `places` says where a layer is found inside loops."""
        lines: list[_Line] = []
        for statement in statements:
            if isinstance(statement, Apply):
                spelling = self.spelling(statement)
                place = places.get(statement.name, f"self.{self.attribute(statement.name)}")
                call = spelling.call
                if spelling.module is None:
                    call = self.on_self(call)
                text = call.format(
                    *statement.inputs, inputs=", ".join(statement.inputs), module=place
                )
                single = statement.inputs[0] if len(statement.inputs) == 1 else None
                if text != statement.target:
                    line = _Line(statement.target, text, spelling.elementwise, single, depth)
                    line.fresh = spelling.fresh
                    if spelling.inplace is not None:
                        line.inplace = spelling.inplace.format(*statement.inputs)
                    lines.append(line)
                variables.add(statement.target)
            elif isinstance(statement, Invoke):
                place = places.get(statement.name, f"self.{self.attribute(statement.name)}")
                target = ", ".join((statement.target, *statement.extra_targets))
                text = f"{place}({', '.join(statement.inputs)})"
                single = statement.inputs[0] if len(statement.inputs) == 1 else None
                fresh = self.fresh[id(statement.callee)]
                lines.append(_Line(target, text, False, single, depth, fresh))
                variables.update((statement.target, *statement.extra_targets))
            elif isinstance(statement, Alias):
                if statement.target != statement.value:
                    lines.append(_Line(statement.target, statement.value, False, None, depth))
                variables.add(statement.target)
            elif isinstance(statement, Repeat):
                lines += self.forward_loop(statement, depth, places, variables)
            elif isinstance(statement, Unrolled):
                for position, body in enumerate(statement.bodies):
                    inner = dict(places)
                    for name in self.layers(body):
                        base = places.get(name, f"self.{self.attribute(name)}")
                        inner[name] = f"{base}[{position}]"
                    lines += self.forward(body, depth, inner, variables)
            elif isinstance(statement, Choose):
                then = self.forward(statement.then, depth + 1, places, variables)
                otherwise = self.forward(statement.otherwise, depth + 1, places, variables)
                condition = self.on_self(statement.condition)
                if then:
                    lines += [_Line(None, f"if {condition}:", depth=depth), *then]
                    if otherwise:
                        lines += [_Line(None, "else:", depth=depth), *otherwise]
                elif otherwise:
                    lines += [_Line(None, f"if not ({condition}):", depth=depth), *otherwise]
        return lines

    def forward_loop(
        self, statement: Repeat, depth: int, places: dict[str, str], variables: set[str]
    ) -> list[_Line]:
        names = self.layers(statement.body)
        inner = dict(places)
        loop_variables, iterables = [], []
        direct = set(self.layers([s for s in statement.body if not isinstance(s, Repeat)]))
        assigned = _targets(statement.body) | set(statement.variables)
        for name in names:
            base = places.get(name, f"self.{self.attribute(name)}")
            variable = safe_name(name) if name in direct else f"{name}_list"
            while variable in variables or variable in loop_variables or variable in assigned:
                variable += "_layer"
            loop_variables.append(variable)
            iterables.append(base)
            inner[name] = variable
        taken = variables | set(loop_variables)
        body = self.forward(statement.body, depth + 1, inner, taken)
        variables |= taken - set(loop_variables)
        read = set().union(*(_words(line.text) for line in body))
        if statement.variables and read & set(statement.variables):
            several = len(statement.variables) > 1
            names_read = ", ".join(statement.variables)
            loop_variables.append(f"({names_read})" if several else names_read)
            iterables.append(self.on_self(statement.iterable))
        if not body:
            return []
        if not names and not (statement.variables and read & set(statement.variables)):
            code = self.on_self(statement.iterable)
            count = code if statement.variables else f"range({code})"
            return [_Line(None, f"for _ in {count}:", depth=depth), *body]
        if len(iterables) == 1:
            head = f"for {', '.join(loop_variables)} in {iterables[0]}:"
        else:
            head = f"for {', '.join(loop_variables)} in zip({', '.join(iterables)}, strict=True):"
        return [_Line(None, head, depth=depth), *body]

    def on_self(self, code: str) -> str:
        """Parameters are kept on the instance; the forward method reads them there."""

        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            if name not in self.parameters:
                return name
            self.kept.add(name)
            return f"self.{self.kept_name(name)}"

        return re.sub(r"(?<![\w.{])([A-Za-z_]\w*)(?!\w*=[^=])", replaced, code)

    def kept_name(self, parameter: str) -> str:
        """The attribute that keeps a parameter; a layer may have its name already."""
        taken = self.layer_names | self.dialect.attributes
        return f"{parameter}_setting" if parameter in taken else parameter

    def finish(self, lines: list[_Line]) -> list[str]:
        """Fold activations around the call before them, and the last call into the return."""
        folded: list[_Line] = []
        for line in lines:
            before = folded[-1] if folded else None
            if (
                before is not None
                and before.target is not None
                and before.depth == line.depth
                and line.source == before.target
                and (line.target == before.target or line.target is None)
                and (line.elementwise or line.target is None or before.elementwise)
                and _count(line.text, before.target) == 1
                and "," not in before.target
            ):
                outer = line.inplace if line.inplace and before.fresh else line.text
                inner = before.text.replace("\\", "\\\\")  # as re.sub reads it
                text = re.sub(rf"\b{re.escape(before.target)}\b", inner, outer)
                # A wrapped line is harder to read than two short ones.
                if len(text) + 8 + 4 * line.depth <= LINE - 12 and _nesting(text) <= 3:
                    folded[-1] = _Line(line.target, text, False, None, line.depth)
                    continue
            folded.append(line)
        out = []
        for line in folded:
            target = "" if line.target is None else f"{line.target} = "
            out += [_INDENT * line.depth + part for part in _wrapped(target, line)]
        return out


FLOW_VARIABLE = "x"


def _constant(name: str, values: dict[str, str]) -> list[str]:
    """A class attribute that is a mapping of words."""
    pairs = [f'"{key}": "{value}"' for key, value in values.items()]
    line = f"{_INDENT}{name} = {{{', '.join(pairs)}}}"
    if len(line) <= LINE:
        return [line]
    inner = [f"{_INDENT * 2}{pair}," for pair in pairs]
    return [f"{_INDENT}{name} = {{", *inner, f"{_INDENT}}}"]


def _targets(statements: list[Statement]) -> set[str]:
    """Variables that statements assign in the forward pass."""
    found: set[str] = set()
    for statement in statements:
        if isinstance(statement, Apply | Alias):
            found.add(statement.target)
        elif isinstance(statement, Invoke):
            found.update((statement.target, *statement.extra_targets))
        elif isinstance(statement, Repeat):
            found |= _targets(statement.body)
        elif isinstance(statement, Unrolled):
            found |= set().union(*(_targets(body) for body in statement.bodies))
        elif isinstance(statement, Choose):
            found |= _targets(statement.then) | _targets(statement.otherwise)
    return found


def _declared(parameter: PlanParameter) -> str:
    text = f"{parameter.name}: {parameter.annotation}"
    return text if parameter.default is None else f"{text} = {parameter.default}"


def _signature(name: str, arguments: list[str], result: str) -> list[str]:
    line = f"{_INDENT}def {name}({', '.join(arguments)}) -> {result}:"
    if len(line) <= LINE:
        return [line]
    inner = [f"{_INDENT * 2}{argument}," for argument in arguments]
    return [f"{_INDENT}def {name}(", *inner, f"{_INDENT}) -> {result}:"]


def _call_lines(before: str, call: str, after: str, room: int = LINE - 8) -> list[str]:
    """`before call(...) after`, its arguments on lines of their own where `room` is too little."""
    line = f"{before}{call}{after}"
    if len(line) <= room or "(" not in call:
        return [line]
    head, _, rest = call.partition("(")
    inner = rest[:-1]
    if len(inner) <= room - 4:
        return [f"{before}{head}(", f"{_INDENT}{inner}", f"){after}"]
    parts = _split_arguments(inner)
    return [f"{before}{head}(", *(f"{_INDENT}{part}," for part in parts), f"){after}"]


def _append_lines(container: str, made: str) -> list[str]:
    """`container.append(made)`; what is made stands on its own line where both do not fit."""
    line = f"{container}.append({made})"
    if len(line) <= LINE - 12:
        return [line]
    return [f"{container}.append(", *_indented(_call_lines("", made, "", LINE - 16)), ")"]


def _wrapped(before: str, line: _Line) -> list[str]:
    """A forward statement, on several lines where one would be too long."""
    text, after = line.text, ""
    room = LINE - 8 - 4 * line.depth
    if len(before) + len(text) <= room:
        return [before + text]
    head = re.match(r"(return |for .*? in )(?=[\w.]+\()", text)
    if head is not None:
        before, text = head[0], text[head.end() :]
    if text.endswith(":"):
        text, after = text[:-1], ":"
    if not re.fullmatch(r"[\w.]+\(.*\)", text):
        return [before + text + after]
    return _call_lines(before, text, after, room)


def _split_arguments(text: str) -> list[str]:
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def _indented(lines: Iterable[str]) -> list[str]:
    return [_INDENT + line for line in lines]


def _unread(lines: list[str]) -> set[str]:
    """Names that lines assign and nothing reads, such as a channel count nobody asks for."""
    assigned = {m[1] for line in lines if (m := re.match(r"\s*([a-z]\w*) = ", line))}
    read = set().union(*(_words(re.sub(r"^\s*[a-z]\w* = ", "", line)) for line in lines), ())
    return assigned - read


def _words(text: str) -> set[str]:
    """Identifiers in a line, those after a dot and keyword names left out."""
    return set(re.findall(r"(?<![\w.])([A-Za-z_]\w*)(?!\w*=[^=])", text))


def _count(text: str, name: str) -> int:
    return len(re.findall(rf"\b{re.escape(name)}\b", text))


def _nesting(text: str) -> int:
    depth = deepest = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


def _plain(text: str) -> str:
    """Text of a spec inside a docstring: nothing in it can end the string or hide."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    return visible.replace("\\", "/").replace('"', "'")
