"""Definitions of a library file without the parameters that a program never passes.

A layer of a backend's `layers.py` takes all that any spec may ask of it. In a program, a parameter
that every call leaves at its default is a constant: it is written out of the signature, and what
follows from its value out of the body. All else stays as the author wrote it, character by
character; a statement that changed is laid out anew.

What a library has to keep to, which `tests/emit/test_specialize.py` holds it to:

- A parameter that is passed on under its own name, as in `Conv2d(…, stride=stride)`, has the
  default of the one that it is passed to, so that the argument can be left out too.
- A docstring names a parameter in backticks only in sentences that are about it: they go with it.
- No comment stands inside brackets.
"""

from __future__ import annotations

import ast
import operator
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from xgraph.emit.source import split_arguments
from xgraph.emit.symbols import code_of
from xgraph.wrapping import INDENT, LINE

Definition = ast.ClassDef | ast.FunctionDef

_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda value, group: value in group,
    ast.NotIn: lambda value, group: value not in group,
}


_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def specialized(library: str, program: str) -> str:
    """A library of definitions without the parameters that are the same in every call.

    Args:
        library: Python source; all its definitions are kept.
        program: the source that uses them, which stays as it is: what it passes, stays a parameter.
    """
    users: list[ast.AST] | None = None
    while True:
        tree = ast.parse(library)
        definitions = [node for node in tree.body if isinstance(node, Definition)]
        if users is None:
            users = _mentions(ast.parse(program), {node.name for node in definitions})
        uses = _Uses(tree, users)
        for node in definitions:
            fixed = uses.fixed(node)
            if not fixed:
                continue
            arguments = {(node.name, name) for name in fixed}
            # From the end of the file, so that the lines before it stay where they are.
            for each in reversed(definitions):
                library = _replaced(library, each, _Folding(library, each, uses, arguments).text())
            break
        else:
            return library


def _mentions(tree: ast.Module, names: Set[str]) -> list[ast.AST]:
    """The nodes of a program that read these names or call them: most of it does neither."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        callee = node.func if isinstance(node, ast.Call) else node
        if isinstance(callee, ast.Name) and callee.id in names:
            found.append(node)
    return found


def initializer(node: Definition) -> ast.FunctionDef | None:
    """The function whose parameters a call of the definition passes."""
    if isinstance(node, ast.FunctionDef):
        return node
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return item
    return None


def defaults(function: ast.FunctionDef) -> dict[str, Any]:
    """Parameters with a default that is a constant, and its value."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    pairs = list(zip(reversed(positional), reversed(given.defaults), strict=False))
    pairs += [(a, d) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True) if d]
    found = {}
    for argument, default in pairs:
        try:
            found[argument.arg] = ast.literal_eval(default)
        except ValueError:  # not a constant
            continue
    return found


