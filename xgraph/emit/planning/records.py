"""Walking what elaboration recorded."""

from __future__ import annotations

from collections.abc import Iterator

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


def flat(records: list[Record]) -> Iterator[Record]:
    """Records of one body with those inside its loops, conditions and splits, not in blocks."""
    for record in records:
        yield record
        if isinstance(record, ConditionRecord):
            yield from flat(record.records)
        elif isinstance(record, LoopRecord):
            for iteration in record.iterations:
                yield from flat(iteration)
        elif isinstance(record, SplitRecord):
            for path in record.paths:
                yield from flat(path or [])
        elif isinstance(record, ParallelRecord):
            yield from flat([record.turns])


def block_calls(records: list[Record], is_made: bool = False) -> Iterator[tuple[CallRecord, bool]]:
    """Every use of a block, nested ones included, and whether it has the weights of another."""
    for record in flat(records):
        if isinstance(record, CallRecord):
            again = is_made or record.instance.owner is not None
            yield record, again
            yield from block_calls(record.instance.records, again)


def node_indices(records: list[Record]) -> Iterator[int]:
    """Every node of one body, those inside of blocks included."""
    for record in flat(records):
        if isinstance(record, CallRecord):
            yield from range(record.instance.first, record.instance.last)
        elif isinstance(record, OpRecord | ParallelRecord) or (
            isinstance(record, SplitRecord) and record.merged
        ):
            yield record.node


def outer_nodes(elaborated: Elaborated) -> dict[str, int]:
    """What sections may refer to: themselves and what is in them, by path; last in a loop wins."""
    found = {"input": 0}

    def visit(records: list[Record], prefix: str) -> None:
        for record in flat(records):
            if isinstance(record, OpRecord):
                name, node = record.item.name, record.node
                full = elaborated.graph.nodes[node].name
            elif isinstance(record, CallRecord):
                name, node, full = record.item.name, record.instance.output, record.instance.path
            elif isinstance(record, ParallelRecord):
                name, node = record.item.merge.name, record.node
                full = elaborated.graph.nodes[node].name
            elif isinstance(record, SplitRecord):
                name, node = record.item.merge.name, record.node
                full = elaborated.graph.nodes[node].name if record.merged else prefix + name
            else:
                continue
            found[prefix + name] = found[full] = node
            if isinstance(record, CallRecord):
                for result, node in record.instance.results.items():
                    found[f"{prefix}{name}.{result}"] = found[f"{full}.{result}"] = node

    for section in elaborated.sections:
        name = section.section.name
        if name:
            found[name] = section.instance.output
        visit(section.instance.records, f"{name}." if name else "")
    return found
