"""Gradients where an op has none of its own: at equal maxima, and at the kinks of activations.

What they are is written down here once more, in NumPy and by other means than a framework's.
"""

from __future__ import annotations

import functools
import itertools
import json
import math

import jax
import numpy as np
import pytest

from xgraph import backend
from xgraph.compile import Compilation, analyse
from xgraph.ops.windows import pads

from ..turns import by_turns

NAMES = ("torch", "keras", "flax")
SIZES = ((8, 9, 2), (7, 7, 3))
#: Slopes at the kinks: those of the outer, flatter piece.
KINKS = {
    "relu": {-3: 0, 0: 0, 3: 1, 6: 1},
    "relu6": {-3: 0, 0: 0, 3: 1, 6: 0},
    "leaky_relu": {-3: 0.3, 0: 0.3, 3: 1, 6: 1},
    "elu": {-3: np.exp(-3), 0: 1, 3: 1, 6: 1},
    "hard_sigmoid": {-3: 0, 0: 1 / 6, 3: 0, 6: 0},
    "hard_swish": {-3: 0, 0: 1 / 2, 3: 1, 6: 1},
    "prelu": {-3: 0.25, 0: 0.25, 3: 1, 6: 1},
    "maximum": {-3: 0, 0: 1 / 2, 3: 1, 6: 1 / 2},  # of x and relu6 of x
}
VALUES = sorted(KINKS["relu"])


def pools():
    """Attributes of max pooling: every way in which a backend has to say it."""
    for kernel, stride in itertools.product((1, 2, 3, [1, 3], [5, 2]), (1, 2, 3, [2, 1])):
        for padding in ("same", "valid"):
            yield {"kernel": kernel, "stride": stride, "padding": padding}
    for stride in (1, 2, [2, 1]):
        for padding in ([[1, 0], [2, 1]], [[1, 1], [1, 1]], [[2, 2], [2, 2]]):
            yield {"kernel": 3, "stride": stride, "padding": padding}
    for padding in ("valid", [[1, 1], [1, 1]], [[1, 0], [2, 1]]):
        yield {"kernel": 3, "stride": 2, "padding": padding, "ceil_mode": True}


def maxima():
    """Items that take a greatest entry of many."""
    items = [{"max_pool": attributes} for attributes in pools()]
    items += [{"global_max_pool": {"keep_dims": keep}} for keep in (False, True)]
    return items + [{"adaptive_max_pool": size} for size in (1, 3, [4, 2])]


@functools.cache
def analysis(size, folder):
    """A spec with every case, each of the image itself and an output of its own."""
    nodes = maxima() + [{name: {}} for name in KINKS if name != "maximum"]
    nodes.append({"maximum": {}, "from": ["input", "capped"]})
    graph = [{"from": "input", "name": f"n{k}", **node} for k, node in enumerate(nodes)]
    graph = [{"relu6": {}, "name": "capped"}, *graph]
    spec = {
        "xgraph": 1,
        "name": "ties",
        "input": {"shape": list(size)},
        "graph": graph,
        "outputs": {f"n{k}": f"n{k}" if not k else {"from": f"n{k}"} for k in range(len(nodes))},
    }
    path = folder / "ties.yaml"
    path.write_text(json.dumps(spec))
    return analyse(str(path))


def pixels(op, axis, place, size):
    """The pixels along an axis of `size` that a pooling's result at a place is made of."""
    if op.name == "global_max_pool":
        return range(size)
    if op.name == "adaptive_max_pool":
        count = op.size[axis]
        return range(math.floor(place * size / count), math.ceil((place + 1) * size / count))
    low, _ = pads(size, axis, op.kernel, op.step, (1, 1), op.padding)
    start = place * op.step[axis] - low
    return range(max(start, 0), min(start + op.kernel[axis], size))


