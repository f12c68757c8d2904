"""Items by name: a block or section of a spec that says what is otherwise in the one it is laid on.

`{items: {act: elu, pool: null}}` in place of a block keeps the block as it is, but for the items
of these names. Like all that `extends` does, this works on YAML trees, before anything is
interpreted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xgraph.diagnostics import Diagnostic, Span, SpecError, one_of, printable, suggest
from xgraph.ir.document import Entry, Mapping, Scalar, Sequence, Yaml, describe
from xgraph.spec.loading import MAX_DEPTH, MAX_NODES
from xgraph.spec.naming import ARMS, BODIES, LOOPS

#: Structures that have no name.
_NAMELESS = (*LOOPS, "if")
#: Levels of lists and mappings around the body of a block or section.
_OUTSIDE = 3


def is_partial(node: Yaml) -> bool:
    """Whether a block or section says `items`, and so not what it is but what is changed."""
    return isinstance(node, Mapping) and node.get("items") is not None


def is_of_a_list(graph: Mapping) -> bool:
    """Whether a graph says items of one that is a list, rather than that it has a section `items`.

    A section is a list, or has a body.
    """
    items = graph.get("items")
    return graph.keys() == ("items",) and isinstance(items, Mapping) and items.get("body") is None


def completed(above: Mapping, below: Yaml | None, kind: str) -> Mapping:
    """Blocks or sections, of which those that say `items` are whole; `gone` are items left out.

    Args:
        above: what is laid over.
        below: what it is laid on, if there is anything.
        kind: "block" or "section".

    Raises:
        SpecError: XG805, what is named is not there; XG107 and XG108, it becomes too large.
    """
    if not any(is_partial(entry.value) for entry in above):
        return above
    known = {entry.key: entry for entry in below} if isinstance(below, Mapping) else {}
    problems: list[Diagnostic] = []
    entries, gone = [], []
    for entry in above:
        if isinstance(entry.value, Mapping) and is_partial(entry.value):
            what = f"{kind} '{printable(entry.key)}'"
            under = known.get(entry.key)
            if under is None:
                problems.append(
                    Diagnostic(
                        "XG805",
                        f"the extended spec has no {what}, whose items these could be",
                        entry.key_span,
                        expected=one_of(known, f"no {kind}s"),
                        hint=suggest(entry.key, known),
                    )
                )
                continue
            laid = _Laying(what, under.key_span)
            whole = laid.whole(under.value, entry.value)
            entries.append(Entry(entry.key, entry.key_span, whole))
            problems += laid.problems
            gone += laid.gone
        else:
            entries.append(entry)
    if problems:
        raise SpecError(problems)
    return Mapping(tuple(entries), above.span, tuple(gone))


def completed_graph(above: Mapping, below: Sequence) -> tuple[Sequence, tuple[Entry, ...]]:
    """A graph that is one list, with other items of some names, and those that are left out.

    Raises:
        SpecError: as of `completed`.
    """
    laid = _Laying("the graph", below.span)
    made = laid.whole(below, above)
    if laid.problems:
        raise SpecError(laid.problems)
    body = made.get("body")
    assert isinstance(body, Sequence)
    return body, tuple(laid.gone)


class _Laying:
    """Lays items over those of one body, and collects what is wrong."""

    def __init__(self, what: str, place: Span) -> None:
        self.what = what
        self.place = place
        self.problems: list[Diagnostic] = []
        self.given: dict[str, Entry] = {}
        self.names: dict[str, None] = {}  # of items that are there
        self.words: set[str] = set()  # ops and blocks of items without a name
        self.labels: set[str] = set()  # names of branches
        self.placed = 0  # values that were put in
        self.gone: list[Entry] = []  # after which nothing goes by the name of an item

    def whole(self, below: Yaml, above: Mapping) -> Mapping:
        """The block or section, with the keys and the items that `above` gives."""
        items = above.get("items")
        if not isinstance(below, Mapping):
            below = Mapping((Entry("body", below.span, below),), below.span)
        if not isinstance(items, Mapping):
            assert items is not None
            self.problem(
                "XG201", "items cannot be this", items.span,
                expected="a mapping of items by name, such as {act: elu}",
                received=describe(items),
            )  # fmt: skip
            return below
        for entry in above:
            if entry.key == "body":
                self.problem(
                    "XG202", f"{self.what} has both 'items' and 'body'", entry.key_span,
                    hint="a body replaces all items, so leave one of the two out",
                )  # fmt: skip
        self.given = {entry.key: entry for entry in items}
        kept = {entry.key: entry for entry in below}
        for entry in above:
            if entry.key not in ("items", "body"):
                kept[entry.key] = _merged(kept.get(entry.key), entry)
        if "body" in kept:
            body = kept["body"]
            kept["body"] = Entry(body.key, body.key_span, self.value(body.value, _OUTSIDE))
        self.report_unknown()
        return Mapping(tuple(kept.values()), below.span)

    def problem(self, code: str, message: str, span: Span, **details: Any) -> None:
        notes = ((f"{self.what} is here", self.place),)
        self.problems.append(Diagnostic(code, message, span, notes=notes, **details))

    def report_unknown(self) -> None:
        for name, entry in self.given.items():
            if name in self.names:
                continue
            hint = suggest(name, self.names)
            if name in self.words:
                hint = f"items are found by their 'name': {{{printable(name)}: …, name: …}} there"
            elif name in self.labels:
                hint = "this is a branch; its items are found by their 'name'"
            self.problem(
                "XG805", f"{self.what} has no item of the name '{printable(name)}'",
                entry.key_span, expected=one_of(self.names, "no items that have a name"),
                hint=hint,
            )  # fmt: skip

    def value(self, node: Yaml, level: int) -> Yaml:
        """A body, or an item in place of one; `level` counts the lists and mappings around it."""
        if isinstance(node, Sequence):
            items, made = node.items, [o for n in node.items for o in self.item(n, level + 1)]
        else:
            items, made = (node,), self.item(node, level)
            if len(made) == 1:
                return made[0]
        emptied = bool(items) and not made  # by what has just left out its last item
        return Sequence(tuple(made), self.gone[-1].key_span if emptied else node.span)

    def item(self, node: Yaml, level: int) -> list[Yaml]:
        """What an item becomes: itself, another one, several, or nothing."""
        if isinstance(node, Scalar):
            self.words.add(str(node.value))
        if not isinstance(node, Mapping):
            return [self.value(node, level)] if isinstance(node, Sequence) else [node]
        named = node.get("name")
        name = named.value if isinstance(named, Scalar) else None
        if isinstance(name, str):
            self.names[name] = None
            if name in self.given:
                return self.replacement(self.given[name], level)
        else:
            self.words.update(node.keys())
        entries = []
        for entry in node:
            value = entry.value
            if entry.key in (*BODIES, *ARMS) or (
                entry.key == "merge" and isinstance(value, Mapping)
            ):
                value = self.value(value, level + 1)
            elif entry.key == "branches":
                value = self.branches(value, level + 1)
            entries.append(Entry(entry.key, entry.key_span, value))
        return [Mapping(tuple(entries), node.span)]

    def branches(self, node: Yaml, level: int) -> Yaml:
        """Each branch is a body of its own; a loop of branches has one."""
        if isinstance(node, Sequence):
            return Sequence(tuple(self.value(one, level + 1) for one in node.items), node.span)
        if not isinstance(node, Mapping):
            return node
        loop = any(node.get(head) is not None for head in LOOPS)
        if not loop:
            self.labels.update(node.keys())
        entries = (
            Entry(entry.key, entry.key_span, self.value(entry.value, level + 1))
            if entry.key == "body" or not loop
            else entry
            for entry in node
        )
        return Mapping(tuple(entries), node.span)

    def replacement(self, entry: Entry, level: int) -> list[Yaml]:
        """What stands in place of an item: nothing, several, or one.

        One goes by the item's name, if it has none of its own and may have one.
        """
        node = entry.value
        self.placed += sum(1 for _ in _values(node))
        if self.placed > MAX_NODES:
            raise SpecError(
                Diagnostic("XG108", f"the items put in are more than {MAX_NODES:,} values",
                           entry.key_span)
            )  # fmt: skip
        if level + max(depth for depth in _values(node)) + 1 > MAX_DEPTH:
            message = f"here, it nests lists and mappings deeper than {MAX_DEPTH} levels"
            raise SpecError(Diagnostic("XG107", message, entry.key_span))
        if isinstance(node, Scalar):
            if node.value is None:
                self.gone.append(entry)
                return []
            if not isinstance(node.value, str):
                return [node]
            word = Entry(node.value, node.span, Scalar(None, node.span))
            return [_named(Mapping((word,), node.span), entry)]
        if isinstance(node, Sequence):
            self.gone.append(entry)
            return list(node.items)
        named = node.get("name")
        if named is not None or any(node.get(key) is not None for key in _NAMELESS):
            if not isinstance(named, Scalar) or named.value != entry.key:
                self.gone.append(entry)
            return [node]
        return [_named(node, entry)]


def _merged(below: Entry | None, above: Entry) -> Entry:
    """A key of a block or section: parameters are laid over by name, all else is replaced."""
    if below is None or above.key != "params" or not isinstance(below.value, Mapping):
        return above
    if not isinstance(above.value, Mapping):
        return above
    entries = {entry.key: entry for entry in (*below.value, *above.value)}
    return Entry(above.key, above.key_span, Mapping(tuple(entries.values()), above.value.span))


def _named(item: Mapping, entry: Entry) -> Mapping:
    """An item with the name that it was given for."""
    name = Entry("name", entry.key_span, Scalar(entry.key, entry.key_span))
    return Mapping((*item.entries, name), item.span)


def _values(node: Yaml, depth: int = 0) -> Iterator[int]:
    """Of each value in a tree, how many lists and mappings it is in, or is itself."""
    inner: tuple[Yaml, ...] = ()
    if isinstance(node, Sequence):
        inner = node.items
    elif isinstance(node, Mapping):
        inner = tuple(entry.value for entry in node)
    depth += not isinstance(node, Scalar)
    yield depth
    for part in inner:
        yield from _values(part, depth)
