"""Bodies: lists of items, which are calls or structures that hold bodies themselves."""

from __future__ import annotations

from collections.abc import Callable

from xgraph.diagnostics import Span, one_of, printable, suggest
from xgraph.ir.document import Mapping, Scalar, Sequence, Yaml
from xgraph.ir.structure import Call, Conditional, Item, Loop, Parallel, Share, Split, Value
from xgraph.spec.calls import MODIFIERS, STRUCTURES, Calls
from xgraph.spec.expressions import Expression
from xgraph.spec.form import Form, is_empty
from xgraph.spec.naming import LOOPS, Naming, explicit_names

#: Bodies in which nothing would be a mistake; an empty branch or arm is the identity.
_NEVER_EMPTY = ("the body of a repeat", "the body of a for")


def _beside_a_loop(key: str) -> str:
    """What to do with a key that a loop of branches does not have."""
    if key == "when":
        return "put 'when' beside 'branches', or beside an item of the body"
    if key == "index":
        return "an index is for a repeat; a variable of the for may run over numbers"
    if key in LOOPS:
        return "there is one loop; put the other into its body"
    return (
        "a loop stands alone here; make it a branch beside others, as {branches: {repeat: …}, "
        "merge: …}, and call no branch 'repeat' or 'for'"
    )


class Bodies:
    """Reads bodies. `known` are always the parameters and loop variables that may be mentioned."""

    def __init__(self, form: Form, calls: Calls) -> None:
        self.form = form
        self.calls = calls

    def body(
        self, node: Yaml, scope: Naming, what: str, inputs: tuple[str, ...]
    ) -> tuple[Item, ...]:
        """The items of a scope; explicit names are taken before automatic ones are made."""
        explicit_names(self.form, node, scope.taken)
        items = self.items(node, scope, scope.parameters, what)
        if isinstance(node, Sequence) and not node.items:
            self.form.problem("XG203", f"{what} is empty", node.span, expected="at least one item")
        allowed = (
            {*scope.taken, *inputs, "input"} if inputs == ("input",) else {*scope.taken, *inputs}
        )
        for reference in scope.references:
            head = reference.path.split(".")[0]
            if what.startswith("block") and head not in allowed:
                self.form.problem(
                    "XG211",
                    f"nothing in {what} is called '{reference.path}'",
                    reference.span,
                    expected="the name of an earlier item of the same block, or "
                    + " or ".join(inputs),
                    hint=suggest(reference.path, sorted(allowed)),
                )
        return items

    def items(
        self, node: Yaml, scope: Naming, known: frozenset[str], what: str
    ) -> tuple[Item, ...]:
        """The items of a list; a list within the list is part of the same sequence."""
        if isinstance(node, Mapping) or (isinstance(node, Scalar) and isinstance(node.value, str)):
            return self.item(node, scope, known)
        if not isinstance(node, Sequence):
            self.form.wrong_kind(node, what, "a list of ops and blocks")
            return ()
        if not node.items and what in _NEVER_EMPTY:
            self.form.problem("XG203", f"{what} is empty", node.span, expected="at least one item")
        result: list[Item] = []
        for item in node.items:
            if isinstance(item, Sequence):
                result += self.items(item, scope, known, what)
            else:
                result += self.item(item, scope, known)
        return _joined(result)

    def item(self, node: Yaml, scope: Naming, known: frozenset[str]) -> tuple[Item, ...]:
        """A word, a structure, or a call with its modifiers; nothing after a problem."""
        if isinstance(node, Scalar):
            if not isinstance(node.value, str):
                self.form.wrong_kind(
                    node, "an item", "an op, a block, or a structure such as repeat"
                )
                return ()
            call = self.calls.call(node.value, node.span, None, None, scope, known)
            self.remember(call, scope)
            return self.wrap(call, None)
        assert isinstance(node, Mapping)
        structures = [entry.key for entry in node if entry.key in STRUCTURES]
        if structures:
            with scope.within(node.get("when") is not None):
                return self.structure(structures[0], node, scope, known)
        heads = [entry for entry in node if entry.key not in MODIFIERS]
        if not heads:
            self.form.problem(
                "XG207", "this item names no op, block or structure", node.span,
                expected="an item such as {conv: {filters: 64}}",
                received="only " + ", ".join(node.keys()) if node.entries else "an empty mapping",
            )  # fmt: skip
            return ()
        for extra in heads[1:]:
            self.form.problem(
                "XG207",
                f"this item says both '{printable(heads[0].key)}' and '{printable(extra.key)}'",
                extra.key_span,
                expected="one op, block or structure an item, beside " + ", ".join(MODIFIERS),
                hint=suggest(extra.key, MODIFIERS) or self.calls.advice(heads[0].key, extra.key),
            )
        head = heads[0]
        call = self.calls.call(head.key, head.key_span, head.value, node, scope, known)
        with scope.within(node.get("when") is not None):
            self.remember(call, scope)
        return self.wrap(call, node.get("when"), known)

    def remember(self, call: Call | None, scope: Naming) -> None:
        """A call that may be shared from here on."""
        if call is not None:
            scope.calls[call.name] = (call, scope.around)

    def wrap(
        self, item: Item | None, condition: Yaml | None, known: frozenset[str] = frozenset()
    ) -> tuple[Item, ...]:
        """The item, conditional when it has a `when`."""
        if item is None:
            return ()
        if condition is None:
            return (item,)
        value = self.form.value(condition, known)
        return (Conditional(condition=value, then=(item,), span=item.span),)

    def structure(
        self, head: str, node: Mapping, scope: Naming, known: frozenset[str]
    ) -> tuple[Item, ...]:
        """An item that holds bodies, with a `when` around it if it has one."""
        allowed = (*STRUCTURES[head], "from", "when", "doc", "source") + (
            ("name",) if head in ("residual", "branches") else ()
        )
        for entry in node:
            if entry.key not in allowed:
                if head == "share":
                    self.form.problem(
                        "XG202", f"'share' has no key '{printable(entry.key)}'", entry.key_span,
                        expected=one_of(allowed),
                        hint=f"{{{entry.key}: …}} is another item"
                        if self.calls.is_head(entry.key)
                        else self.form.misspelled(node, entry.key, allowed),
                    )  # fmt: skip
                    continue
                inside = self.calls.is_head(entry.key) and "body" in allowed
                self.form.problem(
                    "XG202",
                    f"'{head}' has no key '{printable(entry.key)}'",
                    entry.key_span,
                    expected=one_of(allowed),
                    hint=f"put it in the body: [{{{entry.key}: …}}]"
                    if inside
                    else self.form.misspelled(node, entry.key, allowed),
                )
        self.form.prose(node)
        build: dict[str, Callable[[Mapping, Naming, frozenset[str]], Item | None]] = {
            "repeat": self.repeat,
            "for": self.iteration,
            "residual": self.residual,
            "branches": self.branches,
            "if": self.conditional,
            "share": self.share,
        }
        return self.wrap(build[head](node, scope, known), node.get("when"), known)

    def repeat(self, node: Mapping, scope: Naming, known: frozenset[str]) -> Item | None:
        """`repeat: n`, which may name its index."""
        count, body = node.get("repeat"), node.get("body")
        if count is None or body is None:
            self.form.missing(
                node, "body", "a repeat needs a body", expected="{repeat: 3, body: [...]}"
            )
            return None
        index_node = node.get("index")
        index = self.form.name(index_node, "an index") if index_node is not None else None
        if index in known and index_node is not None:
            self.form.problem(
                "XG208", f"the name '{index}' is taken by a parameter", index_node.span,
                hint="give the index another name",
            )  # fmt: skip
        inner = known | {index} if index else known
        with scope.within():
            items = self.items(body, scope, inner, "the body of a repeat")
        return Loop(
            count=self.form.value(count, known),
            index=index,
            places={index: index_node.span} if index and index_node is not None else {},
            body=items,
            sources=scope.sources(self.form, node.get("from")),
            span=node.span,
        )

    def iteration(self, node: Mapping, scope: Naming, known: frozenset[str]) -> Item | None:
        """`for: {variable: list, …}`."""
        head, body = node.get("for"), node.get("body")
        if not isinstance(head, Mapping) or not head.entries or body is None:
            self.form.missing(
                node, "body", "a for needs variables with their lists, and a body",
                expected="{for: {filters: [64, 128]}, body: [...]}",
            )  # fmt: skip
            return None
        variables = []
        for entry in head:
            name = self.form.checked_name(entry.key, entry.key_span, "a variable's name")
            if name is not None and name in known:
                self.form.problem(
                    "XG208", f"the name '{name}' is taken by a parameter", entry.key_span,
                    hint="give the variable another name",
                )  # fmt: skip
            elif name is not None:
                variables.append((name, self.form.value(entry.value, known)))
        inner = known | {name for name, _ in variables}
        with scope.within():
            items = self.items(body, scope, inner, "the body of a for")
        return Loop(
            variables=tuple(variables),
            places={entry.key: entry.key_span for entry in head},
            body=items,
            sources=scope.sources(self.form, node.get("from")),
            span=node.span,
        )

    def residual(self, node: Mapping, scope: Naming, known: frozenset[str]) -> Item | None:
        """A body with a shortcut around it, which is the identity if it is not given.

        `skip` says whether there is a shortcut at all.
        """
        main, shortcut, skip = node.get("residual"), node.get("shortcut"), node.get("skip")
        assert main is not None
        path = self.items(main, scope, known, "the main path of a residual")
        around: tuple[Item, ...] = ()
        if shortcut is not None:
            with scope.within(skip is not None):
                around = self.items(shortcut, scope, known, "a shortcut")
        merge = self.calls.merge(node, "add", scope, known)
        if merge is None:
            return None
        return Split(
            paths=(path, around),
            labels=(None, "shortcut"),
            conditions=(None, self.form.value(skip, known) if skip is not None else None),
            places=(main.span, shortcut.span if shortcut is not None else node.span),
            merge=merge,
            residual=True,
            sources=scope.sources(self.form, node.get("from")),
            span=node.span,
        )

    def branches(self, node: Mapping, scope: Naming, known: frozenset[str]) -> Item | None:
        """Paths side by side, in a list or by name; those with a `when` may be absent."""
        given = node.get("branches")
        if isinstance(given, Mapping):
            for head in LOOPS:
                if given.get(head) is not None:
                    return self.parallel(head, given, node, scope, known)
        labels: list[str | None] = []
        bodies: list[Yaml] = []
        places: list[Span] = []
        if isinstance(given, Mapping):
            for entry in given:
                labels.append(self.form.checked_name(entry.key, entry.key_span, "a branch's name"))
                bodies.append(entry.value)
                places.append(entry.key_span)
        elif isinstance(given, Sequence):
            labels, bodies = [None] * len(given.items), list(given.items)
            places = [body.span for body in bodies]
        if not bodies:
            self.form.wrong_kind(
                given or node, "branches", "a list of branches, or a mapping of named ones"
            )
            return None
        paths, conditions, around = [], [], scope.branch
        for label, body in zip(labels, bodies, strict=True):
            scope.branch = label or around
            content, condition = self.branch(body, known)
            with scope.within(condition is not None):
                items = () if is_empty(content) else self.items(content, scope, known, "a branch")
            paths.append(items)
            conditions.append(condition)
        scope.branch = around
        merge = self.calls.merge(node, None, scope, known)
        if merge is None:
            return None
        return Split(
            paths=tuple(paths),
            labels=tuple(labels),
            conditions=tuple(conditions),
            places=tuple(places),
            merge=merge,
            sources=scope.sources(self.form, node.get("from")),
            span=node.span,
        )

    def parallel(
        self, head: str, loop: Mapping, node: Mapping, scope: Naming, known: frozenset[str]
    ) -> Item | None:
        """`branches: {repeat: n, body: …}`, or with a `for`: a branch for each turn."""
        self.form.mapping(loop, f"a {head} of branches", STRUCTURES[head], hint=_beside_a_loop)
        read = self.repeat if head == "repeat" else self.iteration
        turns = read(loop, scope, known)
        merge = self.calls.merge(node, None, scope, known)
        if not isinstance(turns, Loop) or merge is None:
            return None
        return Parallel(
            loop=turns,
            merge=merge,
            sources=scope.sources(self.form, node.get("from")),
            span=node.span,
        )

    def branch(self, node: Yaml, known: frozenset[str]) -> tuple[Yaml, Value | None]:
        """The body of a branch, and whether it is there at all: `{body: […], when: …}`."""
        if not isinstance(node, Mapping) or any(self.calls.is_head(entry.key) for entry in node):
            return node, None
        body, condition = node.get("body"), node.get("when")
        if body is None:
            return node, None
        self.form.mapping(node, "a branch", ("body", "when", "doc", "source"))
        self.form.prose(node)
        return body, self.form.value(condition, known) if condition is not None else None

    def conditional(self, node: Mapping, scope: Naming, known: frozenset[str]) -> Item | None:
        """`if: …, then: …, else: …`."""
        condition, then, otherwise = node.get("if"), node.get("then"), node.get("else")
        if condition is None or then is None:
            self.form.missing(
                node, "then", "an if needs a then",
                expected="{if: $condition, then: [...], else: [...]}",
            )  # fmt: skip
            return None
        with scope.within():
            one = self.items(then, scope, known, "a then")
        with scope.within():
            other = self.items(otherwise, scope, known, "an else") if otherwise else ()
        return Conditional(
            condition=self.form.value(condition, known),
            then=one,
            otherwise=other,
            sources=scope.sources(self.form, node.get("from")),
            span=node.span,
        )

    def share(self, node: Mapping, scope: Naming, known: frozenset[str]) -> Item | None:
        """`share: name`: what is called so once more, with the same weights."""
        given = node.get("share")
        assert given is not None
        if not isinstance(given, Scalar) or not isinstance(given.value, str):
            self.form.wrong_kind(given, "share", "the name of an item that stands before")
            return None
        first, around = scope.calls.get(given.value, (None, ()))
        if first is None:
            self.form.problem(
                "XG211",
                f"nothing before this can be shared as '{printable(given.value)}'",
                given.span,
                expected="the name of an earlier call of an op or a block, of the same body",
                hint=suggest(given.value, scope.calls)
                or (
                    "it comes later, or is a merge, which has no weights"
                    if given.value in scope.taken
                    else None
                ),
            )
            return None
        if scope.around[: len(around)] != around:
            self.form.problem(
                "XG212",
                f"there may be several of '{first.name}' here, or none",
                given.span,
                expected="something outside of loops and conditions, or in the same ones",
                hint="put both into the same body",
                notes=(("it is in a loop, or under a condition", first.span),),
            )
            return None
        named = node.get("name")
        name = named.value if isinstance(named, Scalar) else None
        if not isinstance(name, str):
            name = scope.fresh(first.name)
            scope.taken[name] = given.span
        share = Share(
            target=first.target,
            arguments=first.arguments,
            name=name,
            sources=scope.sources(self.form, node.get("from")),
            first=first.first if isinstance(first, Share) else first.name,
            span=given.span,
        )
        scope.calls[name] = (share, scope.around)
        return share


def _joined(items: list[Item]) -> tuple[Item, ...]:
    """The items, those side by side under one and the same condition as a single conditional.

    A programmer would write one `if` for them too, and need not say what flows on between the two.
    """
    groups: list[list[Item]] = []
    for item in items:
        if groups and _alike(groups[-1][0], item):
            groups[-1].append(item)
        else:
            groups.append([item])
    return tuple(map(_one, groups))


def _one(group: list[Item]) -> Item:
    """What a group does: one item, or conditionals that are alike."""
    first, *others = group
    if not others:
        return first
    alike = [item for item in group if isinstance(item, Conditional)]
    return Conditional(
        condition=alike[0].condition,
        then=tuple(inner for item in alike for inner in item.then),
        otherwise=tuple(inner for item in alike for inner in item.otherwise),
        span=first.span,
        sources=first.sources,
    )


def _alike(one: Item, other: Item) -> bool:
    """Whether two items are conditionals that, one after the other, hold in the same cases."""
    if not (isinstance(one, Conditional) and isinstance(other, Conditional)) or other.sources:
        return False
    a, b = one.condition.content, other.condition.content
    return isinstance(a, Expression) and isinstance(b, Expression) and a.text == b.text
