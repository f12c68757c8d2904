"""Models made with other parameters than their spec was compiled with, and what they must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from xgraph import interpreter
from xgraph.compile import Analysis, analyse
from xgraph.diagnostics import SpecError
from xgraph.emit.plan import ModelPlan
from xgraph.emit.planning.trial import drawn, elaborated_with, offered
from xgraph.emit.planning.unfold import differences, unfold
from xgraph.emit.values import frozen_list
from xgraph.ir.graph import Graph
from xgraph.ir.types import TensorType

Settings = dict[str, Any]
World = tuple[Settings, Graph, list[TensorType]]


def read(text: str, folder: Path) -> Analysis | None:
    """The analysis of a spec's text; None where it is refused."""
    path = folder / "spec.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        return analyse(str(path))
    except SpecError:
        return None


def worlds(analysis: Analysis, plan: ModelPlan, seed: int, count: int) -> Iterator[World]:
    """Settings of what a model offers that the spec admits, and what the spec is with them.

    In turn: all parameters, some, and one alone.
    """
    random = Random(seed)
    names = offered(plan)
    values = {str(p.origin): p.value for p in plan.root.parameters if p.origin in names}
    for number in range(count if values else 0):
        chosen = list(values)
        if number % 3 == 1:
            chosen = [name for name in values if random.random() < 0.5]
        elif number % 3 == 2:
            chosen = [random.choice(list(values))]
        settings = {name: drawn(random, values[name]) for name in chosen}
        world = elaborated_with(analysis.elaborated.program, settings)
        if world is not None:
            yield settings, *world


def wrong(plan: ModelPlan, world: World) -> list[str]:
    """What a plan's network is otherwise than the spec's, with the same settings."""
    settings, graph, types = world
    names = offered(plan)
    given = {names[name]: frozen_list(value) for name, value in settings.items()}
    return differences(unfold(plan, given), graph, types)


# -- what a program builds, by name ------------------------------------------------------------

Shapes = dict[str, tuple[int, ...]]
Built = tuple[Shapes, list[tuple[int, ...]]]


def expected(graph: Graph, types: list[TensorType]) -> Built:
    """Shapes of all weights by canonical name, and of the outputs, channels last."""
    outputs = [types[output.node].shape for output in graph.outputs]
    return interpreter.weight_shapes(graph, types), outputs


def torch_built(modules: Mapping[str, Any], images: tuple[int, ...], settings: Settings) -> Built:
    """A PyTorch model made on the meta device, where nothing is computed."""
    import torch

    model_class = _model_class(modules["model"])
    with torch.device("meta"):
        model = model_class(**settings).eval()
        height, width, channels = images
        given = model(torch.empty(2, channels, height, width))
    outputs = given.values() if isinstance(given, dict) else [given]
    weights = modules["weights"].canonical_weights(model)
    return (
        {weight.name: tuple(weight.view.shape) for weight in weights},
        [_last(tuple(output.shape)[1:]) for output in outputs],
    )


def flax_built(modules: Mapping[str, Any], images: tuple[int, ...], settings: Settings) -> Built:
    """A Flax model as shapes alone."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    model_class = _model_class(modules["model"])
    model = nnx.eval_shape(lambda: model_class(**settings, rngs=nnx.Rngs(0)))
    model.eval()
    given = nnx.eval_shape(
        lambda model, x: model(x), model, jax.ShapeDtypeStruct((2, *images), jnp.float32)
    )
    outputs = given.values() if isinstance(given, dict) else [given]
    weights = modules["weights"].canonical_weights(model)
    return (
        {name: tuple(variable.shape) for name, variable in weights.items()},
        [tuple(output.shape)[1:] for output in outputs],
    )


def keras_built(modules: Mapping[str, Any], images: tuple[int, ...], settings: Settings) -> Built:
    """A Keras model, which is symbolic until it is called."""
    import keras

    keras.utils.clear_session(free_memory=False)
    module = modules["model"]
    made = [value for value in vars(module).values() if _is_model_function(value, module)]
    model = made[-1](tuple(images), **settings)
    outputs = model.output.values() if isinstance(model.output, dict) else [model.output]
    weights = modules["weights"].canonical_weights(model)
    return (
        {name: tuple(variable.shape) for name, variable in weights.items()},
        [tuple(output.shape)[1:] for output in outputs],
    )


BUILT: dict[str, Callable[[Mapping[str, Any], tuple[int, ...], Settings], Built]] = {
    "torch": torch_built,
    "flax": flax_built,
    "keras": keras_built,
}


def _model_class(module: Any) -> Any:
    """The last class that a module defines: the model."""
    own = [v for v in vars(module).values() if isinstance(v, type) and v.__module__ == "model"]
    return own[-1]


def _is_model_function(value: Any, module: Any) -> bool:
    code = getattr(value, "__code__", None)
    return (
        code is not None
        and code.co_filename == "<generated model.py>"
        and (value.__name__ != "create_model")
    )


def _last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, H, W) as (H, W, C)."""
    return (*shape[1:], shape[0])
