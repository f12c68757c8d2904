"""Definitions of parts.py in Keras, of which a program gets those that its recipe needs.

`weights` is the generated module of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import processes
import tensorflow as tf
from layers import Dropout
from weights import canonical_weights, is_kernel, part_of


class SGD(keras.optimizers.SGD):
    """Momentum that holds gradients: v ← μ·v + g, w ← w − rate·v, or with Nesterov rate·(g + μ·v).

    Keras' own holds rate·g, and so goes on for a while at the rate before a change.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one weight."""
        held = self.momentums[self._get_variable_index(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        # In two steps: TensorFlow makes of a sum of three, with L2's, more passes over memory.
        self.assign(held, self.momentum * held)
        self.assign_add(held, gradient)
        step = gradient + self.momentum * held if self.nesterov else held
        self.assign_sub(variable, rate * step)


class RMSprop(keras.optimizers.Optimizer):
    """s ← ρ·s + (1 − ρ)·g²; m ← μ·m + rate·g / √(s + ε); w ← w − m, as in TensorFlow.

    Keras' own has no mean square at the start but 0.
    """

    def __init__(
        self,
        learning_rate: Any,
        rho: float,
        epsilon: float,
        momentum: float = 0.0,
        initial: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.rho, self.epsilon, self.momentum, self.initial = rho, epsilon, momentum, initial

    def build(self, variables: list[keras.Variable]) -> None:
        """Make what is kept of each weight."""
        super().build(variables)
        start = keras.initializers.Constant(self.initial)
        self.mean_squares = [
            self.add_variable_from_reference(v, "mean_square", start) for v in variables
        ]
        self.momentums = [self.add_variable_from_reference(v, "momentum") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one weight."""
        index = self._get_variable_index(variable)
        mean_square, momentum = self.mean_squares[index], self.momentums[index]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        squared = keras.ops.square(gradient)
        self.assign(mean_square, self.rho * mean_square + (1 - self.rho) * squared)
        step = rate * gradient / keras.ops.sqrt(mean_square + self.epsilon)
        self.assign(momentum, self.momentum * momentum + step)
        self.assign_sub(variable, momentum)


class Adam(keras.optimizers.Optimizer):
    """m̂ and v̂ are the corrected means of g and g²: w ← w − rate·m̂ / (√v̂ + ε).

    Keras' own has ε against the uncorrected √v.
    """

    def __init__(
        self, learning_rate: Any, beta1: float, beta2: float, epsilon: float, **settings: Any
    ) -> None:
        super().__init__(learning_rate, **settings)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def build(self, variables: list[keras.Variable]) -> None:
        """Make what is kept of each weight."""
        super().build(variables)
        self.means = [self.add_variable_from_reference(v, "mean") for v in variables]
        self.mean_squares = [self.add_variable_from_reference(v, "mean_square") for v in variables]
        self.updates = self.add_variable((), dtype="int32", name="updates")

    def apply(self, grads: list[Any], trainable_variables: Any = None) -> None:
        """One update of all weights, which is counted."""
        before = self.iterations + 0
        super().apply(grads, trainable_variables)
        self.updates.assign_add(keras.ops.cast(self.iterations - before, "int32"))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one weight."""
        index = self._get_variable_index(variable)
        mean, mean_square = self.means[index], self.mean_squares[index]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        count = keras.ops.cast(self.updates + 1, variable.dtype)
        beta1, beta2 = self.beta1, self.beta2
        squared = keras.ops.square(gradient)
        self.assign(mean, beta1 * mean + (1 - beta1) * gradient)
        self.assign(mean_square, beta2 * mean_square + (1 - beta2) * squared)
        corrected = mean / (1 - beta1**count)
        root = keras.ops.sqrt(mean_square / (1 - beta2**count))
        self.assign_sub(variable, rate * corrected / (root + self.epsilon))


class LossScale(keras.optimizers.LossScaleOptimizer):
    """An optimizer whose `iterations` go on where a gradient overflows and there is no update.

    By them the learning rate and the average follow a schedule, as the batches do.
    """

    def apply(self, grads: list[Any], trainable_variables: Any = None) -> None:
        """An update, if gradients are finite."""
        before = self.inner_optimizer.iterations + 0
        super().apply(grads, trainable_variables)
        self.inner_optimizer.iterations.assign(before + 1)

    def stateless_apply(
        self, optimizer_variables: list[Any], grads: list[Any], trainable_variables: list[Any]
    ) -> Any:
        """The same on JAX, of values."""
        iterations = len(self.variables) - len(self.inner_optimizer.variables)
        before = optimizer_variables[iterations]
        weights, own = super().stateless_apply(optimizer_variables, grads, trainable_variables)
        own[iterations] = before + 1
        return weights, own


def freeze(
    model: keras.Model, frozen: Collection[str], trained: Collection[str] | None = None
) -> None:
    """Leave all weights of these parts as they are, and the statistics of batch norms in them.

    Where parts are in each other, the innermost counts, one that is `trained` too.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):  # of a block that is applied several times
            freeze(layer, frozen, trained)
            continue
        name = layer.name.replace("-", ".")
        if part_of(name, frozen if trained is None else [*frozen, *trained]) in frozen:
            layer.trainable = False


def factors_of(variables: list[keras.Variable], rates: Mapping[str, float]) -> tuple[float, ...]:
    """What the learning rate of each is multiplied by; `rates` are of parts of the model."""
    paths = (variable.path.replace("/", ".").replace("-", ".") for variable in variables)
    return tuple(rates.get(part_of(path, rates), 1.0) for path in paths)


class MeanLoss(keras.Model):
    """A model that `fit` trains by the mean of the images' losses."""

    image_losses: Callable[[Any, Any], Any]  # a method of what derives from it: labels, outputs

    def compute_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: None = None, training: bool = True
    ) -> Any:
        """The mean over the batch, which is minimized."""
        losses = self.image_losses(y, y_pred)
        # Not `ops.mean`, which on JAX rounds to float32 whatever it is given.
        return keras.ops.divide(keras.ops.sum(losses), keras.ops.size(losses))

    def sync(self) -> None:
        """On JAX, `fit` holds the values elsewhere while it runs: bring them back."""
        if keras.backend.backend() == "jax":
            self.jax_state_sync()

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: None = None) -> Any:
        """The loss of this batch; what Keras reports is a mean since the epoch began."""
        return {"loss": keras.ops.stop_gradient(self.compute_loss(x, y, y_pred))}


class SharedGradients(keras.Model):
    """A model that `fit` trains by the mean of the losses of all processes' images."""

    image_losses: Callable[[Any, Any], Any]  # as `MeanLoss`

    def train_step(self, data: Any) -> Any:
        """An update that is the same in all processes; each has gradients of its own images."""
        trained = self.trainable_variables

        def gradients(images: Any, labels: Any) -> Any:
            count = processes.total(keras.ops.shape(images)[0])
            with tf.GradientTape() as tape:
                losses = self.image_losses(labels, self(images, training=True))
                loss = keras.ops.sum(losses) / keras.ops.cast(count, losses.dtype)
                scaled = self.optimizer.scale_loss(loss)
            own = tape.gradient(scaled, [weight.value for weight in trained])
            return processes.total([loss, *own])

        loss, *found = processes.in_all(gradients, *data)
        self.optimizer.apply(found, trained)
        return {"loss": loss}


class SharedStatistics(keras.Model):
    """A model whose batch norm has statistics of each process's images."""

    def train_step(self, data: Any) -> Any:
        """Moving statistics become the mean over the processes, each of which moved its own."""
        logs = super().train_step(data)
        moving = [v for v in self.non_trainable_variables if v.name.startswith("moving_")]
        sums = processes.in_all(processes.total, [variable.value for variable in moving])
        for variable, values in zip(moving, sums, strict=True):
            variable.assign(values / processes.count())
        return logs


def evaluated_together(
    model: keras.Model, batches: Any, callbacks: Any, names: Sequence[str]
) -> dict[str, float]:
    """The loss and the metrics of a model, these `names`, of all processes' images."""
    sums = np.zeros((len(names), 2))  # a process may have no images
    if len(batches):
        model.evaluate(batches, verbose=0, callbacks=callbacks)
        sums[:] = np.reshape([float(value) for value in model.metrics_variables], (-1, 2))
    totals, counts = processes.sum_of_all(sums).T
    return dict(zip(names, (totals / counts).tolist(), strict=True))


class MicroBatches(keras.utils.PyDataset):
    """The batches of another, in parts."""

    def __init__(self, batches: keras.utils.PyDataset, parts: int) -> None:
        super().__init__()
        self.batches, self.parts = batches, parts

    def __len__(self) -> int:
        return len(self.batches) * self.parts

    def __getitem__(self, index: int) -> Any:
        batch, part = divmod(index, self.parts)
        return [np.split(values, self.parts)[part] for values in self.batches[batch]]


class EachUpdate(keras.callbacks.Callback):
    """Tells others of the batches that micro-batches were parts of, and of their mean losses."""

    def __init__(self, others: Sequence[keras.callbacks.Callback], parts: int) -> None:
        super().__init__()
        self.others, self.parts, self.losses = others, parts, list[Any]()

    def set_model(self, model: keras.Model) -> None:
        """Theirs too."""
        super().set_model(model)
        for other in self.others:
            other.set_model(model)

    def on_train_begin(self, logs: Any = None) -> None:
        """Before the first."""
        for other in self.others:
            other.on_train_begin(logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After the last part of each."""
        self.losses.append(logs["loss"])
        if len(self.losses) == self.parts:
            loss, self.losses = sum(self.losses) / self.parts, []
            for other in self.others:
                other.on_train_batch_end(batch // self.parts, {"loss": loss})


class Ema:
    """The moving average of what changes in a model, moving statistics too, in another.

    An update keeps the share `decay` of it. With `warmup` it is less at first. Of the batches that
    `optimizer` is given, each of the `micro_batches` counts.
    """

    def __init__(
        self,
        model: keras.Model,
        ema: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        decay: float,
        warmup: bool = False,
        micro_batches: int = 1,
    ) -> None:
        ema.trainable = False
        averages, weights = canonical_weights(ema), canonical_weights(model)
        self.pairs = [(averages[name], weight) for name, weight in weights.items()]
        self.optimizer, self.decay = optimizer, decay
        self.warmup = warmup
        self.micro_batches = micro_batches

    def update(self) -> None:
        """After an update of the weights."""
        share = 1 - self.decay
        if self.warmup:  # exact where the decay is almost 1
            updates = keras.ops.cast(self.optimizer.iterations, keras.config.floatx())
            share = keras.ops.maximum(share, 9 / (9 + updates))
        if self.micro_batches != 1:  # of which the last makes an update
            seen = self.optimizer.variables[0]
            share = keras.ops.where(seen % self.micro_batches == 0, share, 0.0)
        for average, weight in self.pairs:
            average.assign_add(share * (weight - average))


class WithEma(keras.Model):
    """A model whose training step goes on to the moving average of its weights."""

    def follow(self, ema: keras.Model, average: Callable[[], None]) -> None:
        """Call `average` after each update, which changes the weights of `ema`."""
        self.ema = ema  # so that its weights are among those that a step changes
        self.average = average

    def train_step(self, *given: Any) -> Any:
        """One update of the weights and of their average."""
        result = super().train_step(*given)
        if keras.backend.backend() != "jax":
            self.average()
            return result
        # On JAX, the values of all variables go in and out of a step.
        logs, (trained, others, optimizer, metrics) = result
        variables = (
            *self.trainable_variables,
            *self.non_trainable_variables,
            *self.optimizer.variables,
        )
        values = (*trained, *others, *optimizer)
        with keras.StatelessScope(zip(variables, values, strict=True)) as scope:
            self.average()
        others = [scope.get_current_value(v) for v in self.non_trainable_variables]
        return logs, (trained, others, optimizer, metrics)


def arrays(slots: Mapping[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Copies of variables."""
    return {n: np.array(keras.ops.convert_to_numpy(slot.value)) for n, slot in slots.items()}


def named(part: str, model: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a model as a checkpoint calls them."""
    return {f"{part}.{name}": variable for name, variable in canonical_weights(model).items()}


def memories(
    model: keras.Model,
    optimizer: Any,
    trained: list[keras.Variable],
    words: dict[str, str],
) -> dict[str, keras.Variable]:
    """What the optimizer keeps of each weight, likewise.

    `trained` are the weights in the optimizer's order; `words` are ours → its lists.
    """
    names = {id(variable): name for name, variable in canonical_weights(model).items()}
    return {
        f"optimizer.{word}.{names[id(variable)]}": memory
        for word, own in words.items()
        for variable, memory in zip(trained, getattr(optimizer, own), strict=True)
    }


def kernels_of(variables: list[keras.Variable]) -> tuple[bool, ...]:
    """Which of these are kernels."""
    return tuple(is_kernel(variable.name) for variable in variables)


def passes(model: keras.Model) -> Any:
    """How many masks each layer of dropout has drawn."""
    _, count = keras.ops.convert_to_numpy(dropouts(model)[0].seed_generator.state.value)
    return np.int64(count)


def set_passes(model: keras.Model, count: Any) -> None:
    """As if each had drawn so many."""
    for layer in dropouts(model):
        state = layer.seed_generator.state
        key, _ = keras.ops.convert_to_numpy(state.value)
        state.assign(np.array([key, count], key.dtype))


def dropouts(model: keras.Model) -> list[Any]:
    """The layers of dropout that drop."""
    return [layer for layer in model.layers if isinstance(layer, Dropout) and layer.rate > 0]


def multi_hot(labels: Any, classes: int) -> Any:
    """Labels as ones and zeros (B, K), also those of images that have one each (B,)."""
    if len(labels.shape) == 1:
        labels = keras.ops.one_hot(keras.ops.cast(labels, "int32"), classes)
    return labels


def top_k(labels: Any, logits: Any, k: int) -> Any:
    """Whether fewer than k logits come before that of the label.

    Of equal ones the first does, and what is no number before all that are. Keras' metric of this
    name takes nothing but float32 on TensorFlow.
    """
    ops = keras.ops
    labels = ops.cast(labels, "int32")[:, None]
    own = ops.take_along_axis(logits, labels, axis=-1)
    no_number = ops.isnan(logits)
    above = ops.logical_or(logits > own, ops.logical_and(no_number, ops.isfinite(own)))
    earlier = ops.arange(logits.shape[-1], dtype="int32")[None] < labels
    equal = ops.logical_and(ops.logical_or(logits == own, no_number), earlier)
    return ops.count_nonzero(ops.logical_or(above, equal), axis=-1) < k


def any_of_top_k(labels: Any, logits: Any, k: int) -> Any:
    """Whether a label is among the classes with the k largest logits."""
    return keras.ops.any(hits_of(labels, logits, k) > 0, axis=-1)


def average_precision(labels: Any, logits: Any, k: int) -> Any:
    """Of each image: the precision at each hit among its best k, over all that could be hit."""
    found = keras.ops.cast(hits_of(labels, logits, k), "float32")
    ranks = keras.ops.arange(1, k + 1, dtype="float32")
    precision = keras.ops.sum(found * keras.ops.cumsum(found, axis=-1) / ranks, axis=-1)
    positives = keras.ops.sum(multi_hot(labels, logits.shape[-1]), axis=-1)
    return precision / keras.ops.clip(keras.ops.cast(positives, "float32"), 1, k)


def recall(labels: Any, logits: Any, k: int) -> Any:
    """Of each image: the share of its labels that are among its best k classes."""
    found = keras.ops.cast(keras.ops.sum(hits_of(labels, logits, k), axis=-1), "float32")
    positives = keras.ops.sum(multi_hot(labels, logits.shape[-1]), axis=-1)
    return found / keras.ops.maximum(keras.ops.cast(positives, "float32"), 1)


def hits_of(labels: Any, logits: Any, k: int) -> Any:
    """(B, k): 1 where the class with the j-th largest logit is a label, else 0."""
    _, best = keras.ops.top_k(keras.ops.cast(logits, "float32"), k)
    return keras.ops.take_along_axis(multi_hot(labels, logits.shape[-1]), best, axis=-1)
