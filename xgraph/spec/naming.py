"""Names of nodes within a block or section."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from xgraph.diagnostics import Span
from xgraph.ir.document import Mapping, Sequence, Yaml
from xgraph.ir.structure import Call, Reference
from xgraph.spec.form import Form

#: Structures that turn; as `branches`, they make a branch of each turn.
LOOPS = ("repeat", "for")
#: Keys of structures under which bodies stand, and of an `if`, whose arms may share names.
BODIES, ARMS = ("body", "residual", "shortcut"), ("then", "else")
#: The arm of each `if` (by its identity) that a place lies in.
_Arms = dict[int, str]


class Naming:
    """Names taken in a block or section: explicit ones first, so that they always keep theirs."""

    def __init__(self, parameters: Iterable[str]) -> None:
        self.taken: dict[str, Span] = {}  # explicit names first, then automatic ones
        self.parameters = frozenset(parameters)
        self.references: list[Reference] = []
        self.numbers: dict[str, int] = {}  # the last number handed out for a base
        self.branch = ""  # the named branch around here: automatic names begin with it
        self.around: tuple[object, ...] = ()  # the loops and conditions around here
        self.calls: dict[str, tuple[Call, tuple[object, ...]]] = {}  # those so far, and theirs

    def fresh(self, base: str) -> str:
        """A name for a node that has none, such as `conv_2`, or `wide_conv` in a branch."""
        base = f"{self.branch}_{base}" if self.branch else base
        name, number = base, self.numbers.get(base, 1)
        while name in self.taken:
            number += 1
            name = f"{base}_{number}"
        self.numbers[base] = number
        return name

    @contextlib.contextmanager
    def within(self, place: bool = True) -> Iterator[None]:
        """While the items of a loop are read, or some that are not always there, if it is one."""
        outer = self.around
        self.around = (*outer, object()) if place else outer
        yield
        self.around = outer

    def sources(self, form: Form, node: Yaml | None) -> tuple[Reference, ...]:
        """What an item's `from` names, which must be in this scope."""
        found = form.references(node)
        self.references += found
        return found


def explicit_names(form: Form, node: Yaml, taken: dict[str, Span]) -> None:
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
                _explicit_name(form, given, arms, used, taken)
            for entry in current:
                if entry.key in BODIES:
                    inner.append((entry.value, arms))
                elif entry.key in ARMS:
                    inner.append((entry.value, {**arms, id(current): entry.key}))
                elif entry.key == "branches":
                    inner += [(part, arms) for part in branch_bodies(entry.value)]
                elif entry.key == "merge" and isinstance(entry.value, Mapping):
                    inner.append((entry.value, arms))
        pending += reversed(inner)


def branch_bodies(node: Yaml) -> tuple[Yaml, ...]:
    """What holds items under `branches`: each branch, or the body of a loop of them."""
    if isinstance(node, Sequence):
        return node.items
    if not isinstance(node, Mapping):
        return ()
    if any(node.get(head) is not None for head in LOOPS):
        body = node.get("body")
        return (body,) if body is not None else ()
    return tuple(entry.value for entry in node)


def _explicit_name(
    form: Form,
    given: Yaml,
    arms: _Arms,
    used: dict[str, list[tuple[_Arms, Span]]],
    taken: dict[str, Span],
) -> None:
    name = form.name(given, "a node's name")
    if name is None:
        return
    places = used.setdefault(name, [])
    for others, span in places:
        if all(others.get(condition, arm) == arm for condition, arm in arms.items()):
            form.problem(
                "XG208", f"the name '{name}' is taken", given.span,
                hint="names are unique within a block or section",
                notes=(("first used here", span),),
            )  # fmt: skip
            return
    places.append((arms, given.span))
    taken.setdefault(name, given.span)
