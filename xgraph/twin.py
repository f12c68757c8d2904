"""The neutral twin of a compilation: the same network and recipe, saying nothing in its own words.

`xgraph.emit.gate` compares the two programs.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

from xgraph.backend import Compilation
from xgraph.diagnostics import Source, Span, SpecError
from xgraph.ir.document import Entry, Mapping, Sequence, Yaml
from xgraph.passes.elaborate import elaborate
from xgraph.passes.shapes import infer_shapes
from xgraph.spec import expressions
from xgraph.spec.reader import read_program
from xgraph.text import Text

#: Words and paths, which name things and choose between the options of ops: they stay.
_WORD = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_STRING = re.compile(r"'[^']*'|\"[^\"]*\"")


def texts(compilation: Compilation) -> Iterator[str]:
    """All that a spec, its recipe and the settings say in words of their own."""
    yield from (text for text in _texts(compilation.analysis.document) if not _is_plain(text))
    yield from compilation.analysis.settings
    if (recipe := compilation.recipe) is not None:
        yield from (text.raw for text in (recipe.doc, recipe.source) if text)


def neutral(compilation: Compilation) -> Compilation:
    """The twin: every text replaced, equal ones by equal ones, different ones by different ones."""
    analysis, recipe = compilation.analysis, compilation.recipe
    document = _replaced(analysis.document, _Words())  # its recipe is at hand already
    elaborated = elaborate(read_program(document))
    twin = dataclasses.replace(
        analysis,
        document=document,
        elaborated=elaborated,
        types=infer_shapes(elaborated.graph),
        settings=tuple("a setting" for _ in analysis.settings),
    )
    silent = recipe and dataclasses.replace(
        recipe,
        doc=recipe.doc and Text("A text"),
        source=recipe.source and Text("A text"),
    )
    return dataclasses.replace(compilation, analysis=twin, recipe=silent)


class _Words:
    """What stands for each text."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        if _is_plain(text):
            return text
        if _is_expression(text):
            return _STRING.sub(lambda found: f"'{self(found[0][1:-1])}'", text)
        return self.known.setdefault(text, f"Text {len(self.known)}")


def _is_plain(text: str) -> bool:
    return not text.strip() or _WORD.fullmatch(text) is not None


def _is_expression(text: str) -> bool:
    """Whether a text is an expression; a `doc` may have a dollar in it and be none."""
    if not expressions.is_expression(text):
        return False
    try:
        expressions.parse(text, Span(Source("", text), 1, 1, 1))
    except SpecError:
        return False
    return True


def _texts(node: Yaml) -> Iterator[str]:
    """Every text in a document, keys too."""
    pending: list[Yaml] = [node]
    while pending:
        current = pending.pop()
        if isinstance(current, Sequence):
            pending += current.items
        elif isinstance(current, Mapping):
            pending += (entry.value for entry in current)
            yield from current.keys()
        elif isinstance(current.value, str):
            if _is_expression(current.value):
                yield from (found[1:-1] for found in _STRING.findall(current.value))
            else:
                yield current.value


def _replaced(node: Yaml, words: Callable[[str], str]) -> Yaml:
    if isinstance(node, Sequence):
        return Sequence(tuple(_replaced(item, words) for item in node.items), node.span)
    if isinstance(node, Mapping):
        entries = (
            Entry(words(entry.key), entry.key_span, _replaced(entry.value, words)) for entry in node
        )
        return Mapping(tuple(entries), node.span)
    if not isinstance(node.value, str):
        return node
    return dataclasses.replace(node, value=words(node.value))
