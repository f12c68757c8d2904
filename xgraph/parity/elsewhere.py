"""A network from elsewhere, in its own framework, as what programs are held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from xgraph.importing.equal import Match
from xgraph.importing.network import ANSWERS, Network, Refused
from xgraph.importing.runtimes.base import Passed, Runtime, TrainingOf
from xgraph.importing.sources.base import Source
from xgraph.importing.weights import asked, parted_names, placed
from xgraph.interpreter import weight_shapes
from xgraph.ir.analysis import Analysis
from xgraph.ops.base import Array
from xgraph.ops.dropout import Dropout
from xgraph.parity.distance import Quantity
from xgraph.parity.job import result, save_arrays

#: What follows from numbers that are apart may be so many times as far apart; and no farther.
_GROWS, _MOST = 100.0, 1e-6


Answer = TypeVar("Answer")


class Elsewhere:
    """A source's network, as a `xgraph.parity.measuring.Reference`.

    It has those outputs and weights that go with some of the spec's. Where it ends in a softmax
    that the spec has not, the logarithms of its outputs are compared, which are logits up to a
    number for each image; means are taken from both. So it is where it ends in these logarithms.

    With `evaluation_suffices`, a source that cannot be run in training is one that has nothing of
    it.
    """

    def __init__(
        self,
        analysis: Analysis,
        source: Source,
        runtime: Runtime,
        match: Match,
        networks: tuple[Network, Network],
        evaluation_suffices: bool = False,
    ) -> None:
        self.analysis, self.source, self.runtime, self.match = analysis, source, runtime, match
        rounded = min(_GROWS * max(match.rounded.values(), default=0.0), _MOST)
        self.rounding = max(runtime.rounding, rounded)
        ours, theirs = networks
        self.drops = sorted(
            (layer.op.name, float(layer.op.rate))
            for layer in theirs.layers
            if isinstance(layer.op, Dropout) and layer.op.rate
        )
        ends = {k: (answer_of(ours, k), answer_of(theirs, n)) for k, n in match.outputs}
        # By the place of ours. Of probabilities there are no logits to be had.
        self.theirs = {k: n for k, n in match.outputs if ends[k][0] in ("", ends[k][1])}
        #: Which of them are probabilities there, and which say logits but for one number.
        self.logs = {k: ends[k] == ("", "softmax") for k in self.theirs}
        self.free = {k: ends[k][0] != ends[k][1] for k in self.theirs}
        self.scale, self.offset = map(np.asarray, match.images or (1.0, 0.0))
        self.pairs = {mine.name: (mine, yours) for mine, yours in match.weights}
        #: One of the two has them once, and the other several times, with other gradients.
        self.parted = parted_names(match)
        #: Whether it draws at random what no spec says, so that nothing of training can be told.
        self.draws = False
        self.evaluation_suffices = evaluation_suffices
        #: Why nothing of training is told, where it cannot be run there and need not.
        self.untrained = ""
        #: Layers of the spec that no gradient has reached in the source.
        self.unreached: set[str] = set()
        self.trained = {
            f"{node.owner}.{weight.name}"
            for node in analysis.graph.nodes
            for weight in node.op.weights(tuple(analysis.types[i] for i in node.inputs))
            if weight.trainable
        }

    def has(self, quantity: Quantity) -> bool:
        """Its loss is of its own outputs alone."""
        if not self.theirs:
            return False
        if quantity.stage == "evaluation":
            return True
        trained = ("outputs", "gradients", "images", "statistics", "weights")
        trains = self.runtime.trains and not self.draws and not self.untrained
        return trains and quantity.kind in trained

    def seen(self, held: Mapping[str, Array]) -> Mapping[str, Array]:
        """What of a program's arrays goes with some of the source's."""
        return _Seen(held, self.is_own, self.form_of)

    def is_own(self, name: str) -> bool:
        """Whether the source has this array."""
        kind, _, rest = name.partition("/")
        if kind == "outputs":
            return int(rest) in self.theirs
        if kind in ("gradients", "weights") and rest.removeprefix("model.") in self.parted:
            return False
        if kind in ("gradients", "statistics", "weights"):
            return rest.removeprefix("model.") in self.pairs
        return kind == "images"

    def form_of(self, name: str, array: Array) -> Array:
        """A program's array as it is compared."""
        kind, _, rest = name.partition("/")
        return centered(array) if kind == "outputs" and self.free[int(rest)] else array

    def compute(self, stage: str, given: Path, output: Path) -> None:
        """See `xgraph.parity.measuring.Reference`."""
        if (stage == "training" and not self.runtime.trains) or not self.theirs:
            return
        images, held = self._begin(given)
        found: dict[str, Array] = {}
        if stage == "evaluation":
            outputs = self._run(lambda: self.runtime.run(images[0]))
        else:
            try:
                passed = self._passed(images[0], held)
            except Refused as refused:
                if not self.evaluation_suffices:
                    raise
                self.untrained = "; ".join(refused.lines)
                return
            outputs = passed.outputs
            names = self.trained & self.pairs.keys()
            missing = {name for name in names if self.pairs[name][1].name not in passed.gradients}
            self.unreached = {name.rpartition(".")[0] for name in missing}
            found = {
                f"gradients/{name}": self._seen(name, passed.gradients)
                for name in sorted(names - self.parted)
            }
            found["images"] = passed.images * self.scale
            found |= self._statistics("")
        for k, n in self.theirs.items():
            y = np.log(outputs[n]) if self.logs[k] else outputs[n]
            found[f"outputs/{k}"] = centered(y) if self.free[k] else y
        output.mkdir(parents=True, exist_ok=True)
        save_arrays(result(output, stage), found)

    def in_training(self) -> Iterator[str]:
        """What its own framework has shown of training, and no graph that was read."""
        yield from (f"it has {line}, which no spec has" for line in self.runtime.beside)
        dropped = sorted((name, float(rate)) for name, rate in self.runtime.dropped)
        if self.runtime.tells_dropped and dropped != self.drops:
            was, is_ = (
                ", ".join(f"{n} {r:g}" for n, r in one) or "nothing"
                for one in (self.drops, dropped)
            )
            yield f"what it drops in training is {is_}, and was read as {was}"

    def gives_others(self, given: Path) -> bool:
        """Whether it gives something else each time in training, from the same weights."""
        found = []
        for _ in range(2):
            images, held = self._begin(given)
            passed = self._passed(images[0], held)
            found.append([passed.outputs[n] for n in self.theirs.values()])
        return not all(np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in zip(*found, strict=True))

    def train(self, training: TrainingOf, given: Path, begin: Path, output: Path) -> None:
        """Leave what updates leave of weights, by somebody's training, as the stage "steps" does.

        Args:
            training: what makes them.
            given: see `xgraph.parity.job.Job`.
            begin: .npz of the weights that programs begin with.
            output: the folder.
        """
        images, held = self._begin(given)
        with np.load(begin) as start:
            self._give({name: start[name] for name in start.files})
        batches = zip(images, held["labels"], strict=True)
        asked(
            self.source,
            lambda: self.runtime.train(training, batches),
            "is not trained by --training",
        )
        arrays = self.runtime.arrays()
        found = {
            f"weights/model.{name}": self._seen(name, arrays)
            for name in sorted((self.trained & self.pairs.keys()) - self.parted)
        }
        found |= self._statistics("model.")
        save_arrays(result(output, "steps"), found)

    def compute_nodes(self, training: bool, given: Path, output: Path) -> None:
        """See `xgraph.parity.measuring.Reference`."""
        images, _ = self._begin(given)
        values = self._run(lambda: self.runtime.values(images[0], training))
        keys: dict[str, str] = {}
        met: dict[str, int] = {}
        for node in self.analysis.graph.nodes:
            number = met[node.owner] = met.get(node.owner, -1) + 1
            keys[node.name] = f"{node.owner}/{number}"
        last = {theirs: ours for ours, theirs in reversed(self.match.layers)}
        found = {keys[ours]: values[theirs] for theirs, ours in last.items() if theirs in values}
        save_arrays(result(output, "activations"), found)

    def _begin(self, given: Path) -> tuple[Array, dict[str, Array]]:
        """All batches of images as it takes them, and all that programs are given."""
        with np.load(given) as held:
            arrays = {name: held[name] for name in held.files}
        weights = {
            name.removeprefix("weights/"): value
            for name, value in arrays.items()
            if name.startswith("weights/")
        }
        self._give(weights)
        return arrays["images"] * self.scale + self.offset, arrays

    def _run(self, run: Callable[[], Answer]) -> Answer:
        return asked(self.source, run, "cannot be run")

    def _passed(self, images: Array, held: Mapping[str, Array]) -> Passed:
        return self._run(lambda: self.runtime.passed(images, *self._projections(held)))

    def _give(self, weights: Mapping[str, Array]) -> None:
        self.runtime.set_arrays(placed(self.match.weights, weights, self.source.title))

    def _projections(self, held: Mapping[str, Array]) -> tuple[Sequence[Array | None], list[bool]]:
        """What its outputs are projected on, in its order, and of which their logarithms are."""
        count = max(self.theirs.values()) + 1
        along: list[Array | None] = [None] * count
        logs = [False] * count
        for k, n in self.theirs.items():
            along[n], logs[n] = held[f"projections/{k}"], self.logs[k]
        return along, logs

    def _seen(self, name: str, arrays: Mapping[str, Array]) -> Array:
        """A weight of the spec's, or its gradient, of the source's; zeros where there is none."""
        mine, yours = self.pairs[name]
        array = arrays.get(yours.name)
        return mine.kept(yours.seen(np.zeros(yours.shape) if array is None else array))

    def _statistics(self, prefix: str) -> dict[str, Array]:
        arrays = self.runtime.arrays()
        names = [name for name in self.pairs if name not in self.trained]
        return {f"statistics/{prefix}{name}": self._seen(name, arrays) for name in names}


