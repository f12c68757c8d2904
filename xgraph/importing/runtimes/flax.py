"""Modules of Flax NNX."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xgraph.importing.network import Array
from xgraph.importing.readers.flax_program import named_outputs, parts_of, state_of
from xgraph.importing.runtimes.base import Passed, TrainingOf


class FlaxRuntime:
    """A copy of a module, in a type of its own."""

    trains = True
    rounding = 0.0
    tells_dropped = True

    def __init__(self, module: nnx.Module, dtype: str = "float64") -> None:
        self.dtype = dtype
        self.dropped: list[tuple[str, float]] = []
        self.drew = False
        self.casts = False
        self.beside: list[str] = []
        with jax.enable_x64(True):
            graph, state = nnx.split(module, graph=True)
            self.module: Any = nnx.merge(graph, jax.tree.map(self._typed, state))
            for _, part in nnx.iter_modules(self.module, graph=True):
                if jnp.issubdtype(getattr(part, "dtype", None) or "int", jnp.floating):
                    vars(part)["dtype"] = dtype  # what it computes in, if it was told that

    def _typed(self, leaf: Any) -> Any:
        floats = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating)
        return leaf.astype(self.dtype) if floats else leaf

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        with jax.enable_x64(True):
            state = nnx.state(self.module, graph=True)
            leaves, tree = jax.tree.flatten(state)
            names = [one.name for one in state_of(self.module)]
            new = [
                jnp.asarray(arrays[name], self.dtype) if name in arrays else leaf
                for name, leaf in zip(names, leaves, strict=True)
            ]
            nnx.update(self.module, jax.tree.unflatten(tree, new))

    def arrays(self) -> dict[str, Array]:
        return {one.name: np.asarray(one.leaf) for one in state_of(self.module) if one.is_weight}

    def run(self, images: Array) -> list[Array]:
        with jax.enable_x64(True):
            self.module.eval()  # the mode, of batch norm and dropout
            return [np.asarray(y) for y in self._outputs(self.module, images)]

    def passed(self, images: Array, along: Sequence[Array | None], logs: Sequence[bool]) -> Passed:
        self.dropped.clear()
        with self._computed():
            self.module.train()
            graph, weights, rest = _split(self.module)

            def loss(weights: Any, x: Any, rest: Any) -> tuple[Any, Any]:
                # Variables may be changed only in the trace in which they are made.
                module: Any = nnx.merge(graph, weights, jax.tree.map(lambda leaf: leaf, rest))
                given = self._outputs(module, x)[: len(along)]
                terms = [
                    ((jnp.log(y) if log else y) * one).sum()
                    for y, one, log in zip(given, along, logs, strict=True)
                    if one is not None
                ]
                _, _, after = _split(module)
                return sum(terms), (given, after)

            passes = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
            (found, image), (given, after) = passes(weights, jnp.asarray(images), rest)
            nnx.update(self.module, after)
            gradients = {one.name: np.asarray(one.leaf) for one in parts_of(found)}
            return Passed([np.asarray(y) for y in given], gradients, np.asarray(image))

    def values(self, images: Array, training: bool) -> dict[str, Array]:
        return {}  # modules have no hooks

    def train(self, training: TrainingOf, batches: Iterable[tuple[Array, Array]]) -> None:
        with self._computed():
            self.module.train()
            step = training(self.module)
            for images, labels in batches:
                step(jnp.asarray(images, self.dtype), jnp.asarray(labels))

    @contextlib.contextmanager
    def _computed(self) -> Iterator[None]:
        """While somebody's code runs: dropout drops nothing and is told of."""

        def kept(layer: Any, inputs: Any, *, deterministic: Any = None, rngs: Any = None) -> Any:
            still = layer.deterministic if deterministic is None else deterministic
            if not still and layer.rate:
                self.dropped.append((_kind(layer.broadcast_dims, inputs.ndim), layer.rate))
            return inputs

        with jax.enable_x64(True), mock.patch.object(nnx.Dropout, "__call__", kept):
            yield

    def _outputs(self, module: Any, images: Any) -> list[Any]:
        return [one for _, one in named_outputs(module(jnp.asarray(images, self.dtype)))]


def _kind(broadcast: Sequence[int], rank: int) -> str:
    """The op of ours that a dropout is, by the axes that share its draws."""
    axes = {axis % rank for axis in broadcast}
    if axes == {*range(1, rank)}:
        return "stochastic_depth"
    return "spatial_dropout" if axes == {1, 2} else "dropout"


def _split(module: Any) -> tuple[Any, Any, Any]:
    """A module's structure, its parameters, and the rest of its state."""
    graph, *states = nnx.split(module, nnx.Param, ..., graph=True)
    weights, rest = states
    return graph, weights, rest
