"""The summary of a spec: by section and block with repeats folded, or node by node."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xgraph.diagnostics import counted
from xgraph.ir.analysis import Analysis
from xgraph.ir.elaborated import (
    CallRecord,
    ConditionRecord,
    Instance,
    LoopRecord,
    OpRecord,
    ParallelRecord,
    Record,
    SplitRecord,
)
from xgraph.ir.structure import Call, Share
from xgraph.ir.types import TensorType
from xgraph.passes.cost import Cost, measure, total
from xgraph.passes.receptive import receptive_fields
from xgraph.report.conventions import conventions
from xgraph.report.table import bytes_text, table


@dataclass(frozen=True)
class Measured:
    """An analysis with the cost and receptive field of every node."""

    analysis: Analysis
    costs: list[Cost]
    fields: list[tuple[int, int]]

    @property
    def totals(self) -> Cost:
        return total(self.costs[1:])


def measured(analysis: Analysis) -> Measured:
    """Run the cost passes."""
    graph, types = analysis.graph, analysis.types
    return Measured(analysis, measure(graph, types), receptive_fields(graph, types))


def totals_json(totals: Cost) -> dict[str, int]:
    """Totals under the names that scripts rely on."""
    return {
        "parameters": totals.parameters,
        "trainable": totals.trainable,
        "non_trainable": totals.non_trainable,
        "macs": totals.macs,
        "activation_bytes": totals.activation,
    }


def summary_json(result: Measured) -> dict[str, Any]:
    """The whole summary as plain data; shapes are (height, width, channels) without the batch."""
    analysis = result.analysis
    graph, types = analysis.graph, analysis.types
    return {
        "name": analysis.name,
        "input": list(types[0].shape),
        "outputs": [
            {
                "name": output.name,
                "node": graph.nodes[output.node].name,
                "shape": list(types[output.node].shape),
                "loss_weight": output.loss_weight,
            }
            for output in graph.outputs
        ],
        "totals": totals_json(result.totals),
        "conventions": conventions(graph),
        "nodes": [
            {
                "name": node.name,
                "op": node.op.name,
                **({"shares": node.shares} if node.shares else {}),
                "shape": list(types[index].shape),
                "parameters": result.costs[index].parameters,
                "trainable": result.costs[index].trainable,
                "non_trainable": result.costs[index].non_trainable,
                "macs": result.costs[index].macs,
                "activation_bytes": result.costs[index].activation,
                "receptive_field": list(result.fields[index]),
            }
            for index, node in enumerate(graph.nodes)
            if index
        ],
    }


_HEADER = ("name", "op or block", "output", "parameters", "non-train.", "MACs", "memory", "field")
_ALIGN = "<<<>>>>>"


@dataclass(frozen=True)
class _Row:
    """Nodes first ≤ n < last as one line, which stands for `times` equal ones.

    `count` is how often the item itself is repeated; what it is inside of may be repeated too.
    """

    depth: int
    name: str
    what: str
    first: int
    last: int
    output: int
    count: int = 1
    times: int = 1


def summary_text(result: Measured, *, flat: bool = False, depth: int = 2) -> str:
    """The table for people.

    Args:
        result: what to show.
        flat: one line for every node instead of the author's structure.
        depth: levels of structure to open: 1 shows sections, 2 what they consist of.
    """
    analysis = result.analysis
    graph = analysis.graph
    if flat:
        rows = [
            _Row(0, node.name, _what(analysis, index), index, index + 1, index)
            for index, node in enumerate(graph.nodes)
            if index
        ]
    else:
        rows = list(_structure(analysis, depth))
    lines: list[tuple[str, ...]] = [("input", "", str(analysis.types[0]), "", "", "", "", "")]
    sums = _Sums(result.costs)
    lines += [_cells(row, result, sums) for row in rows]
    totals = result.totals
    lines += [
        (),
        (
            "total",
            counted(len(graph.nodes) - 1, "node"),
            "",
            f"{totals.parameters:,}",
            f"{totals.non_trainable:,}",
            f"{totals.macs:,}",
            bytes_text(totals.activation),
            "",
        ),
        ("trainable", "", "", f"{totals.trainable:,}", "", "", "", ""),
    ]
    text = [analysis.name, table(_HEADER, lines, _ALIGN)]
    for output in graph.outputs:
        weight = "" if output.loss_weight is None else f", loss weight {output.loss_weight:g}"
        text.append(
            f"output {output.name}: {graph.nodes[output.node].name}, "
            f"{analysis.types[output.node]}{weight}"
        )
    text += conventions(graph)
    text.append(
        "Parameters include the non-trainable ones. MACs and activation memory (float32) are for "
        "one example;\nMACs count convolutions, dense layers and attention. A line with × sums up "
        "all its repetitions.\nThe field is the receptive field in input pixels."
    )
    return "\n".join(text)


class _Sums:
    """Sums of costs over ranges of nodes, from running totals."""

    def __init__(self, costs: Sequence[Cost]) -> None:
        zero = [0]
        self.trainable = zero + list(itertools.accumulate(c.trainable for c in costs))
        self.non_trainable = zero + list(itertools.accumulate(c.non_trainable for c in costs))
        self.macs = zero + list(itertools.accumulate(c.macs for c in costs))
        self.activation = zero + list(itertools.accumulate(c.activation for c in costs))

    def over(self, first: int, last: int, times: int) -> Cost:
        return Cost(
            *(
                times * (column[last] - column[first])
                for column in (self.trainable, self.non_trainable, self.macs, self.activation)
            )
        )


def _cells(row: _Row, result: Measured, sums: _Sums) -> tuple[str, ...]:
    cost = sums.over(row.first, row.last, row.times)
    type_: TensorType = result.analysis.types[row.output]
    height, width = result.fields[row.output]
    times = f" ×{row.count}" if row.count > 1 else ""
    return (
        "  " * row.depth + row.name + times,
        row.what,
        str(type_),
        f"{cost.parameters:,}",
        f"{cost.non_trainable:,}",
        f"{cost.macs:,}",
        bytes_text(cost.activation),
        str(height) if height == width else f"{height}×{width}",
    )


def _structure(analysis: Analysis, depth: int) -> Iterator[_Row]:
    for record in analysis.elaborated.sections:
        instance = record.instance
        if not record.section.name:
            yield from _rows(analysis, instance.records, 0, depth, "")
            continue
        yield _Row(0, instance.path, "", instance.first, instance.last, instance.output)
        if depth > 1:
            yield from _rows(analysis, instance.records, 1, depth, "")


def _rows(
    analysis: Analysis, records: list[Record], level: int, depth: int, suffix: str
) -> Iterator[_Row]:
    """Rows for records; runs of equal iterations become one.

    `suffix` says which iteration of the loops around they are, as in the names of nodes.
    """
    for record in records:
        if isinstance(record, OpRecord):
            node = record.node
            what = _called(record.item, analysis.graph.nodes[node].op.name)
            yield _Row(level, record.item.name + suffix, what, node, node + 1, node)
        elif isinstance(record, CallRecord):
            instance: Instance = record.instance
            block = _called(record.item, instance.block.name)
            name = record.item.name + suffix
            yield _Row(level, name, block, instance.first, instance.last, instance.output)
            if level + 1 < depth:
                yield from _rows(analysis, instance.records, level + 1, depth, "")
        elif isinstance(record, ConditionRecord):
            yield from _rows(analysis, record.records, level, depth, suffix)
        elif isinstance(record, SplitRecord):
            for path in record.paths:
                yield from _rows(analysis, path or [], level, depth, suffix)
            yield from _merge(analysis, record, level, suffix)
        elif isinstance(record, LoopRecord):
            yield from _folded(analysis, record, level, depth, suffix)
        elif isinstance(record, ParallelRecord):
            yield from _folded(analysis, record.turns, level, depth, suffix)
            yield from _merge(analysis, record, level, suffix)


def _called(item: Call, what: str) -> str:
    """An op or block that is called, or an earlier call that is shared."""
    return f"share {item.first}" if isinstance(item, Share) else what


def _what(analysis: Analysis, index: int) -> str:
    """An op, and whose weights it has if they are another's."""
    node = analysis.graph.nodes[index]
    shares = node.shares and node.op.weights(tuple(analysis.types[k] for k in node.inputs))
    return f"{node.op.name} of {node.shares}" if shares else node.op.name


