"""What every part of planning knows of the program, and what it adds to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xgraph.emit.names import NameTable
from xgraph.emit.plan import BlockPlan
from xgraph.emit.planning.dependence import Dependence
from xgraph.emit.planning.records import outer_nodes
from xgraph.emit.planning.state import Decisions
from xgraph.ir.elaborated import Elaborated
from xgraph.ir.graph import Node
from xgraph.ir.structure import Program
from xgraph.ir.types import TensorType


@dataclass
class Context:
    """One round of planning.

    Attributes:
        elaborated: the program and its graph.
        types: output type of every node.
        dependence: what follows from which of the spec's parameters.
        decisions: what earlier rounds have found out.
        reserved: names that the program has for its own purposes.
        spelled: ops that the backend has a spelling for; None: all.
        gathering: of them, those that it can apply to a list that a loop has made.
        root_spelling: how the model's own code says the spec's parameters that it takes.
        plans: classes planned so far, callees first.
        functions: helper functions that expressions call.
    """

    elaborated: Elaborated
    types: list[TensorType]
    dependence: Dependence
    decisions: Decisions
    reserved: frozenset[str]
    spelled: frozenset[str] | None
    gathering: frozenset[str]
    root_spelling: dict[str, str] = field(default_factory=dict)
    plans: list[BlockPlan] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.class_names = NameTable(self.reserved)
        self.outer_nodes = outer_nodes(self.elaborated)

    @property
    def program(self) -> Program:
        """The author's structure."""
        return self.elaborated.program

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The flat graph's nodes."""
        return self.elaborated.graph.nodes

    @property
    def globals(self) -> dict[str, Any]:
        """Values of the spec's parameters."""
        return self.elaborated.parameters
