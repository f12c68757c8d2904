"""Definitions of parts.py in Flax, of which a program gets those that its recipe needs.

`weights` is the generated module of that name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from layers import Dropout
from processes import mesh
from weights import canonical_weights, part_of


def scale_by_rate() -> optax.GradientTransformationExtraArgs:
    """Updates times minus the learning rate, which `Optimizer.update` is given every time."""

    def update(updates: Any, state: Any, params: Any = None, *, rate: jax.Array) -> Any:
        return jax.tree.map(lambda u: -rate * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def times_rate() -> optax.GradientTransformationExtraArgs:
    """Updates times the learning rate, for a momentum that has it in it."""

    def update(updates: Any, state: Any, params: Any = None, *, rate: jax.Array) -> Any:
        return jax.tree.map(lambda u: rate * u, updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def decay_by_rate(decay: float) -> optax.GradientTransformationExtraArgs:
    """Updates minus rate · decay · weight."""

    def update(updates: Any, state: Any, params: Any = None, *, rate: jax.Array) -> Any:
        return jax.tree.map(lambda u, w: u - rate * decay * w, updates, params), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def by_parts(
    rated: optax.GradientTransformationExtraArgs, factors: Any
) -> optax.GradientTransformationExtraArgs:
    """What does the same to every entry by the learning rate, by that of each weight's part."""

    def update(updates: Any, state: Any, params: Any, *, rate: jax.Array) -> Any:
        def one(factor: float, update: Any, weight: Any) -> Any:  # a weight, or none if masked
            return rated.update(update, state, weight, rate=factor * rate)[0]

        return jax.tree.map(one, factors, updates, params), state

    return optax.GradientTransformationExtraArgs(rated.init, update)


def factors_of(weights: nnx.State, rates: Mapping[str, float]) -> nnx.State:
    """What the learning rate of each weight is multiplied by; `rates` are of parts of the model."""
    return nnx.map_state(lambda path, _: rates.get(part_at(path, rates), 1.0), weights)


def all_but(
    frozen: Collection[str], trained: Collection[str] | None = None
) -> nnx.filterlib.Filter:
    """The weights that are in none of these parts, as a filter.

    Where parts are in each other, the innermost counts, one that is `trained` too.
    """
    within = functools.partial(part_at, parts=frozen if trained is None else [*frozen, *trained])
    return nnx.All(nnx.Param, lambda path, _: within(path) not in frozen)


def freeze_norms(
    model: nnx.Module, frozen: Collection[str], trained: Collection[str] | None = None
) -> None:
    """Batch norms in these parts use their moving statistics, and leave them as they are."""
    for path, layer in nnx.iter_modules(model):
        part = part_at(path, frozen if trained is None else [*frozen, *trained])
        if isinstance(layer, nnx.BatchNorm) and part in frozen:
            layer.use_running_average = True


def part_at(path: tuple[Any, ...], parts: Collection[str]) -> str:
    """The innermost of these parts that a place in a model is in, or nothing."""
    return part_of(".".join(str(word).rstrip("_") for word in path), parts)


def accumulated(
    gradient: Callable[..., Any],
    model: nnx.Module,
    images: jax.Array,
    labels: jax.Array,
    parts: int,
    sharding: jax.sharding.Sharding | None = None,
) -> Any:
    """The mean of what `gradient` gives for each part of a batch, one after another."""
    graphdef, start = nnx.split(model)
    batch = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), (images, labels))
    if sharding is not None:
        batch = jax.lax.with_sharding_constraint(batch, sharding)

    def found(state: nnx.State, part: Any) -> Any:
        model = nnx.merge(graphdef, state)
        made = gradient(model, *part)
        return nnx.state(model), made

    def add(carry: Any, part: Any) -> Any:
        state, sums = carry
        state, made = found(state, part)
        return (state, jax.tree.map(jnp.add, sums, made)), None

    _, shapes = jax.eval_shape(found, start, jax.tree.map(lambda x: x[0], batch))
    sums = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), shapes)
    (state, sums), _ = jax.lax.scan(add, (start, sums), batch)
    nnx.update(model, state)
    return jax.tree.map(lambda total: total / parts, sums)


class Ema(nnx.Module):
    """The moving average of a model's weights and batch-norm statistics, which is evaluated."""

    def __init__(self, model: nnx.Module) -> None:
        self.model = nnx.clone(model, arrays=True)

    def update(self, model: nnx.Module, share: jax.Array | float) -> None:
        """a ← a + share·(w − a)."""
        averages, weights = (nnx.state(m, (nnx.Param, nnx.BatchStat)) for m in (self.model, model))
        nnx.update(self.model, jax.tree.map(lambda a, w: a + share * (w - a), averages, weights))