def _merge(
    analysis: Analysis, record: SplitRecord | ParallelRecord, level: int, suffix: str
) -> Iterator[_Row]:
    """The row of a merge, where there is one."""
    if isinstance(record, ParallelRecord) or record.merged:
        node, name = record.node, record.item.merge.name + suffix
        yield _Row(level, name, analysis.graph.nodes[node].op.name, node, node + 1, node)


def _folded(
    analysis: Analysis, record: LoopRecord, level: int, depth: int, suffix: str
) -> Iterator[_Row]:
    """Rows for a loop: one that stands for all iterations bears no number, others bear theirs."""
    kinds = [_signature(analysis, iteration) for iteration in record.iterations]
    start = 0
    for _, run in itertools.groupby(kinds):
        count = len(list(run))
        iterations = record.iterations[start : start + count]
        inner = f"{suffix}.{start}" + (f"-{start + count - 1}" if count > 1 else "")
        if count > 1 and count == len(record.iterations):
            inner = suffix
        shown = list(_rows(analysis, iterations[0], level, depth, inner))
        last = list(_rows(analysis, iterations[-1], level, depth, inner))
        for one, other in zip(shown, last, strict=True):
            folded = one.count * count if one.depth == level else one.count
            times = one.times * count
            yield replace(one, output=other.output, count=folded, times=times)
        start += count


def _signature(analysis: Analysis, records: list[Record]) -> Any:
    """What makes two iterations look the same: ops and output types in order."""
    bounds = [_bounds(record) for record in records]
    nodes = [b for b in bounds if b is not None]
    if not nodes:
        return ()
    first, last = min(b[0] for b in nodes), max(b[1] for b in nodes)
    return tuple((id(analysis.graph.nodes[i].op), analysis.types[i]) for i in range(first, last))


def _bounds(record: Record) -> tuple[int, int] | None:
    """The range of nodes of a record, None when it has none."""
    if isinstance(record, OpRecord):
        return record.node, record.node + 1
    if isinstance(record, CallRecord):
        return record.instance.first, record.instance.last
    inner: list[Record] = []
    if isinstance(record, ConditionRecord):
        inner = record.records
    elif isinstance(record, LoopRecord):
        inner = [r for iteration in record.iterations for r in iteration]
    elif isinstance(record, ParallelRecord):
        inner = [record.turns]
    elif isinstance(record, SplitRecord):
        inner = [r for path in record.paths for r in path or []]
    found = [b for b in map(_bounds, inner) if b is not None]
    if isinstance(record, ParallelRecord) or (isinstance(record, SplitRecord) and record.merged):
        found.append((record.node, record.node + 1))
    return (min(b[0] for b in found), max(b[1] for b in found)) if found else None
