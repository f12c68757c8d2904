"""A recipe's parts as the pieces of train.py, the same way in every backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xgraph.emit.contributions import Contribution
from xgraph.emit.source import indented
from xgraph.recipe import Recipe
from xgraph.recipe.asynchrony.asynchronous import Asynchronous
from xgraph.recipe.facts import ModelFacts
from xgraph.recipe.metrics import Metric
from xgraph.recipe.part import Part
from xgraph.recipe.prose import number
from xgraph.recipe.train_values import metric_kinds, parts
from xgraph.text import docstring
from xgraph.wrapping import INDENT, LINE

_LIBRARY = Path(__file__).parent / "library"
#: Its files that every training program has.
_AS_THEY_ARE = ("run.py", "arguments.py", "checkpoint.py", "event_file.py", "inference.py")


@dataclass(frozen=True)
class Spellings:
    """How a framework says what a recipe may have.

    Attributes:
        parts: by a part's class, from the part to what it adds.
        precisions: by name.
        shares: the losses that are said otherwise where images are mixed, and labels may be shares
            of classes; as `parts`.
        accumulation: what gradients that are means over micro-batches add.
        placed: what dropout adds where devices share a batch, by the place in which masks are.
        measures: metrics, by class.
    """

    parts: Mapping[type[Any], Callable[[Any], Contribution]]
    precisions: Mapping[str, Contribution]
    shares: Mapping[type[Any], Callable[[Any], Contribution]]
    accumulation: Contribution
    measures: Mapping[type[Metric], Measure]
    placed: Contribution = field(default_factory=Contribution)

    def of(self, part: Part, mixed: bool = False) -> Contribution:
        """What one part adds; `mixed`: to a program that mixes images.

        Raises:
            KeyError: the framework does not know how to say it.
        """
        table = self.shares if mixed and type(part) in self.shares else self.parts
        return table[type(part)](part)


def contribution(recipe: Recipe, facts: ModelFacts, spellings: Spellings) -> Contribution:
    """What all that a recipe has adds to train.py together.

    The precision is first: gradients are what they should be before a part reads them.
    """
    mixed = bool(recipe.images.train.mixings)
    added = _ALWAYS + spellings.precisions[recipe.precision]
    if recipe.accumulation > 1:
        added += spellings.accumulation
    for part in parts(recipe):
        added += spellings.of(part, mixed)
    if recipe.devices is not None and facts.drops:
        added += spellings.placed
    return added + _DROPOUT if facts.drops else added


def balanced_lines(own: str) -> tuple[str, ...]:
    """How a run gets the class weights of its training images, a fact of it; `own` keeps them."""
    return (
        "class_weights = data.balanced_weights(run.dataset.source.labels)",
        own,
        'facts = {**run.recipe.facts, "class_weights": class_weights}',
        "run.recipe = replace(run.recipe, facts=facts)",
    )


def asynchronous(part: Asynchronous) -> Contribution:
    """How a run has workers, in every framework."""
    bound = "" if part.staleness is None else f", staleness={part.staleness}"
    return Contribution(
        places={
            "usage": (
                "",
                "With a server and four workers, which Ray starts:",
                "    python train.py --data DIR --output RUN --processes 4",
            ),
            "start": (f"asynchronously(start{bound})",),
            "run": ("AsyncRun",),
            "apart": ("",),
            "arguments": (
                'parser.add_argument("--processes", type=positive, help="workers; default: none")',
            ),
        }
    )


def losses(added: Contribution, batches: str) -> dict[str, Any]:
    """Lines before the loop over the losses of all updates, and what it is over.

    Args:
        added: what the recipe adds.
        batches: the line that makes `batches` on this device.
    """
    here = "updates(training, batches, run.plan, run.step)"
    if not added.at("apart"):
        return {"losses": [batches], "each_loss": here}
    lines = [
        "if run.arguments.processes:",
        "    losses = run.updates(training, keys)",
        "else:",
        *indented([batches, f"losses = {here}"]),
    ]
    return {"losses": lines, "each_loss": "losses"}


def replicas_lines(count: str) -> tuple[str, ...]:
    """How the number of those that share a batch, an expression, becomes a fact of a run."""
    return (
        f'facts = {{**run.recipe.facts, "replicas": {count}}}',
        "run.recipe = replace(run.recipe, facts=facts)",
    )


#: A checkpoint's names of the weights.
_ALWAYS = Contribution(definitions=frozenset({"named"}))
#: The masks of dropout follow from how many it has drawn.
_DROPOUT = Contribution(
    definitions=frozenset({"passes", "set_passes"}),
    places={
        "state": ('"dropout.passes": passes(self.model),',),
        "load": ('set_passes(self.model, state["dropout.passes"])',),
    },
)


def static_files(folder: Path, recipe: Recipe) -> dict[str, str]:
    """The files of a training program that are the same for every spec, by name."""
    own, paths = folder / "training", {name: _LIBRARY / name for name in _AS_THEY_ARE}
    paths["loader.py"] = own / "loader.py"
    if recipe.devices is not None:
        paths |= {"shared_run.py": _LIBRARY / "shared_run.py", "processes.py": own / "processes.py"}
        if (other := own / "shared_loader.py").exists():
            paths["loader.py"] = other
    if recipe.asynchronous is not None:
        paths |= {"async_run.py": _LIBRARY / "async_run.py", "exchange.py": own / "exchange.py"}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items()}


def state_lines(copied: str, made: list[str]) -> list[str]:
    """Lines that return a state.

    Args:
        copied: the expression that copies all slots.
        made: entries for what is in no slot.
    """
    if not made:
        return [f"return {copied}"]
    line = f"return {{**{copied}, {' '.join(made).removesuffix(',')}}}"
    if len(line) <= LINE - 2 * len(INDENT):
        return [line]
    return ["return {", f"    **{copied},", *(f"    {line}" for line in made), "}"]


def evaluate_doc(facts: ModelFacts) -> list[str]:
    """What `evaluate` gives, as the docstring of a method."""
    (main, _), *others = facts.outputs
    alone = f", of the output `{main}` alone" if others else ""
    return docstring(f"Loss and accuracy of all images{alone}.", depth=2)


def loss_values(
    added: Contribution, facts: ModelFacts, tensor: str, said: str, mean: str
) -> dict[str, Any]:
    """Functions of logits and labels that return a batch's loss.

    Args:
        added: what the recipe adds. At `loss` is the body of the loss of one output, after what is
            done to its `logits`; at `weighted` that of the one that training minimizes, which is
            given `class_weights` besides, where there are such.
        facts: what is trained: where outputs are several, their losses have weights.
        tensor: what the framework calls an array.
        said: what the loss of an image is.
        mean: what is made of those of a batch.
    """
    (_, main_weight), *others = facts.outputs
    weighted = bool(others) or main_weight not in (None, 1)
    trained = added.at("weighted")
    names = loss_names(bool(trained), weighted)
    logits, labels = f"logits: {tensor}", f"labels: {tensor}"
    more = [f"class_weights: {tensor}"] if trained else []
    before = added.at("logits")
    loss = loss_lines(
        names[0], [logits, labels], tensor, f"{said}, {mean}", [*before, *added.at("loss")]
    )
    if trained:
        about = f"{said} by class weights, {mean}"
        loss += ["", ""]
        loss += loss_lines(names[1], [logits, labels, *more], tensor, about, [*before, *trained])
    if weighted:
        given = f"outputs: dict[str, {tensor}]" if others else logits
        one = 'outputs["{}"]' if others else "logits"
        passed = ", class_weights" if trained else ""
        terms = [
            (f"{names[1]}({one.format(output)}, labels{passed})", weight)
            for output, weight in facts.loss_weights
        ]
        loss += ["", "", *weighted_loss([given, labels, *more], tensor, terms)]
    return {"loss": loss, "evaluation_loss": names[0], "evaluate_doc": evaluate_doc(facts)}


def loss_names(class_weights: bool, weighted: bool) -> tuple[str, str]:
    """The names of the loss of one output, in evaluation and in training.

    What is minimized in the end, the sum of the outputs' by their weights or that of the only one,
    is always the `loss_function`.
    """
    trained = "weighted_cross_entropy" if class_weights else "cross_entropy"
    trained = trained if weighted else "loss_function"
    return ("cross_entropy" if class_weights else trained), trained


def loss_lines(
    name: str, parameters: list[str], tensor: str, said: str, lines: list[str]
) -> list[str]:
    """A function that returns a loss."""
    doc = docstring(f"{said[0].upper()}{said[1:]}.")
    return [*_head(name, parameters, tensor), *indented([*doc, *lines])]


def _head(name: str, parameters: list[str], result: str) -> list[str]:
    """A function's first line, opened where it is too long."""
    line = f"def {name}({', '.join(parameters)}) -> {result}:"
    if len(line) <= LINE:
        return [line]
    inner = f"{INDENT}{', '.join(parameters)}"
    several = [inner] if len(inner) <= LINE else [f"{INDENT}{each}," for each in parameters]
    return [f"def {name}(", *several, f") -> {result}:"]


