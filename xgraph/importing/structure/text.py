"""A tree as a spec: the plain values that `xgraph.spec.writer` writes down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xgraph.importing.structure.cost import Words
from xgraph.importing.structure.names import Names, in_order, name_all
from xgraph.importing.structure.taste import Taste
from xgraph.importing.structure.tree import (
    ANY,
    Block,
    Body,
    Each,
    Fork,
    Half,
    Item,
    Leaf,
    Option,
    Ref,
    Tangle,
    Tree,
    Turns,
    attributes,
)
from xgraph.spec.writer import NOTHING

#: So long may items be that stand on one line.
_WIDTH = 92


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


class _Text:
    def __init__(self, tree: Tree, words: Words) -> None:
        self.tree, self.words = tree, words
        self.names: Names = name_all(tree)
        self.taste = Taste(tree)

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
        if isinstance(end, Leaf) and end.target == "dense" and not outputs:
            classes = end.values[0]
            made["params"] = {"classes": classes}
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
        made["body"] = self.lines(block.body)
        return made

    # -- sections and lines -----------------------------------------------------------------------

    def graph(self, body: Body, classes: Any) -> Any:
        """Sections: the stem up to the first unit, the head after the last, the stages between."""
        units = [k for k, item in enumerate(body) if self.is_unit(item)]
        if not units or isinstance(body[0], Tangle) or len(body) < 8:
            return self.lines(body, classes)
        first, last = units[0], units[-1] + 1
        parts = {"stem": body[:first], "stages": body[first:last], "head": body[last:]}
        return {
            name: self.lines(part, classes if name == "head" else None)
            for name, part in parts.items()
            if part
        }

    def is_unit(self, item: Item) -> bool:
        return not isinstance(item, Leaf) or item.target in self.tree.blocks

    def lines(self, body: Body, classes: Any = None) -> list[Any]:
        """Items, those that belong together on a line."""
        if len(body) == 1 and isinstance(body[0], Tangle):
            body = body[0].body
        made: list[Any] = []
        line: list[Any] = []

        def flush() -> None:
            if line:
                made.append(line[0] if len(line) == 1 else list(line))
            line.clear()

        for chunk in self.chunks(body):
            items = [self.item(item, classes if item is body[-1] else None) for item in chunk]
            plain = all(isinstance(item, Leaf) for item in chunk)
            if line and any(isinstance(one, Leaf) and one.sources for one in chunk[:1]):
                flush()
            if not plain or len(_flow([*line, *items])) > _WIDTH:
                flush()
            line += items
            if not plain:
                flush()
        flush()
        return made[0] if len(made) == 1 and isinstance(made[0], list) else made

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
        assert not isinstance(item, Tangle)  # each is a block's, or the whole network
        if isinstance(item, Turns):
            return {"repeat": self.value(item.count), "body": self.body(item.body)}
        if isinstance(item, Each):
            lists = {
                self.names.symbols[one.symbol]: [self.value(v, one.word) for v in one.values]
                for one in item.variables
            }
            return {"for": lists, "body": self.body(item.body)}
        return self.option(item)

    def option(self, item: Option) -> dict[str, Any]:
        condition = self.value(item.condition)
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
        if len(paths) == 2 and paths[0] and (not paths[1] or merge == "add"):
            made: dict[str, Any] = {"residual": self.body(paths[0])}
            if paths[1]:
                made["shortcut"] = self.body(paths[1])
            if merge != "add":
                made["merge"] = merge
            return made
        return {"branches": [self.path(path) for path in paths], "merge": merge}

    def path(self, path: Body) -> Any:
        if not path:
            return []
        return self.lines(path)

    def leaf(self, one: Leaf, classes: Any = None) -> Any:
        """A call in its shortest form."""
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
        if one.label:
            made["name"] = one.label
        if one.sources:
            made["from"] = one.sources[0] if len(one.sources) == 1 else list(one.sources)
        if arguments is NOTHING and not made:
            return target
        order = {key: made[key] for key in ("from", "name") if key in made}
        return {target: arguments, **order}

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

    def value(self, value: Any, word: str = "") -> Any:
        """A value as a spec says it."""
        if isinstance(value, Ref):
            name = f"${self.names.symbols[value.symbol]}"
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
