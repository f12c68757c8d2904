"""The code plan: what will be written, framework-neutral.

A `BlockPlan` is a class or function to be: parameters, and a tree of statements over named
variables. Statements keep the author's loops and conditions. The `Op` of an `Apply` carries
symbolic attributes (`xgraph.emit.symbols`), and its input types symbolic channel counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from xgraph.ir.types import TensorType
from xgraph.ops.base import Op
from xgraph.text import Text


@dataclass(frozen=True, slots=True)
class PlanParameter:
    """`default` is the Python source of the default, or None when callers must pass it.

    An `implicit` parameter is one the author did not write, such as `in_channels`; of others,
    `origin` is the name that the spec has for it. A `keyword` parameter is passed by name.
    `otherwise` is the source of its value where the default, None, stands for one that follows
    from the parameters before it. `value` is a spec's parameter's value where it was compiled.
    """

    name: str
    default: str | None = None
    implicit: bool = False
    annotation: str = "int"
    keyword: bool = False
    origin: str | None = None
    otherwise: str | None = None
    value: Any = None


@dataclass(slots=True, eq=False)
class Apply:
    """`target = op(*inputs)`.

    Where `least` is said, the one input is a list that a loop has gathered (`Gather`), of at least
    so many tensors; a list of one is that tensor. `kept` is a variable for its layer, where the op
    is applied again (`Again`).
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    input_types: tuple[TensorType, ...]
    target: str
    least: int | None = None
    kept: str | None = None


@dataclass(slots=True, eq=False)
class Invoke:
    """`target, *extra = callee(*inputs)`; `arguments` maps parameters to Python source.

    `op` is the composite op that the callee spells out, or None where it is a block. `kept` is a
    variable for what is made of it, where it is applied again (`Again`), and `any_size` says
    whether that may be for images of other heights and widths.
    """

    name: str
    callee: BlockPlan
    arguments: dict[str, str]
    inputs: tuple[str, ...]
    target: str
    extra_targets: tuple[str, ...] = ()
    op: Op | None = None
    kept: str | None = None
    any_size: bool = False


@dataclass(slots=True, eq=False)
class Again:
    """`target, *extra_targets = first(*inputs)`: an earlier statement's, with the same weights."""

    name: str
    first: Apply | Invoke
    inputs: tuple[str, ...]
    input_types: tuple[TensorType, ...]
    target: str
    extra_targets: tuple[str, ...] = ()

    @property
    def applied(self) -> Apply:
        """An op as it is applied here, named and spelled as it is the first time."""
        assert isinstance(self.first, Apply)
        types = tuple(
            TensorType((*own.shape[:-1], before.channels))
            for own, before in zip(self.input_types, self.first.input_types, strict=True)
        )
        return Apply(self.first.name, self.first.op, self.inputs, types, self.target)


@dataclass(slots=True, eq=False)
class Alias:
    """`target = value`, both variables."""

    target: str
    value: str


@dataclass(slots=True, eq=False)
class Gather:
    """`target = []`, to which the turns of a loop append."""

    target: str


@dataclass(slots=True, eq=False)
class Append:
    """`target.append(value)`; `channels` are those of the value."""

    target: str
    value: str
    channels: int


@dataclass(slots=True, eq=False)
class Assign:
    """`name = code`, numbers known when the model is built (a channel count carried by a loop).

    `tensor` is the variable whose channels they are, where they are the network's input's.
    """

    name: str
    code: str
    tensor: str | None = None


def computed_once(body: list[Statement]) -> dict[str, str]:
    """The code of each number of a body that has one and the same wherever it is read."""
    found: dict[str, list[str]] = {}
    for statement in walk(body):
        if isinstance(statement, Assign):
            found.setdefault(statement.name, []).append(statement.code)
    return {name: codes[0] for name, codes in found.items() if len(codes) == 1}


@dataclass(slots=True, eq=False)
class Measure:
    """`name` = the channels of a result of the block called as `block`, known once it is made.

    `number` is the name that the callee keeps them under (`BlockPlan.numbers`), `target` the
    variable that holds the result.
    """

    name: str
    block: str
    number: str
    target: str


@dataclass(slots=True, eq=False)
class Repeat:
    """`for variables in iterable: body`. Without variables the iterable is a count."""

    variables: tuple[str, ...]
    iterable: str
    body: list[Statement]


@dataclass(slots=True, eq=False)
class Unrolled:
    """A loop written out, one body an iteration."""

    bodies: list[list[Statement]]


@dataclass(slots=True, eq=False)
class Choose:
    """`if condition: then else: otherwise`."""

    condition: str
    then: list[Statement]
    otherwise: list[Statement]


Statement = (
    Apply | Invoke | Again | Alias | Gather | Append | Assign | Measure | Repeat | Unrolled | Choose
)


def walk(statements: list[Statement]) -> Iterator[Statement]:
    """Every statement, nested ones included, in the order of the text."""
    for statement in statements:
        yield statement
        if isinstance(statement, Repeat):
            yield from walk(statement.body)
        elif isinstance(statement, Unrolled):
            for body in statement.bodies:
                yield from walk(body)
        elif isinstance(statement, Choose):
            yield from walk(statement.then)
            yield from walk(statement.otherwise)


def reads(statements: list[Statement]) -> set[str]:
    """Variables that statements read in the forward pass."""
    found: set[str] = set()
    for statement in walk(statements):
        if isinstance(statement, Apply | Invoke | Again):
            found.update(statement.inputs)
        elif isinstance(statement, Alias | Append):
            found.add(statement.value)
    return found


@dataclass(slots=True, eq=False)
class BlockPlan:
    """A class or function of the generated program.

    `input_types` and `result_types` are those of one use of it; `shared` says that there are
    several with different shapes; `resizes` that height or width change in one of them; `flattens`
    that they become channels, of which there are then others; `section` that it is a part of the
    model rather than a block. `weight_names` is of a composite op: its own words for the weights of
    its steps, by `step.word`. `numbers` are channel counts that only its own code can say and that
    its users ask for (`Measure`): source by name.
    """

    name: str
    title: str
    parameters: tuple[PlanParameter, ...]
    inputs: tuple[str, ...]
    body: list[Statement]
    results: tuple[str, ...]
    input_types: tuple[TensorType, ...]
    result_types: tuple[TensorType, ...]
    shared: bool = False
    resizes: bool = False
    flattens: bool = False
    section: bool = False
    doc: Text | str | None = None
    source: Text | None = None
    uses: int = 1
    weight_names: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)

    @property
    def output_type(self) -> TensorType:
        """The type of the result that flows on."""
        return self.result_types[0]


@dataclass(slots=True, eq=False)
class ModelPlan:
    """The whole model: `root` and every block it uses, callees before callers.

    `outputs` names the results of the root in order; a single output is returned bare.
    `functions` are the helper functions that expressions call (`math.ceil`, `make_divisible`).
    `input_codes` is the source of the images' height, width and channels where parameters of the
    root say one of them, else None.
    """

    root: BlockPlan
    blocks: list[BlockPlan]
    outputs: tuple[str, ...]
    functions: frozenset[str] = field(default_factory=frozenset)
    input_codes: tuple[str, ...] | None = None
