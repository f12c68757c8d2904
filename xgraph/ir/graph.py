"""The flat graph: every node of the network, in topological order."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.diagnostics import Span
from xgraph.ops.base import Op


@dataclass(frozen=True, slots=True)
class Node:
    """One application of an op. `inputs` are indexes into `Graph.nodes`, all smaller than its own.

    `name` is the node's path, `entry_flow.module2.sepconv1`; weights are named below it, or below
    that of the node whose weights it `shares`, which is an earlier one and shares none itself.
    """

    name: str
    op: Op
    inputs: tuple[int, ...]
    span: Span | None = None
    shares: str | None = None

    @property
    def owner(self) -> str:
        """The path below which its weights are named."""
        return self.shares or self.name


@dataclass(frozen=True, slots=True)
class Output:
    """A named result of the graph. `loss_weight` is None for a feature tap that is not trained."""

    name: str
    node: int
    loss_weight: float | None = None


@dataclass(frozen=True)
class Graph:
    """A directed acyclic graph whose nodes stand in topological order; node 0 is the input."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
