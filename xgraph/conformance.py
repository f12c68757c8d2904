"""What a backend must pass: every case of every op, through the whole pipeline, against NumPy.

A backend's own tests run it with the two things it brings, the backend and a `load` function that
makes its generated files into a `Program`:

    @pytest.mark.parametrize(("op", "case"), conformance.cases(), ids=str)
    def test_op(op, case, tmp_path):
        conformance.check_case(op, case, backend, load, tmp_path)

Everything is computed in float64, in training with the masks of dropout.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xgraph import interpreter, ops, programs
from xgraph.backend import Backend, Compilation
from xgraph.compile import analyse, emit
from xgraph.diagnostics import Source, SpecError
from xgraph.ir.analysis import Analysis
from xgraph.ir.types import TensorType
from xgraph.ops.base import Array, Case, Composite, Op
from xgraph.ops.input import Input
from xgraph.parity.distance import Arrays, distances
from xgraph.passes.shapes import infer_shapes
from xgraph.programs import Program, Training
from xgraph.recipe import Recipe, load_recipe, reference
from xgraph.recipe import part as parts
from xgraph.recipe.reading import read_recipe
from xgraph.spec import loading

TOLERANCE = 1e-10
#: Between backends; there is no reference of gradients but their agreement.
GRADIENT_TOLERANCE = 1e-9
BATCH = 3
#: Pixels by which images grow: of an even and of an odd number, in either direction.
SIZES = ((0, 0), (1, 2), (2, 1))
#: Programs need one; nothing is trained.
RECIPE = "imagenet"


Load = Callable[[Mapping[str, str]], Program]


class Mismatch(AssertionError):  # what was found, in a word
    """A generated program is not the network that its spec describes."""


def cases(backend: Backend | None = None) -> list[tuple[str, Case]]:
    """Every case of every op; of a backend's, of those that it can say.

    A case of a composite op is among them whose steps the backend can say.
    """
    return [
        (name, case)
        for name in ops.names()
        for case in ops.get(name).cases()
        if backend is None or can_say(backend, _bind(name, case))
    ]


def can_say(backend: Backend, op: Op) -> bool:
    """Whether a backend has a spelling for an op, or for all the steps of a composite one."""
    if op.name in backend.spelled:
        return True
    return isinstance(op, Composite) and all(can_say(backend, step.op) for step in op.decompose())


def spec_of(op: str, case: Case) -> str:
    """A spec around one op, whose outputs are logits and the op's own value.

    The op's inputs have the case's shapes; each is a 1×1 convolution, or a dense layer, of a color
    image, so that any backend can compile the spec for training.
    """
    images = [shape for shape in case.inputs if len(shape) == 3]
    height, width = max(images)[:2] if images else (2, 2)
    body: list[Any] = []
    for position, shape in enumerate(case.inputs, 1):
        whole = shape[:2] == (height, width) and len(shape) == 3
        if not whole:
            pool = {"global_avg_pool": {"keep_dims": len(shape) == 3}}
            body.append({**pool, "from": "input", "name": f"pooled{position}"})
        layer = {"dense": {"units": shape[-1]}}
        if len(shape) == 3:
            layer = {"conv": {"filters": shape[-1], "kernel": 1}}
        source = "input" if whole else f"pooled{position}"
        body.append({**layer, "from": source, "name": f"given{position}"})
    given = [f"given{position}" for position in range(1, len(case.inputs) + 1)]
    body.append({op: dict(case.attributes), "from": given, "name": "op"})
    types = tuple(TensorType(shape) for shape in case.inputs)
    if _bind(op, case).infer(types).rank == 3:
        logits = "pooled"
        body.append({"global_avg_pool": {}, "name": "pooled"})
    else:  # a loss takes no probabilities, which some ops give
        logits = "scores"
        body.append({"dense": {"units": 3}, "name": "scores"})
    spec = {
        "xgraph": 1,
        "name": "conformance",
        "input": {"shape": [height, width, 3]},
        "graph": body,
        "outputs": {"logits": logits, "value": {"from": "op"}},
    }
    return json.dumps(spec)


def _bind(op: str, case: Case) -> Op:
    """The op with the case's attributes."""
    cls = ops.get(op)
    kinds = {field.name: field.metadata["kind"] for field in dataclasses.fields(cls)}
    return cls(**{name: kinds[name].convert(value) for name, value in case.attributes.items()})


def check_case(
    op: str,
    case: Case,
    backend: Backend,
    load: Load,
    folder: Path,
    *,
    grow: Iterable[tuple[int, int]] = SIZES,
    everywhere: bool = True,
) -> float:
    """One case in evaluation and training mode, at its own size and at larger ones.

    Args:
        op: the op's name.
        case: its attributes and input shapes.
        backend: the backend that compiles it.
        load: makes its files into a program.
        folder: where the spec is written.
        grow: pixels added to the height and width; sizes that the op does not admit are left out.
        everywhere: whether training mode is compared at larger sizes, too.

    Returns:
        The greatest relative distance seen.

    Raises:
        Mismatch: it exceeds `TOLERANCE`, weights have other names or shapes, or one that is not
            drawn starts from another number.
    """
    text = spec_of(op, case)
    return check_spec(text, backend, load, folder, grow=grow, everywhere=everywhere)


