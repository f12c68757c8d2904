"""A recipe as the values of train.py that are the same in every framework."""

from __future__ import annotations

from typing import Any

from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.prose import number
from xgraph.recipe.recipe import Recipe
from xgraph.recipe.schedule_plan import schedule_function, steps
from xgraph.text import docstring_lines, prose
from xgraph.wrapping import broken


def train_values(recipe: Recipe, facts: ModelFacts) -> dict[str, Any]:
    """Values that the shared parts of train.py (`emit/templates/train`) ask for."""
    said = [prose(text) for text in (recipe.doc,) if text]
    said += [f"Source: {prose(text)}." for text in (recipe.source,) if text]
    every = recipe.every
    return {
        "title": f"Train {facts.name} with the recipe {recipe.name}.",
        "doc": [*docstring_lines(" ".join(said), 99), ""] if said else [],
        "schedule": schedule_function(recipe.schedule),
        "cadence": ", ".join(steps(p) for p in (every.log, every.evaluate, every.checkpoint)),
    }


def recipe_constants(recipe: Recipe) -> list[str]:
    """The recipe's numbers as module constants, those that it has."""
    lines = [f"EPOCHS = {recipe.epochs:_}", f"BATCH_SIZE = {recipe.batch_size:_}"]
    if recipe.optimizer.momentum:
        lines.append(f"MOMENTUM = {number(recipe.optimizer.momentum)}")
    if recipe.regularization:
        lines.append(f"L2 = {number(recipe.regularization.rate)}")
    if recipe.average:
        lines.append(f"AVERAGE_DECAY = {number(recipe.average.decay)}")
    if recipe.loss.label_smoothing:
        lines.append(f"LABEL_SMOOTHING = {number(recipe.loss.label_smoothing)}")
    return [*lines, f'PRECISION = "{recipe.precision}"']


def metric_constants(recipe: Recipe, facts: ModelFacts) -> list[str]:
    """The number of classes, the k of every top-k accuracy, and where a run goes by default."""
    pairs = (f'"top{k}": {min(k, facts.classes)}' for k in recipe.metrics)
    output = broken(f'OUTPUT = Path("runs/{facts.name}")')
    return [f"CLASSES = {facts.classes}", f"TOP_K = {{{', '.join(pairs)}}}", *output]
