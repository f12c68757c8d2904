"""A recipe's YAML tree to a `Recipe`, with every problem located."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError, suggest
from xgraph.ir.document import Entry, Mapping, Scalar, Yaml, describe
from xgraph.recipe import part as parts
from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.cadence import Cadence
from xgraph.recipe.images import EvaluationImages, Images, Pixels, TrainingImages
from xgraph.recipe.optimizers.sgd import Sgd
from xgraph.recipe.recipe import General, Recipe
from xgraph.spec.binding import Given, bind

T = TypeVar("T")

VERSION: Final = 1
UNKNOWN, MISSING, WRONG = CODES = ("XG601", "XG602", "XG603")

#: Sections that name one of several things: `optimizer: {sgd: {momentum: 0.9}}`.
_CHOICES: Final = ("optimizer", "schedule", "regularization", "clip", "loss")
_REQUIRED: Final = ("optimizer", "schedule", "loss", "images")
_SECTIONS: Final = (*_CHOICES, "ema", "images", "every")
#: What sections were called, by what they are called.
_RENAMED: Final = {"average": "ema"}
_GENERAL: Final = tuple(field.name for field in dataclasses.fields(General))
_HEADER: Final = "xgraph_recipe"


def read_recipe(tree: Yaml, text: Source) -> Recipe:
    """The recipe that `tree` says.

    Raises:
        SpecError: XG601 unknown setting, XG602 missing setting, XG603 wrong value.
    """
    problems: list[Diagnostic] = []
    if not isinstance(tree, Mapping):
        raise SpecError(_wrong("a recipe", tree, "a mapping that starts with xgraph_recipe: 1"))
    _check_header(tree, problems)
    known = (_HEADER, *_GENERAL, *_SECTIONS)
    _check_known(tree, "a recipe", known, problems)

    top = Span(text, tree.span.line, tree.span.column)
    general = _bind(General, "the recipe", (e for e in tree if e.key in _GENERAL), top, problems)
    sections: dict[str, Any] = dict.fromkeys(_SECTIONS)
    sections["every"] = Cadence()
    spans = {"recipe": top}
    for entry in tree:
        if entry.key in _SECTIONS:
            spans[entry.key] = entry.key_span
            sections[entry.key] = _section(entry, problems)
    for name in _REQUIRED:
        if tree.get(name) is None:
            problems.append(
                Diagnostic(
                    MISSING,
                    f"the recipe needs '{name}'",
                    top,
                    expected=f"{name}: " + _expected(name),
                    received="nothing",
                )
            )
    optimizer = sections["optimizer"]
    if isinstance(optimizer, Sgd) and optimizer.nesterov and not optimizer.momentum:
        problems.append(
            Diagnostic(
                WRONG,
                "Nesterov's momentum needs momentum",
                spans["optimizer"],
                expected="momentum above 0",
                received="nothing, or 0",
            )
        )
    if optimizer is not None and optimizer.decays and sections["regularization"] is not None:
        problems.append(
            Diagnostic(
                WRONG,
                f"the optimizer '{optimizer.name}' decays weights itself",
                spans["regularization"],
                expected="no 'regularization', or another optimizer",
                received=sections["regularization"].name,
            )
        )
    if problems or general is None:
        raise SpecError(problems)
    settings = {name: getattr(general, name) for name in _GENERAL}
    return Recipe(**settings, **sections, text=text, spans=spans)


def _section(entry: Entry, problems: list[Diagnostic]) -> Any:
    name, node = entry.key, entry.value
    if isinstance(node, Scalar) and node.value is None and name not in _REQUIRED:
        return Cadence() if name == "every" else None  # `ema: null`: none
    if name in _CHOICES:
        return _choice(entry, problems)
    if name == "images":
        return _images(entry, problems)
    return _settings({"ema": Ema, "every": Cadence}[name], f"'{name}'", entry, problems)


def _choice(entry: Entry, problems: list[Diagnostic]) -> Any:
    """`sgd`, `{sgd: {momentum: 0.9}}`, or `{l2: 1e-5}`, which sets the first setting."""
    node, section = entry.value, entry.key
    if isinstance(node, Scalar) and isinstance(node.value, str):
        chosen = Entry(node.value, node.span, Mapping((), node.span))
    elif isinstance(node, Mapping) and len(node.entries) == 1:
        chosen = node.entries[0]
    else:
        problems.append(_wrong(f"'{section}'", node, _expected(section)))
        return None
    options = parts.names(section)
    if chosen.key not in options:
        problems.append(
            Diagnostic(
                UNKNOWN,
                f"there is no {section} '{chosen.key}'",
                chosen.key_span,
                expected="one of " + ", ".join(options),
                hint=suggest(chosen.key, options),
            )
        )
        return None
    return _settings(parts.get(section, chosen.key), f"{section} '{chosen.key}'", chosen, problems)


def _images(entry: Entry, problems: list[Diagnostic]) -> Images | None:
    node = entry.value
    if not isinstance(node, Mapping):
        problems.append(_wrong("'images'", node, _expected("images")))
        return None
    pixels = tuple(field.name for field in dataclasses.fields(Pixels))
    _check_known(node, "'images'", ("train", "evaluate", *pixels), problems)
    parts: dict[str, Any] = {"train": TrainingImages(), "evaluate": EvaluationImages()}
    for part in node:
        if part.key in parts:
            cls = type(parts[part.key])
            parts[part.key] = _settings(cls, f"images '{part.key}'", part, problems)
    given = (part for part in node if part.key in pixels)
    found = _bind(Pixels, "'images'", given, entry.key_span, problems)
    if found is None or None in parts.values():
        return None
    return Images(**parts, pixels=found)


def _settings(cls: type[T], title: str, entry: Entry, problems: list[Diagnostic]) -> T | None:
    """An instance of `cls` from `name: {settings}`, or `name: VALUE` for its first setting."""
    node = entry.value
    if isinstance(node, Mapping):
        return _bind(cls, title, node, entry.key_span, problems)
    if isinstance(node, Scalar) and node.value is not None:
        first = dataclasses.fields(cls)[0].name  # type: ignore[arg-type]
        return _bind(cls, title, [Entry(first, node.span, node)], entry.key_span, problems)
    problems.append(_wrong(title, node, "a mapping of its settings"))
    return None


def _bind(
    cls: type[T], title: str, entries: Iterable[Entry], span: Span, problems: list[Diagnostic]
) -> T | None:
    given = {e.key: Given(e.value.plain(), e.key_span, e.value.span) for e in entries}
    return bind(cls, title, given, span, problems, codes=CODES)


def _check_header(tree: Mapping, problems: list[Diagnostic]) -> None:
    version = tree.get(_HEADER)
    if version is None:
        problems.append(
            Diagnostic(
                MISSING,
                "this is not a recipe: it does not say which version of the language it uses",
                tree.span,
                expected=f"{_HEADER}: {VERSION}",
                received="nothing",
            )
        )
    elif version.plain() != VERSION or version.plain() is True:
        problems.append(_wrong(f"'{_HEADER}'", version, str(VERSION)))


def _check_known(
    node: Mapping, title: str, known: tuple[str, ...], problems: list[Diagnostic]
) -> None:
    for entry in node:
        if entry.key not in known:
            problems.append(
                Diagnostic(
                    UNKNOWN,
                    f"{title} has no setting '{entry.key}'",
                    entry.key_span,
                    expected="one of " + ", ".join(known),
                    hint=_hint(entry.key, known),
                )
            )


def _hint(key: str, known: tuple[str, ...]) -> str | None:
    renamed = _RENAMED.get(key)
    return f"it is called '{renamed}'" if renamed in known else suggest(key, known)


def _expected(section: str) -> str:
    if section == "images":
        return "a mapping with normalize, and train and evaluate where they differ from the input"
    return "one of " + ", ".join(parts.names(section)) + ", with its settings"


def _wrong(title: str, node: Yaml, expected: str) -> Diagnostic:
    return Diagnostic(
        WRONG,
        f"{title} cannot take this value",
        node.span,
        expected=expected,
        received=describe(node),
    )
