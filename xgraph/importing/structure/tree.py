"""What a spec says, as trees that are taken apart and filled again.

An item is immutable. Its *holes* are the values that two uses of one block may differ in; its
*skeleton* is what is left without them. `holes`, `skeleton` and `fill` go through an item in one
order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from typing import Any, Final

from xgraph import ops
from xgraph.importing.network import Layer
from xgraph.importing.structure.hints import Words, words_of

#: The symbol of the channels of what a block is applied to: `$input.channels`.
INPUT: Final = 0


class _Any:
    """A value that says nothing: the padding of a window of one pixel."""

    def __repr__(self) -> str:
        return "ANY"


ANY: Final = _Any()


@dataclass(frozen=True, slots=True)
class Ref:
    """What a parameter or a loop's variable is, times a whole number, divided by another.

    Of places, so many are added instead; see `Nth`.
    """

    symbol: int
    times: int = 1
    over: int = 1
    plus: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it is the parameter or variable itself."""
        return self.times == self.over == 1 and not self.plus


@dataclass(frozen=True, slots=True)
class Nth:
    """A block's place among those of a network; see `rates`."""

    number: int

    def __repr__(self) -> str:
        return str(self.number)


@dataclass(frozen=True, slots=True)
class Counted:
    """A place in a `repeat`: that of the first turn, and so many more with each turn."""

    start: Any
    index: int
    by: int = 1


def later(value: Any, by: int) -> Any:
    """A place behind another one."""
    if isinstance(value, Nth):
        return Nth(value.number + by)
    if isinstance(value, Ref):
        return replace(value, plus=value.plus + by)
    return replace(value, start=later(value.start, by)) if isinstance(value, Counted) else value


def between(one: Any, other: Any) -> int | None:
    """How far a place is behind another one, None where that is not known."""
    if isinstance(one, Nth) and isinstance(other, Nth):
        return other.number - one.number
    if isinstance(one, Ref) and isinstance(other, Ref):
        return other.plus - one.plus if replace(one, plus=other.plus) == other else None
    if isinstance(one, Counted) and isinstance(other, Counted):
        same = (one.index, one.by) == (other.index, other.by)
        return between(one.start, other.start) if same else None
    return None


@dataclass(frozen=True, slots=True)
class Half:
    """Padding of half a kernel on each side, where the kernel is a parameter."""

    kernel: Ref


@dataclass(frozen=True, slots=True)
class Fits:
    """Whether what comes out is of the shape of what goes in, by channels and stride."""

    filters: Any
    stride: Any = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """An op or a block with its values, in the order in which it declares them.

    `given` are the channels of what it is applied to, None where they are not known; `origin` what
    its source called it: see `hints`.
    """

    target: str
    values: tuple[Any, ...] = ()
    given: Any = field(default=None, compare=False)
    origin: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Fork:
    """Paths side by side, and the merge of what they make. An empty path is the identity.

    With `skip`, the second is there only where that condition holds.
    """

    paths: tuple[Body, ...]
    merge: Leaf
    skip: Any = None


@dataclass(frozen=True, slots=True)
class Turns:
    """A body, so many times; `index` is the symbol of what counts the turns, if something does."""

    count: Any
    body: Body
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """A body, for each entry of lists of one length."""

    variables: tuple[Variable, ...]
    body: Body


@dataclass(frozen=True, slots=True)
class Option:
    """A body that is there if a condition holds: a parameter, which is true or false.

    If it does not hold, the `other` is there.
    """

    condition: Any
    body: Body
    other: Body = ()


@dataclass(frozen=True, slots=True)
class Strand:
    """A sequence of a tangle, or a path of a fork in one, with its place in the wiring.

    `label` is a name by which others refer to what comes out, `sources` are the labels of what the
    first item takes. Where there are none, the first item says itself what it takes.
    """

    body: Body
    label: str | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tangle:
    """Strands, whose labels nobody else knows; `inputs` are the labels of what it is applied to."""

    body: Body
    inputs: tuple[str, ...] = ("input",)


