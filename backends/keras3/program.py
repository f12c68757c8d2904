"""A generated Keras program brought to life in this process, to be measured.

This imports Keras; the compiler never imports it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from xgraph.keras_passes import (
    LossOf,
    as_numpy,
    forward_and_back,
    in_order,
    precision,
    unchanged,
)
from xgraph.ops.base import Array
from xgraph.programs import Between, Gradients, Length, Refused, Trained, import_files


class Program:
    """The model of a generated program. Images and weights are NumPy arrays."""

    def __init__(
        self, files: Mapping[str, str], dtype: str = "float64", device: str = "cpu"
    ) -> None:
        framework = keras.backend.backend()
        where = str(keras.ops.zeros(()).device).lower()  # where Keras computes if not told
        if device == "cuda" and "gpu" not in where and "cuda" not in where:
            raise Refused(f"{framework} finds no CUDA device here")
        if keras.backend.result_type(dtype, dtype) != dtype:  # keras-team/keras #23223, #23704
            raise Refused(
                f"Keras on {framework} computes {dtype} in float32: compare with --dtype float32, "
                "or let Keras run on TensorFlow (KERAS_BACKEND=tensorflow)"
            )
        self.dtype = dtype
        self.modules = import_files(files)
        self.model = self._create()

    def weights(self) -> dict[str, Array]:
        """A copy of every weight, by canonical name."""
        return self._read(self.model)

    def set_weights(self, weights: Mapping[str, Array]) -> None:
        """Copy weights into the model, by canonical name; dropout begins a run."""
        self._write(self.model, weights)
        for layer in _layers(self.model):
            if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
                key, _ = as_numpy(state := layer.seed_generator.state)
                state.assign(np.array([key, 0], key.dtype))

    def keep_all(self) -> None:
        """Dropout drops nothing from now on."""
        for layer in _layers(self.model):
            if isinstance(layer, keras.layers.Dropout):
                layer.call = unchanged

    def run(self, images: Array, training: bool = False) -> list[Array]:
        """The model's outputs in the order of the spec.

        Moving statistics and dropout's passes change when training.
        """
        self._admit(images.shape[1:])
        with precision(self.dtype):
            return _outputs(self.model(images.astype(self.dtype), training=training))

    def gradients(self, images: Array, labels: Array) -> Gradients:
        """One pass forward and back; see `xgraph.programs.MeasuredProgram`."""
        self._admit(images.shape[1:])
        with precision(self.dtype):
            trained = self._training(Length(len(images), 1, 1)).trained
            for layer in _layers(self.model):  # what a recipe freezes, it does in its steps
                layer.trainable = True
            both = keras.Model(
                self.model.input, {"model": self.model.output, "trained": trained.output}
            )

            def loss_of(given: dict[str, Any], images: Any) -> Any:
                return trained.compute_loss(
                    images, keras.ops.convert_to_tensor(labels), given["trained"]
                )

            return self._passes(both, images, loss_of)

    def projected(self, images: Array, projections: Sequence[Array]) -> Gradients:
        """One pass forward and back; see `xgraph.programs.MeasuredProgram`."""
        self._admit(images.shape[1:])
        with precision(self.dtype):
            both = keras.Model(self.model.input, {"model": self.model.output})

            def loss_of(given: dict[str, Any], images: Any) -> Any:
                along = [keras.ops.convert_to_tensor(one, self.dtype) for one in projections]
                pairs = zip(in_order(given["model"]), along, strict=True)
                return sum(keras.ops.sum(y * one) for y, one in pairs)

            return self._passes(both, images, loss_of)

    def _passes(self, both: keras.Model, images: Array, loss_of: LossOf) -> Gradients:
        """Forward and back; the model's own outputs are those under "model"."""
        made = forward_and_back(both, loss_of, images.astype(self.dtype))
        outputs, loss, found, image = made
        names = {id(variable): name for name, variable in self._canonical(self.model).items()}
        weights = {
            names[id(variable)]: as_numpy(gradient)
            for variable, gradient in zip(both.trainable_variables, found, strict=True)
            if gradient is not None
        }
        return Gradients(_outputs(outputs), float(as_numpy(loss)), weights, as_numpy(image))

    def train(
        self,
        batches: Iterable[tuple[Array, Array]],
        length: Length,
        between: Between,
    ) -> Trained:
        """Updates by the recipe; see `xgraph.programs.MeasuredProgram`."""
        train = self.modules["train"]
        given = list(batches)
        self._admit(given[0][0].shape[1:])
        with precision(self.dtype):
            training = self._training(length)
            losses = _Losses(between, training)
            train.fit(training, _Batches(given, self.dtype), 0, [losses])
        return Trained(losses.values, training.state())

    def _training(self, length: Length) -> Any:
        train = self.modules["train"]
        return train.Training(self.model, train.Plan(**vars(length), rate=train.LEARNING_RATE))

    def activations(self, images: Array, training: bool) -> dict[str, list[Array]]:
        """The value of every node that is a layer, by path."""
        self._admit(images.shape[1:])
        with precision(self.dtype), _watched(self.model) as values:
            self.model(images.astype(self.dtype), training=training)
        return {path.replace("-", "."): found for path, found in values().items()}

    def _canonical(self, model: keras.Model) -> dict[str, keras.Variable]:
        found: dict[str, keras.Variable] = self.modules["weights"].canonical_weights(model)
        return found

    def _read(self, model: keras.Model) -> dict[str, Array]:
        return {name: as_numpy(variable) for name, variable in self._canonical(model).items()}

    def _write(self, model: keras.Model, weights: Mapping[str, Array]) -> None:
        own = self._canonical(model)
        assert own.keys() == weights.keys()
        for name, variable in own.items():
            variable.assign(weights[name])

    def _admit(self, shape: tuple[int, ...]) -> None:
        """Keras fixes the size of images when a model is made: another size, another model."""
        if self.model.input_shape[1:] != shape:
            before, self.model = self.model, self._create(input_shape=shape)
            for old, new in zip(before.layers, self.model.layers, strict=True):
                for variable, value in zip(new.variables, old.variables, strict=True):
                    variable.assign(value)

    def _create(self, **options: Any) -> keras.Model:
        with precision(self.dtype):
            return self.modules["model"].create_model(**options)


