"""What varies in a family as parameters of its spec, and as expressions of those.

| what varies | what it becomes |
|---|---|
| channels, all multiples of the least | `width`, and `$width * 2` |
| channels, all a multiple of eight near others times a factor | `width`, and `make_divisible(24 * $width)` |
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
    Tree,
    Turns,
    attributes,
    inside,
    kind_of,
)
from xgraph.importing.structure.vary import Lists, Vary, in_network
from xgraph.spec.expressions import make_divisible

#: Factors of widths that sizes of families have.
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
    """

    params: dict[str, list[Any]] = field(default_factory=dict)
    said: dict[tuple[str, Vary], str] = field(default_factory=dict)
    lists: dict[tuple[Any, ...], str] = field(default_factory=dict)
    bases: dict[int, tuple[list[int], str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Seen:
    """What varies: single values with their kinds, lists with their symbols, and the classes."""

    single: Sequence[tuple[str, str, Vary]]
    lists: Sequence[tuple[int, str, str, tuple[Any, ...]]]
    answer: Vary | None


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
        for _, kind, vary in seen.single:
            if kind == "channels":
                found[vary] = None
        for _, kind, _, values in seen.lists:
            if kind == "channels":
                found.update((value, None) for value in values if isinstance(value, Vary))
        several = list(found)
        if len(several) >= _SHOWN and not self.multiples(several):
            self.factors(several, seen)

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

    def factors(self, several: Sequence[Vary], seen: _Seen) -> None:
        """All as what is near others times a factor, which is 1 for one of the networks."""
        for base in range(self.count):
            widths = [_factor(several, base, k) for k in range(self.count)]
            if None not in widths:
                break
        else:
            return
        name = self.name("width")
        known = [width for width in widths if width is not None]
        self.made.params[name] = known
        for one in several:
            form = next(form for form in _FORMS if _fits(one, base, known, form))
            self.made.said["channels", one] = form.said(one.values[base], name)
        for symbol, kind, _, values in seen.lists:
            if kind != "channels" or not any(isinstance(value, Vary) for value in values):
                continue
            for form in _FORMS:
                if all(_fits(value, base, known, form) for value in values):
                    bases = [in_network(value, base) for value in values]
                    self.made.bases[symbol] = bases, form.said("{}", name)
                    break

    # -- lists and all else -----------------------------------------------------------------------

    def lists(self, seen: _Seen) -> None:
        for symbol, kind, word, values in seen.lists:
            if symbol in self.made.bases or values in self.made.lists:
                continue
            if all((kind, v) in self.made.said for v in values if isinstance(v, Vary)):
                if not isinstance(values[0], Lists):
                    continue
            name = self.name(_PLURAL.get(kind, f"{word}s"))
            self.made.lists[values] = f"${name}"
            self.made.params[name] = [
                [self.plain(value, word) for value in _entries(values, k)]
                for k in range(self.count)
            ]

    def singles(self, seen: _Seen) -> None:
        """What is left: a parameter for each, or a list where there are many of a kind."""
        groups: dict[str, dict[Vary, str]] = {}
        for word, kind, vary in seen.single:
            if (kind, vary) not in self.made.said:
                groups.setdefault(kind, {}).setdefault(vary, word)
        for kind, found in groups.items():
            values = [
                [self.plain(vary.values[k], word) for vary, word in found.items()]
                for k in range(self.count)
            ]
            if len(found) >= (2 if kind == "count" else _MANY):
                word = next(iter(found.values()))
                name = self.name(_PLURAL.get(kind, f"{word}s"))
                self.made.params[name] = values
                for place, vary in enumerate(found):
                    self.made.said[kind, vary] = f"${name}[{place}]"
                continue
            for place, (vary, word) in enumerate(found.items()):
                name = self.name(_SINGLE.get(kind, word))
                self.made.params[name] = [one[place] for one in values]
                self.made.said[kind, vary] = f"${name}"


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


def _fits(value: Any, base: int, widths: Sequence[float], form: _Form) -> bool:
    """Whether channels follow from those of one network by the factors of all."""
    least = in_network(value, base)
    return type(least) is int and all(
        in_network(value, k) == form.number(least, width) for k, width in enumerate(widths)
    )


def _factor(several: Sequence[Vary], base: int, number: int) -> float | None:
    """The factor that all channels of one network are those of another times."""
    for width in _FACTORS:
        if all(
            any(form.number(v.values[base], width) == v.values[number] for form in _FORMS)
            for v in several
            if type(v.values[base]) is int
        ):
            return width
    return None


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
            single.append((word, kind_of(word), value))
    bodies = []
    for block in tree.blocks.values():
        for one in block.parameters:
            if isinstance(one.default, Vary):
                single.append((one.word, kind_of(one.word), one.default))
        bodies.append(block.body)
    last = tree.body[-1] if tree.body else None
    answer: Vary | None = None
    for body in (*bodies, tree.body):
        for item in _items(body):
            if isinstance(item, Each):
                for variable in item.variables:
                    if any(isinstance(value, Vary | Lists) for value in variable.values):
                        lists.append(
                            (variable.symbol, kind_of(variable.word), variable.word, variable.values)
                        )
            for word, value in _values(item, tree):
                if not isinstance(value, Vary):
                    continue
                if item is last and word == "units":
                    answer = value
                else:
                    single.append((word, kind_of(word), value))
    return _Seen(single, lists, answer)


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
