"""Definitions of parts.py in Keras, of which a program gets those that its recipe needs.

`weights` is the generated module of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import numpy as np
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
        velocity = self.momentum * held + gradient
        self.assign(held, velocity)
        step = gradient + self.momentum * velocity if self.nesterov else velocity
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
    ) -> None:
        super().__init__(learning_rate)
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

    def __init__(self, learning_rate: Any, beta1: float, beta2: float, epsilon: float) -> None:
        super().__init__(learning_rate)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def build(self, variables: list[keras.Variable]) -> None:
        """Make what is kept of each weight."""
        super().build(variables)
        self.means = [self.add_variable_from_reference(v, "mean") for v in variables]
        self.mean_squares = [self.add_variable_from_reference(v, "mean_square") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of one weight."""
        index = self._get_variable_index(variable)
        mean, mean_square = self.means[index], self.mean_squares[index]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        count = keras.ops.cast(self.iterations + 1, variable.dtype)
        beta1, beta2 = self.beta1, self.beta2
        squared = keras.ops.square(gradient)
        self.assign(mean, beta1 * mean + (1 - beta1) * gradient)
        self.assign(mean_square, beta2 * mean_square + (1 - beta2) * squared)
        corrected = mean / (1 - beta1**count)
        root = keras.ops.sqrt(mean_square / (1 - beta2**count))
        self.assign_sub(variable, rate * corrected / (root + self.epsilon))


def clip_by_norm(grads: list[Any], limit: float) -> list[Any]:
    """Gradients times min(1, limit / their norm as one vector)."""
    total = sum(keras.ops.sum(keras.ops.square(g)) for g in grads)
    norm = keras.ops.sqrt(total)
    scale = keras.ops.minimum(1.0, limit / norm)
    return [scale * g for g in grads]


def add_l2(grads: list[Any], kernels: list[keras.Variable | None], strength: float) -> list[Any]:
    """λ·w added to the gradients of kernels, the slope of λ/2·Σw²."""
    pairs = zip(grads, kernels, strict=True)
    return [g if w is None else g + strength * w for g, w in pairs]


def decay_kernels(kernels: list[keras.Variable | None], share: Any) -> None:
    """Kernels shrink by this share of themselves."""
    for kernel in kernels:
        if kernel is not None:
            kernel.assign_sub(keras.ops.cast(share, kernel.dtype) * kernel)


def decay_by_rates(kernels: list[keras.Variable | None], factors: list[float], share: Any) -> None:
    """Kernels shrink by this share of themselves, times the factors of their rates."""
    for kernel, factor in zip(kernels, factors, strict=True):
        if kernel is not None:
            kernel.assign_sub(keras.ops.cast(factor * share, kernel.dtype) * kernel)


def freeze(
    model: keras.Model, frozen: Collection[str], trained: Collection[str] | None = None
) -> None:
    """Leave all weights of these parts as they are, and the statistics of batch norms in them.

    Where parts are in each other, the innermost counts, one that is `trained` too.
    """
    for layer in model.layers:
        name = layer.name.replace("-", ".")
        if part_of(name, frozen if trained is None else [*frozen, *trained]) in frozen:
            layer.trainable = False


def factors_of(variables: list[keras.Variable], rates: Mapping[str, float]) -> list[float]:
    """What the learning rate of each is multiplied by; `rates` are of parts of the model."""
    paths = (variable.path.replace("/", ".").replace("-", ".") for variable in variables)
    return [rates.get(part_of(path, rates), 1.0) for path in paths]


class WithEma(keras.Model):
    """A model whose training step goes on to the moving average of its weights."""

    def follow(
        self,
        model: keras.Model,
        ema: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        share: Callable[[Any], Any],
    ) -> None:
        """Average what changes in `model`, moving statistics too, in the weights of `ema`.

        `share` is given the number of updates that `optimizer` has taken, and says how much of the
        weights the average takes.
        """
        ema.trainable = False
        self.ema = ema  # so that its weights are among those that a step changes
        averages, weights = canonical_weights(ema), canonical_weights(model)

        def average() -> None:
            taken = share(keras.ops.cast(optimizer.iterations, keras.config.floatx()))
            for name, weight in weights.items():
                averages[name].assign_add(taken * (weight - averages[name]))

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


def kernels_of(variables: list[keras.Variable]) -> list[keras.Variable | None]:
    """The kernels among variables, and None for each other."""
    return [variable if is_kernel(variable.name) else None for variable in variables]


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
    earlier = ops.arange(logits.shape[-1])[None] < labels
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


def hits_of(labels: Any, logits: Any, k: int) -> Any:
    """(B, k): 1 where the class with the j-th largest logit is a label, else 0."""
    _, best = keras.ops.top_k(keras.ops.cast(logits, "float32"), k)
    return keras.ops.take_along_axis(multi_hot(labels, logits.shape[-1]), best, axis=-1)
