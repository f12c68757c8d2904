"""What elaboration leaves of the author's structure: a record for each item that took part.

The flat graph says what the network computes; these records say which block, loop iteration and
branch each node came from. Code generation and the folded summary walk them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xgraph.ir.graph import Graph
from xgraph.ir.structure import (
    Block,
    Call,
    Conditional,
    Loop,
    Parallel,
    Program,
    Section,
    Split,
)


@dataclass(slots=True, eq=False)
class OpRecord:
    """One op node. `values` are the evaluated arguments the author wrote (without defaults)."""

    item: Call
    node: int


@dataclass(slots=True, eq=False)
class Instance:
    """One application of a block (or a section, or the model itself).

    `arguments` are its parameters' values; `inputs` and `output` are node indexes, and so are
    `results`, by their names, if it has several; `first` and `last` bound its nodes (`first <= node
    < last`). `owner` is the application whose weights it shares.
    """

    block: Block
    path: str
    arguments: dict[str, Any]
    inputs: tuple[int, ...]
    records: list[Record] = field(default_factory=list)
    output: int = -1
    results: dict[str, int] = field(default_factory=dict)
    first: int = 0
    last: int = 0
    owner: Instance | None = None


@dataclass(slots=True, eq=False)
class CallRecord:
    """One use of a block."""

    item: Call
    instance: Instance


@dataclass(slots=True, eq=False)
class ConditionRecord:
    """`taken`: whether the condition held. `output` is the node that flows on after it."""

    item: Conditional
    taken: bool
    records: list[Record]
    output: int


@dataclass(slots=True, eq=False)
class LoopRecord:
    """Per iteration: the loop variables' values, the node that flows in, what it consists of.

    `output` is the node that flows on after the loop.
    """

    item: Loop
    values: list[dict[str, Any]]
    entries: list[int]
    iterations: list[list[Record]]
    output: int


@dataclass(slots=True, eq=False)
class SplitRecord:
    """`paths` are the records of each path, None where it is switched off.

    `node` is the merge, or, where one path is left that needs none (`merged` is false), the node
    that flows on after that path.
    """

    item: Split
    paths: list[list[Record] | None]
    node: int
    merged: bool = True

    @property
    def present(self) -> tuple[int, ...]:
        """Positions of the paths that are there."""
        return tuple(k for k, path in enumerate(self.paths) if path is not None)


@dataclass(slots=True, eq=False)
class ParallelRecord:
    """`turns` are those of the loop, all from one node, `ends` the node that each leads to, and
    `node` is the merge.
    """

    item: Parallel
    turns: LoopRecord
    ends: list[int]
    node: int


Record = OpRecord | CallRecord | ConditionRecord | LoopRecord | SplitRecord | ParallelRecord


@dataclass(slots=True, eq=False)
class SectionRecord:
    """One section that is in the graph."""

    section: Section
    instance: Instance


@dataclass(frozen=True, eq=False)
class Elaborated:
    """A program with its flat graph; `parameters` are the values of the spec's parameters."""

    program: Program
    graph: Graph
    parameters: dict[str, Any]
    sections: tuple[SectionRecord, ...]
