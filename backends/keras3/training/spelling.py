"""The parts of a recipe in Keras: one function each, from the part to what it adds to train.py.

Precisions are contributions too.

The constants of a part (`Part.constants`) are in the program by their names. Places of train.py:

    policy      Keras' dtype policy
    precision   before it is set
    loss        the body of the loss of each image, of `labels` and `logits`
    weighted    that of the one that is minimized, of `class_weights` too, where there are such
    passed      what that is given besides, with a comma before it
    fit         how the model is trained, where it is not batch by batch
    rate        the optimizer's learning rate, where it is not the schedule
    optimizer   the optimizer's class and arguments after the learning rate, as two expressions
    settings    more of its arguments, with a comma before each
    kernels     what its step does to a kernel, or to its `gradient`, first
    factors     nothing but the wish that parts of the model have factors of `learning_rate`
    prepare     in `Training.__init__`, before the model that `fit` trains is made
    bases       more classes that the model that `fit` trains derives from
    compiled    the optimizer that it is compiled with, where it is another
    evaluated   the model that is evaluated, where it is another than the one that is trained
    create      in `Training.__init__`; `{followed}` stands for the place of that name
    followed    what an average is told besides, with a comma before each
    slots       what of it a checkpoint holds, as variables
    ready       before a run begins to train
    held_out    what is done to `keys` of images to evaluate
    own_keys    what is done to `keys` of images to train with
    runs_on     what is said of what it runs on, where that is not anything
    usage       how the program is started besides
    start       what is called to train, one expression
    run         what that is given, a class
    arguments   more of the command line
    trains      what trains, where `fit` does not always
    measured    lines that return the loss and the metrics; `{names}` stands for theirs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from xgraph.emit import training
from xgraph.emit.contributions import Contribution
from xgraph.emit.training import (
    Measure,
    Spellings,
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


def _optimizer(name: str, arguments: str, memories: Mapping[str, str]) -> Contribution:
    """An optimizer by its class and arguments, and what it keeps: the part's words → its lists."""
    own = frozenset() if "." in name else frozenset({name})
    if not memories:
        return Contribution(own, {"optimizer": (name, arguments)})
    words = ", ".join(f'"{word}": "{held}"' for word, held in memories.items())
    return Contribution(
        own | {"memories"},
        {
            "optimizer": (name, arguments),
            "slots": (f"**memories(self.model, self.optimizer, self.variables, {{{words}}}),",),
        },
    )


def sgd(part: Sgd) -> Contribution:
    if not part.momentum:
        return _optimizer("keras.optimizers.SGD", "", {})
    nesterov = ", nesterov=True" if part.nesterov else ""
    return _optimizer("SGD", f", momentum=MOMENTUM{nesterov}", {"momentum": "momentums"})


def rmsprop(part: Rmsprop) -> Contribution:
    arguments = ", RHO, EPSILON"
    memories = {"mean_square": "mean_squares"}
    if part.momentum:
        arguments += ", momentum=MOMENTUM"
        memories["momentum"] = "momentums"
    if part.initial:
        arguments += f", initial={number(part.initial)}"
    return _optimizer("RMSprop", arguments, memories)


def adam(part: Adam) -> Contribution:
    memories = {"mean": "means", "mean_square": "mean_squares"}
    slot = '"optimizer.updates": self.optimizer.updates,'
    return _optimizer("Adam", ", BETA1, BETA2, EPSILON", memories) + Contribution(
        places={"slots": (slot,)}
    )


def adamw(part: AdamW) -> Contribution:
    return adam(part.adam) + _DECAY


#: Keras' own `weight_decay` is rounded to float32 whatever it is given.
_DECAY = Contribution(
    definitions=frozenset({"kernels_of"}),
    places={
        "kernels": (
            "share = keras.ops.cast(WEIGHT_DECAY * learning_rate, variable.dtype)",
            "self.assign_sub(variable, share * variable)",
        ),
    },
)


def decoupled(part: Decoupled) -> Contribution:
    return _DECAY


def l2(part: L2) -> Contribution:
    return Contribution(
        definitions=frozenset({"kernels_of"}),
        places={"kernels": ("gradient = gradient + L2 * variable",)},
    )


def norm(part: Norm) -> Contribution:
    return Contribution(places={"settings": (", global_clipnorm=CLIP_NORM",)})


def value(part: Value) -> Contribution:
    return Contribution(places={"settings": (", clipvalue=CLIP_VALUE",)})


