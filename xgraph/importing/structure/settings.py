"""What varies in a family as parameters of its spec, and as expressions of those.

| what varies | what it becomes |
|---|---|
| channels, all multiples of the least | `width`, and `$width * 2` |
| channels, all near others times a factor | `width`, and `make_divisible(24 * $width)` |
| turns of loops | `depth`, or a list `depths` |
| a list of a loop of which entries vary | a list, as the loop's variable |
| the units of the last layer | `classes` |
| anything else | a parameter that is called as the attribute |
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xgraph.importing.structure.tree import (
    Body,
    Each,
    Fork,
    Item,
    Leaf,
    Option,
    Ref,
    Tree,
    Turns,
    attributes,
    inside,
    kind_of,
)
from xgraph.importing.structure.vary import Lists, Vary, in_network
from xgraph.spec.expressions import make_divisible

#: Factors of widths that sizes of families have, the usual ones first.
_FACTORS: Final = (
    1.0, 0.25, 0.35, 0.5, 0.75, 1.1, 1.2, 1.25, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.2, 2.5, 3.0, 4.0,
    0.1, 0.125, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9, 4.3, 5.3, 6.0, 8.0,
)  # fmt: skip
#: So many numbers show that one factor is behind them.
_SHOWN = 2
#: From so many parameters of one kind on they are a list.
_MANY = 3
_PLURAL = {"count": "depths", "channels": "widths", "rate": "rates"}
_SINGLE = {"count": "depth", "channels": "width"}


@dataclass
class Settings:
    """What a family's spec says of what varies.

    Attributes:
        params: the values of each parameter, network by network.
        said: how a value that varies is said, by its kind.
        lists: how the list of a loop is said that is a parameter.
        bases: lists of a loop that hold numbers before they are scaled, and how those then are.
        depths: variables that count what stands before a loop too: the loop turns one time less.
        depth: what such a variable is called.
    """

    params: dict[str, list[Any]] = field(default_factory=dict)
    said: dict[tuple[str, Vary], str] = field(default_factory=dict)
    lists: dict[int, str] = field(default_factory=dict)
    bases: dict[int, tuple[list[int], str]] = field(default_factory=dict)
    depths: set[int] = field(default_factory=set)
    depth: str = "depth"


@dataclass(frozen=True)
class _Seen:
    """What varies: single values, lists with their symbols, and the classes.

    `depths` are the variables of loops that turn as often behind one that stands before them.
    """

    single: Sequence[tuple[str, str, Vary]]  # what it would be called, its word, itself
    lists: Sequence[tuple[int, str, str, tuple[Any, ...]]]
    answer: Vary | None
    depths: frozenset[int]


def settings_of(
    tree: Tree,
    defaults: Mapping[tuple[str, str], Any],
    count: int,
    taken: Collection[str],
    plain: Callable[[Any, str], Any],
) -> Settings:
    """The parameters of a family.

    Args:
        tree: its spec in the making.
        defaults: values of attributes that it says once.
        count: how many networks it is of.
        taken: names that no parameter may have.
        plain: a value as a spec says it, with the word of its attribute.
    """
    return _Maker(tree, defaults, count, taken, plain).made


class _Maker:
    def __init__(
        self,
        tree: Tree,
        defaults: Mapping[tuple[str, str], Any],
        count: int,
        taken: Collection[str],
        plain: Callable[[Any, str], Any],
    ) -> None:
        self.count, self.taken, self.plain = count, set(taken) | {"classes"}, plain
        self.made = Settings()
        seen = _seen(tree, defaults)
        self.channels(seen)
        self.lists(seen)
        self.singles(seen)
        if self.made.depths:
            self.made.depth = self.name("times" if "depth" in self.taken else "depth")
        if seen.answer is not None:
            self.made.said.setdefault(("channels", seen.answer), "$classes")

    def name(self, word: str) -> str:
        name, number = word, 1
        while name in self.taken:
            number += 1
            name = f"{word}_{number}"
        self.taken.add(name)
        return name

    # -- channels ---------------------------------------------------------------------------------

    def channels(self, seen: _Seen) -> None:
        """One `width` for all channels, if it is behind them."""
        found: dict[Vary, None] = {}
        for _, word, vary in seen.single:
            if kind_of(word) == "channels":
                found[vary] = None
        for _, kind, _, values in seen.lists:
            if kind == "channels":
                found.update((value, None) for value in values if isinstance(value, Vary))
        several = list(found)
        if len(several) < _SHOWN:
            return
        longest = max(
            (len(values) for _, kind, _, values in seen.lists if kind == "channels"), default=0
        )
        if longest <= _MANY and self.multiples(several):
            return
        if not self.factors(several, seen) and longest > _MANY:
            self.multiples(several)

    def multiples(self, several: Sequence[Vary]) -> bool:
        """All as multiples of the least of them."""
        least = min(several, key=lambda one: one.values)
        times = [_times(least, one) for one in several]
        if None in times:
            return False
        name = self.name("width")
        self.made.params[name] = list(least.values)
        for one, factor in zip(several, times, strict=True):
            self.made.said["channels", one] = f"${name}" if factor == 1 else f"${name} * {factor}"
        return True

    def factors(self, several: Sequence[Vary], seen: _Seen) -> bool:
        """All as what is near others times a factor."""
        widths = next(_widths([vary.values for vary in several]), None)
        if widths is None:
            return False
        name = self.name("width")
        self.made.params[name] = list(widths)
        for one in several:
            form, base = next(_based(one.values, widths))
            self.made.said["channels", one] = form.said(base, name)
        for symbol, kind, _, values in seen.lists:
            if kind != "channels" or not any(isinstance(value, Vary) for value in values):
                continue
            for form in _FORMS:
                found = [self.base(value, widths, form) for value in values]
                bases = [one for one in found if one is not None]
                if len(bases) == len(values):
                    self.made.bases[symbol] = bases, form.said("{}", name)
                    break
        return True

    def base(self, value: Any, widths: Sequence[float], form: _Form) -> int | None:
        """What a number of channels is for a factor of 1, in this form."""
        values = [in_network(value, k) for k in range(self.count)]
        return next((base for one, base in _based(values, widths) if one is form), None)

    # -- lists and all else -----------------------------------------------------------------------

    def lists(self, seen: _Seen) -> None:
        for symbol, kind, word, values in seen.lists:
            if symbol in self.made.bases or symbol in self.made.lists:
                continue
            said = all((kind, v) in self.made.said for v in values if isinstance(v, Vary))
            if said and not isinstance(values[0], Lists):
                continue
            more = int(symbol in seen.depths)
            entries = [
                [self.plain(v, word) for v in _entries(values, k)] for k in range(self.count)
            ]
            entries = [[value + 1 for value in one] for one in entries] if more else entries
            name = next((n for n, known in self.made.params.items() if known == entries), None)
            if name is None:
                name = self.name(_plural(kind, word))
                self.made.params[name] = entries
            self.made.lists[symbol] = f"${name}"
            if more:
                self.made.depths.add(symbol)

    def singles(self, seen: _Seen) -> None:
        """What is left: a parameter for each, or a list where there are many of a kind."""
        groups: dict[tuple[str, str], dict[Vary, str]] = {}
        known: set[tuple[str, Vary]] = set(self.made.said)
        for title, word, vary in seen.single:
            kind = kind_of(word)
            if (kind, vary) not in known:
                known.add((kind, vary))
                groups.setdefault((kind, _SINGLE.get(kind, title)), {})[vary] = word
        for (kind, title), found in groups.items():
            values = [
                [self.plain(vary.values[k], word) for vary, word in found.items()]
                for k in range(self.count)
            ]
            if len(found) >= (2 if kind == "count" else _MANY):
                word = next(iter(found.values()))
                name = self.name(_plural(kind, word))
                self.made.params[name] = values
                for place, vary in enumerate(found):
                    self.made.said[kind, vary] = f"${name}[{place}]"
                continue
            for place, vary in enumerate(found):
                name = self.name(title)
                self.made.params[name] = [one[place] for one in values]
                self.made.said[kind, vary] = f"${name}"


def _plural(kind: str, word: str) -> str:
    """What a list of such values is called."""
    return _PLURAL.get(kind) or (word if word.endswith("s") else f"{word}s")


# -- forms of channels ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """How channels follow from a factor."""

    text: str
    number: Callable[[int, float], int]

    def said(self, base: object, name: str) -> str:
        return self.text.format(base=base, name=name)


#: The second is for last layers, which are as wide in smaller sizes as in that of factor 1.
_FORMS: Final = (
    _Form("make_divisible({base} * ${name})", lambda base, width: make_divisible(base * width)),
    _Form(
        "make_divisible({base} * max(${name}, 1))",
        lambda base, width: make_divisible(base * max(width, 1)),
    ),
)


def _widths(channels: Sequence[Sequence[Any]]) -> Iterator[tuple[float, ...]]:
    """Factors, one for each network, that are behind all these channels, the usual ones first.

    If one of the networks may have a factor of 1, it has.
    """
    if any(type(number) is not int for values in channels for number in values):
        return
    count = len(channels[0])

    def more(order: Sequence[int], widths: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
        if len(widths) == count:
            yield tuple(widths[order.index(k)] for k in range(count))
            return
        so_far = order[: len(widths) + 1]
        for width in _FACTORS:
            wider = (*widths, width)
            if all(any(_based([values[k] for k in so_far], wider)) for values in channels):
                yield from more(order, wider)

    for plain in range(count):
        order = [plain, *(k for k in range(count) if k != plain)]
        if all(any(_based([values[plain]], (1.0,))) for values in channels):
            yield from more(order, (1.0,))
    yield from more(range(count), ())


def _based(values: Sequence[int], widths: Sequence[float]) -> Iterator[tuple[_Form, int]]:
    """The forms in which channels follow from one number by these factors, and that number."""
    for form in _FORMS:
        for base in _bases(values[0], widths[0], form):
            pairs = zip(values, widths, strict=True)
            if all(form.number(base, width) == value for value, width in pairs):
                yield form, base


def _bases(value: int, width: float, form: _Form) -> list[int]:
    """Numbers of which one times a factor is this, those first that are near."""
    meant = value / (max(width, 1.0) if "max" in form.text else width)
    near = [base for base in range(8, int(meant * 1.3) + 8, 8) if base >= meant * 0.7]
    found = [base for base in near if form.number(base, width) == value]
    return sorted(found, key=lambda base: (base != value, abs(base - meant), base))


def _times(least: Vary, one: Vary) -> int | None:
    """How many times another value one is, in each network."""
    pairs = list(zip(least.values, one.values, strict=True))
    if any(type(value) is not int for pair in pairs for value in pair):
        return None
    a, b = pairs[0]
    times = b // a if a else 0
    return times if times and all(y == x * times for x, y in pairs) else None


# -- what varies ----------------------------------------------------------------------------------


def _entries(values: tuple[Any, ...], number: int) -> Sequence[Any]:
    """A loop's list in one of the networks."""
    (first, *_) = values
    if isinstance(first, Lists):
        return first.values[number]
    return [in_network(value, number) for value in values]


