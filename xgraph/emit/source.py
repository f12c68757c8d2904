"""Writing Python source: lines that are wrapped, docstrings, signatures."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from xgraph.emit.names import safe_name, sentence
from xgraph.emit.plan import (
    Again,
    Alias,
    Apply,
    Assign,
    BlockPlan,
    Gather,
    Invoke,
    Measure,
    PlanParameter,
    Repeat,
    Statement,
    walk,
)
from xgraph.emit.symbols import code_of
from xgraph.ir.types import TensorType
from xgraph.text import docstring_lines, prose
from xgraph.wrapping import INDENT, LINE, broken, fitted


@dataclass(frozen=True)
class Shapes:
    """How a framework shows the shape of a tensor, batch axis first.

    `exact` is with all its sizes, `general` with its channels spelled and height and width open.
    """

    exact: Callable[[TensorType], str]
    general: Callable[[TensorType, str], str]


#: Images are (N, H, W, C), vectors (N, C).
CHANNELS_LAST = Shapes(
    exact=lambda type_: f"(N, {', '.join(str(int(size)) for size in type_.shape)})",
    general=lambda type_, channels: f"(N, {'H, W, ' if type_.rank == 3 else ''}{channels})",
)


def docstring(
    plan: BlockPlan, shapes: Shapes, outputs: tuple[str, ...] | None, indent: str = INDENT
) -> list[str]:
    """What a class or function is, and the shapes that it takes and gives."""
    text = prose(plan.doc or described(plan))
    if not text.endswith((".", "!", "?")):
        text += "."
    shape = shapes.exact
    arrow = " -> ".join(
        ", ".join(shape(type_) for type_ in types) for types in (plan.input_types, _given(plan))
    )
    if plan.shared:
        arrow = _general_shapes(plan, shapes)
    if outputs is not None:
        arrow = f"{shape(plan.input_types[0])} -> {{{', '.join(outputs)}}}"
    details = [arrow] if arrow else []
    if plan.source:
        details.append(f"Source: {prose(plan.source)}")
    wrapped = docstring_lines(text, LINE - len(indent) - 2)
    one_line = f'{indent}"""{wrapped[0]}{" " + arrow if arrow else ""}"""'
    if len(wrapped) == 1 and len(one_line) <= LINE and not plan.source:
        return [one_line]
    lines = [f'{indent}"""{wrapped[0]}', *(indent + line for line in wrapped[1:])]
    for detail in details:
        lines += ["", *(indent + line for line in docstring_lines(detail, LINE - len(indent) + 1))]
    return [*lines, f'{indent}"""']


def described(plan: BlockPlan) -> str:
    """What to say of a block or section without a `doc`: its steps if they are few, or its name."""
    steps = [s.op.name if isinstance(s, Apply) else s.name for s in plan.body
             if isinstance(s, Apply | Invoke)]  # fmt: skip
    if plan.section or not steps or len(steps) < len(plan.body) or len(steps) > 5:
        steps = [plan.name]
    return sentence(*steps)


def _given(plan: BlockPlan) -> tuple[TensorType, ...]:
    """What a class gives, as its docstring says: of a section, what flows on."""
    return (plan.output_type,) if plan.section else plan.result_types


def _general_shapes(plan: BlockPlan, shapes: Shapes) -> str:
    """Shapes of a class that is used at several, in the words of its parameters."""
    names = {p.name for p in plan.parameters}
    parts, given = [], _given(plan)
    if plan.flattens or (len(given) > 1 and plan.resizes):  # it would be too long to say which
        return ""
    for type_ in (*plan.input_types, *given):
        channels = code_of(type_.channels)
        if not set(re.findall(r"[A-Za-z_]\w*", channels)) <= names:
            return ""
        parts.append(shapes.general(type_, channels))
    if plan.resizes:
        parts[-1] = parts[-1].replace("H, W", "H', W'")
    taken = len(plan.input_types)
    return f"{', '.join(parts[:taken])} -> {', '.join(parts[taken:])}"