@contextlib.contextmanager
def _watched(model: keras.Model) -> Iterator[Callable[[], dict[str, list[Array]]]]:
    """What every layer gives while the model is called once: by name, in the order of its text.

    Keras computes in another order what does not depend on each other.
    """
    applied = list(_applied(model, ()))
    values: dict[str, list[Array]] = {}

    def watched(layer: keras.Layer) -> Callable[..., Any]:
        call = layer.call

        def seen(*given: Any, **more: Any) -> Any:
            made = call(*given, **more)
            values.setdefault(layer.name, []).append(as_numpy(made))
            return made

        return seen

    def found() -> dict[str, list[Array]]:
        order: dict[str, list[tuple[int, ...]]] = {}
        for layer, place in applied:
            order.setdefault(layer.name, []).append(place)
        return {
            name: [value for _, value in sorted(zip(order[name], own, strict=True), key=_first)]
            for name, own in values.items()
        }

    layers = {layer.name: layer for layer, _ in applied}
    before = {name: layer.call for name, layer in layers.items()}
    try:
        for layer in layers.values():
            layer.call = watched(layer)
        yield found
    finally:
        for name, layer in layers.items():
            layer.call = before[name]


def _first(pair: tuple[tuple[int, ...], Array]) -> tuple[int, ...]:
    return pair[0]


def _applied(
    model: keras.Model, around: tuple[int, ...]
) -> Iterator[tuple[keras.Layer, tuple[int, ...]]]:
    """Each application of a layer as it is computed, and its place in the order of the text."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer = node.operation
            place = (*around, layer._inbound_nodes.index(node))
            if isinstance(layer, keras.Model):
                yield from _applied(layer, place)
            else:
                yield layer, place


class _Batches(keras.utils.PyDataset):
    """Given batches, in order."""

    def __init__(self, batches: list[tuple[Array, Array]], dtype: str) -> None:
        super().__init__()
        self.batches = [(images.astype(dtype), labels) for images, labels in batches]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> tuple[Array, Array]:
        return self.batches[index]


class _Losses(keras.callbacks.Callback):
    """The loss of every update."""

    def __init__(self, between: Between, training: Any) -> None:
        super().__init__()
        self.values: list[float] = []
        self.between, self.training = between, training

    def on_train_begin(self, logs: Any = None) -> None:
        self.between(0, self.training)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.values.append(float(logs["loss"]))
        self.between(batch + 1, self.training)


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers of a model, and those of the models in it."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _outputs(given: Any) -> list[Array]:
    return [as_numpy(y) for y in in_order(given)]