def _seen(tree: Tree, defaults: Mapping[tuple[str, str], Any]) -> _Seen:
    """Everything that varies, in the order of the text."""
    single: list[tuple[str, str, Vary]] = []
    lists: list[tuple[int, str, str, tuple[Any, ...]]] = []
    for (_, word), value in defaults.items():
        if isinstance(value, Vary):
            single.append((word, word, value))
    bodies = []
    for block in tree.blocks.values():
        for one in block.parameters:
            if isinstance(one.default, Vary):
                single.append((one.word, one.word, one.default))
        bodies.append(block.body)
    last = tree.body[-1] if tree.body else None
    answer: Vary | None = None
    depths: set[int] = set()
    for body in (*bodies, tree.body):
        for item in _items(body):
            if isinstance(item, Each):
                depths.add(_one_more(item) or 0)
                for variable in item.variables:
                    if any(isinstance(value, Vary | Lists) for value in variable.values):
                        lists.append(
                            (
                                variable.symbol,
                                kind_of(variable.word),
                                variable.word,
                                variable.values,
                            )
                        )
            for word, value in _values(item, tree):
                if not isinstance(value, Vary):
                    continue
                if item is last and word == "units":
                    answer = value
                else:
                    dropout = isinstance(item, Leaf) and item.target == "dropout"
                    single.append(("dropout" if dropout else word, word, value))
    return _Seen(single, lists, answer, frozenset(depths))


