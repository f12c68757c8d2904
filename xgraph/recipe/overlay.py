"""`extends` and `--set recipe.KEY=VALUE`: a recipe laid over another.

Both work on YAML trees, before anything is interpreted, so that spans keep pointing at the text
that each part came from.
"""

from __future__ import annotations

from collections.abc import Sequence

from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.ir.document import Entry, Mapping, Scalar, Yaml
from xgraph.recipe.part import KINDS, SINGLE
from xgraph.spec.overlay import Setting, read_setting

#: Sections of settings, which are laid over setting by setting; a value that is a mapping, such as
#: a period, is replaced whole.
_MERGED = {
    *((section,) for section in (*SINGLE, "every", "images")),
    *(("images", "train"), ("images", "evaluate"), ("tune", "rates")),
}
#: Sections that name a part: one is replaced by another, and not laid over it.
_CHOICES = frozenset({*KINDS, "data"}) - SINGLE


def lay_over(base: Mapping, over: Mapping) -> Mapping:
    """`over` laid over `base`: sections setting by setting, all else replaced; `null` removes.

    A section that names a part (`optimizer: {sgd: {momentum: 0.9}}`) is laid over another of the
    same part, and replaces one of another.
    """
    return _laid_over(base, over, ())


def _laid_over(base: Mapping, over: Mapping, path: tuple[str, ...]) -> Mapping:
    lower = {entry.key: entry for entry in base}
    upper = {entry.key: entry for entry in over}
    entries = []
    for key in {**lower, **upper}:
        below, above = lower.get(key), upper.get(key)
        if above is None or below is None:
            entries += [entry for entry in (above, below) if entry is not None]
        else:
            value = _laid(below.value, above.value, (*path, key))
            entries.append(Entry(key, above.key_span, value))
    return Mapping(tuple(e for e in entries if not _is_null(e.value)), over.span)


def _laid(below: Yaml, above: Yaml, path: tuple[str, ...]) -> Yaml:
    part = path[0] in _CHOICES
    if part and len(path) == 1:
        below, above = _as_mapping(below), _as_mapping(above)
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    same_part = below.keys() == above.keys() if len(path) == 1 else len(path) == 2
    if same_part if part else path in _MERGED:
        return _laid_over(below, above, path)
    return above


def _as_mapping(node: Yaml) -> Yaml:
    """`sgd` as `{sgd: {}}`."""
    if isinstance(node, Scalar) and isinstance(node.value, str):
        empty = Mapping((), node.span)
        return Mapping((Entry(node.value, node.span, empty),), node.span)
    return node


def _is_null(node: Yaml) -> bool:
    return isinstance(node, Scalar) and node.value is None


def override(document: Yaml, settings: Sequence[str]) -> Yaml:
    """The recipe with `--set recipe.KEY=VALUE` options laid over it.

    A key is a setting, such as `epochs`, or a dotted path, such as `optimizer.sgd.momentum`.

    Raises:
        SpecError: a setting is malformed; what it sets is checked as the recipe is.
    """
    if not isinstance(document, Mapping):
        return document
    problems: list[Diagnostic] = []
    for text in settings:
        try:
            given = read_setting(text)
            inner = Setting(given.path[1:], given.whole, given.value_text, given.source)
            document = lay_over(document, inner.over(given.value()))
        except SpecError as error:
            problems += error.diagnostics
    if problems:
        raise SpecError(problems)
    return document