Item = Leaf | Fork | Turns | Each | Option | Strand | Tangle
Body = tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a loop, with the kind and attribute of what it stands for."""

    symbol: int
    kind: str
    word: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a block; `default` is None where it must be given."""

    symbol: int
    kind: str
    word: str
    default: Any = None


@dataclass(frozen=True, slots=True)
class Block:
    """A body with parameters, in the order in which calls give them."""

    key: str
    parameters: tuple[Parameter, ...]
    body: Body


@dataclass(frozen=True)
class Tree:
    """A spec in the making. Blocks that others call stand before them."""

    body: Body
    blocks: dict[str, Block] = field(default_factory=dict)

    def bodies(self) -> Iterator[Body]:
        """Every sequence of items, each once."""
        for block in self.blocks.values():
            yield from bodies(block.body)
        yield from bodies(self.body)

    def rewritten(self, change: Callable[[Body], Body]) -> Tree:
        """With each sequence of items replaced, the innermost first."""
        blocks = {
            key: replace(block, body=rewrite(block.body, change))
            for key, block in self.blocks.items()
        }
        return Tree(rewrite(self.body, change), blocks)


@dataclass(frozen=True, slots=True)
class Hole:
    """A value, and where it stands: the attribute's word, and what values of that kind may join."""

    kind: str
    word: str
    value: Any


# -- kinds of values ------------------------------------------------------------------------------

#: What numbers mean, by the attribute: only those of one kind may become one parameter.
_KINDS = {
    "filters": "channels",
    "units": "channels",
    "channels": "channels",
    "start": "channels",
    "groups": "groups",
    "kernel": "kernel",
    "stride": "stride",
    "padding": "padding",
}


@cache
def attributes(op: str) -> tuple[tuple[str, str], ...]:
    """(word, kind) of each attribute of an op, in its order; `share` has what it shares."""
    if op == "share":
        return (("share", "share"),)
    return tuple((f.name, kind_of(f.name)) for f in fields(ops.get(op)))


def kind_of(word: str) -> str:
    """What numbers mean that an attribute of this name has."""
    return _KINDS.get(word, word)


@cache
def own_defaults(op: str) -> tuple[Any, ...]:
    """The op's own defaults, MISSING where there is none."""
    if op == "share":
        return (MISSING,)
    return tuple(f.default for f in fields(ops.get(op)))


def leaf(layer: Layer) -> Leaf:
    """A layer's op as a leaf."""
    op = layer.op
    values = tuple(getattr(op, f.name) for f in fields(op))
    return Leaf(op.name, values, layer.given, words_of(layer.name))


def given_to(body: Body) -> Any:
    """The channels of what a sequence is applied to, None where they are not known."""
    for item in body:
        if isinstance(item, Leaf):
            return item.given
        for inner in inside(item):
            if inner:
                return given_to(inner)
    return None


# -- going through --------------------------------------------------------------------------------


def bodies(body: Body) -> Iterator[Body]:
    """A sequence and all that are in it, but for those that are no sequences: what is wired."""
    if not any(map(is_wired, body)):
        yield body
    for item in body:
        for inner in inside(item):
            yield from bodies(inner)


def is_wired(item: Item) -> bool:
    """Whether an item takes something by its name, and cannot stand elsewhere."""
    if isinstance(item, Fork):
        return any(isinstance(one, Strand) for path in item.paths for one in path)
    return isinstance(item, Strand)


def inside(item: Item) -> tuple[Body, ...]:
    """The sequences of an item."""
    if isinstance(item, Leaf):
        return ()
    if isinstance(item, Option):
        return (item.body, item.other) if item.other else (item.body,)
    return item.paths if isinstance(item, Fork) else (item.body,)


def with_inside(item: Item, inner: tuple[Body, ...]) -> Item:
    """The item with other sequences."""
    if isinstance(item, Leaf):
        return item
    if isinstance(item, Fork):
        return replace(item, paths=inner)
    if isinstance(item, Option):
        return Option(item.condition, *inner)
    return replace(item, body=inner[0])


