"""What is different between two specs, as text and as data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from xgraph.diagnostics import counted
from xgraph.passes.differ import Difference, Group
from xgraph.report.summary import totals_json
from xgraph.report.table import table

#: How many nodes of a group are named.
_NAMED = 2
#: How many lines a part has at most.
_LINES = 20
#: What stands before a line: of the first spec, of the second, of both.
GONE, NEW, OTHER, PLAIN = "-", "+", "~", " "
Line = tuple[str, str]


def diff_json(found: Difference) -> dict[str, Any]:
    """Everything, every node by name."""
    return {
        "equal": found.equal,
        "names": [found.one.name, found.other.name],
        "inputs": [list(side.types[0].shape) for side in (found.one, found.other)],
        "totals": [totals_json(totals) for totals in found.totals],
        "parameters": {name: list(values) for name, values in found.settings.items()},
        **{
            kind: [_group_json(group) for group in getattr(found, kind)]
            for kind in ("removed", "added", "replaced", "changed", "rewired", "resized")
        },
        "renamed": found.renamed,
        "same": found.same,
    }


def _group_json(group: Group) -> dict[str, Any]:
    changes = {name: [_plain(value) for value in pair] for name, pair in group.changes.items()}
    return {**vars(group), "changes": changes}


def _plain(value: Any) -> Any:
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else value


def diff_lines(found: Difference) -> Iterator[Line]:
    """Lines for people, each with the sign of what it tells of."""
    yield from ((PLAIN, line) for line in _totals(found).split("\n"))
    if found.equal:
        yield PLAIN, ""
        called = ", but for names of nodes" if found.renamed else ""
        yield PLAIN, f"The two are the same network{called}."
        return
    settings = (
        (OTHER, f"{name}: {_shown(before)} → {_shown(after)}")
        for name, (before, after) in found.settings.items()
    )
    yield from _part("Parameters of the specs", settings)
    for title, sign, groups in (
        ("Only in the first", GONE, found.removed),
        ("Only in the second", NEW, found.added),
        ("Another op in the same place", OTHER, found.replaced),
        ("Other attributes", OTHER, found.changed),
        ("Other inputs", OTHER, found.rewired),
        ("Other shapes", OTHER, found.resized),
    ):
        yield from _part(title, ((sign, _told(group)) for group in groups))
    yield PLAIN, ""
    yield PLAIN, f"{counted(found.same, 'node')} {'is' if found.same == 1 else 'are'} the same."


def _told(group: Group) -> str:
    """A line of what differs, where, and what it comes to."""
    changes = dict(group.changes)
    if "inputs" in changes:
        before, after = changes["inputs"]
        return f"{group.nodes[0]} takes {', '.join(after)}, not {', '.join(before)}"
    if "shape" in changes:
        what = " → ".join(map(_size, changes["shape"]))
    elif "input" in changes:
        what = " → ".join(", ".join(map(_size, shapes)) for shapes in changes["input"])
        what = f"input {what}"
    elif "op" in changes:
        what = " → ".join(changes["op"])
    else:
        told = (f"{name} {_shown(a)} → {_shown(b)}" for name, (a, b) in changes.items())
        what = f"{group.op}{': ' if changes else ''}{', '.join(told)}"
    return f"{what} at {_where(group)}{_cost(group)}"


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _totals(found: Difference) -> str:
    one, other = found.totals
    counts: tuple[tuple[str, int, int], ...] = (
        ("nodes", len(found.one.graph.nodes) - 1, len(found.other.graph.nodes) - 1),
        ("parameters", one.parameters, other.parameters),
        ("trainable", one.trainable, other.trainable),
        ("MACs", one.macs, other.macs),
    )
    sizes = [str(side.types[0]) for side in (found.one, found.other)]
    rows = [("input", *sizes, "" if sizes[0] == sizes[1] else "other")]
    for name, before, after in counts:
        rows.append((name, f"{before:,}", f"{after:,}", _signed(after - before)))
    return table(("", found.one.name, found.other.name, "difference"), rows, "<>>>")


def _part(title: str, lines: Iterable[Line]) -> Iterator[Line]:
    """A heading and its lines, if there are any; of very many, the first."""
    told = list(lines)
    if told:
        yield PLAIN, ""
        yield PLAIN, f"{title}:"
        yield from told[:_LINES]
        if len(told) > _LINES:
            yield PLAIN, f"… and {len(told) - _LINES} more; --json has them all"


def _where(group: Group) -> str:
    """How many nodes a line is about, and the first of them."""
    if len(group.nodes) == 1:
        return group.nodes[0]
    more = len(group.nodes) - _NAMED
    named = ", ".join(group.nodes[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(group.nodes)} nodes ({named})"


def _cost(group: Group) -> str:
    told = [
        f"{_signed(count)} {what}"
        for count, what in ((group.parameters, "parameters"), (group.macs, "MACs"))
        if count
    ]
    return f": {', '.join(told)}" if told else ""


def _signed(count: int) -> str:
    return f"{count:+,}".replace("-", "−") if count else "0"


def _shown(value: Any) -> str:
    """A value as a spec would say it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(own)}" for key, own in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else str(value)
