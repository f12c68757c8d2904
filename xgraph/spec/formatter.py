"""Specs and recipes in the canonical layout, which says the same in the same words."""

from __future__ import annotations

import math
import re
from collections import Counter

from xgraph.diagnostics import Source
from xgraph.ir.document import Mapping, Scalar, Sequence, Yaml
from xgraph.spec import concrete
from xgraph.spec.form import is_empty
from xgraph.spec.layout import ANY, Form, form_of
from xgraph.spec.loading import load
from xgraph.spec.writer import write_document


class FormatError(Exception):
    """A text would not be what it was: xgraph is at fault."""


def formatted(source: Source) -> str:
    """A spec or recipe in the canonical layout, with its comments; lines end in newlines.

    What is written is read again: it is the same tree, with the same comments, and is its own
    layout.

    Raises:
        SpecError: XG102 to XG112, the text is no sound YAML.
        FormatError: it would not be the same; nothing should be written.
    """
    tree = load(source)
    text = re.sub(r"\r\n?", "\n", source.text.removeprefix("\ufeff"))
    written = _written(text)
    again = load(Source(source.path, written))
    form = form_of(tree.keys()) if isinstance(tree, Mapping) else ANY
    if not same(tree, again, form):
        raise FormatError(f"{source.path} would mean something else when formatted")
    if Counter(concrete.comments(text)) != Counter(concrete.comments(written)):
        raise FormatError(f"{source.path} would have other comments when formatted")
    if _written(written) != written:
        raise FormatError(f"{source.path} would change again when formatted twice")
    return written


def _written(text: str) -> str:
    return write_document(concrete.read(text))


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
