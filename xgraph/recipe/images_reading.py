"""A recipe's `data` and `images` from their trees."""

from __future__ import annotations

import dataclasses
from typing import Any

from xgraph.diagnostics import Diagnostic
from xgraph.ir.document import Entry, Mapping, Sequence, Yaml
from xgraph.recipe.augmentations import AUGMENTATIONS, Augmentation
from xgraph.recipe.images import (
    EvaluationImages,
    Holdout,
    Images,
    Pixels,
    TrainingImages,
    TrainingSize,
)
from xgraph.recipe.mixings import MIXINGS, Mixing
from xgraph.recipe.mixings.base import probabilities
from xgraph.recipe.settings import WRONG, bound, check_known, choice, settings, wrong
from xgraph.recipe.sources import SOURCES, DataSource


def read_data(node: Yaml, problems: list[Diagnostic]) -> tuple[DataSource, ...]:
    """`folder`, `{manifest: {many: true}}`, or a list of such."""
    nodes = node.items if isinstance(node, Sequence) else (node,)
    found = [choice("data", each, SOURCES, problems) for each in nodes]
    names = [source.name for source in found if source]
    if not nodes or len(names) > len(set(names)):
        problems.append(wrong("'data'", node, "each source once, one of " + ", ".join(SOURCES)))
    return tuple(source for source in found if source)


def read_images(entry: Entry, problems: list[Diagnostic]) -> Images | None:
    """The section `images`."""
    node = entry.value
    if not isinstance(node, Mapping):
        expected = "a mapping with normalize, and train and evaluate where they differ"
        problems.append(wrong("'images'", node, expected))
        return None
    before = len(problems)
    pixels = tuple(field.name for field in dataclasses.fields(Pixels))
    check_known(node, "'images'", ("train", "evaluate", "holdout", *pixels), problems)
    parts: dict[str, Any] = {
        "train": TrainingImages(TrainingSize().resize, (AUGMENTATIONS["crop"](),)),
        "evaluate": EvaluationImages(),
        "holdout": None,
    }
    for part in node:
        if part.key == "train":
            parts["train"] = _train(part, problems)
        elif part.key in parts:
            cls = {"evaluate": EvaluationImages, "holdout": Holdout}[part.key]
            parts[part.key] = settings(cls, f"images '{part.key}'", part, problems)
    given = (part for part in node if part.key in pixels)
    found = bound(Pixels, "'images'", given, entry.key_span, problems)
    if found is None or len(problems) > before:
        return None
    return Images(**parts, pixels=found)


def _train(entry: Entry, problems: list[Diagnostic]) -> TrainingImages | None:
    """`resize`, augmentations and mixings by their names; without a crop, a random one."""
    node, title = entry.value, "images 'train'"
    if not isinstance(node, Mapping):
        problems.append(wrong(title, node, "a mapping of resize and augmentations"))
        return None
    check_known(node, title, ("resize", *AUGMENTATIONS, *MIXINGS), problems)
    resize = [part for part in node if part.key == "resize"]
    size = bound(TrainingSize, title, resize, entry.key_span, problems)
    steps: list[Augmentation] = []
    for part in node:
        if part.key in AUGMENTATIONS:
            step = settings(AUGMENTATIONS[part.key], f"{title} '{part.key}'", part, problems)
            steps += [step] if step else []
    crops = [step.name for step in steps if step.is_crop]
    sizing = [*crops, "resize"] if resize and "resized_crop" in crops else crops
    if len(sizing) > 1:
        message = f"{title} cannot have {' and '.join(sizing)} at once"
        problems.append(Diagnostic(WRONG, message, entry.key_span, expected="one of them"))
    if not crops:
        steps.append(AUGMENTATIONS["crop"]())
    mixings = _mixings(node, title, problems)
    if size is None:
        return None
    augmentations = tuple(sorted(steps, key=lambda step: step.stage))
    return TrainingImages(size.resize, augmentations, mixings)


def _mixings(node: Mapping, title: str, problems: list[Diagnostic]) -> tuple[Mixing, ...]:
    """How batches are mixed, whose shares of all batches are none too many."""
    entries = [part for part in node if part.key in MIXINGS]
    read = [settings(MIXINGS[e.key], f"{title} '{e.key}'", e, problems) for e in entries]
    found = [each for each in read if each is not None]
    try:
        probabilities(found)
    except ValueError:
        names = " and ".join(each.name for each in found)
        problems.append(
            Diagnostic(
                WRONG,
                f"{title} has too few batches for {names}",
                entries[-1].key_span,
                expected="probabilities of at most 1 together, and below where one is left open",
                received=", ".join(f"{e.name} {e.probability or 'open'}" for e in found),
            )
        )
    return tuple(sorted(found, key=lambda each: each.stage))
