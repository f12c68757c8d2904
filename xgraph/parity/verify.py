"""Hold a network from elsewhere to a spec: layer by layer, in numbers, and in training."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from xgraph import interpreter
from xgraph.backend import Compilation
from xgraph.diagnostics import printable
from xgraph.importing import sources
from xgraph.importing.equal import Difference, Match, differ_in_training, match
from xgraph.importing.network import Network, Refused, of_spec
from xgraph.importing.runtimes.base import Runtime, TrainingOf
from xgraph.importing.sources.base import Source
from xgraph.importing.weights import asked, parted, taken, tied
from xgraph.ir.graph import Graph
from xgraph.parity.comparison import able, comparable, in_an_update, prepared
from xgraph.parity.elsewhere import Elsewhere, given_to
from xgraph.parity.job import save_arrays
from xgraph.parity.measuring import SINGLE_PASSES, Measuring, Progress
from xgraph.parity.process import Worker, processes
from xgraph.parity.report import Divergence, Measurement
from xgraph.parity.steps import AfterSteps, after_steps, quickest
from xgraph.parity.verification import Place, Verification

#: Numbers that are so far apart have been rounded to float32.
_ROUNDED = 1e-9
#: Outputs that are so far apart are not so by rounding.
_FAR = 1e-6
_PROBABILITIES = "the spec ends in a softmax that the source has not: no numbers were compared"
_CASTS = (
    "its code casts to float32, which is nothing in a model of float32: both are computed in "
    "float64, and nothing is rounded there"
)
_DRAWS = (
    "the source gives something else each time: it draws at random what was not read, in code "
    "and not in a module that is known for it"
)


def verify(
    spec: str,
    source: str | Source | Any,
    *,
    backends: Sequence[str] | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    settings: Sequence[str] = (),
    recipe: str | None = None,
    steps: int = 0,
    training: TrainingOf | None = None,
    batch: int = 2,
    seed: int = 0,
    own_weights: bool = False,
    progress: Progress | None = None,
    workers: Mapping[str, Worker] | None = None,
) -> Verification:
    """Whether a network from elsewhere is that of a spec, and is trained alike.

    Both are walked first, layer by layer, from the outputs on. If they are the same network, the
    source in its own framework and the program that each backend makes of the spec are given the
    same weights and images: outputs in evaluation and in training mode, gradients of a random
    projection of the outputs and moving statistics are compared. Dropout drops nothing meanwhile.

    Args:
        spec: path of a YAML file, or the name of a bundled spec.
        source: what `xgraph import` reads, such as "torch:mine:build" or "model.onnx"; or an
            `nn.Module`, a functional Keras model or an `nnx.Module`.
        backends: whose programs (default: all that are installed; none: the walk is all).
        dtype: of programs, "float64" or "float32"; the source computes in float64.
        device: of programs, "cpu" or "cuda"; the source computes on the CPU.
        settings: `key=value` texts, as `--set` gives them.
        recipe: by which programs are trained, instead of the spec's.
        steps: updates by the recipe, and by `training`.
        training: is given the source's model and returns a function of a batch of images and
            labels, as its framework has them, that makes an update.
        batch: images in a batch.
        seed: of the weights, images and labels.
        own_weights: the source's, instead of random ones.
        progress: told what is going on.
        workers: running processes by backend, to be used again; else each call starts its own.

    Raises:
        SpecError: the spec or the recipe is at fault.
        Refused: the source cannot be read, or cannot be run.
        WorkerFailed: a framework is not installed, or fails.
    """
    if steps < 0:
        raise Refused(f"steps are counted from 0, not {steps}")
    if bool(steps) != (training is not None):
        raise Refused("steps are compared with those of a training of yours: give both, or none")
    compilation = prepared(spec, settings, recipe, steps)
    names = able(compilation, comparable() if backends is None else backends)
    held = _source(source)
    shape = tuple(compilation.analysis.types[0].shape)
    theirs = asked(held, lambda: held.network(shape))
    how = Asked(names, dtype, device, steps, batch, seed, own_weights)
    return held_to(compilation, held, theirs, how, training, progress, workers)


@dataclass(frozen=True)
class Asked:
    """How to compute; see `verify` and `xgraph.parity.elsewhere.Elsewhere`."""

    backends: tuple[str, ...]
    dtype: str = "float64"
    device: str = "cpu"
    steps: int = 0
    batch: int = 2
    seed: int = 0
    own_weights: bool = False
    evaluation_suffices: bool = False


def held_to(
    compilation: Compilation,
    source: Source,
    theirs: Network,
    how: Asked,
    training: TrainingOf | None = None,
    progress: Progress | None = None,
    workers: Mapping[str, Worker] | None = None,
) -> Verification:
    """Whether the network that was read of a source is that of a compilation.

    Raises:
        Refused: the source cannot be run.
        WorkerFailed: a framework is not installed, or fails.
    """
    analysis, dtype = compilation.analysis, how.dtype
    ours = of_spec(analysis)
    found = match(ours, theirs)
    in_training = [] if found.differences else _in_training(source, ours, theirs, found)
    report = Verification(
        spec=analysis.name,
        source=source.title,
        layers=len(found.layers),
        differences=_places(analysis.graph, found.differences),
        in_training=_places(analysis.graph, in_training),
        notes=_notes(source, found),
        dtype=dtype,
    )
    shape = tuple(analysis.types[0].shape)
    runtime = None if found.differences or not how.backends else _runtime(source, shape)
    if runtime is None:
        return report
    if how.steps and not runtime.trains:
        raise Refused(f"{source.title} cannot be trained here")
    if how.own_weights:
        weights = taken(found.weights, asked(source, source.arrays))
    else:
        drawn = interpreter.random_weights(analysis.graph, analysis.types, how.seed)
        weights = tied(found, drawn)
    both = (ours, theirs)
    reference = Elsewhere(analysis, source, runtime, found, both, how.evaluation_suffices)
    with (
        processes(how.backends, how.device, workers) as running,
        tempfile.TemporaryDirectory(prefix="xgraph-verify-") as folder,
    ):
        measuring = Measuring(
            compilation=compilation,
            names=how.backends,
            dtype=dtype,
            device=how.device,
            steps=how.steps,
            batch=in_an_update(compilation, how.batch),
            progress=progress or (lambda name, answer: None),
            workers=running,
            folder=Path(folder),
            references={source.title: reference},
            dropout=False,
        )
        counts = max(1, how.steps), measuring.batch
        given = given_to(analysis, weights, reference, counts, how.seed, dtype)
        save_arrays(measuring.given, given)
        return _measured(report, measuring, source, reference, training)


def _source(source: Any) -> Source:
    """What a user names, or has at hand."""
    if isinstance(source, Source):
        return source
    if isinstance(source, str):
        return sources.find_model(source)
    return sources.of_object(source)


def _in_training(source: Source, ours: Network, theirs: Network, found: Match) -> list[Difference]:
    """What training alone would see, as far as the source tells of it."""
    if not source.tells_training:
        return []
    apart = [Difference("", "", line) for line in parted(found)]
    return differ_in_training(ours, theirs) + apart


def _notes(source: Source, found: Match) -> tuple[str, ...]:
    """What is different and is the same network; paces are told where training is."""
    notes = tuple(found.notes)
    if any(apart > _ROUNDED for apart in found.rounded.values()):
        named = printable(", ".join([*found.rounded][:3]), 200)
        notes += (f"it scales by numbers that float32 has rounded ({named}): compared to 1e-6",)
    if source.tells_training:
        return notes
    return (*notes, *parted(found), "it says nothing of dropout, momenta or initial weights")


def _runtime(source: Source, shape: tuple[int, ...]) -> Runtime | None:
    return asked(source, lambda: source.runtime("float64", shape), "cannot be run")


def _places(graph: Graph, differences: Sequence[Difference]) -> tuple[Place, ...]:
    """Differences in the order of the spec, the first one first."""
    order = {node.name: number for number, node in enumerate(graph.nodes)}
    made = []
    for one in dict.fromkeys(differences):
        node = graph.nodes[order[one.ours]] if one.ours in order else None
        span = node.span if node else None
        made.append(
            Place(
                node=one.ours,
                op=node.op.name if node else "",
                theirs=one.theirs,
                what=one.what,
                place=str(span) if span else "",
                line=span.source.line(span.line).strip() if span else "",
            )
        )
    return tuple(sorted(made, key=lambda one: order.get(one.node, len(order))))


def _named(found: Iterable[Divergence], reference: Elsewhere) -> tuple[Place, ...]:
    """Where numbers part, with the names that the source has for it; once for all programs."""
    theirs = dict(reference.match.layers)
    places: dict[tuple[str, str], Place] = {}
    for one in found:
        what = f"{one.quantity} is {one.distance:.2g} apart"
        if "gradients" in one.quantity and one.node in reference.unreached:
            what = "no gradient reaches it there, which may be frozen or detached"
        place = Place(one.node, one.op, theirs.get(one.node, ""), what, one.place, one.line)
        places.setdefault((one.quantity, one.node), place)
    return tuple(places.values())


def _draws(measuring: Measuring, reference: Elsewhere, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether the source gives something else each time in training, which is compared no more."""
    (outputs,) = (q for q in SINGLE_PASSES if (q.stage, q.kind) == ("training", "outputs"))
    apart = (d for pair in pairs for d in measuring.apart(outputs, *pair).values())
    reference.draws = reference.runtime.drew or (
        any(d > _FAR for d in apart) and reference.gives_others(measuring.given)
    )
    return reference.draws


