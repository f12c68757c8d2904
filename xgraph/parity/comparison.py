"""Compare the programs of backends: compile, measure each in its own process, judge.

They are compared with each other and, in what needs no gradients, with the graph itself.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from xgraph import backend, interpreter
from xgraph.backend import Compilation
from xgraph.compile import COMPILING, analyse, check_spellings, prepare
from xgraph.ops.base import Array
from xgraph.parity.graph import ComputedGraph
from xgraph.parity.job import save_arrays
from xgraph.parity.measuring import SINGLE_PASSES, Measuring, Progress
from xgraph.parity.process import Worker, WorkerFailed, processes
from xgraph.parity.report import GRAPH, Measurement, ParityReport
from xgraph.parity.steps import AfterSteps, after_steps, quickest, step_by_step
from xgraph.parity.ties import with_ties
from xgraph.spec.overlay import divided

#: What takes steps with a spec that names no recipe.
_RECIPE = "imagenet"


class WrongWeights(ValueError):
    """Weights to compare with are not those of the spec."""


def comparable() -> tuple[str, ...]:
    """The installed backends that make training programs."""
    return tuple(name for name in backend.names() if not backend.get(name).forward_only)


def compare(
    spec: str,
    *,
    backends: Sequence[str] | None = None,
    dtype: str = "float64",
    device: str = "cpu",
    steps: int = 0,
    batch: int = 2,
    size: tuple[int, int] | None = None,
    settings: Sequence[str] = (),
    recipe: str | None = None,
    seed: int = 0,
    ties: bool = False,
    weights: Mapping[str, Array] | None = None,
    progress: Progress | None = None,
    workers: Mapping[str, Worker] | None = None,
) -> ParityReport:
    """Compare the programs that backends make of a spec, and the spec's graph, run in NumPy.

    All have one set of weights and see the same images; training starts from the weights that the
    program itself draws. Dropout has the masks of a run with seed 0. Where training is chaotic
    (`ParityReport.chaotic`), its steps are compared one at a time, from shared states.

    A spec without a recipe is a model alone: instead of a loss, the gradients are those of a random
    projection of all outputs. Steps that are asked for are taken by the recipe imagenet.

    Args:
        spec: path of a YAML file, or the name of a bundled spec.
        backends: which (default: all that are installed).
        dtype: "float64", in which equality is proven, or "float32".
        device: what programs compute on, "cpu" or "cuda"; the graph is computed on the CPU.
        steps: training steps by the recipe; 0 leaves training out.
        batch: images in a batch; in each micro-batch, where the recipe makes an update of several.
        size: (height, width) of the images instead of the spec's.
        settings: `key=value` texts, as `--set` gives them.
        recipe: the recipe instead of the spec's.
        seed: of the weights, images and labels.
        ties: draw images and weights of few different values, so that maxima are often not unique.
        weights: by canonical name, instead of random ones; training starts from neither.
        progress: told what is going on.
        workers: running processes by backend, to be used again; else each comparison starts its
            own.

    Raises:
        SpecError: the spec or the recipe is at fault.
        WrongWeights: they are not those of the spec.
        WorkerFailed: a framework is not installed, or fails.
    """
    if size is not None:
        of_spec, _ = divided(settings)
        with COMPILING:
            channels = analyse(spec, of_spec).types[0].channels
        settings = [*settings, f"input.shape=[{size[0]}, {size[1]}, {channels}]"]
    compilation = prepared(spec, settings, recipe, steps)
    names = able(compilation, backends or comparable())
    with (
        processes(names, device, workers) as running,
        tempfile.TemporaryDirectory(prefix="xgraph-parity-") as folder,
    ):
        measuring = Measuring(
            compilation=compilation,
            names=names,
            dtype=dtype,
            device=device,
            steps=steps,
            batch=in_an_update(compilation, batch),
            progress=progress or (lambda name, answer: None),
            workers=running,
            folder=Path(folder),
            references={GRAPH: ComputedGraph(compilation)},
        )
        save_arrays(measuring.given, _given(measuring, seed, ties, weights))
        return _report(measuring)


def prepared(spec: str, settings: Sequence[str], recipe: str | None, steps: int) -> Compilation:
    """What programs are made from; steps of a spec without a recipe are by `imagenet`.

    Raises:
        SpecError: the spec or the recipe is at fault.
    """
    with COMPILING:
        compilation = prepare(spec, settings, recipe)
        if steps and compilation.recipe is None:
            compilation = prepare(spec, settings, _RECIPE)
    return compilation


def able(compilation: Compilation, names: Sequence[str]) -> tuple[str, ...]:
    """These backends, which must be able to say and to train it.

    Raises:
        SpecError: one has no spelling for an op.
        WorkerFailed: one makes no training programs.
    """
    for name in names:
        check_spellings(compilation.analysis, backend.get(name))
        if backend.get(name).forward_only:
            raise WorkerFailed(name, f"the backend '{name}' makes no training program to compare")
    return tuple(names)


def in_an_update(compilation: Compilation, batch: int) -> int:
    """Images of an update, of which each micro-batch has so many."""
    return batch * (compilation.recipe.accumulation if compilation.recipe else 1)


def _of_spec(weights: Mapping[str, Array], like: Mapping[str, Array]) -> dict[str, Array]:
    """Weights in the order of the spec's own, which they must be."""
    wrong = sorted(weights.keys() ^ like.keys())
    wrong += [n for n in like if n in weights and weights[n].shape != like[n].shape]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WrongWeights(f"weights do not fit the spec: {', '.join(wrong[:3])}{more}")
    return {name: weights[name].astype(np.float64) for name in like}


