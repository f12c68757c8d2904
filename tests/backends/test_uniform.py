"""What is called uniform gives, of equal numbers, equal numbers to the last bit, in any framework.

What is not is found here too: rows of a convolution that differ in their last bits decided a
maximum in one framework otherwise than in another.
"""

from __future__ import annotations

import functools
import itertools
import json

import numpy as np
import pytest

from xgraph import backend, interpreter, ops
from xgraph.compile import Compilation, analyse
from xgraph.ops.base import Composite

from ..turns import one_more

#: Odd and even, so that something is left at the end of a row, however many are computed at once.
SIZES = ((7, 5), (9, 11), (6, 10))
CHANNELS = 12
CASES = 3  # of each op


def chosen():
    """Cases of ops that see images of one size, with its channels."""
    for name in ops.names():
        seen = (case for case in ops.get(name).cases() if all(len(s) == 3 for s in case.inputs))
        yield from ((name, case) for case in itertools.islice(seen, CASES))


@functools.cache
def analysis(size, folder):
    """A spec with every case, each an output of its own."""
    graph, outputs = [], {}
    for number, (name, case) in enumerate(chosen()):
        given = []
        for place, shape in enumerate(case.inputs):
            node = f"given_{number}_{place}"
            graph.append({"channel_slice": min(shape[2], CHANNELS), "from": "input", "name": node})
            given.append(node)
        label = f"n{number}"
        trial = [*graph, {name: dict(case.attributes), "from": given, "name": label}]
        try:
            made = analysed(size, trial, {label: label}, folder)
        except Exception:  # a case that is for images of another size
            continue
        if made.types[made.graph.outputs[0].node].rank == 3:
            graph = trial
            outputs[label] = {"from": label}
    return analysed(size, graph, outputs, folder)


def analysed(size, graph, outputs, folder):
    shape = [*size, CHANNELS]
    spec = {"xgraph": 1, "name": "uniform", "input": {"shape": shape}, "graph": graph}
    path = folder / "uniform.yaml"
    path.write_text(json.dumps(spec | {"outputs": outputs}))
    return analyse(str(path))


def uniform(op):
    steps = [step.op for step in op.decompose()] if isinstance(op, Composite) else [op]
    return all(step.uniform for step in steps)


def rounded(y):
    """Whether entries of a channel differ by so little that only rounding can be why."""
    middle = y[:, y.shape[1] // 2, y.shape[2] // 2][:, None, None]
    apart = np.abs(y - middle)
    return ((apart > 0) & (apart < 1e-12 * np.abs(y).max())).any()


@pytest.fixture(scope="module")
def differing():
    """The names of ops whose results differ by rounding, by framework; and all that were tried."""

    @functools.cache
    def found(name, folder):
        seen, tried = {}, {}
        for size in SIZES:
            made = analysis(size, folder)
            target = backend.get(name)
            program = target.load(target.emit(Compilation(made, None)))
            weights = interpreter.random_weights(made.graph, made.types)
            program.set_weights(weights)
            colors = np.random.default_rng(0).standard_normal((3, 1, 1, CHANNELS))
            images = colors * np.ones((3, *size, CHANNELS))
            nodes = [made.graph.nodes[output.node] for output in made.graph.outputs]
            for training in (False, True):
                for node, y in zip(nodes, program.run(images, training), strict=True):
                    tried[node.op.name] = node.op
                    if rounded(y):
                        seen[node.op.name] = node.op
        return seen, tried

    return found


@pytest.mark.parametrize("name", one_more(0))
def test_what_is_called_uniform(name, differing, tmp_path_factory):
    seen, tried = differing(name, tmp_path_factory.getbasetemp())
    assert len(tried) > 40
    assert [op for op in seen.values() if uniform(op)] == []


def test_convolutions_are_not(differing, tmp_path_factory):
    """As long as this holds of one framework, no comparison may rely on them."""
    seen, _ = differing("torch", tmp_path_factory.getbasetemp())
    assert {"conv", "conv_transpose"} <= set(seen)
