"""The closed expression language of specs: `$filters * 2`, `max($a, 8)`, `$act == 'relu'`.

A text that contains `$` is an expression over parameters. It is cut into the few kinds of token
that the language has, parsed by `ast.parse` and accepted node by node; it never becomes code.
`evaluate` computes within bounds that are checked before the work is done, and `to_python`
writes the same expression for generated programs, where it means the same.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import math
import re
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn, cast

from xgraph.diagnostics import Diagnostic, Span, SpecError, one_of, shown, suggest

MAX_LENGTH: Final = 500
MAX_DEPTH: Final = 64
MAX_EXPONENT: Final = 64
# Every integer up to here is exact as a float too, so that no backend computes another number.
MAX_NUMBER: Final = 2**53


@dataclass(frozen=True)
class Expression:
    """A parsed expression. In `tree`, the parameter `$x` is the name `_x`."""

    text: str
    span: Span
    tree: ast.expr


#: What makes an integer of a number.
INTEGERS: Final = "//, round(…), ceil(…), floor(…) and make_divisible(…) give integers"
#: What helps where YAML has cut an expression in two.
QUOTE: Final = "within braces or brackets, quote an expression that has ',' or '[' in it"


def is_rest(key: str) -> bool:
    """Whether a key closes what it did not open: `8)`, cut off `max($a, 8)` by its comma."""
    return key.count(")") > key.count("(") or key.count("]") > key.count("[")


def is_expression(text: str) -> bool:
    """Whether a text is an expression rather than a word."""
    return "$" in text


def parse(text: str, span: Span) -> Expression:
    """The expression that `text` writes. `span` is its scalar, with its quotes if it has any.

    Raises:
        SpecError: XG301 when it is not an expression, or not one of this language.
    """
    if len(text) > MAX_LENGTH:
        message = f"the expression is longer than {MAX_LENGTH} characters"
        raise SpecError(Diagnostic("XG301", message, span, received=f"{len(text)} characters"))
    tree = _tree(text, span)
    expression = Expression(text, span, tree)
    _check(expression, tree, 1)
    return expression


def channels_of(name: str) -> str:
    """What `$NAME.channels` goes by among the parameters; no parameter is called so."""
    return f"{name}.channels"


def is_channels(name: str) -> bool:
    """Whether a name is that of an input's channels."""
    return "." in name


def with_channels(expression: Expression, known: Container[str]) -> Expression:
    """The same, with each `$NAME.channels` that is known a name of its own."""
    tree = _Channels(known).visit(copy.deepcopy(expression.tree))
    return Expression(expression.text, expression.span, tree)


def with_texts(expression: Expression, replace: Callable[[str], str]) -> Expression:
    """The same expression with its texts replaced; the new ones may hold no quotes or escapes."""
    if "'" not in expression.text and '"' not in expression.text:
        return expression
    text = _STRING.sub(lambda found: f"'{replace(found[0][1:-1])}'", expression.text)
    fresh = Expression(text, expression.span, _tree(text, expression.span))
    return with_channels(fresh, names(expression))


def comparison(text: str, value: object) -> str | None:
    """A hint how what `text` says, which is worth `value`, becomes true or false."""
    if "$" not in text:
        return "write true or false, or compare a parameter"
    one = text if _PARAMETER.fullmatch(text) else f"({text})"
    if isinstance(value, int | float):
        return f"compare it: {one} > 0"
    return f"compare it: {one} == {shown(value)}" if isinstance(value, str) else None


def names(expression: Expression) -> frozenset[str]:
    """The parameters that an expression mentions, without `$`."""
    found = (node.id for node in ast.walk(expression.tree) if isinstance(node, ast.Name))
    return frozenset(name[1:] for name in found if name.startswith("_"))


def mentions(expression: Expression) -> dict[str, Span]:
    """The parameters that an expression mentions, without `$`, each with its first place."""
    nodes = [node for node in ast.walk(expression.tree) if isinstance(node, ast.Name)]
    places: dict[str, Span] = {}
    for node in sorted(nodes, key=lambda node: node.col_offset):
        if node.id.startswith("_") and node.id[1:] not in places:
            place = _locate(expression.text, expression.span, node.col_offset, len(node.id))
            places[node.id[1:]] = place
    return places