def weighted_loss(parameters: list[str], tensor: str, terms: list[tuple[str, float]]) -> list[str]:
    """The function whose value is minimized: the sum of expressions times weights."""
    first, *others = (
        term if weight == 1 else f"{number(weight)} * {term}" for term, weight in terms
    )
    said = (
        "the outputs' cross entropies by their weights"
        if others
        else "the cross entropy by its weight"
    )
    return [
        *_head("loss_function", parameters, tensor),
        f'    """What training minimizes: {said}."""',
        *([f"    loss = {first}"] if others else [f"    return {first}"]),
        *(f"    loss = loss + {term}" for term in others[:-1]),
        *(f"    return loss + {term}" for term in others[-1:]),
    ]


@dataclass(frozen=True)
class Hits:
    """Lines that make `hits` (B, k): of each image's best k classes, whether each is a label.

    `{most}` stands for k.

    Attributes:
        single: from `labels` (B,).
        many: from `labels` (B, K), ones and zeros.
    """

    single: tuple[str, ...]
    many: tuple[str, ...]


@dataclass(frozen=True)
class Measure:
    """A metric, summed over a batch.

    Attributes:
        many: an expression of `hits`, `labels` (B, K), ones and zeros, and `k`.
        single: where no more than `hits` and `k` are needed if each image has one label.
        definitions: names that it takes from the backend's `training/library.py`.
    """

    many: str
    single: str = ""
    definitions: frozenset[str] = frozenset()