def check_gradients(op: str, case: Case, backends: Sequence[Backend], folder: Path) -> float:
    """The gradients of one case in several backends: of every weight, and of the images.

    All images but the first are of whole numbers and zeros, so that maxima are not unique, and
    entries lie where an activation has a kink.

    Returns:
        The greatest relative distance between the first backend and another.

    Raises:
        Mismatch: it exceeds `GRADIENT_TOLERANCE`.
    """
    path = folder / "spec.yaml"
    path.write_text(spec_of(op, case), encoding="utf-8")
    analysis = analyse(str(path))
    compilation = Compilation(analysis, load_recipe(RECIPE))
    weights = interpreter.random_weights(analysis.graph, analysis.types)
    weights = {name: interpreter.coarse(value) for name, value in weights.items()}
    random = np.random.default_rng(1)
    images = random.standard_normal((BATCH, *analysis.types[0].shape))
    images[1:] = interpreter.with_ties(images[None, 1:])[0]
    classes = analysis.types[analysis.graph.outputs[0].node].channels
    labels = random.integers(0, classes, BATCH)
    found = []
    for backend in backends:
        program = backend.load(emit(compilation, backend))
        program.set_weights(weights)
        made = program.gradients(images, labels)
        found.append({"loss": np.array(made.loss), "images": made.images, **made.weights})
    worst = 0.0
    for backend, other in zip(backends[1:], found[1:], strict=True):
        apart = distances(Arrays(found[0]), Arrays(other))
        name = max(apart, key=lambda tensor: apart[tensor])
        if not apart[name] <= GRADIENT_TOLERANCE:
            raise Mismatch(
                f"gradient of '{name}', {backends[0].name} and {backend.name}: "
                f"relative distance {apart[name]:.3g} > {GRADIENT_TOLERANCE:g}"
            )
        worst = max(worst, apart[name])
    return worst


def check_spec(
    text: str,
    backend: Backend,
    load: Load,
    folder: Path,
    *,
    grow: Iterable[tuple[int, int]] = ((0, 0),),
    settings: Sequence[str] = (),
    training: bool = True,
    everywhere: bool = True,
    tolerance: float = TOLERANCE,
) -> float:
    """A whole spec: weights by name and shape, outputs and moving statistics by value.

    Args:
        text: the spec.
        backend: the backend that compiles it.
        load: makes its files into a program.
        folder: where the spec is written.
        grow: pixels added to the height and width that it is compiled for; sizes that the
            network does not admit are left out.
        settings: `--set` texts.
        training: whether to compare training mode too.
        everywhere: whether that at larger sizes, too.
        tolerance: greatest relative distance allowed.

    Returns:
        The greatest relative distance seen.

    Raises:
        Mismatch: the program is not the network that the spec describes.
    """
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    analysis = analyse(str(path), settings)
    # Not by compile_spec: what is compared here need not be trainable.
    program = load(emit(Compilation(analysis, load_recipe(RECIPE)), backend))
    modes = {"training": training, "everywhere": everywhere}
    return check_program(analysis, program, grow=grow, tolerance=tolerance, **modes)


def check_program(
    analysis: Analysis,
    program: Program,
    *,
    grow: Iterable[tuple[int, int]] = ((0, 0),),
    training: bool = True,
    everywhere: bool = True,
    tolerance: float = TOLERANCE,
) -> float:
    """Compare a program with the NumPy interpreter; see `check_spec`."""
    graph, types = analysis.graph, analysis.types
    expected = interpreter.weight_shapes(graph, types)
    own = {name: value.shape for name, value in program.weights().items()}
    if own != expected:
        missing, extra = sorted(expected.keys() - own.keys()), sorted(own.keys() - expected.keys())
        shapes = [f"{n}: {own[n]}, not {expected[n]}" for n in own.keys() & expected.keys()
                  if own[n] != expected[n]]  # fmt: skip
        raise Mismatch(f"weights: missing {missing}, unexpected {extra}, shapes {shapes}")
    _check_start(analysis, program)
    weights = interpreter.random_weights(graph, types)
    worst = 0.0
    for extra_pixels in grow:
        shape = types[0].shape
        if extra_pixels != (0, 0):
            if len(shape) != 3:
                continue
            shape = (shape[0] + extra_pixels[0], shape[1] + extra_pixels[1], shape[2])
            if not _admits(analysis, shape):
                continue
        images = np.random.default_rng(1).standard_normal((BATCH, *shape))
        trained = training and (everywhere or extra_pixels == (0, 0))
        for mode in (False, True) if trained else (False,):
            program.set_weights(weights)
            values = interpreter.run(graph, images, weights, mode)
            given = program.run(images, mode)
            for output, received in zip(graph.outputs, given, strict=True):
                what = f"output '{output.name}' at {shape}, {'training' if mode else 'evaluation'}"
                worst = max(worst, _distance(values[output.node], received, what, tolerance))
            after = {**weights}
            if mode:
                after |= interpreter.updated_weights(graph, values, weights)
            for name, received in program.weights().items():
                what = f"'{name}' after {'training' if mode else 'evaluation'}"
                worst = max(worst, _distance(after[name], received, what, tolerance))
    return worst