class LossScale(nnx.Module):
    """What float16 needs so that small gradients do not vanish: the loss is multiplied by it.

    It doubles after 2,000 updates; where a gradient overflows, it halves and there is no update.
    """

    def __init__(self) -> None:
        self.scale = nnx.Variable(jnp.float32(2**16))
        self.updates = nnx.Variable(jnp.int32(0))

    def update(
        self, model: nnx.Module, optimizer: nnx.Optimizer, gradients: Any, rate: jax.Array
    ) -> None:
        """`Optimizer.update` with gradients of the scaled loss."""
        gradients = jax.tree.map(lambda g: g / self.scale, gradients)
        finite = jnp.array([jnp.isfinite(g).all() for g in jax.tree.leaves(gradients)]).all()

        def apply(model: nnx.Module, optimizer: nnx.Optimizer) -> None:
            optimizer.update(model, gradients, rate=rate)

        nnx.cond(finite, apply, lambda model, optimizer: None, model, optimizer)
        updates = jnp.where(finite, self.updates + 1, 0)
        growth = jnp.where(finite, jnp.where(updates == 2000, 2.0, 1.0), 0.5)
        self.scale[...] = self.scale * growth
        self.updates[...] = updates % 2000


def to_float64(model: nnx.Module) -> None:
    """Make the model's weights and statistics float64."""

    def longer(value: Any) -> Any:
        return value.astype(jnp.float64) if jnp.issubdtype(value.dtype, jnp.floating) else value

    nnx.update(model, jax.tree.map(longer, nnx.state(model)))


def set_precision(model: nnx.Module, dtype: Any) -> None:
    """Layers convert inputs and weights to `dtype` when they compute; weights stay float32.

    Batch norm takes its inputs as they are: it computes in float32 and only returns `dtype`.
    """

    def as_given(values: tuple[Any, ...], dtype: Any) -> tuple[Any, ...]:
        return values

    model.set_attributes(dtype=dtype, raise_if_not_found=False)
    for _, layer in nnx.iter_modules(model):
        if isinstance(layer, nnx.BatchNorm):
            layer.promote_dtype = as_given


def named(part: str, model: nnx.Module) -> dict[str, nnx.Variable]:
    """The weights of a model as a checkpoint calls them."""
    return {f"{part}.{name}": weight for name, weight in canonical_weights(model).items()}


def memories(
    model: nnx.Module, optimizer: nnx.Optimizer, words: dict[str, str]
) -> dict[str, nnx.Variable]:
    """What the optimizer keeps of each weight, likewise; `words` are ours → optax'."""
    names = {id(weight): name for name, weight in canonical_weights(model).items()}
    paths = {
        path: names[id(weight)] for path, weight in nnx.to_flat_state(nnx.state(model, nnx.Param))
    }
    return {
        f"optimizer.{word}.{paths[path]}": memory
        for word, own in words.items()
        for path, memory in nnx.to_flat_state(optax.tree.get(optimizer.opt_state, own))
    }


def updates_taken(optimizer: nnx.Optimizer) -> nnx.Variable:
    """How many updates the optimizer has taken, by which it corrects its means."""
    return optax.tree.get(optimizer.opt_state, "count")


def passes(model: nnx.Module) -> Any:
    """How many masks each layer of dropout has drawn."""
    layers = (layer for _, layer in nnx.iter_modules(model) if isinstance(layer, Dropout))
    return np.int64(next(layers).passes[...])


def set_passes(model: nnx.Module, count: Any) -> None:
    """As if each had drawn so many."""
    for _, layer in nnx.iter_modules(model):
        if isinstance(layer, Dropout):
            layer.passes.set_value(jnp.array(count, layer.passes.dtype))


def multi_hot(labels: jax.Array, classes: int) -> jax.Array:
    """Labels as ones and zeros (B, K), also those of images that have one each (B,)."""
    return jax.nn.one_hot(labels, classes, dtype=jnp.int32) if labels.ndim == 1 else labels


def average_precision(hits: jax.Array, positives: jax.Array, k: int) -> jax.Array:
    """Of each image: the precision at each hit among its best k, over all that could be hit.

    Args:
        hits: (B, at least k), whether the class of each rank is a label.
        positives: (B,), how many labels there are.
        k: how many ranks count.
    """
    found = hits[:, :k].astype(jnp.float32)
    precision = found * found.cumsum(1) / jnp.arange(1, k + 1)
    return precision.sum(1) / positives.clip(1, k)


def replicate(training: nnx.Module) -> None:
    """All devices have all that an update changes."""
    everywhere = NamedSharding(mesh(), PartitionSpec())

    def copies(array: jax.Array) -> jax.Array:
        return jax.make_array_from_process_local_data(everywhere, np.asarray(array))

    nnx.update(training, jax.tree.map(copies, nnx.state(training)))