def _one_more(item: Each) -> int | None:
    """The variable that says how often a block is called again right behind its call."""
    counted = [one for one in _items(item.body) if isinstance(one, Turns)]
    for before, loop in zip(item.body, item.body[1:], strict=False):
        if not isinstance(loop, Turns) or counted != [loop] or not isinstance(before, Leaf):
            continue
        same = [one.target for one in loop.body if isinstance(one, Leaf)] == [before.target]
        if same and len(loop.body) == 1 and isinstance(loop.count, Ref):
            return loop.count.symbol
    return None


def _items(body: Body) -> Iterator[Item]:
    for item in body:
        yield item
        for inner in inside(item):
            yield from _items(inner)
        if isinstance(item, Fork):
            yield item.merge


def _values(item: Item, tree: Tree) -> Iterator[tuple[str, Any]]:
    """The values of an item itself, with their words."""
    if isinstance(item, Turns):
        yield "count", item.count
    elif isinstance(item, Option):
        yield "condition", item.condition
    elif isinstance(item, Leaf) and item.target in tree.blocks:
        parameters = tree.blocks[item.target].parameters
        yield from zip((one.word for one in parameters), item.values, strict=True)
    elif isinstance(item, Leaf):
        yield from zip((word for word, _ in attributes(item.target)), item.values, strict=True)