def ema(part: Ema) -> Contribution:
    warmup = ", warmup=True" if part.warmup else ""
    return Contribution(
        definitions=frozenset({"WithEma", "Ema"}),
        places={
            "bases": ("WithEma",),
            "evaluated": ("self.ema",),
            "create": (
                'with keras.name_scope("ema"):  # Keras on PyTorch knows variables by their paths',
                "    self.ema = create_model(input_shape=model.input_shape[1:])",
                "# Copies: on JAX, a step is given the memory of all that it changes.",
                "self.ema.set_weights([np.array(weight) for weight in model.get_weights()])",
                "average = Ema(model, self.ema, self.optimizer, EMA_DECAY{followed})",
                "self.trained.follow(self.ema, average.update)",
            ),
            "followed": (warmup,),
            "slots": ('**named("ema", self.ema),',),
        },
    )


def tune(part: Tune) -> Contribution:
    made = Contribution()
    if part.frozen:
        others = ", RATES" if part.excepts else ""
        line = f"freeze(model, FROZEN{others})"
        made += Contribution(frozenset({"freeze"}), {"prepare": (line,)})
    if part.factors:
        made += Contribution(frozenset({"factors_of"}), {"factors": ("",)})
    return made


def devices(part: Devices) -> Contribution:
    """Sums over processes, by TensorFlow's collectives."""
    made = Contribution(
        definitions=frozenset({"SharedGradients", "evaluated_together"}),
        places={
            "bases": ("SharedGradients",),
            "measured": ("return evaluated_together(self.evaluated, batches, told, ({names}))",),
            "held_out": ("keys = list(run.parts(keys))",),
            "own_keys": ("keys = run.parts(keys, run.recipe.micro_batches)",),
            "runs_on": (
                "It is for Keras on TensorFlow, and trains on all GPUs of its host, a process for",
                "each, or in so many --processes. On several hosts, with SLURM:",
                "    srun python train.py --data DIR --output RUN",
            ),
            "start": ("together(start)",),
            "run": ("SharedRun",),
            "arguments": (
                'parser.add_argument("--processes", type=positive, help="here; default: GPUs")',
            ),
        },
    )
    if part.statistics == "global":
        return made
    return made + Contribution(
        definitions=frozenset({"SharedStatistics"}),
        places={
            "bases": ("SharedStatistics",),
            "ready": replicas_lines("run.count"),
        },
    )


def asynchronous(part: Asynchronous) -> Contribution:
    """Without `fit`, whose update has gradients and a step in one."""
    return training.asynchronous(part) + Contribution(
        places={
            "trains": (
                "workers = run.arguments.workers",
                "if run.arguments.processes:",
                "    for loss in run.updates(training, keys):",
                "        if not run.after_update(loss, held_out):",
                "            break",
                "elif run.step < run.last_step:",
                "    batches = Batches(run.dataset, keys, run.last_step - run.step, workers)",
                "    told = [Loaded(batches), Following(run, held_out)]",
                "    fit(training, batches, run.step, told)",
            ),
        }
    )


def softmax_cross_entropy(part: SoftmaxCrossEntropy) -> Contribution:
    return _softmax(part, _SMOOTHED if part.label_smoothing else _PLAIN)


def softmax_of_shares(part: SoftmaxCrossEntropy) -> Contribution:
    target = "target = keras.ops.cast(multi_hot(labels, CLASSES), logits.dtype)"
    lines = (target, *(_SMOOTHED[2:] if part.label_smoothing else _OF_SHARES))
    return Contribution(definitions=frozenset({"multi_hot"})) + _softmax(part, lines)


def _softmax(part: SoftmaxCrossEntropy, loss: tuple[str, ...]) -> Contribution:
    plain = Contribution(places={"loss": loss})
    if part.class_weights is None:
        return plain
    lines = (
        "targets = class_weights * keras.ops.cast(multi_hot(labels, CLASSES), logits.dtype)",
        *(_SPREAD if part.label_smoothing else ()),
        "# Not `categorical_crossentropy`: TensorFlow's gradient takes targets to sum to 1.",
        "return -keras.ops.sum(targets * keras.ops.log_softmax(logits), axis=-1)",
    )
    return plain + _class_weights(part, lines)