def functions(expression: Expression) -> frozenset[str]:
    """The functions that an expression calls, by their names in specs."""
    calls = (node.func for node in ast.walk(expression.tree) if isinstance(node, ast.Call))
    return frozenset(function.id for function in calls if isinstance(function, ast.Name))


def evaluate(expression: Expression, environment: Mapping[str, Any]) -> Any:
    """The value of an expression, its parameters taken from `environment`.

    Integers stay integers; `/` gives a float. `and`, `or`, `if` and chained comparisons leave
    the operands they do not need unevaluated, as in Python.

    Raises:
        SpecError: XG302 unknown parameter, XG303 wrong operand, XG304 a number out of bounds,
            XG305 division by zero; each located at the sub-expression.
    """
    return _Evaluator(expression, environment).value(expression.tree)


def folded(expression: Expression, known: Mapping[str, Any]) -> Expression:
    """The same without the conditions of `a if condition else b` that these parameters decide."""
    if not any(isinstance(node, ast.IfExp) for node in ast.walk(expression.tree)):
        return expression
    tree = _Folder(expression, known).visit(copy.deepcopy(expression.tree))
    return Expression(expression.text, expression.span, tree)


def to_python(
    expression: Expression, spell: Callable[[str], str], quote: Callable[[str], str] = repr
) -> str:
    """Python source of an expression for a generated program.

    `spell` gives the Python expression that stands for a parameter, `quote` the source of a text,
    those in what stands for a parameter too. `ceil` and `floor` need
    `import math` there, and `make_divisible` a function of that name (see `functions`).
    """
    fresh = copy.deepcopy(expression.tree)  # which the transformers change
    spelled: ast.expr = _Speller(spell).visit(fresh)
    texts = _Texts()
    source = ast.unparse(texts.visit(spelled))
    return _PLACE.sub(lambda place: quote(texts.found[int(place[1])]), source)


def make_divisible(value: float, divisor: int = 8, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, at least `min_value` and 90 % of `value`.

    Source: `_make_divisible` of TF-Slim's MobileNet
    (tensorflow/models, research/slim/nets/mobilenet/mobilenet.py).
    """
    if min_value is None:
        min_value = divisor
    new = max(min_value, int(value + divisor / 2) // divisor * divisor)
    return new + divisor if new < 0.9 * value else new


# --- parsing ---

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<parameter>\$[A-Za-z0-9_]*)
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<string>'[^'\\\r\n]*'|"[^"\\\r\n]*")
    | (?P<operator>\*\*|//|==|!=|<=|>=|[-+*/%<>()\[\],.])""",
    re.VERBOSE,
)
_STRING = re.compile(r"""'[^']*'|"[^"]*\"""")
_PARAMETER = re.compile(r"\$[a-z][a-z0-9_]*")
_WORDS = frozenset(("and", "or", "not", "in", "if", "else"))
_CONSTANTS = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_REFUSED_WORDS = frozenset(
    (
        "as",
        "assert",
        "async",
        "await",
        "break",
        "class",
        "continue",
        "def",
        "del",
        "elif",
        "except",
        "finally",
        "for",
        "from",
        "global",
        "import",
        "is",
        "lambda",
        "nonlocal",
        "pass",
        "raise",
        "return",
        "try",
        "while",
        "with",
        "yield",
    )
)
_UNFINISHED = re.compile(r"(?:[-+*/%<>=,.]|\b(?:and|or|not|in|if|else))\Z")
_CLOSING = {"(": ")", "[": "]"}
_HINTS = {
    "=": "'==' compares",
    "is": "'==' compares",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not'",
    "?": "write 'a if condition else b'",
    "^": "'**' is the power",
    "\\": "texts have no escapes here",
}