def expected(op, x, along):
    """The gradient of Σ op(x) · along."""
    if op.name in KINKS:
        slopes = KINKS[op.name]
        return along * np.vectorize(slopes.get, otypes=[float])(x)
    found = np.zeros_like(x)
    if op.name == "global_max_pool":
        along = along.reshape(len(x), 1, 1, -1)
    for n, row, column, c in np.ndindex(*along.shape):
        rows, columns = (pixels(op, k, (row, column)[k], x.shape[1 + k]) for k in (0, 1))
        window = list(itertools.product(rows, columns))
        first = max(window, key=lambda place: x[n, *place, c])  # of several, max takes the first
        found[n, *first, c] += along[n, row, column, c]
    return found


@pytest.mark.parametrize(("size", "name"), by_turns([(size,) for size in SIZES]))
def test_gradients_at_ties(name, size, tmp_path_factory):
    found = analysis(size, tmp_path_factory.getbasetemp())
    target = backend.get(name)
    program = target.load(target.emit(Compilation(found, None)))
    random = np.random.default_rng(0)
    images = random.choice(np.array(VALUES, np.float64), (3, *size))
    images[2, 2:] = 0  # and where there is nothing else
    nodes = [found.graph.nodes[output.node] for output in found.graph.outputs]
    shapes = [found.types[output.node].shape for output in found.graph.outputs]
    along = [random.integers(1, 9, (3, *shape)).astype(np.float64) for shape in shapes]

    def wrong(chosen):
        """Whether the gradient of the sum of these outputs is; asking all at once is quick."""
        given = [one * (k in chosen) for k, one in enumerate(along)]
        meant = sum(expected(nodes[k].op, images, along[k]) for k in chosen)
        return np.abs(program.projected(images, given).images - meant).max() > 1e-11

    everything = range(len(nodes))
    if wrong(everything):
        pytest.fail(f"{[nodes[k].op for k in everything if wrong([k])]}")


#: What is computed before a maximum, of images of these sizes.
BEFORE = [
    ((8, 6, 2), ["batch_norm", {"rescale": {"scale": 1.1, "offset": 0.3}}]),
    ((5, 1, 1), [{"conv": {"filters": 2, "kernel": 1}}, "batch_norm"]),
    ((9, 8, 3), [{"conv": {"filters": 5, "kernel": 1}}, "batch_norm", "relu6"]),
]


@pytest.fixture
def optimizer():
    """XLA's, which other tests of ops do without."""
    off = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", off)


def computed():
    """Each of these with each maximum that takes such images; a tenth of them by default."""
    cases = [
        (size, [*before, item, "flatten"])
        for size, before in BEFORE
        for item in maxima()
        if min(size) > 1 or item == {"max_pool": {"kernel": 1, "stride": 2, "padding": "same"}}
    ]
    for number, case in enumerate(cases):
        yield pytest.param(*case, marks=[pytest.mark.slow] if number % 10 != 2 else [])


@pytest.mark.parametrize(("size", "graph"), list(computed()))
def test_gradients_where_what_is_equal_is_computed(size, graph, tmp_path, optimizer):
    """XLA's optimizer computes what maxima are of again, wherever it is compared."""
    path = tmp_path / "computed.yaml"
    spec = {"xgraph": 1, "name": "computed", "input": {"shape": list(size)}, "graph": graph}
    path.write_text(json.dumps(spec))
    found = analyse(str(path))
    targets = (backend.get(name) for name in ("torch", "flax"))
    programs = [target.load(target.emit(Compilation(found, None))) for target in targets]
    shape = found.types[found.graph.outputs[0].node].shape
    for seed in range(2):
        random = np.random.default_rng(seed)
        images = random.integers(-3, 4, (2, *size)).astype(np.float64)
        along = [random.standard_normal((2, *shape))]
        weights = {
            name: np.abs(np.round(8 * random.standard_normal(one.shape)) / 8)
            for name, one in programs[0].weights().items()
        }
        gradients = []
        for program in programs:
            program.set_weights(weights)
            gradients.append(program.projected(images, along).images)
        largest = np.abs(gradients[0]).max()
        assert np.abs(gradients[0] - gradients[1]).max() <= 1e-11 * largest, seed