def _of_numbers(reference: Elsewhere) -> Iterator[str]:
    """What to know of how numbers were compared."""
    if not reference.theirs:
        yield _PROBABILITIES
    if reference.untrained:
        yield f"not compared in training: {reference.untrained}"
    if reference.runtime.casts:
        yield _CASTS


def _measured(
    report: Verification,
    measuring: Measuring,
    source: Source,
    reference: Elsewhere,
    training: TrainingOf | None,
) -> Verification:
    """With what the source and programs make of the same numbers."""
    trains = reference.runtime.trains
    passes = ("evaluation", *(("training",) if trains else ()))
    stages = passes if training is None else ("begin", *passes, "steps")
    figures = measuring.measure(measuring.jobs(stages))
    if measuring.dtype != "float64":  # the yardstick
        measuring.measure(measuring.jobs(passes, dtype="float64"), if_able=True)
    measuring.compute_references()
    pairs = [(source.title, name) for name in measuring.names]
    in_training = list(report.in_training)
    if trains and reference.theirs and not reference.untrained:
        if _draws(measuring, reference, pairs):
            in_training.append(Place("", "", "", _DRAWS))
        in_training += [Place("", "", "", line) for line in reference.in_training()]
    found: list[Measurement]
    divergences: list[Divergence]
    found, divergences = measuring.single_passes(pairs, look=True)
    after = AfterSteps([])
    if training is not None:
        begin = measuring.output(measuring.names[0], measuring.dtype) / "begin.npz"
        output = measuring.output(source.title, measuring.dtype)
        reference.train(training, measuring.given, begin, output)
        after = after_steps(measuring, pairs, quickest(figures), judged=all(m.agree for m in found))
    return replace(
        report,
        of_numbers=tuple(_of_numbers(reference)),
        in_training=tuple(in_training),
        backends=measuring.names,
        measurements=(*found, *after.measurements),
        divergences=_named([*divergences, *after.divergences], reference),
        sensitivity=after.sensitivity,
        steps=measuring.steps,
    )
