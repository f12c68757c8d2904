"""Code plan → classes, for frameworks whose networks are classes: `__init__` and a forward method.

The framework's words come from a `Dialect`; the spelling of each op from its lowering.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from xgraph.emit.names import safe_name
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
    computed_once,
)
from xgraph.emit.source import (
    Shapes,
    assigned_numbers,
    call_lines,
    count,
    declared,
    defaults,
    docstring,
    filled,
    idle,
    indented,
    nesting,
    numbers,
    read_parameters,
    renamed,
    returned,
    signature,
    table,
    targets,
    words,
)
from xgraph.emit.symbols import is_atom
from xgraph.wrapping import INDENT, LINE, broken, fitted


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
    """The words of a framework with classes.

    `attributes` are names that the base class has already, `reserved` those that the program gives
    a meaning to. `opening` are the first lines of
    `__init__`. `passed` is a keyword that every class takes and hands to its layers, with its
    type (NNX's `rngs`). `bracketed` says that a list of layers is made from a Python list.
    """

    base: str
    forward: str
    tensor: str
    module_list: str
    identity: str
    attributes: frozenset[str]
    shapes: Shapes
    reserved: frozenset[str] = frozenset()
    opening: tuple[str, ...] = ()
    passed: tuple[str, str] | None = None
    bracketed: bool = False


@dataclass
class ClassText:
    """One written class; `parameters` are those that it takes."""

    lines: list[str]
    parameters: tuple[PlanParameter, ...]
    helpers: set[str] = field(default_factory=set)


Lower = Callable[[Apply], Spelling]


def probed(lower: Lower) -> Lower:
    """A lowering whose results all pass through `probe`, each on a line of its own."""

    def spell(statement: Apply) -> Spelling:
        spelling = lower(statement)
        call = f'probe(self, "{statement.name}", {spelling.call})'
        return replace(spelling, call=call, elementwise=False, inplace=None)

    return spell


def write_classes(model: ModelPlan, dialect: Dialect, lower: Lower) -> list[ClassText]:
    """Every class of the model, callees first, the model itself last."""
    outputs = None if len(model.outputs) == 1 else model.outputs

    def written() -> list[ClassText]:
        writer = _Writer(dialect, lower)
        texts = [writer.write(plan, plan.results) for plan in model.blocks]
        return [*texts, writer.write(model.root, model.root.results, outputs)]

    texts = written()
    named = name_repeated(model, [text.lines for text in texts], dialect.reserved)
    return written() if named else texts


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
        self.spelled: dict[int, Spelling] = {}
        self.kept: set[str] = set()
        self.kept_names = self.attributes_of_parameters(plan)
        self.computed = computed_once(plan.body)
        self.numbers = numbers(plan)  # names in `__init__` that its lists of layers must not take
        kept_numbers = [f"self.{name} = {code}" for name, code in plan.numbers.items()]
        self.unread: set[str] = set()
        lines = [*self.init(plan.body, 0, {}), *kept_numbers]
        self.unread = idle(lines, assigned_numbers(plan.body), _read)
        init = [*self.init(plan.body, 0, {}), *kept_numbers]
        forward = self.forward(
            plan.body, 0, {}, {FLOW_VARIABLE, *plan.inputs, *self.dialect.reserved}
        )
        made = [line for line in forward if line.target == results[0]]
        self.fresh[id(plan)] = (
            bool(made) and made[-1] is forward[-1] and made[-1].fresh and made[-1].depth == 0
        )
        if outputs is not None:
            pairs = [f'"{n}": {v}' for n, v in zip(outputs, results, strict=True)]
            texts = [f"return {{{', '.join(pairs)}}}"]
            if len(texts[0]) > LINE - 8:
                texts = ["return {", *(f"{INDENT}{pair}," for pair in pairs), "}"]
            forward += [_Line(None, text) for text in texts]
        elif len(results) == 1:
            forward.append(_Line(None, f"return {results[0]}", source=results[0]))
        else:
            forward.append(_Line(None, f"return {', '.join(results)}"))
        kept = self.kept
        mentioned = set().union(*(words(line) for line in init), kept)
        own = read_parameters(plan.parameters, mentioned)
        self.signatures[id(plan)] = own
        lines = [f"class {plan.title}({self.dialect.base}):"]
        lines += docstring(plan, self.dialect.shapes, outputs)
        if plan.weight_names:
            lines += ["", *_constant("weight_names", plan.weight_names)]
        arguments = ["self", *(declared(p) for p in own)]
        if self.dialect.passed is not None:
            arguments += ["*", ": ".join(self.dialect.passed)]
        lines += ["", *signature("__init__", arguments, "None", INDENT)]
        lines += [INDENT * 2 + line for line in self.dialect.opening]
        before_layers = len(lines)
        lines += [INDENT * 2 + line for line in defaults(own)]
        lines += [
            f"{INDENT * 2}self.{self.kept_names[p.name]} = {p.name}"
            for p in plan.parameters
            if p.name in kept
        ]
        lines += [INDENT * 2 + line for line in init]
        if len(lines) == before_layers and not self.dialect.opening:
            lines.append(f"{INDENT * 2}pass")
        tensor = self.dialect.tensor
        result = returned(tensor, len(results))
        if outputs is not None:
            result = f"dict[str, {tensor}]"
        inputs = ["self", *(f"{name}: {tensor}" for name in plan.inputs)]
        lines += ["", *signature(self.dialect.forward, inputs, result, INDENT)]
        lines += [INDENT * 2 + line for line in self.finish(forward)]
        return ClassText(fitted(lines), own, self.helpers)

    def attributes_of_parameters(self, plan: BlockPlan) -> dict[str, str]:
        """The attribute that keeps each parameter; a layer may have its name already."""
        layers = {self.attribute(name) for name in self.layers(plan.body)}
        taken = layers | self.dialect.attributes
        names: dict[str, str] = {}
        for parameter in sorted(plan.parameters, key=lambda p: p.name in taken):
            name = parameter.name
            while name in taken:
                name += "_setting"
            taken.add(name)
            names[parameter.name] = name
        return names

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
        if self.dialect.passed is not None:
            parts.append(f"{self.dialect.passed[0]}={self.dialect.passed[0]}")
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
                    lines += _append_lines(containers[statement.name], made, LINE - 8 - 4 * depth)
                else:
                    lines += call_lines(f"self.{attribute} = ", made, "")
            elif isinstance(statement, Assign):
                if statement.name not in self.unread:
                    lines.append(f"{statement.name} = {statement.code}")
            elif isinstance(statement, Measure):
                if statement.name not in self.unread:
                    layer = f"self.{self.attribute(statement.block)}"
                    if statement.block in containers:
                        layer = f"{containers[statement.block]}[-1]"
                    lines.append(f"{statement.name} = {layer}.{statement.number}")
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
        if then == otherwise:
            return then
        if then:
            lines = [f"if {statement.condition}:", *indented(then)]
            return [*lines, "else:", *indented(otherwise)] if otherwise else lines
        if otherwise:
            return [f"if not ({statement.condition}):", *indented(otherwise)]
        return []

    def open_containers(
        self, names: Iterable[str], depth: int, containers: dict[str, str]
    ) -> tuple[list[str], dict[str, str], list[str]]:
        """(lines that make the lists of a loop, the lists by name, lines that hand them on)."""
        opening, closing, inner = [], [], dict(containers)
        for name in names:
            attribute = self.attribute(name)
            container = f"self.{attribute}"
            if name in containers:
                container = f"{attribute}_{depth}"
                while container in self.numbers:
                    container += "_list"
            opening.append(f"{container} = {self.dialect.module_list}()")
            if name in containers:
                closing.append(f"{containers[name]}.append({container})")
            inner[name] = container
        return opening, inner, closing

    def init_loop(self, statement: Repeat, depth: int, containers: dict[str, str]) -> list[str]:
        names = self.layers(statement.body)
        opening, inner, closing = self.open_containers(names, depth, containers)
        body = self.init(statement.body, depth + 1, inner)
        before, iterable = self.table(statement, statement.iterable, self.numbers, depth)
        header = self.header(statement, iterable)
        if not names:  # numbers alone
            return [*before, header, *indented(body)] if body else []
        append = f"{inner[names[0]]}.append("
        if len(body) == 1 and body[0].startswith(append) and body[0].endswith(")"):
            made = body[0][len(append) : -1]
            opened, closed = ("([", "])") if self.dialect.bracketed else ("(", ")")
            target = opening[0].removesuffix("()")
            line = f"{target}{opened}{made} {header.removesuffix(':')}{closed}"
            return [*before, *broken(line, LINE - 8 - 4 * depth), *closing]
        return [*before, *opening, header, *indented(body), *closing]

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

    def header(self, statement: Repeat, iterable: str) -> str:
        if not statement.variables:
            return f"for _ in range({iterable}):"
        return f"for {', '.join(statement.variables)} in {iterable}:"

    def table(
        self, statement: Repeat, iterable: str, taken: Collection[str], depth: int
    ) -> tuple[list[str], str]:
        """What a loop runs over, as a table of its own where the loop's line would be too long."""
        room = LINE - 20 - 4 * depth - sum(map(len, statement.variables))
        return table(iterable, statement.variables, {*taken, *self.dialect.reserved}, room)

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
            if isinstance(statement, Apply | Invoke | Again):
                lines += self.applied(statement, depth, places)
                variables.add(statement.target)
                if not isinstance(statement, Apply):
                    variables.update(statement.extra_targets)
            elif isinstance(statement, Alias):
                if statement.target != statement.value:
                    lines.append(_Line(statement.target, statement.value, False, None, depth))
                variables.add(statement.target)
            elif isinstance(statement, Gather):
                lines.append(_Line(statement.target, "[]", depth=depth))
                variables.add(statement.target)
            elif isinstance(statement, Append):
                text = f"{statement.target}.append({statement.value})"
                lines.append(_Line(None, text, source=statement.value, depth=depth))
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
                if [line.text for line in then] == [line.text for line in otherwise]:
                    lines += self.forward(statement.then, depth, places, variables)
                elif then:
                    lines += [_Line(None, f"if {condition}:", depth=depth), *then]
                    if otherwise:
                        lines += [_Line(None, "else:", depth=depth), *otherwise]
                elif otherwise:
                    lines += [_Line(None, f"if not ({condition}):", depth=depth), *otherwise]
        return lines

    def applied(
        self, statement: Apply | Invoke | Again, depth: int, places: dict[str, str]
    ) -> list[_Line]:
        """The line that applies a layer or a function, if it does anything."""
        first = statement.first if isinstance(statement, Again) else statement
        place = places.get(first.name, f"self.{self.attribute(first.name)}")
        single = statement.inputs[0] if len(statement.inputs) == 1 else None
        if isinstance(first, Invoke):
            assert not isinstance(statement, Apply)
            target = ", ".join((statement.target, *statement.extra_targets))
            text = f"{place}({', '.join(statement.inputs)})"
            return [_Line(target, text, False, single, depth, self.fresh[id(first.callee)])]
        spelling = self.spelling(first)
        if isinstance(statement, Again):
            spelling = self.lower(statement.applied)
            self.helpers |= spelling.helpers
        text = filled(self.on_self(spelling.call), statement.inputs, place)
        if text == statement.target:
            return []
        line = _Line(statement.target, text, spelling.elementwise, single, depth)
        line.fresh = spelling.fresh
        if spelling.inplace is not None:
            line.inplace = filled(spelling.inplace, statement.inputs)
        return [line]

    def forward_loop(
        self, statement: Repeat, depth: int, places: dict[str, str], variables: set[str]
    ) -> list[_Line]:
        names = self.layers(statement.body)
        inner = dict(places)
        loop_variables, iterables = [], []
        direct = set(self.layers([s for s in statement.body if not isinstance(s, Repeat)]))
        assigned = targets(statement.body) | set(statement.variables)
        for name in names:
            base = places.get(name, f"self.{self.attribute(name)}")
            variable = safe_name(name) if name in direct else f"{name}_list"
            while variable in variables or variable in loop_variables or variable in assigned:
                variable += "_layer"
            loop_variables.append(variable)
            iterables.append(base)
            inner[name] = variable
        own = {*loop_variables, *statement.variables}
        taken = variables | own
        body = self.forward(statement.body, depth + 1, inner, taken)
        variables |= taken - own
        read = set().union(*(words(line.text) for line in body))
        before: list[str] = []
        if statement.variables and read & set(statement.variables):
            several = len(statement.variables) > 1
            names_read = ", ".join(statement.variables)
            loop_variables.append(f"({names_read})" if several else names_read)
            code = self.on_self(statement.iterable)
            before, code = self.table(statement, code, variables | taken | assigned, depth)
            iterables.append(code)
        if not body:
            return []
        if not names and not (statement.variables and read & set(statement.variables)):
            code = self.on_self(statement.iterable)
            times = code if statement.variables else f"range({code})"
            return [_Line(None, f"for _ in {times}:", depth=depth), *body]
        if len(iterables) == 1:
            head = f"for {', '.join(loop_variables)} in {iterables[0]}:"
        else:
            head = f"for {', '.join(loop_variables)} in zip({', '.join(iterables)}, strict=True):"
        return [_Line(None, text, depth=depth) for text in (*before, head)] + body

    def on_self(self, code: str) -> str:
        """Parameters are kept on the instance; the forward method reads them there.

        What `__init__` computes of them for itself, it computes again.
        """

        def kept(name: str) -> str:
            if name in self.computed:
                again = self.on_self(self.computed[name])
                return again if is_atom(again) else f"({again})"
            if name not in self.kept_names:
                return name
            self.kept.add(name)
            return f"self.{self.kept_names[name]}"

        return renamed(code, kept)

    def finish(self, lines: list[_Line]) -> list[str]:
        """Lines of text, with what belongs together on one line."""
        out = []
        for line in _listed(self.folded(lines)):
            target = "" if line.target is None else f"{line.target} = "
            out += [INDENT * line.depth + part for part in _wrapped(target, line)]
        return out

    def folded(self, lines: list[_Line]) -> list[_Line]:
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
                and count(line.text, before.target) == 1
                and "," not in before.target
            ):
                outer = line.inplace if line.inplace and before.fresh else line.text
                text = renamed(outer, {before.target: before.text}.get)
                # A wrapped line is harder to read than two short ones.
                if len(text) + 8 + 4 * line.depth <= LINE - 12 and nesting(text) <= 3:
                    folded[-1] = _Line(line.target, text, False, None, line.depth)
                    continue
            folded.append(line)
        return folded