class _Seen(Mapping[str, Array]):
    """Some of a program's arrays, read when they are asked for."""

    def __init__(
        self,
        held: Mapping[str, Array],
        has: Callable[[str], bool],
        form: Callable[[str, Array], Array],
    ) -> None:
        self.held, self.form = held, form
        self.names = [name for name in held if has(name)]

    def __getitem__(self, name: str) -> Array:
        return self.form(name, self.held[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def answer_of(network: Network, number: int) -> str:
    """The softmax, or its logarithm, that an output is of; "" where it is neither."""
    layer = network.layers[network.outputs[number][1]]
    while layer.op.name in ("identity", "dropout"):
        layer = network.layers[layer.inputs[0]]
    return layer.op.name if layer.op.name in ANSWERS else ""


def centered(array: Array) -> Array:
    """Less the mean over channels of each pixel, or vector."""
    less: Array = array - array.mean(-1, keepdims=True)
    return less


def given_to(
    analysis: Analysis,
    weights: Mapping[str, Array],
    reference: Elsewhere,
    counts: tuple[int, int],
    seed: int,
    dtype: str,
) -> dict[str, Array]:
    """What all programs are given.

    Args:
        analysis: of the spec.
        weights: by canonical name.
        reference: which has a part of the outputs.
        counts: of batches, and of images in each.
        seed: of images, labels and projections.
        dtype: which holds all of these numbers.
    """
    random = np.random.default_rng(seed + 1)
    types, outputs = analysis.types, analysis.graph.outputs
    held: dict[str, Array] = {"images": random.standard_normal((*counts, *types[0].shape))}
    classes = types[outputs[0].node].channels
    held["labels"] = random.integers(0, classes, counts)
    for k, output in enumerate(outputs):
        along = random.standard_normal((counts[1], *types[output.node].shape))
        if k not in reference.theirs:
            along = np.zeros_like(along)
        elif reference.free[k]:  # a softmax says logits but for one number: no projection may tell
            along = centered(along)
        held[f"projections/{k}"] = along
    shapes = weight_shapes(analysis.graph, analysis.types)
    held |= {f"weights/{name}": weights[name] for name in shapes}
    # In float32 both precisions begin with numbers that both can hold.
    return {
        name: array.astype(dtype).astype(np.float64) if array.dtype.kind == "f" else array
        for name, array in held.items()
    }
