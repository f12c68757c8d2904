"""A tree as a spec: the plain values that `xgraph.spec.writer` writes down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from xgraph.importing.structure.cost import Words
from xgraph.importing.structure.names import Names, in_order, name_all
from xgraph.importing.structure.settings import settings_of
from xgraph.importing.structure.strands import with_inputs
from xgraph.importing.structure.taste import Taste
from xgraph.importing.structure.tree import (
    ANY,
    Block,
    Body,
    Counted,
    Each,
    Fits,
    Fork,
    Half,
    Item,
    Leaf,
    Nth,
    Option,
    Ref,
    Strand,
    Tangle,
    Tree,
    Turns,
    Variable,
    attributes,
    is_wired,
    kind_of,
)
from xgraph.importing.structure.vary import Vary, in_network
from xgraph.spec.writer import NOTHING

#: The spec's parameter of what rates of stochastic depth grow to.
DROP = "drop"
#: So long may items be that stand on one line.
_WIDTH = 92
#: Items as they are written, and whether others may stand on their line.
Group = tuple[list[Any], bool]


def spec_of(
    name: str,
    tree: Tree,
    words: Words,
    input_shape: Sequence[int],
    outputs: Sequence[tuple[str, str]] = (),
    about: str | None = None,
) -> dict[str, Any]:
    """A spec as plain values.

    Args:
        name: of the spec.
        tree: its blocks and its body.
        words: what need not be said of ops and calls.
        input_shape: (H, W, C).
        outputs: names and the labels of what they are, if there are several.
        about: where it is from.
    """
    return _Text(tree, words).spec(name, input_shape, outputs, about)


def family_of(
    name: str, tree: Tree, words: Words, input_shape: Sequence[int], about: str, count: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A spec of several networks as plain values, and the parameters of each of them.

    Args:
        name: of the spec, which is the first of them without a size.
        tree: their blocks and their body, in which values vary.
        words: what need not be said of ops and calls.
        input_shape: (H, W, C), of the first.
        about: where that is from.
        count: how many there are.
    """
    text = _Text(tree, words, count)
    spec = text.spec(name, input_shape, (), about)
    end = tree.body[-1] if tree.body else None
    params = dict(text.settings.params)
    if "classes" in spec.get("params", {}):
        assert isinstance(end, Leaf)
        params["classes"] = [in_network(end.values[0], k) for k in range(count)]
    if words.rates is not None:
        params[DROP] = [words.rates.most] * count
    each = [{key: values[k] for key, values in params.items()} for k in range(count)]
    if params:
        spec["params"] = each[0]
    return spec, each


