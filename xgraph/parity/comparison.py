"""Compare the programs of backends: compile, measure each in its own process, judge.

They are compared with each other and, in what needs no gradients, with the graph itself.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xgraph import backend, interpreter
from xgraph.backend import Compilation
from xgraph.compile import COMPILING, analyse, check_spellings, emit, prepare
from xgraph.ops.base import Array
from xgraph.parity.distance import (
    CLOSE,
    FINER,
    MARGIN,
    QUANTITIES,
    TELLING,
    Quantity,
    distances,
    limits,
    within,
    worst,
)
from xgraph.parity.graph import KINDS, compute, compute_nodes
from xgraph.parity.job import Job, result, save_arrays
from xgraph.parity.locate import first_difference, named_in, next_after, owner_of
from xgraph.parity.lockstep import NUDGED, in_lockstep
from xgraph.parity.process import Worker, WorkerFailed
from xgraph.parity.report import GRAPH, Divergence, Measurement, ParityReport
from xgraph.parity.ties import with_ties
from xgraph.spec.overlay import divided

#: Called with a backend's name and what its worker says ({"at": "steps", "step": 3}).
Progress = Callable[[str, Mapping[str, Any]], None]

#: Steps of an epoch while comparing: few, so that a schedule by epochs has changed the rate.
STEPS_PER_EPOCH = 3
#: What takes steps with a spec that names no recipe.
_RECIPE = "imagenet"
_AFTER_STEPS = tuple(q for q in QUANTITIES if q.stage == "steps")
_SINGLE_PASSES = tuple(q for q in QUANTITIES if q.stage != "steps")
#: Multiply-accumulates of all passes up to which the backends are measured side by side.
_SMALL = 2e9


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
    with COMPILING:
        if size is not None:
            of_spec, _ = divided(settings)
            channels = analyse(spec, of_spec).types[0].channels
            settings = [*settings, f"input.shape=[{size[0]}, {size[1]}, {channels}]"]
        compilation = prepare(spec, settings, recipe)
        if steps and compilation.recipe is None:
            compilation = prepare(spec, settings, _RECIPE)
    if compilation.recipe is not None:
        batch *= compilation.recipe.accumulation
    names = tuple(backends or comparable())
    for name in names:
        check_spellings(compilation.analysis, backend.get(name))
        if backend.get(name).forward_only:
            raise WorkerFailed(name, f"the backend '{name}' makes no training program to compare")
    own = {} if workers else {name: Worker(name, device=device) for name in names}
    try:
        with tempfile.TemporaryDirectory(prefix="xgraph-parity-") as folder:
            asked = _Comparison(
                compilation=compilation,
                names=names,
                dtype=dtype,
                device=device,
                steps=steps,
                batch=batch,
                seed=seed,
                ties=ties,
                weights=weights,
                progress=progress or (lambda name, answer: None),
                workers=workers or own,
                folder=Path(folder),
            )
            return asked.report()
    finally:
        for worker in own.values():
            worker.close()


def _of_spec(weights: Mapping[str, Array], like: Mapping[str, Array]) -> dict[str, Array]:
    """Weights in the order of the spec's own, which they must be."""
    wrong = sorted(weights.keys() ^ like.keys())
    wrong += [n for n in like if n in weights and weights[n].shape != like[n].shape]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise WrongWeights(f"weights do not fit the spec: {', '.join(wrong[:3])}{more}")
    return {name: weights[name].astype(np.float64) for name in like}


