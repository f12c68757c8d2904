"""Branches that do nothing, though items stand in them: all of these are switched off.

Such a branch is the identity, so that an `add` gives x + x. That is legal, and seldom meant: who
wants the identity writes an empty branch, and who wants no branch switches the branch off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xgraph.diagnostics import Diagnostic
from xgraph.ir.elaborated import (
    CallRecord,
    ConditionRecord,
    Elaborated,
    LoopRecord,
    OpRecord,
    ParallelRecord,
    Record,
    SplitRecord,
)


def idle_branches(elaborated: Elaborated) -> list[Diagnostic]:
    """A warning for each branch, or main path of a residual, that does nothing in some use (XG905).

    A residual's shortcut may do nothing, for without one it is the identity.
    """
    found: dict[tuple[int, int], Diagnostic] = {}
    for section in elaborated.sections:
        for split in _splits(section.instance.records):
            for position in split.present:
                path = split.paths[position]
                written = split.item.paths[position]
                if path is None or not written or _does_something(path):
                    continue
                if not (split.item.residual and position == 1):
                    found.setdefault((id(split.item), position), _warning(split, position))
    return list(found.values())


def _warning(split: SplitRecord, position: int) -> Diagnostic:
    if split.item.residual:
        what = "the main path of a residual"
        hint = "to leave out the whole residual, put 'when' beside it"
    else:
        label = split.item.labels[position]
        what = f"the branch '{label}'" if label else "a branch"
        hint = "to leave out the whole branch, write {body: […], when: …} for it"
    return Diagnostic(
        "XG905",
        f"{what} is the identity now, for all of its items are switched off",
        split.item.places[position],
        hint=hint + "; if the identity is meant, say so with the op 'identity'",
        severity="warning",
    )


def _splits(records: Iterable[Record]) -> Iterator[SplitRecord]:
    """Every split that took part, those within blocks included."""
    for record in records:
        if isinstance(record, SplitRecord):
            yield record
        for part in _inside(record):
            yield from _splits(part)


def _does_something(records: Iterable[Record]) -> bool:
    """Whether a node comes out of any of these."""
    return any(
        isinstance(record, OpRecord | ParallelRecord)
        or (isinstance(record, SplitRecord) and record.merged)
        or any(_does_something(part) for part in _inside(record))
        for record in records
    )


def _inside(record: Record) -> list[list[Record]]:
    """The bodies that a record holds."""
    if isinstance(record, CallRecord):
        return [record.instance.records]
    if isinstance(record, ConditionRecord):
        return [record.records]
    if isinstance(record, LoopRecord):
        return record.iterations
    if isinstance(record, ParallelRecord):
        return record.turns.iterations
    if isinstance(record, SplitRecord):
        return [path for path in record.paths if path is not None]
    return []