class _Uses:
    """Who calls which definition of a library, and with what."""

    def __init__(self, library: ast.Module, program: list[ast.AST]) -> None:
        self.functions = {
            node.name: initializer(node) for node in library.body if isinstance(node, Definition)
        }
        self.calls: dict[str, list[ast.Call]] = {name: [] for name in self.functions}
        self.own: set[ast.Call] = set()  # calls in the library
        mentions = dict.fromkeys(self.functions, 0)
        inside = list(ast.walk(library))
        for node in (*inside, *program):
            if isinstance(node, ast.Name) and node.id in mentions:
                mentions[node.id] += 1
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                self.calls.get(node.func.id, []).append(node)
        self.own.update(node for node in inside if isinstance(node, ast.Call))
        #: Mentioned otherwise than to be called: as a base class, or as a value.
        self.escaping = {n for n, count in mentions.items() if count > len(self.calls[n])}

    def fixed(self, node: Definition) -> dict[str, Any]:
        """Parameters of a definition that have one value in all calls, with that value.

        The program may only leave them at their default; the library may also pass a constant.
        """
        function, calls = initializer(node), self.calls[node.name]
        if function is None or not calls or node.name in self.escaping:
            return {}
        passed = [given for call in calls if (given := self.arguments(function, call)) is not None]
        if len(passed) < len(calls):
            return {}
        reassigned = {
            inner.id
            for inner in ast.walk(function)
            if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load)
        }
        found = {}
        for name, default in defaults(function).items():
            try:
                values = [
                    self.constant(call, given[name]) if name in given else default
                    for call, given in zip(calls, passed, strict=True)
                ]
            except _Unknown:
                continue
            if name not in reassigned and len({(type(value), value) for value in values}) == 1:
                found[name] = values[0]
        return found

    def constant(self, call: ast.Call, argument: ast.AST) -> Any:
        """The constant that a call in the library passes by name.

        Raises:
            _Unknown: it passes something else, or it is the program's.
        """
        value = argument.value if isinstance(argument, ast.keyword) else None
        if call not in self.own or not isinstance(value, ast.Constant):
            raise _Unknown
        return value.value

    def arguments(self, function: ast.FunctionDef, call: ast.Call) -> dict[str, ast.AST] | None:
        """What a call passes, by parameter; None where it does not say so itself."""
        if any(isinstance(argument, ast.Starred) for argument in call.args):
            return None
        if any(keyword.arg is None for keyword in call.keywords):
            return None
        given: dict[str, ast.AST] = dict(zip(self.positional(function), call.args, strict=False))
        return given | {str(keyword.arg): keyword for keyword in call.keywords}

    def positional(self, function: ast.FunctionDef) -> list[str]:
        """Parameters by position, without `self`."""
        names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
        return names[1:] if function.name == "__init__" else names

    def default(self, callee: ast.expr, parameter: str) -> tuple[bool, Any]:
        """(whether the callee is of the library and the parameter has a default, the default)."""
        function = self.functions.get(callee.id) if isinstance(callee, ast.Name) else None
        known = defaults(function) if function else {}
        return parameter in known, known.get(parameter)

    def knows(self, callee: ast.expr) -> bool:
        """Whether a callee is of the library."""
        return isinstance(callee, ast.Name) and callee.id in self.functions


class _Unknown(Exception):
    """The value of an expression does not follow from the fixed parameters."""


