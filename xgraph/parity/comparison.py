"""Compare the programs of several backends: compile, measure each in its own process, judge."""

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
from xgraph.parity.distance import QUANTITIES, Arrays, Quantity, distances, limits, within, worst
from xgraph.parity.job import Job, result, save_arrays
from xgraph.parity.locate import first_difference, owner_of
from xgraph.parity.lockstep import in_lockstep
from xgraph.parity.process import Worker, WorkerFailed
from xgraph.parity.report import Divergence, Measurement, ParityReport
from xgraph.recipe import Recipe

#: Called with a backend's name and what its worker says ({"at": "steps", "step": 3}).
Progress = Callable[[str, Mapping[str, Any]], None]

#: Steps of an epoch while comparing: few, so that a schedule by epochs has changed the rate.
STEPS_PER_EPOCH = 3
#: What a spec is trained by that names no recipe.
_RECIPE = "imagenet"
_NUDGED = "nudged"
_AFTER_STEPS = frozenset(q.name for q in QUANTITIES if q.stage == "steps")
#: Multiply-accumulates of all passes up to which the backends are measured side by side.
_SMALL = 2e9


def comparable() -> tuple[str, ...]:
    """The installed backends that make training programs."""
    return tuple(name for name in backend.names() if not backend.get(name).forward_only)


def compare(
    spec: str,
    *,
    backends: Sequence[str] | None = None,
    dtype: str = "float64",
    steps: int = 0,
    batch: int = 2,
    size: tuple[int, int] | None = None,
    settings: Sequence[str] = (),
    recipe: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    workers: Mapping[str, Worker] | None = None,
) -> ParityReport:
    """Compare the programs that backends make of a spec.

    All have one set of weights and see the same images; training starts from the weights that the
    program itself draws. Dropout is off, since its mask is each framework's own. Where training is
    chaotic (`ParityReport.chaotic`), its steps are compared one at a time, from shared states.

    Args:
        spec: path of a YAML file, or the name of a bundled spec.
        backends: which (default: all that are installed).
        dtype: "float64", in which equality is proven, or "float32".
        steps: training steps by the recipe; 0 leaves training out.
        batch: images in a batch.
        size: (height, width) of the images instead of the spec's.
        settings: `key=value` texts, as `--set` gives them.
        recipe: the recipe instead of the spec's.
        seed: of the weights, images and labels.
        progress: told what is going on.
        workers: running processes by backend, to be used again; else each comparison starts its
            own.

    Raises:
        SpecError: the spec or the recipe is at fault.
        WorkerFailed: a framework is not installed, or fails.
    """
    with COMPILING:
        if size is not None:
            channels = analyse(spec, settings).types[0].channels
            settings = [*settings, f"input.shape=[{size[0]}, {size[1]}, {channels}]"]
        compilation = prepare(spec, settings, recipe)
        if compilation.recipe is None:
            compilation = prepare(spec, settings, _RECIPE)
    names = tuple(backends or comparable())
    for name in names:
        check_spellings(compilation.analysis, backend.get(name))
        if backend.get(name).forward_only:
            raise WorkerFailed(name, f"the backend '{name}' makes no training program to compare")
    own = {} if workers else {name: Worker(name) for name in names}
    try:
        with tempfile.TemporaryDirectory(prefix="xgraph-parity-") as folder:
            asked = _Comparison(
                compilation=compilation,
                names=names,
                dtype=dtype,
                steps=steps,
                batch=batch,
                seed=seed,
                progress=progress or (lambda name, answer: None),
                workers=workers or own,
                folder=Path(folder),
            )
            return asked.report()
    finally:
        for worker in own.values():
            worker.close()


