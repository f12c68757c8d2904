"""The author's structure: blocks with parameters, repeats, branches and named sections.

This level survives to the generated code: a block becomes a class or a function, its parameters
become arguments, a repeat becomes a loop. `xgraph.passes.elaborate` expands it to the flat graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from xgraph.diagnostics import Span
from xgraph.text import Text


@dataclass(frozen=True, eq=False)
class Value:
    """A value that may mention parameters.

    `content` is a constant, an `Expression`, a tuple of `Value` (a list) or a dict of `Value`.
    """

    content: Any
    span: Span


@dataclass(frozen=True, eq=False)
class Argument:
    """One `key: value` given to an op or a block; `key` is None for the short form `{conv: 64}`."""

    key: str | None
    value: Value
    key_span: Span


@dataclass(frozen=True, eq=False)
class Reference:
    """A node named as a source: `stem`, `entry_flow.module2`, `input`."""

    path: str
    span: Span


@dataclass(frozen=True, eq=False, kw_only=True)
class Item:
    """A step of a sequence. Without `sources` it takes the previous item's output."""

    span: Span
    sources: tuple[Reference, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Call(Item):
    """An application of an op or a block. `name` is unique among the names of its scope."""

    target: str
    arguments: tuple[Argument, ...] = ()
    name: str
    doc: Text | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Share(Call):
    """A call made once more, on other inputs, with the weights of the first.

    Target and arguments are those of the call named `first`, which stands before it, in the same
    loops and conditions if it is in any.
    """

    first: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Conditional(Item):
    """`if: …, then: …, else: …`, or an item with `when`."""

    condition: Value
    then: tuple[Item, ...]
    otherwise: tuple[Item, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Loop(Item):
    """`repeat: n` (then `count` is set) or `for: {variable: list, …}` (then `variables` is).

    `places` are where the index or the variables are named.
    """

    body: tuple[Item, ...]
    count: Value | None = None
    index: str | None = None
    variables: tuple[tuple[str, Value], ...] = ()
    places: dict[str, Span] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Split(Item):
    """Parallel paths from one input, merged by an op. A residual is a split whose merge is add.

    An empty path is the identity. `conditions` say of each path whether it is there at all, or None
    where it always is; one path that is left needs no merge. `places` are where the paths stand.
    """

    paths: tuple[tuple[Item, ...], ...]
    labels: tuple[str | None, ...]
    conditions: tuple[Value | None, ...]
    places: tuple[Span, ...]
    merge: Call
    residual: bool = False


@dataclass(frozen=True, eq=False, kw_only=True)
class Parallel(Item):
    """A loop whose turns stand side by side: each takes the same input, and an op merges them.

    Of a single turn the merge is the identity: nodes are called the same however many there are.
    """

    loop: Loop
    merge: Call


@dataclass(frozen=True, eq=False, kw_only=True)
class Parameter:
    """A parameter of a block or of the whole spec. `default` is None when it is required."""

    name: str
    default: Value | None
    span: Span


@dataclass(frozen=True, eq=False, kw_only=True)
class Block:
    """A named sequence with parameters; `inputs` are the names of what it is applied to.

    `results` are the names of items whose values it gives, of which the first flows on; without
    any, it gives what its last item does.
    """

    name: str
    parameters: tuple[Parameter, ...] = ()
    body: tuple[Item, ...]
    inputs: tuple[str, ...] = ("input",)
    results: tuple[Reference, ...] = ()
    doc: Text | None = None
    source: Text | None = None
    span: Span


@dataclass(frozen=True, eq=False, kw_only=True)
class Section:
    """A named part of the graph. It is a block without parameters that is applied once."""

    block: Block
    sources: tuple[Reference, ...] = ()
    condition: Value | None = None

    @property
    def name(self) -> str:
        return self.block.name


@dataclass(frozen=True, eq=False, kw_only=True)
class OutputSpec:
    """An output as the author declares it."""

    name: str
    source: Reference
    loss_weight: Value | None = None
    condition: Value | None = None
    span: Span


@dataclass(frozen=True, eq=False, kw_only=True)
class Program:
    """A whole spec, checked for form: every name known, nothing evaluated yet."""

    name: str
    doc: Text | None
    source: Text | None
    recipe: str | None
    recipe_span: Span | None = None
    parameters: tuple[Parameter, ...]
    input_shape: Value
    defaults: dict[str, tuple[Argument, ...]] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)
    sections: tuple[Section, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    span: Span

    def is_called(self, block: Block) -> bool:
        """Whether a block is one that calls name, rather than a section, which may be called so."""
        return self.blocks.get(block.name) is block


def values(items: Iterable[Item]) -> Iterator[Value]:
    """Every value in a body: arguments, conditions, counts, and the lists of loops."""
    for item in walk(tuple(items)):
        if isinstance(item, Call):
            yield from (argument.value for argument in item.arguments)
        elif isinstance(item, Conditional):
            yield item.condition
        elif isinstance(item, Loop):
            if item.count is not None:
                yield item.count
            yield from (value for _, value in item.variables)
        elif isinstance(item, Split):
            yield from (condition for condition in item.conditions if condition is not None)


def walk(items: tuple[Item, ...]) -> Iterator[Item]:
    """Every item of a body, nested ones included, in the order of the text."""
    for item in items:
        yield item
        if isinstance(item, Conditional):
            yield from walk(item.then)
            yield from walk(item.otherwise)
        elif isinstance(item, Loop):
            yield from walk(item.body)
        elif isinstance(item, Split):
            for path in item.paths:
                yield from walk(path)
            yield item.merge
        elif isinstance(item, Parallel):
            yield from walk((item.loop,))
            yield item.merge