@dataclass(frozen=True)
class _Comparison:
    compilation: Compilation
    names: tuple[str, ...]
    dtype: str
    device: str
    steps: int
    batch: int
    seed: int
    ties: bool
    weights: Mapping[str, Array] | None
    progress: Progress
    workers: Mapping[str, Worker]
    folder: Path

    def report(self) -> ParityReport:
        """Measure, judge, and look where it went wrong if it did."""
        analysis = self.compilation.analysis
        self.write_given()
        stages = ("start", "evaluation", "training", *(("steps",) if self.steps else ()))
        figures = self.measure(self.jobs(stages))
        if self.dtype != "float64":  # the yardstick
            self.measure(self.jobs(("evaluation", "training"), dtype="float64"), if_able=True)
        self.compute_graph()
        found = [self.initial_weights(left, right) for left, right in self.pairs]
        against = [(GRAPH, name) for name in self.names]
        measured, divergences = self.single_passes(against, look=True)
        # What the graph has shown to be at fault, pairs of programs need not show again.
        between, others = self.single_passes(self.pairs, look=not divergences)
        order = [quantity.name for quantity in _SINGLE_PASSES]
        found += sorted(measured + between, key=lambda m: order.index(m.quantity))
        divergences += others
        sensitivity: tuple[Measurement, ...] = ()
        if self.steps:
            alike = all(m.agree for m in found)
            after, where_after, sensitivity = self.after_steps(figures, judged=alike)
            found += after
            divergences += where_after
        recipe = self.compilation.recipe
        return ParityReport(
            spec=analysis.name,
            dtype=self.dtype,
            device=self.device,
            backends=self.names,
            batch=self.batch,
            shape=tuple(int(n) for n in analysis.types[0].shape),
            steps=self.steps,
            recipe=recipe.name if recipe else None,
            measurements=tuple(found),
            divergences=tuple(divergences),
            figures=figures,
            sensitivity=sensitivity,
        )

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return list(itertools.combinations(self.names, 2))

    def write_given(self) -> None:
        """The weights, images and labels, or projections, that all programs are given."""
        analysis = self.compilation.analysis
        graph, types = analysis.graph, analysis.types
        weights = interpreter.random_weights(graph, types, self.seed)
        if self.weights is not None:
            weights = _of_spec(self.weights, weights)
        random = np.random.default_rng(self.seed + 1)
        count = max(1, self.steps)
        images = random.standard_normal((count, self.batch, *types[0].shape))
        held: dict[str, Array] = {}
        if self.compilation.recipe is None:
            for number, output in enumerate(graph.outputs):
                shape = (self.batch, *types[output.node].shape)
                held[f"projections/{number}"] = random.standard_normal(shape)
        else:
            classes = types[graph.outputs[0].node].channels
            held["labels"] = random.integers(0, classes, (count, self.batch))
        if self.ties:
            weights, images = with_ties(graph, weights, images)
        # In float32 both precisions begin with numbers that both can hold.
        images, *values = (
            array.astype(self.dtype).astype(np.float64) for array in (images, *weights.values())
        )
        held |= {f"weights/{name}": value for name, value in zip(weights, values, strict=True)}
        save_arrays(self.given, {"images": images, **held})

    def compute_graph(self) -> None:
        """What the graph says; always in float64."""
        for stage in ("evaluation", "training"):
            self.progress(GRAPH, {"at": stage})
            compute(self.compilation, stage, self.given, self.output(GRAPH, self.dtype))
        self.progress(GRAPH, {"done": {}})

    @property
    def given(self) -> Path:
        return self.folder / "given.npz"

    def output(self, name: str, run: str) -> Path:
        """The folder of a run, a backend's or the graph's, in a dtype; or of a nudged one."""
        return self.folder / name / run

    def measure(
        self, jobs: Mapping[str, Job], if_able: bool = False
    ) -> dict[str, dict[str, float]]:
        """Have backends do what they are asked to do; returns their figures.

        With `if_able`, one that refuses has none.
        """

        def perform(name: str) -> dict[str, float]:
            worker = self.workers[name]
            worker.ask(jobs[name])
            answer: Mapping[str, Any] = {}
            try:
                for answer in worker.answers():
                    self.progress(name, answer)
            except WorkerFailed as failure:
                if if_able and failure.refused:
                    return {}
                raise self.located(failure) from None
            return dict(answer["done"])

        with ThreadPoolExecutor(len(jobs) if self.small() else 1) as pool:
            return dict(zip(jobs, pool.map(perform, jobs), strict=True))

    def jobs(
        self,
        stages: tuple[str, ...],
        *,
        dtype: str = "",
        names: tuple[str, ...] = (),
        probed: bool = False,
        training: bool = False,
        nudged: bool = False,
    ) -> dict[str, Job]:
        """What backends, by default all, are asked to do."""
        dtype, names = dtype or self.dtype, names or self.names
        compilation, recipe = replace(self.compilation, probed=probed), self.compilation.recipe
        with COMPILING:
            targets = {name: backend.get(name) for name in names}
            # Probes are names that a program which is to be written may not have.
            emitted = {
                name: target.emit(compilation) if probed else emit(compilation, target)
                for name, target in targets.items()
            }
        return {
            name: Job(
                files=dict(emitted[name]),
                dtype=dtype,
                device=self.device,
                given=str(self.given),
                output=str(self.output(name, NUDGED if nudged else dtype)),
                stages=stages,
                steps=self.steps,
                steps_per_epoch=STEPS_PER_EPOCH,
                total_steps=STEPS_PER_EPOCH * (recipe.epochs if recipe else 1),
                training=training,
                nudged=nudged,
            )
            for name in names
        }

    def small(self) -> bool:
        """Whether the machine can be asked to do it in all frameworks at once."""
        from xgraph.passes.cost import measure, total

        analysis = self.compilation.analysis
        macs = total(measure(analysis.graph, analysis.types)).macs
        return macs * self.batch * (4 + 3 * self.steps) <= _SMALL

    def initial_weights(self, left: str, right: str) -> Measurement:
        """Whether training would start from the same bits."""
        one, other = (
            json.loads((self.output(name, self.dtype) / "start.json").read_text())
            for name in (left, right)
        )
        differing = [n for n in one.keys() | other.keys() if one.get(n) != other.get(n)]
        distance = float("inf") if differing else 0.0
        return Measurement(
            left, right, "initial weights", distance, min(differing, default=""), 0.0
        )

    def single_passes(
        self, pairs: Sequence[tuple[str, str]], look: bool
    ) -> tuple[list[Measurement], list[Divergence]]:
        """All that single passes leave; with `look`, where pairs part, if they do."""
        found: list[Measurement] = []
        divergences: list[Divergence] = []
        for left, right in pairs:
            seen: list[Divergence] = []
            for quantity in _SINGLE_PASSES:
                if left == GRAPH and quantity.kind not in KINDS:
                    continue
                measurement, where = self.judge(quantity, left, right, look=look and not seen)
                found += [measurement] if measurement else []
                seen += [where] if where else []
            divergences += seen
        return found, divergences

    def judge(
        self, quantity: Quantity, left: str, right: str, look: bool
    ) -> tuple[Measurement | None, Divergence | None]:
        """One quantity of one pair, and where it comes from if it is too far apart."""
        found = self.apart(quantity, left, right)
        if not found:
            return None, None
        own: list[dict[str, float]] = []
        allowed = limits(quantity, self.dtype, list(found))
        asked = quantity.yardstick if self.dtype == "float32" else not within(found, allowed)
        if asked:
            # The graph is always computed in float64, so all programs tell what rounding does.
            measured = self.names if left == GRAPH else (left, right)
            own = [self.own(quantity, name) for name in measured]
            allowed = limits(quantity, self.dtype, list(found), own)
            if self.dtype == "float64" and not within(found, allowed):
                own += [self.in_proportion(quantity, name) for name in measured]
                allowed = limits(quantity, self.dtype, list(found), own)
        measurement = self.measurement(quantity, left, right, found, allowed)
        if measurement.agree or not look:
            return measurement, None
        bounds = {name: limit for name, limit in allowed.items() if limit is not None}
        where = self.locate(quantity, measurement) or owner_of(
            self.compilation.analysis.graph, found, measurement, bounds
        )
        return measurement, where

    def apart(self, quantity: Quantity, left: str, right: str) -> dict[str, float]:
        """The distances of two backends in one quantity, by tensor."""
        with (
            np.load(result(self.output(left, self.dtype), quantity.stage)) as one,
            np.load(result(self.output(right, self.dtype), quantity.stage)) as other,
        ):
            return distances(quantity.of(one), quantity.of(other))

    def measurement(
        self,
        quantity: Quantity,
        left: str,
        right: str,
        found: Mapping[str, float],
        allowed: Mapping[str, float | None],
    ) -> Measurement:
        """The tensor that is farthest apart in proportion to its limit."""
        tensor = worst(found, allowed)
        assert tensor is not None
        where, limit = self.tensor_name(tensor), allowed[tensor]
        untold = 0 if limit is None else sum(one is None for one in allowed.values())
        return Measurement(left, right, quantity.name, found[tensor], where, limit, untold)

    def after_steps(
        self, figures: Mapping[str, Mapping[str, float]], judged: bool
    ) -> tuple[list[Measurement], list[Divergence], tuple[Measurement, ...]]:
        """What steps have left; what they have left in the quickest backend, begun elsewhere.

        They are not judged where programs are known to differ, and in float32.
        """
        found = {
            (quantity, left, right): each
            for quantity in _AFTER_STEPS
            for left, right in self.pairs
            if (each := self.apart(quantity, left, right))
        }
        judged = judged and self.dtype == "float64"
        if not judged:
            return self.reported(found), [], ()
        own: dict[Quantity, dict[str, float]] = {}
        sensitivity: tuple[Measurement, ...] = ()
        quickest = min(figures, key=lambda name: figures[name]["steps"])
        if any(distance > CLOSE for each in found.values() for distance in each.values()):
            own = {q: self.own(q, quickest) for q in {q: None for q, *_ in found}}
            sensitivity = tuple(
                self.measurement(q, quickest, quickest, e, dict.fromkeys(e, TELLING / MARGIN))
                for q, e in own.items()
            )
            if not all(m.agree for m in sensitivity):
                return self.reported(found) + self.step_by_step(quickest), [], sensitivity
        measured: list[Measurement] = []
        divergences: list[Divergence] = []
        for (quantity, left, right), each in found.items():
            known = [own[quantity]] if own else []
            allowed = limits(quantity, "float64", list(each), known)
            if not within(each, allowed):
                for name in (left, right):
                    known += [self.own(quantity, name), self.in_proportion(quantity, name)]
                allowed = limits(quantity, "float64", list(each), known)
            measured.append(self.measurement(quantity, left, right, each, allowed))
            if not measured[-1].agree and not divergences:
                bounds = {name: limit for name, limit in allowed.items() if limit is not None}
                graph = self.compilation.analysis.graph
                where = owner_of(graph, each, measured[-1], bounds)
                divergences += [where] if where else []
        return measured, divergences, sensitivity

    def reported(
        self, found: Mapping[tuple[Quantity, str, str], Mapping[str, float]]
    ) -> list[Measurement]:
        """Distances without limits."""
        return [self.measurement(*key, each, dict.fromkeys(each)) for key, each in found.items()]

    def step_by_step(self, quickest: str) -> list[Measurement]:
        """Each step judged alone; the quickest backend takes each twice."""
        jobs = self.jobs(("lockstep",))
        again = self.jobs(("lockstep",), names=(quickest,), nudged=True)[quickest]
        second = Worker(quickest, device=self.device)
        try:
            found = in_lockstep(
                {**self.workers, NUDGED: second}, {**jobs, NUDGED: again}, quickest, self.progress
            )
        finally:
            second.close()
        return [
            Measurement(
                left,
                right,
                quantity.name,
                seen.distance,
                self.tensor_name(seen.tensor),
                seen.limit,
                len(seen.untold),
            )
            for (left, right, quantity), seen in found.items()
        ]

    def own(self, quantity: Quantity, name: str) -> dict[str, float]:
        """The distance of a program to itself that rounding alone makes.

        In float64 to itself from weights that are a few roundings off, in float32 to float64; there
        are none where the framework has no float64.
        """
        if self.dtype != "float64":
            return self.to_itself(quantity, name, "float64")
        if not result(self.output(name, NUDGED), quantity.stage).exists():
            self.measure(self.jobs((quantity.stage,), names=(name,), nudged=True))
        return self.to_itself(quantity, name, NUDGED)

    def in_proportion(self, quantity: Quantity, name: str) -> dict[str, float]:
        """What rounding makes of a float64 program, told by what it makes of it in float32.

        Weights that are off do not tell all. Near 1, a logistic function hardly changes with what
        it is of, but its derivative is s·(1 − s), in every framework, of an s that is rounded.
        """
        if not result(self.output(name, "float32"), quantity.stage).exists():
            self.measure(self.jobs((quantity.stage,), names=(name,), dtype="float32"))
        found = self.to_itself(quantity, name, "float32")
        return {tensor: distance * FINER for tensor, distance in found.items()}

    def to_itself(self, quantity: Quantity, name: str, run: str) -> dict[str, float]:
        """The distance of a program to another run of it, if there is one."""
        other = self.output(name, run)
        if not result(other, quantity.stage).exists():
            return {}
        with (
            np.load(result(self.output(name, self.dtype), quantity.stage)) as one,
            np.load(result(other, quantity.stage)) as two,
        ):
            return distances(quantity.of(one), quantity.of(two))

    def tensor_name(self, key: str) -> str:
        """What an array is called in a report: an output by its name, a weight by its own."""
        kind, _, name = key.partition("/")
        if kind == "outputs":
            return self.compilation.analysis.graph.outputs[int(name)].name
        return name

    def located(self, failure: WorkerFailed) -> WorkerFailed:
        """A program that cannot run: the node that it gets no further than, if that can be told."""
        if failure.missing or failure.refused:
            return failure
        graph = self.compilation.analysis.graph
        node = named_in(failure.message, graph)
        if node is None and failure.reached is None:
            jobs = self.jobs(("activations",), names=(failure.backend,), probed=True, training=True)
            try:
                self.workers[failure.backend].perform(jobs[failure.backend])
            except WorkerFailed as again:
                node = next_after(again.reached or (), graph)
        span = node.span if node else graph.nodes[0].span
        return failure.at(str(span) if span else "", node.name if node else "")

    def locate(self, quantity: Quantity, measurement: Measurement) -> Divergence | None:
        """The first node whose value differs, where values of nodes can tell."""
        if quantity.kind not in ("outputs", "loss", "statistics") or quantity.stage == "steps":
            return None
        assert measurement.limit is not None
        training = quantity.stage == "training"
        self.measure(self.jobs(("activations",), probed=True, training=training))
        if measurement.left == GRAPH:
            folder = self.output(GRAPH, self.dtype)
            compute_nodes(self.compilation, training, self.given, folder)
        left, right = (
            result(self.output(name, self.dtype), "activations")
            for name in (measurement.left, measurement.right)
        )
        with np.load(left) as one, np.load(right) as other:
            graph = self.compilation.analysis.graph
            return first_difference(graph, one, other, measurement, measurement.limit)