def _listed(lines: list[_Line]) -> list[_Line]:
    """Lines in which a loop that does nothing but append to a list is that list.

    Where it is short enough, the list stands in the merge of what is in it.
    """
    out: list[_Line] = []
    for line in lines:
        out.append(line)
        if len(out) > 3 and (made := _comprehension(out[-4:-1])) and line.depth == made.depth:
            out[-4:] = _joined(made, line)
    return out


def _comprehension(lines: list[_Line]) -> _Line | None:
    """`x = []`, a loop, and `x.append(…)` in it, as one line; None if the lines are not these."""
    opened, head, body = lines
    before, after = f"{opened.target}.append(", ")"
    if opened.text != "[]" or body.depth != head.depth + 1 or not body.text.startswith(before):
        return None
    text = f"[{body.text[len(before) : -len(after)]} {head.text.removesuffix(':')}]"
    return replace(opened, text=text) if _fits(f"{opened.target} = {text}", opened) else None


def _joined(made: _Line, merge: _Line) -> list[_Line]:
    """A list and what is made of it, on one line where that is easy to read."""
    assert made.target is not None
    if merge.source == made.target and count(merge.text, made.target) == 1:
        text = renamed(merge.text, {made.target: made.text}.get).replace("sum([", "sum(")
        text = text.removesuffix("])") + ")" if text.startswith("sum(") else text
        if _fits(text, merge, 20):
            return [replace(merge, text=text)]
    return [made, merge]


def _fits(text: str, line: _Line, spared: int = 8) -> bool:
    return len(text) + spared + 4 * line.depth <= LINE and nesting(text) <= 3


FLOW_VARIABLE = "x"


def _constant(name: str, values: dict[str, str]) -> list[str]:
    """A class attribute that is a mapping of words."""
    pairs = [f'"{key}": "{value}"' for key, value in values.items()]
    line = f"{INDENT}{name} = {{{', '.join(pairs)}}}"
    if len(line) <= LINE:
        return [line]
    inner = [f"{INDENT * 2}{pair}," for pair in pairs]
    return [f"{INDENT}{name} = {{", *inner, f"{INDENT}}}"]


def _append_lines(container: str, made: str, room: int) -> list[str]:
    """`container.append(made)`; what is made stands on its own line where both do not fit."""
    line = f"{container}.append({made})"
    if len(line) <= room:
        return [line]
    return [f"{container}.append(", *indented(call_lines("", made, "", room - 4)), ")"]


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
    return call_lines(before, text, after, room)


def _read(line: str) -> set[str]:
    """Names that a line of `__init__` reads."""
    return words(re.sub(r"^\s*[a-z]\w* = ", "", line))