def targets(statements: list[Statement]) -> set[str]:
    """Variables that statements assign in the forward pass."""
    found: set[str] = set()
    for statement in walk(statements):
        if isinstance(statement, Apply | Alias | Gather):
            found.add(statement.target)
        elif isinstance(statement, Invoke | Again):
            found.update((statement.target, *statement.extra_targets))
        if isinstance(statement, Apply | Invoke) and statement.kept is not None:
            found.add(statement.kept)
    return found


def loop_variables(statements: list[Statement]) -> set[str]:
    """Names that loops give to what they run over."""
    loops = (statement for statement in walk(statements) if isinstance(statement, Repeat))
    return {name for loop in loops for name in loop.variables}


def assigned_numbers(statements: list[Statement]) -> set[str]:
    """Names of the numbers that statements carry along."""
    return {s.name for s in walk(statements) if isinstance(s, Assign | Measure)}


def numbers(plan: BlockPlan) -> set[str]:
    """Names of all numbers in a class or function: parameters, loops' variables, counts."""
    named = {parameter.name for parameter in plan.parameters}
    return named | loop_variables(plan.body) | assigned_numbers(plan.body)


def declared(parameter: PlanParameter) -> str:
    """A parameter as it stands in a signature."""
    text = f"{parameter.name}: {parameter.annotation}"
    return text if parameter.default is None else f"{text} = {parameter.default}"


def passed_on(parameters: Iterable[PlanParameter]) -> list[str]:
    """Parameters as keyword arguments of the same names."""
    return [f"{parameter.name}={parameter.name}" for parameter in parameters]


def signature(name: str, arguments: list[str], result: str, indent: str = "") -> list[str]:
    """The head of a function, an argument a line where one line is too short."""
    line = f"{indent}def {name}({', '.join(arguments)}) -> {result}:"
    if len(line) <= LINE:
        return [line]
    inner = [f"{indent}{INDENT}{', '.join(arguments)}"]
    if len(inner[0]) > LINE:
        inner = fitted([f"{indent}{INDENT}{argument}," for argument in arguments])
    return [f"{indent}def {name}(", *inner, f"{indent}) -> {result}:"]


def call_lines(before: str, call: str, after: str, room: int = LINE - 8) -> list[str]:
    """`before call(...) after`, its arguments on lines of their own where `room` is too little."""
    line = f"{before}{call}{after}"
    if len(line) <= room or "(" not in call:
        return [line]
    head, _, rest = call.partition("(")
    if len(before) + len(head) + 1 > room:
        several = re.fullmatch(r"(for |)(.*)( = | in )", before)
        if several is not None and ", " in several[2]:  # so many targets
            rows = fitted([f"{INDENT}{target}," for target in split_arguments(several[2])], room)
            return [f"{several[1]}(", *rows, *call_lines(f"){several[3]}", call, after, room)]
        return broken(line, room)
    inner = rest[:-1]
    if len(inner) <= room - 4:
        return [f"{before}{head}(", f"{INDENT}{inner}", f"){after}"]
    parts = split_arguments(inner)
    return [f"{before}{head}(", *(f"{INDENT}{part}," for part in parts), f"){after}"]


def returned(tensor: str, count: int) -> str:
    """The type of so many tensors that are returned."""
    if count == 1:
        return tensor
    return f"tuple[{', '.join([tensor] * count)}]" if count < 4 else f"tuple[{tensor}, ...]"


