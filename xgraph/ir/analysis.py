"""What is known of a spec once it is in order."""

from __future__ import annotations

from dataclasses import dataclass

from xgraph.diagnostics import Diagnostic
from xgraph.ir.elaborated import Elaborated
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType


@dataclass(frozen=True)
class Analysis:
    """A spec that is in order: its structure, its flat graph, and every node's output type.

    `digest` identifies the text that it was made from: all files and settings. `warnings` are what
    is legal and probably not meant.
    """

    elaborated: Elaborated
    types: list[TensorType]
    settings: tuple[str, ...]
    digest: str
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def name(self) -> str:
        return self.elaborated.program.name

    @property
    def graph(self) -> Graph:
        return self.elaborated.graph
