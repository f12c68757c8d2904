"""The parts of a recipe in Flax: one function each, from the part to what it adds to train.py.

Precisions are contributions too.

The constants of a part (`Part.constants`) are in the program by their names. Places of train.py:

    clip        transformations of optax that come first, one to a line
    decay       those that add to the gradients
    optimizer   the optimizer's, of which one multiplies by the learning rate
    decoupled   those that come last
    types       before a model is made
    precision   what is done to a new model
    constants   of train.py, after those of the recipe
    prepare     in `Training.__init__`, before the optimizer is made
    create      after it
    loss        the body of the loss of `logits` and `labels`
    weighted    that of the one that is minimized, of `class_weights` too, where there are such
    passed      what the loss is given besides, with a comma before it
    gradients   what makes `loss` and `gradients`; `{passed}` stands for that, and `{wrt}` for the
                further argument that says of which weights, if not of all
    accumulated the same, where a batch is shared out
    step        the optimizer's step
    after_step  after it
    evaluated   the model that is evaluated, where it is another than the one that is trained
    slots       what of it a checkpoint holds, as variables
    kernels     nothing but the wish that the variable `kernels` exists
    wrt         the weights that are trained, where they are not all, as a filter of nnx
    factors     nothing but the wish that each weight has its part's factor of the learning rate
    ready       before a run begins to train
    sharding    how the devices share a batch that is shared out, an argument with a comma before it
    placed      once all is made of what an update changes, `{training}`, or read from a checkpoint
    usage       how the program is started besides
    start       what is called to train, one expression
    run         what that is given, a class
    arguments   more of the command line
    apart       nothing but the wish that gradients and updates are of use each alone
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xgraph.emit.contributions import Contribution
from xgraph.emit.training import (
    Measure,
    Spellings,
    asynchronous,
    balanced_lines,
    replicas_lines,
)
from xgraph.recipe.asynchrony.asynchronous import Asynchronous
from xgraph.recipe.averages.ema import Ema
from xgraph.recipe.clips.norm import Norm
from xgraph.recipe.clips.value import Value
from xgraph.recipe.distributions.devices import Devices
from xgraph.recipe.losses.base import Loss
from xgraph.recipe.losses.sigmoid_cross_entropy import SigmoidCrossEntropy
from xgraph.recipe.losses.softmax_cross_entropy import SoftmaxCrossEntropy
from xgraph.recipe.metrics import Metric
from xgraph.recipe.metrics.map import MeanAveragePrecision
from xgraph.recipe.metrics.recall import Recall
from xgraph.recipe.metrics.top import Top
from xgraph.recipe.optimizers.adam import Adam
from xgraph.recipe.optimizers.adamw import AdamW
from xgraph.recipe.optimizers.rmsprop import Rmsprop
from xgraph.recipe.optimizers.sgd import Sgd
from xgraph.recipe.prose import number
from xgraph.recipe.regularizations.decoupled import Decoupled
from xgraph.recipe.regularizations.l2 import L2
from xgraph.recipe.tunings.tune import Tune


def _optimizer(steps: tuple[str, ...], memories: Mapping[str, str]) -> Contribution:
    """An optimizer by its transformations, and what it keeps: the part's words → optax'."""
    if not memories:
        return Contribution(places={"optimizer": steps})
    words = ", ".join(f'"{word}": "{own}"' for word, own in memories.items())
    return Contribution(
        definitions=frozenset({"memories"}),
        places={
            "optimizer": steps,
            "slots": (f"**memories(self.model, self.optimizer, {{{words}}}),",),
        },
    )


def sgd(part: Sgd) -> Contribution:
    if not part.momentum:
        return _BY_RATE + _optimizer((_RATE,), {})
    nesterov = ", nesterov=True" if part.nesterov else ""
    steps = (f"optax.trace(MOMENTUM{nesterov}),", _RATE)
    return _BY_RATE + _optimizer(steps, {"momentum": "trace"})


_RATE = "scale_by_rate(),"
_BY_RATE = Contribution(definitions=frozenset({"scale_by_rate"}))


def rmsprop(part: Rmsprop) -> Contribution:
    initial = f", initial_scale={number(part.initial)}" if part.initial else ""
    mean_square = f"optax.scale_by_rms(RHO, EPSILON{initial}),"
    if not part.momentum:
        return _BY_RATE + _optimizer((mean_square, _RATE), {"mean_square": "nu"})
    # The rate is in the momentum, which is subtracted.
    steps = (mean_square, "times_rate(),", "optax.trace(MOMENTUM),", "optax.scale(-1.0),")
    return _optimizer(steps, {"mean_square": "nu", "momentum": "trace"}) + Contribution(
        definitions=frozenset({"times_rate"})
    )


def adam(part: Adam) -> Contribution:
    steps = ("optax.scale_by_adam(BETA1, BETA2, EPSILON),", _RATE)
    return _optimizer(steps, {"mean": "mu", "mean_square": "nu"}) + Contribution(
        definitions=frozenset({"scale_by_rate", "updates_taken"}),
        places={"slots": ('"optimizer.updates": updates_taken(self.optimizer),',)},
    )


def adamw(part: AdamW) -> Contribution:
    decay = "optax.add_decayed_weights(WEIGHT_DECAY, kernels),"
    made = adam(part.adam)
    first, last = made.at("optimizer")
    places = {**made.places, "optimizer": (first, decay, last), "kernels": ("",)}
    return Contribution(made.definitions, places)


def l2(part: L2) -> Contribution:
    line = "optax.add_decayed_weights(L2, kernels),  # gradient += L2 * kernel"
    return Contribution(places={"decay": (line,), "kernels": ("",)})


def decoupled(part: Decoupled) -> Contribution:
    return Contribution(
        definitions=frozenset({"decay_by_rate"}),
        places={
            "decoupled": ("optax.masked(decay_by_rate(WEIGHT_DECAY), kernels),",),
            "kernels": ("",),
        },
    )


def norm(part: Norm) -> Contribution:
    return Contribution(places={"clip": ("optax.clip_by_global_norm(CLIP_NORM),",)})


def value(part: Value) -> Contribution:
    return Contribution(places={"clip": ("optax.clip(CLIP_VALUE),",)})


def ema(part: Ema) -> Contribution:
    share = "1 - EMA_DECAY"
    if part.warmup:  # exact where the decay is almost 1
        share = f"jnp.maximum({share}, 9 / (10 + step))"
    return Contribution(
        definitions=frozenset({"Ema"}),
        places={
            "create": ("self.ema = Ema(model)",),
            "after_step": (f"training.ema.update(training.model, {share})",),
            "evaluated": ("self.ema.model",),
            "slots": ('**named("ema", self.ema.model),',),
        },
    )


def tune(part: Tune) -> Contribution:
    made = Contribution()
    if part.frozen:
        others = ", RATES" if part.excepts else ""
        made += Contribution(
            definitions=frozenset({"all_but", "freeze_norms"}),
            places={
                "constants": (f"TRAINED = all_but(FROZEN{others})",),
                "prepare": (f"freeze_norms(model, FROZEN{others})",),
                "wrt": ("TRAINED",),
            },
        )
    if part.factors:
        made += Contribution(frozenset({"factors_of"}), {"factors": ("",)})
    return made


def devices(part: Devices) -> Contribution:
    """Arrays that are shared out or copied; XLA does the rest."""
    made = Contribution(
        definitions=frozenset({"replicate"}),
        places={
            "sharding": (', NamedSharding(mesh(), PartitionSpec(None, "replica"))',),
            "placed": ("replicate({training})",),
            "usage": (
                "",
                "It trains on all devices of its host; on several hosts, with SLURM:",
                "    srun python train.py --data DIR --output RUN",
            ),
            "start": ("together(start)",),
            "run": ("SharedRun",),
        },
    )
    if part.statistics == "global":
        return made
    return made + Contribution(
        places={
            "ready": replicas_lines("mesh().size"),
        },
    )


def softmax_cross_entropy(part: SoftmaxCrossEntropy) -> Contribution:
    return _softmax(part, _SMOOTHED if part.label_smoothing else _PLAIN)


def softmax_of_shares(part: SoftmaxCrossEntropy) -> Contribution:
    lines = (
        "targets = multi_hot(labels, CLASSES).astype(logits.dtype)",
        *((_SMOOTH,) if part.label_smoothing else ()),
        _ENTROPY,
    )
    return Contribution(definitions=frozenset({"multi_hot"})) + _softmax(part, lines)


def _softmax(part: SoftmaxCrossEntropy, loss: tuple[str, ...]) -> Contribution:
    plain = Contribution(places={"loss": loss})
    if part.class_weights is None:
        return plain
    lines = (
        "targets = class_weights * multi_hot(labels, CLASSES)",
        *((_SPREAD,) if part.label_smoothing else ()),
        _ENTROPY,
    )
    return plain + _class_weights(part, lines)


def sigmoid_cross_entropy(part: SigmoidCrossEntropy) -> Contribution:
    over = "sum(1).mean()" if part.over_classes == "sum" else "mean()"
    target = "target = multi_hot(labels, CLASSES).astype(logits.dtype)"
    losses = "optax.sigmoid_binary_cross_entropy(logits, target)"
    plain = Contribution(
        definitions=frozenset({"multi_hot"}),
        places={"loss": (target, f"return {losses}.{over}")},
    )
    if part.class_weights is None:
        return plain
    return plain + _class_weights(part, (target, f"return (class_weights * {losses}).{over}"))


#: The labels' weights are in the targets, which need not sum to 1.
_SPREAD = (
    "targets = (1 - LABEL_SMOOTHING) * targets + LABEL_SMOOTHING * targets.mean(1, keepdims=True)"
)


def _class_weights(part: Loss, lines: tuple[str, ...]) -> Contribution:
    """A loss with class weights, which is minimized; evaluation's has none."""
    balanced = part.class_weights == "balanced"
    made = "jnp.ones(CLASSES)" if balanced else "jnp.array(CLASS_WEIGHTS)"
    own = "training.class_weights.set_value(jnp.array(class_weights))"
    return Contribution(
        definitions=frozenset({"multi_hot"}),
        places={
            "weighted": lines,
            "passed": (", training.class_weights[...]",),
            "create": (f"self.class_weights = nnx.Variable({made})",),
            "ready": balanced_lines(own) if balanced else (),
        },
    )


