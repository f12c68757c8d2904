"""Models of Keras, on whatever Keras runs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from xgraph.importing.network import Array, Refused
from xgraph.importing.runtimes.base import Passed, TrainingOf
from xgraph.keras_passes import as_numpy, forward_and_back, precision, unchanged

#: Layers of dropout that are ops of ours.
_DROPS = frozenset({"Dropout", "SpatialDropout2D", "StochasticDepth"})
#: What a layer adds to a loss, or does to its weights after an update.
_BESIDE = ("regularizer", "constraint")


class KerasRuntime:
    """A copy of a functional or sequential model, in a type of its own."""

    trains = True
    rounding = 0.0
    tells_dropped = False

    def __init__(self, model: Any, dtype: str = "float64") -> None:
        if keras.backend.backend() == "jax" and dtype == "float64":
            import jax

            jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]  # JAX has no types there
        if keras.backend.result_type(dtype, dtype) != dtype:
            framework = keras.backend.backend()
            raise Refused(
                f"Keras on {framework} computes {dtype} in float32: ask for float32, or let Keras "
                "run on TensorFlow (KERAS_BACKEND=tensorflow)"
            )
        self.dtype = dtype
        drawn = random.getstate()  # of which seeds of layers are made
        with precision(dtype):
            self.model = _copied(model, dtype)
        random.setstate(drawn)
        self.dropped: list[tuple[str, float]] = []
        self.drew = False
        self.casts = False
        self.beside = [line for layer in _layers(self.model) for line in _beside(layer)]
        for layer in _layers(self.model):
            _make_exact(layer)
            if type(layer).__name__ in _DROPS:
                layer.call = unchanged  # the graph tells of it, in training as in evaluation

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        for name, variable in self._variables():
            if name in arrays:
                variable.assign(arrays[name])

    def arrays(self) -> dict[str, Array]:
        return {name: as_numpy(variable) for name, variable in self._variables()}

    def run(self, images: Array) -> list[Array]:
        with precision(self.dtype):
            made = self.model(images.astype(self.dtype), training=False)
        return [as_numpy(y) for y in keras.tree.flatten(made)]

    def passed(self, images: Array, along: Sequence[Array | None], logs: Sequence[bool]) -> Passed:
        with precision(self.dtype):
            both = keras.Model(
                self.model.inputs[0], {"model": keras.tree.flatten(self.model.output)}
            )

            def loss_of(given: dict[str, Any], images: Any) -> Any:
                return sum(
                    keras.ops.sum((keras.ops.log(y) if log else y) * one.astype(self.dtype))
                    for y, one, log in zip(given["model"], along, logs, strict=True)
                    if one is not None
                )

            made = forward_and_back(both, loss_of, images.astype(self.dtype))
        outputs, _, found, image = made
        names = {id(variable): name for name, variable in self._variables()}
        gradients = {
            names[id(variable)]: as_numpy(gradient)
            for variable, gradient in zip(both.trainable_variables, found, strict=True)
            if gradient is not None
        }
        given = np.zeros(images.shape, self.dtype) if image is None else as_numpy(image)
        return Passed([as_numpy(y) for y in outputs], gradients, given)

    def values(self, images: Array, training: bool) -> dict[str, Array]:
        single = [layer for layer in self.model.layers if len(layer._inbound_nodes) == 1]
        ends = {layer.name: layer.output for layer in single}
        ends = {name: end for name, end in ends.items() if not isinstance(end, list | dict)}
        with precision(self.dtype):
            found = keras.Model(self.model.inputs[0], ends)(
                images.astype(self.dtype), training=training
            )
        return {name: as_numpy(value) for name, value in found.items()}

    def train(self, training: TrainingOf, batches: Iterable[tuple[Array, Array]]) -> None:
        with precision(self.dtype):
            step = training(self.model)
            _make_numbers_exact(getattr(self.model, "optimizer", None))
            for images, labels in batches:
                step(keras.ops.convert_to_tensor(images, self.dtype), labels)

    def _variables(self) -> Iterator[tuple[str, Any]]:
        """Weights by the path of their layer and their place there, as readers call them."""

        def of(model: Any, path: str) -> Iterator[tuple[str, Any]]:
            for layer in model.layers:
                own = f"{path}{layer.name}"
                if hasattr(layer, "layers"):
                    yield from of(layer, f"{own}/")
                else:
                    yield from ((f"{own}/{n}", one) for n, one in enumerate(layer.weights))

        return of(self.model, "")


def _layers(model: Any) -> Iterator[Any]:
    """The layers of a model, and those of the models in it."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layers(layer)
        else:
            yield layer


def _beside(layer: Any) -> Iterator[str]:
    """What a layer has for training that is no part of a network."""
    for word, value in layer.get_config().items():
        if value is not None and word.endswith(_BESIDE):
            yield f"{layer.name}: {word}"
    if type(layer).__name__ == "ActivityRegularization":
        yield f"{layer.name}: ActivityRegularization"


def _copied(model: Any, dtype: str) -> Any:
    """The same model with the same weights in another type."""
    kinds = {
        type(layer).__name__: type(layer)
        for layer in _layers(model)
        if not type(layer).__module__.startswith("keras.")  # an operation may have their names
    }
    copied = type(model).from_config(_typed(model.get_config(), dtype), custom_objects=kinds)
    copied.set_weights(model.get_weights())
    return copied


def _typed(config: Any, dtype: str) -> Any:
    """A layer's configuration with another type in it."""
    if isinstance(config, list):
        return [_typed(one, dtype) for one in config]
    if not isinstance(config, Mapping):
        return config
    if config.get("class_name") == "DTypePolicy":
        return {**config, "config": {**config["config"], "name": dtype}}
    return {
        key: dtype if key == "dtype" and isinstance(value, str) else _typed(value, dtype)
        for key, value in config.items()
    }


def _make_numbers_exact(optimizer: Any) -> None:
    """Numbers that Keras would cast by way of float32, such as a momentum."""
    for name, value in list(vars(optimizer).items()) if optimizer else ():
        if isinstance(value, float):
            setattr(optimizer, name, np.float64(value))


def _make_exact(layer: Any) -> None:
    """Numbers that Keras would hold in float32 on their way to float64."""
    if type(layer).__name__ == "Rescaling":
        layer.scale, layer.offset = np.array(layer.scale), np.array(layer.offset)
    if type(layer).__name__ == "Normalization":
        if layer.input_mean is None:
            layer.finalize_state()  # its weights have been set since
        else:
            layer.input_mean = np.array(layer.input_mean)
            layer.input_variance = np.array(layer.input_variance)
            layer.build(layer._build_input_shape)
    if type(layer).__name__ == "MultiHeadAttention":
        layer._inverse_sqrt_key_dim = np.float64(layer._inverse_sqrt_key_dim)
    if getattr(layer, "activation", None) is keras.activations.gelu:  # TensorFlow's √2
        layer.activation = lambda x: x * (1 + keras.ops.erf(x / math.sqrt(2))) / 2