def _tree(text: str, span: Span) -> ast.expr:
    """Parse tokens of the language by Python's own parser, each `$name` as `_name`."""
    prepared = _prepare(text, span)
    # Leading blanks would be an indentation error. Offsets stay those of `text`.
    margin = len(prepared) - len(prepared.lstrip())
    try:
        tree = ast.parse(prepared.strip(), mode="eval").body
    except SyntaxError as error:
        end = len(text.rstrip())
        if end == 0 or _UNFINISHED.search(text, 0, end):
            _refuse(text, span, "the expression ends too early", max(0, end - 1))
        start = margin + max(0, (error.offset or 1) - 1)
        _refuse(text, span, "the expression is not well formed here", min(start, end - 1))
    except (ValueError, MemoryError, RecursionError):
        _refuse(text, span, "the expression cannot be read", 0, len(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):  # character offsets instead of UTF-8 ones
            node.col_offset = _characters(prepared, margin, node.col_offset)
            node.end_col_offset = _characters(prepared, margin, node.end_col_offset or 0)
    return tree


def _characters(prepared: str, margin: int, offset: int) -> int:
    if prepared.isascii():
        return margin + offset
    return margin + len(prepared[margin:].encode()[:offset].decode(errors="ignore"))


def _prepare(text: str, span: Span) -> str:
    """`text` as Python may read it, with the same length; only tokens of the language pass."""
    pieces: list[str] = []
    open_brackets: list[tuple[str, int]] = []
    previous = ""
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            _refuse_character(text, span, position)
        kind, word = token.lastgroup or "", token.group()
        if kind == "space":
            word = " " * len(word)
        elif kind == "parameter":
            if not _PARAMETER.fullmatch(word):
                message = f"'{word}' is not the name of a parameter"
                hint = "names have small letters, digits and '_', and begin with a letter"
                if text.startswith("${", position):
                    hint = "write '$name' without braces"
                _refuse(text, span, message, position, len(word), hint=hint)
            word = "_" + word[1:]
        elif kind == "name" and (word[0] == "_" or word in _REFUSED_WORDS):
            message = f"'{word}' is not allowed in an expression"
            _refuse(text, span, message, position, len(word), hint=_HINTS.get(word))
        elif kind == "number" and _digits(word) > 18:
            _refuse(text, span, "this number is too large", position, len(word))
        elif word in _CLOSING:
            open_brackets.append((word, position))
            if len(open_brackets) > MAX_DEPTH // 2:
                _refuse(text, span, "the expression is nested too deeply", position)
        elif word in (")", "]") and (not open_brackets or _CLOSING[open_brackets.pop()[0]] != word):
            _refuse(text, span, f"this '{word}' closes nothing", position)
        if _joined(previous, kind):
            _refuse(text, span, "expected an operator here", position, len(word))
        previous = kind
        pieces.append(word)
        position = token.end()
    if open_brackets:
        bracket, start = open_brackets[-1]
        advice = QUOTE if _ends_at_comma(span) else None
        _refuse(text, span, f"this '{bracket}' is never closed", start, hint=advice)
    return "".join(pieces)


def _ends_at_comma(span: Span) -> bool:
    """Whether a comma ends a scalar without quotes, which it does within braces and brackets."""
    line = span.source.line(span.line)
    begin = span.column - 1
    quoted = line[begin : begin + 1] in ("'", '"')
    return not quoted and line[begin + span.length :].lstrip().startswith(",")


def _joined(previous: str, kind: str) -> bool:
    """Tokens side by side that Python reads otherwise: f'…', 1if, 0x1, 1j, triple quotes."""
    wordy = ("name", "parameter", "number", "string")
    return previous in wordy and kind in wordy


def _is_name(word: str) -> bool:
    return _PARAMETER.fullmatch("$" + word) is not None


def _digits(number: str) -> int:
    """Digits of an integer; a float has as many as it likes."""
    return len(number.lstrip("0")) if number.isdigit() else 0


def _refuse_character(text: str, span: Span, position: int) -> NoReturn:
    character = text[position]
    if character in "'\"":
        line = re.match(r"[^\r\n]*", text[position:])
        rest = line.group() if line else character
        if "\\" in rest:
            position += rest.index("\\")
            character = "\\"
        else:
            _refuse(text, span, "this quote is never closed", position)
    message = f"the character {shown(character)} is not allowed in an expression"
    _refuse(text, span, message, position, hint=_HINTS.get(character))


_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}
# How many arguments each function takes; 0 as the most is any number.
_FUNCTIONS: dict[str, tuple[int, int]] = {
    "min": (2, 0),
    "max": (2, 0),
    "round": (1, 2),
    "ceil": (1, 1),
    "floor": (1, 1),
    "abs": (1, 1),
    "len": (1, 1),
    "make_divisible": (1, 3),
}