def _check_start(analysis: Analysis, program: Program) -> None:
    """Kernels are drawn by `train.py`; every other weight starts from a number, in float32.

    Raises:
        Mismatch: from another.
    """
    graph, types = analysis.graph, analysis.types
    own = program.weights()
    for node in graph.nodes:
        for weight in node.op.weights(tuple(types[i] for i in node.inputs)):
            name, start = f"{node.owner}.{weight.name}", weight.constant
            if weight.decayed or start is None:
                continue
            if not np.array_equal(np.float32(own[name]), np.full(weight.shape, start, np.float32)):
                raise Mismatch(f"'{name}' does not start from {start:g}")


def _admits(analysis: Analysis, shape: tuple[int, ...]) -> bool:
    """Whether the network takes inputs of another size with the same weights."""
    graph = analysis.graph
    first = dataclasses.replace(graph.nodes[0], op=Input(shape))
    resized = dataclasses.replace(graph, nodes=(first, *graph.nodes[1:]))
    try:
        types = infer_shapes(resized)
    except SpecError:
        return False
    return interpreter.weight_shapes(resized, types) == interpreter.weight_shapes(
        graph, analysis.types
    )


def _distance(expected: Array, received: Array, what: str, tolerance: float) -> float:
    """max|a − b| / max|b|, which may not exceed the tolerance."""
    if expected.shape != received.shape:
        raise Mismatch(f"{what}: shape {received.shape}, not {expected.shape}")
    scale = float(np.abs(expected).max()) or 1.0
    distance = float(np.abs(expected - received).max()) / scale
    if not distance <= tolerance:
        raise Mismatch(f"{what}: relative distance {distance:.3g} > {tolerance:g}")
    return distance


# Training

#: How many updates parts are compared over, and how far programs may be from NumPy.
UPDATES, TRAINING_TOLERANCE = 50, 1e-9

_PLAIN: dict[str, Any] = {
    "xgraph_recipe": 1,
    "name": "conformance",
    "epochs": 5,
    "batch_size": 8,
    "optimizer": {"sgd": {"momentum": 0.9}},
    "schedule": {"constant": 0.05},
    "loss": "softmax_cross_entropy",
    "images": {"normalize": "unit"},
}


def part_cases() -> list[tuple[str, str, str]]:
    """Every case of every part of a recipe: its section, its name, and its settings as JSON."""
    return [
        (section, name, json.dumps(settings))
        for section in parts.KINDS
        for name in parts.names(section)
        for settings in parts.get(section, name).cases()
    ]


def recipe_of(section: str, name: str, settings: str) -> Recipe:
    """A recipe around one part."""
    given = json.loads(settings)
    tree = {**_PLAIN, section: given if section in parts.SINGLE else {name: given}}
    text = Source("conformance.yaml", json.dumps(tree))
    return read_recipe(loading.load(text), text)


def check_part(recipe: Recipe, backend: Backend, folder: Path) -> float:
    """Train by a recipe and compare every update with NumPy's (`xgraph.recipe.reference`).

    Returns:
        The greatest relative distance seen, of a loss or of an array of the state.

    Raises:
        Mismatch: it is above `TRAINING_TOLERANCE`, or the state holds something else.
    """
    path = folder / "reference.yaml"
    path.write_text(reference.SPEC)
    program = backend.load(emit(Compilation(analyse(str(path)), recipe), backend))
    random = np.random.default_rng(0)
    mixed = bool(recipe.images.train.mixings)  # labels are shares of classes then
    batches: list[tuple[Array, Array]] = [
        (
            random.normal(size=(8, 2, 2, 3)),
            random.dirichlet(np.full(4, 0.5), 8) if mixed else random.integers(0, 4, 8),
        )
        for _ in range(UPDATES)
    ]
    weights = {
        name: np.abs(random.normal(size=value.shape)) + 0.1
        for name, value in program.weights().items()
    }
    program.set_weights(weights)
    plan = reference.Length(8, 10, UPDATES, recipe.schedule.peak)
    expected = list(reference.train(recipe, weights, batches, plan))
    states: list[dict[str, Array]] = []

    def between(step: int, training: Training) -> None:
        if step:
            states.append(dict(training.state()))

    length = programs.Length(plan.batch_size, plan.steps_per_epoch, plan.total_steps)
    losses = program.train(batches, length, between).losses
    worst = 0.0
    for step, (update, loss, state) in enumerate(zip(expected, losses, states, strict=True)):
        if update.state.keys() != state.keys():
            raise Mismatch(f"the state has {sorted(update.state.keys() ^ state.keys())}")
        found = {"loss": np.array(loss), **state}
        wanted = {"loss": np.array(update.loss), **update.state}
        for name, distance in distances(Arrays(wanted), Arrays(found)).items():
            worst = max(worst, distance)
            if not distance <= TRAINING_TOLERANCE:
                raise Mismatch(f"after update {step}, {name} is {distance:.1e} off")
    return worst