class _Text:
    def __init__(self, tree: Tree, words: Words, count: int = 1) -> None:
        self.tree, self.words = tree, words
        self.names: Names = name_all(tree, (DROP,) if words.rates else ())
        self.taste = Taste(tree)
        self.settings = settings_of(
            tree, words.defaults, count, self.names.symbols.values(), self.value
        )
        for symbol in self.settings.depths:
            self.names.symbols[symbol] = self.settings.depth

    def spec(
        self,
        name: str,
        input_shape: Sequence[int],
        outputs: Sequence[tuple[str, str]],
        about: str | None,
    ) -> dict[str, Any]:
        body = self.tree.body or (Leaf("identity"),)
        made: dict[str, Any] = {"xgraph": 1, "name": name}
        if about:
            made["source"] = about
        end = body[-1]
        classes = None
        params: dict[str, Any] = {}
        if isinstance(end, Leaf) and end.target == "dense" and not outputs:
            classes = in_network(end.values[0], 0)
            params["classes"] = classes
        if self.words.rates is not None:
            params[DROP] = self.words.rates.most
        if params:
            made["params"] = params
        made["input"] = {"shape": list(input_shape)}
        if self.words.defaults:
            made["defaults"] = self.defaults()
        if self.tree.blocks:
            made["blocks"] = {
                self.names.blocks[block.key]: self.block(block)
                for block in in_order(self.tree.blocks)
            }
        made["graph"] = self.graph(body, classes)
        if outputs:
            made["outputs"] = dict(outputs)
        return made

    def defaults(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for (op, word), value in self.words.defaults.items():
            found.setdefault(op, {})[word] = self.value(value, word)
        return found

    def block(self, block: Block) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if block.parameters:
            made["params"] = {
                self.names.symbols[one.symbol]: NOTHING
                if one.default is None
                else self.value(one.default, one.word)
                for one in block.parameters
            }
        body = block.body
        if isinstance(body[0], Tangle) and len(body[0].inputs) > 1:
            inputs = self.names.inputs.get(block.key, body[0].inputs)
            made["inputs"] = list(inputs)
            body = (with_inputs(body[0], inputs),)
        made["body"] = self.lines(body)
        return made

    # -- sections and lines -----------------------------------------------------------------------

    def graph(self, body: Body, classes: Any) -> Any:
        """Sections: the stem up to the first unit, the head after the last, the stages between.

        What has names of its own is a section of its own.
        """
        cells = [k for k, item in enumerate(body) if isinstance(item, Tangle)]
        if cells and len(body) > 1:
            parts = {
                **self.sections(body[: cells[0]], "head" if cells[0] == 0 else "body"),
                "cells": body[cells[0] : cells[0] + 1],
                "head": body[cells[0] + 1 :],
            }
        elif cells or len(body) < 8:
            parts = {}
        else:
            parts = self.sections(body, "head")
        if len(parts) < 2:
            return self.lines(body, classes)
        return {
            name: self.lines(part, classes if name == "head" else None)
            for name, part in parts.items()
            if part
        }

    def sections(self, body: Body, last: str) -> dict[str, Body]:
        units = [k for k, item in enumerate(body) if self.is_unit(item)]
        if not units:
            return {"stem": body}
        first, end = units[0], units[-1] + 1
        return {"stem": body[:first], "stages": body[first:end], last: body[end:]}

    def is_unit(self, item: Item) -> bool:
        return not isinstance(item, Leaf) or item.target in self.tree.blocks

    def lines(self, body: Body, classes: Any = None) -> list[Any]:
        """Items, those that belong together on a line."""
        if len(body) == 1 and isinstance(body[0], Tangle):
            return self.strands(body[0].body)
        return _on_lines(self.groups(body, classes))

    def groups(self, body: Body, classes: Any = None) -> list[Group]:
        """Items that are not torn apart, and whether others may stand on their line."""
        return [
            (
                [self.item(item, classes if item is body[-1] else None) for item in chunk],
                all(isinstance(item, Leaf) for item in chunk),
            )
            for chunk in self.chunks(body)
        ]

    def strands(self, body: Body) -> list[Any]:
        """The lines of a tangle, each strand that says what it takes on lines of its own."""
        made: list[Any] = []
        groups: list[Group] = []
        for one in self.unfolded(body):
            if groups and (one.sources or is_wired(one.body[0])):
                made += _on_lines(groups, alone=True)
                groups = []
            groups += self.strand(one)
        return made + _on_lines(groups, alone=True)

    def unfolded(self, body: Body) -> Iterator[Strand]:
        """Strands, and instead of forks that are longer than a line their paths, one by one."""
        number = 0
        for one in body:
            assert isinstance(one, Strand)
            fork = one.body[0]
            if not isinstance(fork, Fork) or not is_wired(fork) or self.fits(fork, one.label):
                yield one
                continue
            names: list[str] = []
            for (path,) in fork.paths:
                assert isinstance(path, Strand)
                if path.body == (Leaf("identity"),):
                    names += path.sources
                    continue
                number += 1
                names.append(f"p{number}")
                yield replace(path, label=names[-1])
            yield Strand((fork.merge,), one.label, tuple(names))

    def fits(self, fork: Fork, label: str | None) -> bool:
        """Whether a fork stands on a line."""
        return len(_flow(self.fork(fork))) + len(label or "") <= _WIDTH

    def strand(self, one: Strand) -> list[Group]:
        """A strand's items, with what the first takes and what the last is called."""
        groups = self.groups(one.body)
        if one.sources:
            if isinstance(one.body[0], Option):  # which may not be there
                groups.insert(0, (["identity"], True))
            items = groups[0][0]
            items[0] = _with(items[0], "from", _one_or_all(one.sources))
        if one.label:
            if not _has_end(one.body):
                groups.append((["identity"], True))
            items = groups[-1][0]
            items[-1] = _named(items[-1], one.label)
        return groups

    def chunks(self, body: Body) -> list[Body]:
        """Items that are not torn apart: an op, with the norm and the activation that follow it."""
        found: list[list[Item]] = []
        for item in body:
            kind = self.taste.kind(item, last=False)
            if (
                isinstance(item, Leaf)
                and kind in ("norm", "act")
                and found
                and isinstance(found[-1][-1], Leaf)
            ):
                found[-1].append(item)
            else:
                found.append([item])
        return [tuple(one) for one in found]

    # -- items ------------------------------------------------------------------------------------

    def item(self, item: Item, classes: Any = None) -> Any:
        if isinstance(item, Leaf):
            return self.leaf(item, classes)
        if isinstance(item, Fork):
            return self.fork(item)
        # Those are a block's or a section's, and their strands.
        assert not isinstance(item, Strand | Tangle)
        if isinstance(item, Turns):
            counts = {} if item.index is None else {"index": self.names.symbols[item.index]}
            return {"repeat": self.turns(item.count), **counts, "body": self.body(item.body)}
        if isinstance(item, Each):
            lists = {self.names.symbols[one.symbol]: self.entries(one) for one in item.variables}
            return {"for": lists, "body": self.body(item.body)}
        return self.option(item)

    def turns(self, count: Any) -> Any:
        """How often a loop turns."""
        less = isinstance(count, Ref) and count.symbol in self.settings.depths
        return f"{self.value(count)} - 1" if less else self.value(count, "count")

    def entries(self, one: Variable) -> Any:
        """The list of a loop's variable."""
        if one.symbol in self.settings.lists:
            return self.settings.lists[one.symbol]
        if one.symbol in self.settings.bases:
            return self.settings.bases[one.symbol][0]
        return [self.value(value, one.word) for value in one.values]

    def option(self, item: Option) -> dict[str, Any]:
        condition = self.value(item.condition)
        if item.other:
            then, other = self.body(item.body), self.body(item.other)
            return {"if": condition, "then": then, "else": other}
        if len(item.body) == 1 and isinstance(item.body[0], Leaf):
            only = self.leaf(item.body[0])
            made: dict[str, Any] = {only: NOTHING} if isinstance(only, str) else only
            return {**made, "when": condition}
        return {"if": condition, "then": self.body(item.body)}

    def body(self, body: Body) -> Any:
        made = self.lines(body)
        return made[0] if len(body) == 1 else made

    def fork(self, item: Fork) -> dict[str, Any]:
        paths, merge = item.paths, item.merge.target
        plain = len(paths) == 2 and paths[0] and not is_wired(item)
        if plain and (not paths[1] or merge == "add"):
            made: dict[str, Any] = {"residual": self.body(paths[0])}
            if paths[1]:
                made["shortcut"] = self.body(paths[1])
            if item.skip is not None:
                made["skip"] = self.condition(item.skip)
            if merge != "add":
                made["merge"] = merge
            return made
        return {"branches": [self.path(path) for path in paths], "merge": merge}

    def condition(self, value: Fits) -> str:
        """Whether what comes out of a block is of the shape of what goes in."""
        same = f"$input.channels == {self.value(value.filters)}"
        return same if value.stride is None else f"{self.value(value.stride)} == 1 and {same}"

    def path(self, path: Body) -> Any:
        if path and isinstance(path[0], Strand):
            made = self.strands(path)
            return made[0] if len(made) == 1 else made
        return self.lines(path)

    def leaf(self, one: Leaf, classes: Any = None) -> Any:
        """A call in its shortest form."""
        if one.target == "stochastic_depth" and self.words.rates is not None:
            return {one.target: self.rate(one.values[0])}
        said = self.said(one)
        target = self.names.blocks.get(one.target, one.target)
        made: dict[str, Any] = {}
        arguments: Any = NOTHING
        if said and self.words.is_short(one):
            ((place, word, value),) = said
            arguments = self.value(value, word)
            if isinstance(arguments, dict):  # which would be taken for arguments
                arguments = {self.word(one, place): arguments}
        elif said:
            arguments = {self.word(one, k): self.value(v, w) for k, w, v in said}
        if classes is not None:
            if isinstance(arguments, dict):
                arguments["units"] = "$classes"
            else:
                arguments = "$classes"
            made["name"] = "classifier"
        if arguments is NOTHING and not made:
            return target
        return {target: arguments, **made}

    def said(self, one: Leaf) -> list[tuple[int, str, Any]]:
        """(place, word, value) of what a call has to say."""
        needed = self.words.places(one)
        if one.target in self.tree.blocks:
            words = [parameter.word for parameter in self.tree.blocks[one.target].parameters]
        else:
            words = [word for word, _ in attributes(one.target)]
        return [(k, words[k], one.values[k]) for k in needed]

    def word(self, one: Leaf, place: int) -> str:
        """What an argument is called."""
        if one.target in self.tree.blocks:
            return self.names.symbols[self.tree.blocks[one.target].parameters[place].symbol]
        return attributes(one.target)[place][0]

    def rate(self, place: Any) -> str:
        """The rate of stochastic depth at a place."""
        assert self.words.rates is not None
        said = str(self.place(place))
        factor = f"({said})" if " + " in said or " - " in said else said
        much = f"${DROP}" if said == "1" else f"${DROP} * {factor}"
        return f"{much} / {self.words.rates.count}"

    def place(self, value: Any) -> Any:
        """A place as a spec says it: what it begins with, and what each turn adds."""
        if isinstance(value, Nth):
            return value.number
        if isinstance(value, Ref):
            name = f"${self.names.symbols[value.symbol]}"
            return _sum([name], value.plus)
        turns, more = [], value
        while isinstance(more, Counted):
            turn = f"${self.names.symbols[more.index]}"
            turns.append(turn if more.by == 1 else f"{more.by} * {turn}")
            more = more.start
        if isinstance(more, Nth):
            return _sum(turns, more.number)
        return _sum([f"${self.names.symbols[more.symbol]}", *turns], more.plus)

    def value(self, value: Any, word: str = "") -> Any:
        """A value as a spec says it."""
        if isinstance(value, Nth | Counted) or (isinstance(value, Ref) and value.plus):
            return self.place(value)
        if isinstance(value, Vary):
            return self.settings.said[kind_of(word), value]
        if isinstance(value, Ref):
            name = f"${self.names.symbols[value.symbol]}"
            if value.symbol in self.settings.bases:
                name = self.settings.bases[value.symbol][1].format(name)
            text = name if value.times == 1 else f"{name} * {value.times}"
            return text if value.over == 1 else f"{text} // {value.over}"
        if isinstance(value, Half):
            return f"{self.value(value.kernel)} // 2"
        if value is ANY:
            raise AssertionError("a value that nothing says")
        if word == "rate":
            return _short(value)
        if word == "kernel_initializer":
            return _initializer(value)
        if not isinstance(value, tuple):
            return value
        if word == "padding":
            axes = [one[0] if one[0] == one[1] else list(one) for one in value]
            if isinstance(axes[0], int) and axes[0] == axes[1]:
                return axes[0]
            return axes if all(isinstance(one, int) for one in axes) else [list(v) for v in value]
        if (
            len(value) == 2
            and value[0] == value[1]
            and word in ("kernel", "stride", "dilation", "size", "scale")
        ):
            return value[0]
        return [self.value(one) for one in value]


def _sum(parts: Sequence[str], more: int) -> str:
    """A sum with a number at its end, if that is not 0."""
    said = " + ".join(parts)
    return said if not more else f"{said} {'+' if more > 0 else '-'} {abs(more)}"


def _on_lines(groups: Sequence[Group], alone: bool = False) -> list[Any]:
    """Groups as lines; a single line is given without a list around it, unless it stays `alone`."""
    made: list[Any] = []
    line: list[Any] = []

    def flush() -> None:
        if line:
            made.append(line[0] if len(line) == 1 else list(line))
        line.clear()

    for items, joins in (part for group in groups for part in _parted(group)):
        if not joins or len(_flow([*line, *items])) > _WIDTH:
            flush()
        line += items
        if not joins:
            flush()
    flush()
    return made[0] if len(made) == 1 and isinstance(made[0], list) and not alone else made


def _parted(group: Group) -> list[Group]:
    """Items of one line, or of several where they do not fit."""
    items, joins = group
    if not joins or len(_flow(items)) <= _WIDTH + len("- "):
        return [group]
    return [([item], True) for item in items]


def _one_or_all(sources: Sequence[str]) -> Any:
    return sources[0] if len(sources) == 1 else list(sources)


def _with(plain: Any, key: str, value: Any) -> dict[str, Any]:
    """An item that says a thing more."""
    made = {plain: NOTHING} if isinstance(plain, str) else dict(plain)
    return {**made, key: value}


def _has_end(body: Body) -> bool:
    """Whether the last item is there in any case, and can have a name."""
    end = body[-1]
    if isinstance(end, Option):
        return bool(end.other) and _has_end(end.body) and _has_end(end.other)
    if isinstance(end, Turns):
        return isinstance(end.count, int) and end.count > 0 and _has_end(end.body)
    return isinstance(end, Leaf | Fork)


def _named(plain: Any, label: str) -> Any:
    """An item with a name; of a loop it is its last item's, for that is what is found after it.

    Of a choice it is the last item's of either.
    """
    if isinstance(plain, list):
        return [*plain[:-1], _named(plain[-1], label)]
    if isinstance(plain, dict) and "if" in plain:
        both = {key: _named(plain[key], label) for key in ("then", "else")}
        return {**plain, **both}
    if isinstance(plain, dict) and "repeat" in plain:
        return {**plain, "body": _named(plain["body"], label)}
    return _with(plain, "name", label)


def _short(number: float) -> float:
    """A rate without what adding up has left at its end."""
    rounded = float(f"{number:.10g}")
    return rounded if abs(rounded - number) < 1e-15 else number


def _initializer(value: str) -> Any:
    """`truncated_normal(0.02)` as specs have it."""
    name, _, number = value.removesuffix(")").partition("(")
    return {name: float(number)} if number else name


def _flow(plain: Any) -> str:
    """About what a value looks like on one line."""
    if isinstance(plain, dict):
        pairs = (f"{k}: {_flow(v)}" if v is not NOTHING else str(k) for k, v in plain.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(plain, list):
        return "[" + ", ".join(map(_flow, plain)) + "]"
    return str(plain)