class _Folding:
    """Writes one definition with some parameters fixed."""

    def __init__(
        self, source: str, node: Definition, uses: _Uses, dropped: Set[tuple[str, str]]
    ) -> None:
        self.node = node
        self.uses = uses
        self.dropped = dropped  # parameters that are no more, with their definition's name
        self.function = initializer(node)
        values = uses.fixed(node)
        self.all_fixed = {
            name: values[name] for definition, name in dropped if definition == node.name
        }
        self.fixed: Mapping[str, Any] = {}  # what is in force where the writing is
        self.shift = 0  # columns that lines will move to the left
        self.attributes: dict[str, Any] = {}  # of self, constant now
        self.bytes = source.encode()  # the parser counts columns in bytes
        self.lines = source.splitlines()
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line.encode()) + 1)

    def text(self) -> str:
        """The whole definition, decorators included."""
        head = self.original(first_line(self.node), self.node.lineno - 1)
        return "\n".join([*head, *self.definition(self.node)])

    # -- statements -------------------------------------------------------------------------------

    def definition(self, node: Definition) -> list[str]:
        """Lines of a class or function, from its first line to its last.

        None where it is a method of which nothing is left but a call of the base class's.
        """
        first = first_line(node.body[0])
        if isinstance(node, ast.ClassDef):
            head = self.original(node.lineno, first - 1)
            return [*head, *self.body(node.body, first, node)]
        self.fixed = self.all_fixed if node is self.function else {}
        lines = [*self.head(node), *self.body(node.body, first, node)]
        return [] if node is not self.node and _only_calls_super(lines) else lines

    def head(self, node: ast.FunctionDef) -> list[str]:
        """The signature, without the fixed parameters."""
        as_written = self.original(node.lineno, first_line(node.body[0]) - 1)
        if not self.fixed:
            return as_written
        whole = _joined(as_written)
        opening = whole.index("(")
        closing = _matching(whole, opening)
        kept = [
            part
            for part in split_arguments(whole[opening + 1 : closing])
            if re.split(r"[:=]", part)[0].strip() not in self.fixed
        ]
        if kept[-1:] == ["*"]:
            kept.pop()
        line = whole[: opening + 1] + ", ".join(kept) + whole[closing:]
        return laid_out(line, LINE + self.shift, opening)

    def body(self, statements: Sequence[ast.stmt], first: int, owner: ast.AST) -> list[str]:
        """Lines of statements, what stands between them included; `first` is the first line."""
        lines: list[str] = []
        for position, statement in enumerate(statements):
            begin = first_line(statement)
            between = self.original(first, begin - 1)
            assert statement.end_lineno is not None
            first = statement.end_lineno + 1
            if position == 0 and _is_text(statement) and isinstance(owner, Definition):
                written = self.docstring(statement)
            else:
                written = self.statement(statement)
            lines += [*between, *written] if written else []
        return lines

    def statement(self, node: ast.stmt) -> list[str]:
        """Lines of a statement; none where nothing is left of it."""
        assert node.end_lineno is not None
        as_written = self.original(first_line(node), node.end_lineno)
        if isinstance(node, ast.FunctionDef):
            begin = as_written[: node.lineno - first_line(node)]
            written = self.definition(node)
            return [*begin, *written] if written else []
        if isinstance(node, ast.If):
            return self.condition(node)
        if isinstance(node, ast.For | ast.While | ast.With):
            head = self.original(node.lineno, node.body[0].lineno - 1)
            if isinstance(node, ast.For) and self.concerns(node.iter):
                indent, target = " " * node.col_offset, self.segment(node.target)
                line = f"{indent}for {target} in {self.expression(node.iter)}:"
                head = laid_out(line, LINE + self.shift)
            return [*head, *self.body(node.body, node.body[0].lineno, node)]
        if self.becomes_constant(node):
            return []
        text = self.expression(node)
        if text == self.segment(node):
            return as_written
        return laid_out(_joined([" " * node.col_offset + text]), LINE + self.shift)

    def condition(self, node: ast.If) -> list[str]:
        """An `if`, or only the branch that is taken; of an `elif`, one that begins as such."""
        elif_ = _elif(node)
        try:
            taken = node.body if self.value(node.test) else node.orelse
        except _Unknown:
            head = self.original(node.lineno, node.body[0].lineno - 1)
            test = self.expression(node.test)
            if test != self.segment(node.test):
                word = head[0].split()[0]
                head = laid_out(" " * node.col_offset + f"{word} {test}:", LINE + self.shift)
            lines = [*head, *self.body(node.body, node.body[0].lineno, node)]
            if elif_ is not None:
                return [*lines, *self.otherwise(elif_)]
            if node.orelse:
                last = node.body[-1].end_lineno
                assert last is not None
                lines += self.body(node.orelse, last + 1, node)
            return lines
        if elif_ is not None and taken is node.orelse:
            first, *rest = self.condition(elif_) or [""]
            if not self.lines[node.lineno - 1].lstrip().startswith("elif"):
                first = first.replace("elif ", "if ", 1)
            return [first, *rest] if first else []
        if not taken:
            return []
        self.shift += len(INDENT)
        lines = self.body(taken, first_line(taken[0]), node)
        self.shift -= len(INDENT)
        return [line.removeprefix(INDENT) for line in lines]

    def otherwise(self, node: ast.If) -> list[str]:
        """An `elif`, or the `else` that has become of it."""
        lines = self.condition(node)
        if not lines or lines[0].lstrip().startswith("elif "):
            return lines
        return [" " * node.col_offset + "else:", *(INDENT + line for line in lines)]

    def becomes_constant(self, node: ast.stmt) -> bool:
        """Whether a statement keeps a constant in an attribute; from here on it is read as such."""
        if not (isinstance(node, ast.Assign) and len(node.targets) == 1):
            return False
        (target,) = node.targets
        if not (isinstance(target, ast.Attribute) and _is_self(target.value)):
            return False
        if not self.concerns(node.value):
            return False
        try:
            self.attributes[target.attr] = self.value(node.value)
        except _Unknown:
            return False
        return True

    def docstring(self, node: ast.stmt) -> list[str]:
        """A docstring without the sentences about what is fixed."""
        assert isinstance(node, ast.Expr)
        assert isinstance(node.value, ast.Constant)
        assert node.end_lineno is not None
        as_written = self.original(node.lineno, node.end_lineno)
        words = [f"`{name}`" for name in self.all_fixed]
        if not any(word in line for word in words for line in as_written):
            return as_written
        indent = " " * node.col_offset
        paragraphs = []
        for paragraph in re.split(r"\n\s*\n", str(node.value.value).strip()):
            sentences = re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split()))
            kept = [s for s in sentences if not any(word in s for word in words)]
            if kept:
                paragraphs.append(" ".join(kept))
        if not paragraphs:
            raise ValueError(f"the docstring of {self.node.name} is about {words} alone")
        if len(paragraphs) == 1 and len(indent + paragraphs[0]) + 6 <= LINE:
            return [f'{indent}"""{paragraphs[0]}"""']
        lines: list[str] = []
        for number, paragraph in enumerate(paragraphs):
            text = paragraph if number else f'"""{paragraph}'
            wrapped = textwrap.wrap(text, LINE - len(indent), break_long_words=False)
            lines += ([""] if number else []) + [indent + line for line in wrapped]
        return [*lines, f'{indent}"""']

    # -- expressions ------------------------------------------------------------------------------

    def expression(self, node: ast.AST) -> str:
        """Source of an expression, or of a simple statement, with what is fixed put in."""
        if not self.concerns(node):
            return self.segment(node)
        if isinstance(node, ast.expr):
            try:
                return code_of(self.value(node))
            except _Unknown:
                pass
        if isinstance(node, ast.IfExp):
            try:
                return self.expression(node.body if self.value(node.test) else node.orelse)
            except _Unknown:
                pass
        if isinstance(node, ast.BoolOp):
            return self.junction(node)
        if isinstance(node, ast.BinOp):
            neutral = {ast.Mult: 1, ast.FloorDiv: 1, ast.Add: 0}.get(type(node.op))
            if neutral is not None and self.becomes(node.right, neutral):
                return self.operand(node.left)
        if isinstance(node, ast.Call):
            return self.call(node)
        return self.with_children(node, list(ast.iter_child_nodes(node)))

    def junction(self, node: ast.BoolOp) -> str:
        """`and` or `or`, without operands that do not decide it."""
        values = [value for value in node.values if not self.is_neutral(value, node)]
        while len(values) > 1:
            try:
                first = self.value(values[0])
            except _Unknown:
                break
            if bool(first) == isinstance(node.op, ast.Or):
                return code_of(first)
            values.pop(0)
        if len(values) == 1:
            # In place of a junction, only what binds less than it needs parentheses.
            loose = isinstance(values[0], ast.IfExp | ast.Lambda)
            return self.operand(values[0]) if loose else self.expression(values[0])
        sign = " or " if isinstance(node.op, ast.Or) else " and "
        return sign.join(self.operand(value) for value in values)

    def is_neutral(self, value: ast.expr, node: ast.BoolOp) -> bool:
        """Whether an operand is True in a conjunction, or False in a disjunction, of conditions."""
        others = (other for other in node.values if other is not value)
        if not all(isinstance(other, ast.Compare) or _is_negation(other) for other in others):
            return False
        try:
            return self.concerns(value) and self.value(value) is isinstance(node.op, ast.And)
        except _Unknown:
            return False

    def operand(self, node: ast.expr) -> str:
        """An expression as a part of another, in parentheses unless it is none of several parts."""
        text = self.expression(node)
        parts = ast.parse(text, mode="eval").body
        loose = isinstance(parts, ast.BinOp | ast.BoolOp | ast.IfExp | ast.Lambda)
        return f"({text})" if loose else text

    def becomes(self, node: ast.expr, number: int) -> bool:
        """Whether an expression is this number by what is fixed; one that says so itself stays."""
        try:
            return self.concerns(node) and bool(self.value(node) == number)
        except _Unknown:
            return False

    def call(self, node: ast.Call) -> str:
        """A call, without arguments that say the default."""
        parts = [self.expression(argument) for argument in node.args]
        for keyword in node.keywords:
            if not (
                self.is_dropped(node.func, keyword) or self.says_the_default(node.func, keyword)
            ):
                value = self.expression(keyword.value)
                parts.append(f"**{value}" if keyword.arg is None else f"{keyword.arg}={value}")
        if len(parts) == len(node.args) + len(node.keywords):
            return self.with_children(node, [node.func, *node.args, *node.keywords])
        return f"{self.expression(node.func)}({', '.join(parts)})"

    def is_dropped(self, callee: ast.AST, keyword: ast.keyword) -> bool:
        """Whether there is no such parameter any more."""
        return isinstance(callee, ast.Name) and (callee.id, keyword.arg) in self.dropped

    def says_the_default(self, callee: ast.expr, keyword: ast.keyword) -> bool:
        """Whether an argument passes on what is fixed, to where that is the default."""
        if keyword.arg is None or not self.concerns(keyword.value):
            return False
        try:
            value = self.value(keyword.value)
        except _Unknown:
            return False
        if self.uses.knows(callee):
            return self.uses.default(callee, keyword.arg) == (True, value)
        return ast.unparse(keyword.value).removeprefix("self.") == keyword.arg

    def with_children(self, node: ast.AST, children: list[ast.AST]) -> str:
        """The source of a node, its children's in their places."""
        placed = [child for child in children if hasattr(child, "lineno")]
        placed.sort(key=self.span)
        at, last = self.span(node)
        pieces = []
        for child in placed:
            begin, end = self.span(child)
            pieces += [self.bytes[at:begin].decode(), self.expression(child)]
            at = end
        return "".join([*pieces, self.bytes[at:last].decode()])

    def concerns(self, node: ast.AST) -> bool:
        """Whether something that is fixed is mentioned."""
        return any(
            (isinstance(part, ast.Name) and part.id in self.fixed)
            or (
                isinstance(part, ast.Attribute)
                and _is_self(part.value)
                and part.attr in self.attributes
            )
            or (
                isinstance(part, ast.Call)
                and any(self.is_dropped(part.func, k) for k in part.keywords)
            )
            for part in ast.walk(node)
        )

    def value(self, node: ast.expr) -> Any:
        """What an expression is, if that follows from what is fixed.

        Raises:
            _Unknown: it does not.
        """
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name) and node.id in self.fixed:
            return self.fixed[node.id]
        if isinstance(node, ast.Attribute) and _is_self(node.value):
            if node.attr in self.attributes:
                return self.attributes[node.attr]
        elif isinstance(node, ast.Subscript):
            return self.value(node.value)[self.value(node.slice)]
        elif isinstance(node, ast.BinOp):
            compute = _ARITHMETIC.get(type(node.op))
            if isinstance(node.op, ast.Mult) and self.becomes(node.right, 0):
                return 0
            if compute is not None:
                return compute(self.value(node.left), self.value(node.right))
        elif isinstance(node, ast.Tuple):
            return tuple(self.value(part) for part in node.elts)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return not self.value(node.operand)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            compare = _COMPARISONS.get(type(node.ops[0]))
            if compare is not None:
                return compare(self.value(node.left), self.value(node.comparators[0]))
        elif isinstance(node, ast.BoolOp):
            for part in node.values:
                result = self.value(part)
                if bool(result) == isinstance(node.op, ast.Or):
                    break
            return result
        elif isinstance(node, ast.IfExp):
            return self.value(node.body if self.value(node.test) else node.orelse)
        raise _Unknown

    # -- places in the source ---------------------------------------------------------------------

    def original(self, first: int, last: int) -> list[str]:
        """Lines of the source, both ends included; the first is 1."""
        return self.lines[first - 1 : last]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where a node begins and ends in the source, in bytes."""
        line, column, last, end = (
            getattr(node, name) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset")
        )
        return self.starts[line - 1] + column, self.starts[last - 1] + end

    def segment(self, node: ast.AST) -> str:
        """The source of a node."""
        begin, end = self.span(node)
        return self.bytes[begin:end].decode()


def laid_out(line: str, room: int = LINE, opening: int | None = None) -> list[str]:
    """One logical line, on lines of its own for what is in brackets where it is too long.

    The brackets that are opened are those at `opening`, else the last that the line closes.
    """
    if len(line) <= room:
        return [line]
    if opening is None:
        opening = next((o for o, c in _brackets(line) if c == len(line.rstrip(":")) - 1), None)
        if opening is None:
            return [line]
    closing = _matching(line, opening)
    indent = line[: len(line) - len(line.lstrip())]
    parts = split_arguments(line[opening + 1 : closing])
    inner = f"{indent}{INDENT}{', '.join(parts)}"
    middle = [inner] if len(inner) <= room else [f"{indent}{INDENT}{part}," for part in parts]
    return [line[: opening + 1], *middle, indent + line[closing:]]


def _joined(lines: Sequence[str]) -> str:
    """Several lines as the one logical line that they are."""
    text = re.sub(r"\s*\n\s*", " ", "\n".join(lines))
    text = re.sub(r"([(\[{]) ", r"\1", text)
    return re.sub(r",? ([)\]}])", r"\1", text)


def _brackets(text: str) -> Iterator[tuple[int, int]]:
    """Where brackets open and close, outer ones after those in them."""
    opened: list[int] = []
    for position, character in enumerate(text):
        if character in "([{":
            opened.append(position)
        elif character in ")]}":
            yield opened.pop(), position


def _matching(text: str, opening: int) -> int:
    """Where the bracket at `opening` is closed."""
    return dict(_brackets(text))[opening]


def first_line(node: ast.stmt) -> int:
    """Where a statement begins, its decorators with it."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _elif(node: ast.If) -> ast.If | None:
    """The `elif` of an `if`, which is an `if` in its `else` that stands below it."""
    if len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If):
        inner = node.orelse[0]
        return inner if inner.col_offset == node.col_offset else None
    return None


def _only_calls_super(lines: Sequence[str]) -> bool:
    """Whether a method only hands its parameters on to the base class's."""
    (method,) = ast.parse(textwrap.dedent("\n".join(lines))).body
    assert isinstance(method, ast.FunctionDef)
    if len(method.body) != 1 or not isinstance(method.body[0], ast.Return | ast.Expr):
        return False
    call = method.body[0].value
    if not (isinstance(call, ast.Call) and ast.unparse(call.func) == f"super().{method.name}"):
        return False
    handed = [*map(ast.unparse, call.args), *(ast.unparse(k.value) for k in call.keywords)]
    in_order = all(k.arg in (None, ast.unparse(k.value)) for k in call.keywords)
    given = method.args
    taken = [a.arg for a in (*given.args[1:], *given.kwonlyargs, given.kwarg) if a is not None]
    return in_order and handed == taken


def _is_negation(node: ast.expr) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _replaced(source: str, node: Definition, text: str) -> str:
    """The source with another text for a definition."""
    lines = source.splitlines()
    lines[first_line(node) - 1 : node.end_lineno] = text.splitlines()
    return "\n".join(lines) + "\n"