_PLAIN = ("return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()",)

_SMOOTH = "targets = optax.smooth_labels(targets, LABEL_SMOOTHING)"
_ENTROPY = "return optax.softmax_cross_entropy(logits, targets).mean()"
_SMOOTHED = (
    "targets = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)",
    _SMOOTH,
    _ENTROPY,
)

_EXACT = Contribution(
    places={
        "gradients": (
            "",
            "def objective(model: nnx.Module) -> jax.Array:",
            "    return loss_function(model(images), labels{passed})",
            "",
            "loss, gradients = nnx.value_and_grad(objective{wrt})(training.model)",
        ),
        "step": ("training.optimizer.update(training.model, gradients, rate=rate)",),
    }
)


def _layers_in(dtype: str) -> Contribution:
    """Layers compute in this type."""
    return Contribution(
        definitions=frozenset({"set_precision"}),
        places={"precision": (f"set_precision(model, jnp.{dtype})",)},
    )


#: The loss is multiplied so that small gradients do not vanish.
_SCALING = Contribution(
    definitions=frozenset({"LossScale"}),
    places={
        "create": ("self.scaling = LossScale()",),
        "gradients": (
            "",
            "def objective(model: nnx.Module) -> tuple[jax.Array, jax.Array]:",
            "    loss = loss_function(model(images), labels{passed})",
            "    return training.scaling.scale * loss, loss",
            "",
            "gradients, loss = nnx.grad(objective{wrt}, has_aux=True)(training.model)",
        ),
        "step": ("training.scaling.update(training.model, training.optimizer, gradients, rate)",),
        "slots": (
            '"scaling.scale": self.scaling.scale,',
            '"scaling.updates": self.scaling.updates,',
        ),
    },
)

