"""Whether a model has what a recipe freezes, or gives a rate of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from xgraph.diagnostics import Diagnostic, SpecError, suggest

if TYPE_CHECKING:
    from xgraph.ir.analysis import Analysis
    from xgraph.recipe.recipe import Recipe
    from xgraph.recipe.tunings.tune import Tune


def check_tuning(recipe: Recipe, analysis: Analysis) -> None:
    """Every part that `tune` names must have weights, and some weight must be trained.

    Raises:
        SpecError: XG603, one diagnostic for each part that has none.
    """
    tune = recipe.tune
    if tune is None:
        return
    graph, types = analysis.graph, analysis.types
    layers = {
        node.name: node.op.weights(tuple(types[i] for i in node.inputs))
        for node in graph.nodes
        if not node.shares
    }
    names = [name for name, weights in layers.items() if weights]
    known = list(dict.fromkeys(part for name in names for part in _around(name)))
    problems = [
        Diagnostic(
            "XG603",
            f"the model has no weights in '{part}'",
            recipe.spans[f"tune.{setting}.{part}"],
            expected="a part of the model that has weights: a layer, or what layers are in",
            received=f"'{part}'",
            hint=_hint(part, names, known),
        )
        for setting, part in _named(tune)
        if part not in known
    ]
    trained = (
        name
        for name, weights in layers.items()
        if tune.factor(name) and any(weight.trainable for weight in weights)
    )
    if not problems and next(trained, None) is None:
        problems = [
            Diagnostic(
                "XG603",
                "nothing of the model is left to train",
                recipe.spans["tune"],
                expected="a layer that is not frozen",
                received="all of them frozen",
            )
        ]
    if problems:
        raise SpecError(problems)


def _named(tune: Tune) -> Iterator[tuple[str, str]]:
    """(setting, part) of every part that is named."""
    yield from (("freeze", part) for part in tune.frozen)
    yield from (("rates", part) for part in tune.factors)


def _around(name: str) -> Iterator[str]:
    """The parts that a layer is in, from the outermost, and itself."""
    path = name.split(".")
    return (".".join(path[:end]) for end in range(1, len(path) + 1))


def _hint(part: str, names: list[str], known: list[str]) -> str | None:
    """The layer of a weight, the turns of a part that is repeated, or what is called almost so."""
    layer, _, word = part.rpartition(".")
    if layer in names and not any(name.startswith(f"{layer}.") for name in names):
        return f"it is the whole layer that counts: '{layer}', not its '{word}'"
    for repeated in _called(_TURN.sub("", part), known):
        if turns := _turns(repeated, known):
            every = f"'{repeated}.{turns[0]}' to '{repeated}.{turns[-1]}'"
            return f"'{repeated}' is repeated: its turns are {every}"
    close = suggest(part, known)
    inner = _called(part, known)
    return f"did you mean '{inner[0]}'?" if len(inner) == 1 and close is None else close


#: What somebody writes behind the name of a part that is repeated, for one of its turns.
_TURN = re.compile(r"[._]?[0-9]+$")


def _called(name: str, known: list[str]) -> list[str]:
    """The parts of this name, whatever they are in."""
    return [part for part in known if f".{part}".endswith(f".{name}")]


def _turns(part: str, known: list[str]) -> list[int]:
    """The numbers of a part's turns, in order; of one that is not repeated, none."""
    inner = (other.removeprefix(f"{part}.") for other in known if other.startswith(f"{part}."))
    return sorted(int(word) for word in inner if word.isdecimal())