@dataclass(frozen=True)
class _Comparison:
    compilation: Compilation
    names: tuple[str, ...]
    dtype: str
    steps: int
    batch: int
    seed: int
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
            self.measure(self.jobs(("evaluation", "training"), dtype="float64"))
        found, divergences = [], []
        for left, right in itertools.combinations(self.names, 2):
            found.append(self.initial_weights(left, right))
            seen: list[Divergence] = []
            for quantity in QUANTITIES:
                if quantity.stage in stages:
                    measurement, where = self.judge(quantity, left, right, look=not seen)
                    found += [measurement] if measurement else []
                    seen += [where] if where else []
            divergences += seen
        sensitivity: tuple[Measurement, ...] = ()
        if any(not m.agree and m.quantity in _AFTER_STEPS for m in found):
            sensitivity = self.sensitivity(figures)
            if not all(m.agree for m in sensitivity):
                found, divergences = self.step_by_step(found, divergences)
        return ParityReport(
            spec=analysis.name,
            dtype=self.dtype,
            backends=self.names,
            batch=self.batch,
            shape=tuple(int(n) for n in analysis.types[0].shape),
            steps=self.steps,
            recipe=self.recipe.name,
            measurements=tuple(found),
            divergences=tuple(divergences),
            figures=figures,
            sensitivity=sensitivity,
        )

    @property
    def recipe(self) -> Recipe:
        """How the programs train."""
        assert self.compilation.recipe is not None
        return self.compilation.recipe

    def write_given(self) -> None:
        """The weights, images and labels that all programs are given."""
        analysis = self.compilation.analysis
        graph, types = analysis.graph, analysis.types
        weights = interpreter.random_weights(graph, types, self.seed)
        random = np.random.default_rng(self.seed + 1)
        count = max(1, self.steps)
        images = random.standard_normal((count, self.batch, *types[0].shape))
        classes = types[graph.outputs[0].node].channels
        labels = random.integers(0, classes, (count, self.batch))
        # In float32 both precisions begin with numbers that both can hold.
        images, *values = (
            array.astype(self.dtype).astype(np.float64) for array in (images, *weights.values())
        )
        held = {f"weights/{name}": value for name, value in zip(weights, values, strict=True)}
        save_arrays(self.given, {"images": images, "labels": labels, **held})

    @property
    def given(self) -> Path:
        return self.folder / "given.npz"

    def output(self, name: str, run: str) -> Path:
        """The folder of a backend's run in a dtype, or of its nudged one."""
        return self.folder / name / run

    def measure(self, jobs: Mapping[str, Job]) -> dict[str, dict[str, float]]:
        """Have backends do what they are asked to do; returns their figures."""

        def perform(name: str) -> dict[str, float]:
            worker = self.workers[name]
            worker.ask(jobs[name])
            answer: Mapping[str, Any] = {}
            for answer in worker.answers():
                self.progress(name, answer)
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
        compilation = replace(self.compilation, probed=probed)
        with COMPILING:
            programs = {name: dict(emit(compilation, backend.get(name))) for name in names}
        return {
            name: Job(
                files=programs[name],
                dtype=dtype,
                given=str(self.given),
                output=str(self.output(name, _NUDGED if nudged else dtype)),
                stages=stages,
                steps=self.steps,
                steps_per_epoch=STEPS_PER_EPOCH,
                total_steps=self.recipe.epochs * STEPS_PER_EPOCH,
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

    def judge(
        self, quantity: Quantity, left: str, right: str, look: bool
    ) -> tuple[Measurement | None, Divergence | None]:
        """One quantity of one pair, and where it comes from if it is too far apart."""
        with (
            np.load(result(self.output(left, self.dtype), quantity.stage)) as one,
            np.load(result(self.output(right, self.dtype), quantity.stage)) as other,
        ):
            sides = Arrays(one, quantity.kind), Arrays(other, quantity.kind)
            found = distances(*sides)
        if not found:
            return None, None
        allowed = limits(quantity, self.dtype, list(found), [])
        if quantity.yardstick and (self.dtype != "float64" or not within(found, allowed)):
            own = [self.own(quantity, name) for name in (left, right)]
            allowed = limits(quantity, self.dtype, list(found), own)
        tensor = worst(found, allowed)
        assert tensor is not None
        measurement = Measurement(
            left,
            right,
            quantity.name,
            found[tensor],
            self.tensor_name(tensor),
            allowed[tensor],
        )
        if measurement.agree or not look:
            return measurement, None
        bounds = {name: limit for name, limit in allowed.items() if limit is not None}
        where = self.locate(quantity, measurement) or owner_of(
            self.compilation.analysis.graph, found, measurement, bounds
        )
        return measurement, where

    def sensitivity(self, figures: Mapping[str, Mapping[str, float]]) -> tuple[Measurement, ...]:
        """How far the quickest backend is from itself, begun a few roundings off."""
        name = min(figures, key=lambda name: figures[name]["steps"])
        found = []
        for quantity in (q for q in QUANTITIES if q.stage == "steps"):
            each = self.own(quantity, name)
            allowed = limits(quantity, self.dtype, list(each), [])
            tensor = worst(each, allowed)
            if tensor is not None:
                where = self.tensor_name(tensor)
                found.append(
                    Measurement(name, name, quantity.name, each[tensor], where, allowed[tensor])
                )
        return tuple(found)

    def step_by_step(
        self, found: list[Measurement], divergences: list[Divergence]
    ) -> tuple[list[Measurement], list[Divergence]]:
        """Each step judged alone, and distances after many only reported."""
        reported = [replace(m, limit=None) if m.quantity in _AFTER_STEPS else m for m in found]
        jobs = self.jobs(("lockstep",))
        judged = [
            Measurement(
                left,
                right,
                quantity.name,
                distance,
                self.tensor_name(tensor),
                limits(quantity, self.dtype, [tensor], [])[tensor],
            )
            for (left, right, quantity), (distance, tensor) in in_lockstep(
                self.workers, jobs, self.progress
            ).items()
        ]
        return reported + judged, [d for d in divergences if d.quantity not in _AFTER_STEPS]

    def own(self, quantity: Quantity, name: str) -> dict[str, float]:
        """The distance of a program to itself that rounding alone makes.

        In float64 to itself from weights that are a few roundings off, in float32 to float64.
        """
        other = self.output(name, _NUDGED if self.dtype == "float64" else "float64")
        if not result(other, quantity.stage).exists():
            self.measure(self.jobs((quantity.stage,), names=(name,), nudged=True))
        with (
            np.load(result(self.output(name, self.dtype), quantity.stage)) as one,
            np.load(result(other, quantity.stage)) as two,
        ):
            return distances(Arrays(one, quantity.kind), Arrays(two, quantity.kind))

    def tensor_name(self, key: str) -> str:
        """What an array is called in a report: an output by its name, a weight by its own."""
        kind, _, name = key.partition("/")
        if kind == "outputs":
            return self.compilation.analysis.graph.outputs[int(name)].name
        return name

    def locate(self, quantity: Quantity, measurement: Measurement) -> Divergence | None:
        """The first node whose value differs, where values of nodes can tell."""
        if quantity.kind not in ("outputs", "loss", "statistics") or quantity.stage == "steps":
            return None
        assert measurement.limit is not None
        training = quantity.stage == "training"
        self.measure(self.jobs(("activations",), probed=True, training=training))
        left, right = (
            result(self.output(name, self.dtype), "activations")
            for name in (measurement.left, measurement.right)
        )
        with np.load(left) as one, np.load(right) as other:
            graph = self.compilation.analysis.graph
            return first_difference(graph, one, other, measurement, measurement.limit)
