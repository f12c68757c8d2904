"""The neutral twin of a compilation: the same network and recipe, saying nothing in its own words.

`xgraph.emit.gate` compares the two programs.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import itertools
import re
import string
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from xgraph.backend import Compilation
from xgraph.ir.elaborated import Elaborated
from xgraph.ir.structure import Program, Value
from xgraph.ops import Op
from xgraph.passes.elaborate import elaborate
from xgraph.passes.shapes import infer_shapes
from xgraph.recipe.kinds import COLUMN
from xgraph.recipe.sources import DataSource
from xgraph.recipe.tunings.tune import Tune
from xgraph.spec import expressions
from xgraph.spec.expressions import Expression
from xgraph.text import Text

T = TypeVar("T")
#: Words may be parts of names, in which other words stand for them.
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_NEXT = str.maketrans(string.ascii_lowercase, string.ascii_lowercase[1:] + "a")


def texts(compilation: Compilation) -> Iterator[str]:
    """All that a spec, its recipe and the settings say in words of their own.

    Options of ops are none of them.
    """
    found: dict[str, None] = {}

    def said(text: str) -> str:
        found[text] = None
        return text

    _Rewriting(said, _kept(compilation.analysis.elaborated)).of(
        compilation.analysis.elaborated.program
    )
    yield from found
    yield from compilation.analysis.settings
    if (recipe := compilation.recipe) is not None:
        yield from (text.raw for text in (recipe.doc, recipe.source) if text)
        yield from (text for source in recipe.data for text in _columns(source).values())
        if recipe.tune is not None:
            yield from (*recipe.tune.frozen, *recipe.tune.factors)


def neutral(compilation: Compilation) -> Compilation:
    """The twin: every text replaced, equal ones by equal ones, different ones by different ones.

    Texts are only ever compared, so that it is the same network. A text is as long in code as what
    stands for it, so that the two programs are wrapped at the same places.
    """
    analysis, recipe = compilation.analysis, compilation.recipe
    program = analysis.elaborated.program
    kept = _kept(analysis.elaborated)
    elaborated = elaborate(_Rewriting(_Words(kept), kept).of(program))
    twin = dataclasses.replace(
        analysis,
        elaborated=elaborated,
        types=infer_shapes(elaborated.graph),
        settings=tuple("a setting" for _ in analysis.settings),
    )
    silent = recipe and dataclasses.replace(
        recipe,
        doc=recipe.doc and Text("A text"),
        source=recipe.source and Text("A text"),
        data=tuple(_silent(source) for source in recipe.data),
        tune=recipe.tune and _elsewhere(recipe.tune),
    )
    return dataclasses.replace(compilation, analysis=twin, recipe=silent)


def _columns(source: DataSource) -> dict[str, str]:
    """What a source of images says in words of its own, by setting; a default is in ours."""
    given = {f.name: (getattr(source, f.name), f.default) for f in dataclasses.fields(source)
             if f.metadata["kind"] is COLUMN}  # fmt: skip
    return {name: text for name, (text, usual) in given.items() if text != usual}


def _silent(source: DataSource) -> DataSource:
    return dataclasses.replace(source, **{k: "a" * len(v) for k, v in _columns(source).items()})


def _elsewhere(tune: Tune) -> Tune:
    """Other parts of a model, in each other as these are: their letters moved along."""
    frozen = tuple(part.translate(_NEXT) for part in tune.frozen)
    rates = tuple((part.translate(_NEXT), rate) for part, rate in tune.factors.items())
    return dataclasses.replace(tune, freeze=frozen or None, rates=rates or None)


class _Words:
    """What stands for each text."""

    def __init__(self, kept: frozenset[str]) -> None:
        self.kept = kept
        self.known: dict[str, str] = {}
        self.used: set[str] = set()

    def __call__(self, text: str) -> str:
        if not text:
            return text
        if text not in self.known:
            length = len(text.encode("unicode_escape")) + text.count('"')
            self.known[text] = self.word(text) if _WORD.fullmatch(text) else self.fresh(length)
        return self.known[text]

    def word(self, text: str) -> str:
        """Another word of the same form, for each word another one: its letters moved along."""
        text = text.translate(_NEXT)
        while text in self.kept:
            text = text.translate(_NEXT)
        return text

    def fresh(self, length: int) -> str:
        """A text of this length that is not in use: `T`, `Te`, …, `Text___`, `Text___1` …"""
        base = ("Text" + "_" * length)[:length]
        numbers = (
            base[: length - len(n)] + n for n in map(str, itertools.count()) if len(n) < length
        )
        short = map("".join, itertools.product(string.ascii_uppercase, repeat=length))
        for candidate in itertools.chain([base], numbers if length > 6 else short):
            if candidate not in self.used:
                self.used.add(candidate)
                return candidate
        return self.fresh(length + 1)


class _Rewriting:
    """A structure with each of its texts replaced; what is shared stays shared."""

    def __init__(self, replace: Callable[[str], str], kept: frozenset[str]) -> None:
        self.replace = replace
        self.kept = kept
        self.known: dict[int, Any] = {}

    def of(self, node: T) -> T:
        """A dataclass of `xgraph.ir.structure`, or a container of them."""
        if id(node) not in self.known:
            self.known[id(node)] = self.made(node)
        found: T = self.known[id(node)]
        return found

    def made(self, node: Any) -> Any:
        if isinstance(node, Text):
            return Text(self.replace(node.raw))
        if isinstance(node, Value):
            return Value(self.content(node.content), node.span)
        if isinstance(node, tuple):
            return tuple(map(self.of, node))
        if isinstance(node, dict):
            return {key: self.of(part) for key, part in node.items()}
        if type(node).__module__ != Program.__module__:
            return node  # a name, a number, a place
        parts = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
        return type(node)(**{name: self.of(part) for name, part in parts.items()})

    def content(self, content: Any) -> Any:
        """What a value holds."""
        if isinstance(content, Expression):
            return expressions.with_texts(content, self.word)
        if isinstance(content, dict):
            return {self.word(key): self.of(part) for key, part in content.items()}
        return self.word(content) if isinstance(content, str) else self.of(content)

    def word(self, said: str) -> str:
        """A text that may be more than prose."""
        return said if said in self.kept else self.replace(said)


@functools.lru_cache(1)  # asked for once for each backend
def _kept(elaborated: Elaborated) -> frozenset[str]:
    """What means something where it stands, and stays: options of ops, and keys that are read."""
    ops = {type(node.op) for node in elaborated.graph.nodes}
    return _keys_that_are_read(elaborated.program).union(*map(_options, ops))


def _options(op: type[Op]) -> frozenset[str]:
    """The words that attributes of an op may be said with."""
    found: set[str] = set()

    def look(schema: Any) -> None:
        if isinstance(schema, list):
            for part in schema:
                look(part)
        elif isinstance(schema, dict):
            found.update(word for word in schema.get("enum", ()) if isinstance(word, str))
            found.update(schema.get("properties", ()))
            look(list(schema.values()))

    for field in dataclasses.fields(op):
        if "kind" in field.metadata:
            look(field.metadata["kind"].schema())
    return frozenset(found)


def _keys_that_are_read(program: Program) -> frozenset[str]:
    """What stands behind the dots of expressions: `$row.kernelSize` needs the key as it is."""
    found: set[str] = set()

    def look(node: Any) -> None:
        if isinstance(node, Expression):
            found.update(n.attr for n in ast.walk(node.tree) if isinstance(n, ast.Attribute))
        elif isinstance(node, tuple):
            for part in node:
                look(part)
        elif isinstance(node, dict):
            look(tuple(node.values()))
        elif type(node).__module__ == Program.__module__:
            look(tuple(getattr(node, field.name) for field in dataclasses.fields(node)))

    look(program)
    return frozenset(found)