def _check(expression: Expression, node: ast.expr, depth: int) -> None:
    """Accept the nodes of the language and refuse all others."""
    if depth > MAX_DEPTH:
        _fail(expression, node, "XG301", "the expression is nested too deeply")
    inner: list[ast.expr] = []
    match node:
        case ast.Constant(value=value):
            if not (value is None or isinstance(value, bool | int | float | str)):
                _fail(expression, node, "XG301", "this is not allowed in an expression")
            if isinstance(value, float) and not math.isfinite(value):
                _fail(expression, node, "XG301", "this number is too large")
        case ast.Name(id=name):
            _check_name(expression, node, name)
        case ast.List(elts=inner):
            pass
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            inner = [operand]
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINARY:
            inner = [left, right]
        case ast.BoolOp(values=inner):
            pass
        case ast.Compare(left=left, ops=ops, comparators=others) if all(
            type(one) in _COMPARISONS for one in ops
        ):
            inner = [left, *others]
        case ast.IfExp(test=test, body=body, orelse=orelse):
            inner = [body, test, orelse]
        case ast.Attribute(value=value) | ast.Subscript(value=value):
            if not _is_path(value):
                hint = "only a parameter has parts: $pair[0], $settings.filters"
                _fail(expression, node, "XG301", "this value has no parts", hint=hint)
            inner = [value]
            if isinstance(node, ast.Subscript):
                inner.append(node.slice)
            elif node.attr.startswith("_"):  # $a.$b
                _fail(expression, node, "XG301", "after '.' comes a key without '$'")
        case ast.Call():
            _check_call(expression, node)
            inner = node.args
        case ast.Tuple():
            hint = "a list is written [a, b]"
            _fail(expression, node, "XG301", "expected one value", hint=hint)
        case _:
            _fail(expression, node, "XG301", "this is not allowed in an expression")
    for one in inner:
        _check(expression, one, depth + 1)


def _is_path(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return isinstance(node, ast.Name) and node.id.startswith("_")


def _check_name(expression: Expression, node: ast.expr, name: str) -> None:
    if name.startswith("_") or name in _CONSTANTS:
        return
    if name in _FUNCTIONS:
        message, hint = f"the function '{name}' needs arguments", f"write {name}(...)"
    else:
        message = f"'{name}' is not a parameter, because it has no '$'"
        hint = f"write '{name}' for the text"
        if _is_name(name):
            hint = f"write ${name}, or '{name}' for the text"
    _fail(expression, node, "XG301", message, hint=hint)


def _check_call(expression: Expression, node: ast.Call) -> None:
    function = node.func
    if not isinstance(function, ast.Name):
        _fail(expression, function, "XG301", "this is not a function")
    name = function.id
    if name not in _FUNCTIONS:
        hint = suggest(name, _FUNCTIONS)
        if name in ("int", "float"):
            hint = f"{INTEGERS}; / gives a float"
        known = "one of " + ", ".join(_FUNCTIONS)
        message = f"there is no function '{name.replace('_', '$', 1) if name[0] == '_' else name}'"
        _fail(expression, function, "XG301", message, expected=known, hint=hint)
    least, most = _FUNCTIONS[name]
    if node.keywords:
        message = f"'{name}' takes its arguments without names"
        _fail(expression, node, "XG301", message)
    if len(node.args) < least or (most and len(node.args) > most):
        if not most:
            expected = f"at least {least} arguments"
        else:
            expected = f"{least}" if least == most else f"{least} to {most}"
            expected += " argument" if most == 1 else " arguments"
        message = f"'{name}' needs {expected}"
        _fail(expression, node, "XG301", message, expected=expected, received=f"{len(node.args)}")


# --- errors ---


def _refuse(
    text: str, span: Span, message: str, start: int, length: int = 1, *, hint: str | None = None
) -> NoReturn:
    place = _locate(text, span, start, length)
    raise SpecError(Diagnostic("XG301", message, place, hint=hint))


def _fail(
    expression: Expression,
    node: ast.expr,
    code: str,
    message: str,
    *,
    expected: str | None = None,
    received: str | None = None,
    hint: str | None = None,
) -> NoReturn:
    length = max(1, (node.end_col_offset or 0) - node.col_offset)
    place = _locate(expression.text, expression.span, node.col_offset, length)
    raise SpecError(Diagnostic(code, message, place, expected, received, hint))


def _locate(text: str, span: Span, start: int, length: int) -> Span:
    """Where characters of `text` are in the file: after a quote or not, if on the span's line.

    A text that its line does not show as it is (escapes, several lines) has the span of its
    scalar for all its parts.
    """
    line = span.source.line(span.line)
    for quote in (0, 1):
        begin = span.column - 1 + quote
        if line.startswith(text[: start + length], begin):
            return Span(span.source, span.line, begin + start + 1, length)
    return span


def _describe(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {shown(value)}"
    if isinstance(value, str):
        return f"the text {shown(value, limit=40)}"
    return "a mapping" if isinstance(value, Mapping) else "a list"


# --- values ---


class _Evaluator:
    def __init__(self, expression: Expression, environment: Mapping[str, Any]) -> None:
        self.expression = expression
        self.environment = environment

    def value(self, node: ast.expr) -> Any:
        """The value of a checked node; every number passes the bound."""
        value: Any
        match node:
            case ast.Constant(value=value):
                pass
            case ast.Name(id=name):
                value = self.name(node, name)
            case ast.BinOp(left=left, op=operator, right=right):
                value = self.binary(node, _BINARY[type(operator)], left, right)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                value = self.call(node, name, arguments)
            case ast.Compare():
                value = self.compare(node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = -self.number(operand, "'-'")
            case ast.UnaryOp(operand=operand):
                value = not self.boolean(operand, "'not'")
            case ast.BoolOp(op=ast.And(), values=operands):
                value = all(self.boolean(one, "'and'") for one in operands)
            case ast.BoolOp(values=operands):
                value = any(self.boolean(one, "'or'") for one in operands)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                value = self.value(body if self.boolean(test, "'if'") else orelse)
            case ast.List(elts=items):
                value = [self.value(one) for one in items]
            case ast.Attribute(value=owner, attr=key):
                value = self.attribute(node, owner, key)
            case ast.Subscript(value=owner, slice=index):
                value = self.item(owner, index)
            case _:
                raise AssertionError(ast.dump(node))
        return self.bounded(node, value)

    def fail(self, node: ast.expr, code: str, message: str, hint: str | None = None) -> NoReturn:
        _fail(self.expression, node, code, message, hint=hint)

    def bounded(self, node: ast.expr, value: Any) -> Any:
        if isinstance(value, int | float) and not -MAX_NUMBER <= value <= MAX_NUMBER:
            self.out_of_bounds(node)  # also for nan, which compares with nothing
        return value

    def out_of_bounds(self, node: ast.expr) -> NoReturn:
        self.fail(node, "XG304", "the result is not a number between -2**53 and 2**53")

    # --- operands ---

    def number(self, node: ast.expr, needing: str) -> Any:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fail(node, "XG303", f"{needing} needs numbers, received {_describe(value)}")
        return value

    def integer(self, node: ast.expr, needing: str) -> int:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int):
            message = f"{needing} needs an integer, received {_describe(value)}"
            hint = INTEGERS if isinstance(value, float) else None
            self.fail(node, "XG303", message, hint)
        return value

    def boolean(self, node: ast.expr, needing: str) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            message = f"{needing} needs true or false, received {_describe(value)}"
            text = self.expression.text[node.col_offset : node.end_col_offset]
            hint = comparison(text, value)
            self.fail(node, "XG303", message, hint)
        return value

    # --- nodes ---

    def name(self, node: ast.expr, name: str) -> Any:
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        parameter = name[1:]
        if parameter not in self.environment:
            known = sorted(self.environment)
            _fail(
                self.expression,
                node,
                "XG302",
                f"there is no parameter '{parameter}' here",
                expected=one_of(known, "no parameters"),
                hint=suggest(parameter, known),
            )
        return self.environment[parameter]

    def binary(self, node: ast.expr, operator: str, left: ast.expr, right: ast.expr) -> Any:
        a = self.number(left, f"'{operator}'")
        b = self.number(right, f"'{operator}'")
        if operator == "**":
            return self.power(node, a, b, right)
        if b == 0 and operator in ("/", "//", "%"):
            self.fail(right, "XG305", f"'{operator}' divides by zero")
        match operator:
            case "+":
                return a + b
            case "-":
                return a - b
            case "*":
                return a * b
            case "/":
                return a / b
            case "//":
                return a // b
            case _:
                return a % b

    def power(self, node: ast.expr, base: float, exponent: float, right: ast.expr) -> Any:
        if abs(exponent) > MAX_EXPONENT:
            self.fail(right, "XG304", f"an exponent is at most {MAX_EXPONENT}")
        if base == 0:
            if exponent < 0:
                self.fail(node, "XG305", "a negative power of zero divides by zero")
        elif exponent * math.log2(abs(base)) > MAX_NUMBER.bit_length():  # refused uncomputed
            self.out_of_bounds(node)
        if base < 0 and not float(exponent).is_integer():
            self.fail(node, "XG304", "a root of a negative number is not a number")
        return base**exponent

    def compare(self, node: ast.Compare) -> bool:
        left_node, left = node.left, self.value(node.left)
        for operator, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            sign = _COMPARISONS[type(operator)]
            if sign in ("in", "not in"):
                if not isinstance(right, list | tuple):
                    message = f"'{sign}' needs a list, received {_describe(right)}"
                    self.fail(right_node, "XG303", message)
                holds = (left in right) == (sign == "in")
            elif sign in ("==", "!="):
                holds = (left == right) == (sign == "==")
            else:
                for one, value in ((left_node, left), (right_node, right)):
                    if isinstance(value, bool) or not isinstance(value, int | float):
                        message = f"'{sign}' needs numbers, received {_describe(value)}"
                        self.fail(one, "XG303", message)
                holds = _ORDERS[sign](left, right)
            if not holds:
                return False
            left_node, left = right_node, right
        return True

    def attribute(self, node: ast.expr, owner_node: ast.expr, key: str) -> Any:
        owner = self.value(owner_node)
        if not isinstance(owner, Mapping):
            message = f"'.{key}' needs a mapping, received {_describe(owner)}"
            self.fail(owner_node, "XG303", message)
        if key not in owner:
            known = [one for one in owner if isinstance(one, str)]
            _fail(
                self.expression,
                node,
                "XG303",
                f"the mapping has no '{key}'",
                expected=one_of(known, "nothing, for it is empty"),
                hint=suggest(key, known),
            )
        return owner[key]

    def item(self, owner_node: ast.expr, index_node: ast.expr) -> Any:
        owner = self.value(owner_node)
        if not isinstance(owner, list | tuple):
            hint = "write $mapping.key" if isinstance(owner, Mapping) else None
            message = f"'[…]' needs a list, received {_describe(owner)}"
            self.fail(owner_node, "XG303", message, hint)
        index = self.integer(index_node, "'[…]'")
        if not -len(owner) <= index < len(owner):
            message = f"the list has {len(owner)} items, counted from 0; there is no item {index}"
            self.fail(index_node, "XG303", message)
        return owner[index]

    def call(self, node: ast.expr, name: str, arguments: list[ast.expr]) -> Any:
        title = f"'{name}'"
        if name == "len":
            value = self.value(arguments[0])
            if not isinstance(value, list | tuple):
                message = f"{title} needs a list, received {_describe(value)}"
                self.fail(arguments[0], "XG303", message)
            return len(value)
        if name == "make_divisible":
            return self.make_divisible(node, arguments)
        first = self.number(arguments[0], title)
        if name == "round":
            if len(arguments) == 1:
                return round(first)
            digits = self.integer(arguments[1], title)
            if not -15 <= digits <= 15:
                self.fail(arguments[1], "XG304", "'round' keeps from -15 to 15 digits")
            return round(first, digits)
        if name in ("min", "max"):
            values = [first, *(self.number(one, title) for one in arguments[1:])]
            return min(values) if name == "min" else max(values)
        if name == "abs":
            return abs(first)
        return math.ceil(first) if name == "ceil" else math.floor(first)

    def make_divisible(self, node: ast.expr, arguments: list[ast.expr]) -> int:
        value = self.number(arguments[0], "'make_divisible'")
        rest = [self.integer(one, "'make_divisible'") for one in arguments[1:]]
        if rest and rest[0] == 0:
            self.fail(arguments[1], "XG305", "'make_divisible' divides by zero")
        if rest and rest[0] < 0:
            message = f"'make_divisible' needs a divisor of at least 1, received {rest[0]}"
            self.fail(arguments[1], "XG303", message)
        return make_divisible(value, *rest)


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


class _Channels(ast.NodeTransformer):
    """`$features.channels` as one name."""

    def __init__(self, known: Container[str]) -> None:
        self.known = known

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name):
            name = channels_of(node.value.id[1:])
            if node.attr == "channels" and name in self.known:
                return ast.copy_location(ast.Name(f"_{name}", ast.Load()), node)
        return cast(ast.expr, self.generic_visit(node))


#: Where a text stood; names of a program never look so.
_PLACE = re.compile(r"\b__text_(\d+)__\b")


class _Folder(ast.NodeTransformer):
    """Takes the branch of a condition that is decided."""

    def __init__(self, expression: Expression, known: Mapping[str, Any]) -> None:
        self.evaluator, self.known = _Evaluator(expression, known), known

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        named = (one.id for one in ast.walk(node.test) if isinstance(one, ast.Name))
        if all(name[1:] in self.known for name in named if name.startswith("_")):
            with contextlib.suppress(SpecError):  # where it stands, it is never asked
                holds = self.evaluator.boolean(node.test, "a condition")
                return cast(ast.expr, self.visit(node.body if holds else node.orelse))
        return cast(ast.expr, self.generic_visit(node))


class _Texts(ast.NodeTransformer):
    """Texts out of a tree, each with a name in its place: `ast.unparse` has its own quotes."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if not isinstance(node.value, str):
            return node
        self.found.append(node.value)
        return ast.Name(f"__text_{len(self.found) - 1}__", ast.Load())


class _Speller(ast.NodeTransformer):
    """Names as the generated program has them."""

    def __init__(self, spell: Callable[[str], str]) -> None:
        self.spell = spell

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in _CONSTANTS:
            return ast.Constant(_CONSTANTS[node.id])
        if node.id in ("ceil", "floor"):
            return ast.Attribute(ast.Name("math", ast.Load()), node.id, ast.Load())
        if node.id.startswith("_"):
            return ast.parse(self.spell(node.id[1:]), mode="eval").body
        return node

    def visit_List(self, node: ast.List) -> ast.expr:
        """As lists are written wherever they are given; a list never equals a tuple."""
        return ast.Tuple([self.visit(part) for part in node.elts], ast.Load())

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """`$settings.filters` is an entry of a mapping."""
        value: ast.expr = self.visit(node.value)
        return ast.Subscript(value, ast.Constant(node.attr), ast.Load())