def sigmoid_cross_entropy(part: SigmoidCrossEntropy) -> Contribution:
    over_sum = part.over_classes == "sum"
    target = "target = keras.ops.cast(multi_hot(labels, CLASSES), logits.dtype)"
    plain = Contribution(
        definitions=frozenset({"multi_hot"}),
        places={
            "loss": (
                target,
                "entropy = keras.losses.binary_crossentropy  # a mean over the classes",
                f"return entropy(target, logits, from_logits=True){' * CLASSES' * over_sum}",
            )
        },
    )
    if part.class_weights is None:
        return plain
    over = "" if over_sum else " / CLASSES"
    lines = (
        target,
        "losses = keras.ops.binary_crossentropy(target, logits, from_logits=True)",
        f"return keras.ops.sum(class_weights * losses, axis=-1){over}",
    )
    return plain + _class_weights(part, lines)


#: The labels' weights are in the targets, which need not sum to 1.
_SPREAD = (
    "spread = keras.ops.sum(targets, axis=-1, keepdims=True) / CLASSES",
    "targets = (1 - LABEL_SMOOTHING) * targets + LABEL_SMOOTHING * spread",
)


def _class_weights(part: Loss, lines: tuple[str, ...]) -> Contribution:
    """A loss with class weights, which is minimized; evaluation's has none."""
    balanced = part.class_weights == "balanced"
    tensor = "keras.ops.convert_to_tensor({}, keras.config.floatx())"
    made = "keras.ops.ones(CLASSES)" if balanced else tensor.format("CLASS_WEIGHTS")
    own = f"training.trained.class_weights = {tensor.format('class_weights')}"
    return Contribution(
        definitions=frozenset({"multi_hot"}),
        places={
            "weighted": lines,
            "passed": (", self.class_weights",),
            "create": (f"self.trained.class_weights = {made}",),
            "ready": balanced_lines(own) if balanced else (),
        },
    )


_PLAIN = ("return keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)",)

_OF_SHARES = ("return keras.losses.categorical_crossentropy(target, logits, from_logits=True)",)

_SMOOTHED = (
    'labels = keras.ops.cast(labels, "int32")',
    "target = keras.ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)",
    "return keras.losses.categorical_crossentropy(",
    "    target, logits, from_logits=True, label_smoothing=LABEL_SMOOTHING",
    ")",
)

_SCALED = "LossScale(self.optimizer, 2.0**16, dynamic_growth_steps=2000)"
_PRECISIONS = {
    "float32": Contribution(places={"policy": ("float32",)}),
    "bfloat16": Contribution(places={"policy": ("mixed_bfloat16",)}),
    # The loss is multiplied so that small gradients do not vanish.
    "float16": Contribution(
        definitions=frozenset({"LossScale"}),
        places={
            "policy": ("mixed_float16",),
            "compiled": (_SCALED,),
            "slots": (
                '"scaling.scale": self.trained.optimizer.dynamic_scale,',
                '"scaling.updates": self.trained.optimizer.step_counter,',
            ),
        },
    ),
    "float64": Contribution(
        places={
            "policy": ("float64",),
            "precision": (
                'if keras.backend.backend() != "tensorflow":  # keras-team/keras #23223, #23704',
                '    raise UserError("Keras computes in float64 on TensorFlow alone")',
            ),
        }
    ),
}
#: The mean gradients of all micro-batches make the update.
_ACCUMULATION = Contribution(
    definitions=frozenset({"MicroBatches", "EachUpdate"}),
    places={
        # Not the schedule itself: Keras would give it the number of micro-batches.
        "rate": ("lambda: LearningRate(plan)(optimizer.iterations)",),
        "settings": (", gradient_accumulation_steps=ACCUMULATION",),
        "followed": (", micro_batches=ACCUMULATION",),
        "fit": (
            "training.optimizer.variables[0].assign(first_step * ACCUMULATION)",
            "parts = MicroBatches(batches, ACCUMULATION)",
            "told = Callbacks([EachUpdate(callbacks, ACCUMULATION)], training.trained)",
            "training.trained.fit(parts, shuffle=False, verbose=0, callbacks=told)",
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
#: Functions of labels, logits and k.
_MEASURES: dict[type[Metric], Measure] = {
    Top: Measure("any_of_top_k", "top_k"),
    MeanAveragePrecision: Measure("average_precision"),
    Recall: Measure("recall"),
}
SPELLINGS = Spellings(_PARTS, _PRECISIONS, _SHARES, _ACCUMULATION, _MEASURES)
