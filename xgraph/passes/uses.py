"""Through which uses of blocks nodes came into the graph."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from xgraph.diagnostics import Span
from xgraph.ir.elaborated import (
    CallRecord,
    ConditionRecord,
    LoopRecord,
    OpRecord,
    ParallelRecord,
    Record,
    SectionRecord,
    SplitRecord,
)

#: The path of a use of a block, and where it stands.
Use = tuple[str, Span]


def uses(sections: Iterable[SectionRecord], nodes: Iterable[int]) -> dict[int, tuple[Use, ...]]:
    """By node, the uses of blocks around it, innermost first; all in one walk over the records."""
    wanted = sorted(nodes)
    found: dict[int, tuple[Use, ...]] = {}
    pending: list[tuple[Record, tuple[Use, ...]]] = [
        (record, ()) for section in sections for record in section.instance.records
    ]
    while pending and wanted:
        record, around = pending.pop()
        if isinstance(record, OpRecord | SplitRecord | ParallelRecord):
            found[record.node] = around
        if isinstance(record, CallRecord):
            instance = record.instance
            at = bisect_left(wanted, instance.first)
            if at == len(wanted) or wanted[at] >= instance.last:
                continue
            around = ((instance.path, record.item.span), *around)
        pending += [(part, around) for part in _parts(record)]
    return {node: found.get(node, ()) for node in wanted}


def _parts(record: Record) -> list[Record]:
    """What a record holds."""
    if isinstance(record, CallRecord):
        return record.instance.records
    if isinstance(record, ConditionRecord):
        return record.records
    if isinstance(record, LoopRecord):
        return [part for iteration in record.iterations for part in iteration]
    if isinstance(record, ParallelRecord):
        return [record.turns]
    if isinstance(record, SplitRecord):
        return [part for path in record.paths for part in path or []]
    return []
