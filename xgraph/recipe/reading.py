"""A recipe's YAML tree to a `Recipe`, with every problem located."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from xgraph.diagnostics import Diagnostic, Source, Span, SpecError
from xgraph.ir.document import Entry, Mapping, Scalar, Sequence, Yaml
from xgraph.recipe import part as parts
from xgraph.recipe.asynchrony.asynchronous import Asynchronous
from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.cadence import Cadence
from xgraph.recipe.distributions.devices import Devices
from xgraph.recipe.images_reading import read_data, read_images
from xgraph.recipe.losses.base import Loss
from xgraph.recipe.optimizers.sgd import Sgd
from xgraph.recipe.recipe import General, Recipe
from xgraph.recipe.settings import (
    MISSING,
    WRONG,
    bound,
    check_known,
    choice,
    one_of_them,
    settings,
    wrong,
)
from xgraph.recipe.sources import SOURCES
from xgraph.recipe.stop import Stop
from xgraph.recipe.tunings.tune import Tune

VERSION: Final = 1
#: Sections that name one of several things: `optimizer: {sgd: {momentum: 0.9}}`.
_CHOICES: Final = ("optimizer", "schedule", "regularization", "clip", "loss")
_REQUIRED: Final = ("optimizer", "schedule", "loss", "images")
_SECTIONS: Final = (
    *(*_CHOICES, "ema", "tune", "devices", "asynchronous"),
    *("data", "images", "every", "stop"),
)
#: Sections whose settings are always the same.
_GROUPS: Final[dict[str, type[Any]]] = {
    "ema": Ema,
    "tune": Tune,
    "devices": Devices,
    "asynchronous": Asynchronous,
    "every": Cadence,
    "stop": Stop,
}
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
        raise SpecError(wrong("a recipe", tree, "a mapping that starts with xgraph_recipe: 1"))
    _check_header(tree, problems)
    known = (_HEADER, "extends", *_GENERAL, *_SECTIONS)
    check_known(tree, "a recipe", known, problems, _RENAMED)

    top = Span(text, tree.span.line, tree.span.column)
    general = bound(General, "the recipe", (e for e in tree if e.key in _GENERAL), top, problems)
    sections: dict[str, Any] = dict.fromkeys(_SECTIONS)
    sections |= {"every": Cadence(), "data": (SOURCES["folder"](),)}
    spans = {"recipe": top}
    for entry in tree:
        if entry.key in _SECTIONS:
            spans[entry.key] = entry.key_span
            sections[entry.key] = _section(entry, problems)
            if entry.key == "tune":
                spans |= _spans_of_parts(entry.value)
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
    if general is not None:
        problems += _accumulated(general, tree)
    problems += _many_labels(sections, spans)
    problems += _frozen_with_a_rate(sections, spans)
    problems += _balanced_twice(sections, spans)
    problems += _mixed_on_devices(sections, spans)
    if general is not None:
        problems += _asynchronous(general, sections, spans)
    if problems or general is None:
        raise SpecError(problems)
    given = {name: getattr(general, name) for name in _GENERAL}
    return Recipe(**given, **sections, text=text, spans=spans)


def _accumulated(general: General, tree: Mapping) -> list[Diagnostic]:
    """Micro-batches that are not parts of the batch, or whose gradients are scaled each alone."""
    entries = {entry.key: entry.key_span for entry in tree}
    if general.batch_size % general.accumulation:
        return [
            Diagnostic(
                WRONG,
                "the images of an update cannot be shared out among so many micro-batches",
                entries["accumulation"],
                expected=f"a divisor of batch_size, {general.batch_size}",
                received=str(general.accumulation),
            )
        ]
    if general.accumulation > 1 and general.precision == "float16":
        return [
            Diagnostic(
                WRONG,
                "float16 does not go with accumulation: Keras leaves out a micro-batch whose "
                "gradients overflow, others the whole update",
                entries["accumulation"],
                expected="precision: bfloat16, or no accumulation",
                received="both",
            )
        ]
    return []


def _many_labels(sections: dict[str, Any], spans: dict[str, Span]) -> list[Diagnostic]:
    """A loss of one label for images that may have many."""
    loss, sources = sections["loss"], sections["data"] or ()
    if loss is None or loss.many or not any(source.many_labels for source in sources):
        return []
    losses = parts.named("loss").values()
    many = [one.name for one in losses if issubclass(one, Loss) and one.many]
    return [
        Diagnostic(
            WRONG,
            f"the loss '{loss.name}' takes one label, and images may have many",
            spans["loss"],
            expected="a loss of many labels: " + ", ".join(many),
            received=loss.name,
        )
    ]


def _balanced_twice(sections: dict[str, Any], spans: dict[str, Span]) -> list[Diagnostic]:
    """Class weights that are balanced for images that are drawn so that all classes are equal."""
    loss, images = sections["loss"], sections["images"]
    if loss is None or loss.class_weights != "balanced":
        return []
    if images is None or not images.pixels.balanced:
        return []
    return [
        Diagnostic(
            WRONG,
            "classes are balanced twice, by 'images' and by the class weights of 'loss'",
            spans["loss"],
            expected="class weights, or images that are balanced",
            received="both",
        )
    ]


def _mixed_on_devices(sections: dict[str, Any], spans: dict[str, Span]) -> list[Diagnostic]:
    """Images that are mixed with others of their batch, which another device may have."""
    devices, images = sections["devices"], sections["images"]
    if devices is None or images is None or not images.train.mixings:
        return []
    return [
        Diagnostic(
            WRONG,
            "images are mixed with others of their batch, which is shared out among devices",
            spans["devices"],
            expected="no "
            + " and no ".join(mixing.name for mixing in images.train.mixings)
            + ", or no 'devices'",
            received="both",
        )
    ]


def _asynchronous(
    general: General, sections: dict[str, Any], spans: dict[str, Span]
) -> list[Diagnostic]:
    """Workers that would have to wait for each other."""
    if sections["asynchronous"] is None:
        return []
    beside = (
        (
            sections["devices"] is not None,
            "with 'devices' all share a batch and wait for each other",
            "'devices' or 'asynchronous'",
        ),
        (
            general.accumulation > 1,
            "an update is by the gradients of one batch, which a worker has as a whole",
            "a smaller batch_size, or no 'asynchronous'",
        ),
        (
            general.precision == "float16",
            "in float16, a scale of the loss follows all updates, and workers do not",
            "precision: bfloat16, or no 'asynchronous'",
        ),
    )
    span = spans["asynchronous"]
    return [
        Diagnostic(WRONG, message, span, expected=expected, received="both")
        for there, message, expected in beside
        if there
    ]


def _spans_of_parts(node: Yaml) -> dict[str, Span]:
    """Where each part of a model is named, as `tune.freeze.NAME` and `tune.rates.NAME`."""
    if not isinstance(node, Mapping):
        return {}
    frozen, rates = node.get("freeze"), node.get("rates")
    items = frozen.items if isinstance(frozen, Sequence) else ()
    return {
        **{f"tune.freeze.{item.plain()}": item.span for item in items},
        **{
            f"tune.rates.{entry.key}": entry.key_span
            for entry in (rates if isinstance(rates, Mapping) else ())
        },
    }


def _frozen_with_a_rate(sections: dict[str, Any], spans: dict[str, Span]) -> list[Diagnostic]:
    """The same part as one that is not trained and one that has a rate."""
    tune: Tune | None = sections["tune"]
    if tune is None:
        return []
    return [
        Diagnostic(
            WRONG,
            f"'{part}' is frozen, and has a rate",
            spans[f"tune.rates.{part}"],
            expected="one of both; a part of a frozen part may have a rate",
            received=f"{part}: {tune.factors[part]:g}",
        )
        for part in tune.frozen
        if part in tune.factors
    ]


def _section(entry: Entry, problems: list[Diagnostic]) -> Any:
    name, node = entry.key, entry.value
    if isinstance(node, Scalar) and node.value is None and name not in (*_REQUIRED, "data"):
        return Cadence() if name == "every" else None  # `ema: null`: none
    if name in _CHOICES:
        return choice(name, node, parts.named(name), problems)
    if name == "data":
        return read_data(node, problems)
    if name == "images":
        return read_images(entry, problems)
    return settings(_GROUPS[name], f"'{name}'", entry, problems)


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
        problems.append(wrong(f"'{_HEADER}'", version, str(VERSION)))


def _expected(section: str) -> str:
    if section == "images":
        return "a mapping with normalize, and train and evaluate where they differ from the input"
    return one_of_them(parts.names(section))