def rewrite(body: Body, change: Callable[[Body], Body]) -> Body:
    """A sequence and all that are in it replaced, the innermost first."""
    made = tuple(_rewritten(item, change) for item in body)
    return change(body if all(a is b for a, b in zip(made, body, strict=True)) else made)


def _rewritten(item: Item, change: Callable[[Body], Body]) -> Item:
    """The item itself where nothing in it changes: what is known of it is known by its identity."""
    before = inside(item)
    after = tuple(rewrite(inner, change) for inner in before)
    return (
        item
        if all(a is b for a, b in zip(after, before, strict=True))
        else with_inside(item, after)
    )


def leaves(body: Body) -> Iterator[Leaf]:
    """All ops and calls, merges included."""
    for item in body:
        if isinstance(item, Leaf):
            yield item
            continue
        for inner in inside(item):
            yield from leaves(inner)
        if isinstance(item, Fork):
            yield item.merge


def origins(body: Body) -> Iterator[Words]:
    """What the source called the ops of a sequence, merges left out."""
    for item in body:
        if isinstance(item, Leaf) and item.origin not in (None, ANY):
            yield item.origin
        for inner in inside(item):
            yield from origins(inner)


def unknown(body: Body) -> Body:
    """A sequence of which the channels are not known that its items are applied to."""
    return tuple(
        replace(item, given=None)
        if isinstance(item, Leaf)
        else with_inside(item, tuple(map(unknown, inside(item))))
        for item in body
    )


# -- skeletons and holes --------------------------------------------------------------------------


#: A sequence, and the numbers of its items' skeletons.
Line = tuple[Body, tuple[int, ...]]


class Shapes:
    """Skeletons as numbers, equal for items that differ in their holes alone; and the holes.

    Items are kept alive, so that each is looked at once. With `pixels`, convolutions of single
    pixels have another skeleton than those of larger windows.
    """

    def __init__(self, pixels: bool = False) -> None:
        self.pixels = pixels
        self._numbers: dict[Any, int] = {}
        self._known: dict[int, tuple[Item, int]] = {}
        self._holes: dict[int, tuple[Item, tuple[Hole, ...]]] = {}
        self._tree: Tree | None = None
        self._lines: list[Line] = []
        self.parameters: dict[str, tuple[Parameter, ...]] = {}

    def lines(self, tree: Tree) -> list[Line]:
        """Every sequence of a tree, with the numbers of its items; made once for each tree."""
        if self._tree is not tree:
            self._tree = tree
            self._lines = [(body, self.sequence(body)) for body in tree.bodies()]
        return self._lines

    def skeleton(self, item: Item) -> int:
        """The number of an item's skeleton."""
        if (found := self._known.get(id(item))) is None:
            found = self._known[id(item)] = item, self._number(self._form(item))
        return found[1]

    def sequence(self, body: Iterable[Item]) -> tuple[int, ...]:
        return tuple(self.skeleton(item) for item in body)

    def _number(self, form: Any) -> int:
        return self._numbers.setdefault(form, len(self._numbers))

    def _form(self, item: Item) -> Any:
        if isinstance(item, Leaf):
            single = self.pixels and item.target == "conv" and (1, 1) in item.values[1:2]
            return item.target, single
        if isinstance(item, Fork):
            return "fork", item.merge.target, item.skip, tuple(map(self.sequence, item.paths))
        if isinstance(item, Turns):
            return "turns", self.sequence(item.body), self._steps(item)
        if isinstance(item, Tangle):
            return "tangle", item.inputs, self.sequence(item.body)
        if isinstance(item, Strand):
            return "strand", item.label, item.sources, self.sequence(item.body)
        if isinstance(item, Option):
            return "option", self.sequence(item.body), self.sequence(item.other)
        return item  # a loop with variables is like none but itself

    def _steps(self, item: Turns) -> tuple[tuple[int, int], ...]:
        """Which holes of a loop's body grow with its turns, and by how much."""
        counted = ((k, hole.value) for k, hole in enumerate(self.all_holes(item.body)))
        return tuple((k, value.by) for k, value in counted if _counts(value, item.index))

    def holes(self, item: Item) -> tuple[Hole, ...]:
        """An item's holes in order."""
        if (found := self._holes.get(id(item))) is None:
            found = self._holes[id(item)] = item, tuple(self._list(item))
        return found[1]

    def all_holes(self, body: Iterable[Item]) -> tuple[Hole, ...]:
        return tuple(hole for item in body for hole in self.holes(item))

    def _list(self, item: Item) -> Iterator[Hole]:
        if isinstance(item, Leaf):
            yield Hole("given", "given", item.given)
            yield Hole("origin", "origin", item.origin)
            for (word, kind), value in zip(self.words(item.target), item.values, strict=True):
                yield Hole(kind, word, value)
        elif isinstance(item, Fork):
            for path in item.paths:
                yield from self.all_holes(path)
        elif isinstance(item, Turns):
            yield Hole("count", "count", item.count)
            for hole in self.all_holes(item.body):
                counts = _counts(hole.value, item.index)
                yield Hole(hole.kind, hole.word, hole.value.start) if counts else hole
        elif isinstance(item, Option):
            yield Hole("condition", "condition", item.condition)
            yield from self.all_holes(item.body)
            yield from self.all_holes(item.other)
        elif isinstance(item, Strand | Tangle):
            yield from self.all_holes(item.body)

    def words(self, target: str) -> tuple[tuple[str, str], ...]:
        """(word, kind) of each value that an op or a block takes."""
        if target in self.parameters:
            return tuple((one.word, one.kind) for one in self.parameters[target])
        return attributes(target)


