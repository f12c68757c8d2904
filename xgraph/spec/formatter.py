"""Specs and recipes in the canonical layout, which says the same in the same words."""

from __future__ import annotations

import math
import re

from xgraph.diagnostics import Diagnostic, Source, SpecError, printable
from xgraph.ir.document import Mapping, Scalar, Sequence, Yaml, describe
from xgraph.spec import concrete
from xgraph.spec.form import is_empty
from xgraph.spec.layout import ANY, Form, form_of
from xgraph.spec.loading import load
from xgraph.spec.writer import write_document


class FormatError(Exception):
    """A text would not be what it was: xgraph is at fault."""


def formatted(source: Source) -> str:
    """A spec or recipe in the canonical layout, with its comments; lines end in newlines.

    Raises:
        SpecError: XG102 to XG112, the text is no sound YAML; XG113, it is no spec and no recipe.
        FormatError: see `laid_out`.
    """
    tree = load(source)
    if not is_known(tree):
        raise SpecError(
            Diagnostic(
                "XG113",
                "this is neither a spec nor a recipe",
                tree.span,
                expected="a mapping that says xgraph: 1, extends or xgraph_recipe: 1",
                received="one of other keys" if isinstance(tree, Mapping) else describe(tree),
            )
        )
    return laid_out(source, tree)


def is_known(tree: Yaml) -> bool:
    """Whether a tree is that of a spec or a recipe."""
    return isinstance(tree, Mapping) and form_of(tree.keys()) is not ANY


def laid_out(source: Source, tree: Yaml) -> str:
    """A text that has been loaded as `tree` in the canonical layout, whatever it is of.

    What is written is read again: it must be the same tree, with the same comments, and be its own
    layout.

    Raises:
        SpecError: XG102, with lines of their own its parts take more room than a file may.
        FormatError: it is not, and nothing should be written.
    """
    text = re.sub(r"\r\n?", "\n", source.text.removeprefix("\ufeff"))
    name = printable(source.path, 200)
    try:
        written, comments = _written(text)
        again = load(Source(source.path, written))
        twice, comments_again = _written(written)
    except SpecError as error:
        if error.diagnostics[0].code == "XG102":  # lines of its own are longer than one
            raise
        reason = error.diagnostics[0].message
        raise FormatError(f"{name} could not be read when formatted: {reason}") from None
    form = form_of(tree.keys()) if isinstance(tree, Mapping) else ANY
    if not same(tree, again, form):
        raise FormatError(f"{name} would say something else when formatted")
    if sorted(comments) != sorted(comments_again):
        raise FormatError(f"{name} would have other comments when formatted")
    if twice != written:
        raise FormatError(f"{name} would change again when formatted twice")
    return written


def _written(text: str) -> tuple[str, list[str]]:
    """A text in the canonical layout, and the comments that it had before."""
    document, comments = concrete.read(text)
    return write_document(document), comments


def same(one: Yaml, other: Yaml, form: Form = ANY) -> bool:
    """Whether two trees say the same: equal values, and keys in an order that means the same."""
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one.items) == len(other.items) and all(
            same(a, b, form.item()) for a, b in zip(one.items, other.items, strict=True)
        )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        ours, theirs = (sorted(m.entries, key=lambda e: form.rank(e.key)) for m in (one, other))
        return len(ours) == len(theirs) and all(
            a.key == b.key and same(a.value, b.value, form.at(a.key))
            for a, b in zip(ours, theirs, strict=True)
        )
    if isinstance(one, Scalar) and isinstance(other, Scalar):
        a, b = one.value, other.value
        if isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b):
            return True
        return type(a) is type(b) and a == b and is_empty(one) == is_empty(other)
    return False