def split_arguments(text: str) -> list[str]:
    """The arguments of a call, apart."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(without_strings(text)):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def table(
    iterable: str, variables: tuple[str, ...], taken: Collection[str], room: int
) -> tuple[list[str], str]:
    """(lines that name a long table, what a loop runs over): a literal that fits stays in the loop.

    `taken` are the names that the table's must not be.
    """
    if len(variables) != 1 or not iterable.startswith("(") or len(iterable) <= room:
        return [], iterable
    base = variables[0] if variables[0].endswith("s") else f"{variables[0]}s"
    name = safe_name(base) if base != variables[0] else f"{base}_table"
    while name in taken:
        name += "_table"
    return [f"{name} = {iterable}"], name


def indented(lines: Iterable[str]) -> list[str]:
    """Lines one level further in."""
    return [INDENT + line for line in lines]


#: A docstring, or a string: what stands in it is no code, whatever it looks like.
_STRING = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"""|f?"(?:[^"\\]|\\.)*"', re.DOTALL)
#: A string, or a place in a spelling.
_PLACE = re.compile(r'"(?:[^"\\]|\\.)*"|{(\d+|inputs|module)}')
#: A name in the braces of an f-string.
_FORMATTED = re.compile(r"{(\w+)}")


def without_strings(text: str) -> str:
    """Code of the same length with blanks for its strings."""
    return _STRING.sub(lambda found: " " * len(found[0]), text)


def formatted(text: str) -> set[str]:
    """Names in the braces of the f-strings in code."""
    strings = (found[0] for found in _STRING.finditer(text))
    return {name for one in strings if one[0] == "f" for name in _FORMATTED.findall(one)}


def filled(spelling: str, inputs: Sequence[str], module: str = "") -> str:
    """A spelling with its places filled: `{0}` is the first input, `{inputs}` are all of them."""
    values = {"inputs": ", ".join(inputs), "module": module}
    values.update((str(position), name) for position, name in enumerate(inputs))
    return _PLACE.sub(lambda found: values[found[1]] if found[1] else found[0], spelling)


#: A string, or a name that is no attribute, no keyword and no place of a format.
_WORD = re.compile(r'f?"(?:[^"\\]|\\.)*"|(?<![\w.{])([A-Za-z_]\w*)(?!\w*=[^=])')


def words(text: str) -> set[str]:
    """Names in code, those after a dot, of keywords and in strings left out."""
    return {found[1] for found in _WORD.finditer(text) if found[1]}


def renamed(text: str, rename: Callable[[str], str | None]) -> str:
    """Code with its names, as `words` finds them, replaced by what `rename` has for them."""
    return _WORD.sub(lambda found: (found[1] and rename(found[1])) or found[0], text)


def idle(lines: Iterable[str], names: Collection[str], read: Callable[[str], set[str]]) -> set[str]:
    """Of these local names, those that lines assign and that nothing but each other reads.

    `read` gives the names that a line reads, the one that it assigns left out.
    """
    needed: set[str] = set()
    pending: list[tuple[str, set[str]]] = []
    for line in lines:
        match = re.match(r"\s*([A-Za-z_]\w*) = ", line)
        if match and match[1] in names:
            pending.append((match[1], read(line)))
        else:
            needed |= read(line)
    before = -1
    while len(needed) > before:
        before = len(needed)
        needed = needed.union(*(own for name, own in pending if name in needed))
    return {name for name, _ in pending} - needed


def defaults(parameters: Iterable[PlanParameter]) -> list[str]:
    """Lines that give a parameter its value where it follows from others."""
    return [
        line
        for parameter in parameters
        if parameter.otherwise is not None
        for line in (
            f"if {parameter.name} is None:",
            f"{INDENT}{parameter.name} = {parameter.otherwise}",
        )
    ]


def read_parameters(
    parameters: tuple[PlanParameter, ...], mentioned: Collection[str]
) -> tuple[PlanParameter, ...]:
    """The parameters that code reads, and those that their values follow from.

    One without a default may not follow one with a default.
    """
    read = set(mentioned)
    for parameter in reversed(parameters):
        if parameter.name in read and parameter.otherwise is not None:
            read |= words(parameter.otherwise)
    own = (parameter for parameter in parameters if parameter.name in read)
    return tuple(sorted(own, key=lambda parameter: parameter.default is not None))


def count(text: str, name: str) -> int:
    """How often a name stands in code."""
    return sum(found[1] == name for found in _WORD.finditer(text))


def nesting(text: str) -> int:
    """How deep calls lie in calls."""
    depth = deepest = 0
    for character in without_strings(text):
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest
