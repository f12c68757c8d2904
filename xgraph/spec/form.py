"""The form of a spec's YAML tree: what stands where, and every problem with it.

Nothing is evaluated here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any

from xgraph.diagnostics import Diagnostic, Span, SpecError, closest, one_of, printable, suggest
from xgraph.ir.document import Entry, Mapping, Scalar, Sequence, Yaml, describe
from xgraph.ir.structure import Reference, Value
from xgraph.spec import expressions
from xgraph.spec.expressions import Expression
from xgraph.text import Text

_NAME = re.compile(r"[a-z](?:_?[a-z0-9])*\Z")
_NAME_LIMIT = 64
_NAME_RULE = "lower-case letters, digits and single underscores, beginning with a letter"
_REFERENCE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*\Z")
#: With more problems than this, the file is not what its author thinks it is.
_PROBLEM_LIMIT = 100
#: Words that expressions and wiring give a meaning to.
RESERVED = frozenset({"input", "and", "or", "not", "in", "if", "else", "true", "false", "null"})
EXAMPLES = {
    "params": "a mapping such as {classes: 1000}",
    "defaults": "a mapping such as {conv: {bias: false}}",
    "blocks": "a mapping such as {conv_bn: {params: {filters}, body: [...]}}",
    "outputs": "a mapping such as {logits: head}",
    "sizes": "a mapping such as {my_network_large: {params: {width: 2}}}",
    "name": "name: my_network",
    "input": "input: {shape: [299, 299, 3]}",
    "graph": "graph: sections, or a list of ops and blocks",
}


class TooManyProblems(Exception):  # no error: a way out of the reader
    """No use going on after so many problems."""


class Form:
    """Takes the parts of a YAML tree for what they should be, and collects what is wrong.

    A method that finds a problem reports it and gives None, or what does least harm.
    """

    def __init__(self) -> None:
        self.problems: list[Diagnostic] = []
        self.block = ""  # the block that is being read, whose uses must pass what it mentions
        self.meant: set[tuple[Span, str]] = set()  # keys of mappings that were misspelled

    def problem(self, code: str, message: str, span: Span, **details: Any) -> None:
        """Report one."""
        self.report(Diagnostic(code, message, span, **details))

    def report(self, diagnostic: Diagnostic) -> None:
        """Collect a problem.

        Raises:
            TooManyProblems: there are so many that the file is another thing than it says.
        """
        self.problems.append(diagnostic)
        if len(self.problems) >= _PROBLEM_LIMIT:
            raise TooManyProblems

    def value(
        self, node: Yaml, known: AbstractSet[str], later: AbstractSet[str] = frozenset()
    ) -> Value:
        """`known` are the parameters that may be mentioned, `later` those declared further on."""
        content: Any
        if isinstance(node, Sequence):
            content = tuple(self.value(item, known, later) for item in node.items)
        elif isinstance(node, Mapping):
            content = {e.key: self.value(e.value, known, later) for e in node}
        elif isinstance(node.value, str) and expressions.is_expression(node.value):
            content = self.expression(node, known, later)
        else:
            content = node.value
        return Value(content, node.span)

    def expression(
        self, node: Scalar, known: AbstractSet[str], later: AbstractSet[str]
    ) -> Expression | None:
        """The parsed text, whose names must all be known."""
        assert isinstance(node.value, str)
        try:
            expression = expressions.parse(node.value, node.span)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                self.report(diagnostic)
            return None
        # Where a parameter is called like an input, `$name.channels` is an entry of its.
        counts = {n for n in known if expressions.is_channels(n) and n.split(".")[0] not in known}
        expression = expressions.with_channels(expression, counts)
        for name, span in expressions.mentions(expression).items():
            if name in known:
                continue
            hint = suggest(name, sorted(known)) or f"add '{name}' to params"
            if self.block:
                hint = suggest(name, sorted(known)) or (
                    f"add '{name}' to the params of {self.block}, and pass it where that is used"
                )
            if name in later:
                hint = f"a parameter may use those above it, and '{name}' is not"
            elif f"${name}.channels" in node.value:
                hint = "only inputs of a block have '.channels', such as $input.channels"
            if name == "input" or expressions.channels_of(name) in known:
                hint = self.channels_hint(name, known)
            self.problem(
                "XG302",
                f"there is no parameter '{name}' here",
                span,
                expected=one_of(sorted(known), "no parameters"),
                hint=hint,
            )
        return expression

    def channels_hint(self, name: str, known: AbstractSet[str]) -> str:
        """What can be said of an input."""
        if expressions.channels_of(name) in known:
            return f"of an input, only its channels are a number: ${name}.channels"
        if self.block and name == "input":
            inputs = [f"${one}" for one in sorted(known) if one.endswith(".channels")]
            return f"the inputs of {self.block} have names: {' or '.join(inputs)}"
        return "$input.channels stands in blocks and sections"

    def references(self, node: Yaml | None, what: str = "from") -> tuple[Reference, ...]:
        """The names that something takes its values from."""
        if node is None:
            return ()
        parts = node.items if isinstance(node, Sequence) else (node,)
        if not parts:
            self.wrong_kind(node, what, "the name of a node, or a list of names")
        result = []
        for part in parts:
            text = part.value if isinstance(part, Scalar) else None
            if not isinstance(text, str) or not _REFERENCE.match(text):
                self.wrong_kind(part, what, "the name of a node, or a list of names")
                continue
            result.append(Reference(text, part.span))
        return tuple(result)

    def name(self, node: Yaml | None, what: str) -> str | None:
        """A name that stands in the tree."""
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            if node is not None:
                self.wrong_kind(node, what, _NAME_RULE)
            return None
        return self.checked_name(node.value, node.span, what)

    def checked_name(self, name: str, span: Span, what: str) -> str | None:
        """The name if it follows the rule, which keeps it an identifier and a file name."""
        if is_name(name):
            return name
        reserved = name in RESERVED
        plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", name.lower())).strip("_")[
            :_NAME_LIMIT
        ]
        fits = bool(_NAME.match(plain)) and plain not in RESERVED
        self.problem(
            "XG204",
            f"{what} cannot be '{printable(name)}'" + (", a reserved word" if reserved else ""),
            span,
            expected=f"{_NAME_RULE}, at most {_NAME_LIMIT} characters",
            hint=f"'{plain}' would do" if fits else None,
        )  # fmt: skip
        return None

    def text(self, node: Yaml | None, what: str) -> str | None:
        """A text with its white space folded."""
        if node is None:
            return None
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            self.wrong_kind(node, what, "text")
            return None
        return " ".join(node.value.split())

    def prose(self, node: Mapping) -> tuple[Text | None, Text | None]:
        """The `doc` and the `source` of something."""
        doc, source = (self.text(node.get(key), key) for key in ("doc", "source"))
        return Text(doc) if doc else None, Text(source) if source else None

    def entries(self, node: Yaml | None, what: str) -> tuple[Entry, ...]:
        """The entries of a mapping that may be left out."""
        if node is None or is_empty(node):
            return ()
        if not isinstance(node, Mapping):
            self.wrong_kind(node, what, EXAMPLES[what])
            return ()
        return node.entries

    def mapping(
        self,
        node: Yaml,
        what: str,
        allowed: tuple[str, ...],
        example: str = "a mapping",
        hint: Callable[[str], str | None] = lambda key: None,
    ) -> Mapping | None:
        """`node` as a mapping with no keys but the allowed ones; unknown keys are reported.

        `hint` is what to say of a key that is no misspelled one.
        """
        if not isinstance(node, Mapping):
            self.wrong_kind(node, what, example)
            return None
        for entry in node:
            if entry.key not in allowed:
                self.problem(
                    "XG202",
                    f"{what} has no key '{printable(entry.key)}'",
                    entry.key_span,
                    expected=one_of(allowed),
                    hint=self.misspelled(node, entry.key, allowed) or hint(entry.key),
                )
        return node

    def misspelled(self, node: Mapping, key: str, allowed: tuple[str, ...]) -> str | None:
        """A hint at the key that was meant, which then is not reported as missing."""
        if key == "<<":
            return "there are no merge keys in YAML 1.2; write the entries out, or use a block"
        if expressions.is_rest(key):
            return expressions.QUOTE
        meant = closest(key, allowed)
        if meant is None:
            return None
        self.meant.add((node.span, meant))
        return f"did you mean '{meant}'?"

    def missing(
        self, node: Mapping, key: str, message: str, span: Span | None = None, **details: Any
    ) -> None:
        """Report a key that must be there, unless it was only misspelled."""
        if (node.span, key) not in self.meant:
            self.problem("XG203", message, span or node.span, **details)

    def wrong_kind(self, node: Yaml, what: str, expected: str) -> None:
        """Report a value that is something else than it should be."""
        self.problem(
            "XG201", f"{what} cannot be this", node.span, expected=expected, received=describe(node)
        )


def is_name(text: str) -> bool:
    """Whether it follows the rule of names."""
    return bool(_NAME.match(text)) and len(text) <= _NAME_LIMIT and text not in RESERVED


def is_empty(node: Yaml) -> bool:
    """Whether nothing stands there: `{filters}` or `relu:`, but not an explicit null."""
    if not isinstance(node, Scalar) or node.value is not None:
        return False
    span = node.span
    text = span.source.line(span.line)[span.column - 1 :]
    return not text.startswith(("null", "Null", "NULL", "~"))
