"""From a flat sequence to a text with blocks and loops: the steps that pay, the best one first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xgraph.importing.structure.blocks import (
    Candidate,
    applied,
    candidate,
    exactly,
    gates,
    new_key,
    windows,
)
from xgraph.importing.structure.cost import PRICES, Costs, Prices, Words, choose_defaults
from xgraph.importing.structure.inline import inlined, lifted, unwrapped
from xgraph.importing.structure.loops import over_lists, rolled
from xgraph.importing.structure.options import fitted, similar
from xgraph.importing.structure.rates import Rates, placed
from xgraph.importing.structure.skips import stands_alone, with_skips
from xgraph.importing.structure.taste import Taste
from xgraph.importing.structure.tree import Body, Fork, Option, Shapes, Tangle, Tree, leaves

#: A block must save as much.
_WORTH = 3.0
#: So many windows are looked at, those first that could save most; for options one in so many.
_LOOKED_AT = 300
_PAIRED = 5
_BEGUN = 7
#: What a block may begin with is less of it than so much.
_BEGINNING = 0.4
_LEAST = 12
#: So many ops are compared at most when blocks are looked for, however large the network is.
_EFFORT = 150_000


#: A body, and the names and labels of what comes out, if there are several.
Way = tuple[Body, Sequence[tuple[str, str]]]


@dataclass
class Compressor:
    """Makes a tree of a sequence; see `compress`."""

    body: Body
    prices: Prices = PRICES
    rates: Rates | None = None

    def __post_init__(self) -> None:
        self.tree = Tree(self.body)
        self.size = sum(1 for _ in leaves(self.body))
        self.shapes = Shapes()
        self.ways = (self.shapes, Shapes(pixels=True))
        self.words = Words(defaults=choose_defaults(self.tree, self.prices), rates=self.rates)

    def run(self, loops_first: bool) -> Tree:
        """The whole way: blocks, loops, and blocks again of what has become alike."""
        self.gates()
        if loops_first:
            self.loops()
        self.blocks()
        self.loops()
        self.blocks()
        self.tree = lifted(inlined(self.tree), new_key)
        for key, block in self.tree.blocks.items():
            self.words.parameters.setdefault(key, block.parameters)
        return self.tree

    def skips(self) -> None:
        """Blocks that add their input themselves, where that is cheaper."""
        better = True
        while better:
            better = False
            before = self.costs.tree(self.tree)
            for key, tree in with_skips(self.tree):
                for shapes in self.ways:
                    shapes.parameters[key] = tree.blocks[key].parameters
                self.words.parameters[key] = tree.blocks[key].parameters
                made = unwrapped(tree)
                if self.costs.tree(made) < before:
                    self.tree, better = made, True
                    break

    @property
    def looked_at(self) -> int:
        """How many windows are looked at: fewer where each is long to look for."""
        return max(_LEAST, min(_LOOKED_AT, _EFFORT // max(1, self.size)))

    @property
    def costs(self) -> Costs:
        return Costs(self.words, self.prices)

    def loops(self) -> None:
        costs, taste = self.costs, Taste(self.tree)
        self.tree = rolled(self.tree, costs, taste)
        self.tree = over_lists(self.tree, self.shapes, costs, taste)

    def gates(self) -> None:
        """Blocks of what scales its input, first of all: to its channels there it is related."""
        (shapes, *_) = self.ways
        for key, (_, body) in windows(self.tree, shapes).items():
            if gates(body):
                costs, taste = self.costs, Taste(self.tree)
                one = candidate(self.tree, (key,), (exactly,), shapes, costs, taste)
                if one is not None and one.saving > _WORTH:
                    self.apply(one)

    def blocks(self) -> None:
        while (best := self.best_block()) is not None:
            self.apply(best)
            self.skips()
            self.tree = rolled(self.tree, self.costs, Taste(self.tree), ops=False)

    def apply(self, chosen: Candidate) -> None:
        for shapes in self.ways:
            shapes.parameters[chosen.key] = chosen.parameters
        self.tree = applied(self.tree, chosen)
        self.words.parameters[chosen.key] = chosen.parameters

    def best_block(self) -> Candidate | None:
        """The block that saves most, if it saves enough."""
        costs, taste = self.costs, Taste(self.tree)
        best: Candidate | None = None
        for shapes in self.ways:
            for one in (
                *self.plain(shapes, costs, taste),
                *self.optional(shapes, costs, taste),
                *self.begun(shapes, costs, taste),
            ):
                better = one.saving > (best.saving if best else _WORTH)
                if better and not stands_alone(one.shape, self.tree, shapes):
                    best = one
        return best

    def plain(self, shapes: Shapes, costs: Costs, taste: Taste) -> Iterator[Candidate]:
        """Blocks of places that differ in values alone."""
        found = windows(self.tree, shapes)
        worth = {
            key: (count - 1) * sum(1 for _ in leaves(body)) for key, (count, body) in found.items()
        }
        order = sorted(found, key=lambda key: (-worth[key], key))[: self.looked_at]
        for key in order:
            one = candidate(self.tree, (key,), (exactly,), shapes, costs, taste)
            if one is not None:
                yield one

    def begun(self, shapes: Shapes, costs: Costs, taste: Taste) -> Iterator[Candidate]:
        """Blocks of places that are alike but for what some begin with."""
        found = windows(self.tree, shapes)
        size = {key: sum(1 for _ in leaves(body)) for key, (_, body) in found.items()}
        order = sorted(found, key=lambda key: (-found[key][0] * size[key], key))[
            : self.looked_at // _BEGUN
        ]
        for key in order:
            count, body = found[key]
            for start in range(1, len(key) - 1):
                rest = key[start:]
                more = rest in found and found[rest][0] > count
                if (
                    not more
                    or not taste.parts(body[:start], body[start:])
                    or self.ops(body[:start]) >= _BEGINNING * self.ops(body)
                ):
                    continue
                like = (Option(True, body[:start]), *body[start:])

                def fit(body: Body, like: Body = like, shapes: Shapes = shapes) -> Body | None:
                    return fitted(body, like, shapes)

                one = candidate(self.tree, (key, rest), (fit, fit), shapes, costs, taste)
                if one is not None:
                    yield one

    def ops(self, body: Body) -> int:
        """How many ops a sequence is, with those of the blocks that it calls."""
        blocks = self.tree.blocks
        return sum(
            self.ops(blocks[one.target].body) if one.target in blocks else 1 for one in leaves(body)
        )

    def optional(self, shapes: Shapes, costs: Costs, taste: Taste) -> Iterator[Candidate]:
        """Blocks of places that are alike but for a part."""
        groups: dict[tuple[int, ...], Body] = {}
        counts: Counter[tuple[int, ...]] = Counter()
        for body, numbers in shapes.lines(self.tree):
            for start in range(len(body)):
                for end in range(start + 1, min(len(body), start + 3) + 1):
                    part = body[start:end]
                    cell = len(part) == 1 and isinstance(part[0], Tangle)
                    if sum(isinstance(one, Fork) for one in part) != 1 and not cell:
                        continue
                    counts[numbers[start:end]] += 1
                    groups.setdefault(numbers[start:end], part)
        size = {key: sum(1 for _ in leaves(body)) for key, body in groups.items()}
        order = sorted(groups, key=lambda key: (-counts[key] * size[key], key))[
            : self.looked_at // _PAIRED
        ]
        chosen = [(key, groups[key]) for key in order if size[key] > 2]
        for key, other, like in similar(chosen, shapes):
            keys = (key, other)

            def fit(body: Body, like: Body = like, shapes: Shapes = shapes) -> Body | None:
                return fitted(body, like, shapes)

            one = candidate(self.tree, keys, (fit, fit), shapes, costs, taste)
            if one is not None:
                yield one


@dataclass(frozen=True)
class Compressed:
    """A text in the making: what it costs, what it says, and what comes out by which labels."""

    cost: float
    tree: Tree
    words: Words
    outputs: Sequence[tuple[str, str]]


def compress(way: Way, prices: Prices = PRICES) -> Compressed:
    """The shorter good text of two: with loops first, and with blocks first.

    Args:
        way: a network, as it can be written, and the labels of its outputs.
        prices: see `cost`.
    """
    found = []
    body, rates = placed(way[0])
    for loops_first in (False, True):
        maker = Compressor(body, prices, rates)
        tree = maker.run(loops_first)
        words = replace(maker.words, defaults=choose_defaults(tree, prices))
        found.append(Compressed(Costs(words, prices).tree(tree), tree, words, way[1]))
    return min(found, key=lambda one: one.cost)