def _given(
    measuring: Measuring, seed: int, ties: bool, weights: Mapping[str, Array] | None
) -> dict[str, Array]:
    """The weights, images and labels, or projections, that all programs are given."""
    analysis = measuring.compilation.analysis
    graph, types = analysis.graph, analysis.types
    drawn = interpreter.random_weights(graph, types, seed)
    own = drawn if weights is None else _of_spec(weights, drawn)
    random = np.random.default_rng(seed + 1)
    count = max(1, measuring.steps)
    images = random.standard_normal((count, measuring.batch, *types[0].shape))
    held: dict[str, Array] = {}
    if measuring.compilation.recipe is None:
        for number, output in enumerate(graph.outputs):
            shape = (measuring.batch, *types[output.node].shape)
            held[f"projections/{number}"] = random.standard_normal(shape)
    else:
        classes = types[graph.outputs[0].node].channels
        held["labels"] = random.integers(0, classes, (count, measuring.batch))
    if ties:
        own, images = with_ties(graph, own, images)
    # In float32 both precisions begin with numbers that both can hold.
    images, *values = (
        array.astype(measuring.dtype).astype(np.float64) for array in (images, *own.values())
    )
    held |= {f"weights/{name}": value for name, value in zip(own, values, strict=True)}
    return {"images": images, **held}


def _report(measuring: Measuring) -> ParityReport:
    """Measure, judge, and look where it went wrong if it did."""
    analysis, recipe = measuring.compilation.analysis, measuring.compilation.recipe
    stages = ("start", "evaluation", "training", *(("steps",) if measuring.steps else ()))
    figures = measuring.measure(measuring.jobs(stages))
    if measuring.dtype != "float64":  # the yardstick
        jobs = measuring.jobs(("evaluation", "training"), dtype="float64")
        measuring.measure(jobs, if_able=True)
    measuring.compute_references()
    pairs = list(itertools.combinations(measuring.names, 2))
    found = [_initial_weights(measuring, left, right) for left, right in pairs]
    against = [(GRAPH, name) for name in measuring.names]
    measured, divergences = measuring.single_passes(against, look=True)
    # What the graph has shown to be at fault, pairs of programs need not show again.
    between, others = measuring.single_passes(pairs, look=not divergences)
    order = [quantity.name for quantity in SINGLE_PASSES]
    found += sorted(measured + between, key=lambda m: order.index(m.quantity))
    divergences += others
    after = AfterSteps([])
    if measuring.steps:
        again = quickest(figures)
        after = after_steps(measuring, pairs, again, judged=all(m.agree for m in found))
        found += after.measurements
        if after.chaotic:
            found += step_by_step(measuring, again)
    return ParityReport(
        spec=analysis.name,
        dtype=measuring.dtype,
        device=measuring.device,
        backends=measuring.names,
        batch=measuring.batch,
        shape=tuple(int(n) for n in analysis.types[0].shape),
        steps=measuring.steps,
        recipe=recipe.name if recipe else None,
        measurements=tuple(found),
        divergences=(*divergences, *after.divergences),
        figures=figures,
        sensitivity=after.sensitivity,
    )


def _initial_weights(measuring: Measuring, left: str, right: str) -> Measurement:
    """Whether training would start from the same bits."""
    one, other = (
        json.loads((measuring.output(name, measuring.dtype) / "start.json").read_text())
        for name in (left, right)
    )
    differing = [n for n in one.keys() | other.keys() if one.get(n) != other.get(n)]
    distance = float("inf") if differing else 0.0
    return Measurement(left, right, "initial weights", distance, min(differing, default=""), 0.0)
