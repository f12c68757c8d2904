"""From a YAML tree to a `Program`: the form of a spec, with every name checked.

Nothing is evaluated here. All problems of the whole file are collected and raised together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter

from xgraph import ops
from xgraph.diagnostics import SpecError, one_of, printable, suggest
from xgraph.ir.document import Entry, Mapping, Scalar, Sequence, Yaml, describe
from xgraph.ir.structure import (
    Argument,
    Block,
    Call,
    Conditional,
    Item,
    Loop,
    OutputSpec,
    Parallel,
    Parameter,
    Program,
    Reference,
    Section,
    Split,
    Value,
)
from xgraph.spec import words
from xgraph.spec.bodies import Bodies
from xgraph.spec.calls import MODIFIERS, STRUCTURES, Calls
from xgraph.spec.expressions import channels_of
from xgraph.spec.form import EXAMPLES, Form, TooManyProblems, is_empty
from xgraph.spec.items import is_partial
from xgraph.spec.naming import Naming

VERSION = 1
TOP_KEYS = (
    "xgraph", "extends", "name", "doc", "source", "recipe", "params", "input", "defaults",
    "blocks", "graph", "outputs", "sizes",
)  # fmt: skip
#: Blocks within blocks, and structures within them, go no deeper than this.
_NESTING_LIMIT = 64


def read_program(document: Yaml) -> Program:
    """Check the form of a spec and build its `Program`.

    Raises:
        SpecError: with every problem found.
    """
    reader = _Reader()
    program = None
    with contextlib.suppress(TooManyProblems):
        program = reader.program(document)
    if reader.form.problems or program is None:
        raise SpecError(reader.form.problems)
    return program


class _Reader:
    """Reads a whole spec, from the top."""

    def __init__(self) -> None:
        self.form = Form()
        self.calls = Calls(self.form)
        self.bodies = Bodies(self.form, self.calls)

    def program(self, document: Yaml) -> Program | None:
        """The whole file; None if it cannot be said what it is."""
        top = self.form.mapping(document, "a spec", TOP_KEYS)
        if top is None:
            return None
        self.version(top)
        for key in ("name", "input", "graph"):
            if top.get(key) is None:
                self.form.missing(top, key, f"the spec has no '{key}'", expected=EXAMPLES[key])
        name = self.form.name(top.get("name"), "a spec's name") if top.get("name") else None
        parameters = self.parameters(top.get("params"), frozenset())
        known = frozenset(p.name for p in parameters)
        bodies = self.block_heads(top.get("blocks"))
        defaults = self.defaults(top.get("defaults"), known, self.calls.block_parameters.keys())
        blocks = {entry.key: self.block(entry, body, known) for entry, body in bodies}
        self.no_recursion(blocks)
        sections = self.sections(top.get("graph"), known)
        outputs = self.outputs(top.get("outputs"), sections, known)
        shape = self.input_shape(top.get("input"), known)
        doc, source = self.form.prose(top)
        recipe_node = top.get("recipe")
        recipe = self.form.text(recipe_node, "recipe")
        if self.form.problems or name is None or shape is None:
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
        """The `xgraph` key, which says how the rest is meant."""
        node = top.get("xgraph")
        if node is None:
            self.form.missing(
                top,
                "xgraph",
                "the spec does not say which version of the language it is written in",
                expected=f"xgraph: {VERSION}",
                hint=f"begin the file with 'xgraph: {VERSION}'",
            )
        elif not isinstance(node, Scalar) or node.value is True or node.value != VERSION:
            self.form.problem(
                "XG205",
                "this version of the spec language is not known",
                node.span,
                expected=f"xgraph: {VERSION}",
                received=describe(node),
            )

    def input_shape(self, node: Yaml | None, known: frozenset[str]) -> Value | None:
        """Height, width and channels, not yet evaluated."""
        if node is None:
            return None
        given = self.form.mapping(node, "input", ("shape", "doc"), "{shape: [299, 299, 3]}")
        if given is None:
            return None
        self.form.text(given.get("doc"), "doc")
        shape = given.get("shape")
        if shape is None:
            self.form.missing(
                given, "shape", "the input has no shape", expected="shape: [299, 299, 3]"
            )
            return None
        return self.form.value(shape, known)

    def defaults(
        self, node: Yaml | None, known: frozenset[str], block_names: AbstractSet[str]
    ) -> dict[str, tuple[Argument, ...]]:
        """Attributes by op."""
        result: dict[str, tuple[Argument, ...]] = {}
        for entry in self.form.entries(node, "defaults"):
            if entry.key not in ops.names():
                is_block = entry.key in block_names
                self.form.problem(
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
            result[entry.key] = self.calls.arguments(entry.key, entry.value, known)
        return result

    def parameters(self, node: Yaml | None, outer: frozenset[str]) -> tuple[Parameter, ...]:
        """Parameters with their defaults, which may mention those above them and `outer`."""
        result: list[Parameter] = []
        known = set(outer)
        entries = self.form.entries(node, "params")
        later = frozenset(entry.key for entry in entries)
        for entry in entries:
            name = self.form.checked_name(entry.key, entry.key_span, "a parameter's name")
            if name is None:
                continue
            default = None
            if not is_empty(entry.value):
                default = self.form.value(entry.value, known, later)
            known.add(name)
            result.append(Parameter(name=name, default=default, span=entry.key_span))
        return tuple(result)

    def block_heads(self, node: Yaml | None) -> list[tuple[Entry, Mapping]]:
        """First look at all blocks, so that bodies can call blocks defined later."""
        heads = []
        for entry in self.form.entries(node, "blocks"):
            if entry.key in ops.names() or entry.key in STRUCTURES or entry.key in MODIFIERS:
                taken = (
                    "the name of an op" if entry.key in ops.names()
                    else "a word of the spec language"
                )  # fmt: skip
                self.form.problem(
                    "XG210",
                    f"a block may not be called '{entry.key}', which is {taken}",
                    entry.key_span,
                    hint=f"call it something else, such as '{entry.key}_block'",
                )
                continue
            self.form.checked_name(entry.key, entry.key_span, "a block's name")
            keys = ("params", "inputs", "results", "body", "doc", "source")
            what = f"block '{printable(entry.key)}'"
            if self.is_partial(entry, what):
                continue
            body = self.form.mapping(entry.value, what, keys, "{params: {…}, body: [...]}")
            if body is None:
                continue
            if body.get("body") is None:
                self.form.missing(
                    body, "body", f"{what} has no body", entry.key_span,
                    expected="body: a list of ops and blocks",
                )  # fmt: skip
                continue
            params = body.get("params")
            named = params.entries if isinstance(params, Mapping) else ()
            required = frozenset(p.key for p in named if is_empty(p.value))
            self.calls.block_parameters[entry.key] = (tuple(p.key for p in named), required)
            heads.append((entry, body))
        return heads

    def is_partial(self, entry: Entry, what: str) -> bool:
        """Whether a block or section says `items`, which is an error where nothing is extended."""
        if not is_partial(entry.value):
            return False
        self.form.problem(
            "XG805",
            f"{what} says 'items', and this spec extends none whose items they could be",
            entry.key_span,
            expected="a body, or a spec that is extended",
        )
        return True

    def block(self, entry: Entry, node: Mapping, known: frozenset[str]) -> Block:
        """A block, all names in it checked."""
        inputs = self.block_inputs(node.get("inputs"))
        counts = frozenset(map(channels_of, inputs))
        what = f"block '{printable(entry.key)}'"
        self.form.block = what
        parameters = self.parameters(node.get("params"), known | counts)
        scope = Naming(known | counts | {p.name for p in parameters})
        body = node.get("body")
        assert body is not None
        doc, source = self.form.prose(node)
        items = self.bodies.body(body, scope, what, inputs)
        results = self.results(node.get("results"), scope, what)
        self.form.block = ""
        return Block(
            name=entry.key,
            parameters=parameters,
            body=items,
            inputs=inputs,
            results=results,
            doc=doc,
            source=source,
            span=entry.key_span,
        )

    def block_inputs(self, node: Yaml | None) -> tuple[str, ...]:
        """Names of what a block is applied to; `input` if it does not say."""
        if node is None:
            return ("input",)
        if not isinstance(node, Sequence) or not node.items:
            self.form.wrong_kind(node, "inputs", "a list of names")
            return ("input",)
        names = [self.form.name(item, "an input's name") for item in node.items]
        for position, item in enumerate(node.items):
            if names[position] is not None and names[position] in names[:position]:
                self.form.problem(
                    "XG208", f"the input '{names[position]}' is here twice", item.span
                )
        return tuple(name for name in names if name is not None) or ("input",)

    def results(self, node: Yaml | None, scope: Naming, what: str) -> tuple[Reference, ...]:
        """Names of the items whose values a block gives; none if it does not say."""
        if node is None:
            return ()
        if not isinstance(node, Sequence) or not node.items:
            self.form.wrong_kind(node, "results", "a list of names of items")
            return ()
        found: dict[str, Reference] = {}
        for item in node.items:
            name = self.form.name(item, "a result's name")
            if name is None:
                continue
            if name in found:
                self.form.problem("XG208", f"the result '{name}' is here twice", item.span)
            elif name not in scope.taken:
                self.form.problem(
                    "XG211", f"nothing in {what} is called '{name}'", item.span,
                    expected=one_of(sorted(scope.taken), "no items that have a name"),
                    hint=suggest(name, sorted(scope.taken)),
                )  # fmt: skip
            found[name] = Reference(name, item.span)
        return tuple(found.values())

    def sections(self, node: Yaml | None, known: frozenset[str]) -> tuple[Section, ...]:
        """The graph: sections by name, or one without a name where it is a list."""
        if node is None:
            return ()
        if isinstance(node, Sequence):
            scope = Naming(known | {channels_of("input")})
            body = self.bodies.body(node, scope, "the graph", ("input",))
            return (Section(block=Block(name="", body=body, span=node.span)),)
        if not isinstance(node, Mapping):
            self.form.wrong_kind(
                node, "graph", "a mapping of sections, or a list of ops and blocks"
            )
            return ()
        result = []
        for entry in node:
            name = self.form.checked_name(entry.key, entry.key_span, "a section's name")
            what = f"section '{printable(entry.key)}'"
            if self.is_partial(entry, what):
                continue
            given: Mapping | None = None
            content: Yaml | None = entry.value
            if isinstance(entry.value, Mapping):
                given = entry.value
                content = given.get("body")
                keys = ("from", "when", "doc", "source", "body")
                if content is None and any(self.calls.is_head(e.key) for e in given):
                    self.form.problem(
                        "XG201", f"{what} cannot be this", given.span,
                        expected="a list of ops and blocks", received="a mapping",
                        hint=f"put it in a list: '- {given.entries[0].key}: …', "
                        f"or [{{{given.entries[0].key}: …}}]",
                    )  # fmt: skip
                    continue
                self.form.mapping(given, what, keys)
                if content is None:
                    self.form.missing(
                        given, "body", f"{what} has no body", entry.key_span,
                        expected="body: a list of ops and blocks",
                        hint="items stand in a section, in a spec that extends another: "
                        "{SECTION: {items: …}}" if entry.key == "items" else None,
                    )  # fmt: skip
            if name is None or content is None:
                continue
            scope = Naming(known | {channels_of("input")})
            condition = given.get("when") if given else None
            doc, source = self.form.prose(given) if given else (None, None)
            result.append(
                Section(
                    block=Block(
                        name=name,
                        body=self.bodies.body(content, scope, what, ("input",)),
                        doc=doc,
                        source=source,
                        span=entry.key_span,
                    ),
                    sources=self.form.references(given.get("from")) if given else (),
                    condition=self.form.value(condition, known) if condition is not None else None,
                )
            )
        if not node.entries:
            self.form.problem(
                "XG203", "the graph is empty", node.span, expected="at least one section"
            )
        return tuple(result)

    def outputs(
        self, node: Yaml | None, sections: tuple[Section, ...], known: frozenset[str]
    ) -> tuple[OutputSpec, ...]:
        """The declared outputs; none means the last node."""
        result = []
        for entry in self.form.entries(node, "outputs"):
            self.form.checked_name(entry.key, entry.key_span, "an output's name")
            weight = condition = None
            source = entry.value
            what = f"output '{printable(entry.key)}'"
            if isinstance(source, Mapping):
                keys = ("from", "loss_weight", "when", "doc", "source")
                given = source
                self.form.mapping(given, what, keys)
                self.form.prose(given)
                if (weight_node := given.get("loss_weight")) is not None:
                    weight = self.form.value(weight_node, known)
                if (condition_node := given.get("when")) is not None:
                    condition = self.form.value(condition_node, known)
                if (inner := given.get("from")) is None:
                    self.form.missing(
                        given, "from", f"{what} has no 'from'", entry.key_span,
                        expected="from: the name of a node or section",
                    )  # fmt: skip
                    continue
                source = inner
            references = self.form.references(source, what)
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
                self.form.problem(
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
            self.form.problem(
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
                    self.form.problem(
                        "XG507",
                        f"blocks and structures are nested deeper than {_NESTING_LIMIT} levels",
                        call.span,
                        hint="use repeat instead of blocks within blocks",
                    )
                    return


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
        elif isinstance(item, Parallel):
            inner = item.loop.body
        yield from _calls(inner, depth + 1)