def measured(recipe: Recipe, hits: Hits, measures: Mapping[type[Metric], Measure]) -> Contribution:
    """How metrics are summed over a batch: `hits` before, and their sums as `scores`."""
    kinds = metric_kinds(recipe)
    ks = ", ".join(f"*{kind.constant()}.values()" for kind in kinds)
    most = f"max({ks})" if len(kinds) > 1 else f"max({ks.removeprefix('*')})"
    single = not recipe.loss.many and all(measures[kind].single for kind in kinds)
    lines = tuple(line.format(most=most) for line in (hits.single if single else hits.many))
    added = Contribution(places={"hits": lines})
    if not single:
        line = "labels = multi_hot(labels, CLASSES)"
        added = Contribution(frozenset({"multi_hot"}), {"hits": (line,)}) + added
    for kind in kinds:
        measure = measures[kind]
        value = measure.single if single else measure.many
        score = f"*({value} for k in {kind.constant()}.values())"
        added += Contribution(measure.definitions, {"scores": (score,)})
    return added


def stacked(before: str, stack: str, scores: list[str], depth: int) -> list[str]:
    """Lines that stack a batch's sums, the loss's first.

    Args:
        before: what stands before it, such as `return `.
        stack: the function, as it is called.
        scores: sums, each an item of a list.
        depth: of the statement, in indents.
    """
    line = f"{before}{stack}([{', '.join(scores)}])"
    if len(line) <= LINE - depth * len(INDENT):
        return [line]
    items = [f"{INDENT}{INDENT}{score}," for score in scores]
    return [f"{before}{stack}(", f"{INDENT}[", *items, f"{INDENT}]", ")"]