def with_values(body: Body, change: Callable[[Any], Any]) -> Body:
    """A sequence with other values in its ops and calls."""
    made: list[Item] = []
    for item in body:
        if isinstance(item, Leaf):
            values = tuple(map(change, item.values))
            same = all(a is b for a, b in zip(values, item.values, strict=True))
            made.append(item if same else replace(item, values=values))
        else:
            inner = tuple(with_values(one, change) for one in inside(item))
            same = all(a is b for a, b in zip(inner, inside(item), strict=True))
            made.append(item if same else with_inside(item, inner))
    made_body = tuple(made)
    same = all(a is b for a, b in zip(made_body, body, strict=True))
    return body if same else made_body


def _counts(value: Any, index: int | None) -> bool:
    """Whether a value grows with the turns of the loop that has this index."""
    return isinstance(value, Counted) and value.index == index


def fill(body: Body, values: Iterator[Any], counted: frozenset[int] = frozenset()) -> Body:
    """The sequence with its holes filled, in order.

    Of what grows with the indices in `counted`, the first turn's value is filled in.
    """
    return tuple(_filled(item, values, counted) for item in body)


def _filled(item: Item, values: Iterator[Any], counted: frozenset[int]) -> Item:
    if isinstance(item, Leaf):
        given, origin = next(values), next(values)
        made = tuple(_instead(old, next(values), counted) for old in item.values)
        return Leaf(item.target, made, given, origin)
    if isinstance(item, Fork):
        return replace(item, paths=tuple(fill(path, values, counted) for path in item.paths))
    if isinstance(item, Turns):
        inner = counted if item.index is None else counted | {item.index}
        return Turns(next(values), fill(item.body, values, inner), item.index)
    if isinstance(item, Option):
        condition = next(values)
        then = fill(item.body, values, counted)
        return Option(condition, then, fill(item.other, values, counted))
    if isinstance(item, Strand | Tangle):
        return replace(item, body=fill(item.body, values, counted))
    return item


def _instead(old: Any, value: Any, counted: frozenset[int]) -> Any:
    grows = isinstance(old, Counted) and old.index in counted
    return replace(old, start=value) if grows else value
