"""Calls of ops and blocks: their targets, arguments and names."""

from __future__ import annotations

from dataclasses import fields

from xgraph import ops
from xgraph.diagnostics import Span, one_of, printable, suggest
from xgraph.ir.document import Mapping, Scalar, Yaml, describe
from xgraph.ir.structure import Argument, Call
from xgraph.spec import words
from xgraph.spec.expressions import QUOTE, is_rest
from xgraph.spec.form import Form, is_empty
from xgraph.spec.naming import Naming

#: Keys that may stand beside the op, block or structure that an item is about.
MODIFIERS = ("name", "from", "when", "doc", "source")
#: Structures, each with the keys that belong to it.
STRUCTURES = {
    "repeat": ("repeat", "body", "index"),
    "for": ("for", "body"),
    "residual": ("residual", "shortcut", "skip", "merge"),
    "branches": ("branches", "merge"),
    "if": ("if", "then", "else"),
    "share": ("share", "name"),
}
MERGES = ("add", "average", "concat", "maximum", "multiply")


class Calls:
    """Reads calls.

    Attributes:
        block_parameters: of each block that may be called, its parameters in order, and those that
            have no default.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.block_parameters: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}

    def is_head(self, key: str) -> bool:
        """Whether a key is what an item is about: an op, a block or a structure."""
        return key in ops.names() or key in self.block_parameters or key in STRUCTURES

    def advice(self, head: str, extra: str) -> str:
        """How two keys of one item may have been meant."""
        if is_rest(extra):
            return QUOTE
        if self.is_head(extra):
            return "make two items of them, each with its own '-' or braces"
        return f"if '{extra}' belongs to '{head}', write {{{head}: {{{extra}: …}}}}"

    def call(
        self,
        target: str,
        span: Span,
        value: Yaml | None,
        node: Mapping | None,
        scope: Naming,
        known: frozenset[str],
        default_name: str | None = None,
    ) -> Call | None:
        """One application of an op or a block.

        Args:
            target: what is applied; an unknown one is reported (XG206).
            span: where it stands.
            value: its arguments, if there are any.
            node: the item, whose modifiers say a name and sources.
            scope: names of the block or section around.
            known: parameters and loop variables that may be mentioned.
        """
        if target not in ops.names() and target not in self.block_parameters:
            self.form.problem(
                "XG206",
                f"there is no op or block called '{printable(target)}'",
                span,
                expected="an op (`xgraph list --ops`) or a block of this spec",
                hint=f"'{target}' is a structure, and stands with what it takes: {{{target}: …}}"
                if target in STRUCTURES
                else words.op_hint(target, [*ops.names(), *STRUCTURES], self.block_parameters),
            )
            return None
        given_name = node.get("name") if node else None
        name = given_name.value if isinstance(given_name, Scalar) else None
        if not isinstance(name, str):
            name = scope.fresh(default_name or target)
            scope.taken[name] = span
        return Call(
            target=target,
            arguments=self.arguments(target, value, known) if value is not None else (),
            name=name,
            sources=scope.sources(self.form, node.get("from")) if node else (),
            doc=self.form.prose(node)[0] if node else None,
            span=span,
        )

    def arguments(self, target: str, value: Yaml, known: frozenset[str]) -> tuple[Argument, ...]:
        """Arguments by name; a value that is no mapping is the first attribute's."""
        if (
            isinstance(value, Scalar)
            and value.value is None
            and not value.quoted
            and is_empty(value)
        ):
            return ()
        accepted = self.accepted(target)
        if not isinstance(value, Mapping):
            if not accepted:
                self.form.problem(
                    "XG405", f"'{target}' takes no arguments", value.span,
                    received=describe(value), hint=f"write '{target}' alone, or {{{target}: }}",
                )  # fmt: skip
                return ()
            return (Argument(accepted[0], self.form.value(value, known), value.span),)
        result = []
        kind = "op" if target in ops.names() else "block"
        for entry in value:
            if entry.key not in accepted:
                self.form.problem(
                    "XG401" if kind == "op" else "XG405",
                    f"{kind} '{target}' has no {'attribute' if kind == 'op' else 'parameter'} "
                    f"'{printable(entry.key)}'",
                    entry.key_span,
                    expected=one_of(accepted, "no arguments"),
                    hint=f"'{entry.key}' stands beside '{target}': {{{target}: …, {entry.key}: …}}"
                    if entry.key in MODIFIERS
                    else QUOTE
                    if is_rest(entry.key)
                    else words.attribute_hint(target, entry.key, accepted)
                    if kind == "op"
                    else suggest(entry.key, accepted),
                )
                continue
            result.append(Argument(entry.key, self.form.value(entry.value, known), entry.key_span))
        return tuple(result)

    def accepted(self, target: str) -> tuple[str, ...]:
        """Attributes of an op or parameters of a block, in order."""
        if target in self.block_parameters:
            return self.block_parameters[target][0]
        return tuple(field.name for field in fields(ops.get(target)))

    def merge(
        self, node: Mapping, default: str | None, scope: Naming, known: frozenset[str]
    ) -> Call | None:
        """What paths are merged by: a word, or a mapping of one with arguments and modifiers.

        `default` is what a structure merges by when it says nothing; None if it must say.
        """
        given = node.get("merge")
        named = node.get("name")
        if given is None and default is None:
            self.form.missing(
                node,
                "merge",
                "branches need a merge",
                expected="merge: concat, or add, or multiply",
            )
            return None
        target: str | None = default
        span, value, modifiers = node.span, None, Mapping((), node.span)
        if isinstance(given, Scalar) and isinstance(given.value, str):
            target, span = given.value, given.span
        elif isinstance(given, Mapping):
            heads = [entry for entry in given if entry.key not in ("name", "doc", "source")]
            for extra in heads[1:]:
                self.form.problem(
                    "XG202", f"a merge has no key '{printable(extra.key)}'", extra.key_span,
                    expected="one of " + ", ".join(MERGES) + ", beside name, doc, source",
                )  # fmt: skip
            target = None
            if heads:
                target, span, value = heads[0].key, heads[0].key_span, heads[0].value
            modifiers = Mapping(tuple(entry for entry in given if entry not in heads), given.span)
        elif given is not None:
            target = None
        if target not in MERGES:
            assert given is not None
            self.form.problem(
                "XG206", "the paths cannot be merged by this", span if target else given.span,
                expected="one of " + ", ".join(MERGES),
                received=f"'{printable(target)}'" if target else describe(given),
                hint=target and words.op_hint(target, MERGES),
            )  # fmt: skip
            return None
        if named is not None and modifiers.get("name") is None:
            named_entry = next(entry for entry in node if entry.key == "name")
            modifiers = Mapping((*modifiers.entries, named_entry), modifiers.span)
        return self.call(target, span, value, modifiers, scope, known)