_PRECISIONS = {
    "float32": _EXACT,
    "bfloat16": _EXACT + _layers_in("bfloat16"),
    "float16": _SCALING + _layers_in("float16"),
    "float64": _EXACT
    + Contribution(
        definitions=frozenset({"to_float64"}),
        places={
            "types": ('jax.config.update("jax_enable_x64", True)',),
            "precision": ("to_float64(model)", "initialize(model, run.seed)"),
        },
    ),
}
#: The mean gradients of all micro-batches make the update.
_ACCUMULATION = Contribution(
    definitions=frozenset({"accumulated"}),
    places={
        "accumulated": (
            "",
            "def objective(model: nnx.Module, images: jax.Array, labels: jax.Array) -> jax.Array:",
            "    return loss_function(model(images), labels{passed})",
            "",
            "gradient = nnx.value_and_grad(objective{wrt})",
            "loss, gradients = "
            "accumulated(gradient, training.model, images, labels, ACCUMULATION{sharding})",
        ),
    },
)
_PARTS: dict[type[Any], Callable[[Any], Contribution]] = {
    Sgd: sgd,
    Rmsprop: rmsprop,
    Adam: adam,
    AdamW: adamw,
    L2: l2,
    Decoupled: decoupled,
    Norm: norm,
    Value: value,
    Ema: ema,
    Tune: tune,
    Devices: devices,
    Asynchronous: asynchronous,
    SoftmaxCrossEntropy: softmax_cross_entropy,
    SigmoidCrossEntropy: sigmoid_cross_entropy,
}
_SHARES: dict[type[Any], Callable[[Any], Contribution]] = {SoftmaxCrossEntropy: softmax_of_shares}
_MEASURES: dict[type[Metric], Measure] = {
    Top: Measure("hits[:, :k].any(1).sum()", "hits[:, :k].sum()"),
    MeanAveragePrecision: Measure(
        "average_precision(hits, labels.sum(1), k).sum()",
        definitions=frozenset({"average_precision"}),
    ),
    Recall: Measure("(hits[:, :k].sum(1) / labels.sum(1).clip(1)).sum()"),
}
SPELLINGS = Spellings(_PARTS, _PRECISIONS, _SHARES, _ACCUMULATION, _MEASURES)
