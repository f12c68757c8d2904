"""From a YAML tree to a `Program`: the form of a spec, with every name checked.

Nothing is evaluated here. All problems of the whole file are collected and raised together.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import fields
from graphlib import CycleError, TopologicalSorter
from typing import Any

from xgraph import ops
from xgraph.diagnostics import Diagnostic, Span, SpecError, closest, one_of, printable, suggest
from xgraph.ir.document import Entry, Mapping, Scalar, Sequence, Yaml, describe
from xgraph.ir.structure import (
    Argument,
    Block,
    Call,
    Conditional,
    Item,
    Loop,
    OutputSpec,
    Parameter,
    Program,
    Reference,
    Section,
    Split,
    Value,
)
from xgraph.spec import expressions, words
from xgraph.spec.expressions import Expression
from xgraph.text import Text

VERSION = 1
TOP_KEYS = (
    "xgraph", "name", "doc", "source", "extends", "recipe", "params", "input", "defaults",
    "blocks", "graph", "outputs",
)  # fmt: skip
#: Keys that may stand beside the op, block or structure that an item is about.
MODIFIERS = ("name", "from", "when", "doc", "source")
#: Structures, each with the keys that belong to it.
STRUCTURES = {
    "repeat": ("repeat", "body", "index"),
    "for": ("for", "body"),
    "residual": ("residual", "shortcut", "merge"),
    "branches": ("branches", "merge"),
    "if": ("if", "then", "else"),
}
MERGES = ("add", "multiply", "concat")

_NAME = re.compile(r"[a-z](?:_?[a-z0-9])*\Z")
_NAME_LIMIT = 64
_NAME_RULE = "lower-case letters, digits and single underscores, beginning with a letter"
_REFERENCE = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)*\Z")
#: Blocks within blocks, and structures within them, go no deeper than this.
_NESTING_LIMIT = 64
#: With more problems than this, the file is not what its author thinks it is.
_PROBLEM_LIMIT = 100
#: Words that expressions and wiring give a meaning to.
_RESERVED = frozenset({"input", "and", "or", "not", "in", "if", "else", "true", "false", "null"})


def read_program(document: Yaml) -> Program:
    """Check the form of a spec and build its `Program`.

    Raises:
        SpecError: with every problem found.
    """
    reader = _Reader()
    program = None
    with contextlib.suppress(_TooMany):
        program = reader.program(document)
    if reader.problems or program is None:
        raise SpecError(reader.problems)
    return program


class _TooMany(Exception):  # no error: a way out of the reader
    """No use going on after so many problems."""


#: The arm of each `if` (by its identity) that a place lies in.
_Arms = dict[int, str]


class _Scope:
    """Names taken in a block or section: explicit ones first, so that they always keep theirs."""

    def __init__(self, parameters: Iterable[str]) -> None:
        self.taken: dict[str, Span] = {}  # explicit names first, then automatic ones
        self.parameters = frozenset(parameters)
        self.references: list[Reference] = []
        self.numbers: dict[str, int] = {}  # the last number handed out for a base
        self.branch = ""  # the named branch around here: automatic names begin with it

    def fresh(self, base: str) -> str:
        base = f"{self.branch}_{base}" if self.branch else base
        name, number = base, self.numbers.get(base, 1)
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.numbers[base] = number
        return name


class _Reader:
    def __init__(self) -> None:
        self.problems: list[Diagnostic] = []
        self.block_parameters: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}
        self.meant: set[tuple[Span, str]] = set()  # keys of mappings that were misspelled

    def problem(self, code: str, message: str, span: Span, **details: Any) -> None:
        self.report(Diagnostic(code, message, span, **details))

    def report(self, diagnostic: Diagnostic) -> None:
        self.problems.append(diagnostic)
        if len(self.problems) >= _PROBLEM_LIMIT:
            raise _TooMany

    # -- the whole file -----------------------------------------------------------------------

    def program(self, document: Yaml) -> Program | None:
        top = self.mapping(document, "a spec", TOP_KEYS)
        if top is None:
            return None
        self.version(top)
        for key in ("name", "input", "graph"):
            if top.get(key) is None:
                self.missing(top, key, f"the spec has no '{key}'", expected=_EXAMPLES[key])
        name = self.name(top.get("name"), "a spec's name") if top.get("name") else None
        parameters = self.parameters(top.get("params"), frozenset())
        known = frozenset(p.name for p in parameters)
        bodies = self.block_heads(top.get("blocks"))
        defaults = self.defaults(top.get("defaults"), known, self.block_parameters.keys())
        blocks = {entry.key: self.block(entry, body, known) for entry, body in bodies}
        self.no_recursion(blocks)
        sections = self.sections(top.get("graph"), known)
        outputs = self.outputs(top.get("outputs"), sections, known)
        shape = self.input_shape(top.get("input"), known)
        doc, source = self.prose(top)
        recipe_node = top.get("recipe")
        recipe = self.text(recipe_node, "recipe")
        if self.problems or name is None or shape is None:
            return None
        return Program(
            name=name,
            doc=doc,
            source=source,
            recipe=recipe,
            recipe_span=recipe_node.span if recipe_node else None,
            parameters=parameters,
            input_shape=shape,
            defaults=defaults,
            blocks=blocks,
            sections=sections,
            outputs=outputs,
            span=top.span,
        )

    def version(self, top: Mapping) -> None:
        node = top.get("xgraph")
        if node is None:
            self.missing(
                top,
                "xgraph",
                "the spec does not say which version of the language it is written in",
                expected=f"xgraph: {VERSION}",
                hint=f"begin the file with 'xgraph: {VERSION}'",
            )
        elif not isinstance(node, Scalar) or node.value is True or node.value != VERSION:
            self.problem(
                "XG205",
                "this version of the spec language is not known",
                node.span,
                expected=f"xgraph: {VERSION}",
                received=describe(node),
            )

    def input_shape(self, node: Yaml | None, known: frozenset[str]) -> Value | None:
        if node is None:
            return None
        given = self.mapping(node, "input", ("shape", "doc"), "{shape: [299, 299, 3]}")
        if given is None:
            return None
        self.text(given.get("doc"), "doc")
        shape = given.get("shape")
        if shape is None:
            self.missing(given, "shape", "the input has no shape", expected="shape: [299, 299, 3]")
            return None
        return self.value(shape, known)

    def defaults(
        self, node: Yaml | None, known: frozenset[str], block_names: AbstractSet[str]
    ) -> dict[str, tuple[Argument, ...]]:
        result: dict[str, tuple[Argument, ...]] = {}
        for entry in self.entries(node, "defaults"):
            if entry.key not in ops.names():
                is_block = entry.key in block_names
                self.problem(
                    "XG206",
                    f"defaults are for ops, and '{printable(entry.key)}' is "
                    + ("a block" if is_block else "none"),
                    entry.key_span,
                    expected="the name of an op (`xgraph list --ops`)",
                    hint="give the block's parameters their values in its own params"
                    if is_block
                    else words.op_hint(entry.key, ops.names()),
                )
                continue
            result[entry.key] = self.arguments(entry.key, entry.value, known)
        return result

    def parameters(self, node: Yaml | None, outer: frozenset[str]) -> tuple[Parameter, ...]:
        result: list[Parameter] = []
        known = set(outer)
        entries = self.entries(node, "params")
        later = frozenset(entry.key for entry in entries)
        for entry in entries:
            name = self.checked_name(entry.key, entry.key_span, "a parameter's name")
            if name is None:
                continue
            default = None
            if not _empty(entry.value):
                default = self.value(entry.value, known, later)
            known.add(name)
            result.append(Parameter(name=name, default=default, span=entry.key_span))
        return tuple(result)

    # -- blocks and sections --------------------------------------------------------------------

    def block_heads(self, node: Yaml | None) -> list[tuple[Entry, Mapping]]:
        """First look at all blocks, so that bodies can call blocks defined later."""
        heads = []
        for entry in self.entries(node, "blocks"):
            if entry.key in ops.names() or entry.key in STRUCTURES or entry.key in MODIFIERS:
                taken = (
                    "the name of an op" if entry.key in ops.names()
                    else "a word of the spec language"
                )  # fmt: skip
                self.problem(
                    "XG210",
                    f"a block may not be called '{entry.key}', which is {taken}",
                    entry.key_span,
                    hint=f"call it something else, such as '{entry.key}_block'",
                )
                continue
            self.checked_name(entry.key, entry.key_span, "a block's name")
            keys = ("params", "inputs", "body", "doc", "source")
            what = f"block '{printable(entry.key)}'"
            body = self.mapping(entry.value, what, keys, "{params: {…}, body: [...]}")
            if body is None:
                continue
            if body.get("body") is None:
                self.missing(
                    body, "body", f"{what} has no body", entry.key_span,
                    expected="body: a list of ops and blocks",
                )  # fmt: skip
                continue
            params = body.get("params")
            named = params.entries if isinstance(params, Mapping) else ()
            required = frozenset(p.key for p in named if _empty(p.value))
            self.block_parameters[entry.key] = (tuple(p.key for p in named), required)
            heads.append((entry, body))
        return heads

    def block(self, entry: Entry, node: Mapping, known: frozenset[str]) -> Block:
        parameters = self.parameters(node.get("params"), known)
        inputs = self.block_inputs(node.get("inputs"))
        scope = _Scope(known | {p.name for p in parameters})
        body = node.get("body")
        assert body is not None
        doc, source = self.prose(node)
        return Block(
            name=entry.key,
            parameters=parameters,
            body=self.body(body, scope, f"block '{printable(entry.key)}'", inputs),
            inputs=inputs,
            doc=doc,
            source=source,
            span=entry.key_span,
        )

    def block_inputs(self, node: Yaml | None) -> tuple[str, ...]:
        if node is None:
            return ("input",)
        if not isinstance(node, Sequence) or not node.items:
            self.wrong_kind(node, "inputs", "a list of names")
            return ("input",)
        names = [self.name(item, "an input's name") for item in node.items]
        for position, item in enumerate(node.items):
            if names[position] is not None and names[position] in names[:position]:
                self.problem("XG208", f"the input '{names[position]}' is here twice", item.span)
        return tuple(name for name in names if name is not None) or ("input",)

    def body(
        self, node: Yaml, scope: _Scope, what: str, inputs: tuple[str, ...]
    ) -> tuple[Item, ...]:
        """The items of a scope; explicit names are taken before automatic ones are made."""
        self.explicit_names(node, scope.taken)
        items = self.items(node, scope, scope.parameters, what)
        if isinstance(node, Sequence) and not node.items:
            self.problem("XG203", f"{what} is empty", node.span, expected="at least one item")
        allowed = (
            {*scope.taken, *inputs, "input"} if inputs == ("input",) else {*scope.taken, *inputs}
        )
        for reference in scope.references:
            head = reference.path.split(".")[0]
            if what.startswith("block") and head not in allowed:
                self.problem(
                    "XG211",
                    f"nothing in {what} is called '{reference.path}'",
                    reference.span,
                    expected="the name of an earlier item of the same block, or "
                    + " or ".join(inputs),
                    hint=suggest(reference.path, sorted(allowed)),
                )
        return items

    def sections(self, node: Yaml | None, known: frozenset[str]) -> tuple[Section, ...]:
        if node is None:
            return ()
        if isinstance(node, Sequence):
            scope = _Scope(known)
            body = self.body(node, scope, "the graph", ("input",))
            return (Section(block=Block(name="", body=body, span=node.span)),)
        if not isinstance(node, Mapping):
            self.wrong_kind(node, "graph", "a mapping of sections, or a list of ops and blocks")
            return ()
        result = []
        for entry in node:
            name = self.checked_name(entry.key, entry.key_span, "a section's name")
            what = f"section '{printable(entry.key)}'"
            given: Mapping | None = None
            content: Yaml | None = entry.value
            if isinstance(entry.value, Mapping):
                given = entry.value
                content = given.get("body")
                keys = ("from", "when", "doc", "source", "body")
                if content is None and any(self.is_head(e.key) for e in given):
                    self.problem(
                        "XG201", f"{what} cannot be this", given.span,
                        expected="a list of ops and blocks", received="a mapping",
                        hint=f"put it in a list: '- {given.entries[0].key}: …', "
                        f"or [{{{given.entries[0].key}: …}}]",
                    )  # fmt: skip
                    continue
                self.mapping(given, what, keys)
                if content is None:
                    self.missing(
                        given, "body", f"{what} has no body", entry.key_span,
                        expected="body: a list of ops and blocks",
                    )  # fmt: skip
            if name is None or content is None:
                continue
            scope = _Scope(known)
            condition = given.get("when") if given else None
            doc, source = self.prose(given) if given else (None, None)
            result.append(
                Section(
                    block=Block(
                        name=name,
                        body=self.body(content, scope, what, ("input",)),
                        doc=doc,
                        source=source,
                        span=entry.key_span,
                    ),
                    sources=self.references(given.get("from"), None) if given else (),
                    condition=self.value(condition, known) if condition is not None else None,
                )
            )
        if not node.entries:
            self.problem("XG203", "the graph is empty", node.span, expected="at least one section")
        return tuple(result)

    def outputs(
        self, node: Yaml | None, sections: tuple[Section, ...], known: frozenset[str]
    ) -> tuple[OutputSpec, ...]:
        result = []
        for entry in self.entries(node, "outputs"):
            self.checked_name(entry.key, entry.key_span, "an output's name")
            weight = condition = None
            source = entry.value
            what = f"output '{printable(entry.key)}'"
            if isinstance(source, Mapping):
                keys = ("from", "loss_weight", "when", "doc", "source")
                given = source
                self.mapping(given, what, keys)
                self.prose(given)
                if (weight_node := given.get("loss_weight")) is not None:
                    weight = self.value(weight_node, known)
                if (condition_node := given.get("when")) is not None:
                    condition = self.value(condition_node, known)
                if (inner := given.get("from")) is None:
                    self.missing(
                        given, "from", f"{what} has no 'from'", entry.key_span,
                        expected="from: the name of a node or section",
                    )  # fmt: skip
                    continue
                source = inner
            references = self.references(source, None, what)
            if len(references) == 1:
                result.append(
                    OutputSpec(
                        name=entry.key,
                        source=references[0],
                        loss_weight=weight,
                        condition=condition,
                        span=entry.key_span,
                    )
                )
            elif references:
                self.problem(
                    "XG201", f"{what} has several sources", source.span,
                    expected="one name", received=f"{len(references)} names",
                    hint="merge them first, with concat or add",
                )  # fmt: skip
        return tuple(result)

    def no_recursion(self, blocks: dict[str, Block]) -> None:
        """A block that reaches itself through calls would never end."""
        found = {
            name: [call for call in _calls(block.body) if call[0].target in blocks]
            for name, block in blocks.items()
        }
        calls = {name: {call.target: call for call, _ in each} for name, each in found.items()}
        try:
            order = tuple(TopologicalSorter(calls).static_order())
        except CycleError as error:
            cycle = list(reversed(error.args[1]))  # callers before what they call
            rank = {name: position for position, name in enumerate(blocks)}
            start = min(range(len(cycle) - 1), key=lambda i: rank[cycle[i]])
            cycle = [*cycle[start:-1], *cycle[:start], cycle[start]]
            names = " → ".join(cycle if len(cycle) < 10 else [*cycle[:8], "…", cycle[0]])
            self.problem(
                "XG209",
                f"block '{cycle[0]}' contains itself: {names}",
                calls[cycle[-2]][cycle[-1]].span,
                hint="a block is expanded where it is called, so it cannot call itself; use repeat",
            )
            return
        heights = dict.fromkeys(blocks, 1)  # levels of blocks and structures
        for name in order:  # what is called comes before its callers
            for call, depth in found[name]:
                heights[name] = max(heights[name], depth + heights[call.target])
                if heights[name] > _NESTING_LIMIT:
                    self.problem(
                        "XG507",
                        f"blocks and structures are nested deeper than {_NESTING_LIMIT} levels",
                        call.span,
                        hint="use repeat instead of blocks within blocks",
                    )
                    return

    # -- items ------------------------------------------------------------------------------------

    def explicit_names(self, node: Yaml, taken: dict[str, Span]) -> None:
        """Collect the names that the author gave within a scope; the arms of an if may share."""
        used: dict[str, list[tuple[_Arms, Span]]] = {}
        pending: list[tuple[Yaml, _Arms]] = [(node, {})]
        while pending:
            current, arms = pending.pop()
            inner: list[tuple[Yaml, _Arms]] = []
            if isinstance(current, Sequence):
                inner = [(item, arms) for item in current.items]
            elif isinstance(current, Mapping):
                given = current.get("name")
                if given is not None:
                    self.explicit_name(given, arms, used, taken)
                for entry in current:
                    if entry.key in ("body", "residual", "shortcut"):
                        inner.append((entry.value, arms))
                    elif entry.key in ("then", "else"):
                        inner.append((entry.value, {**arms, id(current): entry.key}))
                    elif entry.key == "branches":
                        parts: tuple[Yaml, ...] = ()
                        if isinstance(entry.value, Sequence):
                            parts = entry.value.items
                        elif isinstance(entry.value, Mapping):
                            parts = tuple(e.value for e in entry.value)
                        inner += [(part, arms) for part in parts]
                    elif entry.key == "merge" and isinstance(entry.value, Mapping):
                        inner.append((entry.value, arms))
            pending += reversed(inner)

    def explicit_name(
        self,
        given: Yaml,
        arms: _Arms,
        used: dict[str, list[tuple[_Arms, Span]]],
        taken: dict[str, Span],
    ) -> None:
        name = self.name(given, "a node's name")
        if name is None:
            return
        places = used.setdefault(name, [])
        for others, span in places:
            if all(others.get(condition, arm) == arm for condition, arm in arms.items()):
                self.problem(
                    "XG208", f"the name '{name}' is taken", given.span,
                    hint="names are unique within a block or section",
                    notes=(("first used here", span),),
                )  # fmt: skip
                return
        places.append((arms, given.span))
        taken.setdefault(name, given.span)

    def items(
        self, node: Yaml, scope: _Scope, known: frozenset[str], what: str
    ) -> tuple[Item, ...]:
        """The items of a list; a list within the list is part of the same sequence."""
        if isinstance(node, Mapping) or (isinstance(node, Scalar) and isinstance(node.value, str)):
            return self.item(node, scope, known)
        if not isinstance(node, Sequence):
            self.wrong_kind(node, what, "a list of ops and blocks")
            return ()
        if not node.items and what in _NEVER_EMPTY:
            self.problem("XG203", f"{what} is empty", node.span, expected="at least one item")
        result: list[Item] = []
        for item in node.items:
            if isinstance(item, Sequence):
                result += self.items(item, scope, known, what)
            else:
                result += self.item(item, scope, known)
        return tuple(result)

    def item(self, node: Yaml, scope: _Scope, known: frozenset[str]) -> tuple[Item, ...]:
        if isinstance(node, Scalar):
            if not isinstance(node.value, str):
                self.wrong_kind(node, "an item", "an op, a block, or a structure such as repeat")
                return ()
            return self.wrap(self.call(node.value, node.span, None, None, scope, known), None)
        assert isinstance(node, Mapping)
        structures = [entry.key for entry in node if entry.key in STRUCTURES]
        if structures:
            return self.structure(structures[0], node, scope, known)
        heads = [entry for entry in node if entry.key not in MODIFIERS]
        if not heads:
            self.problem(
                "XG207", "this item names no op, block or structure", node.span,
                expected="an item such as {conv: {filters: 64}}",
                received="only " + ", ".join(node.keys()) if node.entries else "an empty mapping",
            )  # fmt: skip
            return ()
        for extra in heads[1:]:
            self.problem(
                "XG207",
                f"this item says both '{printable(heads[0].key)}' and '{printable(extra.key)}'",
                extra.key_span,
                expected="one op, block or structure an item, beside " + ", ".join(MODIFIERS),
                hint=suggest(extra.key, MODIFIERS) or self.advice(heads[0].key, extra.key),
            )
        head = heads[0]
        call = self.call(head.key, head.key_span, head.value, node, scope, known)
        return self.wrap(call, node.get("when"), known)

    def is_head(self, key: str) -> bool:
        return key in ops.names() or key in self.block_parameters or key in STRUCTURES

    def advice(self, head: str, extra: str) -> str:
        """How two keys of one item may have been meant."""
        if self.is_head(extra):
            return "make two items of them, each with its own '-' or braces"
        return f"if '{extra}' belongs to '{head}', write {{{head}: {{{extra}: …}}}}"

    def wrap(
        self, item: Item | None, condition: Yaml | None, known: frozenset[str] = frozenset()
    ) -> tuple[Item, ...]:
        """The item, conditional when it has a `when`."""
        if item is None:
            return ()
        if condition is None:
            return (item,)
        value = self.value(condition, known)
        return (Conditional(condition=value, then=(item,), span=item.span),)

    def call(
        self,
        target: str,
        span: Span,
        value: Yaml | None,
        node: Mapping | None,
        scope: _Scope,
        known: frozenset[str],
        default_name: str | None = None,
    ) -> Call | None:
        if target not in ops.names() and target not in self.block_parameters:
            self.problem(
                "XG206",
                f"there is no op or block called '{printable(target)}'",
                span,
                expected="an op (`xgraph list --ops`) or a block of this spec",
                hint=words.op_hint(target, [*ops.names(), *STRUCTURES], self.block_parameters),
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
            sources=self.references(node.get("from"), scope) if node else (),
            doc=self.prose(node)[0] if node else None,
            span=span,
        )

    def arguments(self, target: str, value: Yaml, known: frozenset[str]) -> tuple[Argument, ...]:
        if isinstance(value, Scalar) and value.value is None and not value.quoted and _empty(value):
            return ()
        accepted = self.accepted(target)
        if not isinstance(value, Mapping):
            if not accepted:
                self.problem(
                    "XG405", f"'{target}' takes no arguments", value.span,
                    received=describe(value), hint=f"write '{target}' alone, or {{{target}: }}",
                )  # fmt: skip
                return ()
            return (Argument(accepted[0], self.value(value, known), value.span),)
        result = []
        kind = "op" if target in ops.names() else "block"
        for entry in value:
            if entry.key not in accepted:
                self.problem(
                    "XG401" if kind == "op" else "XG405",
                    f"{kind} '{target}' has no {'attribute' if kind == 'op' else 'parameter'} "
                    f"'{printable(entry.key)}'",
                    entry.key_span,
                    expected=one_of(accepted, "no arguments"),
                    hint=f"'{entry.key}' stands beside '{target}': {{{target}: …, {entry.key}: …}}"
                    if entry.key in MODIFIERS
                    else words.attribute_hint(target, entry.key, accepted)
                    if kind == "op"
                    else suggest(entry.key, accepted),
                )
                continue
            result.append(Argument(entry.key, self.value(entry.value, known), entry.key_span))
        return tuple(result)

    def accepted(self, target: str) -> tuple[str, ...]:
        """Attributes of an op or parameters of a block, in order."""
        if target in self.block_parameters:
            return self.block_parameters[target][0]
        return tuple(field.name for field in fields(ops.get(target)))

    def structure(
        self, head: str, node: Mapping, scope: _Scope, known: frozenset[str]
    ) -> tuple[Item, ...]:
        allowed = (*STRUCTURES[head], "from", "when", "doc", "source") + (
            ("name",) if head in ("residual", "branches") else ()
        )
        for entry in node:
            if entry.key not in allowed:
                inside = self.is_head(entry.key) and "body" in allowed
                self.problem(
                    "XG202",
                    f"'{head}' has no key '{printable(entry.key)}'",
                    entry.key_span,
                    expected=one_of(allowed),
                    hint=f"put it in the body: [{{{entry.key}: …}}]"
                    if inside
                    else self.misspelled(node, entry.key, allowed),
                )
        self.prose(node)
        build: dict[str, Callable[[Mapping, _Scope, frozenset[str]], Item | None]] = {
            "repeat": self.repeat,
            "for": self.iteration,
            "residual": self.residual,
            "branches": self.branches,
            "if": self.conditional,
        }
        return self.wrap(build[head](node, scope, known), node.get("when"), known)

    def repeat(self, node: Mapping, scope: _Scope, known: frozenset[str]) -> Item | None:
        count, body = node.get("repeat"), node.get("body")
        if count is None or body is None:
            self.missing(node, "body", "a repeat needs a body", expected="{repeat: 3, body: [...]}")
            return None
        index_node = node.get("index")
        index = self.name(index_node, "an index") if index_node is not None else None
        if index in known and index_node is not None:
            self.problem(
                "XG208", f"the name '{index}' is taken by a parameter", index_node.span,
                hint="give the index another name",
            )  # fmt: skip
        inner = known | {index} if index else known
        return Loop(
            count=self.value(count, known),
            index=index,
            places={index: index_node.span} if index and index_node is not None else {},
            body=self.items(body, scope, inner, "the body of a repeat"),
            sources=self.references(node.get("from"), scope),
            span=node.span,
        )

    def iteration(self, node: Mapping, scope: _Scope, known: frozenset[str]) -> Item | None:
        head, body = node.get("for"), node.get("body")
        if not isinstance(head, Mapping) or not head.entries or body is None:
            self.missing(
                node, "body", "a for needs variables with their lists, and a body",
                expected="{for: {filters: [64, 128]}, body: [...]}",
            )  # fmt: skip
            return None
        variables = []
        for entry in head:
            name = self.checked_name(entry.key, entry.key_span, "a variable's name")
            if name is not None and name in known:
                self.problem(
                    "XG208", f"the name '{name}' is taken by a parameter", entry.key_span,
                    hint="give the variable another name",
                )  # fmt: skip
            elif name is not None:
                variables.append((name, self.value(entry.value, known)))
        inner = known | {name for name, _ in variables}
        return Loop(
            variables=tuple(variables),
            places={entry.key: entry.key_span for entry in head},
            body=self.items(body, scope, inner, "the body of a for"),
            sources=self.references(node.get("from"), scope),
            span=node.span,
        )

    def merge(
        self, node: Mapping, default: str | None, scope: _Scope, known: frozenset[str]
    ) -> Call | None:
        given = node.get("merge")
        named = node.get("name")
        if given is None and default is None:
            self.missing(
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
                self.problem(
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
            self.problem(
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

    def residual(self, node: Mapping, scope: _Scope, known: frozenset[str]) -> Item | None:
        main, shortcut = node.get("residual"), node.get("shortcut")
        assert main is not None
        paths = (
            self.items(main, scope, known, "the main path of a residual"),
            self.items(shortcut, scope, known, "a shortcut") if shortcut is not None else (),
        )
        merge = self.merge(node, "add", scope, known)
        if merge is None:
            return None
        return Split(
            paths=paths,
            labels=(None, "shortcut"),
            conditions=(None, None),
            places=(main.span, shortcut.span if shortcut is not None else node.span),
            merge=merge,
            residual=True,
            sources=self.references(node.get("from"), scope),
            span=node.span,
        )

    def branches(self, node: Mapping, scope: _Scope, known: frozenset[str]) -> Item | None:
        given = node.get("branches")
        labels: list[str | None] = []
        bodies: list[Yaml] = []
        places: list[Span] = []
        if isinstance(given, Mapping):
            for entry in given:
                labels.append(self.checked_name(entry.key, entry.key_span, "a branch's name"))
                bodies.append(entry.value)
                places.append(entry.key_span)
        elif isinstance(given, Sequence):
            labels, bodies = [None] * len(given.items), list(given.items)
            places = [body.span for body in bodies]
        if not bodies:
            self.wrong_kind(
                given or node, "branches", "a list of branches, or a mapping of named ones"
            )
            return None
        paths, conditions, around = [], [], scope.branch
        for label, body in zip(labels, bodies, strict=True):
            scope.branch = label or around
            content, condition = self.branch(body, known)
            items = () if _empty(content) else self.items(content, scope, known, "a branch")
            paths.append(items)
            conditions.append(condition)
        scope.branch = around
        merge = self.merge(node, None, scope, known)
        if merge is None:
            return None
        return Split(
            paths=tuple(paths),
            labels=tuple(labels),
            conditions=tuple(conditions),
            places=tuple(places),
            merge=merge,
            sources=self.references(node.get("from"), scope),
            span=node.span,
        )

    def branch(self, node: Yaml, known: frozenset[str]) -> tuple[Yaml, Value | None]:
        """The body of a branch, and whether it is there at all: `{body: […], when: …}`."""
        if not isinstance(node, Mapping) or any(self.is_head(entry.key) for entry in node):
            return node, None
        body, condition = node.get("body"), node.get("when")
        if body is None:
            return node, None
        self.mapping(node, "a branch", ("body", "when", "doc", "source"))
        self.prose(node)
        return body, self.value(condition, known) if condition is not None else None

    def conditional(self, node: Mapping, scope: _Scope, known: frozenset[str]) -> Item | None:
        condition, then, otherwise = node.get("if"), node.get("then"), node.get("else")
        if condition is None or then is None:
            self.missing(
                node, "then", "an if needs a then",
                expected="{if: $condition, then: [...], else: [...]}",
            )  # fmt: skip
            return None
        return Conditional(
            condition=self.value(condition, known),
            then=self.items(then, scope, known, "a then"),
            otherwise=self.items(otherwise, scope, known, "an else") if otherwise else (),
            sources=self.references(node.get("from"), scope),
            span=node.span,
        )

    # -- small parts ----------------------------------------------------------------------------

    def references(
        self, node: Yaml | None, scope: _Scope | None, what: str = "from"
    ) -> tuple[Reference, ...]:
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
        if scope is not None:
            scope.references += result
        return tuple(result)

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
        assert isinstance(node.value, str)
        try:
            expression = expressions.parse(node.value, node.span)
        except SpecError as error:
            for diagnostic in error.diagnostics:
                self.report(diagnostic)
            return None
        for name, span in expressions.mentions(expression).items():
            if name in known:
                continue
            hint = suggest(name, sorted(known)) or f"add '{name}' to params"
            if name in later:
                hint = f"a parameter may use those above it, and '{name}' is not"
            self.problem(
                "XG302",
                f"there is no parameter '{name}' here",
                span,
                expected=one_of(sorted(known), "no parameters"),
                hint=hint,
            )
        return expression

    def name(self, node: Yaml | None, what: str) -> str | None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            if node is not None:
                self.wrong_kind(node, what, _NAME_RULE)
            return None
        return self.checked_name(node.value, node.span, what)

    def checked_name(self, name: str, span: Span, what: str) -> str | None:
        if _NAME.match(name) and len(name) <= _NAME_LIMIT and name not in _RESERVED:
            return name
        reserved = name in _RESERVED
        plain = re.sub(r"_+", "_", re.sub(r"[^a-z0-9]+", "_", name.lower())).strip("_")[
            :_NAME_LIMIT
        ]
        fits = bool(_NAME.match(plain)) and plain not in _RESERVED
        self.problem(
            "XG204",
            f"{what} cannot be '{printable(name)}'" + (", a reserved word" if reserved else ""),
            span,
            expected=f"{_NAME_RULE}, at most {_NAME_LIMIT} characters",
            hint=f"'{plain}' would do" if fits else None,
        )  # fmt: skip
        return None

    def text(self, node: Yaml | None, what: str) -> str | None:
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
        if node is None or _empty(node):
            return ()
        if not isinstance(node, Mapping):
            self.wrong_kind(node, what, _EXAMPLES[what])
            return ()
        return node.entries

    def mapping(
        self, node: Yaml, what: str, allowed: tuple[str, ...], example: str = "a mapping"
    ) -> Mapping | None:
        """`node` as a mapping with no keys but the allowed ones; unknown keys are reported."""
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
                    hint=self.misspelled(node, entry.key, allowed),
                )
        return node

    def misspelled(self, node: Mapping, key: str, allowed: tuple[str, ...]) -> str | None:
        """A hint at the key that was meant, which then is not reported as missing."""
        if key == "<<":
            return "there are no merge keys in YAML 1.2; write the entries out, or use a block"
        meant = closest(key, allowed)
        if meant is None:
            return None
        self.meant.add((node.span, meant))
        return f"did you mean '{meant}'?"

    def missing(
        self, node: Mapping, key: str, message: str, span: Span | None = None, **details: Any
    ) -> None:
        if (node.span, key) not in self.meant:
            self.problem("XG203", message, span or node.span, **details)

    def wrong_kind(self, node: Yaml, what: str, expected: str) -> None:
        self.problem(
            "XG201", f"{what} cannot be this", node.span, expected=expected, received=describe(node)
        )


#: Bodies in which nothing would be a mistake; an empty branch or arm is the identity.
_NEVER_EMPTY = ("the body of a repeat", "the body of a for")
_EXAMPLES = {
    "params": "a mapping such as {classes: 1000}",
    "defaults": "a mapping such as {conv: {bias: false}}",
    "blocks": "a mapping such as {conv_bn: {params: {filters}, body: [...]}}",
    "outputs": "a mapping such as {logits: head}",
    "name": "name: my_network",
    "input": "input: {shape: [299, 299, 3]}",
    "graph": "graph: sections, or a list of ops and blocks",
}


def _empty(node: Yaml) -> bool:
    """Whether nothing stands there: `{filters}` or `relu:`, but not an explicit null."""
    if not isinstance(node, Scalar) or node.value is not None:
        return False
    span = node.span
    text = span.source.line(span.line)[span.column - 1 :]
    return not text.startswith(("null", "Null", "NULL", "~"))


def _calls(items: tuple[Item, ...], depth: int = 1) -> Iterator[tuple[Call, int]]:
    """Every call in a body, with how many structures it is within, the body included."""
    for item in items:
        inner: tuple[Item, ...] = ()
        if isinstance(item, Call):
            yield item, depth
        elif isinstance(item, Conditional):
            inner = (*item.then, *item.otherwise)
        elif isinstance(item, Loop):
            inner = item.body
        elif isinstance(item, Split):
            inner = tuple(part for path in item.paths for part in path)
        yield from _calls(inner, depth + 1)
