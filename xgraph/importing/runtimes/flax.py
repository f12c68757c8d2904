"""Modules of Flax NNX."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend.core import jaxpr_as_fun

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
        with jax.enable_x64(True), self._uncast(look=True):
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

            passes = jax.grad(loss, argnums=(0, 1), has_aux=True)
            (found, image), (given, after) = self._compiled(
                passes, weights, jnp.asarray(images), rest
            )
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

    def _compiled(self, function: Callable[..., Any], *given: Any) -> Any:
        """What a function gives, of which nothing is rounded to float32."""
        if not self.casts:
            return jax.jit(function)(*given)
        closed, made = jax.make_jaxpr(function, return_shape=True)(*given)
        with jax.disable_jit(False):
            found = jax.jit(jaxpr_as_fun(closed))(*jax.tree.leaves(given))
        return jax.tree.unflatten(jax.tree.structure(made), found)

    @contextlib.contextmanager
    def _uncast(self, look: bool = False) -> Iterator[None]:
        """While somebody's code runs in float64: a cast to float32, which is nothing in the model
        itself, is nothing in it either; see `casts`. They are looked for once.

        What JAX compiles it keeps, and must not keep without casts: nothing is compiled meanwhile.
        """
        if self.dtype != "float64" or not (look or self.casts):
            yield
            return
        cast = jax.lax.convert_element_type_p
        original = cast.bind

        def bind(x: Any, *more: Any, **told: Any) -> Any:
            if told["new_dtype"] == jnp.float32 and getattr(x, "dtype", None) == jnp.float64:
                self.casts = True
                return x
            return original(x, *more, **told)

        with jax.disable_jit(), mock.patch.object(cast, "bind", bind):
            yield

    @contextlib.contextmanager
    def _computed(self) -> Iterator[None]:
        """While somebody's code runs: dropout drops nothing and is told of, and nothing is rounded
        to float32.
        """

        def kept(layer: Any, inputs: Any, *, deterministic: Any = None, rngs: Any = None) -> Any:
            still = layer.deterministic if deterministic is None else deterministic
            if not still and layer.rate:
                self.dropped.append((_kind(layer.broadcast_dims, inputs.ndim), layer.rate))
            return inputs

        dropped = mock.patch.object(nnx.Dropout, "__call__", kept)
        with jax.enable_x64(True), dropped, self._uncast():
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
