"""Programs of backends, each measured in its own process, and judged beside something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from xgraph import backend
from xgraph.backend import Compilation
from xgraph.compile import COMPILING, emit
from xgraph.ops.base import Array
from xgraph.parity.distance import (
    FINER,
    QUANTITIES,
    Quantity,
    distances,
    limits,
    within,
    worst,
)
from xgraph.parity.job import Job, result
from xgraph.parity.locate import first_difference, named_in, next_after, owner_of
from xgraph.parity.lockstep import NUDGED
from xgraph.parity.process import Worker, WorkerFailed
from xgraph.parity.report import Divergence, Measurement

#: Called with a backend's name and what its worker says ({"at": "steps", "step": 3}).
Progress = Callable[[str, Mapping[str, Any]], None]

#: Steps of an epoch while comparing: few, so that a schedule by epochs has changed the rate.
STEPS_PER_EPOCH = 3
SINGLE_PASSES = tuple(q for q in QUANTITIES if q.stage != "steps")
#: Multiply-accumulates of all passes up to which the backends are measured side by side.
_SMALL = 2e9


class Reference(Protocol):
    """What programs are held to that is none itself; it is always computed in float64."""

    def has(self, quantity: Quantity) -> bool:
        """Whether it has arrays of this."""

    @property
    def rounding(self) -> float:
        """Up to where its distances are within any limit: what numbers are rounded to in it."""

    def seen(self, held: Mapping[str, Array]) -> Mapping[str, Array]:
        """What of a program's arrays is held to it, as it is compared."""

    def compute(self, stage: str, given: Path, output: Path) -> None:
        """Leave in a folder, which is made, what a program leaves of a stage.

        Args:
            stage: "evaluation" or "training".
            given: see `xgraph.parity.job.Job`.
            output: the folder.
        """

    def compute_nodes(self, training: bool, given: Path, output: Path) -> None:
        """Leave the values of nodes, as programs do in the stage "activations"."""


@dataclass(frozen=True)
class Measuring:
    """What is measured, how and where.

    Attributes:
        compilation: what programs are made of.
        names: the backends.
        dtype, device: what they compute in and on.
        steps: of training.
        batch: images in a batch.
        progress: told what is going on.
        workers: processes by backend.
        folder: for all arrays.
        references: what programs are held to, by what it is called.
        dropout: whether it drops.
    """

    compilation: Compilation
    names: tuple[str, ...]
    dtype: str
    device: str
    steps: int
    batch: int
    progress: Progress
    workers: Mapping[str, Worker]
    folder: Path
    references: Mapping[str, Reference]
    dropout: bool = True

    def compute_references(self) -> None:
        """What references say; always in float64."""
        for name, reference in self.references.items():
            for stage in ("evaluation", "training"):
                self.progress(name, {"at": stage})
                reference.compute(stage, self.given, self.output(name, self.dtype))
            self.progress(name, {"done": {}})

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
            try:
                return dict(zip(jobs, pool.map(perform, jobs), strict=True))
            except KeyboardInterrupt:  # nobody waits for what they would say
                for name in jobs:
                    self.workers[name].process.kill()
                raise

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
                dropout=self.dropout,
            )
            for name in names
        }

    def small(self) -> bool:
        """Whether the machine can be asked to do it in all frameworks at once."""
        from xgraph.passes.cost import measure, total

        analysis = self.compilation.analysis
        macs = total(measure(analysis.graph, analysis.types)).macs
        return macs * self.batch * (4 + 3 * self.steps) <= _SMALL

    def programs(self, left: str, right: str) -> tuple[str, ...]:
        """Those of two that are programs; any tells what rounding does, beside a reference."""
        return self.names if left in self.references else (left, right)

    def has(self, left: str, quantity: Quantity) -> bool:
        """Whether there is this of a program, or a reference."""
        return left not in self.references or self.references[left].has(quantity)

    def single_passes(
        self, pairs: Sequence[tuple[str, str]], look: bool
    ) -> tuple[list[Measurement], list[Divergence]]:
        """All that single passes leave; with `look`, where pairs part, if they do."""
        found: list[Measurement] = []
        divergences: list[Divergence] = []
        for left, right in pairs:
            seen: list[Divergence] = []
            for quantity in SINGLE_PASSES:
                if not self.has(left, quantity):
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
        allowed = self.limits(quantity, left, found)
        asked = quantity.yardstick if self.dtype == "float32" else not within(found, allowed)
        if asked:
            # A reference is always computed in float64, so all programs tell what rounding does.
            measured = self.programs(left, right)
            own = [self.own(quantity, name) for name in measured]
            allowed = self.limits(quantity, left, found, own)
            if self.dtype == "float64" and not within(found, allowed):
                own += [self.in_proportion(quantity, name) for name in measured]
                allowed = self.limits(quantity, left, found, own)
        measurement = self.measurement(quantity, left, right, found, allowed)
        if measurement.agree or not look:
            return measurement, None
        bounds = {name: limit for name, limit in allowed.items() if limit is not None}
        where = self.locate(quantity, measurement) or owner_of(
            self.compilation.analysis.graph, found, measurement, bounds
        )
        return measurement, where

    def limits(
        self,
        quantity: Quantity,
        left: str,
        found: Mapping[str, float],
        own: Sequence[Mapping[str, float]] = (),
    ) -> dict[str, float | None]:
        """How far apart each tensor may be; see `xgraph.parity.distance.limits`."""
        allowed = limits(quantity, self.dtype, list(found), own)
        reference = self.references.get(left)
        least = reference.rounding if reference else 0.0
        return {n: None if one is None else max(one, least) for n, one in allowed.items()}

    def apart(self, quantity: Quantity, left: str, right: str) -> dict[str, float]:
        """The distances of two backends in one quantity, by tensor."""
        with (
            np.load(result(self.output(left, self.dtype), quantity.stage)) as one,
            np.load(result(self.output(right, self.dtype), quantity.stage)) as other,
        ):
            reference = self.references.get(left)
            held = reference.seen(other) if reference else other
            return distances(quantity.of(one), quantity.of(held))

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
        if reference := self.references.get(measurement.left):
            reference.compute_nodes(training, self.given, self.output(measurement.left, self.dtype))
        left, right = (
            result(self.output(name, self.dtype), "activations")
            for name in (measurement.left, measurement.right)
        )
        with np.load(left) as one, np.load(right) as other:
            graph = self.compilation.analysis.graph
            return first_difference(graph, one, other, measurement, measurement.limit)
