"""What a text costs its reader: the measure by which one way of saying something is preferred.

The numbers are those of `Prices`; they were tuned on public networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any

from xgraph.importing.structure.rates import Rates
from xgraph.importing.structure.tree import (
    ANY,
    INPUT,
    Block,
    Body,
    Counted,
    Each,
    Fork,
    Half,
    Item,
    Leaf,
    Option,
    Parameter,
    Ref,
    Strand,
    Tangle,
    Tree,
    Turns,
    attributes,
    leaves,
    own_defaults,
)
from xgraph.importing.structure.vary import Vary

#: Attributes of which no value is what a reader takes for granted.
_NO_DEFAULT = frozenset({"filters", "units", "channels", "groups", "rate"})

#: Characters of values that a line holds, and those of one that a parameter gives.
_ON_A_LINE = 88
_REFERENCE = 10
#: So many lists of a loop are seen at a glance.
_ENOUGH = 3


@dataclass(frozen=True)
class Prices:
    """What parts of a text cost."""

    item: float = 1.0
    value: float = 0.5
    keys: float = 0.5
    expression: float = 0.25
    fork: float = 1.5
    path: float = 0.5
    block: float = 1.0
    parameter: float = 0.5
    default: float = 0.25
    turns: float = 1.5
    index: float = 0.5
    each: float = 1.5
    variable: float = 0.5
    entry: float = 0.35
    flag: float = 1.0  # what is where in a list of them, nobody sees
    option: float = 1.25
    skip: float = 1.0
    lists: float = 1.0  # each beyond three
    nested: float = 3.0  # a fork in a loop in a loop had better have a name
    source: float = 0.5
    of_all: float = 1.0
    crowd: float = 0.5


PRICES = Prices()


@dataclass
class Words:
    """What must be written of ops and calls: what is not so by default.

    Attributes:
        parameters: of each block.
        defaults: what ops get by the spec's own `defaults`, by (op, attribute).
        rates: what rates of stochastic depth are at their places, if they grow with these.
    """

    parameters: dict[str, tuple[Parameter, ...]] = field(default_factory=dict)
    defaults: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    rates: Rates | None = None

    def places(self, one: Leaf) -> list[int]:
        """Which of its values a call has to say: those that are not so by default."""
        found = []
        if (parameters := self.parameters.get(one.target)) is not None:
            given = {p.symbol: v for p, v in zip(parameters, one.values, strict=True)}
            for place, (parameter, value) in enumerate(zip(parameters, one.values, strict=True)):
                if value is not ANY and value != _meant(parameter.default, given):
                    found.append(place)
            return found
        own = zip(attributes(one.target), one.values, own_defaults(one.target), strict=True)
        for place, ((word, _), value, default) in enumerate(own):
            if value is not ANY and value != self.defaults.get((one.target, word), default):
                found.append(place)
        return found

    def is_short(self, one: Leaf) -> bool:
        """Whether the short form says all that a call has to say."""
        return self.places(one) in ([], [0])


def _meant(default: Any, given: Mapping[int, Any]) -> Any:
    """What a parameter's default is in a call; one that is another parameter's value is that."""
    if isinstance(default, Ref):
        return given.get(default.symbol, MISSING)
    return MISSING if default is None else default


class Costs:
    """Costs of items, each computed once."""

    def __init__(self, words: Words, prices: Prices = PRICES) -> None:
        self.words, self.prices = words, prices
        self._known: dict[int, tuple[Item, float]] = {}

    def body(self, body: Body) -> float:
        return sum(self.item(item) for item in body)

    def item(self, item: Item) -> float:
        if (found := self._known.get(id(item))) is None:
            found = self._known[id(item)] = item, self._item(item)
        return found[1]

    def _item(self, item: Item) -> float:
        p = self.prices
        if isinstance(item, Leaf):
            places = self.words.places(item)
            cost = p.item + sum(p.value + self._value(item.values[k]) for k in places)
            if self.width(item, places) > _ON_A_LINE:
                cost += p.crowd * len(places)
            return cost if places in ([], [0]) else cost + p.keys
        if isinstance(item, Fork):
            skip = p.skip if item.skip is not None else 0.0
            return p.fork + skip + sum(p.path + self.body(path) for path in item.paths)
        if isinstance(item, Turns):
            counts = p.index if item.index is not None else 0.0
            return p.turns + counts + self._value(item.count) + self.body(item.body)
        if isinstance(item, Option):
            return p.option + self.body(item.body) + self.body(item.other)
        if isinstance(item, Strand):
            named = len(item.sources) + (item.label is not None)
            return p.source * named + self.body(item.body)
        if isinstance(item, Tangle):
            return p.block + self.body(item.body)
        return self.each(item)

    def width(self, one: Leaf, places: Sequence[int]) -> int:
        """About how many characters the values of a call are."""
        if (parameters := self.words.parameters.get(one.target)) is not None:
            words = [parameter.word for parameter in parameters]
        else:
            words = [word for word, _ in attributes(one.target)]
        return sum(
            len(words[k])
            + 4
            + (
                _REFERENCE
                if isinstance(one.values[k], Ref | Half | Counted)
                else len(str(one.values[k]))
            )
            for k in places
        )

    def each(self, item: Each) -> float:
        p = self.prices
        lists = sum(
            p.variable + (p.flag if one.kind == "condition" else p.entry) * len(one.values)
            for one in item.variables
        )
        lists += sum(self._value(value) for one in item.variables for value in one.values)
        lists += p.lists * max(0, len(item.variables) - _ENOUGH)
        loops = (one for one in item.body if isinstance(one, Turns))
        nested = sum(isinstance(one, Fork) for loop in loops for one in loop.body)
        return p.each + lists + p.nested * nested + self.body(item.body)

    def _value(self, value: Any) -> float:
        if isinstance(value, Vary):  # it will be a parameter's
            return self.prices.expression
        simple = not isinstance(value, Ref | Half | Counted) or (
            isinstance(value, Ref) and value.is_plain and value.symbol != INPUT
        )
        return 0.0 if simple else self.prices.expression

    def block(self, block: Block) -> float:
        p = self.prices
        cost = p.block + self.body(block.body)
        for one in block.parameters:
            cost += p.parameter + (p.default if one.default is not None else 0)
        return cost

    def tree(self, tree: Tree) -> float:
        blocks = sum(self.block(block) for block in tree.blocks.values())
        return blocks + self.body(tree.body) + self.prices.of_all * len(self.words.defaults)


def choose_defaults(tree: Tree, prices: Prices = PRICES) -> dict[tuple[str, str], Any]:
    """Values of attributes that a spec had better say once: those that make its text cheapest."""
    seen: dict[tuple[str, str], Counter[Any]] = {}
    blind: set[tuple[str, str]] = set()
    bodies = [tree.body, *(block.body for block in tree.blocks.values())]
    for body in bodies:
        for one in leaves(body):
            if one.target in tree.blocks:
                continue
            for (word, _), value in zip(attributes(one.target), one.values, strict=True):
                if value is ANY:
                    blind.add((one.target, word))
                else:
                    seen.setdefault((one.target, word), Counter())[value] += 1
    found = {}
    for (op, word), counts in seen.items():
        if word in _NO_DEFAULT or (word == "stride" and not op.endswith("pool")):
            continue
        own = dict(zip((w for w, _ in attributes(op)), own_defaults(op), strict=True))[word]
        constants = [v for v in counts if not isinstance(v, Ref | Half)]
        if word == "padding" and (op, word) in blind:  # windows of a pixel take words alone
            constants = [v for v in constants if isinstance(v, str)]
        if not constants:
            continue
        value = max(constants, key=lambda v: (counts[v], repr(v)))
        saved = prices.value * (counts[value] - (counts[own] if own is not MISSING else 0))
        if value != own and saved >= prices.of_all:
            found[op, word] = value
    return found
