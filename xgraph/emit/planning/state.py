"""What planning remembers: decisions, the variants of blocks, and the class being planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from xgraph.emit.names import Scope
from xgraph.emit.plan import Apply, BlockPlan, Invoke, Statement
from xgraph.ir.elaborated import Instance, Record
from xgraph.ir.structure import Block, Item, Loop
from xgraph.ir.types import TensorType
from xgraph.spec.expressions import is_channels

VariantKey = tuple[Any, ...]

#: The variable that flows through a body.
FLOW = "x"


class Restart(Exception):  # a signal, not an error
    """A decision was added."""


class RestartSection(Restart):
    """A decision was added that concerns one section alone."""


@dataclass
class Decisions:
    """What earlier rounds of planning found out; a block is known by name, a loop by identity."""

    specialized: dict[str, set[str]] = field(default_factory=dict)  # parameters, by block
    by_shape: set[str] = field(default_factory=set)  # blocks with a class for each input shape
    by_use: set[str] = field(default_factory=set)  # blocks with a class for each use
    unrolled: set[int] = field(default_factory=set)  # loops written out
    carried: set[int] = field(default_factory=set)  # loops that carry their channels in a variable
    input_names: dict[VariantKey, dict[int, str]] = field(default_factory=dict)
    assumed: set[VariantKey] = field(default_factory=set)  # of these, some hold by chance only
    own_inputs: set[VariantKey] = field(default_factory=set)  # classes that have none of them
    literal_inputs: set[VariantKey] = field(default_factory=set)  # sections that say how many


@dataclass
class Variant:
    """Uses of one block that share a class."""

    key: VariantKey
    block: Block
    instances: list[Instance] = field(default_factory=list)
    again: list[Instance] = field(default_factory=list)  # those that are made already (`share`)
    explicit: set[str] = field(default_factory=set)
    open_names: list[str] | None = None  # parameters that are arguments of the class, once known
    plan: BlockPlan | None = None


@dataclass(frozen=True)
class Wire:
    """A variable and the symbolic type of what it holds.

    `loop` is one that has ended, when the type is spelled with what only that loop knows.
    """

    variable: str
    type: TensorType
    loop: Loop | None = None


@dataclass
class Column:
    """One use of the code being planned, or one iteration of one: what its items became there.

    `values` are those of the names that stand in the code.
    """

    records: list[Record]
    values: dict[str, Any]


Columns = list[Column]


class Body:
    """State while one class is planned."""

    def __init__(self, variant: Variant, names: Scope) -> None:
        self.variant = variant
        self.names = names
        self.spelling: dict[str, str] = {}  # open name → Python source
        self.constants: dict[str, Any] = {}  # value of every other name in sight
        self.loops: list[tuple[Loop, frozenset[str]]] = []  # rolled loops around here
        self.listed: frozenset[str] = frozenset()  # of them, those that run over literal lists
        self.suffix: tuple[int, ...] = ()  # indices of unrolled loops around here
        self.wires: dict[str, Wire] = {}  # named nodes that are referred to later
        #: What may be applied again, by its item's name, and what it gives.
        self.calls: dict[str, tuple[Apply | Invoke, tuple[Wire, ...]]] = {}
        self.referenced: frozenset[str] = frozenset()
        self.branch_variables: list[str] = []
        self.external: dict[int, Wire] = {}  # nodes of other sections that this one reads
        self.perhaps = 0  # conditions and loops around here: this code may not run
        self.input_is_constant = False  # of a section: it is always given as many channels
        self.carried: dict[str, str] = {}  # variable of a loop → channels after an iteration
        self.columns: Columns = []  # the uses of the code that is being planned

    @property
    def own_spelling(self) -> dict[str, str]:
        """The spelling of parameters and loop variables, without channels of inputs."""
        return {name: code for name, code in self.spelling.items() if not is_channels(name)}


#: Plans the items of a body: given what each use of it elaborated to, the class, the wire that
#: flows in, and the variable that flows on.
PlanItems = Callable[[tuple[Item, ...], Columns, Body, Wire, str], tuple[list[Statement], Wire]]
