"""A recipe as the values of train.py that are the same in every framework."""

from __future__ import annotations

import hashlib
from typing import Any

from xgraph.diagnostics import Diagnostic, SpecError
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.metrics import Metric
from xgraph.recipe.mixings.base import probabilities
from xgraph.recipe.part import Part
from xgraph.recipe.prose import number
from xgraph.recipe.recipe import Recipe
from xgraph.recipe.schedules.base import PYTHON, Words, steps
from xgraph.recipe.stop import Stop
from xgraph.text import docstring, docstring_lines, prose
from xgraph.wrapping import LINE, broken


def parts(recipe: Recipe) -> tuple[Part, ...]:
    """The parts of a recipe that change what an update is, in the order in which they act."""
    chosen = (
        *(recipe.devices, recipe.asynchronous, recipe.tune, recipe.loss, recipe.clip),
        *(recipe.regularization, recipe.optimizer, recipe.ema),
    )
    return tuple(part for part in chosen if part is not None)


def train_values(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """Values that every backend's train.py.jinja asks for.

    Raises:
        SpecError: XG603, the loss has weights of another number of classes.
    """
    _check_weights(recipe, facts)
    every = recipe.every
    return {
        "opening": _opening(recipe, facts),
        "constants": _constants(recipe, facts),
        "schedule_doc": _schedule_doc(recipe),
        "schedule": _returned(schedule_lines(recipe, PYTHON)),
        "cadence": [
            "return " + ", ".join(steps(p) for p in (every.log, every.evaluate, every.checkpoint))
        ],
        "optimizer_doc": docstring(optimizer_said(recipe)),
        "many_labels": recipe.loss.many,
        "limits": _limits(recipe, facts),
        "metric_names": metric_names(recipe),
        "facts": _facts(recipe, facts),
    }


def _check_weights(recipe: Recipe, facts: ModelFacts) -> None:
    weights = recipe.loss.class_weights
    if isinstance(weights, tuple) and len(weights) != facts.classes:
        raise SpecError(
            Diagnostic(
                "XG603",
                "'loss' has weights of another number of classes than the model gives logits for",
                recipe.spans["loss"],
                expected=f"{facts.classes} numbers, one per class",
                received=str(len(weights)),
            )
        )


def _limits(recipe: Recipe, facts: ModelFacts) -> list[str]:
    """What ends a run early, and how long evaluation cannot be relied on, as arguments."""
    stop = recipe.stop or Stop()
    hours = number(stop.hours) if stop.hours else None
    # Where training has another loss, or statistics do not move, evaluation says nothing of them.
    frozen = recipe.tune is not None and recipe.tune.frozen
    settling = None if frozen or recipe.loss.class_weights is not None else facts.settling
    if settling:  # statistics move with every micro-batch
        settling = -(-settling // recipe.accumulation)
    given = {"patience": stop.patience, "hours": hours, "settling": settling}
    if recipe.accumulation > 1:
        given["micro_batches"] = "ACCUMULATION"
    return [f"{name}={value}," for name, value in given.items() if value is not None]


def _opening(recipe: Recipe, facts: ModelFacts) -> list[str]:
    """The beginning of the docstring of train.py."""
    title = docstring_lines(f"Train {facts.name} with the recipe {recipe.name}.", LINE - 3)
    said = [prose(text) for text in (recipe.doc,) if text]
    said += [f"Source: {prose(text)}." for text in (recipe.source,) if text]
    doc = ["", *docstring_lines(" ".join(said), LINE - 1)] if said else []
    return [f'"""{title[0]}', *title[1:], *doc]


def schedule_said(recipe: Recipe) -> str:
    """The schedule in words."""
    warmup = recipe.schedule.warmup
    return recipe.schedule.said + (f"; from 0 over {warmup.first}" if warmup else "")


def _schedule_doc(recipe: Recipe) -> list[str]:
    """The schedule in words, as a docstring."""
    said = [f"Rate of update `step`, from 0: {recipe.schedule.said}."]
    if warmup := recipe.schedule.warmup:
        said.append(f"It is approached in a straight line from 0 over {warmup.first}.")
    return docstring(*said)


def schedule_lines(recipe: Recipe, words: Words) -> list[str]:
    """Lines that make `rate` of `step` and `plan`."""
    schedule = recipe.schedule
    lines = [f"rate = {schedule.formula(words)}"]
    if schedule.warmup is not None:
        share = f"{words.minimum}(1.0, (step + 1) / warmup)"
        lines += [f"warmup = {steps(schedule.warmup)}", f"rate = rate * {share}"]
    return lines


def _returned(lines: list[str]) -> list[str]:
    """Lines that end in `rate = …`, returning it instead."""
    return [*lines[:-1], "return " + lines[-1].removeprefix("rate = ")]


def optimizer_said(recipe: Recipe) -> str:
    """The optimizer and what goes with it, as a sentence."""
    beside = [part.said for part in (recipe.regularization, recipe.clip) if part is not None]
    return ", ".join([recipe.optimizer.said, *beside]) + "; the rate is given to every update."


def _settings(recipe: Recipe) -> dict[str, str]:
    """The parts' settings as constants: name → source of the value."""
    accumulation = {"ACCUMULATION": str(recipe.accumulation)} if recipe.accumulation > 1 else {}
    of_parts = {name: value for part in parts(recipe) for name, value in part.constants.items()}
    return accumulation | of_parts


def _constants(recipe: Recipe, facts: ModelFacts) -> list[str]:
    return [
        f"EPOCHS = {recipe.epochs:_}",
        f"BATCH_SIZE = {recipe.batch_size:_}",
        f"LEARNING_RATE = {number(recipe.schedule.peak)}",
        *(line for pair in _settings(recipe).items() for line in broken(" = ".join(pair))),
        "",
        f"CLASSES = {facts.classes}",
        *metric_constants(recipe, facts),
        *broken(f'OUTPUT = Path("runs/{facts.name}")'),
    ]


def metric_constants(recipe: Recipe, facts: ModelFacts) -> list[str]:
    """The k of each metric by the metric's name, for those that there are."""
    lines = []
    for kind in metric_kinds(recipe):
        pairs = [f'"{m}": {min(m.k, facts.classes)}' for m in recipe.metrics if isinstance(m, kind)]
        lines.append(f"{kind.constant()} = {{{', '.join(pairs)}}}")
    return lines


def metric_kinds(recipe: Recipe) -> tuple[type[Metric], ...]:
    """What is measured, whatever k is."""
    return tuple(dict.fromkeys(type(metric) for metric in recipe.metrics))


def metric_names(recipe: Recipe) -> str:
    """The names of what an evaluation gives, as items of a tuple."""
    kinds = metric_kinds(recipe)
    return ", ".join(['"loss"', *(f"*{kind.constant()}" for kind in kinds)])


def _facts(recipe: Recipe, facts: ModelFacts) -> list[str]:
    """What a run that is resumed must have begun with, as entries of a dictionary.

    They are the same in every framework, so that a run may go on in another.
    """
    images = hashlib.sha256(repr((recipe.data, recipe.images)).encode()).hexdigest()
    words = {
        "spec": facts.name,
        "network": facts.digest[:16],
        "recipe": recipe.name,
        "schedule": schedule_said(recipe),
        "optimizer": recipe.optimizer.said,
        "loss": recipe.loss.said,
        "image_settings": images[:16],
        "precision": recipe.precision,
    }
    mixings = recipe.images.train.mixings
    if mixings:
        pairs = zip(mixings, probabilities(mixings), strict=True)
        words["mixing"] = "; ".join(
            f"{each.name}, alpha {number(each.alpha)}, of {number(share)}" for each, share in pairs
        )
    return [
        *(f'"{name}": "{text}",' for name, text in words.items()),
        *(f'"{name}": {name},' for name in _settings(recipe)),
    ]
