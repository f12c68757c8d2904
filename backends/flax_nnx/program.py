"""A generated Flax program brought to life in this process, to be measured.

This imports JAX; the compiler never imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xgraph.ops.base import Array
from xgraph.programs import (
    Between,
    Gradients,
    Length,
    Recorder,
    Refused,
    Stopped,
    Trained,
    import_files,
)


class Program:
    """The model of a generated program. Images and weights are NumPy arrays, channels last.

    JAX computes in float64 only if the whole process may, so that is turned on, and stays on.
    """

    def __init__(
        self, files: Mapping[str, str], dtype: str = "float64", device: str = "cpu"
    ) -> None:
        if device == "cuda" and jax.default_backend() != "gpu":
            raise Refused("JAX finds no CUDA device here")
        jax.config.update("jax_enable_x64", True)
        self.recorder = Recorder()
        self.modules = import_files(files, probe=self.recorder)
        self.dtype = jnp.dtype(dtype)
        self.model = self.modules["model"].create_model()
        nnx.update(self.model, jax.tree.map(self._cast, nnx.state(self.model)))

    def weights(self) -> dict[str, Array]:
        """A copy of every weight, by canonical name."""
        return self._read(self.model)

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Copy weights into the model, by canonical name; dropout begins a run."""
        self._write(self.model, weights)
        for module in self._dropouts():
            module.passes.set_value(jnp.uint32(0))

    def keep_all(self) -> None:
        """Dropout drops nothing from now on."""
        for module in self._dropouts():
            module.rate = 0.0

    def _dropouts(self) -> list[Any]:
        kind = getattr(self.modules.get("layers"), "Dropout", ())
        return [module for _, module in nnx.iter_modules(self.model) if isinstance(module, kind)]

    def run(self, images: Array, training: bool = False) -> list[Array]:
        """The model's outputs in the order of the spec.

        Moving statistics and dropout's passes change when training.
        """
        self._set_mode(training)
        return _arrays(_forward(self.model, jnp.asarray(images, self.dtype)))

    def gradients(self, images: Array, labels: Array) -> Gradients:
        """One pass forward and back; see `xgraph.programs.MeasuredProgram`."""
        loss_function = self.modules["train"].loss_function
        target = [jnp.asarray(labels)]
        if "class_weights" in signature(loss_function).parameters:
            target.append(self.modules["train"].Training(self.model).class_weights[...])
        return self._passes(images, lambda outputs, given: loss_function(outputs, *given), target)

    def projected(self, images: Array, projections: Sequence[Array]) -> Gradients:
        """One pass forward and back; see `xgraph.programs.MeasuredProgram`."""

        def loss_function(outputs: Any, along: list[jax.Array]) -> jax.Array:
            pairs = zip(_in_order(outputs), along, strict=True)
            return sum((y * one).sum() for y, one in pairs)

        given = [jnp.asarray(one, self.dtype) for one in projections]
        return self._passes(images, loss_function, given)

    def _passes(
        self, images: Array, loss_function: Callable[[Any, Any], jax.Array], target: Any
    ) -> Gradients:
        """Forward and back by the loss of (the model's outputs, `target`)."""
        self._set_mode(True)

        @nnx.jit
        def passes(model: nnx.Module, images: jax.Array, target: Any) -> Any:
            def loss(model: nnx.Module, images: jax.Array) -> tuple[jax.Array, Any]:
                outputs = model(images)
                return loss_function(outputs, target), _in_order(outputs)

            return nnx.value_and_grad(loss, argnums=(0, 1), has_aux=True)(model, images)

        (loss, outputs), (found, image) = passes(
            self.model, jnp.asarray(images, self.dtype), target
        )
        return Gradients(_arrays(outputs), float(loss), self._seen(found), np.array(image))

    def train(
        self,
        batches: Iterable[tuple[Array, Array]],
        length: Length,
        between: Between,
    ) -> Trained:
        """Updates by the recipe; see `xgraph.programs.MeasuredProgram`."""
        train = self.modules["train"]
        training = train.Training(self.model)
        given = (
            (jnp.asarray(images, self.dtype), jnp.asarray(labels)) for images, labels in batches
        )
        plan = train.Plan(**vars(length), rate=train.LEARNING_RATE)
        losses = []
        between(0, training)
        for step, loss in enumerate(train.updates(training, given, plan), 1):
            losses.append(float(loss))
            between(step, training)
        return Trained(losses, training.state())

    def activations(self, images: Array, training: bool) -> dict[str, list[Array]]:
        """The value of every node of a probed program, by path, in the order of their making."""
        self._set_mode(training)
        self.recorder.values.clear()
        paths = {
            id(module): ".".join(str(part).rstrip("_") for part in path)
            for path, module in nnx.iter_modules(self.model)
        }
        try:
            self.model(jnp.asarray(images, self.dtype))
        except Exception as error:  # whatever stops it, what was reached is of interest
            raise Stopped(self.recorder.reached(paths)) from error
        found = self.recorder.by_path(paths)
        return {path: [np.array(value) for value in values] for path, values in found.items()}

    def _canonical(self, model: nnx.Module) -> dict[str, nnx.Variable]:
        return self.modules["weights"].canonical_weights(model)

    def _read(self, model: nnx.Module) -> dict[str, Array]:
        return {name: np.array(weight[...]) for name, weight in self._canonical(model).items()}

    def _write(self, model: nnx.Module, weights: Mapping[str, Array]) -> None:
        own = self._canonical(model)
        assert own.keys() == weights.keys()
        for name, variable in own.items():
            variable.set_value(jnp.array(weights[name], self.dtype))

    def _seen(self, state: Any) -> dict[str, Array]:
        """The leaves of a state like that of the parameters, by canonical name.

        They are put into a copy of the model, since that is what canonical names are of.
        """
        graph, parameters, rest = nnx.split(self.model, nnx.Param, ...)
        leaves = jax.tree.leaves(state)
        like = jax.tree.unflatten(jax.tree.structure(parameters), leaves)
        found = self._canonical(nnx.merge(graph, like, rest))
        return {
            name: np.array(weight[...])
            for name, weight in found.items()
            if isinstance(weight, nnx.Param)
        }

    def _set_mode(self, training: bool) -> None:
        if training:
            self.model.train()
        else:
            self.model.eval()

    def _cast(self, leaf: jax.Array) -> jax.Array:
        return leaf.astype(self.dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


@nnx.jit
def _forward(model: nnx.Module, images: jax.Array) -> tuple[jax.Array, ...]:
    return _in_order(model(images))


def _in_order(given: jax.Array | dict[str, jax.Array]) -> tuple[jax.Array, ...]:
    """Outputs in the order of the spec; what leaves a compiled function has its keys sorted."""
    return tuple(given.values()) if isinstance(given, dict) else (given,)


def _arrays(values: Iterable[jax.Array]) -> list[Array]:
    return [np.array(value) for value in values]
